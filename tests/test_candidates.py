"""A run that asks several answers to each task repeats nothing, loses nothing and drops by config."""

import asyncio
import json
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import small_run
import toys
from evolcoder.app import estimate
from evolcoder.app.evolve import evolve_run
from evolcoder.app.models import OpenedModels
from evolcoder.cli.main import main
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import ConfigError, EngineError, RunFolderError
from evolcoder.exports import derived_rows
from evolcoder.exports.formats import verified_level
from evolcoder.fences import only_block
from evolcoder.records import Check, Reason, Stage
from evolcoder.storage.run_store import DB_NAME, MIGRATIONS, RunStore
from evolcoder.storage.stats import agreement_counts, funnel
from jsonl import write_jsonl

BODIES = ("max(nums)", "sorted(nums)[-1]", "min(nums)", "max(nums)")
TASKS = [f"Write a Python function best{n} that returns the largest number." for n in range(3)]
PROSE = "Explain recursion."


class Counted:
    """A model that answers by task and seed, counts requests, and fails on demand."""

    identity = "scripted"

    def __init__(self, *, fail_after=None, refuses=lambda request: False):
        self.requests = []
        self._fail_after = fail_after
        self._refuses = refuses
        self._inner = ScriptedEngine(self._answer)

    def _answer(self, request):
        asked = request.messages[-1].content
        if "best" not in asked:
            return "Recursion is a function that calls itself until a base case ends it."
        name = asked.split("function ")[1].split(" ")[0]
        code = f"```python\ndef {name}(nums):\n    return {BODIES[request.seed % 4]}\n```"
        return f"Here it is:\n\n{code}\n\nIt takes O(1) time."

    async def complete(self, request):
        if self._fail_after is not None and len(self.requests) >= self._fail_after:
            raise EngineError("down", asked="toy", retryable=True)
        self.requests.append(request)
        if self._refuses(request):
            raise EngineError("content filter", asked="toy", retryable=False, rejected=True)
        await asyncio.sleep(0)
        return await self._inner.complete(request)

    async def aclose(self):
        pass


def config(tmp_path, n, **sections):
    seeds = tmp_path / "seeds.jsonl"
    write_jsonl(seeds, ({"instruction": t} for t in [*TASKS, PROSE]))
    respond = {"candidates": n, **sections.pop("respond", {})}
    return toys.config(
        seeds={"path": str(seeds)}, evolver={"model": "toy"}, respond=respond,
        budget={"rounds": 0, **sections.pop("budget", {})},
        cache=str(tmp_path / "completions.db"), clean={"near": None}, **sections,
    )  # fmt: skip


def go(tmp_path, n, *, out="run", engine=None, retry_rejected=False, **sections):
    engine = engine or Counted()
    opened = {"toy": OpenedModels(engine, "toy")}
    run = evolve_run(
        config(tmp_path, n, **sections), tmp_path / out, opened, retry_rejected=retry_rejected
    )
    stopped = asyncio.run(run)
    return engine, stopped


def dump(folder):
    with RunStore.read(folder) as store:
        rows = [
            (row.task, row.response, sorted(row.verdicts, key=lambda one: one.check))
            for row in store.rows()
        ]
        answers = [store.answers(task) for task, _, _ in rows]
        return rows, answers, list(store.drops())


def test_all_answers_are_stored_and_one_is_kept(tmp_path):
    """With temperature, seed, cluster and whether chosen; in = kept + dropped."""
    engine, _ = go(tmp_path, 8)
    assert len(engine.requests) == 8 * 4
    rows, answers, drops = dump(tmp_path / "run")
    assert not drops
    for (task, response, verdicts), of_task in zip(rows, answers, strict=True):
        assert [one.number for one in of_task] == list(range(8))
        assert [one.temperature for one in of_task] == [1.0, 0.2, 0.4, 0.6, 0.8, 0.2, 0.4, 0.6]
        assert len({one.seed for one in of_task}) == 8
        (chosen,) = [one for one in of_task if one.is_chosen]
        assert response.text == chosen.text
        assert response.made.completion_tokens == sum(o.made.completion_tokens for o in of_task)
        found = {verdict.check: verdict for verdict in verdicts}[Check.AGREEMENT]
        is_prose = task.instruction == PROSE
        assert found.kind == ("unverified" if is_prose else "agreed")
        if not is_prose:
            assert "min" not in response.text or found.detail["agreeing"] > 4
    with RunStore.read(tmp_path / "run") as store:
        levels = [verified_level(row) for row in store.rows()]
    assert sum("of 8 answers agree on" in level for level in levels) == 3
    with RunStore.read(tmp_path / "run") as store:
        assert all(line.waiting == 0 for line in funnel(store))
        counts = agreement_counts(store)
        assert (counts.asked, counts.tasks, counts.agreed) == (32, 4, 3)
        assert counts.unverified == {"no_callable": 1}


