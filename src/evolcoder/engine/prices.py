"""The price of a model and the cost of tokens.

Prices default to a table that ages; `prices` in the config extends and overrides it. In-process
models are free.
"""

from collections.abc import Mapping

from evolcoder.config.load import Config, Price
from evolcoder.config.prices import DEFAULT_PRICES, PRICES_AS_OF
from evolcoder.engine.base import Completion
from evolcoder.engine.usage import TokenCounts

FREE = Price(input=0.0, output=0.0)
_LOCAL = ("gguf:", "scripted")


def price_of(model: str, identity: str, prices: Mapping[str, Price]) -> Price | None:
    """Return the price of a model on an engine, or None if unknown."""
    if model in prices:
        return prices[model]
    if identity.startswith(_LOCAL):
        return FREE
    return DEFAULT_PRICES.get(model)


def usd(
    price: Price,
    prompt_tokens: int,
    completion_tokens: int,
    *,
    cached: int = 0,
    cache_writes: int = 0,
    reasoning: int = 0,
) -> float:
    """Return the cost of these tokens in US dollars.

    `cached` and `cache_writes` are parts of the prompt tokens, `reasoning` of the completion
    tokens.
    """
    cost = price.input * (prompt_tokens - cached - cache_writes)
    cost += (price.input if price.cached_input is None else price.cached_input) * cached
    cost += (price.input if price.cache_write is None else price.cache_write) * cache_writes
    cost += price.output * (completion_tokens - reasoning)
    cost += (price.output if price.reasoning is None else price.reasoning) * reasoning
    return cost / 1e6


def counts_of(completion: Completion) -> TokenCounts:
    """Return the tokens that a completion is paid by."""
    c = completion
    reasoning = min(c.reasoning_tokens, c.completion_tokens)
    return TokenCounts(
        c.prompt_tokens, c.completion_tokens, c.cached_tokens, c.cache_write_tokens, reasoning
    )


def cost_of(price: Price, counts: TokenCounts) -> float:
    """Return the cost of counted tokens in US dollars."""
    return usd(
        price,
        counts.prompt,
        counts.received,
        cached=counts.cached,
        cache_writes=counts.cache_writes,
        reasoning=counts.reasoning,
    )


def worst_cost(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """Return the cost in US dollars if every token is of the dearest kind."""
    dearest = Price(
        input=max(price.input, price.cached_input or 0.0, price.cache_write or 0.0),
        output=max(price.output, price.reasoning or 0.0),
    )
    return usd(dearest, prompt_tokens, completion_tokens)


def price_dates(config: Config) -> str:
    """Say of what date the prices are: those of the config, and those of the built-in table."""
    built_in = f"built-in table as of {PRICES_AS_OF}"
    if not config.prices:
        return built_in
    theirs = f"as of {config.prices_as_of}" if config.prices_as_of else "without a date"
    return f"`prices` in the config {theirs}, else {built_in}"
