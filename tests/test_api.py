"""The public API: the verbs of the command line as functions, on rows."""

import asyncio
import inspect
import json
import signal
import threading
from dataclasses import replace

import pytest

import evolcoder as ec
import toys
from deduplication.hashing import Hashing
from evolcoder.bench import registry
from evolcoder.config.load import load
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import BenchError, ConfigError, EngineError
from evolcoder.storage.run_store import CONFIG_NAME
from jsonl import read_jsonl
from report.samples import toy_bench
from small_bench import right, small_bench

VERBS = ("evolve", "verify", "dedup", "decontaminate", "similarity", "evaluate", "compare", "train")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toys.seeds_file(tmp_path / "seeds.jsonl", 6)
    return tmp_path


@pytest.fixture
def evolved(place):
    return ec.evolve("seeds.jsonl", model=toys.engine(), rounds=1, out="runs/a")


def answered(*pairs):
    """Rows as a user has them in memory."""
    return [{"instruction": task, "output": f"```python\n{code}\n```"} for task, code in pairs]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_a_twin_with_the_same_options_and_a_docstring(name):
    """A notebook awaits the one, a script calls the other."""
    verb, twin = getattr(ec, name), getattr(ec, f"{name}_async")
    assert inspect.signature(verb) == inspect.signature(twin)
    assert verb.__name__ == name
    assert ">>>" in verb.__doc__
    assert "Raises" in verb.__doc__


def test_a_run_counts_what_went_in_and_what_became_of_it(evolved):
    """At every stage in = kept + dropped, and the rows are those that were kept."""
    stats = evolved.stats()
    assert all(line.entered == line.kept + line.n_dropped for line in stats)
    rows = evolved.rows()
    assert [row.task.round for row in rows] == sorted(row.task.round for row in rows)
    assert {row.task.round for row in rows} == {0, 1}
    assert {row.task.round for row in evolved.rows(seeds=False)} == {1}
    assert evolved.stopped == ""


def test_the_same_call_resumes_and_asks_nothing(place, evolved):
    """Also another engine of the same identity, which would fail."""

    def refuse(_):
        raise AssertionError("asked again")

    again = ec.evolve("seeds.jsonl", model=ScriptedEngine(refuse), rounds=1, out="runs/a")
    assert again.rows() == evolved.rows()


def test_seeds_in_memory_are_those_of_a_file(place, evolved):
    """Rows, or dictionaries in any format that is read."""
    data = read_jsonl(place / "seeds.jsonl")
    run = ec.evolve(data, model=toys.engine(), rounds=1, out="runs/b")
    assert [row.task.id for row in run.rows()] == [row.task.id for row in evolved.rows()]


def test_a_reached_budget_is_reported_and_the_run_resumes(place):
    """What was paid for stays."""
    run = ec.evolve("seeds.jsonl", model=toys.engine(), rounds=1, out="c", max_tokens=400)
    assert "max_tokens" in run.stopped
    whole = ec.evolve("seeds.jsonl", model=toys.engine(), rounds=1, out="c", max_tokens=10**9)
    assert whole.stopped == ""
    assert {row.task.id for row in run.rows()} <= {row.task.id for row in whole.rows()}


@pytest.mark.parametrize("inside", [False, True])
def test_an_interrupt_ends_a_verb_and_the_same_call_goes_on(place, inside):
    """In a script and in a notebook: KeyboardInterrupt, and what was paid for is there."""
    asked = []

    class Slow(ScriptedEngine):
        async def complete(self, request):
            asked.append(request)
            if len(asked) == 4:
                main = threading.main_thread().ident
                threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT)).start()
                await asyncio.sleep(60)
            return await super().complete(request)

    def call(engine):
        return ec.evolve("seeds.jsonl", model=engine, rounds=1, out="d")

    async def notebook(engine):
        return call(engine)

    slow = Slow(lambda request: toys.answer(request.messages[-1].content, request.seed))
    with pytest.raises(KeyboardInterrupt):
        if inside:
            asyncio.run(notebook(slow))
        else:
            call(slow)
    paid = [request.messages[-1].content for request in asked[:3]]
    again = []

    def answer(request):
        again.append(request.messages[-1].content)
        return toys.answer(request.messages[-1].content, request.seed)

    run = call(ScriptedEngine(answer))
    assert run.rows()
    assert not set(paid) & set(again)


