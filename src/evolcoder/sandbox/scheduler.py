"""Who runs next where more want to run than there is room for.

Promises: whoever may take longest goes first, so that long programs begin early and no worker waits
for one at the end; those that may take equally long go in the order in which they came. A taker
that is cancelled leaves nothing taken.
"""

import asyncio
import contextlib
import heapq
import itertools
import math
from collections.abc import AsyncIterator


class PrioritySemaphore:
    """A number of seats, for one event loop."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def take(self, longest_s: float) -> None:
        """Wait for a seat; `longest_s` is how long it may be held."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-longest_s, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a seat to the next who still waits."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class ExclusiveAccess:
    """Lets a few in at a time while nobody else has a seat."""

    def __init__(self, seats: PrioritySemaphore, count: int, at_most: int) -> None:
        self._seats = seats
        self._count = count
        self._turns = asyncio.Semaphore(at_most)
        self._door = asyncio.Lock()
        self._inside = 0

    @contextlib.asynccontextmanager
    async def entered(self, lull: asyncio.Event) -> AsyncIterator[None]:
        """Be in once there is a lull and nobody has a seat, or where somebody else is in."""
        async with self._turns:
            await lull.wait()
            async with self._door:
                if not self._inside:
                    await self._take_all()
                self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1
                if not self._inside:
                    self._give_back(self._count)

    async def _take_all(self) -> None:
        held = 0
        try:
            while held < self._count:
                await self._seats.take(math.inf)
                held += 1
        except BaseException:
            self._give_back(held)
            raise

    def _give_back(self, held: int) -> None:
        for _ in range(held):
            self._seats.give_back()
