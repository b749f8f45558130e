"""Self-test of the sandbox and of each language in it.

For each language it runs a program that prints, one that never ends, one that cannot compile, and
the programs of its requirements. Guarantees: every language gets a finding within `LONGEST_S`;
missing parts are reported with their package; a failure of the sandbox is never reported as one of
the language. Not guaranteed: that a benchmark's tests pass.

>>> selftest = await check(["python", "lua"], level="strict")   # doctest: +SKIP
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from enum import StrEnum

from evolcoder.errors import SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import Execution, Layer, Limits, Program, Status, missing_from
from evolcoder.sandbox.launchers import interpreter
from evolcoder.sandbox.pool import LEVELS, PoolSandbox
from evolcoder.sandbox.requirements import (
    PROBES,
    MissingRequirement,
    Requirements,
    first_line,
    invalid_source,
    prints_answer,
)
from evolcoder.sandbox.toolchains import LANGUAGES, find

LONGEST_S = 60.0
"""Time limit of one language."""
PROBE_LIMITS = Limits(cpu_s=20, wall_s=25, compile_s=40)
ENDLESS_LIMITS = Limits(cpu_s=0.3, wall_s=5, compile_s=40)
"""Limits for the program that never ends."""


class SelftestState(StrEnum):
    """State of a language."""

    WORKS = "works"
    INCOMPLETE = "incomplete"
    """Programs run, but some benchmark tests lack a library."""
    MISSING = "missing"
    FAILS = "fails"
    TOO_SLOW = "too slow"
    SANDBOX_FAILED = "sandbox failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class SelftestFinding:
    """Result for one language."""

    language: str
    """Name of the language."""
    state: SelftestState
    """Its state."""
    detail: str
    """What failed or is to be installed; empty if it works."""
    package: str
    """Package of its tools; empty for Python."""
    tools: tuple[str, ...]
    """Paths of the tools that were found."""
    compile_s: float | None
    """Wall-clock seconds to compile the printing program; None if it did not run."""
    run_s: float | None
    """Wall-clock seconds that it ran; None if it did not."""
    ended_s: float | None
    """Wall-clock seconds until the endless program was ended; None if it was not run."""
    lacks: tuple[str, ...] = ()
    """Names of missing requirements."""


@dataclass(frozen=True, slots=True)
class Selftest:
    """Result for the sandbox and the languages in it."""

    level: str
    """The requested level."""
    refused: str
    """Why the sandbox did not start at that level; empty if it did."""
    layers: tuple[Layer, ...]
    """Active protections, or those of a weaker level if this one was refused; empty if no level
    starts."""
    missing: tuple[Layer, ...]
    """Inactive protections; empty if no level starts."""
    findings: tuple[SelftestFinding, ...]
    """One per language, in the requested order."""

    def of(self, language: str) -> SelftestFinding:
        """Return the finding of one language."""
        return next(finding for finding in self.findings if finding.language == language)


async def check(languages: Sequence[str], *, level: str) -> Selftest:
    """Start the sandbox and check languages concurrently.

    Each worker is a sandbox of its own, because a larger sandbox repeats timed-out programs alone.
    """
    looked = [find_tools(language) for language in languages]
    here = [finding for finding in looked if finding.state is SelftestState.NOT_RUN]
    async with AsyncExitStack() as stack:
        try:
            sandboxes = await _start(here, level, stack)
        except SandboxRefusedError as error:
            layers = await _layers_below(level)
            missing = missing_from(layers) if layers else ()
            return Selftest(level, str(error), layers, missing, tuple(looked))
        checked = await _check_all(here, sandboxes)
        layers = sandboxes[0].layers
    found = tuple(checked.get(finding.language, finding) for finding in looked)
    return Selftest(level, "", layers, missing_from(layers), found)


def find_tools(language: str) -> SelftestFinding:
    """Find a language's tools without running anything."""
    if language == "python":
        return SelftestFinding(
            language, SelftestState.NOT_RUN, "", "", (interpreter(),), None, None, None
        )
    package = LANGUAGES[language].package
    try:
        toolchain = find(language)
    except SandboxRefusedError as error:
        lacking = str(error).partition(": ")[2]
        return SelftestFinding(
            language, SelftestState.MISSING, lacking, package, (), None, None, None
        )
    commands = (toolchain.compiler, toolchain.command)
    words = (command[0] for command in commands if command)
    tools = tuple(dict.fromkeys(word for word in words if not word.startswith("./")))
    return SelftestFinding(language, SelftestState.NOT_RUN, "", package, tools, None, None, None)


