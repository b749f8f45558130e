"""What a worker is told about a program: limits, names and commands.

The program itself, its test and its inputs are not in it; they travel in `channels`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evolcoder.errors import SandboxRefusedError
from evolcoder.sandbox.base import Asserts, Calls, Limits, Program, Script, Sealed
from evolcoder.sandbox.bubblewrap import ENVIRONMENT
from evolcoder.sandbox.inside.protocol import closed
from evolcoder.sandbox.language import SealWords
from evolcoder.sandbox.toolchains import Toolchain

MB = 1 << 20
INODES = 20_000
"""Files and folders that one program may make."""
MOST_CALLS = 4000
"""Calls that can have limits of their own."""
_TOLD = 1 << 14
"""Bytes at the end of an output in which a test says how it ended."""
IDLE_S = 4.0
"""Seconds without use of a processor that every program may have at a time: to start and to sleep.
"""
IDLE_SHARE, IDLE_MOST_S = 1 / 3, 5.0
"""As long as its limit of processor time it may be idle at a time up to so many seconds, and beyond
that for a part of it."""
COMPILER_MB = 4096
"""Memory that a compiler may use."""
COMPILER_PROCESSES = 512
"""Processes and threads that a compiler may use."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A program made ready to run."""

    program: Program
    """With its test, if it was sealed."""
    toolchain: Toolchain | None
    """None for Python."""
    limits: Limits
    """What it may use."""
    haste: float
    """Part of its processor time that it gets this time."""
    seal: bytes
    """What must come over the channel of answers for the seal to be whole; empty without one."""
    words: SealWords | None
    """What the seal is recognised by; None without one."""
    checks: int
    """Checks behind the seal."""

    @classmethod
    def of(
        cls, program: Program, limits: Limits, toolchain: Toolchain | None, haste: float = 1.0
    ) -> "JobSpec":
        """Seal the program if it asks for it."""
        if not isinstance(program.task, Sealed) or toolchain is None:
            return cls(program, toolchain, limits, haste, b"", None, 0)
        words = SealWords.fresh()
        seal, test = toolchain.language.seal, program.task.test
        source, checks = seal.apply(program.source, test, words)
        whole = Program(program.language, source, Script(hidden=True))
        expected = f"{words.token} {checks}\n".encode()
        checks = checks if test.strip() else 0
        return cls(whole, toolchain, limits, haste, expected, words, checks)

    @property
    def cpu_s(self) -> float:
        """Processor seconds that it gets this time."""
        return self.haste * self.limits.cpu_s

    def vouched(self, answers: bytes) -> int | None:
        """Return how many checks the answers vouch for."""
        if not self.seal:
            return None
        return self.checks if not self.checks or answers == self.seal else None

    def failed(self, output: bytes, errors: bytes) -> int | None:
        """Return the check that the sealed program said had failed; -1 for one without number."""
        if self.words is None or self.toolchain is None:
            return None
        told = b"\n".join((output[-_TOLD:], errors[-_TOLD:])).decode("utf-8", "replace")
        return self.toolchain.language.seal.failed_check(self.words, told)


@dataclass(frozen=True, slots=True)
class Job:
    """An order as a worker gets it, beside its channels."""

    message: bytes
    """Limits, and the names and commands of the program, as `inside/line` reads them."""
    longest_s: float
    """Seconds by the clock that its limits allow."""
    processes: int
    """Processes and threads that it may have at one time."""


def job_of(order: JobSpec) -> Job:
    """Write down what a worker must know."""
    program, limits, toolchain = order.program, order.limits, order.toolchain
    work = _mode(program) if toolchain is None else _commands(program, toolchain)
    file_mb = max(limits.file_mb, toolchain.language.file_mb if toolchain else 0)
    is_compiled = toolchain is not None and bool(toolchain.compiler)
    return Job(
        closed((_most(limits, file_mb, order.haste, is_compiled=is_compiled), closed(work))),
        longest_s=limits.compile_s + limits.wall_s,
        processes=limits.processes,
    )


@lru_cache(maxsize=64)
def _most(limits: Limits, file_mb: int, haste: float, *, is_compiled: bool) -> bytes:
    """Write down limits, which are the same for many programs."""
    run = _stage(limits.cpu_s, limits.wall_s, limits.memory_mb, limits.processes)
    compiling = _stage(2 * limits.compile_s, limits.compile_s, COMPILER_MB, COMPILER_PROCESSES)
    compiling["bound"] = (COMPILER_MB + file_mb) * MB if is_compiled else 0
    run |= {
        "bound": (limits.memory_mb + file_mb) * MB,
        "cpu_s": haste * limits.cpu_s,
        "call_s": tuple(haste * call_s for call_s in _few(limits.call_s)),
        "idle_s": idle_s(min(limits.cpu_s, max(limits.call_s, default=math.inf))),
    }
    return closed(
        {
            "run": run,
            "compile": compiling,
            "output": limits.output_kb << 10,
            "files": file_mb * MB,
            "inodes": INODES,
            "descriptors": limits.descriptors,
        }
    )


def idle_s(cpu_s: float) -> float:
    """Return for how many seconds at a time a program may use no processor."""
    return max(IDLE_S, min(cpu_s, IDLE_MOST_S), IDLE_SHARE * cpu_s)


def _few(call_s: tuple[float, ...]) -> tuple[float, ...]:
    """Keep a job's message short: beyond some thousand calls, the most generous limit is all's."""
    return call_s if len(call_s) <= MOST_CALLS else (max(call_s),)


def _mode(program: Program) -> dict[str, Any]:
    match program.task:
        case Script():
            return {"mode": "script"}
        case Calls(entry_point=name):
            return {"mode": "calls", "entry_points": [name]}
        case Asserts(entry_points=names, check=check):
            return {"mode": "asserts", "entry_points": names, "check": check}
        case Sealed():
            raise SandboxRefusedError("python: needs no seal, its tests run apart")


def _commands(program: Program, toolchain: Toolchain) -> dict[str, Any]:
    language = toolchain.language
    hidden = isinstance(program.task, Script) and program.task.hidden
    command = language.words(toolchain.command, program.source)
    file, compiler = language.build(toolchain.compiler, program.source)
    is_fed = hidden and bool(language.fed)
    return {
        "mode": "commands",
        "file": file,
        "compiler": (*compiler[:1], *language.fed) if is_fed else compiler,
        "is_fed": is_fed,
        "is_linked": hidden and language.is_linked,
        "command": toolchain.hidden if hidden and toolchain.hidden else command,
        "feed": command[-1] if hidden and toolchain.hidden else "",
        "hidden": hidden,
        "environment": {**ENVIRONMENT, **dict(language.environment)},
    }


def _stage(cpu_s: float, wall_s: float, memory_mb: int, processes: int) -> dict[str, Any]:
    return {
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "idle_s": idle_s(cpu_s),
        "idle_in_all_s": 2 * max(cpu_s, IDLE_S),
        "memory": memory_mb * MB,
        "processes": processes,
    }
