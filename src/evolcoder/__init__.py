"""evolcoder evolves coding instructions into a harder, answered, exportable training set.

`import evolcoder as ec` gives the verbs of `evolcoder.api` and the records they work on. The names
in `__all__` are public; everything else may change between minor versions. They are loaded when
they are first used, so that the command line answers at once.
"""

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from evolcoder.api import (
        compare,
        compare_async,
        decontaminate,
        decontaminate_async,
        dedup,
        dedup_async,
        evaluate,
        evaluate_async,
        evolve,
        evolve_async,
        export,
        read,
        similarity,
        similarity_async,
        to_dataset,
        train,
        train_async,
        verify,
        verify_async,
    )
    from evolcoder.api_objects import Model, Sandbox, open_model
    from evolcoder.config.load import Config
    from evolcoder.decontamination.similarity import TaskSimilarity
    from evolcoder.engine.base import Completion, Engine, Message, Request, Role, Sampling
    from evolcoder.errors import EngineError, EvolcoderError, SandboxError, UserError
    from evolcoder.records import (
        Check,
        CheckResult,
        Drop,
        Reason,
        Response,
        Row,
        Stage,
        Task,
        Usage,
    )
    from evolcoder.results import (
        Decontaminated,
        Deduplicated,
        EvaluationResult,
        Run,
        Verified,
    )
    from evolcoder.sandbox.base import Execution, Limits
    from evolcoder.storage.run_store import RunStore

__version__ = "0.1.0"

_HOMES = {
    "evolcoder.api": (
        "compare",
        "compare_async",
        "decontaminate",
        "decontaminate_async",
        "dedup",
        "dedup_async",
        "evaluate",
        "evaluate_async",
        "evolve",
        "evolve_async",
        "export",
        "read",
        "similarity",
        "similarity_async",
        "to_dataset",
        "train",
        "train_async",
        "verify",
        "verify_async",
    ),
    "evolcoder.api_objects": ("Model", "Sandbox", "open_model"),
    "evolcoder.config.load": ("Config",),
    "evolcoder.decontamination.similarity": ("TaskSimilarity",),
    "evolcoder.engine.base": ("Completion", "Engine", "Message", "Request", "Role", "Sampling"),
    "evolcoder.errors": ("EngineError", "EvolcoderError", "SandboxError", "UserError"),
    "evolcoder.records": (
        "Check",
        "CheckResult",
        "Drop",
        "Reason",
        "Response",
        "Row",
        "Stage",
        "Task",
        "Usage",
    ),
    "evolcoder.results": ("Decontaminated", "Deduplicated", "EvaluationResult", "Run", "Verified"),
    "evolcoder.sandbox.base": ("Execution", "Limits"),
    "evolcoder.storage.run_store": ("RunStore",),
}

__all__ = [
    "Check",
    "CheckResult",
    "Completion",
    "Config",
    "Decontaminated",
    "Deduplicated",
    "Drop",
    "Engine",
    "EngineError",
    "EvaluationResult",
    "EvolcoderError",
    "Execution",
    "Limits",
    "Message",
    "Model",
    "Reason",
    "Request",
    "Response",
    "Role",
    "Row",
    "Run",
    "RunStore",
    "Sampling",
    "Sandbox",
    "SandboxError",
    "Stage",
    "Task",
    "TaskSimilarity",
    "Usage",
    "UserError",
    "Verified",
    "compare",
    "compare_async",
    "decontaminate",
    "decontaminate_async",
    "dedup",
    "dedup_async",
    "evaluate",
    "evaluate_async",
    "evolve",
    "evolve_async",
    "export",
    "open_model",
    "read",
    "similarity",
    "similarity_async",
    "to_dataset",
    "train",
    "train_async",
    "verify",
    "verify_async",
]


def __getattr__(name: str) -> object:
    import importlib  # noqa: PLC0415 - as above

    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'evolcoder' has no attribute {name!r}")
