r"""The sandbox contract: run an untrusted program within limits and return its `Execution`.

Guarantees: a program that fails, loops, floods or attacks still yields an `Execution`; nothing it
starts outlives the call, and no state passes to the next program. A failure of the sandbox itself
raises `SandboxError` and is never reported as an execution. Every execution lists its active
layers.
Not guaranteed: equal run times, or that a program computes anything sensible.

>>> program = Program("python", "print(6 * 7)")
>>> execution = await sandbox.run(program, Limits())   # doctest: +SKIP
>>> execution.status, execution.stdout                 # doctest: +SKIP
(<Status.FINISHED: 'finished'>, b'42\n')
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

LevelName = Literal["strict", "processes"]
"""Name of a minimum isolation, strongest first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of one program. Exceeding one ends it; the execution's status says which."""

    cpu_s: float = 10.0
    """CPU seconds of all its processes together."""
    wall_s: float = 20.0
    """Wall-clock seconds; a program that uses no CPU is ended much earlier."""
    memory_mb: int = 1024
    """Memory of all its processes together."""
    processes: int = 64
    """Concurrent processes and threads."""
    output_kb: int = 1024
    """Limit for standard output and for standard error, each."""
    answers_mb: int = 32
    """Limit for the answer channel; decoded answers take many times as much memory."""
    file_mb: int = 64
    """Limit for all files written together and for any single file, the answer channel included."""
    descriptors: int = 256
    """Open files per process."""
    compile_s: float = 60.0
    """Wall-clock seconds for the compiler, not counted in the program's own time."""
    call_s: tuple[float, ...] = ()
    """CPU seconds of each call of a `Calls`; the last value applies to all further calls. Empty:
    only the program as a whole is limited."""
    first_calls: int = 0
    """Number of calls that `call_s` does not limit, but `first_s`."""
    first_s: float = 0.0
    """CPU seconds of importing the program and its first `first_calls` calls, all together."""
    expected_s: float = 0.0
    """CPU seconds that a right program takes, if known; a hint for scheduling, not a limit."""


ContinueCheck = Callable[[int, bytes], bool]
"""Takes the number and the line of an answer; returns whether the program should continue."""


@dataclass(frozen=True, slots=True)
class Script:
    """Run the source as a main program."""

    stdin: bytes = b""
    """Standard input."""
    hidden: bool = False
    """Keep the source out of any file that the program can read; an interpreter then reads the
    program from standard input instead of `stdin`. No effect for Python."""
    should_continue: ContinueCheck | None = field(default=None, repr=False, compare=False)
    """Called while the program runs for each line of the answer channel, as in `Calls`."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Load the source (Python only), call one of its functions and return the answers."""

    entry_point: str
    """Name of the function."""
    inputs: bytes = field(repr=False)
    """A list of arguments per call, each encoded by `safe_codec` and prefixed with its `SIZE`."""
    should_continue: ContinueCheck | None = field(default=None, repr=False, compare=False)
    """Called while the program runs with the number and line of an answer; False ends the program,
    because no further answer matters. It is not guaranteed to see every answer."""


@dataclass(frozen=True, slots=True)
class Asserts:
    """Run a Python test in its own process, which can only call the source's functions.

    The source's process never has access to the test.
    """

    entry_points: tuple[str, ...]
    """Names of the source that the test may call."""
    test: str = field(repr=False)
    """Source of the test; the entry points are its globals."""
    check: str | None
    """A function of the test to call with the first entry point, or None."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Run the source followed by a test as one program (not Python), sealed with a token."""

    test: str = field(repr=False)
    """The test, in the source's language, in MultiPL-E's form."""


Task = Script | Calls | Asserts | Sealed


@dataclass(frozen=True, slots=True)
class Program:
    """Source text and the task to run on it."""

    language: str
    """A key of `evolcoder.programming_language.LANGUAGES` that the sandbox can run."""
    source: str = field(repr=False)
    """Program text; text that is not valid UTF-8 does not compile."""
    task: Task = Script()
    """How to run it."""


class Status(StrEnum):
    """How an execution ended."""

    FINISHED = "finished"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    COMPILE_ERROR = "compile_error"
    STOPPED = "stopped"
    """Ended by the task's `should_continue`."""


