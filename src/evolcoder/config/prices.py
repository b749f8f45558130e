"""The built-in price table, which `prices` in the config extends and overrides.

>>> complete_prices({"gpt-4.1-mini": {"input": 0.3}})["gpt-4.1-mini"]["output"]
1.6
"""

from collections.abc import Mapping
from typing import Any

from evolcoder.config.schema import Price

PRICES_AS_OF = "2025-08"
"""Date at which the table was copied from the vendors' public price lists."""

DEFAULT_PRICES: dict[str, Price] = {
    "gpt-3.5-turbo": Price(input=0.50, output=1.50),
    "gpt-4o": Price(input=2.50, output=10.00, cached_input=1.25),
    "gpt-4o-mini": Price(input=0.15, output=0.60, cached_input=0.075),
    "gpt-4.1": Price(input=2.00, output=8.00, cached_input=0.50),
    "gpt-4.1-mini": Price(input=0.40, output=1.60, cached_input=0.10),
    "gpt-4.1-nano": Price(input=0.10, output=0.40, cached_input=0.025),
    "gpt-5": Price(input=1.25, output=10.00, cached_input=0.125),
    "gpt-5-mini": Price(input=0.25, output=2.00, cached_input=0.025),
    "gpt-5-nano": Price(input=0.05, output=0.40, cached_input=0.005),
}
"""US dollars per million tokens."""


def complete_prices(prices: Mapping[str, Any]) -> dict[str, Any]:
    """Add what an entry leaves out from the built-in entry of that name.

    An entry with `input` and `output` stands alone.
    """
    return {name: _completed(name, given) for name, given in prices.items()}


def _completed(name: str, given: object) -> object:
    known = DEFAULT_PRICES.get(name)
    if known is None or not isinstance(given, Mapping) or {"input", "output"} <= given.keys():
        return given
    return {**known.model_dump(exclude_none=True), **given}
