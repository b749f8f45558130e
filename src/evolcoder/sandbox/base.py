r"""The contract with sandboxes: a program goes in, what became of it comes out.

Promises: a program that fails, loops, floods or attacks is an `Execution`; nothing that it does
outlives the call, and nothing passes from it to the next program. A failure of the sandbox itself
is a `SandboxError` and never an execution. Every execution names the layers that held it.
Does not promise that two runs take equally long, nor that a program computes anything sensible.

>>> program = Program("python", "print(6 * 7)")
>>> execution = await sandbox.run(program, Limits())   # doctest: +SKIP
>>> execution.status, execution.stdout                 # doctest: +SKIP
(<Status.FINISHED: 'finished'>, b'42\n')
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use. Going over a limit ends it, and the execution says which."""

    cpu_s: float = 10.0
    """Processor seconds of all its processes together."""
    wall_s: float = 20.0
    """Seconds by the clock at most; a program that uses no processor is ended long before."""
    memory_mb: int = 1024
    """Memory of all its processes together."""
    processes: int = 64
    """Processes and threads at one time."""
    output_kb: int = 1024
    """Standard output and standard error, each."""
    answers_mb: int = 32
    """What comes back over the channel of answers; decoded, it takes many times as much."""
    file_mb: int = 64
    """Everything that it writes to files, and any single file; the channel of answers is one."""
    descriptors: int = 256
    """Open files of one process."""
    compile_s: float = 60.0
    """Seconds by the clock for the compiler, which the program's own time does not include."""
    call_s: tuple[float, ...] = ()
    """Processor seconds of each call of a `Calls`, the last one for all that follow; empty where
    only the program as a whole is limited."""


GoesOn = Callable[[int, bytes], bool]
"""Says of the number and the line of an answer whether the program goes on."""


@dataclass(frozen=True, slots=True)
class Script:
    """Run the source as a main program."""

    stdin: bytes = b""
    """What it can read."""
    hidden: bool = False
    """Leave the source in no file that the program can read; an interpreter then gets the program
    on standard input in place of the above. Does nothing for Python."""
    goes_on: GoesOn | None = field(default=None, repr=False, compare=False)
    """Looks, while the program runs, at the lines that it writes to the channel of answers, as
    `Calls.goes_on` does."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Load the source (Python only), call one function of it, and bring the answers back."""

    entry_point: str
    """Name of the function."""
    inputs: bytes = field(repr=False)
    """A list of arguments for every call, each by `wire.trusted`, its length (`SIZE`) before it."""
    goes_on: GoesOn | None = field(default=None, repr=False, compare=False)
    """Looks, while the program runs, at the number and the line of an answer; False ends it, since
    nothing that it could still answer matters. Which answers it sees is not promised."""


@dataclass(frozen=True, slots=True)
class Asserts:
    """Run a Python test in a process of its own that can only call the source's functions.

    The process that holds the source never holds the test.
    """

    entry_points: tuple[str, ...]
    """Names of the source that the test may call."""
    test: str = field(repr=False)
    """Source of the test; it sees the entry points as globals."""
    check: str | None
    """A function of the test that is called with the first entry point, or None."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """Run the source and a test behind it as one program (not Python), sealed with a token."""

    test: str = field(repr=False)
    """The test, in the source's language, as MultiPL-E writes it."""


Task = Script | Calls | Asserts | Sealed


@dataclass(frozen=True, slots=True)
class Program:
    """Source text and what to do with it."""

    language: str
    """A key of `evolcoder.text.LANGUAGES` that the sandbox knows how to run."""
    source: str = field(repr=False)
    """The program as text; what is not valid UTF-8 cannot compile."""
    task: Task = Script()
    """What to do with it."""


class Status(StrEnum):
    """How an execution ended."""

    FINISHED = "finished"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    COMPILE_ERROR = "compile_error"
    STOPPED = "stopped"
    """Ended by its task's `goes_on`."""


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


STRICT = (
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
"""The layers below which the level `strict` refuses to run."""
FENCED = (
    Layer.NETWORK,
    Layer.SECCOMP,
    Layer.LANDLOCK,
    Layer.NO_NEW_PRIVILEGES,
    Layer.NO_CAPABILITIES,
    Layer.UNPRIVILEGED,
    Layer.MEMORY,
    Layer.PROCESSES,
)
"""The layers below which the level `processes` refuses to run: all that needs no namespaces."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What became of a program. All of it but the times, sizes and layers is the program's word."""

    status: Status
    """How it ended."""
    exit_code: int | None
    """Exit code, or minus the signal that ended it; None where the sandbox ended it."""
    stdout: bytes = field(repr=False)
    """Standard output up to the limit."""
    stderr: bytes = field(repr=False)
    """Standard error up to the limit; for a program that did not compile, what the compiler said.
    """
    answers: bytes = field(repr=False)
    """What came over the channel of answers: of a test that ran apart, its findings; of anything
    else, whatever the candidate wrote."""
    checks: int | None
    """Of a sealed test, how many checks it vouches for with the right token; None where it does not
    vouch, and for every other task."""
    failed_check: int | None
    """Of a sealed test that ended by itself, the number of the check that did not hold, as far as
    can be seen; -1 where one did not and it is not said which, None where none is known of."""
    cpu_s: float
    """Processor seconds used, children included."""
    wall_s: float
    """Seconds by the clock, without compiling."""
    peak_mb: float
    """Most memory that all its processes held together, as far as it was seen."""
    compile_s: float
    """Seconds by the clock that the compiler took; 0 where there is none."""
    layers: tuple[Layer, ...]
    """Protections that were active."""
    missing: tuple[Layer, ...]
    """Protections that were not."""


class Sandbox(Protocol):
    """Runs programs; safe to call from many coroutines of one event loop."""

    async def run(self, program: Program, limits: Limits) -> Execution:
        """Run one program to its end or to its limits, or raise SandboxError."""
        ...

    async def aclose(self) -> None:
        """End whatever still runs and give everything back. The sandbox is not used again."""
        ...


class Kind(StrEnum):
    """What grading found. Values are stored and reported; never rename one."""

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
    """What kept the candidate from its own verdict, strongest first."""

    PARENT = "parent"
    """Inputs, expected values and comparison stayed outside of the candidate's process."""
    PROXY = "proxy"
    """The test ran in another process and saw plain data only."""
    TOKEN = "token"  # noqa: S105 - a kind of separation
    """The test ran in the candidate's process; a random token vouches for its last line."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What running checks against a candidate found."""

    kind: Kind
    """The finding."""
    check: int | None
    """Number of the check that decided it, counted from 0; None if none did."""
    outcomes: tuple[bool, ...] = field(repr=False)
    """Outcome of every check that ran, in order; empty where checks are not told apart."""
    expected: str
    """What the deciding check wanted, shortened."""
    got: str
    """What it got, shortened."""
    detail: str
    """What else there is to say, in one line."""
    separation: Separation
    """What kept the candidate from its verdict."""
    execution: Execution = field(repr=False)
    """The run behind it."""

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return self.kind is Kind.PASSED


def missing_from(
    layers: Sequence[str], wanted: Sequence[Layer] = tuple(Layer)
) -> tuple[Layer, ...]:
    """Name the wanted layers that are not active, in their order."""
    return tuple(layer for layer in wanted if layer not in layers)


def layers_text(layers: Sequence[str]) -> str:
    """Name in a line the layers that were active and those that were not."""
    missing = missing_from(layers)
    return f"{', '.join(layers)}; not active: {', '.join(missing) if missing else 'none'}"
