"""Grades programs with unittest test cases that patch their modules (BigCodeBench).

Such tests replace functions of the modules that the program uses, so both run in one process; the
verdict's separation is TOKEN: a random word that is written after the last test proves that all of
them ran. Guarantees: a program that ends early, that has no test, that skips one, or that changes
unittest itself never passes. Does not guarantee that a program which inspects its own process
cannot forge the word.

>>> verdict = await grade_unittests(sandbox, source, checks, LIBRARY)   # doctest: +SKIP
"""

import json
import secrets
from typing import Any

from evolcoder.bench.base import UnittestChecks
from evolcoder.grading.verdicts import exit_verdict, verdict
from evolcoder.sandbox.base import (
    Execution,
    Kind,
    Limits,
    Program,
    Sandbox,
    Script,
    Separation,
    Status,
    Verdict,
)

LIBRARY = Limits(cpu_s=60, wall_s=180, memory_mb=4096, processes=128, file_mb=256, descriptors=512)
"""For a program that imports libraries; some draw or fit models."""
_ANSWERS = 3
_MOST_CHARS = 2000
_RUNNER = '''
def _run(word, source, test, name, most):
    import io, json, os, sys, types, unittest
    write, dumps = os.write, json.dumps
    for one in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(one, "1")
    os.environ.setdefault("MPLBACKEND", "Agg")
    # Some programs start scripts with the command `python`.
    os.environ["PATH"] = os.pathsep.join(
        (os.environ.get("PATH", os.defpath), os.path.dirname(sys.executable))
    )
    kept = []
    before = _parts(kept)
    result_type, loader = _counting(unittest.TestResult), unittest.TestLoader()
    module = types.ModuleType(name)
    module.__file__ = name + ".py"
    sys.modules[name] = module
    exec(compile(source + "\\n" + test, module.__file__, "exec"), module.__dict__)
    cases = loader.loadTestsFromTestCase(module.TestCases)
    result, total = result_type(), cases.countTestCases()
    cases.run(result)
    wrong = [*result.failures, *result.errors]
    first = {{"test": str(wrong[0][0])[:most], "trace": wrong[0][1][-most:]}} if wrong else {{}}
    after = _parts(kept)
    found = {{
        "run": result.testsRun, "failed": len(result.failures), "errors": len(result.errors),
        "total": total, "succeeded": result.n_succeeded,
        "excused": len(result.skipped) + len(result.expectedFailures)
        + len(result.unexpectedSuccesses),
        "changed": sum(after.get(key) != part for key, part in before.items())
        + sum(key not in before for key in after if key[1]),
    }}
    write({answers}, (word + " " + dumps({{**found, **first}}) + "\\n").encode())
    os._exit(0)

def _counting(base):
    class Result(base):
        n_succeeded = 0
        def addSuccess(self, test):
            base.addSuccess(self, test)
            self.n_succeeded += 1
    return Result

def _parts(kept):
    """Identify what unittest consists of: (module, class or "", name) -> object and its code.

    All are `kept`, so that no later object has the identity of one of them.
    """
    import unittest.case, unittest.loader, unittest.result, unittest.suite
    found = {{}}
    def add(module, owner, space):
        for name, value in space.items():
            inner = getattr(value, "__func__", value)
            code = getattr(inner, "__code__", None)
            if not name.startswith("__annotations"):
                kept.append((value, code))
                found[module, owner, name] = id(value), id(code)
    for one in (unittest, unittest.case, unittest.loader, unittest.result, unittest.suite):
        add(one.__name__, "", vars(one))
        for name, value in list(vars(one).items()):
            if isinstance(value, type) and value.__module__.startswith("unittest."):
                add(one.__name__, name, vars(value))
    return found

_run({word!r}, {source!r}, {test!r}, "__test__", {most})
'''


async def grade_unittests(
    sandbox: Sandbox, source: str, checks: UnittestChecks, limits: Limits
) -> Verdict:
    """Run a program with its test cases, or raise SandboxError."""
    word = f"t{secrets.token_hex(16)}"
    text = _RUNNER.format(
        answers=_ANSWERS, word=word, source=source, test=checks.test, most=_MOST_CHARS
    )
    execution = await sandbox.run(Program("python", text, Script()), limits)
    return _verdict(execution, word)


def _verdict(execution: Execution, word: str) -> Verdict:
    token = Separation.TOKEN
    if execution.status is not Status.FINISHED:
        return exit_verdict(execution, token)
    found = _finding(execution.answers, word)
    if found is None and execution.exit_code == 0:
        detail = "exited normally, but not all tests completed"
        return verdict(Kind.FORGED, token, execution, detail=detail)
    if found is None:
        return _load_error(execution)
    if found["changed"] or not (found["failed"] or found["errors"]):
        return _without_failures(execution, found)
    trace = str(found.get("trace", "")).strip().splitlines()
    detail = f"{found.get('test', '')}: {trace[-1] if trace else ''}"
    kind = Kind.FAILED if found["failed"] else Kind.ERROR
    return verdict(kind, token, execution, detail=detail)


def _without_failures(execution: Execution, found: dict[str, Any]) -> Verdict:
    """Pass a program only if every test ran to its end; skipped tests judge nothing."""
    token = Separation.TOKEN
    if found["changed"]:
        detail = "the program changed unittest, which judges it"
        return verdict(Kind.FORGED, token, execution, detail=detail)
    if not found["total"]:
        return verdict(Kind.NO_TESTS, token, execution, detail="the test has no test methods")
    if found["excused"]:
        detail = f"{found['excused']} of {found['total']} tests were skipped or expected to fail"
        return verdict(Kind.FAILED, token, execution, detail=detail)
    if not found["succeeded"] == found["run"] == found["total"]:
        detail = f"{found['succeeded']} of {found['total']} tests ran to their end"
        return verdict(Kind.FORGED, token, execution, detail=detail)
    return verdict(Kind.PASSED, token, execution)


def _load_error(execution: Execution) -> Verdict:
    """Tell a program that does not compile from one that raises when it is loaded."""
    ended = exit_verdict(execution, Separation.TOKEN)
    names = ("SyntaxError", "IndentationError", "TabError")
    if not ended.detail.startswith(names):
        return ended
    return verdict(Kind.COMPILE_ERROR, Separation.TOKEN, execution, detail=ended.detail)


def _finding(answers: bytes, word: str) -> dict[str, Any] | None:
    """Return the numbers of tests that the runner wrote after the word; None if it did not."""
    start = f"{word} ".encode()
    lines = [line for line in answers.split(b"\n") if line.startswith(start)]
    if len(lines) != 1:
        return None
    try:
        found = json.loads(lines[0][len(start) :])
    except (ValueError, RecursionError):
        return None
    counts = ("run", "failed", "errors", "total", "succeeded", "excused", "changed")
    is_valid = isinstance(found, dict) and all(type(found.get(name)) is int for name in counts)
    return found if is_valid else None
