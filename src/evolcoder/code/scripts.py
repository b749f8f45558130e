r"""Scripts read as functions: the values that they begin with become arguments.

Promises: nothing is run. A script that gives names to literals, or asks for them, and then works
with them gives a function of its first name, of its first two, and so on: no one can tell which of
them are its input. What it prints last is what it answers; whoever calls it has to see to that.

>>> [ast.unparse(one) for one in as_functions(ast.parse("x = [1]\nprint(max(x))").body)]
['def script(x):\n    print(max(x))']
"""

import ast
from collections.abc import Iterator, Sequence

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
            yield _function(names, rest)


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


def _function(names: Sequence[str], body: list[ast.stmt]) -> ast.FunctionDef:
    made = ast.parse(f"def script({', '.join(names)}):\n    pass").body[0]
    assert isinstance(made, ast.FunctionDef)
    made.body = body
    return made