def test_it_works_where_an_event_loop_runs(evolved):
    """As in a notebook, without a twin and with one."""

    async def notebook():
        first = ec.dedup(evolved.rows())
        second = await ec.dedup_async(evolved.rows())
        return first.kept == second.kept, await ec.verify_async(evolved.rows()[:2])

    is_same, verified = asyncio.run(notebook())
    assert is_same
    assert len(verified.kept) + len(verified.drops) == 2


def test_rows_keep_their_lineage_through_a_verification(evolved):
    """Rows in, the same rows out, with what the check found."""
    rows = evolved.rows()
    found = ec.verify(rows, checks=["runs"])
    assert len(found.kept) + len(found.drops) == len(rows)
    by_id = {row.task.id: row for row in rows}
    for row in found.kept:
        assert (row.task, row.response) == (by_id[row.task.id].task, by_id[row.task.id].response)
        assert [verdict.check for verdict in row.verdicts] == [ec.Check.RUNS]
    assert found.layers


def test_rows_of_a_file_keep_their_lineage_too(tmp_path, evolved):
    """An export of our own is verified as the rows that it holds."""
    (path,) = ec.export(evolved.rows(), tmp_path / "out", format="messages")
    found = ec.verify(path)
    assert {row.task.round for row in found.kept} == {0, 1}
    assert {told(row) for row in found.kept} <= {told(row) for row in evolved.rows()}


def test_a_config_file_decides_what_a_call_leaves_out(place):
    """No default of a function stands before a value of the user's file."""
    (place / "run.yaml").write_text(
        "seed: 5\nseeds: {path: seeds.jsonl}\nbudget: {rounds: 0}\nverify: {checks: [runs, shape]}\n"
    )
    run = ec.evolve(config="run.yaml", model=toys.engine(), out="runs/c")
    stored = load(run.folder / CONFIG_NAME)
    assert (stored.seed, stored.budget.rounds, stored.seeds.path) == (5, 0, "seeds.jsonl")
    found = ec.verify("seeds.jsonl", config="run.yaml")
    assert {one.check for one in found.kept[0].verdicts} == {ec.Check.RUNS, ec.Check.SHAPE}


def test_a_row_that_does_not_run_is_a_drop_with_its_number():
    """And nothing else is."""
    found = ec.verify(answered(("Print one.", "print(1)"), ("Print two.", "print(")))
    assert [row.task.instruction for row in found.kept] == ["Print one."]
    assert [(drop.ordinal, drop.reason) for drop in found.drops] == [(1, ec.Reason.DOES_NOT_PARSE)]


def test_duplicates_are_named_with_what_they_repeat():
    """In = kept + dropped."""
    rows = ec.read(answered(("Sort the numbers.", "x"), ("Add.", "y"), ("sort the  numbers.", "z")))
    found = ec.dedup(rows)
    assert found.kept == rows[:2]
    ((row, duplicate),) = found.dropped
    assert (row, duplicate.match) == (rows[2], rows[0].task.id)


def test_a_row_with_a_problem_of_a_benchmark_goes(shared):
    """With its evidence."""
    path = shared / "humaneval" / "HumanEval.jsonl.gz"
    prompt = next(iter(registry_problems(path)))
    rows = ec.read(answered((prompt, "pass"), ("Water the plants.", "pass")))
    found = ec.decontaminate(
        rows, against=["humaneval"], detectors=["ngrams", "substring"], data_dir=shared
    )
    assert (found.kept, found.dropped) == (rows[1:], rows[:1])
    assert {hit.item for hit in found.hits} == {"HumanEval/0"}


def registry_problems(path):
    import gzip

    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["prompt"]


@pytest.mark.parametrize("format", ["alpaca", "messages", "sharegpt", "trl", "parquet"])
def test_an_export_is_read_back_as_the_rows_that_were_written(tmp_path, evolved, format):
    """Task, answer and lineage, in every format of answers."""
    rows = evolved.rows()
    (path,) = ec.export(rows, tmp_path / "out", format=format)
    back = ec.read(path)
    assert [told(row) for row in back] == [told(row) for row in rows]


def told(row):
    task = row.task
    return (task.id, task.instruction, task.round, task.parent, task.heuristic, row.response.text)


def test_rows_become_a_data_set_and_come_back(evolved):
    """With the columns of the export format."""
    rows = evolved.rows()
    data = ec.to_dataset(rows, "messages")
    assert data.num_rows == len(rows)
    assert [told(row) for row in ec.read(data)] == [told(row) for row in rows]


