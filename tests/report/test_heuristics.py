"""What kept rows cost by heuristic: each request counts for the candidate that it was made for."""

import asyncio
import json
import random
import re
import sqlite3
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, closing
from types import SimpleNamespace

import pytest

import toys
from evolcoder.app.models import ModelFactory, OpenedModels, find_prices, open_budget
from evolcoder.cli.main import main
from evolcoder.engine.base import Message, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.evolution.heuristics import resolve
from evolcoder.pipeline import Pipeline, RoleModels
from evolcoder.records import (
    SEED_GROUP,
    CallPurpose,
    Check,
    CheckResult,
    Drop,
    Reason,
    Stage,
    TokenCounts,
)
from evolcoder.report.run import report_of
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.run_tables import MIGRATIONS
from evolcoder.storage.sqlite_files import migrate
from test_pipeline import open_store

PRICE = {"input": 3.0, "output": 7.0}
NAMES = ("alpha", "seed", "gamma")
"""Names that a user may choose."""
HEURISTICS = {name: {"template": f"Way {name}. Task: {{task}}", "answer": "task"} for name in NAMES}
"""Heuristics whose prompts name them, so that a request shows its own."""


class Recording:
    """A model that remembers each request with its tokens.

    `alpha` adds little, and is judged; some of `gamma` are rejected, unless it takes everything.
    """

    identity = "https://models.example/v1"

    def __init__(self, *, takes_all=False):
        self.asked, self.takes_all = [], takes_all
        self._rng = random.Random(3)
        self._inner = ScriptedEngine(self._said)

    def _said(self, request):
        text = request.messages[-1].content
        if text.startswith("CHECK") or "YES" in text:
            return "NO" if len(text) % 3 == 0 else "YES"
        if text.startswith("Way "):
            way, task = text.split(" Task: ")
            if hash_of(text) % 9 == 0:
                return task  # which is dropped: it is equal to its parent
            a, b, c, d, e, f = toys.pick(text + str(request.seed), 6)
            more = f"{a} {b} {c}" if "alpha" in way else f"{a} {b} {c} {d} {e} {f}"
            return f"{task.strip()} Also reject every {more} by {way[4:]}"
        return toys.answer(text)

    async def complete(self, request):
        for _ in range(self._rng.randrange(5)):
            await asyncio.sleep(0)
        text = request.messages[-1].content
        if text.startswith("Way gamma") and hash_of(text) % 5 == 0 and not self.takes_all:
            raise EngineError("a filter", asked="toy", retryable=False, rejected=True)
        found = await self._inner.complete(request)
        self.asked.append((text, found.text, found.prompt_tokens, found.completion_tokens))
        return found

    async def aclose(self):
        pass


def hash_of(text):
    return sum(map(ord, text))


class Asks:
    """A check that asks a model about its row, and fails every fourth one."""

    check = Check.RUNS

    def __init__(self, role):
        self.role = role

    async def __call__(self, task, response, before):
        await self.role.ask((Message("user", f"CHECK {task.id}"),), seed=1)
        kind = "parse_error" if hash_of(task.id) % 4 == 0 else "passed"
        return CheckResult.of(response, self.check, kind)


class AsksAndChooses:
    """A choice of the first usable answer, for which a model is asked."""

    def __init__(self, role):
        self.role = role

    async def __call__(self, task, answers):
        await self.role.ask((Message("user", f"CHECK agreement {task.id}"),), seed=1)
        chosen = next(one for one in answers if not one.defect)
        return SimpleNamespace(kind="agreed", score=None, detail={}, chosen=chosen, answers=answers)


def config_of(tmp_path, **sections):
    return toys.config(
        cache=str(tmp_path / "completions.db"), budget={"rounds": 2}, prices={"toy": PRICE},
        evolve={"heuristics": HEURISTICS, "only_these": True}, **sections,
    )  # fmt: skip


