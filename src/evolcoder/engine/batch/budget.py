"""Books requests in batches under a name and a price of their own, and bounds the wait for them.

A run may mix both prices, so a model in batches is booked as `NAME (batch)`. The budget prices it
by that name; the engine below it gets the request as it was.

>>> booked_in_batches(engine, budget, lambda inner: MeteredEngine(inner, budget, prices))
... # doctest: +SKIP
"""

from collections.abc import Callable
from dataclasses import replace

from evolcoder.config.load import Price
from evolcoder.engine.base import Completion, Engine, Request, key_identity
from evolcoder.engine.budget import Budget

_SUFFIX = " (batch)"


def batch_name(model: str) -> str:
    """Return the name under which requests of a model in batches are booked and priced."""
    return f"{model}{_SUFFIX}"


def model_of(booked: str) -> str:
    """Return the model of a name under which requests are booked."""
    return booked.removesuffix(_SUFFIX)


def batch_price(price: Price) -> Price:
    """Return the price of requests in a batch."""
    scaled = {name: price.batch * value for name, value in price if isinstance(value, float)}
    return price.model_copy(update={**scaled, "batch": 1.0})


def booked_in_batches(
    engine: Engine, budget: Budget, metered: Callable[[Engine], Engine]
) -> Engine:
    """Put `metered` over an engine of batches, so that it books by the names of batches."""
    return _Renamed(metered(_Restored(engine, budget)))


class _Renamed:
    """Asks `inner` for a model under its name in batches."""

    def __init__(self, inner: Engine) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner

    async def complete(self, request: Request) -> Completion:
        return await self._inner.complete(replace(request, model=batch_name(request.model)))

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Restored:
    """Asks `inner` for a model under its own name, until the time limit of a budget."""

    def __init__(self, inner: Engine, budget: Budget) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner
        self._budget = budget

    async def complete(self, request: Request) -> Completion:
        own = replace(request, model=model_of(request.model))
        return await self._budget.until_deadline(self._inner.complete(own))

    async def aclose(self) -> None:
        await self._inner.aclose()
