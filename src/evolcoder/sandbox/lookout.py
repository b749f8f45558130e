"""Looks at a program's answers while it runs, and has it ended when what they say is enough.

Promises: every complete answer is shown once, in order, to the task's `goes_on`; a program that
ends within the first pause costs nothing here.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from evolcoder.sandbox.base import Calls, GoesOn, Script, Task
from evolcoder.sandbox.channels import Channels

FIRST_S, LONGEST_S = 0.01, 0.04
"""Pauses between looks: the first, and the longest that they double to."""
_MOST = 1 << 22
"""Bytes that one look reads."""


class Lookout:
    """The looks at one program's answers, from its start to its end."""

    def __init__(self, channels: Channels, goes_on: GoesOn) -> None:
        self._channels = channels
        self._goes_on = goes_on
        self._stop: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._read = self._shown = 0

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
        *lines, _ = data.split(b"\n")
        for line in lines:
            if not self._goes_on(self._shown, line):
                self._stop()
                return
            self._shown += 1
            self._read += len(line) + 1
        self._wait(min(2 * pause, LONGEST_S))


def lookout_of(task: Task, channels: Channels) -> Lookout | None:
    """Make the lookout that a task asks for."""
    goes_on = task.goes_on if isinstance(task, Calls | Script) else None
    return goes_on and Lookout(channels, goes_on)
