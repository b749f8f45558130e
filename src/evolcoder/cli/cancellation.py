"""How a verb that takes long is ended from outside."""

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from evolcoder.cli.signals import Signals

T = TypeVar("T")


def until_told(story: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; SIGINT or SIGTERM cancels it, and is a KeyboardInterrupt when it has ended.

    Where the coroutine does not look up in time, since it computes or reads, it is interrupted.
    """
    if Signals.current is None:
        with Signals(is_process=False):
            return until_told(story)
    listening = _listening(story, Signals.current)
    try:
        with asyncio.Runner() as runner:
            return runner.run(listening)
    except asyncio.CancelledError as error:
        raise KeyboardInterrupt from error
    finally:
        listening.close()  # neither has been begun where a signal came before
        story.close()


async def _listening(story: Coroutine[Any, Any, T], signals: Signals) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        if signals.heeded():
            task.cancel()

    loop.set_exception_handler(partial(_told_of, signals))
    with _woken(loop):
        signals.stop_by(partial(loop.call_soon_threadsafe, cancel))
        try:
            return await story
        finally:
            signals.stop_by(None)


def _told_of(signals: Signals, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of errors that nobody awaits, but not of those that an interrupted command leaves.

    A task that was interrupted may be collected long after, amid anything.
    """
    if not signals.n_heard:
        loop.default_exception_handler(context)


@contextmanager
def _woken(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Have a signal wake the loop also where it comes just before the loop begins to wait."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    loop.add_reader(reader, os.read, reader, 4096)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        loop.remove_reader(reader)
        os.close(reader)
        os.close(writer)
