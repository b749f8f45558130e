"""Converts between asynchronous and blocking functions; works inside a running event loop too.

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
SIGNAL_POLL_S = 0.5
"""Timeout of each join of the worker thread: signal handlers run only between joins."""


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to completion, in a thread if this one already runs an event loop.

    Ctrl-C cancels the coroutine, waits for its clean-up, and raises KeyboardInterrupt.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    return _run_in_thread(coroutine)


def _run_in_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    runner = asyncio.Runner()
    results: list[T] = []
    errors: list[BaseException] = []
    tasks: list[asyncio.Task[T]] = []

    async def tracked() -> T:
        tasks.append(cast("asyncio.Task[T]", asyncio.current_task()))
        return await coroutine

    def run() -> None:
        try:
            with runner:
                results.append(runner.run(tracked()))
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            errors.append(error)

    thread = threading.Thread(target=run, name="evolcoder", daemon=True)
    thread.start()
    caller = asyncio.current_task()
    try:
        while thread.is_alive():
            thread.join(SIGNAL_POLL_S)
            if caller is not None and caller.cancelling():  # `asyncio.run` handles SIGINT so
                raise asyncio.CancelledError
    except (KeyboardInterrupt, asyncio.CancelledError):
        for task in tasks:
            task.get_loop().call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if errors:
        raise errors[0]
    return results[0]


def blocking_twin(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return the blocking version of an `_async` function, named without the suffix."""

    @functools.wraps(function)
    def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_blocking(function(*args, **kwargs))

    return _set_name(twin, function.__name__.removesuffix("_async"))


def async_twin(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return the `_async` version of a blocking function, which runs in a thread."""

    @functools.wraps(function)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(function, *args, **kwargs)

    return _set_name(twin, f"{function.__name__}_async")


def _set_name(function: Callable[P, T], name: str) -> Callable[P, T]:
    function.__name__ = function.__qualname__ = name
    return function
