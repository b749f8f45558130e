r"""Checks that the program of a response parses, compiles and runs. Every response gets a verdict.

Responses are only run inside the sandbox, and only parsed there in depth. Kinds:

- `parse_error`, `compile_error`: the program itself is wrong.
- `not_run`: it lacks a library, uses names from the task's context, may be in a dialect that the
  installed tools do not support, or is no program. `why` has the reason.
- `wants`: it needs input, arguments, files, network, display, browser or a permission, or runs
  until it is stopped. `why` has the resource.
- `error`, `timeout`, `memory`, `output`: it fails by itself.
- `passed`: it ran, which does not mean that it does what the task asks.

>>> check = ExecutionCheck(sandbox, languages=("c",), limits=Limits())   # doctest: +SKIP
>>> (await check(task, response, {})).kind   # doctest: +SKIP
'passed'
"""

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from evolcoder.code.blocks import FoundProgram, find_program, looks_like
from evolcoder.records import JSON, Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Execution, Limits, Program, Sandbox, Status
from evolcoder.text import clean, named_languages, one_line
from evolcoder.verification.execution.diagnostics import (
    MAX_DIAGNOSTIC_CHARS,
    is_syntax_error,
    is_undefined_name,
    likely_waiting_for,
    may_be_unsupported_dialect,
    missing_resource,
    requested_input,
)
from evolcoder.verification.execution.wrapping import AnswerShape, WrappedForm, wrap_variants
from evolcoder.verification.pipeline import NOT_RUN

WANTS = "wants"
PASSED = "passed"
PARSE_ERROR = "parse_error"
MAX_VARIANTS = 6
"""Variants of a program that are tried in one language."""
_RETRIED = {NOT_RUN: 0, PARSE_ERROR: 1, Status.COMPILE_ERROR.value: 1}
"""Kinds after which the next variant is tried; if all fail, the lowest value is reported."""
_ERROR_LINE = re.compile(r".*(?:[Ee]rror|Exception|panicked|fatal|undefined|cannot).*")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class ExecutionFinding:
    """Outcome of running one variant of a program."""

    kind: str
    """Kind of the verdict."""
    why: str
    """Missing resource or reason; may be empty."""
    message: str
    """The line of the compiler's or program's output that names the error."""
    shape: AnswerShape | None
    """Shape assumed for the source, if there was one."""


class ExecutionCheck:
    """A `RowCheck` that runs the program of a response."""

    check = Check.RUNS

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        languages: Collection[str],
        limits: Limits,
        works: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """Make the check for the installed languages.

        `works` returns whether the tools of a language can run any program at all.
        """
        self._sandbox = sandbox
        self._languages = frozenset({*languages, "python"})
        self._limits = limits
        self._works = works

    async def __call__(
        self, task: Task, response: Response, _before: Mapping[Check, CheckResult]
    ) -> CheckResult:
        """Run the program of a response; see the module for the kinds."""
        program = find_program(clean(response.text), _languages_of(task))
        if program.why:
            finding = ExecutionFinding(NOT_RUN, program.why, "", None)
            return _verdict(response, program, program.language, finding)
        assert program.language is not None
        findings: dict[str, ExecutionFinding] = {}
        for language in (program.language, *program.alternatives):
            finding = await self._run_variants(program, language)
            if finding.kind != PASSED and not (program.is_stated or _may_be(language, program)):
                # Text without a tag: data, a log or another language is no wrong program.
                finding = ExecutionFinding(NOT_RUN, "language_unknown", "", None)
            findings[language] = finding
            if finding.kind not in _RETRIED:
                break
        language = min(findings, key=lambda name: _RETRIED.get(findings[name].kind, -1))
        return _verdict(response, program, language, findings[language])

    async def _run_variants(self, program: FoundProgram, language: str) -> ExecutionFinding:
        """Run variants of a program until one compiles.

        If none does, the first `not_run` is returned, otherwise the first error.
        """
        if language not in self._languages or (self._works and not await self._works(language)):
            return ExecutionFinding(NOT_RUN, "language", "", None)
        failed: list[ExecutionFinding] = []
        for form in _variants(program, language):
            finding = await self._run(language, form)
            if finding.kind not in _RETRIED:
                return finding
            failed.append(finding)
        return min(failed, key=lambda finding: _RETRIED[finding.kind])

    async def _run(self, language: str, form: WrappedForm) -> ExecutionFinding:
        execution = await self._sandbox.run(Program(language, form.source), self._limits)
        output = _output(execution)
        kind, why = _classify(language, form, execution, output)
        return ExecutionFinding(
            kind, why, "" if kind == PASSED else _error_line(output), form.shape
        )


def _languages_of(task: Task) -> list[str]:
    """Return the languages that a task names, its main language first."""
    first = [task.language] if task.language else []
    return list(dict.fromkeys([*first, *named_languages(task.instruction)]))


def _may_be(language: str, program: FoundProgram) -> bool:
    return any(looks_like(language, source) for source in program.sources)


def _variants(program: FoundProgram, language: str) -> Iterator[WrappedForm]:
    every = (form for source in program.sources for form in wrap_variants(language, source))
    return islice(every, MAX_VARIANTS)


def _classify(
    language: str, form: WrappedForm, execution: Execution, output: str
) -> tuple[str, str]:
    """Return the kind of an execution, and the missing resource or reason."""
    if execution.status is Status.COMPILE_ERROR:
        return _classify_uncompiled(language, form, output)
    if execution.status is not Status.FINISHED:
        wanted = missing_resource(language, output) or likely_waiting_for(form.readable)
        return (WANTS, wanted) if wanted else (execution.status.value, "")
    if execution.exit_code == 0:
        return PASSED, ""
    if is_syntax_error(language, output):
        return _classify_uncompiled(language, form, output)
    wanted = missing_resource(language, output) or requested_input(form.readable)
    return (WANTS, wanted) if wanted else ("error", "")


def _classify_uncompiled(language: str, form: WrappedForm, output: str) -> tuple[str, str]:
    parsed = language != "python" and not is_syntax_error(language, output)
    kind = Status.COMPILE_ERROR.value if parsed else PARSE_ERROR
    if parsed and missing_resource(language, output) == "library":
        return NOT_RUN, "library"
    is_fragment = form.shape is not AnswerShape.WHOLE or language in {
        "python",
        "swift",
        "typescript",
    }
    if is_fragment and is_undefined_name(language, output):
        return NOT_RUN, "fragment"
    if may_be_unsupported_dialect(language, form.readable):
        return NOT_RUN, "dialect"
    return kind, ""


def _output(execution: Execution) -> str:
    """Return stderr, or stdout if that is empty: some compilers report errors there."""
    output = execution.stderr or execution.stdout
    return clean(output[:MAX_DIAGNOSTIC_CHARS].decode("utf-8", "replace"))


def _error_line(output: str) -> str:
    """Return the line that names the error: the last of a traceback, the first of a compiler."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    if "Traceback (most" in output:
        errors = lines[-1:]
    line = (errors or lines or [""])[0]
    return _ADDRESS.sub("0x…", one_line(line, 200))


def _verdict(
    response: Response, program: FoundProgram, language: str | None, finding: ExecutionFinding
) -> CheckResult:
    detail: dict[str, JSON] = {
        "language": language,
        "shape": finding.shape and finding.shape.value,
        "why": finding.why,
        "said": finding.message,
        "beside": list(program.other_languages),
    }
    known = {name: value for name, value in detail.items() if value}
    return CheckResult.of(response, Check.RUNS, finding.kind, detail=known)
