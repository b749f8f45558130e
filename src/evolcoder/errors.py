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
"""


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