def test_the_first_answer_is_the_request_of_a_single_one(tmp_path):
    """So its completion is read from the cache, and only the others are asked."""
    one, _ = go(tmp_path, 1, out="one")
    more, _ = go(tmp_path, 4, out="more")
    assert (len(one.requests), len(more.requests)) == (4, 12)
    assert set(map(str, one.requests)).isdisjoint(map(str, more.requests))


def test_a_run_with_one_answer_stores_none(tmp_path):
    """Nothing of it changes: no rows in the table, no key in its config, no verdict."""
    go(tmp_path, 1)
    rows, answers, _ = dump(tmp_path / "run")
    assert answers == [[]] * 4
    checks = {verdict.check for _, _, verdicts in rows for verdict in verdicts}
    assert checks
    assert Check.AGREEMENT not in checks
    with RunStore.read(tmp_path / "run") as store:
        assert "candidates" not in store.meta("config")["respond"]
        assert agreement_counts(store) is None


@pytest.mark.parametrize("before", [1, 3])
def test_more_answers_are_asked_when_a_run_is_resumed(tmp_path, before):
    """Only the new ones, without the cache too; the result is that of a run that began so."""
    go(tmp_path, before)
    (tmp_path / "completions.db").unlink()
    again, _ = go(tmp_path, 6)
    assert len(again.requests) == (6 - before) * 4
    idle, _ = go(tmp_path, 6)
    assert idle.requests == []
    go(tmp_path, 6, out="whole")
    assert dump(tmp_path / "run") == dump(tmp_path / "whole")
    with pytest.raises(RunFolderError, match=r"respond\.candidates"):
        go(tmp_path, 2)


def test_rows_keep_their_outcome_until_further_answers_replace_it(tmp_path):
    """A dead server and a budget take no row away, and the rest is asked for later."""
    go(tmp_path, 1)
    before = dump(tmp_path / "run")
    with pytest.raises(EngineError):
        go(tmp_path, 6, engine=Counted(fail_after=3))
    assert dump(tmp_path / "run")[::2] == before[::2]
    with RunStore.read(tmp_path / "run") as store:
        assert all(line.waiting == 0 for line in funnel(store))
    _, stopped = go(tmp_path, 6, budget={"max_tokens": 80})
    assert stopped is not None
    assert len(dump(tmp_path / "run")[0]) == len(before[0])
    go(tmp_path, 6)
    go(tmp_path, 6, out="whole")
    assert dump(tmp_path / "run") == dump(tmp_path / "whole")


KILLED_BEFORE_THE_OUTCOME = """
import os, sys
from pathlib import Path
import test_candidates
from evolcoder.storage.run_store import RunStore

def die(store, response):
    store.db.flush()
    os._exit(9)

RunStore.keep = die
test_candidates.go(Path(sys.argv[1]), 6)
"""
"""Ends the process once a row is verified and everything that was to be stored before is stored."""


