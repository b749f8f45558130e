"""How a verb that takes long is ended from outside."""

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


def until_told(story: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; SIGTERM, which batch systems send, ends it as cleanly as Ctrl-C does."""

    async def listening() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await story

    try:
        return asyncio.run(listening())
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error


@contextmanager
def not_now() -> Iterator[None]:
    """Put SIGINT and SIGTERM off until the context is left, where they would raise something.

    An exception amid `Popen` loses a process that has been started, and nobody could end it.
    """
    heard: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # no other runs handlers
    told = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {one: now for one in told if callable(now := signal.getsignal(one))}
    for one in before:
        signal.signal(one, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in heard[:1]:
            signal.raise_signal(number)
