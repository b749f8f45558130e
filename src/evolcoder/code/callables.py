r"""Finds the callable in a Python response that tests can exercise, with its dependencies.

Nothing is run, and the same text gives the same subject. Of the program only what the entry point
can reach is kept, with the imports that this uses, so example usage, `input()` and prints at the
bottom are dropped. The signature has names, parameters, defaults and annotations but no body or
docstring, so that a tester who sees it has not seen the answer. A main program that reads input is
called with its input and returns its output. `name = lambda ...` is a function; a call of a
coroutine returns what awaiting it gives, and that of an asynchronous generator a list.
Whether the program as a whole runs is not checked here.

>>> text = "```python\ndef double(x):\n    return 2 * x\n\nprint(double(4))\n```"
>>> subject_of(text, "Write a function that doubles.").signature
'def double(x)'
"""

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from evolcoder.code.python_ast import Definition, definitions, parse, reachable
from evolcoder.programming_language import code_blocks

MAX_BLOCKS = 40
"""Code blocks of a response that are searched."""
_IMPORTS = (ast.Import, ast.ImportFrom)
_NOT_TESTED = re.compile(r"test|main$|_", re.IGNORECASE)
"""Names of tests, drivers and private functions."""


class CallableKind(StrEnum):
    """How tests call a subject."""

    FUNCTION = "function"
    CLASS = "class"
    PRINTER = "printer"
    """A function that prints and returns nothing: a call returns its output."""
    PROGRAM = "program"
    """A main program: a call takes its input and returns its output."""


PROGRAM = "program"
"""Entry point of a main program."""
_PROGRAM = """\
CODE = {code!r}
def program(typed):
    import contextlib, io, sys
    def read(prompt=""):
        line = sys.stdin.readline()
        if not line:
            raise EOFError("nothing more is typed")
        return line.rstrip("\\n")
    printed, before = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(typed)
    try:
        with contextlib.redirect_stdout(printed):
            exec(CODE, {{"__name__": "__main__", "input": read}})
    except SystemExit:
        pass
    finally:
        sys.stdin = before
    return printed.getvalue().strip()
"""
_PRINTER = """\
CODE = {code!r}
def {entry_point}(*given, **named):
    import contextlib, io
    printed, space = io.StringIO(), {{"__name__": "candidate"}}
    with contextlib.redirect_stdout(printed):
        exec(CODE, space)
        space[{name!r}](*given, **named)
    return printed.getvalue().strip()
"""
_COROUTINE = """
def _awaited_(make):
    async def items(work):
        found = []
        async for one in work:
            found.append(one)
            if len(found) == 1000:
                break
        return found
    def called(*given, **named):
        import asyncio
        work = make(*given, **named)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(items(work) if hasattr(work, "__aiter__") else work)
        return work
    return called
{name} = _awaited_({name})
"""


@dataclass(frozen=True, slots=True)
class CallableSubject:
    """A callable with the part of its program that it needs."""

    body: str = field(repr=False)
    """The part of the program that the entry point can reach."""
    name: str
    """Name in the program."""
    entry_point: str
    """Name that tests call."""
    signature: str
    """Name and parameters of the function, or of the class and its methods."""
    form: CallableKind
    """How tests call it."""
    n_params: int
    """Required parameters; of a class those of `__init__` without `self`."""
    is_coroutine: bool = False
    """Whether a call awaits it; other coroutines of the program still await it themselves."""

    @property
    def source(self) -> str:
        """The program that defines the entry point."""
        return self.around(self.body)

    def around(self, body: str) -> str:
        """Return another body, e.g. a mutant's, with this subject's entry point."""
        if self.is_coroutine:
            body += _COROUTINE.format(name=self.name)
        if self.form is CallableKind.PROGRAM:
            return _PROGRAM.format(code=body)
        if self.form is CallableKind.PRINTER:
            return _PRINTER.format(code=body, name=self.name, entry_point=self.entry_point)
        return (
            body if self.name == self.entry_point else f"{body}\n{self.entry_point} = {self.name}"
        )


def subject_of(
    text: str, instruction: str, entry_point: str | None = None, *, in_place: bool = False
) -> CallableSubject | None:
    """Find the callable to test in a response: `entry_point` if it is defined, else by heuristics.

    The first block with a callable is used; code that the task shows comes last. Of several
    callables it is the one that the task names, else the last one that no other uses. Without a
    callable it is the first program that reads input, or a lambda with a name. Functions that only
    modify their arguments do not count unless `in_place`: tests run in another process and pass
    copies.
    """
    programs = _programs(text)
    shown = " ".join(instruction.split())
    programs.sort(key=lambda code: " ".join(code.split()) in shown)
    trees = [tree for tree in map(parse, programs) if tree is not None]
    for tree in trees:
        if (node := _chosen(tree, instruction, entry_point, in_place=in_place)) is not None:
            return _subject(tree, node)
    if program := _main_program(trees):
        return program
    for tree in map(_with_named_lambdas, trees):
        if (node := _chosen(tree, instruction, entry_point, in_place=in_place)) is not None:
            return _subject(tree, node)
    return None


def find_compatible(
    text: str, wanted: CallableSubject, *, in_place: bool = False
) -> CallableSubject | None:
    """Find the callable in another response that can be called like `wanted`.

    A function with another name is compatible if it has as many required parameters.
    """
    if wanted.form is CallableKind.PROGRAM:
        return _main_program(filter(None, map(parse, _programs(text))))
    found = subject_of(text, "", wanted.entry_point, in_place=in_place)
    if found is None or found.form is not wanted.form:
        return None
    same = found.name == wanted.entry_point or found.n_params == wanted.n_params
    return replace(found, entry_point=wanted.entry_point) if same else None


