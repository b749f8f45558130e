"""The token usage of a response, and its price.

`read_usage` reads the forms of all known providers. The result is what the provider bills: received
tokens are the largest of the count given, `total - prompt`, and the reasoning tokens, since several
servers leave reasoning out of `completion_tokens`. Prompt tokens include the cached ones, which
some providers count apart.

Prices default to a table that ages; `prices` in the config extends and overrides it. In-process
models are free.

>>> read_usage({"usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 40}}).received
31
"""

from collections.abc import Iterator, Mapping
from typing import Any

from evolcoder.config.load import Config, Price
from evolcoder.config.prices import DEFAULT_PRICES, PRICES_AS_OF
from evolcoder.engine.base import IN_PROCESS, Completion
from evolcoder.engine.json_values import object_of
from evolcoder.records import TokenCounts

FREE = Price(input=0.0, output=0.0)
_LOCAL = (*IN_PROCESS, "scripted")
MAX_COUNT = 2**31
"""Larger counts are no counts."""
MAX_DIGITS = 10
"""Longer texts are no counts."""
_PROMPT = (
    "prompt_tokens",
    "promptTokenCount",
    "prompt_token_count",
    "prompt_eval_count",
    "tokens_evaluated",
)
_INPUT = ("input_tokens", "inputTokens")
"""Anthropic and Bedrock leave cached tokens out of these counts."""
_TOOL_PROMPT = ("toolUsePromptTokenCount", "tool_use_prompt_token_count")
_OUTPUT = (
    "completion_tokens",
    "output_tokens",
    "outputTokens",
    "eval_count",
    "tokens_predicted",
    "generated_tokens",
)
_CANDIDATES = ("candidatesTokenCount", "candidates_token_count")
"""Gemini leaves thoughts out of these counts."""
_THOUGHTS = ("thoughtsTokenCount", "thoughts_token_count")
_REASONING = ("reasoning_tokens", "thinking_tokens", *_THOUGHTS)
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount", "total_token_count")
_CACHED_APART = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITTEN_APART = (
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cacheWriteInputTokenCount",
)
_CACHED = (
    "cached_tokens",
    "num_cached_tokens",
    "prompt_cache_hit_tokens",
    "cachedContentTokenCount",
    "cached_content_token_count",
    *_CACHED_APART,
)
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", *_WRITTEN_APART)
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")


def price_of(model: str, identity: str, prices: Mapping[str, Price]) -> Price | None:
    """Return the price of a model on an engine, or None if unknown."""
    if model in prices:
        return prices[model]
    if identity.startswith(_LOCAL):
        return FREE
    return DEFAULT_PRICES.get(model)


def counts_of(completion: Completion) -> TokenCounts:
    """Return the billable tokens of a completion."""
    c = completion
    reasoning = min(c.reasoning_tokens, c.completion_tokens)
    return TokenCounts(
        c.prompt_tokens, c.completion_tokens, c.cached_tokens, c.cache_write_tokens, reasoning
    )


def cost_of(price: Price, counts: TokenCounts) -> float:
    """Return the cost of counted tokens in US dollars."""
    cached, written, thought = counts.cached, counts.cache_writes, counts.reasoning
    cost = price.input * (counts.prompt - cached - written)
    cost += (price.input if price.cached_input is None else price.cached_input) * cached
    cost += (price.input if price.cache_write is None else price.cache_write) * written
    cost += price.output * (counts.received - thought)
    cost += (price.output if price.reasoning is None else price.reasoning) * thought
    return cost / 1e6


def worst_cost(price: Price, prompt_tokens: int, completion_tokens: int) -> float:
    """Return the cost in US dollars if every token is of the dearest kind."""
    dearest_input = max(price.input, price.cached_input or 0.0, price.cache_write or 0.0)
    dearest_output = max(price.output, price.reasoning or 0.0)
    return (dearest_input * prompt_tokens + dearest_output * completion_tokens) / 1e6


