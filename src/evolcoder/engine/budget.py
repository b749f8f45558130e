"""Enforces the token, cost and time limits of a run.

The worst-case cost of a request is reserved before it is sent, so spending never exceeds the limits
if servers respect max_tokens and prompts have at most one token per two bytes. If a model is seen
to take more than max_tokens, later requests reserve as much more. A request that does not fit waits
while reservations are open. `MeteredEngine` goes under the cache, so cached
completions cost nothing.

A try that was sent and not answered (a timeout, a cut connection, a cancelled request) may have
been billed: its worst-case cost is booked apart, as possibly billed, and counts towards the limits.
So that a killed process loses nothing, `InFlight` reports the most that is in flight, and the next
session books that.

A model without a known price (`engine/prices.py`) cannot be used in a run with a cost limit.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from evolcoder.config.load import BudgetConfig, Price
from evolcoder.engine.base import Completion, Engine, Request, key_identity
from evolcoder.engine.prices import FREE, cost_of, counts_of, worst_cost
from evolcoder.engine.purpose import current_purpose
from evolcoder.engine.retry import metering
from evolcoder.errors import BudgetReached
from evolcoder.records import CallPurpose, TokenCounts

ROUNDING_USD = 1e-9
"""Dollars that sums of prices may be off by."""
BYTES_PER_TOKEN = 2
"""Lower bound for prompts; English and code have three to four."""
TOKENS_PER_MESSAGE = 16
"""Upper bound of what a chat template adds."""
LOWER_S = 5.0
"""Seconds after which a report of what is in flight may be replaced by a lower one."""


class Ledger(Protocol):
    """Stores what was paid for; `storage.workdir.Workdir` is one."""

    def add_call(self, model: str, counts: TokenCounts, purpose: CallPurpose) -> None:
        """Store a completion that was paid for."""
        ...

    def add_possible_call(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Store the bound of a try that may have been billed."""
        ...

    def set_in_flight(self, most: Mapping[str, tuple[int, int, int]]) -> None:
        """Store the most in flight: model -> (tries, prompt tokens, completion tokens)."""
        ...

    def flush(self) -> None:
        """Wait until everything is stored; threads may call it."""
        ...