def find_compatible_in_code(code: str, wanted: CallableSubject) -> CallableSubject | None:
    """Do the same as `find_compatible` for code without a fence."""
    return find_compatible(f"~~~~~~\n{code}\n~~~~~~", wanted)


def imported_modules(source: str) -> frozenset[str]:
    """Return the top-level names of all modules that a program imports anywhere."""
    tree = parse(source) or ast.Module([], [])
    names = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    names += [
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level
    ]
    return frozenset(name.partition(".")[0] for name in names)


def _programs(text: str) -> list[str]:
    """Return candidate programs: fenced blocks in order, or the whole of an unfenced text."""
    blocks = [block for block in code_blocks(text) if block.language in {None, "python"}]
    codes = [block.code for block in blocks[:MAX_BLOCKS]]
    return codes if codes or "```" in text else [text]


def _with_named_lambdas(tree: ast.Module) -> ast.Module:
    """Write `name = lambda ...` as a function."""
    body = [_as_function(node) for node in tree.body]
    return ast.fix_missing_locations(ast.Module(body, tree.type_ignores))


def _as_function(node: ast.stmt) -> ast.stmt:
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=args, body=value))
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.Lambda(args=args, body=value))
        ):
            (function,) = ast.parse(f"def {name}(): return").body
            if isinstance(function, ast.FunctionDef):
                function.args, function.body = args, [ast.Return(value)]
            return function
    return node


def _chosen(
    tree: ast.Module, instruction: str, wanted: str | None, *, in_place: bool
) -> Definition | None:
    defined = {
        name: node
        for name, node in definitions(tree).items()
        if _is_testable(node) or (in_place and _may_modify(node))
    }
    if wanted in defined:
        return defined[wanted]
    if not defined:
        return None
    named = [node for name, node in defined.items() if _is_named(name, instruction)]
    used = {
        part.id
        for name, node in defined.items()
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and part.id != name
    }
    roots = [node for name, node in defined.items() if name not in used]
    functions = [node for node in roots if not isinstance(node, ast.ClassDef)]
    return (named or functions or roots or list(defined.values()))[-1]


def _is_named(name: str, instruction: str) -> bool:
    """Whether a task names code so, rather than using the name as an ordinary word."""
    before, after = r"(?:\b(?:function|method|class|called|named)\s+[`'\"]?|`)", r"\s*\("
    pattern = rf"{before}{re.escape(name)}\b|\b{re.escape(name)}{after}"
    return re.search(pattern, instruction) is not None


def _is_testable(node: Definition) -> bool:
    if _NOT_TESTED.match(node.name):
        return False
    if isinstance(node, ast.ClassDef):
        return any(not method.name.startswith("_") for method in _methods(node))
    return _returns(node) or (_prints(node) and bool(node.args.args or node.args.vararg))


def _may_modify(node: Definition) -> bool:
    """Whether a function takes something that it could change."""
    is_named = _NOT_TESTED.match(node.name) is None
    return is_named and isinstance(node, ast.FunctionDef) and bool(node.args.args)


def _prints(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "print" for part in ast.walk(node))


def _returns(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    results = ast.Return | ast.Yield | ast.YieldFrom
    return any(isinstance(part, results) and part.value is not None for part in ast.walk(node))


def _subject(tree: ast.Module, node: Definition) -> CallableSubject:
    kept = reachable(tree, node.name)
    used = {part.id for root in kept for part in ast.walk(root) if isinstance(part, ast.Name)}
    body = [
        one
        for one in tree.body
        if any(one is root for root in kept) or (isinstance(one, _IMPORTS) and _is_used(one, used))
    ]
    source = ast.unparse(ast.Module(body, []))
    return CallableSubject(
        source,
        node.name,
        node.name,
        _signature(node),
        _form(node),
        _n_params(node),
        isinstance(node, ast.AsyncFunctionDef),
    )


def _form(node: Definition) -> CallableKind:
    if isinstance(node, ast.ClassDef):
        return CallableKind.CLASS
    is_printer = _prints(node) and not _returns(node)
    return CallableKind.PRINTER if is_printer else CallableKind.FUNCTION


def _main_program(trees: Iterable[ast.Module]) -> CallableSubject | None:
    """Return the first program that reads input; one that does not has a constant output."""
    for tree in trees:
        if any(_reads(node) for node in ast.walk(tree)):
            body = ast.unparse(tree)
            return CallableSubject(
                body, PROGRAM, PROGRAM, f"def {PROGRAM}(typed)", CallableKind.PROGRAM, 1
            )
    return None


def _reads(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "stdin"
    return isinstance(node, ast.Name) and node.id == "input"


def _is_used(node: ast.Import | ast.ImportFrom, names: Iterable[str]) -> bool:
    bound = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return True
    return "*" in bound or not bound.isdisjoint(names)


def _signature(node: Definition) -> str:
    if not isinstance(node, ast.ClassDef):
        return _head(node)
    shown = [method for method in _methods(node) if method.name == "__init__" or _is_public(method)]
    return "\n".join([f"class {node.name}:", *(f"    {_head(method)}" for method in shown)])


def _head(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"def {node.name}({ast.unparse(node.args)})"


def _is_public(node: ast.FunctionDef) -> bool:
    return not node.name.startswith("_")


def _methods(node: ast.ClassDef) -> Sequence[ast.FunctionDef]:
    return [part for part in node.body if isinstance(part, ast.FunctionDef)]


def _n_params(node: Definition) -> int:
    if isinstance(node, ast.ClassDef):
        made = [method for method in _methods(node) if method.name == "__init__"]
        return _n_params(made[0]) - 1 if made else 0
    return len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
