"""A request that was sent and not answered is booked at its most, apart from what was paid for."""

import asyncio

import pytest

from evolcoder.app.models import open_budget
from evolcoder.config.load import BudgetConfig, Config, Price, TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.budget import (
    LOWER_S,
    Budget,
    InFlight,
    MeteredEngine,
    Spending,
    max_prompt_tokens,
)
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import BudgetReached, EngineError
from evolcoder.records import TokenCounts
from evolcoder.storage.run_store import RunStore
from ledger import RecordingLedger
from loopback import Loopback, half, hang, huge, not_http, raw, reset, status

pytestmark = pytest.mark.virtual_time

PRICES = {"toy": Price(input=1.0, output=10.0)}
MAX_TOKENS = 100


def ask(n=0):
    return Request("toy", (Message("user", f"hello {n}"),), Sampling(1.0, 1.0, MAX_TOKENS), n)


BOUND = max_prompt_tokens(ask()) + MAX_TOKENS


class Metered:
    """An engine for a server, behind a budget, with what was booked."""

    def __init__(self, server, *, max_tokens=None, **traffic):
        ledger = RecordingLedger()
        self.paid, self.possible = ledger.paid, ledger.possible
        self.budget = Budget(BudgetConfig(max_tokens=max_tokens), Spending(), ledger)
        traffic = {"timeout_s": 5, "max_tries": 3, "max_retry_s": 60, **traffic}
        inner = OpenAIEngine(server.base_url, api_key=None, traffic=TrafficConfig(**traffic))
        self.engine = MeteredEngine(inner, self.budget, PRICES)

    async def outcome(self, request):
        """Complete one request; returns its completion or its error."""
        (found,) = await asyncio.gather(self.engine.complete(request), return_exceptions=True)
        return found


async def slow_reset(request):
    """Work for a while, then cut the connection without a word."""
    await asyncio.sleep(3)
    return await reset(request)


BILLED = {
    "no answer in time": hang,
    "cut while it worked": slow_reset,
    "cut within the answer": half,
    "an answer that is too long": huge,
    "an answer that is no completion": raw(b'{"choices": []}'),
    "an answer that is not JSON": raw(b"<html>"),
    "a gateway that gave up": status(504),
    "a proxy that gave up": status(524),
    "a server that gave up": status(408),
}
FREE = {
    "too many requests": status(429),
    "a failure": status(500),
    "overload": status(503),
    "no upstream": status(502),
    "a tunnel to nothing": reset,
    "another protocol": not_http,
}


@pytest.mark.parametrize("what", BILLED)
async def test_a_sent_request_without_an_answer_is_possibly_billed(what):
    """It is booked at its most; the answer of the next try is paid for in addition."""
    async with Loopback() as server:
        server.mishaps.append(BILLED[what])
        metered = Metered(server)
        answer = await metered.engine.complete(ask())
        await metered.engine.aclose()
    assert metered.possible == [("toy", BOUND - MAX_TOKENS, MAX_TOKENS)]
    received = answer.prompt_tokens + answer.completion_tokens
    assert metered.budget.spent.tokens == BOUND + received
    assert metered.budget.possible.tokens == BOUND
    assert len(metered.paid) == 1


@pytest.mark.parametrize("what", FREE)
async def test_a_request_that_no_model_worked_on_is_free(what):
    """An error that a server answers at once, or a connection that leads nowhere, costs nothing."""
    async with Loopback() as server:
        server.mishaps.append(FREE[what])
        metered = Metered(server)
        await metered.engine.complete(ask())
        await metered.engine.aclose()
    assert metered.possible == []
    assert metered.budget.possible == Spending()


async def test_a_server_that_is_down_costs_nothing():
    """A refused connection carried no request."""
    async with Loopback() as server:
        metered = Metered(server, max_retry_s=2)
    assert isinstance(await metered.outcome(ask()), EngineError)
    await metered.engine.aclose()
    assert metered.possible == []