async def go(store, config, engine, *, n_answers):
    """Run a pipeline whose requests are cached, metered and booked as those of a run."""
    async with AsyncExitStack() as stack:
        opened = OpenedModels(engine, "toy")
        prices = find_prices(config, [opened])
        factory = ModelFactory(config, open_budget(config, store, prices), prices, stack)
        role = factory.role(opened, Sampling(1.0, 0.9, 512), "")
        await Pipeline(
            store, config, RoleModels(role, role, role), heuristics=resolve(config.evolve),
            in_flight=8, checks=[Asks(role)],
            chooser=AsksAndChooses(role) if n_answers > 1 else None,
        ).run()  # fmt: skip


def spent_by_heuristic(asked, tasks):
    """Count requests, tokens sent and received by what the texts show that they were made for."""
    by_text = {text: name or SEED_GROUP for _, text, name in tasks}
    by_id = {id: name or SEED_GROUP for id, _, name in tasks}
    found = defaultdict(Counter)
    for text, _, sent, received in asked:
        if text.startswith("Way "):
            name = text.split()[1].strip(".")
        elif text.startswith("CHECK"):
            name = by_id[text.split()[-1]]
        elif text in by_text:
            name = by_text[text]
        elif text.startswith("Reply with"):  # asked after the first rejection, to see whose fault
            name = "gamma"
        else:  # the judge sees the evolved task last, which ends with the name
            name = re.findall(r" by (\w+)", text)[-1]
        found[name] += Counter(requests=1, sent=sent, received=received)
    return found


def rows_of(store, config, section):
    plain = report_of(store, config).as_plain()["sections"][section]["rows"]
    return {row["heuristic"]: row for row in plain}


@pytest.mark.parametrize("n_answers", [1, 3])
def test_each_request_counts_for_its_heuristic(tmp_path, n_answers):
    """Evolutions, judgements, answers and checks, of kept and of dropped candidates alike."""
    engine = Recording()
    config = config_of(tmp_path, respond={"candidates": n_answers})
    with open_store(tmp_path / "run", config, 40, answered=False) as store:
        asyncio.run(go(store, config, engine, n_answers=n_answers))
        cleaned = next(row for row in store.rows(min_round=1))
        gone = Drop(Stage.CLEAN, Reason.DUPLICATE_NEAR, cleaned.task.id, cleaned.task.round,
                    cleaned.task.ordinal, None, "", "", None)  # fmt: skip
        store.replace_cleaned([gone], "clean", {"n_rows": 1, "dropped": {}, "embedder": None})
        costs, counts = (rows_of(store, config, one) for one in ("heuristic_costs", "heuristics"))
    with closing(sqlite3.connect(tmp_path / "run" / "run.db")) as db:
        tasks = db.execute("SELECT id, instruction, heuristic FROM tasks").fetchall()
        places = set(db.execute("SELECT round, ordinal FROM kept WHERE round > 0"))
        places -= set(db.execute("SELECT round, ordinal FROM drops WHERE stage = 'clean'"))
        of_place = db.execute("SELECT round, ordinal, heuristic FROM tasks").fetchall()
        reasons = set(db.execute("SELECT stage, heuristic FROM drops WHERE stage <> 'clean'"))
        stages = dict(db.execute("SELECT stage, COUNT(*) FROM calls GROUP BY stage"))
    kept = Counter(name for round, ordinal, name in of_place if (round, ordinal) in places)
    assert {stage for stage, _ in reasons} == {"evolve", "respond", "verify"}
    assert any("YES" in text for text, *_ in engine.asked)
    assert set(kept) == set(NAMES)
    spent = spent_by_heuristic(engine.asked, tasks)
    assert costs.keys() == {*NAMES, SEED_GROUP} == spent.keys()
    for name, row in costs.items():
        sent, received = spent[name]["sent"], spent[name]["received"]
        dollars = (3.0 * sent + 7.0 * received) / 1e6
        assert {one: row[one] for one in spent[name]} == dict(spent[name])
        assert row["USD"] == pytest.approx(dollars, rel=1e-5)
        if name == SEED_GROUP:
            assert row["tokens for each kept row"] is None
            continue
        assert row["kept"] == counts[name]["kept"] == kept[name]
        each = round((sent + received) / kept[name])
        assert row["tokens for each kept row"] == counts[name]["tokens for each kept row"] == each
        for table in (row, counts[name]):
            assert table["USD for each kept row"] == pytest.approx(dollars / kept[name], rel=1e-5)
        parts = sum(
            row[f"{one}, for each kept row"] for one in ("evolving", "answering", "verifying")
        )
        assert parts == pytest.approx(each, abs=2)
    assert sum(row["requests"] for row in costs.values()) == len(engine.asked)
    assert stages.keys() == {"evolve", "respond", "verify"}
    assert stages["verify"] == sum(text.startswith("CHECK") for text, *_ in engine.asked)


