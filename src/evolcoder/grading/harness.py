"""Grades snippets with a harness that inserts them into its own code (DS-1000).

Guarantees: the harness runs in one process and the snippet in another, which never receives the
harness, an expected value or a reference image. Values of the snippet are sent back as plain data
and rebuilt as exact library types, or remain there as proxies that the harness queries; they are
never unpickled and never compare themselves. There is no fall-back to one shared process. If the
harness puts assertions into the snippet's own code (4 problems of DS-1000), the verdict's
separation is TOKEN.
Does not guarantee that the data set's checks are strict, nor that they pass with other library
versions.

>>> limits = library_limits("Pandas")
>>> verdict = await grade_harness(sandbox, source, checks, limits)  # doctest: +SKIP

`module_source` turns modules of this package into text for sandboxed processes, which cannot import
the package.
"""

import ast
import dataclasses
import functools
import re
from collections.abc import Sequence
from importlib import resources

from evolcoder.bench.base import HarnessChecks
from evolcoder.grading.verdicts import exit_verdict, verdict
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
from evolcoder.sandbox.job import read_finding

_LOAD = """
import sys as _sys, types as _types
for _name, _text in {parts!r}:
    _module = _types.ModuleType(_name)
    _sys.modules[_name] = _module
    exec(compile(_text, _name, "exec"), _module.__dict__)
"""


def module_source(names: Sequence[str]) -> str:
    """Return source that defines modules in another process; list imported modules first."""
    return _source(tuple(names))


@functools.cache
def _source(names: tuple[str, ...]) -> str:
    return _LOAD.format(parts=[(name, _text(name)) for name in names])


def _text(name: str) -> str:
    package, _, module = name.rpartition(".")
    return resources.files(package).joinpath(f"{module}.py").read_text(encoding="utf-8")


_PACKAGE = "evolcoder.grading.ds1000"
_SHARED_MODULES = ("codec",)
_ASSERT_AFTER_GAP = re.compile(r"\[insert\](?:.*\n)*\s*assert ")
_BASE = Limits(cpu_s=60, wall_s=120, memory_mb=4096, processes=128, file_mb=128, descriptors=512)
_HEAVY = dataclasses.replace(_BASE, cpu_s=120, wall_s=240, memory_mb=6144, processes=512)


def library_limits(library: str) -> Limits:
    """Return the limits of a library's problems; two processes import it, and some are heavy."""
    return _HEAVY if library in {"Pytorch", "Tensorflow", "Sklearn"} else _BASE


async def grade_harness(
    sandbox: Sandbox, source: str, checks: HarnessChecks, limits: Limits
) -> Verdict:
    """Run the harness with a snippet that runs in a separate process, or raise SandboxError."""
    task = Asserts(("run", "query"), _harness_program(source, checks), None)
    execution = await sandbox.run(Program("python", _snippet_program(), task), limits)
    separation = _separation(checks.harness)
    if not checks.calls:
        detail = "no function of the harness is called"
        return verdict(Kind.NO_TESTS, separation, execution, detail=detail)
    if execution.status is not Status.FINISHED:
        return exit_verdict(execution, separation)
    kind, detail = _finding(execution)
    return verdict(kind, separation, execution, detail=detail)


def _finding(execution: Execution) -> tuple[Kind, str]:
    found = read_finding(execution.answers)
    if found is None:
        return Kind.ERROR, "the harness ended without a result"
    forged = found.detail.startswith("ForgedError")
    return Kind.FORGED if forged else found.kind, found.detail


@functools.lru_cache(maxsize=2048)
def _separation(harness: str) -> Separation:
    """Return TOKEN if the harness asserts inside the snippet's code, hence in its process."""
    try:
        texts = [
            node.value for node in ast.walk(ast.parse(harness)) if isinstance(node, ast.Constant)
        ]
    except (SyntaxError, ValueError):
        return Separation.PROXY
    has_assert = any(isinstance(text, str) and _ASSERT_AFTER_GAP.search(text) for text in texts)
    return Separation.TOKEN if has_assert else Separation.PROXY


def _snippet_program() -> str:
    modules = _modules_with("snippet_process")
    return f"{modules}\nfrom {_PACKAGE}.snippet_process import query, run\n"


def _harness_program(source: str, checks: HarnessChecks) -> str:
    modules = _modules_with("harness_process")
    given = f"{checks.harness!r}, {list(checks.calls)!r}, {source!r}, run, query"
    return f"{modules}\nfrom {_PACKAGE}.harness_process import main\nmain({given})\n"


def _modules_with(name: str) -> str:
    return module_source([f"{_PACKAGE}.{part}" for part in (*_SHARED_MODULES, name)])
