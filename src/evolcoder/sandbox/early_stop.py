"""Looks at a program's answers while it runs, and has it ended when what they say is enough.

Promises: every complete answer is shown once, in order, to the task's `goes_on`, up to the first
that is longer than `LONGEST_BYTES`; every byte is read once, so that all looks take time linear
in what the program writes. A program that ends within the first pause costs nothing here.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from evolcoder.sandbox.base import Calls, GoesOn, Script, Task
from evolcoder.sandbox.memfds import Memfds

FIRST_S, LONGEST_S = 0.01, 0.04
"""Pauses between looks: the first, and the longest that they double to."""
LONGEST_BYTES = 1 << 22
"""Longest answer that is waited for; with a longer one the looks end."""
_MOST = 1 << 20
"""Bytes that one look reads."""


class EarlyStop:
    """The looks at one program's answers, from its start to its end."""

    def __init__(self, channels: Memfds, goes_on: GoesOn) -> None:
        self._channels = channels
        self._goes_on = goes_on
        self._stop: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._read = self._shown = 0
        self._begun = bytearray()

    def until_end(self, stop: Callable[[], None]) -> Self:
        """Say how to end the program; looks go on within this context."""
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
            if not self._goes_on(self._shown, bytes(self._begun)):
                self._stop()
                return
            self._shown += 1
            self._begun.clear()
        self._begun += data[begin:]
        if len(self._begun) <= LONGEST_BYTES:
            self._wait(min(2 * pause, LONGEST_S))


def lookout_of(task: Task, channels: Memfds) -> EarlyStop | None:
    """Make the lookout that a task asks for."""
    goes_on = task.goes_on if isinstance(task, Calls | Script) else None
    return goes_on and EarlyStop(channels, goes_on)
