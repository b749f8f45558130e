r"""Does the program of an answer parse, compile and run? Every answer ends in a verdict.

Promises: nothing of an answer is run, or parsed deeply, outside of the sandbox. `parse_error` and
`compile_error` blame a program only for what it holds: what lacks a library, uses names that the
task gave, is of a dialect that is not spoken here, or cannot be a program at all is `not_run`, and
`why` says so. A program that stops for want of input, arguments, files, a network, a display
or a browser, or that is made to run until it is stopped, `wants` that. Only a program that
fails by itself is an `error`, `timeout`, `memory` or `output`.
Does not promise that a program that ran does what its task asks.

>>> runs = Runs(sandbox, languages=("python", "c"), limits=Limits())   # doctest: +SKIP
>>> (await runs(task, response, {})).kind   # doctest: +SKIP
'passed'
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from evolcoder.code.blocks import FoundProgram, found
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Execution, Limits, Program, Sandbox, Status
from evolcoder.text import clean, named_languages, one_line
from evolcoder.verification.execution.diagnostics import (
    SAID_CHARS,
    asks_for,
    is_no_syntax,
    is_of_elsewhere,
    may_be_dialect,
    missing,
    waits_for,
)
from evolcoder.verification.execution.wrapping import AnswerShape, WrappedForm, forms
from evolcoder.verification.pipeline import NOT_RUN

WANTS = "wants"
PASSED = "passed"
PARSE_ERROR = "parse_error"
MOST_TRIES = 6
"""Ways to read one answer that are tried before it is said not to compile."""
_FAILED = {NOT_RUN: 0, PARSE_ERROR: 1, Status.COMPILE_ERROR.value: 1}
"""Kinds after which another way to read an answer is tried; the least one is told."""
_BLAMED = re.compile(r".*(?:[Ee]rror|Exception|panicked|fatal|undefined|cannot).*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class ExecutionFinding:
    """What trying one form of a program came to."""

    kind: str
    """As a verdict names it."""
    why: str
    """What is lacking, if something is; else empty."""
    said: str
    """The line that tells, as the compiler or the program said it."""
    shape: AnswerShape | None
    """What the source was taken for, if there was one."""


class ExecutionCheck:
    """The check `runs`, with the sandbox that it uses."""

    check = Check.RUNS

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        languages: Collection[str],
        limits: Limits,
        works: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """Take the languages whose tools are here; `works` tells which of them run any program."""
        self._sandbox = sandbox
        self._languages = frozenset({*languages, "python"})
        self._limits = limits
        self._works = works

    async def __call__(
        self, task: Task, response: Response, _before: Mapping[Check, CheckResult]
    ) -> CheckResult:
        """Run the program of a response; see the module for what is found."""
        program = found(clean(response.text), _named(task))
        if program.why:
            why = ExecutionFinding(NOT_RUN, program.why, "", None)
            return _verdict(response, program, program.language, why)
        assert program.language is not None
        findings: dict[str, ExecutionFinding] = {}
        for language in (program.language, *program.instead):
            findings[language] = await self._tried(program, language)
            if findings[language].kind not in _FAILED:
                break
        language = min(findings, key=lambda name: _FAILED.get(findings[name].kind, -1))
        return _verdict(response, program, language, findings[language])

    async def _tried(self, program: FoundProgram, language: str) -> ExecutionFinding:
        """Try the ways to read a program until one is a program.

        Where none is, what the likeliest lacks is told, and a lack that excuses goes first.
        """
        if language not in self._languages or (self._works and not await self._works(language)):
            return ExecutionFinding(NOT_RUN, "language", "", None)
        failed: list[ExecutionFinding] = []
        for form in _ways(program, language):
            finding = await self._try(language, form)
            if finding.kind not in _FAILED:
                return finding
            failed.append(finding)
        return min(failed, key=lambda finding: _FAILED[finding.kind])

    async def _try(self, language: str, form: WrappedForm) -> ExecutionFinding:
        execution = await self._sandbox.run(Program(language, form.source), self._limits)
        said = _told(execution)
        kind, why = _judged(language, form, execution, said)
        return ExecutionFinding(kind, why, "" if kind == PASSED else _telling(said), form.shape)


def _named(task: Task) -> list[str]:
    """Name the languages that a task may want, the one that it names most first."""
    first = [task.language] if task.language else []
    return list(dict.fromkeys([*first, *named_languages(task.instruction)]))


def _ways(program: FoundProgram, language: str) -> Iterator[WrappedForm]:
    every = (form for source in program.sources for form in forms(language, source))
    return islice(every, MOST_TRIES)


def _judged(language: str, form: WrappedForm, execution: Execution, said: str) -> tuple[str, str]:
    """Return the kind of an execution, and what the program lacks."""
    if execution.status is Status.COMPILE_ERROR:
        return _not_compiled(language, form, said)
    if execution.status is not Status.FINISHED:
        wanted = missing(language, said) or waits_for(form.source)
        return (WANTS, wanted) if wanted else (execution.status.value, "")
    if execution.exit_code == 0:
        return PASSED, ""
    if is_no_syntax(language, said):
        return _not_compiled(language, form, said)
    wanted = missing(language, said) or asks_for(form.source)
    return (WANTS, wanted) if wanted else ("error", "")


def _not_compiled(language: str, form: WrappedForm, said: str) -> tuple[str, str]:
    compiled = language != "python" and not is_no_syntax(language, said)
    kind = Status.COMPILE_ERROR.value if compiled else PARSE_ERROR
    if compiled and missing(language, said) == "library":
        return NOT_RUN, "library"
    is_fragment = form.shape is not AnswerShape.WHOLE or language in {
        "python",
        "swift",
        "typescript",
    }
    if is_fragment and is_of_elsewhere(language, said):
        return NOT_RUN, "fragment"
    if may_be_dialect(language, form.source):
        return NOT_RUN, "dialect"
    return kind, ""


def _told(execution: Execution) -> str:
    """Return what a program said as text; some compilers speak on standard output."""
    said = execution.stderr or execution.stdout
    return clean(said[:SAID_CHARS].decode("utf-8", "replace"))


def _telling(said: str) -> str:
    """Pick the line that names the fault: the last of a traceback, the first of a compiler."""
    lines = [line for line in said.splitlines() if line.strip()]
    blamed = [line for line in lines if _BLAMED.match(line)]
    if "Traceback (most" in said:
        blamed = lines[-1:]
    line = (blamed or lines or [""])[0]
    return _ADDRESS.sub("0x…", one_line(line, 200))


def _verdict(
    response: Response, program: FoundProgram, language: str | None, finding: ExecutionFinding
) -> CheckResult:
    detail: dict[str, JSON] = {
        "language": language,
        "shape": finding.shape and finding.shape.value,
        "why": finding.why,
        "said": finding.said,
        "beside": list(program.beside),
    }
    told = {name: value for name, value in detail.items() if value}
    return CheckResult.of(response, Check.RUNS, finding.kind, detail=told)
