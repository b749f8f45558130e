r"""Finds the Python functions in a training response that a benchmark's test could call.

Nothing is run, and the same response gives the same functions in the same order. A function's
source has its dependencies and nothing else, so a script around it cannot wait for input or print.
Text that is not Python gives no functions. Other languages are not read, and functions that import
more than the standard library are excluded.

A script becomes functions whose parameters are its leading literals or inputs: one function of the
first, one of the first two, and so on, since it is unknown which of them are its input. Its result
is what it prints last; the caller has to capture that.

Dependencies are statements of the program, in its order, which bind every name that the definition
reaches and that the program binds at top level. Annotations and docstrings are removed, since
annotations often name types that snippets do not import; missing imports of well-known names are
added.

>>> [(found.name, found.least) for found in functions_of("def f(a, b=1):\n    return a")]
[('f', 1)]
>>> [ast.unparse(one) for one in script_functions(ast.parse("x = [1]\nprint(max(x))").body)]
['def script(x):\n    print(max(x))']
>>> parts = parts_of(ast.parse("import re\nx = 1\ndef f():\n    return x\nprint(f())"))
>>> [part.source for part in dependencies_of("f", parts)]
['x = 1', 'def f():\n    return x']
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evolcoder.code.normalize import blocks_of
from evolcoder.code.python_ast import definitions, tree_of

_BINDING = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
)
_IMPLIED_IMPORTS = {
    **{name: f"import {name}" for name in "math re itertools collections functools string".split()},
    **{name: f"import {name}" for name in "heapq bisect random datetime operator sys".split()},
    **dict.fromkeys(
        ("Counter", "defaultdict", "deque", "OrderedDict"),
        "from collections import Counter, defaultdict, deque, OrderedDict",
    ),
    "reduce": "from functools import reduce",
}
"""Name -> the import that snippets often omit."""


@dataclass(frozen=True, slots=True)
class SourcePart:
    """A top-level statement that binds names."""

    source: str
    """Its source after unparsing."""
    binds: frozenset[str]
    """Names that it binds."""
    uses: frozenset[str]
    """Names that it reads anywhere."""
    modules: frozenset[str]
    """Top-level modules that it imports."""


def parts_of(tree: ast.Module) -> tuple[SourcePart, ...]:
    """Return the top-level statements that only bind names, without those that read input."""
    return tuple(
        _part(node) for node in tree.body if isinstance(node, _BINDING) and not _reads_input(node)
    )


def dependencies_of(name: str, parts: Sequence[SourcePart]) -> tuple[SourcePart, ...]:
    """Return the parts that a name depends on, in order, after imports that the program omits."""
    binders: dict[str, list[int]] = {}
    for n, part in enumerate(parts):
        for bound in part.binds:
            binders.setdefault(bound, []).append(n)
    wanted, chosen, waiting = {name}, set[int](), [name]
    while waiting:
        new = set(binders.get(waiting.pop(), ())) - chosen
        chosen |= new
        used = {one for n in new for one in parts[n].uses} - wanted
        wanted |= used
        waiting += used
    kept = [parts[n] for n in sorted(chosen)]
    unbound = sorted(wanted - binders.keys())
    imports = dict.fromkeys(_IMPLIED_IMPORTS[one] for one in unbound if one in _IMPLIED_IMPORTS)
    return (*(_part(ast.parse(line).body[0]) for line in imports), *kept)


def _part(node: ast.stmt) -> SourcePart:
    found = _AnnotationStripper().visit(node)
    inside = list(ast.walk(found))
    uses = {one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    modules = {name for one in inside for name in _imported(one)}
    return SourcePart(
        ast.unparse(ast.fix_missing_locations(found)),
        frozenset(_bound(found)),
        frozenset(uses),
        frozenset(modules),
    )


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).split(".")[0]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    else:
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                yield one.id


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield (node.module or ".").split(".")[0]


def _reads_input(node: ast.stmt) -> bool:
    """Whether an assignment calls `input` or `open`."""
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    calls = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return any(isinstance(call, ast.Name) and call.id in {"input", "open"} for call in calls)


class _AnnotationStripper(ast.NodeTransformer):
    """Removes annotations and docstrings."""

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        """Remove the docstring and all annotations of a function."""
        self.generic_visit(node)
        node.returns = None
        body = node.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            node.body = body[1:] or [ast.Pass()]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - a name that ast calls

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Replace the annotation by `object`: the name must stay a field of its class."""
        self.generic_visit(node)
        node.annotation = ast.Name("object", ast.Load())
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Remove the annotation of a parameter."""
        node.annotation = None
        return node


MAX_ARGUMENTS = 3
MAX_STATEMENTS = 60
_LITERAL = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Constant, ast.UnaryOp, ast.USub, ast.Load)


def script_functions(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef]:
    """Turn the statements of a script that prints into functions of its leading inputs."""
    if len(body) > MAX_STATEMENTS or not _prints(body):
        return
    inputs = [(place, name) for place, node in enumerate(body) if (name := _input_name(node))]
    for count in range(1, min(len(inputs), MAX_ARGUMENTS) + 1):
        places = {place for place, _ in inputs[:count]}
        names = [name for _, name in inputs[:count]]
        rest = [node for place, node in enumerate(body) if place not in places]
        if len(set(names)) == count and rest:
            yield _script_function(names, rest)


def _input_name(node: ast.stmt) -> str:
    """Return the name that a statement binds to a literal or to `input`, or ''."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if _is_input(value):
            return name
    return ""


