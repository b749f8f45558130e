"""Runs coroutines for callers that are not asynchronous, also where an event loop is running.

>>> double = blocking_twin(double_async)   # doctest: +SKIP
>>> double(2)   # doctest: +SKIP
4
"""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")
LOOK_UP_S = 0.5
"""How often a wait for another thread is interrupted, so that signals are heard."""


def _blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop is running in this thread.

    Ctrl-C cancels it, waits until it has stored what it has, and raises KeyboardInterrupt.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return _in_thread(work)


def _in_thread(work: Coroutine[Any, Any, T]) -> T:
    runner = asyncio.Runner()
    outcome: list[T] = []
    failure: list[BaseException] = []
    tasks: list[asyncio.Task[T]] = []

    async def tracked() -> T:
        tasks.append(cast("asyncio.Task[T]", asyncio.current_task()))
        return await work

    def run() -> None:
        try:
            with runner:
                outcome.append(runner.run(tracked()))
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
            failure.append(error)

    thread = threading.Thread(target=run, name="evolcoder", daemon=True)
    thread.start()
    caller = asyncio.current_task()
    try:
        while thread.is_alive():
            thread.join(LOOK_UP_S)
            if caller is not None and caller.cancelling():  # `asyncio.run` handles SIGINT so
                raise asyncio.CancelledError
    except (KeyboardInterrupt, asyncio.CancelledError):
        for task in tasks:
            task.get_loop().call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if failure:
        raise failure[0]
    return outcome[0]


def blocking_twin(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make the synchronous twin of an `_async` verb."""

    @functools.wraps(verb)
    def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return _blocking(verb(*args, **kwargs))

    return _named(twin, verb.__name__.removesuffix("_async"))


def async_twin(verb: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make the `_async` twin of a synchronous verb, which runs in a thread of its own."""

    @functools.wraps(verb)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(verb, *args, **kwargs)

    return _named(twin, f"{verb.__name__}_async")


def _named(function: Callable[P, T], name: str) -> Callable[P, T]:
    function.__name__ = function.__qualname__ = name
    return function