async def _start(
    here: Sequence[SelftestFinding], level: str, stack: AsyncExitStack
) -> list[PoolSandbox]:
    """Start one sandbox per CPU, at most one per language."""
    names = [finding.language for finding in here if finding.language in LANGUAGES]
    sandboxes = []
    for _ in range(max(1, min(len(here), len(os.sched_getaffinity(0))))):
        sandbox = await PoolSandbox.start(workers=1, level=level, languages=names)
        stack.push_async_callback(sandbox.aclose)
        sandboxes.append(sandbox)
    return sandboxes


async def _layers_below(level: str) -> tuple[Layer, ...]:
    """Return the layers of the strongest other level that starts."""
    for weaker in LEVELS:
        if weaker == level:
            continue
        try:
            sandbox = await PoolSandbox.start(workers=1, level=weaker)
        except SandboxRefusedError:
            continue
        await sandbox.aclose()
        return sandbox.layers
    return ()


async def _check_all(
    here: Sequence[SelftestFinding], sandboxes: Sequence[PoolSandbox]
) -> dict[str, SelftestFinding]:
    """Check each language on the next free sandbox; those with most tools, the slowest, first."""
    waiting = sorted(here, key=lambda finding: len(finding.tools))
    found: dict[str, SelftestFinding] = {}

    async def work(sandbox: PoolSandbox) -> None:
        while waiting:
            finding = waiting.pop()
            found[finding.language] = await _check_one(sandbox, finding)

    async with asyncio.TaskGroup() as group:
        for sandbox in sandboxes:
            group.create_task(work(sandbox))
    return found


async def _check_one(sandbox: PoolSandbox, finding: SelftestFinding) -> SelftestFinding:
    """Check one language within its time limit; convert failures to findings."""
    try:
        async with asyncio.timeout(LONGEST_S):
            return await _run_probes(sandbox, finding)
    except TimeoutError:
        detail = f"not finished within {LONGEST_S:.0f} s"
        return replace(finding, state=SelftestState.TOO_SLOW, detail=detail)
    except SandboxError as error:
        return replace(finding, state=SelftestState.SANDBOX_FAILED, detail=str(error))


async def _run_probes(sandbox: PoolSandbox, finding: SelftestFinding) -> SelftestFinding:
    """Run the probes in order; the first failure decides."""
    language, requirements = finding.language, Requirements(sandbox)
    answering, endless = PROBES[language]
    answered = await sandbox.run(Program(language, answering), PROBE_LIMITS)
    finding = replace(finding, compile_s=answered.compile_s, run_s=answered.wall_s)
    if not prints_answer(answered):
        failing = _failing(finding, "a program that prints 42", answered)
        return _with_missing(failing, await requirements.missing(language))
    ended = await sandbox.run(Program(language, endless), ENDLESS_LIMITS)
    if ended.status is not Status.TIMEOUT:
        return _failing(finding, "a program without end", ended)
    finding = replace(finding, ended_s=ended.wall_s)
    refused = await sandbox.run(Program(language, invalid_source(language)), PROBE_LIMITS)
    compiles = language not in LANGUAGES or LANGUAGES[language].compiler
    wanted = Status.COMPILE_ERROR if compiles else Status.FINISHED
    if refused.status is not wanted or refused.exit_code == 0:
        return _failing(finding, f"the nonsense {invalid_source(language)!r}", refused)
    lacks = await requirements.missing(language)
    return _with_missing(
        replace(finding, state=SelftestState.INCOMPLETE if lacks else SelftestState.WORKS), lacks
    )


def _with_missing(finding: SelftestFinding, lacks: Sequence[MissingRequirement]) -> SelftestFinding:
    """Put the missing requirements and their remedies before the other details."""
    known = [lack for lack in lacks if lack.requirement is not None]
    advice = dict.fromkeys(lack.advice for lack in known)
    detail = "; ".join(filter(None, (*advice, finding.detail)))
    return replace(finding, detail=detail, lacks=tuple(lack.name for lack in known))


def _failing(finding: SelftestFinding, probe: str, execution: Execution) -> SelftestFinding:
    """Describe how a probe ended, with the first line of its error output."""
    code = "" if execution.exit_code is None else f" with exit code {execution.exit_code}"
    message = first_line(execution)
    detail = f"{probe} ended as {execution.status}{code}{f': {message}' if message else ''}"
    return replace(finding, state=SelftestState.FAILS, detail=detail)
