"""How fast a server is asked: requests in flight, requests per minute, tokens per minute.

Promises: never more than the limit in flight, and no more per minute than allowed, in any minute,
as far as the caller's estimate of tokens goes. The limit halves when the server has too much, at
most once per round trip, and grows again by one for every limit's worth of answers. Who waits
longest goes first; who tries again goes before those. Not promised: fairness between processes.

>>> era = await pace.enter(tokens=900)                  # doctest: +SKIP
>>> pace.succeeded(expected=900, used=412)              # doctest: +SKIP
>>> pace.leave()                                        # doctest: +SKIP
"""

import asyncio
from collections import deque

from evolcoder.config.load import TrafficConfig

BURST_S = 1.0
"""How much of an unused allowance is kept for later, as the seconds that it took to gather."""

_Turn = asyncio.Future[int]


class RateLimiter:
    """Lets requests pass one by one, as fast as the server takes them; belongs to one loop."""

    def __init__(self, traffic: TrafficConfig) -> None:
        self._most = float(traffic.concurrency)
        self._allowed = self._most
        self._requests = TokenBucket(traffic.requests_per_minute)
        self._tokens = TokenBucket(traffic.tokens_per_minute)
        self._in_flight = 0
        self._era = 0
        self._closed_until = float("-inf")
        self._waiting: deque[tuple[_Turn, int]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Requests that the server works on now."""
        return self._in_flight

    @property
    def limit(self) -> int:
        """Most requests in flight, as the server takes them at present."""
        return int(self._allowed)

    async def enter(self, tokens: int, *, again: bool = False) -> int:
        """Wait for a turn that is expected to take so many tokens, and return its era.

        An era lasts from one halving of the limit to the next; `refused` wants to know it.
        `again` goes to the head of the line. Whoever entered calls `leave`.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting and self._in_flight + 1 <= self._allowed:
            now = loop.time()
            if self._wait_s(now) <= 0:
                return self._begin(tokens, now)
        turn: _Turn = loop.create_future()
        if again:
            self._waiting.appendleft((turn, tokens))
        else:
            self._waiting.append((turn, tokens))
        self._admit()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """End a turn, however it went."""
        self._in_flight -= 1
        if self._waiting:
            self._admit()

    def succeeded(self, expected: int, used: int) -> None:
        """Note an answer, and how many tokens it took in place of those expected."""
        self._allowed = min(self._most, self._allowed + 1.0 / self._allowed)
        self._tokens.give_back(expected - used)

    def refused(self, era: int, wait_s: float) -> None:
        """Note that the server had too much in a turn of that era, and what wait it asks for.

        Only the first refusal of an era halves the limit: the others were on their way already.
        """
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + wait_s)
        if era == self._era:
            self._era += 1
            self._allowed = max(1.0, min(self._allowed, self._in_flight) / 2)

    def _wait_s(self, now: float) -> float:
        """Seconds until one more request may start, but for the limit in flight."""
        return max(self._closed_until, self._requests.free_at, self._tokens.free_at) - now

    def _begin(self, tokens: int, now: float) -> int:
        self._in_flight += 1
        self._requests.take(1, now)
        self._tokens.take(tokens, now)
        return self._era

    def _admit(self) -> None:
        """Give turns to those who wait, as many as there are, and come back for the rest."""
        while self._waiting and self._in_flight + 1 <= self._allowed:
            now = asyncio.get_running_loop().time()
            if (wait_s := self._wait_s(now)) > 0:
                self._come_back_in(wait_s)
                return
            turn, tokens = self._waiting.popleft()
            if not turn.done():
                turn.set_result(self._begin(tokens, now))

    def _come_back_in(self, wait_s: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(wait_s, self._admit)


class TokenBucket:
    """So much per minute: each unit that is taken puts off the moment when more may be taken.

    More may be taken at once than there is, which is paid for by a longer wait; so a request
    larger than a minute's allowance still passes.
    """

    __slots__ = ("_each_s", "free_at")

    def __init__(self, per_minute: int | None) -> None:
        # The burst is part of the minute: without it a minute could hold per_minute and a burst.
        self._each_s = (60.0 + BURST_S) / per_minute if per_minute else 0.0
        self.free_at = float("-inf")
        """Moment from which more may be taken, by the loop's clock."""

    def take(self, amount: int, now: float) -> None:
        """Take an amount."""
        if self._each_s:
            self.free_at = max(self.free_at, now - BURST_S) + amount * self._each_s

    def give_back(self, amount: int) -> None:
        """Return what was taken and not used; a negative amount takes what was used on top."""
        self.free_at -= amount * self._each_s
