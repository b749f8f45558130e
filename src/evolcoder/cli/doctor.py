"""`evolcoder doctor`: reports what works on this machine, and how to fix what does not.

Exits with 0 if the sandbox works at the requested level, Python works in it, and the model given
(if any) answers; otherwise with 1, and prints the reason in one line after the report. A model that
no spec can mean, or whose file is missing, is wrong input, which is said before the tests. The text
report has at most 100 columns, fewer on a narrower terminal, and truncates nothing.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from evolcoder.app import models
from evolcoder.bench.multipl_e import CODES
from evolcoder.cli import output
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.cli.layout import MIN_TEXT, terminal_width
from evolcoder.cli.sysinfo import Machine, read_machine
from evolcoder.config import load as configs
from evolcoder.credentials import without_logins
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.errors import EvolcoderError
from evolcoder.sandbox.pool import LEVELS
from evolcoder.sandbox.requirements import PROBES
from evolcoder.sandbox.selftest import Selftest, SelftestFinding, SelftestState, check
from evolcoder.terminal import wrapped
from evolcoder.visible import visible

WIDTH = 100
NAMES = 12
"""Width of the label column."""
HEAD = f"{'language':<{NAMES}}{'':<16}{'compile':>8}{'run':>8}{'ended':>8}  tools, or what is wrong"
QUESTION = "Answer with the one word: ready"
ANSWER_S = 120.0
"""Time limit for the answer of a loaded model."""


@dataclass(frozen=True, slots=True)
class EngineFinding:
    """Result of the test request to a model."""

    model: str
    """Model spec, without logins."""
    works: bool
    """Whether the model answered."""
    answer: str
    """The answer, or the error."""
    seconds: float
    """Time from opening the model to the answer."""
    completion_tokens: int
    """Tokens received."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Results of all checks."""

    machine: Machine
    """Properties of the machine."""
    sandbox: Selftest
    """Self-test of the sandbox and its languages."""
    engine: EngineFinding | None
    """Result for the model, if one was given."""
    seconds: float
    """Duration of the checks."""

    @property
    def trouble(self) -> str:
        """The first reason why a run cannot start; empty if it can."""
        if self.sandbox.refused:
            return self.sandbox.refused
        python = self.sandbox.of("python")
        if python.state is not SelftestState.WORKS:
            return f"python: {python.state}: {python.detail}"
        if self.engine is not None and not self.engine.works:
            name, answer = self.engine.model, self.engine.answer
            return answer if answer.startswith(name) else f"{name}: {answer}"
        return self.machine.cache_trouble

    def as_plain(self) -> dict[str, Any]:
        """Return the diagnosis as plain data."""
        return {"works": not self.trouble, "trouble": self.trouble, **asdict(self)}


def format_diagnosis(diagnosis: Diagnosis) -> str:
    """Format the report as text."""
    parts = [
        _machine(diagnosis.machine),
        _sandbox(diagnosis.sandbox, diagnosis.machine),
        _languages(diagnosis.sandbox.findings),
    ]
    if diagnosis.engine is not None:
        parts.append(_engine(diagnosis.engine))
    parts.append([f"checked in {diagnosis.seconds:.0f} s"])
    return "\n\n".join("\n".join(lines) for lines in parts)


def _machine(found: Machine) -> list[str]:
    lines = _line("versions", f"evolcoder {found.evolcoder}, python {found.python}")
    lines += _line("system", found.platform)
    lines += _line("processors", str(found.cpus))
    if found.memory_mb is not None and found.memory_free_mb is not None:
        lines += _line("memory", f"{_gb(found.memory_free_mb)} free of {_gb(found.memory_mb)}")
    for disk in found.disks:
        lines += _line("disk", f"{_gb(disk.free_mb)} free in {disk.folder} ({disk.use})")
    extras = (f"{name} {version or 'not installed'}" for name, version in found.extras.items())
    return lines + _line("extras", ", ".join(extras))


def _sandbox(found: Selftest, machine: Machine) -> list[str]:
    state = f"refused: {found.refused}" if found.refused else "works"
    bwrap = f"{machine.bubblewrap}, version {machine.bubblewrap_version or 'unknown'}"
    lines = _line("sandbox", f"{found.level}: {state}")
    lines += _line("bubblewrap", bwrap if machine.bubblewrap else "not found; install bubblewrap")
    if not found.layers:
        return lines
    lines += _line("active", ", ".join(found.layers))
    return lines + _line("missing", ", ".join(found.missing) or "nothing")


