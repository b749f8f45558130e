"""Tries whether the sandbox works here, and each language in it.

A language is made to answer, to be ended, to refuse nonsense, and to load what the tests of
benchmarks need. Promises: every language gets a finding and takes at most `LONGEST_S`; what is
lacking is named with its package; a sandbox that fails or refuses is never the language's failure.
Does not promise that a benchmark's tests pass.

>>> checkup = await check(["python", "lua"], level="strict")   # doctest: +SKIP
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from enum import StrEnum

from evolcoder.errors import SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import Execution, Layer, Limits, Program, Status, missing_from
from evolcoder.sandbox.bubblewrap import interpreter
from evolcoder.sandbox.pool import LEVELS, PoolSandbox
from evolcoder.sandbox.requirements import (
    PROBES,
    MissingRequirement,
    Requirements,
    answers,
    broken,
    first_line,
)
from evolcoder.sandbox.toolchains import LANGUAGES, find

LONGEST_S = 60.0
"""Longest that one language may take in all."""
ROOMY = Limits(cpu_s=20, wall_s=25, compile_s=40)
SHORT = Limits(cpu_s=0.3, wall_s=5, compile_s=40)
"""For the program that never ends."""


class SelftestState(StrEnum):
    """What was found of a language."""

    WORKS = "works"
    INCOMPLETE = "incomplete"
    """Its programs run, but some tests of benchmarks lack what they import."""
    MISSING = "missing"
    FAILS = "fails"
    TOO_SLOW = "too slow"
    SANDBOX_FAILED = "sandbox failed"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class SelftestFinding:
    """How a language does here."""

    language: str
    """Which language."""
    state: SelftestState
    """What was found."""
    detail: str
    """What went wrong or is to be installed; empty if it works."""
    package: str
    """What brings its tools; empty for Python."""
    tools: tuple[str, ...]
    """Paths of the tools that were found."""
    compile_s: float | None
    """Seconds by the clock to compile the program that answers; None if it did not run."""
    run_s: float | None
    """Seconds by the clock that it ran; None likewise."""
    ended_s: float | None
    """Seconds by the clock until the endless program was ended; None if it was not tried."""
    lacks: tuple[str, ...] = ()
    """Names of what programs or tests need and is not here."""


@dataclass(frozen=True, slots=True)
class Selftest:
    """What was found of the sandbox and of the languages in it."""

    level: str
    """The protection that was asked for."""
    refused: str
    """Why the sandbox did not start at that level; empty if it did."""
    layers: tuple[Layer, ...]
    """Protections that are active, or would be at a weaker level if this one was refused; empty if
    nothing runs at all."""
    missing: tuple[Layer, ...]
    """Protections that are not, as far as anything runs."""
    findings: tuple[SelftestFinding, ...]
    """One for each language, in the order that they were asked for."""

    def of(self, language: str) -> SelftestFinding:
        """Return what was found of one language."""
        return next(finding for finding in self.findings if finding.language == language)


async def check(languages: Sequence[str], *, level: str) -> Selftest:
    """Start the sandbox and check languages side by side.

    Each worker is a sandbox of its own: a sandbox of several runs what timed out once more alone.
    """
    looked = [look_for(language) for language in languages]
    here = [finding for finding in looked if finding.state is SelftestState.NOT_RUN]
    async with AsyncExitStack() as stack:
        try:
            sandboxes = await _start(here, level, stack)
        except SandboxRefusedError as error:
            layers = await _layers_below(level)
            missing = missing_from(layers) if layers else ()
            return Selftest(level, str(error), layers, missing, tuple(looked))
        checked = await _share_out(here, sandboxes)
        layers = sandboxes[0].layers
    found = tuple(checked.get(finding.language, finding) for finding in looked)
    return Selftest(level, "", layers, missing_from(layers), found)


def look_for(language: str) -> SelftestFinding:
    """Look whether a language's tools are here, and run nothing."""
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
    """Start one sandbox per processor, but no more than there are languages."""
    names = [finding.language for finding in here if finding.language in LANGUAGES]
    sandboxes = []
    for _ in range(max(1, min(len(here), len(os.sched_getaffinity(0))))):
        sandbox = await PoolSandbox.start(workers=1, level=level, languages=names)
        stack.push_async_callback(sandbox.aclose)
        sandboxes.append(sandbox)
    return sandboxes


