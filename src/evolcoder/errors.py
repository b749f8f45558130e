"""Everything that evolcoder raises, in one tree.

    EvolcoderError
    |-- UserError             what was asked cannot be done as asked: one line, exit 2
    |   |-- ConfigError       a config file, a key or a flag
    |   |-- SeedsError        a file or data set of seeds
    |   |-- RunFolderError    a run folder that cannot be used
    |   |-- ModelError        a model that cannot be had, or a server that says no for good
    |   |-- BenchError        a benchmark's data, a file of samples, or scores that do not compare
    |   |-- TrainError        data, a base model or a recipe that cannot be trained with
    |   `-- SandboxRefusedError  this machine cannot protect as well as was asked for
    |-- BudgetReached         a limit that the user set: exit 3, resumable
    |-- StepFailed            a step of a loop, or a server that it needs, ended badly: resumable
    |-- EngineError           one request failed, for good or after the last retry
    |-- SandboxError          the sandbox itself failed; says nothing about the program
    |-- UnjudgedError         one answer could not be judged: its own outcome, and no other's
    `-- StoreError            a database could not be read or written

A candidate's failure (a refusal, a wrong program) is data and never an exception.

What the system refuses to a process for want of room, rights or descriptors, in one line.

>>> mendable(OSError(errno.ENOSPC, "No space left on device", "x.json"))
'x.json: No space left on device; make room or mend the rights'
"""

import errno
import os
import resource
from collections.abc import Iterator


class EvolcoderError(Exception):
    """Base of all errors of this package."""


class UserError(EvolcoderError):
    """The user can mend this; the message is one line and says how."""


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
    """Rows, a base model or a recipe cannot be trained with, or a training went wrong."""


class SandboxRefusedError(UserError):
    """Less protection is to be had here than was asked for, so nothing was run."""


class BudgetReached(EvolcoderError):  # noqa: N818 - no error: the user asked for it
    """A limit set by the user stops the run; a higher limit resumes it."""


class StepFailed(EvolcoderError):  # noqa: N818 - it names what happened
    """A step of a loop, or a server that it needs, ended badly; the same command goes on."""


class StoreError(EvolcoderError):
    """A database could not be read or written."""


class SandboxError(EvolcoderError):
    """The sandbox failed, twice. No verdict can be drawn from it."""


class UnjudgedError(EvolcoderError):
    """What judges one answer failed at it. Raised by `guard.judging` alone."""


class EngineError(EvolcoderError):
    """One request failed.

    `asked` names the model and server, `got` is what came back (shortened), and
    `retryable` says whether the same request may succeed later. A request that is not
    retryable was rejected for what it holds; other requests may still succeed.
    """

    def __init__(self, message: str, *, asked: str, got: str = "", retryable: bool) -> None:
        super().__init__(f"{message} (asked {asked}{f'; got {got}' if got else ''})")
        self.asked = asked
        self.got = got
        self.retryable = retryable


NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
NO_ROOM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
)
"""Errors that more room or other permissions mend."""
FEW = 3
"""Files that SQLite opens for one database."""
ENOUGH = 4096
"""Descriptors that are enough for all that is done here but very many requests at a time."""
_REMEDIES = {
    errno.EAGAIN: "raise the limit of processes, such as by `ulimit -u 4096`",
    errno.ENOMEM: "free some memory, and run it again",
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENXIO), "look after the disk"),
}
_OTHERS = (
    (MemoryError, "", "out of memory; free some, or raise the limit, such as by `ulimit -v`"),
    (RuntimeError, "can't start new thread", f"no thread starts; {_REMEDIES[errno.EAGAIN]}"),
)


def mendable(failure: OSError) -> str | None:
    """Say what the user can do about an error of the system; None where it is another kind."""
    if failure.errno in NO_DESCRIPTORS:
        return too_few_descriptors()
    if failure.errno in NO_ROOM:
        return f"{_place(failure)}{failure.strerror}; make room or mend the rights"
    return None


def told_of(error: BaseException) -> str | None:
    """Say in a line which fault of the system an error comes from; None where it comes from none.

    An error that nobody foresaw where it was raised has it as itself, as its cause or in its group.
    """
    return next(filter(None, map(_told_of_one, _causes(error))), None)


def too_few_descriptors(needed: int = ENOUGH) -> str:
    """Say that this process may open too few files."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"too few file descriptors: this process may open {most} files and pipes; "
        f"raise the limit, such as by `ulimit -n {needed}`, and run it again"
    )


def lacks_descriptors(few: int = FEW) -> bool:
    """Tell whether no more files can be opened here."""
    opened: list[int] = []
    try:
        opened.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(few))
    except OSError as failure:
        return failure.errno in NO_DESCRIPTORS
    finally:
        for one in opened:
            os.close(one)
    return False


def allow_descriptors(wanted: int) -> int:
    """Let this process open so many files, as far as the system allows; return how many it may.

    Shells give 1,024 and allow more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error, what it was raised from, and what is in it where it is a group."""
    left, seen = [error], set()
    while left:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += getattr(one, "exceptions", ())
        left += [cause for cause in (one.__cause__,) if cause is not None]


def _told_of_one(error: BaseException) -> str | None:
    if isinstance(error, OSError):
        return _told_of_system(error)
    if isinstance(error, ImportError) and os.strerror(errno.EMFILE) in str(error):
        return too_few_descriptors()
    for kind, words, remedy in _OTHERS:
        if isinstance(error, kind) and words in str(error):
            return remedy
    return None


def _told_of_system(error: OSError) -> str | None:
    if (said := mendable(error)) is not None:
        return said
    remedy = _REMEDIES.get(error.errno or 0, "mend that, and run it again")
    is_of_place = isinstance(error.filename, str | bytes) or error.errno in _REMEDIES
    return f"{_place(error)}{error.strerror}; {remedy}" if is_of_place and error.errno else None


def _place(failure: OSError) -> str:
    name = failure.filename
    return f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) and name else ""
