"""All exceptions of evolcoder in one tree, and messages for operating system errors.

    EvolcoderError
    |-- UserError             the request cannot be fulfilled as made: one line, exit 2
    |   |-- ConfigError       a config file, a key or a flag
    |   |-- SeedsError        a file or data set of seeds
    |   |-- RunFolderError    a run folder that cannot be used
    |   |-- ModelError        an unavailable model, or a server that rejects requests permanently
    |   |-- BenchError        a benchmark's data, a file of samples, or incomparable scores
    |   |-- TrainError        data, a base model or a recipe unusable for training
    |   `-- SandboxRefusedError  this machine cannot provide the requested protection
    |-- BudgetReached         a limit set by the user: exit 3, resumable
    |-- StepFailed            a step of a loop, or a server that it needs, failed: resumable
    |-- EngineError           one request failed; its `fault` says whose fault that is
    |-- SandboxError          the sandbox itself failed; says nothing about the program
    |-- ClusterError          a cluster lost all its nodes: resumable
    |-- NodeLostError         one node of a cluster died; its work goes to others
    |-- UnjudgedError         judging one answer failed; other answers are unaffected
    `-- StoreError            a database could not be read or written

A candidate's failure (a refusal, a wrong program) is data and never an exception.

>>> fixable_error_text(OSError(errno.ENOSPC, "No space left on device", "x.json"))
'x.json: No space left on device; free space or fix the permissions'
"""

import errno
import os
import resource
from collections.abc import Iterator
from enum import StrEnum


class EvolcoderError(Exception):
    """Base of all errors of this package."""


class UserError(EvolcoderError):
    """The user can fix this; the message is one line and says how."""


class ConfigError(UserError):
    """A config file, a key or a flag is wrong."""


class SeedsError(UserError):
    """Seeds cannot be read."""


class RunFolderError(UserError):
    """A run folder cannot be opened, written, or resumed with this config."""


class ModelError(UserError):
    """A model is unknown, damaged or unreachable, or its server rejects key or name."""


class BenchError(UserError):
    """A benchmark's data or a file of samples cannot be used, or scores cannot be compared."""


class TrainError(UserError):
    """Rows, a base model or a recipe are unusable for training, or a training failed."""


class SharedTrainError(TrainError):
    """A TrainError that all processes of a training raise together, so one of them prints it."""


class LostProcessError(TrainError):
    """Another process of a training has ended; it says why, or its launcher does."""


class SandboxRefusedError(UserError):
    """Less protection is available than requested, so nothing was run."""


class BudgetReached(EvolcoderError):  # noqa: N818 - no error: the user asked for it
    """A limit set by the user stopped the run; a higher limit resumes it."""


class StepFailed(EvolcoderError):  # noqa: N818 - it names what happened
    """A step of a loop, or a server that it needs, failed; the same command resumes."""


class StoreError(EvolcoderError):
    """A database could not be read or written."""


class SandboxError(EvolcoderError):
    """The sandbox failed twice. It allows no verdict on the program."""


class ClusterError(EvolcoderError):
    """No node of a cluster is left; the same command resumes."""


class NodeLostError(EvolcoderError):
    """A node of a cluster died. Never leaves the package `cluster`."""


class UnjudgedError(EvolcoderError):
    """Judging one answer failed. Raised only by `sample_errors.judging`."""


class Fault(StrEnum):
    """Whose fault a failed request is, which decides how a command goes on."""

    SETUP = "set-up"
    """The user's set-up: no request can succeed until it is fixed, so the command stops."""
    MOMENT = "moment"
    """The server's moment: it may succeed later; after the last retry the command stops."""
    REQUEST = "request"
    """This request: its row is dropped, and the others go on."""


