"""What a worker needs to run a program: limits, names and commands.

Source, test and inputs are not part of the message; they travel in `memfds`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from evolcoder.errors import SandboxRefusedError
from evolcoder.sandbox.base import Asserts, Calls, Limits, Program, Script, Sealed
from evolcoder.sandbox.bubblewrap import ENVIRONMENT
from evolcoder.sandbox.inside.protocol import pack_message
from evolcoder.sandbox.language import SealWords
from evolcoder.sandbox.toolchains import Toolchain

MB = 1 << 20
INODES = 20_000
"""Files and folders that one program may create."""
MAX_CALLS = 4000
"""Calls that can have individual limits."""
_TAIL_BYTES = 1 << 14
"""Length of the end of an output that is searched for a failed check."""
IDLE_S = 4.0
"""Seconds that every program may be idle (use no CPU) at a time, for start-up and sleeps."""
IDLE_SHARE, IDLE_MOST_S = 1 / 3, 5.0
"""A program may be idle for as long as its CPU limit up to `IDLE_MOST_S`, and above that for
`IDLE_SHARE` of its CPU limit."""
COMPILER_MB = 4096
"""Memory limit of a compiler."""
COMPILER_PROCESSES = 512
"""Process and thread limit of a compiler."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A program prepared to run."""

    program: Program
    """The program, including its test if sealed."""
    toolchain: Toolchain | None
    """None for Python."""
    limits: Limits
    """Its limits."""
    cpu_share: float
    """Share of its CPU time that it gets in this run."""
    seal: bytes
    """Expected content of the answer channel of a sealed program; empty if not sealed."""
    words: SealWords | None
    """Random words of the seal; None if not sealed."""
    checks: int
    """Number of sealed checks."""

    @classmethod
    def of(
        cls, program: Program, limits: Limits, toolchain: Toolchain | None, cpu_share: float = 1.0
    ) -> "JobSpec":
        """Prepare a program; seal it if its task is `Sealed`."""
        if not isinstance(program.task, Sealed) or toolchain is None:
            return cls(program, toolchain, limits, cpu_share, b"", None, 0)
        words = SealWords.fresh()
        seal, test = toolchain.language.seal, program.task.test
        source, checks = seal.apply(program.source, test, words)
        whole = Program(program.language, source, Script(hidden=True))
        expected = f"{words.token} {checks}\n".encode()
        checks = checks if test.strip() else 0
        return cls(whole, toolchain, limits, cpu_share, expected, words, checks)

    @property
    def cpu_s(self) -> float:
        """CPU seconds for this run."""
        return self.cpu_share * self.limits.cpu_s

    def confirmed_checks(self, answers: bytes) -> int | None:
        """Return how many sealed checks the answers confirm."""
        if not self.seal:
            return None
        return self.checks if not self.checks or answers == self.seal else None

    def failed_check(self, output: bytes, errors: bytes) -> int | None:
        """Return the failed check that a sealed program reported; -1 if it gave no number."""
        if self.words is None or self.toolchain is None:
            return None
        output_tail = b"\n".join((output[-_TAIL_BYTES:], errors[-_TAIL_BYTES:])).decode(
            "utf-8", "replace"
        )
        return self.toolchain.language.seal.failed_check(self.words, output_tail)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as sent to a worker along with its memfds."""

    message: bytes
    """Limits, names and commands, as `inside/protocol` reads them."""
    longest_s: float
    """Wall-clock seconds that its limits allow."""
    processes: int
    """Limit of concurrent processes and threads."""


def make_job(spec: JobSpec) -> Job:
    """Build the job message for a worker."""
    program, limits, toolchain = spec.program, spec.limits, spec.toolchain
    work = _mode(program) if toolchain is None else _commands(program, toolchain)
    file_mb = max(limits.file_mb, toolchain.language.file_mb if toolchain else 0)
    is_compiled = toolchain is not None and bool(toolchain.compiler)
    return Job(
        pack_message(
            (
                _encode_limits(limits, file_mb, spec.cpu_share, is_compiled=is_compiled),
                pack_message(work),
            )
        ),
        longest_s=limits.compile_s + limits.wall_s,
        processes=limits.processes,
    )


@lru_cache(maxsize=64)
def _encode_limits(limits: Limits, file_mb: int, cpu_share: float, *, is_compiled: bool) -> bytes:
    """Encode the limits; cached because many programs share them."""
    run = _stage_limits(limits.cpu_s, limits.wall_s, limits.memory_mb, limits.processes)
    compiling = _stage_limits(
        2 * limits.compile_s, limits.compile_s, COMPILER_MB, COMPILER_PROCESSES
    )
    compiling["bound"] = (COMPILER_MB + file_mb) * MB if is_compiled else 0
    run |= {
        "bound": (limits.memory_mb + file_mb) * MB,
        "cpu_s": cpu_share * limits.cpu_s,
        "call_s": tuple(cpu_share * call_s for call_s in _limit_calls(limits.call_s)),
        "idle_s": idle_s(min(limits.cpu_s, max(limits.call_s, default=math.inf))),
    }
    return pack_message(
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
    """Return for how many seconds at a time a program may use no CPU."""
    return max(IDLE_S, min(cpu_s, IDLE_MOST_S), IDLE_SHARE * cpu_s)


def _limit_calls(call_s: tuple[float, ...]) -> tuple[float, ...]:
    """Keep a job's message short: above MAX_CALLS, the largest limit applies to all calls."""
    return call_s if len(call_s) <= MAX_CALLS else (max(call_s),)


def _mode(program: Program) -> dict[str, Any]:
    match program.task:
        case Script():
            return {"mode": "script"}
        case Calls(entry_point=name):
            return {"mode": "calls", "entry_points": [name]}
        case Asserts(entry_points=names, check=check):
            return {"mode": "asserts", "entry_points": names, "check": check}
        case Sealed():
            raise SandboxRefusedError("python: sealed tests are for other languages; use Asserts")


def _commands(program: Program, toolchain: Toolchain) -> dict[str, Any]:
    language = toolchain.language
    hidden = isinstance(program.task, Script) and program.task.hidden
    command = language.resolve_command(toolchain.command, program.source)
    file, compiler = language.source_and_compiler(toolchain.compiler, program.source)
    compile_from_stdin = hidden and bool(language.stdin_arguments)
    return {
        "mode": "commands",
        "file": file,
        "compiler": (*compiler[:1], *language.stdin_arguments) if compile_from_stdin else compiler,
        "compile_from_stdin": compile_from_stdin,
        "is_linked": hidden and language.is_linked,
        "command": toolchain.hidden if hidden and toolchain.hidden else command,
        "stdin_source": command[-1] if hidden and toolchain.hidden else "",
        "hidden": hidden,
        "environment": {**ENVIRONMENT, **dict(language.environment)},
    }


def _stage_limits(cpu_s: float, wall_s: float, memory_mb: int, processes: int) -> dict[str, Any]:
    return {
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "idle_s": idle_s(cpu_s),
        "idle_in_all_s": 2 * max(cpu_s, IDLE_S),
        "memory": memory_mb * MB,
        "processes": processes,
    }
