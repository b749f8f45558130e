r"""The Python functions in a training answer that a benchmark's test could call.

Promises: nothing is run; the same answer gives the same functions in the same order; a function's
source holds what it needs of the answer and nothing else, so neither a script around it nor an
input that it waits for gets in the way. Text that is no Python gives none, whatever it is.
Does not read other languages, and leaves out what imports more than the standard library.

>>> [(found.name, found.least) for found in functions_of("def f(a, b=1):\n    return a")]
[('f', 1)]

Scripts read as functions: the values that they begin with become arguments.

Promises: nothing is run. A script that gives names to literals, or asks for them, and then works
with them gives a function of its first name, of its first two, and so on: no one can tell which of
them are its input. What it prints last is what it answers; whoever calls it has to see to that.

>>> [ast.unparse(one) for one in as_functions(ast.parse("x = [1]\nprint(max(x))").body)]
['def script(x):\n    print(max(x))']
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evolcoder.code.dependencies import SourcePart, needed, parts_of
from evolcoder.code.normalize import blocks_of
from evolcoder.code.python_ast import tree_of

MAX_ARGUMENTS = 3
MAX_STATEMENTS = 60
_LITERAL = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Constant, ast.UnaryOp, ast.USub, ast.Load)


def as_functions(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef]:
    """Make functions of the statements of a script that prints something."""
    if len(body) > MAX_STATEMENTS or not _prints(body):
        return
    given = [(place, name) for place, node in enumerate(body) if (name := _given(node))]
    for count in range(1, min(len(given), MAX_ARGUMENTS) + 1):
        places = {place for place, _ in given[:count]}
        names = [name for _, name in given[:count]]
        rest = [node for place, node in enumerate(body) if place not in places]
        if len(set(names)) == count and rest:
            yield _scripted_function(names, rest)


def _given(node: ast.stmt) -> str:
    """Return the name that a statement gives to a literal or to what a person types."""
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


def _scripted_function(names: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    made = ast.parse(f"def script({', '.join(names)}):\n    pass").body[0]
    assert isinstance(made, ast.FunctionDef)
    made.body = body
    return made


MAX_CHARS = 60_000
"""Longer code is not looked at: a program of a benchmark has hundreds of characters."""
MAX_FUNCTIONS = 16
"""Functions of one answer that are tried, first come first."""
MAX_TRIES = 12
"""Places that are tried for the end of code that no fence marks."""
STAR = 3
"""Arguments that `*args` is taken to stand for, at most."""

Definition = ast.FunctionDef | ast.ClassDef
_STARTS = ("def ", "class ", "import ", "from ", "@")
_SEQUENCES = ("list", "List", "tuple", "Tuple", "set", "Set", "frozenset")
KINDS = {
    **dict.fromkeys(("int", "float", "complex", "bool"), "number"),
    **dict.fromkeys(_SEQUENCES, "sequence"),
    **dict.fromkeys(("dict", "Dict"), "mapping"),
    "str": "text",
}
"""Name of an annotation, or of a value's type -> the kind of value that it allows."""
_CACHES = frozenset({"cache", "lru_cache", "functools"})


@dataclass(frozen=True, slots=True)
class Function:
    """A function that could be called."""

    name: str
    """As it is called: `f`, `Class().method`, `Class(*).method` where the class takes the
    arguments, or `script` for statements that were made into a function."""
    source: str
    """The program that defines it, without annotations and docstrings."""
    least: int
    """Positional arguments that it must get."""
    most: int
    """Positional arguments that it can get."""
    returns: bool
    """Whether it returns a value anywhere; else what it prints or changes is its answer."""
    kinds: tuple[str, ...]
    """Kind of value that each argument is annotated with; empty where it is not known."""


def functions_of(answer: str) -> tuple[Function, ...]:
    """Find the functions of an answer, each definition once."""
    found: dict[tuple[str, str], Function] = {}
    for code in python_of(answer):
        tree = tree_of(code)
        for function in _of_tree(tree) if tree else ():
            found.setdefault((function.name, function.source), function)
            if len(found) == MAX_FUNCTIONS:
                return tuple(found.values())
    return tuple(found.values())


