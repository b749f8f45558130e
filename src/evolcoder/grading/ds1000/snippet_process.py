"""Runs snippets in the candidate's process, and answers the harness process's queries on objects.

Untrusted once a snippet has run. Inputs are pickled, since the trusted harness process creates
them; results are plain data (`codec`), or a reference to an object that stays in this process.
"""

import importlib
import operator
import pickle
import random
import sys
from collections.abc import Callable
from typing import Any

from evolcoder.grading.ds1000.codec import dumps, loads

_objects: list[Any] = []
"""Objects that the harness process has references to."""


def run(code: str, pickled_state: bytes) -> bytes:
    """Execute a snippet with the given globals; return its `result`, if any, as a list."""
    state = pickle.loads(pickled_state)  # noqa: S301 - from the trusted harness process
    _set_random(state)
    names = state["names"]
    exec(code, names)  # noqa: S102 - the candidate, in its own process
    return dumps([names["result"]] if "result" in names else [], _refer)


def query(action: str, operands: bytes) -> bytes:
    """Apply an operation of `_ACTIONS` to objects of this process."""
    return dumps(_ACTIONS[action](*loads(operands, lambda rest: _objects[rest[0]])), _refer)


def _set_random(state: dict[str, Any]) -> None:
    """Continue the harness process's random number sequences, as if in one process."""
    random.setstate(state["random"])
    if state["numpy"] is not None:
        importlib.import_module("numpy").random.set_state(state["numpy"])
    if state["torch"] is not None:
        importlib.import_module("torch").set_rng_state(state["torch"])


def _refer(value: Any) -> tuple[Any, ...]:  # noqa: ANN401
    _objects.append(value)
    kind = type(value)
    return ("ref", len(_objects) - 1, kind.__module__, kind.__qualname__)


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