class NoLedger:
    """A ledger that stores nothing."""

    def add_call(self, model: str, counts: TokenCounts, purpose: CallPurpose) -> None:
        """Do nothing."""

    def add_possible_call(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Do nothing."""

    def set_in_flight(self, most: Mapping[str, tuple[int, int, int]]) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""


@dataclass(slots=True)
class Spending:
    """Tokens and US dollars, spent or reserved."""

    tokens: int = 0
    """Prompt and completion tokens."""
    usd: float = 0.0
    """US dollars, by the price table."""

    def add(self, other: "Spending", sign: int = 1) -> None:
        """Add `other`, or subtract it with sign -1."""
        self.tokens += sign * other.tokens
        self.usd += sign * other.usd

    def fits(self, other: "Spending", more: "Spending", limits: BudgetConfig) -> bool:
        """Whether the sum of all three stays within the limits."""
        tokens, dollars = limits.max_tokens, limits.max_usd
        return (tokens is None or self.tokens + other.tokens + more.tokens <= tokens) and (
            dollars is None or self.usd + other.usd + more.usd <= dollars
        )


class InFlight:
    """Reports tries in flight at once when their number grows, and now and then when it falls.

    Most tries thus cause no report.
    """

    def __init__(self, report: Callable[[Mapping[str, tuple[int, int, int]]], None]) -> None:
        self._report = report
        self._now: dict[str, tuple[int, int, int]] = {}
        self._reported: dict[str, tuple[int, int, int]] = {}
        self._reported_at = time.monotonic()

    def add(self, model: str, prompt: int, completion: int, sign: int = 1) -> None:
        """Add a try with these bounds of its tokens; end it with sign -1."""
        n, sent, received = self._now.get(model, (0, 0, 0))
        now = n + sign, sent + sign * prompt, received + sign * completion
        self._now[model] = now
        most = self._reported.get(model, (0, 0, 0))
        if now[0] > most[0] or now[1] > most[1] or now[2] > most[2]:
            self._reported[model] = (
                max(n + sign, most[0]),
                max(now[1], most[1]),
                max(now[2], most[2]),
            )
            self._report(self._reported)
        elif sign < 0 and time.monotonic() - self._reported_at > LOWER_S:
            self._lower()

    def end(self) -> None:
        """Report that nothing is in flight any more."""
        self._now.clear()
        self._lower()

    def _lower(self) -> None:
        self._reported_at = time.monotonic()
        now = {model: counts for model, counts in self._now.items() if counts[0]}
        if now != self._reported:
            self._reported = now
            self._report(self._reported)


class Budget:
    """The budget of one run, shared by all its engines."""

    def __init__(self, limits: BudgetConfig, spent: Spending, ledger: Ledger | None = None) -> None:
        """Start with what earlier sessions spent, possibly billed tries included."""
        self._ledger = ledger or NoLedger()
        self.flush = self._ledger.flush
        self.tries = InFlight(self._ledger.set_in_flight)
        self.spent = spent
        self.possible = Spending()
        """Of `spent`: what tries without an answer cost at most."""
        self.completion_tokens = 0
        self.requests = 0
        self.in_flight = 0
        self._limits = limits
        self._reserved = Spending()
        self._excess: dict[str, int] = {}
        self._settled = asyncio.Condition()
        hours = limits.max_hours
        self._deadline = time.monotonic() + 3600 * hours if hours else None
        self._bounded = limits.max_tokens is not None or limits.max_usd is not None

    async def reserve(self, bound: Spending) -> None:
        """Reserve the upper bound of a request's cost; raises BudgetReached if it cannot fit."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise self._out_of_time()
        if self._bounded:
            async with self._settled:
                while not self.spent.fits(self._reserved, bound, self._limits):
                    if self._reserved.tokens <= 0:
                        raise BudgetReached(self._message(bound))
                    await self._settled.wait()
        self._reserved.add(bound)
        self.in_flight += 1

    async def settle(self, bound: Spending, cost: Spending, completion: Completion | None) -> None:
        """Release a reservation and add the actual cost to what is spent."""
        self._reserved.add(bound, -1)
        self.in_flight -= 1
        if completion is not None:
            self.spent.add(cost)
            self.requests += 1
            self.completion_tokens += completion.completion_tokens
        if self._bounded:
            async with self._settled:
                self._settled.notify_all()

    async def until_deadline(self, completing: Awaitable[Completion]) -> Completion:
        """Wait for a completion that may take hours; raises BudgetReached at the time limit."""
        if self._deadline is None:
            return await completing
        try:
            return await asyncio.wait_for(completing, max(0.0, self._deadline - time.monotonic()))
        except TimeoutError:
            raise self._out_of_time() from None

    def _out_of_time(self) -> BudgetReached:
        return BudgetReached(f"stopped after budget.max_hours={self._limits.max_hours:g}")

    async def release(self, bound: Spending) -> None:
        """Release a reservation that is not needed."""
        await self.settle(bound, Spending(), None)

    def record(self, request: Request, completion: Completion) -> None:
        """Report a completion to the ledger."""
        counts, model = counts_of(completion), request.model
        self._ledger.add_call(model, counts, current_purpose())
        excess = counts.received - request.sampling.max_tokens
        self._excess[model] = max(excess, self._excess.get(model, 0))

    def max_received(self, request: Request) -> int:
        """Return a bound of the tokens of an answer.

        It is max_tokens, and what the model has been seen to take beyond it: some servers do not
        count reasoning towards max_tokens.
        """
        return request.sampling.max_tokens + self._excess.get(request.model, 0)

    def exceeded(self) -> BudgetReached | None:
        """Return the limit that answers longer than max_tokens have exceeded, if any."""
        if self.spent.fits(Spending(usd=-ROUNDING_USD), Spending(), self._limits):
            return None
        what = self._spent_text(Spending())
        return BudgetReached(f"stopped at {what}; answers were longer than max_tokens allows")

    def record_unanswered(self, model: str, prompt: int, completion: int, cost: Spending) -> None:
        """Spend the worst-case cost of a try that was sent and not answered."""
        self.spent.add(cost)
        self.possible.add(cost)
        self._ledger.add_possible_call(model, prompt, completion)

    def _message(self, bound: Spending) -> str:
        need = f"{bound.tokens}" if self._ends_by_tokens(bound) else f"${bound.usd:.4f}"
        what = self._spent_text(bound)
        return f"stopped at {what}, and the next request may cost up to {need} more"

    def _ends_by_tokens(self, bound: Spending) -> bool:
        limit = self._limits.max_tokens
        return limit is not None and self.spent.tokens + bound.tokens > limit

    def _spent_text(self, bound: Spending) -> str:
        """Name the limit that leaves no room for `bound`, and what is spent."""
        limits, spent = self._limits, self.spent
        if self._ends_by_tokens(bound):
            what = f"budget.max_tokens={limits.max_tokens}: {spent.tokens} spent"
        else:
            what = f"budget.max_usd={limits.max_usd:g}: ${spent.usd:.4f} spent"
        if self.possible.tokens:
            what += f" (requests without an answer at their most: {self.possible.tokens} tokens"
            what += f", ${self.possible.usd:.4f})" if self.possible.usd else ")"
        return what


class MeteredEngine:
    """Charges every request of an engine to a budget."""

    def __init__(self, inner: Engine, budget: Budget, prices: dict[str, Price]) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner
        self._budget = budget
        self._prices = prices

    async def complete(self, request: Request) -> Completion:
        """Reserve the worst-case cost, ask, and charge the actual cost."""
        price = self._prices.get(request.model, FREE)
        reservation = _Reservation(self._budget, request, price)
        await reservation.renew()
        completion = None
        cost = Spending()
        try:
            with metering(reservation):
                completion = await self._inner.complete(request)
            counts = counts_of(completion)
            cost = Spending(counts.prompt + counts.received, cost_of(price, counts))
            self._budget.record(request, completion)
        finally:
            await reservation.settle(cost, completion)
        return completion

    async def aclose(self) -> None:
        """Close the wrapped engine."""
        await self._inner.aclose()


class _Reservation:
    """The worst-case cost of one try of a request."""

    def __init__(self, budget: Budget, request: Request, price: Price) -> None:
        self._budget = budget
        self._request = request
        self._price = price
        self._n_sent = max_prompt_tokens(request)
        self._n_received = 0
        self._bound = Spending()
        self._is_open = False

    async def renew(self) -> None:
        """Reserve the cost of a try; raises BudgetReached if it cannot fit."""
        if self._is_open:
            self._is_open = False
            await self._budget.release(self._bound)
        self._n_received = self._budget.max_received(self._request)
        tokens = self._n_sent, self._n_received
        self._bound = Spending(sum(tokens), worst_cost(self._price, *tokens))
        await self._budget.reserve(self._bound)
        self._is_open = True

    def try_sent(self) -> None:
        """Count one try as in flight."""
        self._budget.tries.add(self._request.model, self._n_sent, self._n_received)

    def try_ended(self, *, unanswered: bool) -> None:
        """Count it no more; book it as possibly billed if it was not answered."""
        counts = self._request.model, self._n_sent, self._n_received
        if unanswered:
            self._budget.record_unanswered(*counts, self._bound)
        self._budget.tries.add(*counts, sign=-1)

    async def settle(self, cost: Spending, completion: Completion | None) -> None:
        """Release the reservation, if there is one, and add the actual cost."""
        if self._is_open:
            self._is_open = False
            await self._budget.settle(self._bound, cost, completion)


def max_prompt_tokens(request: Request) -> int:
    """Return an upper bound of the tokens of a prompt."""
    length = 0
    for message in request.messages:
        text = message.content
        length += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return length // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages)