async def _layers_below(level: str) -> tuple[Layer, ...]:
    """Return the layers that a weaker level would have, the first that starts."""
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


async def _share_out(
    here: Sequence[SelftestFinding], sandboxes: Sequence[PoolSandbox]
) -> dict[str, SelftestFinding]:
    """Check each language on whichever sandbox is free; those with most tools, the slow, first."""
    waiting = sorted(here, key=lambda finding: len(finding.tools))
    found: dict[str, SelftestFinding] = {}

    async def work(sandbox: PoolSandbox) -> None:
        while waiting:
            finding = waiting.pop()
            found[finding.language] = await _bounded(sandbox, finding)

    async with asyncio.TaskGroup() as group:
        for sandbox in sandboxes:
            group.create_task(work(sandbox))
    return found


async def _bounded(sandbox: PoolSandbox, finding: SelftestFinding) -> SelftestFinding:
    """Check one language within its time; say whose failure it was if there is one."""
    try:
        async with asyncio.timeout(LONGEST_S):
            return await _examine(sandbox, finding)
    except TimeoutError:
        detail = f"not done within {LONGEST_S:.0f} s"
        return replace(finding, state=SelftestState.TOO_SLOW, detail=detail)
    except SandboxError as error:
        return replace(finding, state=SelftestState.SANDBOX_FAILED, detail=str(error))


async def _examine(sandbox: PoolSandbox, finding: SelftestFinding) -> SelftestFinding:
    """Run the probes one after the other; the first that goes wrong decides."""
    language, requirements = finding.language, Requirements(sandbox)
    answering, endless = PROBES[language]
    answered = await sandbox.run(Program(language, answering), ROOMY)
    finding = replace(finding, compile_s=answered.compile_s, run_s=answered.wall_s)
    if not answers(answered):
        failing = _failing(finding, "a program that prints 42", answered)
        return _lacking(failing, await requirements.lacks(language))
    ended = await sandbox.run(Program(language, endless), SHORT)
    if ended.status is not Status.TIMEOUT:
        return _failing(finding, "a program without end", ended)
    finding = replace(finding, ended_s=ended.wall_s)
    refused = await sandbox.run(Program(language, broken(language)), ROOMY)
    compiles = language not in LANGUAGES or LANGUAGES[language].compiler
    wanted = Status.COMPILE_ERROR if compiles else Status.FINISHED
    if refused.status is not wanted or refused.exit_code == 0:
        return _failing(finding, f"the nonsense {broken(language)!r}", refused)
    lacks = await requirements.lacks(language)
    return _lacking(
        replace(finding, state=SelftestState.INCOMPLETE if lacks else SelftestState.WORKS), lacks
    )


def _lacking(finding: SelftestFinding, lacks: Sequence[MissingRequirement]) -> SelftestFinding:
    """Name what is lacking, with what brings it, before what was seen."""
    known = [lack for lack in lacks if lack.requirement is not None]
    advice = dict.fromkeys(lack.advice for lack in known)
    detail = "; ".join(filter(None, (*advice, finding.detail)))
    return replace(finding, detail=detail, lacks=tuple(lack.name for lack in known))


def _failing(finding: SelftestFinding, probe: str, execution: Execution) -> SelftestFinding:
    """Say how a probe ended, with the first line of what it complained of."""
    code = "" if execution.exit_code is None else f" with exit code {execution.exit_code}"
    said = first_line(execution)
    detail = f"{probe} ended as {execution.status}{code}{f': {said}' if said else ''}"
    return replace(finding, state=SelftestState.FAILS, detail=detail)