def python_of(answer: str) -> Iterator[str]:
    """Find what may be Python in an answer: its fenced blocks, or else the code amid its prose."""
    blocks = blocks_of(answer) if "```" in answer or "~~~" in answer else []
    for block in blocks:
        if block.language in {None, "python"} and len(block.code) <= MAX_CHARS:
            yield block.code
    if not blocks and len(answer) <= MAX_CHARS and ("(" in answer or "=" in answer):
        if tree_of(answer):
            yield answer
        elif "def " in answer:
            yield _amid_prose(answer)


def _amid_prose(answer: str) -> str:
    """Return the most lines from the first definition on that parse, or nothing."""
    lines = answer.split("\n")
    first = next((n for n, line in enumerate(lines) if line.startswith(_STARTS)), len(lines))
    margins = [n for n, line in enumerate(lines) if n > first and line[:1].strip()]
    for end in [len(lines), *margins[: -MAX_TRIES - 1 : -1]]:
        code = "\n".join(lines[first:end])
        if tree_of(code):
            return code
    return ""


def _of_tree(tree: ast.Module) -> Iterator[Function]:
    try:
        definitions = [node for node in tree.body if isinstance(node, Definition)]
        if definitions:
            annotated = {id(one): _kinds(one.args) for one in _all_functions(definitions)}
            parts = parts_of(tree)
            for node in definitions:
                yield from _of_definition(node, parts, annotated)
        else:
            for script in as_functions(tree.body):
                source = ast.unparse(ast.fix_missing_locations(script))
                yield _function("script", source, script, bound=0)
    except (RecursionError, ValueError):  # too deep, or a number too long to be written anew
        return


def _of_definition(
    node: Definition, parts: Sequence[SourcePart], annotated: Mapping[int, tuple[str, ...]]
) -> Iterator[Function]:
    chosen = needed(node.name, parts)
    if not _importable(chosen) or not _is_plain(node):
        return
    source = "\n".join(part.source for part in chosen)
    if isinstance(node, ast.FunctionDef):
        if not _is_empty(node):
            yield _function(node.name, source, node, bound=0, kinds=annotated[id(node)])
        return
    made = next((one for one in _methods(node) if one.name == "__init__"), None)
    for method in _methods(node):
        if not method.name.startswith("_") and not _is_empty(method):
            yield from _of_method(
                node.name, made, method, source=source, kinds=annotated[id(method)]
            )


def _of_method(
    owner: str,
    made: ast.FunctionDef | None,
    method: ast.FunctionDef,
    *,
    source: str,
    kinds: Sequence[str],
) -> Iterator[Function]:
    """Call a method of an object that needs nothing, or one that needs nothing of an object."""
    bound = 0 if "staticmethod" in _decorators(method) else 1
    if made is None or _arity(made.args, bound=1)[0] == 0:
        name = f"{owner}().{method.name}"
        yield _function(name, source, method, bound=bound, kinds=kinds[bound:])
    elif _arity(method.args, bound=bound)[0] == 0:
        least, most = _arity(made.args, bound=1)
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
    """Return how many positional arguments a call must and can have."""
    most = len(args.posonlyargs) + len(args.args) - bound
    least = max(0, most - len(args.defaults))
    if any(default is None for default in args.kw_defaults):
        return 99, 0
    return least, max(most, STAR) if args.vararg else most


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
    """Whether nothing stands around a definition that we do not know."""
    if isinstance(node, ast.ClassDef):
        return not node.bases or [ast.unparse(base) for base in node.bases] == ["object"]
    return _decorators(node) <= _CACHES


def _decorators(node: ast.FunctionDef) -> set[str]:
    names = (one.func if isinstance(one, ast.Call) else one for one in node.decorator_list)
    return {ast.unparse(name).split(".")[0] for name in names}


def _is_empty(node: ast.FunctionDef) -> bool:
    """Whether a body does nothing: a stub."""
    return all(
        isinstance(line, ast.Pass)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for line in node.body
    )


def _importable(parts: Sequence[SourcePart]) -> bool:
    return all(part.modules <= sys.stdlib_module_names for part in parts)