def test_what_came_from_the_cache_costs_nothing(tmp_path):
    """The same run in another folder has the same rows, and paid for none."""
    config = config_of(tmp_path)
    kept = []
    for name in ("first", "second"):
        engine = Recording(takes_all=True)
        with open_store(tmp_path / name, config, 20, answered=False) as store:
            asyncio.run(go(store, config, engine, n_answers=1))
            rows = rows_of(store, config, "heuristics")
        kept.append({one: row["kept"] for one, row in rows.items()})
    assert kept[0] == kept[1]
    assert engine.asked == []
    assert {row["tokens for each kept row"] for row in rows.values()} == {0}


def test_prices_count_cached_and_reasoning_tokens_of_their_heuristic(tmp_path):
    """Sums of the database's rows, one by one; without a price, tokens alone are known."""
    draw = random.Random(11)
    prices = {
        "a": {"input": 1.0, "output": 4.0, "cached_input": 0.5, "cache_write": 2.0, "reasoning": 9.0},
        "b": {"input": 10.0, "output": 20.0},
    }  # fmt: skip
    config = toys.config(prices=prices)
    with open_store(tmp_path / "run", config, 1) as store:
        (seed,) = [row.task for row in store.rows()]
        for at, name in enumerate(("deepen", "constrain", "unpriced")):
            child = seed.child(f"x {name}", round=at + 1, heuristic=name, language=None, made=None)
            store.add(child)
        for _ in range(200):
            name, stage = draw.choice(["deepen", "constrain"]), draw.choice(list(Stage))
            sent, received = draw.randrange(100, 900), draw.randrange(50, 500)
            details = draw.choice([(0, 0, 0), (draw.randrange(90), draw.randrange(9), 7)])
            purpose = CallPurpose(stage, name)
            counts = TokenCounts(sent, received, *details)
            store.add_call(draw.choice(["a", "b"]), counts, purpose)
        store.add_call("c", TokenCounts(10, 5), CallPurpose(Stage.EVOLVE, "unpriced"))
        store.db.flush()
        rows = rows_of(store, config, "heuristic_costs")
    with closing(sqlite3.connect(tmp_path / "run" / "run.db")) as db:
        calls = db.execute("SELECT * FROM calls").fetchall()
        details = db.execute("SELECT * FROM call_details").fetchall()
    for name in ("deepen", "constrain"):
        dollars = 0.0
        for model, sent, received, _, heuristic in calls:
            one = prices[model] if heuristic == name else {"input": 0, "output": 0}
            dollars += (one["input"] * sent + one["output"] * received) / 1e6
        for model, cached, written, reasoning, _, heuristic in details:
            if heuristic == name and model == "a":  # b has one price for all
                dollars += (-0.5 * cached + 1.0 * written + 5.0 * reasoning) / 1e6
        assert rows[name]["USD"] == pytest.approx(dollars, rel=1e-5)
    assert rows["unpriced"]["USD"] is None
    assert rows["unpriced"]["sent"] == 10


