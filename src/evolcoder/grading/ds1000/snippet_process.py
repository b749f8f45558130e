"""What answers in the candidate's process: runs snippets and looks things up for the judge.

Nothing here is trusted once a snippet has run. Inputs come pickled, since the judge made them; what
goes back is plain data (`codec`), or a number that stands for something that stays here.
"""

import importlib
import operator
import pickle
import random
import sys
from collections.abc import Callable
from typing import Any

from evolcoder.grading.ds1000.codec import dumps, loads

_held: list[Any] = []


def run(code: str, given: bytes) -> bytes:
    """Execute a snippet in the names that were given, and return its `result`, if it has one."""
    state = pickle.loads(given)  # noqa: S301 - from the judge
    _set_random(state)
    names = state["names"]
    exec(code, names)  # noqa: S102 - the candidate, in its own process
    return dumps([names["result"]] if "result" in names else [], _refer)


def look(action: str, operands: bytes) -> bytes:
    """Do one thing with something that stayed here."""
    return dumps(_ACTIONS[action](*loads(operands, lambda rest: _held[rest[0]])), _refer)


def _set_random(state: dict[str, Any]) -> None:
    """Go on with random numbers where the judge stands, as in one process."""
    random.setstate(state["random"])
    if state["numpy"] is not None:
        importlib.import_module("numpy").random.set_state(state["numpy"])
    if state["torch"] is not None:
        importlib.import_module("torch").set_rng_state(state["torch"])


def _refer(value: Any) -> tuple[Any, ...]:  # noqa: ANN401
    _held.append(value)
    kind = type(value)
    return ("ref", len(_held) - 1, kind.__module__, kind.__qualname__)


def _call(target: Any, args: list[Any], named: dict[str, Any]) -> Any:  # noqa: ANN401
    return target(*args, **named)


_ACTIONS: dict[str, Callable[..., Any]] = {
    "module": lambda name: sys.modules.get(name) or importlib.import_module(name),
    "call": _call,
    "attribute": getattr,
    "length": len,
    "item": operator.getitem,
    "iterate": iter,
    "next": next,
    "int": int,
    "float": float,
}
