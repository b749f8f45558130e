"""A program on a worker: its message, its memory files, its early end and its result.

Source, test and inputs are not part of the message; they travel in `Memfds`, memory files that this
process shares with the program. `EarlyStop` polls the answers there and ends the program as soon as
no further answer matters: every complete answer is passed once, in order, to the task's
`should_continue`, up to the first that is longer than `LONGEST_BYTES`; every byte is read once, so
polling is linear in the output. A program that ends within the first pause costs nothing.

An execution combines what the worker measured with what the isolated process reported.
`read_finding` returns a finding of known kind and bounded size, or None, for any bytes: the process
that writes it runs a test from a data set or a model and is not trusted.

>>> read_finding(b'{"kind": "passed", "check": null, "expected": "", "got": "", "detail": ""}').kind
<Kind.PASSED: 'passed'>
"""

import asyncio
import fcntl
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple, Self

from evolcoder.errors import SandboxError, SandboxRefusedError
from evolcoder.sandbox.base import (
    Asserts,
    Calls,
    ContinueCheck,
    Execution,
    Kind,
    Layer,
    Limits,
    Program,
    Script,
    Sealed,
    Status,
    Task,
    missing_from,
)
from evolcoder.sandbox.inside.protocol import IDLE, KILLED, End, pack_message
from evolcoder.sandbox.language import SealWords
from evolcoder.sandbox.launchers import ENVIRONMENT
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
        "first_calls": limits.first_calls,
        "first_s": cpu_share * limits.first_s,
        "idle_s": idle_s(
            min(limits.cpu_s, max(limits.first_s, *limits.call_s) if limits.call_s else math.inf)
        ),
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


_NAMES = ("stdout", "stderr", "answers", "report", "source", "given")
"""In the order in which a worker receives them; those that the candidate writes come first."""
_APPENDED = ("stdout", "stderr", "report")
"""Opened with O_APPEND: several processes write them, and would overwrite each other."""


