"""Budget limits are never exceeded, and unused reservations are released."""

import asyncio

import pytest

import toys
from evolcoder.config.load import BudgetConfig, Price
from evolcoder.engine.base import Completion, Message, Request, Sampling
from evolcoder.engine.budget import Budget, MeteredEngine, Spending
from evolcoder.errors import BudgetReached, EngineError
from evolcoder.records import NO_PURPOSE, TokenCounts
from ledger import RecordingLedger

PRICES = {"toy": Price(input=1.0, output=10.0)}


class Slow:
    """Answers with 10 tokens after a few iterations of the loop, or fails."""

    identity = "scripted"

    def __init__(self, *, fail=False):
        self.calls = 0
        self._fail = fail

    async def complete(self, request):
        self.calls += 1
        for _ in range(5):
            await asyncio.sleep(0)
        if self._fail:
            raise EngineError("no", asked="scripted", retryable=True)
        return Completion("x", "", "stop", 5, 10)

    async def aclose(self):
        pass


def request(n=0, max_tokens=100):
    return Request("toy", (Message("user", f"ask {n}"),), Sampling(1.0, 1.0, max_tokens), n)


def metered(limits, *, spent=None, inner=None):
    ledger = RecordingLedger()
    meter = Budget(limits, spent or Spending(), ledger)
    inner = inner or Slow()
    return MeteredEngine(inner, meter, PRICES), meter, inner, ledger.paid


def ask_all(engine, n):
    async def go():
        asked = [engine.complete(request(i)) for i in range(n)]
        return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(go())


def test_tokens_never_pass_the_limit():
    """Concurrent requests together spend at most max_tokens, and nearly all of it."""
    engine, meter, inner, _ = metered(BudgetConfig(max_tokens=1000))
    outcomes = ask_all(engine, 200)
    assert meter.spent.tokens <= 1000
    assert meter.spent.tokens == 15 * inner.calls
    assert meter.spent.tokens > 1000 - 15 - 100 - 30
    assert any(isinstance(outcome, BudgetReached) for outcome in outcomes)


def test_dollars_never_pass_the_limit():
    """The cost of prompt and completion tokens stays within max_usd."""
    engine, meter, inner, _ = metered(BudgetConfig(max_usd=0.005))
    ask_all(engine, 200)
    assert meter.spent.usd == pytest.approx(inner.calls * (5 * 1.0 + 10 * 10.0) / 1e6)
    assert 0.0035 < meter.spent.usd <= 0.005


def test_spending_of_earlier_sessions_counts():
    """A resumed run continues with the remaining budget."""
    engine, _, inner, _ = metered(BudgetConfig(max_tokens=1000), spent=Spending(tokens=995))
    (outcome,) = ask_all(engine, 1)
    assert isinstance(outcome, BudgetReached)
    assert "budget.max_tokens=1000: 995 spent" in str(outcome)
    assert inner.calls == 0


def test_a_failed_request_costs_nothing():
    """The reservation of a failed request is released."""
    engine, meter, _, booked = metered(BudgetConfig(max_tokens=400), inner=Slow(fail=True))
    outcomes = ask_all(engine, 20)
    assert {type(outcome) for outcome in outcomes} == {EngineError}
    assert (meter.spent.tokens, meter.in_flight, booked) == (0, 0, [])


def test_every_completion_is_recorded():
    """The ledger receives model and tokens of each completion."""
    engine, _, _, booked = metered(BudgetConfig())
    ask_all(engine, 3)
    assert booked == [("toy", TokenCounts(5, 10), NO_PURPOSE)] * 3


def test_hours_end_a_session():
    """Nothing is sent after max_hours."""
    engine, _, inner, _ = metered(BudgetConfig(max_hours=1e-9))
    (outcome,) = ask_all(engine, 1)
    assert isinstance(outcome, BudgetReached)
    assert "max_hours" in str(outcome)
    assert inner.calls == 0


def test_a_cached_answer_costs_nothing(tmp_path):
    """The cache is in front of the budget."""
    from evolcoder.engine.cache import CachedEngine, CompletionCache

    engine, meter, _, _ = metered(BudgetConfig(), inner=toys.engine())
    cache = CompletionCache(tmp_path / "c.db")
    cached = CachedEngine(engine, cache)

    async def twice():
        first = await cached.complete(request())
        cache.flush()
        return first, await cached.complete(request())

    first, second = asyncio.run(twice())
    cache.close()
    assert first == second
    assert meter.requests == 1


class Excessive(Slow):
    """Takes 400 tokens more than it was allowed, as servers do that do not count reasoning."""

    async def complete(self, request):
        await super().complete(request)
        received = request.sampling.max_tokens + 400
        return Completion("x", "", "stop", 5, received)


def test_a_model_that_takes_more_than_max_tokens_is_reserved_more():
    """After the first answer the limit holds again, as far as its excess is the same."""
    engine, meter, inner, _ = metered(BudgetConfig(max_tokens=2600), inner=Excessive())
    for _ in range(10):
        ask_all(engine, 1)
    assert inner.calls == 5
    assert meter.spent.tokens == 5 * 505
    assert meter.exceeded() is None


def test_a_limit_that_answers_have_passed_is_named():
    """Answers in flight together may pass it; the money is spent, and the user is told."""
    engine, meter, _, _ = metered(BudgetConfig(max_usd=0.01), inner=Excessive())
    ask_all(engine, 5)
    assert meter.spent.usd == pytest.approx(5 * (5 + 5000) / 1e6)
    assert str(meter.exceeded()).startswith("stopped at budget.max_usd=0.01: $0.0250 spent; ")
    outcome = ask_all(engine, 1)[0]
    assert isinstance(outcome, BudgetReached)
