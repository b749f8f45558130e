"""Modules of this package as text, for processes in the sandbox, which do not have them.

>>> module_source(["evolcoder.bench.comparators"])   # doctest: +SKIP
"""

import functools
from collections.abc import Sequence
from importlib import resources

_LOAD = """
import sys as _sys, types as _types
for _name, _text in {parts!r}:
    _module = _types.ModuleType(_name)
    _sys.modules[_name] = _module
    exec(compile(_text, _name, "exec"), _module.__dict__)
"""


def module_source(names: Sequence[str]) -> str:
    """Write the source that makes modules in another process, each after those that it imports."""
    return _source(tuple(names))


@functools.cache
def _source(names: tuple[str, ...]) -> str:
    return _LOAD.format(parts=[(name, _text(name)) for name in names])


def _text(name: str) -> str:
    package, _, module = name.rpartition(".")
    return resources.files(package).joinpath(f"{module}.py").read_text(encoding="utf-8")
