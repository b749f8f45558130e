"""Programs that do nothing right: what every set of checks that counts has to refuse.

Promises: they can be called as the subject is, with any arguments, and depend on the checks alone.

>>> stubs_for(subject, checks=())[0]   # doctest: +SKIP
'def f(*given, **named): return None'
"""

import ast
from collections import Counter
from collections.abc import Iterable, Sequence

from evolcoder.code.callables import Form, Subject

MOST = 8
"""Different values that checks expect, each of which gets a stub that returns it."""
_VALUES = ("None", "True", "False")
_ECHO = "given[0] if given else None"
_FUNCTION = "def {name}(*given, **named): return {value}"
_CLASS = """\
class {name}:
    def __init__(self, *given, **named): pass
    def __getattr__(self, name): return lambda *given, **named: {value}"""


def stubs_for(subject: Subject, checks: Sequence[str]) -> tuple[str, ...]:
    """Return stubs that return None, a truth value, what they were given, or what checks expect."""
    wanted = Counter(value for check in checks for value in _expected(check))
    values = [*_VALUES, _ECHO, *(value for value, _ in wanted.most_common(MOST))]
    shape = _CLASS if subject.form is Form.CLASS else _FUNCTION
    name = subject.entry_point
    return tuple(shape.format(name=name, value=value) for value in dict.fromkeys(values))


def _expected(check: str) -> Iterable[str]:
    """Return the plain values that a check compares with."""
    for node in ast.walk(ast.parse(check)):
        match node:
            case ast.Compare(ops=[ast.Eq()], comparators=[value]) if _is_plain(value):
                yield ast.unparse(value)


def _is_plain(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True
