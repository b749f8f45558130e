"""An event loop on which waiting costs nothing: when all wait for a clock, the clock is put on.

For tests whose every party lives in one loop, the server too: a minute of back-off is waited
through in milliseconds, with the real constants. Not for code that waits for threads or processes.

>>> run(asyncio.sleep(3600))
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

QUIET_S = 0.005
"""How long nothing may arrive from a socket before the clock is put on."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own, which starts at 0."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Impatient(self))

    def time(self) -> float:
        return self.now


class _Impatient(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # The loop's own wake-up pipe is always there; without any other socket nothing can arrive.
        events = super().select(QUIET_S if len(self.get_map()) > 1 else 0)
        if not events:
            self._loop.now += timeout
        return events


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)
