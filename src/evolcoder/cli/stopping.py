"""How a verb that takes long is ended from outside."""

import asyncio
import signal
from collections.abc import Coroutine
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
