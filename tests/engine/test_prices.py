"""Usage is booked to the token, in the form of every provider."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.config.load import BudgetConfig, Price
from evolcoder.engine import openai_schema
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.budget import Budget, MeteredEngine, Spending
from evolcoder.engine.prices import FREE, cost_of, read_usage, worst_cost
from evolcoder.records import NO_PURPOSE, TokenCounts
from jsonl import read_jsonl
from ledger import RecordingLedger

ROWS = read_jsonl(Path(__file__).parents[1] / "data" / "usages.jsonl")
"""Usage objects in the shape that each provider documents, with what it bills for them."""
REQUEST = Request("m", (Message("user", "Write a program."),), Sampling(0.7, 0.9, 10**6), 1)


def test_a_hundred_usages_of_many_providers_are_at_hand():
    """The table has a hundred rows, of far more than ten providers and of many shapes."""
    assert len(ROWS) >= 100
    assert len({row["provider"] for row in ROWS}) >= 20
    assert len({(row["provider"], row["shape"]) for row in ROWS}) >= 80


class Answering:
    """Answers with one body."""

    identity = "http://127.0.0.1:1/v1"

    def __init__(self, body):
        self.body = body

    async def complete(self, request):
        answer = {"choices": [{"message": {"content": "x" * 60}, "finish_reason": "stop"}]}
        return openai_schema.parse_completion(json.dumps({**answer, **self.body}).encode(), request)

    async def aclose(self):
        pass


@pytest.mark.parametrize(
    "row", ROWS, ids=[f"{n}, {row['provider']}, {row['shape']}" for n, row in enumerate(ROWS)]
)
async def test_a_usage_is_booked_to_the_token(row):
    """From the body to the ledger: prompt, cached, written, received, reasoning, and dollars."""
    expected, ledger = row["expected"], RecordingLedger()
    budget = Budget(BudgetConfig(), Spending(), ledger)
    engine = MeteredEngine(Answering(row["body"]), budget, {"m": Price(**row["price"])})
    await engine.complete(REQUEST)
    names = ("prompt", "received", "cached", "cache_writes", "reasoning")
    counts = TokenCounts(*(expected[name] for name in names))
    assert ledger.paid == [("m", counts, NO_PURPOSE)]
    assert budget.spent.tokens == expected["prompt"] + expected["received"]
    assert budget.spent.usd == pytest.approx(expected["usd"], abs=1e-12)


@pytest.mark.parametrize(
    ("usage", "received"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 50}, 50),
        ({"prompt_tokens": 9, "completion_tokens": 50, "total_tokens": 100}, 91),
        ({"prompt_tokens": 9, "completion_tokens": 50, "total_tokens": 20}, 50),
        ({"prompt_tokens": 9, "completion_tokens": 50, "reasoning_tokens": 70}, 70),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 100}, 91),
        (
            {"prompt_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}},
            7,
        ),
    ],
)
def test_received_tokens_are_the_largest_of_three(usage, received):
    """The count given, total minus prompt, and reasoning."""
    assert read_usage({"usage": usage}).received == received


@pytest.mark.parametrize(
    "usage",
    [
        None, [1], "many", 7, {"prompt_tokens": "many"}, {"prompt_tokens": True},
        {"prompt_tokens": 2**40, "completion_tokens": float("1e300")}, {"prompt_tokens": -1},
        {"prompt_tokens": 1.5}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens_details": [3], "completion_tokens_details": "none"},
    ],
)  # fmt: skip
def test_a_usage_that_counts_nothing_is_estimated(usage):
    """An odd usage voids no answer, and no answer is free."""
    body = {"choices": [{"message": {"content": "a" * 30}}], "usage": usage}
    completion = openai_schema.parse_completion(json.dumps(body).encode(), REQUEST)
    assert (completion.prompt_tokens, completion.completion_tokens) == (6, 10)


def test_counts_as_text_are_counted():
    """Some gateways write numbers as text; what is no number is none."""
    given = {"prompt_tokens": "100", "completion_tokens": "50", "total_tokens": "1" * 11}
    assert read_usage({"usage": given}) == TokenCounts(100, 50)
    assert read_usage({"usage": {"prompt_tokens": "²", "completion_tokens": ""}}) == TokenCounts()


_COUNT = st.integers(-5, 10_000) | st.none() | st.floats() | st.booleans()
_NAMES = sorted(
    {
        name
        for row in ROWS
        for usage in row["body"].values()
        if isinstance(usage, dict)
        for name in usage
    }
)


@given(st.dictionaries(st.sampled_from(_NAMES), _COUNT, max_size=8))
def test_parts_never_exceed_the_whole(usage):
    """Cached and written tokens are parts of the prompt; no count is negative."""
    counts = read_usage({"usage": usage})
    assert counts.cached + counts.cache_writes <= counts.prompt
    assert counts.reasoning <= counts.received
    assert min(counts.prompt, counts.cached, counts.cache_writes, counts.reasoning) >= 0


_DOLLARS = st.floats(0, 100)
_PRICES = st.builds(
    Price,
    input=_DOLLARS,
    output=_DOLLARS,
    cached_input=st.none() | _DOLLARS,
    cache_write=st.none() | _DOLLARS,
    reasoning=st.none() | _DOLLARS,
)


@given(_PRICES, st.lists(st.integers(0, 999), min_size=5, max_size=5))
def test_no_mixture_of_tokens_costs_more_than_the_bound(price, counts):
    """A reservation at the dearest prices covers any share of cached and reasoning tokens."""
    plain, cached, written, visible, thought = counts
    sent, received = plain + cached + written, visible + thought
    cost = cost_of(price, TokenCounts(sent, received, cached, written, thought))
    assert cost <= worst_cost(price, sent, received) + 1e-9


def test_prices_left_out_mean_the_plain_ones():
    """A price of two numbers costs what it did before there were five."""
    price = Price(input=2.0, output=8.0)
    plain = cost_of(price, TokenCounts(1000, 500))
    assert plain == pytest.approx(0.006)
    mixed = cost_of(price, TokenCounts(1000, 500, cached=900, cache_writes=50, reasoning=400))
    assert mixed == pytest.approx(plain)
    assert cost_of(FREE, TokenCounts(1000, 500)) == 0
    assert TokenCounts() == TokenCounts(0, 0, 0, 0, 0)