class Memfds:
    """The memory files of one program."""

    def __init__(self, fds: list[int]) -> None:
        self.fds = fds

    @classmethod
    def open(cls, program: Program) -> Self:
        """Make the files and fill those that the program reads."""
        channels = cls([os.memfd_create(name) for name in _NAMES])
        _fill(channels.fds[_NAMES.index("source")], program.source.encode("utf-8", "surrogatepass"))
        _fill(channels.fds[_NAMES.index("given")], _input_of(program.task))
        for name in _APPENDED:
            fcntl.fcntl(channels.fds[_NAMES.index(name)], fcntl.F_SETFL, os.O_APPEND)
        return channels

    def read(self, name: str, max_bytes: int) -> tuple[bytes, bool]:
        """Read a file from its start; also return whether it is longer than `max_bytes`."""
        fd = self.fds[_NAMES.index(name)]
        size = os.fstat(fd).st_size
        return os.pread(fd, min(size, max_bytes), 0), size > max_bytes

    def peek(self, name: str, begin: int, max_bytes: int) -> bytes:
        """Read up to `max_bytes` bytes from an offset while the file may still grow."""
        return os.pread(self.fds[_NAMES.index(name)], max_bytes, begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in self.fds:
            os.close(fd)


def _input_of(task: Task) -> bytes:
    match task:
        case Script(stdin=stdin):
            return stdin
        case Calls(inputs=inputs):
            return inputs
        case Asserts(test=test):
            return test.encode("utf-8", "surrogatepass")
        case Sealed():
            return b""


def _fill(fd: int, data: bytes) -> None:
    """Write all data; pwrite leaves the file offset at the start for the reader."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:] if written else data, written)


FIRST_S, LONGEST_S = 0.01, 0.04
"""Pauses between polls: the first, and the longest that they double to."""
LONGEST_BYTES = 1 << 22
"""Longest answer; polling stops at a longer one."""
_MOST = 1 << 20
"""Bytes read per poll."""


class EarlyStop:
    """Polls one program's answers from its start to its end."""

    def __init__(self, channels: Memfds, should_continue: ContinueCheck) -> None:
        self._channels = channels
        self._should_continue = should_continue
        self._stop: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._read = self._shown = 0
        self._begun = bytearray()

    def until_end(self, stop: Callable[[], None]) -> Self:
        """Poll within this context; `stop` ends the program."""
        self._stop = stop
        return self

    def __enter__(self) -> None:
        self._wait(FIRST_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, pause: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(pause, self._look, pause)

    def _look(self, pause: float) -> None:
        data = self._channels.peek("answers", self._read, _MOST)
        self._read += len(data)
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            self._begun += data[begin:end]
            begin = end + 1
            if not self._should_continue(self._shown, bytes(self._begun)):
                self._stop()
                return
            self._shown += 1
            self._begun.clear()
        self._begun += data[begin:]
        if len(self._begun) <= LONGEST_BYTES:
            self._wait(min(2 * pause, LONGEST_S))


def early_stop_of(task: Task, channels: Memfds) -> EarlyStop | None:
    """Make the early stop that a task asks for, if any."""
    should_continue = task.should_continue if isinstance(task, Calls | Script) else None
    return should_continue and EarlyStop(channels, should_continue)


REPORT_BYTES = 4096
"""Longest report that is read."""


_OTHER_REASONS = {IDLE: Status.TIMEOUT, KILLED: Status.MEMORY}
"""Statuses for reasons that name no limit. A program that is killed again on its second run needs
more memory than the machine has."""


class RunOutcome(NamedTuple):
    """Result of one run of a program."""

    execution: Execution
    """The execution."""
    is_final: bool
    """Whether more CPU time could not have changed it."""


def has_begun(channels: Memfds) -> bool:
    """Return whether a program had started, fully isolated, when its worker ended."""
    report = _Report(channels.read("report", REPORT_BYTES)[0].decode("utf-8", "replace"))
    return report.ready and not report.broken


def outcome_of(end: End, channels: Memfds, spec: JobSpec, layers: Sequence[Layer]) -> RunOutcome:
    """Build the outcome of a run; raise SandboxError if the program never started."""
    report = _Report(channels.read("report", REPORT_BYTES)[0].decode("utf-8", "replace"))
    if report.broken or not report.ready:
        raise SandboxError(f"cannot isolate a program: {report.broken or 'no report'}")
    limits = spec.limits
    answers, flooded = channels.read("answers", limits.answers_mb << 20)
    begun = report.compiled_at or end.ended
    cpu_s = end.cpu_s - report.cpu_before
    output, flooded_out = channels.read("stdout", limits.output_kb << 10)
    errors, flooded_err = channels.read("stderr", limits.output_kb << 10)
    code = end.code if report.code is None else report.code
    status = _status(end, report, over_cpu=cpu_s >= spec.cpu_s, code=code)
    if status is Status.FINISHED and (flooded or flooded_out or flooded_err):
        status = Status.OUTPUT
    execution = Execution(
        status=status,
        exit_code=code if status in {Status.FINISHED, Status.COMPILE_ERROR} else None,
        stdout=output,
        stderr=errors,
        answers=answers,
        checks=spec.confirmed_checks(answers),
        failed_check=spec.failed_check(output, errors)
        if status is Status.FINISHED and code
        else None,
        cpu_s=max(cpu_s, 0.0),
        wall_s=end.ended - begun,
        peak_mb=end.peak_bytes / 2**20,
        compile_s=begun - end.begun,
        layers=tuple(layers),
        missing=missing_from(layers),
    )
    return RunOutcome(execution, status is not Status.TIMEOUT or end.why == IDLE)


class _Report:
    """Parsed progress report of an isolated process."""

    def __init__(self, text: str) -> None:
        self.ready = self.uncompiled = False
        self.broken = ""
        self.compiled_at, self.cpu_before = 0.0, 0.0
        self.code: int | None = None
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "ready":
                self.ready = True
            elif word == "uncompiled":
                self.uncompiled = True
            elif word == "broken":
                self.broken = rest
            elif word == "compiled":
                self.compiled_at, self.cpu_before = map(float, rest.split())
            elif word == "done":
                self.code = int(rest)


def _status(end: End, report: _Report, *, over_cpu: bool, code: int) -> Status:
    if report.uncompiled or not report.compiled_at:
        return Status.COMPILE_ERROR
    if end.why:
        return _OTHER_REASONS.get(end.why) or Status(end.why)
    if over_cpu and code < 0:
        return Status.TIMEOUT
    return Status.FINISHED


FINDING_BYTES = 1 << 14
"""Longest finding: three texts of a few hundred characters each."""
MAX_CHECKS = 1 << 20
"""Exclusive upper bound of check numbers."""


class AssertFinding(NamedTuple):
    """Finding of an `Asserts` test."""

    kind: Kind
    """The outcome."""
    check: int | None
    """Number of the deciding assertion; None if none decided or the failure preceded all."""
    expected: str
    """The failed line, shortened."""
    got: str
    """The candidate's last answer, shortened."""
    detail: str
    """Further detail."""


def read_finding(answers: bytes) -> AssertFinding | None:
    """Parse a finding; return None for anything else."""
    if not answers or len(answers) > FINDING_BYTES:
        return None
    try:
        found: Any = json.loads(answers)
        finding = AssertFinding(
            Kind(found["kind"]), *(found[name] for name in AssertFinding._fields[1:])
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    check = finding.check
    is_number = check is None or (type(check) is int and -1 <= check < MAX_CHECKS)
    if not is_number or set(map(type, finding[2:])) != {str}:
        return None
    return finding._replace(check=None) if check == -1 else finding