def price_dates(config: Config) -> str:
    """Give the dates of the prices: those of the config, and those of the built-in table."""
    built_in = f"built-in table as of {PRICES_AS_OF}"
    if not config.prices:
        return built_in
    theirs = f"as of {config.prices_as_of}" if config.prices_as_of else "without a date"
    return f"`prices` in the config {theirs}, else {built_in}"


_PLAIN = {"prompt_tokens", "completion_tokens", "total_tokens"}


def read_usage(data: Mapping[str, Any]) -> TokenCounts:
    """Read the usage of a response body; a count that is not given is 0."""
    for usage in _sources(data):
        counts = _plain_counts(usage) or _counts(usage)
        if counts.prompt or counts.received:
            return counts
    return TokenCounts()


def _sources(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that may hold the usage, the usual one first."""
    for holder in (data, object_of(data.get("x_groq"))):
        for name in ("usage", "usageMetadata", "usage_metadata", "meta"):
            found = object_of(holder.get(name))
            yield found
            # Cohere bills fewer tokens than it counts.
            yield object_of(found.get("billed_units"))
            yield object_of(found.get("tokens"))
    yield data  # Ollama, llama.cpp's /completion
    yield object_of(data.get("details"))  # TGI


def _plain_counts(usage: Mapping[str, Any]) -> TokenCounts | None:
    """Read a usage of three counts that add up, as most are; ten times as fast as `_counts`."""
    if usage.keys() != _PLAIN:
        return None
    prompt, received, total = map(
        usage.__getitem__, ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if not (type(prompt) is type(received) is type(total) is int):
        return None
    adds_up = prompt > 0 and received > 0 and total == prompt + received
    return TokenCounts(prompt, received) if adds_up else None


def _counts(usage: Mapping[str, Any]) -> TokenCounts:
    inside_prompt = [usage, *(object_of(usage.get(name)) for name in _PROMPT_DETAILS)]
    inside_output = [usage, *(object_of(usage.get(name)) for name in _OUTPUT_DETAILS)]
    cached, written = _largest(inside_prompt, _CACHED), _largest(inside_prompt, _WRITTEN)
    reasoning, total = _largest(inside_output, _REASONING), _largest([usage], _TOTAL)
    output = max(
        _largest([usage], _OUTPUT),
        _largest([usage], _CANDIDATES) + _largest([usage], _THOUGHTS),
    )
    prompt = _prompt(usage, output, total)
    if not prompt and usage.keys().isdisjoint((*_PROMPT, *_INPUT)):
        prompt = max(0, total - output)  # what is left of the total is the prompt
    apart = _largest([usage], _CACHED_APART) + _largest([usage], _WRITTEN_APART)
    if cached + written > prompt > 0 or (apart and total == prompt + output + apart):
        prompt += cached + written
    received = max(output, reasoning, total - prompt)
    cached = min(cached, prompt)
    return TokenCounts(prompt, received, cached, min(written, prompt - cached), reasoning)


def _prompt(usage: Mapping[str, Any], output: int, total: int) -> int:
    """Return the prompt tokens, cached ones included."""
    if counted := _largest([usage], _PROMPT):
        return counted + _largest([usage], _TOOL_PROMPT)
    counted = _largest([usage], _INPUT)
    apart = _largest([usage], _CACHED_APART) + _largest([usage], _WRITTEN_APART)
    if apart and not (total and total == counted + output):
        return counted + apart
    if counted:
        return counted
    hit, miss = (_count(usage.get(f"prompt_cache_{name}_tokens")) for name in ("hit", "miss"))
    return hit + miss


def _largest(holders: list[Mapping[str, Any]], names: tuple[str, ...]) -> int:
    return max(_count(holder.get(name)) for holder in holders for name in names)


def _count(value: object) -> int:
    """Return a valid count, or 0; some servers send whole numbers as floats or as text."""
    if isinstance(value, str) and len(value) <= MAX_DIGITS and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return value if is_count and 0 <= value < MAX_COUNT else 0  # type: ignore[operator, return-value]