@pytest.fixture
def bench(monkeypatch):
    real = registry.bench_named

    def named(name, folder):
        return small_bench() if name == "small" else real(name, folder)

    monkeypatch.setattr("evolcoder.app.evaluate.bench_named", named)


def test_two_models_are_scored_and_compared(place, bench):
    """pass@1 with its interval, and a paired test."""
    a = ec.evaluate("small", model=ScriptedEngine(right, identity="a"), out="a")
    b = ec.evaluate("small", model=ScriptedEngine(lambda _: "I cannot.", identity="b"), out="b")
    assert (a.pass_at_1, b.pass_at_1) == (1.0, 0.0)
    assert a.interval.low < 1.0 <= a.interval.high
    compared = ec.compare(a, b)
    assert (compared.first, compared.second, len(compared.lost)) == (1.0, 0.0, 3)
    assert 0 < compared.p_value <= 1
    assert ec.compare("a", "b") == compared
    with pytest.raises(BenchError, match="other"):
        ec.compare(a, b, bench="other")


def test_a_sandbox_runs_programs():
    """A program's failure is data."""

    async def use():
        async with ec.Sandbox(workers=1) as box:
            good = await box.run("print(input())", stdin=b"hello")
            return good.stdout, (await box.run("1 / 0")).exit_code, box.layers

    out, code, layers = asyncio.run(use())
    assert (out, code) == (b"hello\n", 1)
    assert "no network" in layers


def test_a_model_is_opened_by_its_spec(place):
    """And answers."""
    (place / "script.json").write_text(json.dumps({"rules": [{"match": "", "answer": "Hi."}]}))

    async def use():
        async with ec.open_model("scripted:script.json") as model:
            return (await model.complete("Hello?")).text

    assert asyncio.run(use()) == "Hi."


WRONG = {
    "an unknown check": (lambda: ec.verify([], checks=["rums"]), ConfigError, "rums"),
    "a check that asks a model": (lambda: ec.verify([], checks=["tests"]), ConfigError, "model="),
    "an unknown detector": (
        lambda: ec.decontaminate([], detectors=["nose"]), ConfigError, "nose"),
    "an unknown format": (lambda: ec.export([], "x", format="yml"), ConfigError, "yml"),
    "an option of models with a file of samples": (lambda: ec.evaluate("humaneval", samples="s", n=5), ConfigError, "--n: not with"),
    "an unknown option": (lambda: ec.evaluate("humaneval", modell="x"), ConfigError, "modell"),
    "an unknown key": (
        lambda: ec.evolve(settings={"evolver.temprature": 1}), ConfigError, "temperature"),
    "a file that is not there": (lambda: ec.read("no.jsonl"), ec.UserError, "no.jsonl"),
    "a sandbox that is not open": (
        lambda: asyncio.run(ec.Sandbox().run("1")), ec.UserError, "async with"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_an_error_is_one_line(place, name):
    """With the value that was seen."""
    call, error, match = WRONG[name]
    with pytest.raises(error, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_model_that_fails_for_good_is_an_error_of_its_own(place):
    """Neither a row that is lost nor a traceback of a library."""

    def fails(_):
        raise EngineError("the server is on fire", asked="toy", retryable=True)

    with pytest.raises(EngineError, match="on fire"):
        ec.evolve("seeds.jsonl", model=ScriptedEngine(fails), rounds=1, out="e")


def test_similarity_is_stored_and_measured_again_only_for_other_rows(evolved, monkeypatch):
    """A second call embeds nothing; a benchmark more, and it is measured anew."""
    embedder = Hashing()
    monkeypatch.setattr("evolcoder.app.similarity.open_cached_embedder", lambda *_, **__: embedder)
    for name in ("toy", "other"):
        monkeypatch.setitem(
            registry.BENCHES, name, lambda _, name=name: replace(toy_bench(), name=name)
        )
    found = ec.similarity(evolved, against=["toy"])
    assert {one.round for one in found.rounds} == {0, 1}
    assert {one.measure for one in found.measures} == {"task_tokens", "answer_tokens", "complexity"}
    n_asked = len(embedder.asked)
    assert ec.similarity(str(evolved.folder), against=["toy"]) == found
    assert len(embedder.asked) == n_asked
    assert {one.benchmark for one in ec.similarity(evolved, against=["toy", "other"]).rounds} == {
        "toy", "other"
    }  # fmt: skip
    with pytest.raises(BenchError, match="unknown benchmark"):
        ec.similarity(evolved, against=["nothing-like-it"])
