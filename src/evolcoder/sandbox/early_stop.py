"""Polls a running program's answers and ends it as soon as no further answer matters.

Guarantees: every complete answer is passed once, in order, to the task's `should_continue`, up to
the first that is longer than `LONGEST_BYTES`; every byte is read once, so polling is linear in the
output. A program that ends within the first pause costs nothing.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from evolcoder.sandbox.base import Calls, ContinueCheck, Script, Task
from evolcoder.sandbox.memfds import Memfds

FIRST_S, LONGEST_S = 0.01, 0.04
"""Pauses between polls: the first, and the longest that they double to."""
LONGEST_BYTES = 1 << 22
"""Longest answer; polling stops at a longer one."""
_MOST = 1 << 20
"""Bytes read per poll."""


class EarlyStop:
    """Polls one program's answers from its start to its end."""

    def __init__(self, channels: Memfds, should_continue: ContinueCheck) -> None:
        self._channels = channels
        self._should_continue = should_continue
        self._stop: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._read = self._shown = 0
        self._begun = bytearray()

    def until_end(self, stop: Callable[[], None]) -> Self:
        """Poll within this context; `stop` ends the program."""
        self._stop = stop
        return self

    def __enter__(self) -> None:
        self._wait(FIRST_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, pause: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(pause, self._look, pause)

    def _look(self, pause: float) -> None:
        data = self._channels.peek("answers", self._read, _MOST)
        self._read += len(data)
        begin = 0
        while (end := data.find(b"\n", begin)) >= 0:
            self._begun += data[begin:end]
            begin = end + 1
            if not self._should_continue(self._shown, bytes(self._begun)):
                self._stop()
                return
            self._shown += 1
            self._begun.clear()
        self._begun += data[begin:]
        if len(self._begun) <= LONGEST_BYTES:
            self._wait(min(2 * pause, LONGEST_S))


def early_stop_of(task: Task, channels: Memfds) -> EarlyStop | None:
    """Make the early stop that a task asks for, if any."""
    should_continue = task.should_continue if isinstance(task, Calls | Script) else None
    return should_continue and EarlyStop(channels, should_continue)