def test_a_kill_between_choice_and_outcome_takes_no_row_away(tmp_path):
    """The earlier outcome stays whole, with its verdicts; the resumed run asks only what is missing."""
    go(tmp_path, 3)
    before = dump(tmp_path / "run")
    command = [sys.executable, "-c", KILLED_BEFORE_THE_OUTCOME, str(tmp_path)]
    killed = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, check=False)
    assert killed.returncode == 9, killed.stderr.decode()
    rows, answers, drops = dump(tmp_path / "run")
    assert (rows, drops) == before[::2]
    assert all(a[: len(b)] == b for a, b in zip(answers, before[1], strict=True))
    n_stored = sum(map(len, answers))
    assert n_stored > 4 * 3
    (tmp_path / "completions.db").unlink()
    again, _ = go(tmp_path, 6)
    assert len(again.requests) == 4 * 6 - n_stored
    go(tmp_path, 6, out="whole")
    assert dump(tmp_path / "run") == dump(tmp_path / "whole")


@pytest.mark.parametrize("before", [1, 3])
def test_refused_answers_are_asked_again_only_on_demand(tmp_path, before):
    """Whether they were refused in a new run or to a row that was reopened."""

    def filtered():
        return Counted(refuses=lambda r: "best1" in r.messages[-1].content and r.seed not in first)

    first = set()
    one, _ = go(tmp_path, 1, out="first")
    first.update(request.seed for request in one.requests)
    if before == 1:
        go(tmp_path, 1)
    asked, _ = go(tmp_path, 3, engine=filtered())
    assert sum("best1" in r.messages[-1].content for r in asked.requests) == 2
    idle, _ = go(tmp_path, 3, engine=filtered())
    assert idle.requests == []
    again, _ = go(tmp_path, 3, engine=filtered(), retry_rejected=True)
    assert sum("best1" in r.messages[-1].content for r in again.requests) == 2
    more, _ = go(tmp_path, 4)
    assert len(more.requests) == 4 + 2


def test_words_around_agreed_code_are_left_out_where_the_config_says_so(tmp_path):
    """They stay among the answers, and where nothing agrees or the task asks for words."""
    go(tmp_path, 4, respond={"words": "drop"})
    rows, answers, _ = dump(tmp_path / "run")
    for (task, response, verdicts), of_task in zip(rows, answers, strict=True):
        (chosen,) = [one for one in of_task if one.is_chosen]
        found = {verdict.check: verdict for verdict in verdicts}[Check.AGREEMENT]
        if found.kind == "agreed":
            assert response.text == only_block(chosen.text) != chosen.text
        else:
            assert (task.instruction, response.text) == (PROSE, chosen.text)
    with RunStore.read(tmp_path / "run") as store:
        pairs_found = list(derived_rows.pairs(store.rows()))
    assert pairs_found
    assert all(only_block(one.beside["rejected"]) == one.beside["rejected"] for one in pairs_found)


@pytest.mark.parametrize("unverified", ["keep", "drop"])
def test_unverified_rows_go_as_the_config_says(tmp_path, unverified):
    """Kept with the first usable answer, or dropped with the reason."""
    go(tmp_path, 4, respond={"unverified": unverified})
    rows, _, drops = dump(tmp_path / "run")
    assert len(rows) + len(drops) == 4
    if unverified == "drop":
        (drop,) = drops
        assert (drop.stage, drop.reason) == (Stage.VERIFY, Reason.UNVERIFIED)
        assert "share no function" in drop.detail
    else:
        assert not drops


def test_an_interruption_at_any_request_repeats_and_loses_nothing(tmp_path):
    """A server that goes away at a random moment: what came is not asked again."""
    go(tmp_path, 5, out="whole")
    whole, asked = dump(tmp_path / "whole"), []
    rng = random.Random(7)
    (tmp_path / "completions.db").unlink()
    for _ in range(4):
        engine = Counted(fail_after=rng.randrange(1, 6))
        with pytest.raises(EngineError):
            go(tmp_path, 5, out="cut", engine=engine)
        asked += engine.requests
        (tmp_path / "completions.db").unlink()  # the run folder alone must suffice
    last, _ = go(tmp_path, 5, out="cut")
    assert dump(tmp_path / "cut") == whole
    assert max(Counter(map(str, [*asked, *last.requests])).values()) == 1