class EngineError(EvolcoderError):
    """One request failed.

    `asked` names the model and server, `got` is the server's words (shortened). `retryable` says
    whether the same request may succeed later, by itself (MOMENT) or once the user has fixed the
    set-up (SETUP); if not, only this request is at fault.
    """

    def __init__(  # noqa: PLR0913 - what is known of a failure
        self,
        message: str,
        *,
        asked: str,
        got: str = "",
        retryable: bool,
        fault: Fault | None = None,
        rejected: bool = True,
        hint: Fault | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(f"{message} (asked {asked}{f'; got {got}' if got else ''})")
        self.message = message
        self.asked = asked
        self.got = got
        self.retryable = retryable
        self.fault = fault or (Fault.MOMENT if retryable else Fault.REQUEST)
        self.rejected = rejected
        """Whether the server refused the request, rather than failed at it."""
        self.hint = hint
        """Whose fault the server's words name; None if they name none."""
        self.advice = advice
        """What is wrong and what to do if the set-up is at fault; may be empty."""


NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
FIXABLE_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
)
"""Errors that the user can fix by freeing space or changing permissions."""
SQLITE_FILES = 3
"""Files that SQLite opens for one database."""
ENOUGH_DESCRIPTORS = 4096
"""Enough for everything except very many concurrent requests."""
_REMEDIES = {
    errno.EAGAIN: "raise the process limit, for example with `ulimit -u 4096`",
    errno.ENOMEM: "free some memory and run it again",
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENXIO), "check the disk"),
}
_OTHER_REMEDIES = (
    (
        MemoryError,
        "",
        "out of memory; free some or raise the limit, for example with `ulimit -v`",
    ),
    (RuntimeError, "can't start new thread", f"cannot start a thread; {_REMEDIES[errno.EAGAIN]}"),
)


def fixable_error_text(failure: OSError) -> str | None:
    """Describe an operating system error that the user can fix; None for other errors."""
    if failure.errno in NO_DESCRIPTORS:
        return too_few_descriptors()
    if failure.errno in FIXABLE_ERRNOS:
        return f"{_place(failure)}{failure.strerror}; free space or fix the permissions"
    return None


def system_error_text(error: BaseException) -> str | None:
    """Describe the operating system error behind an exception in one line; None if there is none.

    The exception itself, its causes and the members of its groups are searched.
    """
    return next(filter(None, map(_one_error_text, _related_errors(error))), None)


def too_few_descriptors() -> str:
    """Return the message for too few file descriptors."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"too few file descriptors: this process may open {most} files and pipes; "
        f"raise the limit, for example with `ulimit -n {ENOUGH_DESCRIPTORS}`, and run it again"
    )


def descriptors_exhausted(few: int = SQLITE_FILES) -> bool:
    """Return whether this process cannot open `few` more files."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(few))
    except OSError as failure:
        return failure.errno in NO_DESCRIPTORS
    finally:
        for one in opened:
            os.close(one)
    return False


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the limit of open files to `wanted` as far as the system allows; return the new limit.

    The usual default is 1,024 with a higher hard limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def _related_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its causes and the members of its groups."""
    left, seen = [error], set()
    while left:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += getattr(one, "exceptions", ())
        left += [cause for cause in (one.__cause__,) if cause is not None]


def _one_error_text(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        return _os_error_text(error)
    if isinstance(error, ImportError) and os.strerror(errno.EMFILE) in str(error):
        return too_few_descriptors()
    for kind, words, remedy in _OTHER_REMEDIES:
        if isinstance(error, kind) and words in str(error):
            return remedy
    return None


def _os_error_text(error: OSError) -> str | None:
    if (text := fixable_error_text(error)) is not None:
        return text
    remedy = _REMEDIES.get(error.errno or 0, "fix that and run it again")
    is_of_place = isinstance(error.filename, str | bytes) or error.errno in _REMEDIES
    return f"{_place(error)}{error.strerror}; {remedy}" if is_of_place and error.errno else None


def _place(failure: OSError) -> str:
    name = failure.filename
    return f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) and name else ""