def _languages(findings: Sequence[SelftestFinding]) -> list[str]:
    lines = [HEAD]
    for finding in findings:
        lines += _language(finding)
    n_working = sum(finding.state is SelftestState.WORKS for finding in findings)
    n_incomplete = sum(finding.state is SelftestState.INCOMPLETE for finding in findings)
    more = f", {n_incomplete} more except for some benchmark tests" if n_incomplete else ""
    return [*lines, f"{n_working} of {len(findings)} languages work{more}"]


def _language(finding: SelftestFinding) -> list[str]:
    seconds = "".join(map(_seconds, (finding.compile_s, finding.run_s, finding.ended_s)))
    return _line(
        f"{finding.language:<{NAMES}}{finding.state:<16}{seconds}  ",
        (finding.detail or " ".join(finding.tools)) + _needed_by(finding),
    )


def _needed_by(finding: SelftestFinding) -> str:
    """Name the benchmarks that need a library which is missing."""
    code = CODES.get(finding.language, "").removesuffix("_test.go")
    if finding.state is not SelftestState.INCOMPLETE or not code:
        return ""
    return f"; humaneval-{code} and mbpp-{code} need it for some problems"


def _engine(found: EngineFinding) -> list[str]:
    state = f"answered in {found.seconds:.1f} s:" if found.works else "does not answer:"
    return _line("model", found.model) + _line("", f"{state} {found.answer!r}")


def _line(name: str, text: str) -> list[str]:
    """Format a label and its text, wrapped to the width of the report."""
    margin = max(NAMES, len(name))
    width = max(MIN_TEXT, min(WIDTH, terminal_width()) - margin)
    lines = wrapped(visible(text, lines=False), width) or [""]
    labels = [f"{name:<{margin}}", *[" " * margin] * (len(lines) - 1)]
    return [(label + line).rstrip() for label, line in zip(labels, lines, strict=True)]


def _seconds(seconds: float | None) -> str:
    return f"{'':>8}" if seconds is None else f"{seconds:>6.2f} s"


def _gb(mb: int) -> str:
    return f"{mb / 1024:.1f} GB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    parser.add_argument(
        "--model", metavar="SPEC", help=f"model to test with a short request: {models.SPEC_FORMS}"
    )
    parser.add_argument(
        "--sandbox",
        choices=tuple(LEVELS),
        default="strict",
        help="sandbox isolation to test (default: strict)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a config key (repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Check this machine, print the report, and fail if a run could not start."""
    configs.load(None, args.set)  # what is wrong with it is said before the tests
    if args.model is not None:
        models.check_spec(args.model)
    print(f"testing {len(PROBES)} languages in the sandbox (up to a minute)", file=sys.stderr)
    diagnosis = run_cancellable(_diagnose(args.model, args.sandbox, args.set))
    if args.json:
        output.print_json(diagnosis.as_plain(), indent=2)
    else:
        print(format_diagnosis(diagnosis))
    if diagnosis.trouble:
        raise EvolcoderError(diagnosis.trouble)
    return 0


async def _diagnose(model: str | None, level: str, sets: Sequence[str]) -> Diagnosis:
    begun = time.monotonic()
    selftest = await check(tuple(PROBES), level=level)
    engine = await _test_model(model, sets) if model is not None else None
    return Diagnosis(read_machine(), selftest, engine, time.monotonic() - begun)


async def _test_model(spec: str, sets: Sequence[str]) -> EngineFinding:
    """Request one word from a model; errors are findings."""
    begun, shown = time.monotonic(), without_logins(spec)
    try:
        async with AsyncExitStack() as stack:
            config = configs.load(None, [*sets, f"evolver.model={json.dumps(spec)}"])
            opened = (await models.open_models(config, stack)).evolver
            messages = (Message("user", QUESTION),)
            sampling, extras = Sampling(0.0, 1.0, 16), (opened.extra_body, opened.headers)
            request = Request(opened.model, messages, sampling, 0, *extras)
            async with asyncio.timeout(ANSWER_S):
                answer = await opened.engine.complete(request)
    except TimeoutError:
        text = f"no answer within {ANSWER_S:.0f} s"
        return EngineFinding(shown, False, text, time.monotonic() - begun, 0)  # noqa: FBT003
    except EvolcoderError as error:
        text = " ".join(str(error).split())
        return EngineFinding(shown, False, text, time.monotonic() - begun, 0)  # noqa: FBT003
    seconds = time.monotonic() - begun
    text = answer.only_thought or answer.text
    return EngineFinding(shown, True, text, seconds, answer.completion_tokens)  # noqa: FBT003
