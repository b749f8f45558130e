"""Who runs next where more want to run than there is room for.

Promises: whoever may take longest goes first, so that long programs begin early and no worker waits
for one at the end; those that may take equally long go in the order in which they came. A taker
that is cancelled leaves nothing taken.
"""

import asyncio
import heapq
import itertools


class Seats:
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
