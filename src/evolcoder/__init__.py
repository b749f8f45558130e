"""evolcoder evolves coding instructions into a harder, answered, exportable training set.

The names below are the public face; everything else may change between minor versions.
"""

from evolcoder.config import Config
from evolcoder.engine.base import Completion, Engine, Message, Request, Role, Sampling
from evolcoder.errors import EngineError, EvolcoderError, UserError
from evolcoder.records import Drop, Made, Reason, Response, Row, Stage, Task
from evolcoder.store import RunStore

__version__ = "0.1.0"

__all__ = [
    "Completion",
    "Config",
    "Drop",
    "Engine",
    "EngineError",
    "EvolcoderError",
    "Made",
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
    "UserError",
]
