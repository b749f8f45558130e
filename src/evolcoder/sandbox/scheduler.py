"""Priority scheduling of programs over a limited number of workers.

The longest limit goes first, so that no worker waits for a long program at the end; equal limits
are FIFO. A cancelled waiter leaves nothing acquired.
"""

import asyncio
import contextlib
import heapq
import itertools
import math
from collections.abc import AsyncIterator


class PrioritySemaphore:
    """A semaphore with priorities, for one event loop."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def acquire(self, longest_s: float) -> None:
        """Wait for a slot; `longest_s`, the longest time it may be in use, is the priority."""
        if self._free:
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-longest_s, next(self._numbers), waiter))
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Pass the slot to the next waiter that is not cancelled."""
        while self._waiting:
            waiter = heapq.heappop(self._waiting)[2]
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


class ExclusiveAccess:
    """Admits up to `at_most` at a time while nobody else has a slot."""

    def __init__(self, slots: PrioritySemaphore, count: int, at_most: int) -> None:
        self._slots = slots
        self._count = count
        self._admission = asyncio.Semaphore(at_most)
        self._lock = asyncio.Lock()
        self._n_admitted = 0

    @contextlib.asynccontextmanager
    async def admitted(self, idle: asyncio.Event) -> AsyncIterator[None]:
        """Wait for `idle` and for all slots to be free, unless another is already admitted."""
        async with self._admission:
            await idle.wait()
            async with self._lock:
                if not self._n_admitted:
                    await self._acquire_all()
                self._n_admitted += 1
            try:
                yield
            finally:
                self._n_admitted -= 1
                if not self._n_admitted:
                    self._release(self._count)

    async def _acquire_all(self) -> None:
        n_acquired = 0
        try:
            while n_acquired < self._count:
                await self._slots.acquire(math.inf)
                n_acquired += 1
        except BaseException:
            self._release(n_acquired)
            raise

    def _release(self, n_acquired: int) -> None:
        for _ in range(n_acquired):
            self._slots.release()