class Layer(StrEnum):
    """One protection that can be active. Values are stored; never rename one."""

    USER = "user namespace"
    MOUNT = "mount namespace"
    PID = "pid namespace"
    NETWORK = "no network"
    IPC = "ipc namespace"
    UTS = "uts namespace"
    SECCOMP = "seccomp"
    LANDLOCK = "landlock"
    NO_NEW_PRIVILEGES = "no new privileges"
    NO_CAPABILITIES = "no capabilities"
    UNPRIVILEGED = "unprivileged uid"
    MEMORY = "memory limit"
    PROCESSES = "process limit"
    CGROUP = "cgroup"


STRICT_LAYERS = (
    Layer.USER,
    Layer.MOUNT,
    Layer.PID,
    Layer.NETWORK,
    Layer.NO_NEW_PRIVILEGES,
    Layer.NO_CAPABILITIES,
    Layer.UNPRIVILEGED,
    Layer.MEMORY,
    Layer.PROCESSES,
)
"""Layers that the level `strict` requires."""
PROCESSES_LAYERS = (
    Layer.NETWORK,
    Layer.SECCOMP,
    Layer.LANDLOCK,
    Layer.NO_NEW_PRIVILEGES,
    Layer.NO_CAPABILITIES,
    Layer.UNPRIVILEGED,
    Layer.MEMORY,
    Layer.PROCESSES,
)
"""Layers that the level `processes` requires: all those that need no namespaces."""


@dataclass(frozen=True, slots=True)
class Execution:
    """Result of one program. Everything but times, sizes and layers is untrusted program output."""

    status: Status
    """How the execution ended."""
    exit_code: int | None
    """Exit code, or minus the terminating signal; None if the sandbox ended the program."""
    stdout: bytes = field(repr=False)
    """Standard output, cut at the limit."""
    stderr: bytes = field(repr=False)
    """Standard error, cut at the limit; compiler output if the program did not compile."""
    answers: bytes = field(repr=False)
    """Content of the answer channel: the findings of an `Asserts` test; otherwise whatever the
    candidate wrote."""
    checks: int | None
    """For a sealed test with the right token: number of checks it confirms. None otherwise and for
    every other task."""
    failed_check: int | None
    """For a sealed test that exited by itself: number of the failed check; -1 if one failed and its
    number is unknown, None if no failure is known."""
    cpu_s: float
    """CPU seconds used, children included."""
    wall_s: float
    """Wall-clock seconds, compilation excluded."""
    peak_mb: float
    """Peak memory of all its processes together, as far as observed."""
    compile_s: float
    """Wall-clock seconds of the compiler; 0 without one."""
    layers: tuple[Layer, ...]
    """Active protections."""
    missing: tuple[Layer, ...]
    """Inactive protections."""


class Sandbox(Protocol):
    """Runs programs; safe to use from many coroutines of one event loop."""

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program to completion or to its limits; raise SandboxError on sandbox failure."""
        ...

    async def aclose(self) -> None:
        """End all programs and release all resources; the sandbox is unusable afterwards."""
        ...


class Kind(StrEnum):
    """Outcome of grading. Values are stored and reported; never rename one."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    COMPILE_ERROR = "compile_error"
    NO_TESTS = "no_tests"
    FORGED = "forged"


class Separation(StrEnum):
    """How the candidate was separated from the code that judges it, strongest first."""

    PARENT = "parent"
    """Inputs, expected values and the comparison stayed outside the candidate's process."""
    PROXY = "proxy"
    """The test ran in another process and received plain data only."""
    TOKEN = "token"  # noqa: S105 - a kind of separation
    """The test ran in the candidate's process; a random token confirms that it reached its end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of running checks against a candidate."""

    kind: Kind
    """The outcome."""
    check: int | None
    """Number of the deciding check, counted from 0; None if no check decided."""
    outcomes: tuple[bool, ...] = field(repr=False)
    """Outcome of every check that ran, in order; empty if checks are not distinguished."""
    expected: str
    """What the deciding check expected, shortened."""
    got: str
    """What the deciding check got, shortened."""
    detail: str
    """Further detail in one line."""
    separation: Separation
    """How the candidate was separated from the judging code."""
    execution: Execution = field(repr=False)
    """The execution that was graded."""

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return self.kind is Kind.PASSED


def missing_from(
    layers: Sequence[str], wanted: Sequence[Layer] = tuple(Layer)
) -> tuple[Layer, ...]:
    """Return the wanted layers that are not active, in their order."""
    return tuple(layer for layer in wanted if layer not in layers)


def layers_text(layers: Sequence[str]) -> str:
    """Format active and inactive layers as one line."""
    missing = missing_from(layers)
    return f"{', '.join(layers)}; not active: {', '.join(missing) if missing else 'none'}"
