"""evolcoder evolves coding instructions into a harder, answered, exportable training set.

The names in `__all__` are the public face; everything else may change between minor versions. They
are loaded when they are first used, so that the command line answers at once.
"""

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from evolcoder.config.load import Config
    from evolcoder.engine.base import Completion, Engine, Message, Request, Role, Sampling
    from evolcoder.errors import EngineError, EvolcoderError, UserError
    from evolcoder.records import Drop, Reason, Response, Row, Stage, Task, Usage
    from evolcoder.storage.run_store import RunStore

__version__ = "0.1.0"

__all__ = [
    "Completion",
    "Config",
    "Drop",
    "Engine",
    "EngineError",
    "EvolcoderError",
    "Message",
    "Reason",
    "Request",
    "Response",
    "Role",
    "Row",
    "RunStore",
    "Sampling",
    "Stage",
    "Task",
    "Usage",
    "UserError",
]

_HOMES = {
    "evolcoder.config.load": ("Config",),
    "evolcoder.engine.base": ("Completion", "Engine", "Message", "Request", "Role", "Sampling"),
    "evolcoder.errors": ("EngineError", "EvolcoderError", "UserError"),
    "evolcoder.records": ("Drop", "Usage", "Reason", "Response", "Row", "Stage", "Task"),
    "evolcoder.storage.run_store": ("RunStore",),
}


def __getattr__(name: str) -> object:
    import importlib  # noqa: PLC0415 - as above

    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'evolcoder' has no attribute {name!r}")
