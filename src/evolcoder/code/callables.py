r"""What of a Python answer can be called by tests: a function or a class, with all that it needs.

Promises: nothing is run. Of the answer's program only what calling the entry point can reach is
kept (and the imports that this uses), so that example usage at the bottom, `input()` and prints do
not take part; the same text gives the same subject. The signature holds names and parameters, with
their defaults and annotations, and no line of a body or docstring: who reads it, and is told
whether a call prints or returns, has not seen the answer. A main program that reads its input is
called with what is typed, and gives what it prints.
Does not promise that the program as a whole runs; that is another check's question.

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
from evolcoder.text import code_blocks

MAX_BLOCKS = 40
"""Pieces of code of one answer that are looked at."""
_IMPORTS = (ast.Import, ast.ImportFrom)
_NOT_TESTED = re.compile(r"test|main$|_", re.IGNORECASE)
"""Names that are tests, drivers, or private."""


class CallableKind(StrEnum):
    """How tests use a subject."""

    FUNCTION = "function"
    CLASS = "class"
    PRINTER = "printer"
    """A function that prints and returns nothing: a call gives what it prints."""
    PROGRAM = "program"
    """A main program: a call takes what is typed, and gives what it prints."""


PROGRAM = "program"
"""What tests call a main program by."""
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


@dataclass(frozen=True, slots=True)
class CallableSubject:
    """A program cut down to what its tests need."""

    body: str = field(repr=False)
    """The program, without what calling the entry point cannot reach."""
    name: str
    """What the program itself calls the entry point."""
    entry_point: str
    """What tests call it."""
    signature: str
    """Name and parameters of the function, or of the class and its methods."""
    form: CallableKind
    """How tests use it."""
    n_params: int
    """Parameters that a call has to give; of a class, those of `__init__` without the object."""

    @property
    def source(self) -> str:
        """The program as tests call it."""
        return self.around(self.body)

    def around(self, body: str) -> str:
        """Make another body callable as this one is: a mutant's, for one."""
        if self.form is CallableKind.PROGRAM:
            return _PROGRAM.format(code=body)
        if self.form is CallableKind.PRINTER:
            return _PRINTER.format(code=body, name=self.name, entry_point=self.entry_point)
        return (
            body if self.name == self.entry_point else f"{body}\n{self.entry_point} = {self.name}"
        )


def subject_of(
    text: str, instruction: str, entry_point: str | None = None
) -> CallableSubject | None:
    """Find what can be tested in an answer; if a name is wanted and there, that.

    A function that only changes what it is given is none: tests run apart and have copies.

    The first block counts that has something to test, code that the task shows itself only where
    there is no other. Among several functions that is the one
    that the task names, else the last that no other one uses. Without any, it is the first block
    that reads what is typed.
    """
    programs = _programs(text)
    shown = " ".join(instruction.split())
    programs.sort(key=lambda code: " ".join(code.split()) in shown)
    trees = [tree for tree in map(parse, programs) if tree is not None]
    for tree in trees:
        if (node := _chosen(tree, instruction, entry_point)) is not None:
            return _cut_down(tree, node)
    return _main_program(trees)


def fitting(text: str, wanted: CallableSubject) -> CallableSubject | None:
    """Find in another answer to the same task what can be called as the wanted subject is.

    A function of another name fits if it takes as many arguments.
    """
    if wanted.form is CallableKind.PROGRAM:
        return _main_program(filter(None, map(parse, _programs(text))))
    found = subject_of(text, "", wanted.entry_point)
    if found is None or found.form is not wanted.form:
        return None
    same = found.name == wanted.entry_point or found.n_params == wanted.n_params
    return replace(found, entry_point=wanted.entry_point) if same else None


def program_of(code: str, wanted: CallableSubject) -> CallableSubject | None:
    """Do the same as `fitting` for bare code."""
    return fitting(f"~~~~~~\n{code}\n~~~~~~", wanted)


def imported(source: str) -> frozenset[str]:
    """Return the packages and modules that a program imports anywhere, by their first name."""
    tree = parse(source) or ast.Module([], [])
    named = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    ]
    named += [
        node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level
    ]
    return frozenset(name.partition(".")[0] for name in named)


def _programs(text: str) -> list[str]:
    """Return what may be the program: fenced blocks in order, or all of an unfenced text."""
    blocks = [block for block in code_blocks(text) if block.language in {None, "python"}]
    codes = [block.code for block in blocks[:MAX_BLOCKS]]
    return codes if codes or "```" in text else [text]


def _chosen(tree: ast.Module, instruction: str, wanted: str | None) -> Definition | None:
    defined = {name: node for name, node in definitions(tree).items() if _is_testable(node)}
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
    functions = [node for node in roots if isinstance(node, ast.FunctionDef)]
    return (named or functions or roots or list(defined.values()))[-1]


def _is_named(name: str, instruction: str) -> bool:
    """Whether a task speaks of code by this name, and not of a thing that is called so."""
    before, behind = r"(?:\b(?:function|method|class|called|named)\s+[`'\"]?|`)", r"\s*\("
    told = rf"{before}{re.escape(name)}\b|\b{re.escape(name)}{behind}"
    return re.search(told, instruction) is not None


def _is_testable(node: Definition) -> bool:
    if _NOT_TESTED.match(node.name) or isinstance(node, ast.AsyncFunctionDef):
        return False
    if isinstance(node, ast.ClassDef):
        return any(not method.name.startswith("_") for method in _methods(node))
    return _returns(node) or (_prints(node) and bool(node.args.args or node.args.vararg))


def _prints(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "print" for part in ast.walk(node))


def _returns(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    gives = ast.Return | ast.Yield
    return any(isinstance(part, gives) and part.value is not None for part in ast.walk(node))


def _cut_down(tree: ast.Module, node: Definition) -> CallableSubject:
    kept = reachable(tree, node.name)
    used = {part.id for root in kept for part in ast.walk(root) if isinstance(part, ast.Name)}
    body = [
        one
        for one in tree.body
        if any(one is root for root in kept) or (isinstance(one, _IMPORTS) and _used(one, used))
    ]
    source = ast.unparse(ast.Module(body, []))
    return CallableSubject(
        source, node.name, node.name, _signature(node), _form(node), _n_params(node)
    )


def _form(node: Definition) -> CallableKind:
    if isinstance(node, ast.ClassDef):
        return CallableKind.CLASS
    return CallableKind.FUNCTION if _returns(node) else CallableKind.PRINTER


def _main_program(trees: Iterable[ast.Module]) -> CallableSubject | None:
    """Take the first program that reads; one that does not always does the same."""
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


def _used(node: ast.Import | ast.ImportFrom, names: Iterable[str]) -> bool:
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