def test_a_budget_that_ends_in_the_middle_keeps_what_was_paid_for(tmp_path):
    """The answers that came are stored, and a higher limit asks for the rest."""
    first, stopped = go(tmp_path, 8, budget={"max_tokens": 150})
    assert stopped is not None
    with RunStore.read(tmp_path / "run") as store:
        assert store.db.number("SELECT COUNT(*) FROM answers") == len(first.requests) < 32
    (tmp_path / "completions.db").unlink()
    second, stopped = go(tmp_path, 8)
    assert stopped is None
    assert len(first.requests) + len(second.requests) == 32


def test_losing_answers_feed_preference_and_repair(tmp_path):
    """Never a pair of two that behave alike, and each repair has a check that was seen to fail."""
    go(tmp_path, 8)
    with RunStore.read(tmp_path / "run") as store:
        rows = list(store.rows())
        answers = {row.task.id: store.answers(row.task) for row in rows}
    pairs, repairs = list(derived_rows.pairs(rows)), list(derived_rows.repairs(rows))
    assert pairs
    assert repairs
    for row in pairs:
        cluster = {one.text: one.cluster for one in answers[row.task.id]}
        assert cluster[row.beside["rejected"]] != cluster[row.response.text]
    for row in repairs:
        assert row.beside["kind"] == "repair:answer"
        assert row.beside["failing"].startswith("assert best")
        assert ("min" in row.beside["broken"]) != ("min" in row.response.text)


def test_several_answers_need_a_sandbox(tmp_path):
    """Paying for answers that cannot be compared is refused before the first request."""
    engine = Counted()
    with pytest.raises(ConfigError, match=r"respond\.candidates=4.*verify\.when is never"):
        go(tmp_path, 4, verify={"when": "never"}, engine=engine)
    assert engine.requests == []


def test_agreement_is_no_check_to_configure():
    """It is made where several answers are asked for."""
    with pytest.raises(ConfigError, match=r"verify\.checks.*respond\.candidates is above 1"):
        toys.config(verify={"checks": ["agreement"]})


def test_a_folder_of_an_earlier_version_gets_the_table(tmp_path):
    """Its rows are read and its answers are empty."""
    go(tmp_path, 1)
    with sqlite3.connect(tmp_path / "run" / DB_NAME) as db:
        for table in ("answers", "reopened", "throughput"):
            db.execute(f"DROP TABLE {table}")
        small_run.without_purposes(db, "calls", "call_details")
        version = next(n for n, sql in enumerate(MIGRATIONS) if "CREATE TABLE answers" in sql)
        db.execute(f"PRAGMA user_version={version}")
    db.close()
    assert dump(tmp_path / "run")[1] == [[]] * 4
    again, _ = go(tmp_path, 2)
    assert len(again.requests) == 4


def test_the_dry_run_shows_the_price_of_both_levels(tmp_path, capsys):
    """And several answers cost several requests."""
    one, eight = (estimate.levels_of_verification(config(tmp_path, n)) for n in (1, 8))
    assert one.keys() == eight.keys() == {"quick", "strong"}
    for levels in (one, eight):
        assert levels["quick"].respond.candidates == 1
        assert levels["strong"].respond.candidates == 8
        assert Check.TESTS in levels["strong"].verify.checks
    path = Path(tmp_path / "seeds.jsonl")
    command = ["run", "--seeds", str(path), "--model", "openai:gpt-4o-mini", "--dry-run", "--json"]
    assert main(command) == 0
    quick = json.loads(capsys.readouterr().out)
    assert main([*command, "--preset", "strong"]) == 0
    strong = json.loads(capsys.readouterr().out)
    assert quick["levels"] == strong["levels"]
    total = sum(part["calls"] for part in strong["parts"])
    assert total == strong["levels"]["strong"]["calls"] > quick["levels"]["quick"]["calls"]


def test_inspect_shows_the_other_answers(tmp_path, capsys):
    """With cluster and temperature; the run's view counts them."""
    go(tmp_path, 4)
    rows, _, _ = dump(tmp_path / "run")
    assert main(["inspect", str(tmp_path / "run")]) == 0
    assert "answers 16 to 4 tasks" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "run"), rows[0][0].id]) == 0
    assert "-- answer 3, temperature 0.6: cluster" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "run"), rows[0][0].id, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)[0]["answers"]) == 4
