"""Grade by a harness that takes the program as text and runs it between its own lines (DS-1000).

Promises: the harness runs in one process and the snippet in another, which never holds the
harness, an expected value or a picture of it. What the snippet made comes back as plain data and
becomes exact library types, or stays there as a reference that answers the harness's questions; it
is never unpickled and never compares itself. There is no fall-back to one shared process; where the
harness itself writes assertions into the snippet's lines (4 of DS-1000), the verdict says so.
Does not promise that the data set's own checks are strict, nor that two libraries' versions agree.

>>> verdict = await grade_harness(sandbox, source, checks, limits_of("Pandas"))  # doctest: +SKIP

Modules of this package as text, for processes in the sandbox, which do not have them.

>>> module_source(["evolcoder.bench.comparators"])   # doctest: +SKIP
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Sequence
from importlib import resources

from evolcoder.bench.base import HarnessChecks
from evolcoder.grading.verdicts import ending, verdict
from evolcoder.sandbox.base import (
    Asserts,
    Execution,
    Kind,
    Limits,
    Program,
    Sandbox,
    Separation,
    Status,
    Verdict,
)
from evolcoder.sandbox.result import read_finding

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


_SENT = "evolcoder.grading.ds1000"
_BOTH = ("arrays", "frames", "codec")
_ASSERTS = re.compile(r"\[insert\](?:.*\n)*\s*assert ")
_BASE = Limits(cpu_s=60, wall_s=120, memory_mb=4096, processes=128, file_mb=128, descriptors=512)
_HEAVY = dataclasses.replace(_BASE, cpu_s=120, wall_s=240, memory_mb=6144, processes=512)


def limits_of(library: str) -> Limits:
    """Return what a problem of a library may use: two processes import it, and some are heavy."""
    return _HEAVY if library in {"Pytorch", "Tensorflow", "Sklearn"} else _BASE


async def grade_harness(
    sandbox: Sandbox, source: str, checks: HarnessChecks, limits: Limits
) -> Verdict:
    """Let the harness judge a snippet that runs apart from it."""
    task = Asserts(("run", "look"), _judge(source, checks), None)
    execution = await sandbox.run(Program("python", _solver(), task), limits)
    apart = _separation(checks.harness)
    if not checks.calls:
        return verdict(Kind.NO_TESTS, apart, execution, detail="the harness is called nowhere")
    if execution.status is not Status.FINISHED:
        return ending(execution, apart)
    kind, detail = _finding(execution)
    return verdict(kind, apart, execution, detail=detail)


def _finding(execution: Execution) -> tuple[Kind, str]:
    found = read_finding(execution.answers)
    if found is None:
        return Kind.ERROR, "the harness ended without a finding"
    forged = found.detail.startswith("ForgedError")
    return Kind.FORGED if forged else found.kind, found.detail


@functools.lru_cache(maxsize=2048)
def _separation(harness: str) -> Separation:
    """Say which process decides: assertions among the snippet's own lines are made in its own."""
    try:
        texts = [
            node.value for node in ast.walk(ast.parse(harness)) if isinstance(node, ast.Constant)
        ]
    except (SyntaxError, ValueError):
        return Separation.PROXY
    among = any(isinstance(text, str) and _ASSERTS.search(text) for text in texts)
    return Separation.TOKEN if among else Separation.PROXY


def _solver() -> str:
    return f"{_with('snippet_process')}\nfrom {_SENT}.snippet_process import look, run\n"


def _judge(source: str, checks: HarnessChecks) -> str:
    given = f"{checks.harness!r}, {list(checks.calls)!r}, {source!r}, run, look"
    return f"{_with('harness_process')}\nfrom {_SENT}.harness_process import main\nmain({given})\n"


def _with(name: str) -> str:
    return module_source([f"{_SENT}.{part}" for part in (*_BOTH, name)])
