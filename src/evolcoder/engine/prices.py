"""What models cost, for estimates and for budgets.

The table is a convenience and grows old: `prices` in the config adds to it and overrides it. A
model in this process costs nothing; a model that no table knows has no price, and a run with a
limit in dollars refuses to use it.
"""

from collections.abc import Mapping

from evolcoder.config.load import Price

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