def test_a_run_of_an_earlier_version_says_that_costs_are_not_known(tmp_path, capsys):
    """Also where a later version went on with it: a part of the cost is no cost."""
    folder, config = tmp_path / "run", toys.config()
    folder.mkdir()
    with closing(sqlite3.connect(folder / "run.db", isolation_level=None)) as old:
        later = next(n for n, sql in enumerate(MIGRATIONS) if "calls ADD COLUMN heuristic" in sql)
        migrate(old, MIGRATIONS[:later], 0)
        old.execute("INSERT INTO calls VALUES ('toy', 10, 20)")
        old.execute("INSERT INTO call_details VALUES ('toy', 1, 2, 3)")
    with RunStore.create(folder, config) as store:
        assert store.calls_by_model() == {"toy": (1, 10, 20)}
        assert store.call_details_by_model() == {"toy": (1, 2, 3)}
    with open_store(tmp_path / "other", config, 1) as store:
        (seed,) = [row.task for row in store.rows()]
    with RunStore.create(folder, config) as store:
        store.add(seed)
        store.add(seed.child("y", round=1, heuristic="deepen", language=None, made=None))
        store.add_call("toy", TokenCounts(1, 1), CallPurpose(Stage.EVOLVE, "deepen"))
        store.db.flush()
        found = report_of(store, config).as_plain()["sections"]
        (row,) = found["heuristics"]["rows"]
        assert (row["heuristic"], row["tried"]) == ("deepen", 1)
        assert row["tokens for each kept row"] is row["USD for each kept row"] is None
        assert "heuristic_costs" not in found
    for form in ("--json", "--markdown"):
        assert main(["report", str(folder), form]) == 0
        assert "is not known: 1 of 2 requests" in capsys.readouterr().out


def test_a_heuristic_without_a_kept_row_says_what_it_cost(tmp_path):
    """There is no cost of a row, and a note says what was paid for none."""
    config = toys.config()
    with open_store(tmp_path / "run", config, 1) as store:
        (seed,) = [row.task for row in store.rows()]
        store.add(Drop(Stage.EVOLVE, Reason.EMPTY, seed.id, 1, 0, "deepen", "", "", None))
        store.add_call("toy", TokenCounts(700, 34), CallPurpose(Stage.EVOLVE, "deepen"))
        store.db.flush()
        found = report_of(store, config).as_plain()["sections"]["heuristic_costs"]
    (row,) = found["rows"]
    assert row["tokens for each kept row"] is None
    assert found["notes"] == ["deepen: 734 tokens were paid, and no row was kept"]
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("booked", "identities", "prices", "dollars"),
    [
        ("toy", ["gguf:0123#toy"], {}, 0.0),
        ("toy", ["scripted:0123#toy"], {}, 0.0),
        ("toy", ["gguf:0123#toy"], {"toy": {"input": 1.0, "output": 2.0}}, 2.0),
        ("toy", ["gguf:0123#toy", "https://models.example/v1#toy"], {}, None),
        ("toy", ["https://models.example/v1#toy"], {}, None),
        ("toy", [], {}, None),
        ("toy", [], {"toy": {"input": 1.0, "output": 2.0}}, 2.0),
        ("toy (batch)", [], {"toy": {"input": 1.0, "output": 2.0, "batch": 0.25}}, 0.5),
        ("toy (batch)", ["https://models.example/v1#toy"], {}, None),
    ],
)
def test_models_in_this_process_are_free_and_batches_have_their_price(
    tmp_path, booked, identities, prices, dollars
):
    """In the table of models and in that of heuristics, as the budget of the run counts them."""
    config = toys.config(prices=prices)
    with open_store(tmp_path / "run", config, 1) as store:
        (seed,) = [row.task for row in store.rows()]
        store.add(Drop(Stage.EVOLVE, Reason.EMPTY, seed.id, 1, 0, "deepen", "", "", None))
        models = [{"role": "evolver", "identity": one} for one in identities]
        store.set_meta("provenance", {"command": "", "models": models, "versions": {}})
        store.add_call(booked, TokenCounts(1_000_000, 500_000), CallPurpose(Stage.EVOLVE, "deepen"))
        store.db.flush()
        found = report_of(store, config).as_plain()["sections"]
    assert found["costs"]["rows"][0]["USD"] == dollars
    assert found["heuristic_costs"]["rows"][0]["USD"] == dollars
    assert bool(found["costs"]["notes"]) == (dollars is None)
