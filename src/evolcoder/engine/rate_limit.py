"""Rate limiter for one server: requests in flight, requests per minute, tokens per minute.

The limits hold in any 60 seconds, as far as the callers' token estimates are right. The concurrency
limit halves on overload, at most once per round trip, and grows by one per window of successes
(AIMD). Where requests time out, a server that answers others has them wait too long: the limit
becomes what it answers in time, and does not grow while answers come late. FIFO; retries go to the
front. Not coordinated between processes.

>>> epoch = await limiter.acquire(tokens=900)             # doctest: +SKIP
>>> limiter.record_success(expected=900, used=412)        # doctest: +SKIP
>>> limiter.release()                                     # doctest: +SKIP
"""

import asyncio
from collections import deque

from evolcoder.config.load import TrafficConfig

BURST_S = 1.0
"""Size of a bucket: unused allowance accumulates for this many seconds."""

IN_TIME = 0.7
"""Share of the time limit in which requests in flight should be answered."""
N_ANSWERS = 8192
"""Number of answers whose times are kept: twice as many as may be in flight."""

_Ticket = asyncio.Future[int]


class RateLimiter:
    """Admits requests at the rate that the server accepts; belongs to one event loop."""

    def __init__(self, traffic: TrafficConfig) -> None:
        self._max = float(traffic.concurrency)
        self._allowed = self._max
        self._requests = TokenBucket(traffic.requests_per_minute)
        self._tokens = TokenBucket(traffic.tokens_per_minute)
        self._in_flight = 0
        self._epoch = 0
        self._closed_until = float("-inf")
        self._answered: deque[float] = deque(maxlen=N_ANSWERS)
        self._waiting: deque[tuple[_Ticket, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._in_flight

    @property
    def limit(self) -> int:
        """Current limit of requests in flight."""
        return int(self._allowed)

    async def acquire(self, tokens: int, *, is_retry: bool = False) -> int:
        """Wait for admission and return the current epoch, for `record_overload`.

        An epoch lasts from one halving of the limit to the next. `tokens` is an estimate. Retries
        go to the front of the queue. Every acquire needs one `release`.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting and self._in_flight + 1 <= self._allowed:
            now = loop.time()
            if self._wait_s(now) <= 0:
                return self._start(tokens, now)
        ticket: _Ticket = loop.create_future()
        if is_retry:
            self._waiting.appendleft((ticket, tokens))
        else:
            self._waiting.append((ticket, tokens))
        self._admit()
        try:
            return await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Release a slot, whatever the outcome."""
        self._in_flight -= 1
        if self._waiting:
            self._admit()

    def admit_all(self) -> None:
        """Admit all that wait, whatever the limits: the server has ended, and they are not sent."""
        while self._waiting:
            ticket, _ = self._waiting.popleft()
            if not ticket.done():
                self._in_flight += 1
                ticket.set_result(self._epoch)

    def record_success(self, expected: int, used: int, *, is_slow: bool = False) -> None:
        """Record a success, with the estimated and actual number of tokens.

        The limit does not grow if the answer was slow: with more requests it might be too late.
        """
        self._answered.append(asyncio.get_running_loop().time())
        if not is_slow:
            self._allowed = min(self._max, self._allowed + 1.0 / self._allowed)
        self._tokens.refund(expected - used)

    def record_overload(self, epoch: int, wait_s: float) -> None:
        """Record an overload response to a request of that epoch, and its Retry-After.

        Only the first overload in an epoch halves the limit: the others were already in flight.
        """
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + wait_s)
        if epoch == self._epoch:
            self._epoch += 1
            self._allowed = max(1.0, min(self._allowed, self._in_flight) / 2)

    def record_timeout(self, epoch: int, waited_s: float) -> None:
        """Record that a request of that epoch had no answer within `waited_s`.

        By Little's law, as many requests may be in flight as are answered meanwhile. Only the first
        in an epoch counts; a server that answered none has its limit halved.
        """
        now = asyncio.get_running_loop().time()
        if n_answered := sum(at > now - waited_s for at in self._answered):
            if epoch == self._epoch:
                self._epoch += 1
                self._allowed = max(1.0, min(self._allowed, IN_TIME * n_answered))
        else:
            self.record_overload(epoch, 0.0)

    def _wait_s(self, now: float) -> float:
        """Seconds until the next request may start, concurrency aside."""
        return max(self._closed_until, self._requests.free_at, self._tokens.free_at) - now

    def _start(self, tokens: int, now: float) -> int:
        self._in_flight += 1
        self._requests.consume(1, now)
        self._tokens.consume(tokens, now)
        return self._epoch

    def _admit(self) -> None:
        """Admit waiting requests as far as the limits allow, and schedule the rest."""
        while self._waiting and self._in_flight + 1 <= self._allowed:
            now = asyncio.get_running_loop().time()
            if (wait_s := self._wait_s(now)) > 0:
                self._admit_later(wait_s)
                return
            ticket, tokens = self._waiting.popleft()
            if not ticket.done():
                ticket.set_result(self._start(tokens, now))

    def _admit_later(self, wait_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._admit)


class TokenBucket:
    """Token bucket per minute that allows debt.

    An amount above the balance may be taken; later ones wait correspondingly longer. So a request
    larger than a minute's allowance still passes.
    """

    __slots__ = ("_unit_s", "free_at")

    def __init__(self, per_minute: int | None) -> None:
        # The burst counts towards the minute: else 60 s could hold per_minute plus a burst.
        self._unit_s = (60.0 + BURST_S) / per_minute if per_minute else 0.0
        self.free_at = float("-inf")
        """Time of the event loop from which more may be taken."""

    def consume(self, amount: int, now: float) -> None:
        """Take an amount, even above the balance."""
        if self._unit_s:
            self.free_at = max(self.free_at, now - BURST_S) + amount * self._unit_s

    def refund(self, amount: int) -> None:
        """Return an unused amount; a negative one takes more."""
        self.free_at -= amount * self._unit_s