async def test_every_try_that_timed_out_counts():
    """Three tries without an answer may be billed three times."""
    async with Loopback(always=hang) as server:
        metered = Metered(server)
        assert isinstance(await metered.outcome(ask()), EngineError)
        await metered.engine.aclose()
    assert server.n_calls == len(metered.possible) == 3
    assert metered.budget.spent.tokens == 3 * BOUND
    assert metered.budget.in_flight == 0


async def test_tries_without_an_answer_never_pass_the_limit():
    """A try is sent only if its cost fits in addition to those that may have been billed."""
    async with Loopback(always=hang) as server:
        metered = Metered(server, max_tokens=10 * BOUND, concurrency=4, max_tries=8)
        outcomes = await asyncio.gather(*(metered.outcome(ask(n)) for n in range(8)))
        await metered.engine.aclose()
    assert metered.budget.spent.tokens <= 10 * BOUND
    assert server.n_calls == len(metered.possible) == 10
    assert {type(outcome) for outcome in outcomes} == {BudgetReached}
    assert "requests without an answer at their most" in str(outcomes[-1])
    assert metered.budget.in_flight == 0


async def test_a_request_cancelled_in_flight_is_possibly_billed():
    """One that was still waiting for its turn was not sent, and is free."""
    async with Loopback(always=hang) as server:
        metered = Metered(server, concurrency=2)
        tasks = [asyncio.create_task(metered.engine.complete(ask(n))) for n in range(5)]
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await metered.engine.aclose()
    assert len(metered.possible) == 2
    assert (metered.budget.in_flight, metered.budget.spent.tokens) == (0, 2 * BOUND)


async def test_what_is_in_flight_is_reported_when_it_grows_and_at_the_end():
    """A report for each try would cost as much as the try's own bookkeeping."""
    reports = []
    async with Loopback() as server:
        metered = Metered(server, concurrency=4)
        metered.budget.tries = InFlight(lambda most: reports.append(dict(most)))
        await asyncio.gather(*(metered.engine.complete(ask(n)) for n in range(200)))
        await metered.engine.aclose()
    assert len(reports) <= 12
    n, _, received = reports[-1]["toy"]
    assert (n, received) == (4, 4 * MAX_TOKENS)
    metered.budget.tries.end()
    assert reports[-1] == {}


def test_a_report_is_lowered_after_a_while(monkeypatch):
    """What was in flight an hour ago is not booked when the process is killed now."""
    now, reports = [0.0], []
    monkeypatch.setattr("evolcoder.engine.budget.time.monotonic", lambda: now[0])
    tries = InFlight(lambda most: reports.append(dict(most)))
    for sign in (1, 1, 1, -1, -1):
        tries.add("toy", 10, 100, sign)
    assert reports[-1] == {"toy": (3, 30, 300)}
    now[0] = LOWER_S + 1
    tries.add("toy", 10, 100)
    tries.add("toy", 10, 100, -1)
    assert reports[-1] == {"toy": (1, 10, 100)}


def test_a_resumed_run_counts_what_was_possibly_billed(tmp_path):
    """Requests without an answer count towards the limits of the next session, shown apart."""
    config = Config(budget=BudgetConfig(max_usd=1.0))
    with RunStore.create(tmp_path / "run", config) as store:
        store.add_call("toy", TokenCounts(100, 50, 40, 10, 20))
        store.add_call("toy", TokenCounts(100, 50))
        store.add_possible_call("toy", 1000, 2000)
    with RunStore.read(tmp_path / "run") as store:
        price = Price(input=1.0, output=10.0, cached_input=0.5, cache_write=2.0, reasoning=20.0)
        budget = open_budget(config, store, {"toy": price})
        assert store.calls_by_model() == {"toy": (2, 200, 100)}
        assert store.possible_calls_by_model() == {"toy": (1, 1000, 2000)}
    paid = 150 * 1.0 + 40 * 0.5 + 10 * 2.0 + 80 * 10.0 + 20 * 20.0
    assert budget.spent.tokens == 300 + 3000
    assert budget.possible.usd == pytest.approx((1000 * 2.0 + 2000 * 20.0) / 1e6)
    assert budget.spent.usd == pytest.approx(paid / 1e6 + budget.possible.usd)
