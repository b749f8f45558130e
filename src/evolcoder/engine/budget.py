"""Counts what is paid for, and stops before a limit of the user's is passed.

Promises: the tokens and dollars spent never pass the limits, as long as a server keeps to
max_tokens and a prompt has at most one token per two bytes: what a request may cost at most is set
aside before it is sent. A request that does not fit while others are out waits for them to cost
less than was set aside. Goes under the cache: a stored completion costs nothing.

What models cost, for estimates and for budgets.

The table is a convenience and grows old: `prices` in the config adds to it and overrides it. A
model in this process costs nothing; a model that no table knows has no price, and a run with a
limit in dollars refuses to use it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from evolcoder.config.load import BudgetConfig, Price
from evolcoder.engine.base import Completion, Engine, Request
from evolcoder.errors import BudgetReached

PRICES_AS_OF = "2025-08"
"""When the default table was written down from the vendors' public price lists."""

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


def price_of(model: str, identity: str, prices: Mapping[str, Price]) -> Price | None:
    """Return the price of a model on an engine, or None where no table has it."""
    if model in prices:
        return prices[model]
    if identity.startswith(_LOCAL):
        return FREE
    return DEFAULT_PRICES.get(model)


def usd(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """Return what so many tokens cost in US dollars."""
    return (price.input * prompt_tokens + price.output * completion_tokens) / 1e6


BYTES_PER_TOKEN = 2
"""Of a prompt, at the least; English and code have three to four."""
TOKENS_PER_MESSAGE = 16
"""What a chat template adds, at the most."""

Ledger = Callable[[str, int, int], None]
"""Called with model, prompt tokens and completion tokens of each completion paid for."""


@dataclass(slots=True)
class Spending:
    """Tokens and money, spent or set aside."""

    tokens: int = 0
    """Sent and received."""
    usd: float = 0.0
    """By the price table."""

    def add(self, other: "Spending", sign: int = 1) -> None:
        """Add or take away."""
        self.tokens += sign * other.tokens
        self.usd += sign * other.usd

    def fits(self, other: "Spending", more: "Spending", limits: BudgetConfig) -> bool:
        """Say whether this, `other` and `more` together stay within the limits."""
        tokens, dollars = limits.max_tokens, limits.max_usd
        return (tokens is None or self.tokens + other.tokens + more.tokens <= tokens) and (
            dollars is None or self.usd + other.usd + more.usd <= dollars
        )


class Budget:
    """The purse of one run; every engine of the run pays from it."""

    def __init__(self, limits: BudgetConfig, spent: Spending, ledger: Ledger) -> None:
        self.spent = spent
        self.completion_tokens = 0
        self.requests = 0
        self.in_flight = 0
        self._limits = limits
        self._ledger = ledger
        self._aside = Spending()
        self._settled = asyncio.Condition()
        hours = limits.max_hours
        self._deadline = time.monotonic() + 3600 * hours if hours else None
        self._bounded = limits.max_tokens is not None or limits.max_usd is not None

    async def set_aside(self, most: Spending) -> None:
        """Reserve what a request may cost, or raise BudgetReached."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise BudgetReached(f"stopped after budget.max_hours={self._limits.max_hours:g}")
        if self._bounded:
            async with self._settled:
                while not self.spent.fits(self._aside, most, self._limits):
                    if self._aside.tokens <= 0:
                        raise BudgetReached(self._message(most))
                    await self._settled.wait()
        self._aside.add(most)
        self.in_flight += 1

    async def settle(self, most: Spending, cost: Spending, completion: Completion | None) -> None:
        """Give back what was set aside and book what it cost."""
        self._aside.add(most, -1)
        self.in_flight -= 1
        if completion is not None:
            self.spent.add(cost)
            self.requests += 1
            self.completion_tokens += completion.completion_tokens
        if self._bounded:
            async with self._settled:
                self._settled.notify_all()

    def book(self, model: str, completion: Completion) -> None:
        """Write a completion into the ledger."""
        self._ledger(model, completion.prompt_tokens, completion.completion_tokens)

    def _message(self, most: Spending) -> str:
        limits, spent = self._limits, self.spent
        if limits.max_tokens is not None and spent.tokens + most.tokens > limits.max_tokens:
            what = f"budget.max_tokens={limits.max_tokens}: {spent.tokens} spent"
            need = f"up to {most.tokens} more"
        else:
            what = f"budget.max_usd={limits.max_usd:g}: ${spent.usd:.4f} spent"
            need = f"up to ${most.usd:.4f} more"
        return f"stopped at {what}, and the next request may cost {need}"


class MeteredEngine:
    """An engine whose every request is paid for from a meter."""

    def __init__(self, inner: Engine, meter: Budget, prices: dict[str, Price]) -> None:
        self.identity = inner.identity
        self._inner = inner
        self._meter = meter
        self._prices = prices

    async def complete(self, request: Request) -> Completion:
        """Ask if the limits allow it, and book what came."""
        price = self._prices.get(request.model, FREE)
        most = _spent(price, _most_sent(request), request.sampling.max_tokens)
        await self._meter.set_aside(most)
        completion = None
        cost = most
        try:
            completion = await self._inner.complete(request)
            cost = _spent(price, completion.prompt_tokens, completion.completion_tokens)
            self._meter.book(request.model, completion)
        finally:
            await self._meter.settle(most, cost, completion)
        return completion

    async def aclose(self) -> None:
        """Close the engine underneath."""
        await self._inner.aclose()


def _most_sent(request: Request) -> int:
    length = sum(len(m.content.encode("utf-8", "surrogatepass")) for m in request.messages)
    return length // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(request.messages)


def _spent(price: Price, prompt_tokens: int, completion_tokens: int) -> Spending:
    tokens = prompt_tokens + completion_tokens
    return Spending(tokens, usd(price, prompt_tokens, completion_tokens))