def _is_input(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return True
    inside = list(ast.walk(value))
    if any(isinstance(one, ast.Name) and one.id == "input" for one in inside):
        return True
    return all(isinstance(one, _LITERAL) for one in inside)


def _prints(body: Sequence[ast.stmt]) -> bool:
    return any(
        isinstance(one, ast.Name) and one.id == "print" for node in body for one in ast.walk(node)
    )


def _script_function(names: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    made = ast.parse(f"def script({', '.join(names)}):\n    pass").body[0]
    assert isinstance(made, ast.FunctionDef)
    made.body = body
    return made


MAX_CHARS = 60_000
"""Longest code that is read; a benchmark's program has hundreds of characters."""
MAX_FUNCTIONS = 16
"""Most functions per response, in order."""
MAX_ENDS = 12
"""Lines tried as the end of unfenced code."""
MAX_VARARGS = 3
"""Arguments that `*args` is assumed to accept."""

Definition = ast.FunctionDef | ast.ClassDef
_STARTS = ("def ", "class ", "import ", "from ", "@")
_SEQUENCES = ("list", "List", "tuple", "Tuple", "set", "Set", "frozenset")
KINDS = {
    **dict.fromkeys(("int", "float", "complex", "bool"), "number"),
    **dict.fromkeys(_SEQUENCES, "sequence"),
    **dict.fromkeys(("dict", "Dict"), "mapping"),
    "str": "text",
}
"""Name of an annotation or of a value's type -> kind of value."""
_CACHES = frozenset({"cache", "lru_cache", "functools"})


@dataclass(frozen=True, slots=True)
class Function:
    """A callable function."""

    name: str
    """Call expression: `f`, `Class().method`, `Class(*).method` where the class takes the
    arguments, or `script` for a script."""
    source: str
    """The program that defines it, without annotations and docstrings."""
    least: int
    """Required positional arguments."""
    most: int
    """Accepted positional arguments."""
    returns: bool
    """Whether it returns a value anywhere; otherwise its result is its output or changed
    arguments."""
    kinds: tuple[str, ...]
    """Kind of value by each parameter's annotation; empty if unknown."""


def functions_of(answer: str) -> tuple[Function, ...]:
    """Find the distinct functions of a response."""
    found: dict[tuple[str, str], Function] = {}
    for code in python_of(answer):
        tree = tree_of(code)
        for function in _of_tree(tree) if tree else ():
            found.setdefault((function.name, function.source), function)
            if len(found) == MAX_FUNCTIONS:
                return tuple(found.values())
    return tuple(found.values())


def python_of(answer: str) -> Iterator[str]:
    """Yield possible Python code of a response: its fenced blocks, or code within its prose."""
    blocks = blocks_of(answer) if "```" in answer or "~~~" in answer else []
    for block in blocks:
        if block.language in {None, "python"} and len(block.code) <= MAX_CHARS:
            yield block.code
    if not blocks and len(answer) <= MAX_CHARS and ("(" in answer or "=" in answer):
        if tree_of(answer):
            yield answer
        elif "def " in answer:
            yield _code_within_prose(answer)


def _code_within_prose(answer: str) -> str:
    """Return the longest run of lines from the first definition on that parses, or ''."""
    lines = answer.split("\n")
    first = next((n for n, line in enumerate(lines) if line.startswith(_STARTS)), len(lines))
    unindented = [n for n, line in enumerate(lines) if n > first and line[:1].strip()]
    for end in [len(lines), *unindented[: -MAX_ENDS - 1 : -1]]:
        code = "\n".join(lines[first:end])
        if tree_of(code):
            return code
    return ""


def _of_tree(tree: ast.Module) -> Iterator[Function]:
    try:
        found = [node for node in definitions(tree).values() if isinstance(node, Definition)]
        if found:
            annotated = {id(one): _kinds(one.args) for one in _all_functions(found)}
            parts = parts_of(tree)
            for node in found:
                yield from _of_definition(node, parts, annotated)
        else:
            for script in script_functions(tree.body):
                source = ast.unparse(ast.fix_missing_locations(script))
                yield _function("script", source, script, bound=0)
    except (RecursionError, ValueError):  # too deep, or a number too long to unparse
        return


def _of_definition(
    node: Definition, parts: Sequence[SourcePart], annotated: Mapping[int, tuple[str, ...]]
) -> Iterator[Function]:
    chosen = dependencies_of(node.name, parts)
    if not _importable(chosen) or not _is_plain(node):
        return
    source = "\n".join(part.source for part in chosen)
    if isinstance(node, ast.FunctionDef):
        if not _is_empty(node):
            yield _function(node.name, source, node, bound=0, kinds=annotated[id(node)])
        return
    init = next((one for one in _methods(node) if one.name == "__init__"), None)
    for method in _methods(node):
        if not method.name.startswith("_") and not _is_empty(method):
            yield from _of_method(
                node.name, init, method, source=source, kinds=annotated[id(method)]
            )


def _of_method(
    owner: str,
    init: ast.FunctionDef | None,
    method: ast.FunctionDef,
    *,
    source: str,
    kinds: Sequence[str],
) -> Iterator[Function]:
    """Yield a method if the constructor or the method itself requires no arguments."""
    bound = 0 if "staticmethod" in _decorators(method) else 1
    if init is None or _arity(init.args, bound=1)[0] == 0:
        name = f"{owner}().{method.name}"
        yield _function(name, source, method, bound=bound, kinds=kinds[bound:])
    elif _arity(method.args, bound=bound)[0] == 0:
        least, most = _arity(init.args, bound=1)
        name = f"{owner}(*).{method.name}"
        yield Function(name, source, least, most, _returns(method), ())


def _function(
    name: str, source: str, node: ast.FunctionDef, *, bound: int, kinds: Sequence[str] = ()
) -> Function:
    least, most = _arity(node.args, bound=bound)
    return Function(name, source, least, most, _returns(node), tuple(kinds))


def _returns(node: ast.FunctionDef) -> bool:
    inside = ast.walk(node)
    return any(
        isinstance(one, ast.Yield | ast.YieldFrom)
        or (isinstance(one, ast.Return) and one.value is not None)
        for one in inside
    )


def _arity(args: ast.arguments, *, bound: int) -> tuple[int, int]:
    """Return the numbers of required and accepted positional arguments, without `bound` first ones.

    (99, 0) if a keyword argument is required.
    """
    most = len(args.posonlyargs) + len(args.args) - bound
    least = max(0, most - len(args.defaults))
    if any(default is None for default in args.kw_defaults):
        return 99, 0
    return least, max(most, MAX_VARARGS) if args.vararg else most


def _kinds(args: ast.arguments) -> tuple[str, ...]:
    return tuple(_kind(arg.annotation) for arg in (*args.posonlyargs, *args.args))


def _kind(annotation: ast.expr | None) -> str:
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    return KINDS.get(annotation.id, "") if isinstance(annotation, ast.Name) else ""


def _all_functions(definitions: Sequence[Definition]) -> Iterator[ast.FunctionDef]:
    for node in definitions:
        yield from [node] if isinstance(node, ast.FunctionDef) else _methods(node)


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [one for one in node.body if isinstance(one, ast.FunctionDef)]


def _is_plain(node: Definition) -> bool:
    """Whether a class has no bases and a function no decorators but caches."""
    if isinstance(node, ast.ClassDef):
        return not node.bases or [ast.unparse(base) for base in node.bases] == ["object"]
    return _decorators(node) <= _CACHES


def _decorators(node: ast.FunctionDef) -> set[str]:
    names = (one.func if isinstance(one, ast.Call) else one for one in node.decorator_list)
    return {ast.unparse(name).split(".")[0] for name in names}


def _is_empty(node: ast.FunctionDef) -> bool:
    """Whether a function is a stub."""
    return all(
        isinstance(line, ast.Pass)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in node.body
    )


def _importable(parts: Sequence[SourcePart]) -> bool:
    return all(part.modules <= sys.stdlib_module_names for part in parts)
