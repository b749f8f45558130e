"""Dollars of a run's requests, by the names under which its models are booked.

>>> BookedPrices(store, config).usd("qwen2.5-coder-1.5b", sent=900, received=80)   # doctest: +SKIP
0.0
"""

from evolcoder.config.load import Config, Price
from evolcoder.engine.batch.budget import batch_price, model_of
from evolcoder.engine.prices import FREE, cost_of, price_of
from evolcoder.records import TokenCounts
from evolcoder.storage.workdir import PROVENANCE_META, FolderFacts, Workdir


class BookedPrices:
    """The prices of a config, of the built-in table, and of models in this process."""

    def __init__(self, store: Workdir, config: Config) -> None:
        """Read where each model ran, since requests are booked by the model's name alone."""
        self._prices = config.prices
        self._identities: dict[str, list[str]] = {}
        origin = store.meta(PROVENANCE_META, FolderFacts) or {}
        for one in filter(lambda one: isinstance(one, dict), origin.get("models", ())):
            identity = str(one.get("identity", ""))
            self._identities.setdefault(identity.partition("#")[2], []).append(identity)

    def price(self, booked: str) -> Price | None:
        """Return the price of a model, or None if it is not known."""
        model = model_of(booked)
        found = [price_of(model, one, self._prices) for one in self._identities.get(model, [""])]
        price = next((one for one in found if one is not FREE), FREE)
        return price if price is None or model == booked else batch_price(price)

    def usd(
        self, booked: str, *, sent: int, received: int, cached: int = 0, cache_writes: int = 0,
        reasoning: int = 0,
    ) -> float | None:  # fmt: skip
        """Return what requests cost, or None if the price of their model is not known."""
        price = self.price(booked)
        if price is None:
            return None
        details = TokenCounts(sent, received, cached, cache_writes, min(reasoning, received))
        return cost_of(price, details)
