"""Enforces the token, cost and time limits of a run, and contains the price table.

The worst-case cost of a request is reserved before it is sent, so spending never exceeds the limits
if servers respect max_tokens and prompts have at most one token per two bytes. A request that does
not fit waits while reservations are open. `MeteredEngine` goes under the cache, so cached
completions cost nothing.

Prices default to a table that ages; `prices` in the config extends and overrides it. In-process
models are free. A model without a known price cannot be used in a run with a cost limit.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from evolcoder.config.load import BudgetConfig, Price
from evolcoder.engine.base import Completion, Engine, Request
from evolcoder.errors import BudgetReached

PRICES_AS_OF = "2025-08"
"""Date at which the table was copied from the vendors' public price lists."""

DEFAULT_PRICES: dict[str, Price] = {
    "gpt-3.5-turbo": Price(input=0.50, output=1.50),
    "gpt-4o": Price(input=2.50, output=10.00),
    "gpt-4o-mini": Price(input=0.15, output=0.60),
    "gpt-4.1": Price(input=2.00, output=8.00),
    "gpt-4.1-mini": Price(input=0.40, output=1.60),
    "gpt-4.1-nano": Price(input=0.10, output=0.40),
    "gpt-5": Price(input=1.25, output=10.00),
    "gpt-5-mini": Price(input=0.25, output=2.00),
    "gpt-5-nano": Price(input=0.05, output=0.40),
}
"""US dollars per million tokens."""

FREE = Price(input=0.0, output=0.0)
_LOCAL = ("gguf:", "scripted")
BYTES_PER_TOKEN = 2
"""Lower bound for prompts; English and code have three to four."""
TOKENS_PER_MESSAGE = 16
"""Upper bound of what a chat template adds."""
Ledger = Callable[[str, int, int], None]
"""Called with (model, prompt tokens, completion tokens) for each completion paid for."""


def price_of(model: str, identity: str, prices: Mapping[str, Price]) -> Price | None:
    """Return the price of a model on an engine, or None if unknown."""
    if model in prices:
        return prices[model]
    if identity.startswith(_LOCAL):
        return FREE
    return DEFAULT_PRICES.get(model)


def usd(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """Return the cost of these tokens in US dollars."""
    return (price.input * prompt_tokens + price.output * completion_tokens) / 1e6


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


class Budget:
    """The budget of one run, shared by all its engines."""

    def __init__(self, limits: BudgetConfig, spent: Spending, ledger: Ledger) -> None:
        self.spent = spent
        self.completion_tokens = 0
        self.requests = 0
        self.in_flight = 0
        self._limits = limits
        self._ledger = ledger
        self._reserved = Spending()
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

    def record(self, model: str, completion: Completion) -> None:
        """Report a completion to the ledger."""
        self._ledger(model, completion.prompt_tokens, completion.completion_tokens)

    def _message(self, bound: Spending) -> str:
        limits, spent = self._limits, self.spent
        if limits.max_tokens is not None and spent.tokens + bound.tokens > limits.max_tokens:
            what = f"budget.max_tokens={limits.max_tokens}: {spent.tokens} spent"
            need = f"up to {bound.tokens} more"
        else:
            what = f"budget.max_usd={limits.max_usd:g}: ${spent.usd:.4f} spent"
            need = f"up to ${bound.usd:.4f} more"
        return f"stopped at {what}, and the next request may cost {need}"


class MeteredEngine:
    """Charges every request of an engine to a budget."""

    def __init__(self, inner: Engine, budget: Budget, prices: dict[str, Price]) -> None:
        self.identity = inner.identity
        self._inner = inner
        self._budget = budget
        self._prices = prices

    async def complete(self, request: Request) -> Completion:
        """Reserve the worst-case cost, ask, and charge the actual cost."""
        price = self._prices.get(request.model, FREE)
        bound = _cost(price, _max_prompt_tokens(request), request.sampling.max_tokens)
        await self._budget.reserve(bound)
        completion = None
        cost = bound
        try:
            completion = await self._inner.complete(request)
            cost = _cost(price, completion.prompt_tokens, completion.completion_tokens)
            self._budget.record(request.model, completion)
        finally:
            await self._budget.settle(bound, cost, completion)
        return completion

    async def aclose(self) -> None:
        """Close the wrapped engine."""
        await self._inner.aclose()


def _max_prompt_tokens(request: Request) -> int:
    length = sum(len(m.content.encode("utf-8", "surrogatepass")) for m in request.messages)
    return length // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages)


def _cost(price: Price, prompt_tokens: int, completion_tokens: int) -> Spending:
    tokens = prompt_tokens + completion_tokens
    return Spending(tokens, usd(price, prompt_tokens, completion_tokens))
