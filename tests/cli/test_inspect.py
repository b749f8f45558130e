"""`evolcoder inspect` lists ids, page by page, of runs and of evaluations."""

import json
import re

import small_run
from commands import run_command
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.config.load import Config
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.records import Drop, Reason, Stage
from evolcoder.storage.run_store import RunStore


def call(capsys, *arguments):
    return run_command(capsys, "inspect", *arguments)


def test_a_run_lists_its_tasks_by_page(capsys, tmp_path):
    """Every id that is shown can be asked for; a drop has its id, its seed and what was seen."""
    run = tmp_path / "run"
    with RunStore.create(run, Config()) as store:
        small_run.fill(store)
    code, out, _ = call(capsys, run)
    assert code == 0
    ids = [line.split()[0] for line in out.splitlines() if "kept" in line and line[:8].isalnum()]
    assert [id for id in ids if small_run.SEED.id.startswith(id)]
    assert call(capsys, run, ids[-1])[0] == 0
    first, second = (call(capsys, run, "--limit", 1, "--page", n)[1] for n in (1, 2))
    assert "tasks 1 to 1 of 2; --page 2 shows more" in first
    assert "tasks 2 to 2 of 2" in second
    assert "no page 3" in call(capsys, run, "--limit", 1, "--page", 3)[1]
    found = json.loads(call(capsys, run, "--json")[1])
    assert [one["id"] for one in found["records"]] == [small_run.SEED.id, small_run.CHILD.id]
    drops = call(capsys, run, "--drops")[1]
    assert f"{small_run.CHILD.id[:12]}  seed 0  round 2 evolve: empty (constrain)" in drops
    assert "nothing came" in drops
    assert call(capsys, run, "--page", 0)[0] == 2


def test_very_long_evidence_and_lines_are_cut(capsys, tmp_path):
    """A page of drops stays readable; JSON has the whole."""
    run, long = tmp_path / "run", "word " * 200_000
    with RunStore.create(run, Config()) as store:
        small_run.fill(store)
        text = f"{long}\n  {long}\nshort\nunseen"
        store.add(Drop(Stage.VERIFY, Reason.EMPTY, small_run.SEED.id, 0, 0, "", text, long, None))
    out = call(capsys, run, "--drops")[1]
    assert len(out) < 3_000
    assert "short" in out
    assert "unseen" not in out
    assert max(map(len, out.splitlines())) < 500
    drop = next(json.loads(line) for line in call(capsys, run, "--drops", "--json")[1].splitlines())
    assert (drop["detail"], drop["seen"]) == (long, text)


def test_answers_of_others_are_not_compared(capsys, tmp_path):
    """A seed's answer was written by others: only the tasks are compared, and that is said."""
    run = tmp_path / "run"
    with RunStore.create(run, Config()) as store:
        small_run.fill(store)
    lines = json.loads(call(capsys, run, "--harder", "--json")[1])
    assert {line["measure"] for line in lines} == {"task_tokens"}
    assert "1 of 1 pairs are compared by their tasks alone" in call(capsys, run, "--harder")[1]


def test_an_evaluation_is_shown_too(capsys, tmp_path):
    """Counts, a page of samples, those that failed, and a problem's samples with their verdicts."""
    folder = tmp_path / "eval"
    with EvalStore.create(folder, {"model": "scripted:toy"}) as store:
        samples = [Sample.of(f"P/{n}", 0, f"answer {n}", PromptForm.ANSWER) for n in range(3)]
        store.add_samples("toy", samples)
        for n in range(2):
            facts = {"kind": "passed" if n else "failed", "detail": "why"}
            store.add_verdict("toy", StoredVerdict(f"P/{n}", 0, bool(n), None, "fence", facts))
    out = call(capsys, folder)[1]
    assert "model scripted:toy" in out
    assert "P/0" in out
    failed = call(capsys, folder, "--drops")[1]
    assert "P/0" in failed
    assert "P/1" not in failed
    assert "answer 0" in call(capsys, folder, "P/0")[1]
    assert "no verdict" in call(capsys, folder, "P/2")[1]
    assert json.loads(call(capsys, folder, "P/1", "--json")[1])[0]["verdict"]["passed"]
    for wrong in (["P/9"], ["--harder"]):
        code, _, err = call(capsys, folder, *wrong)
        assert code == 2
        assert len(err.splitlines()) == 1


def test_problems_are_listed_by_their_numbers(capsys, tmp_path):
    """Problem 2 comes before 10, in the list, among failures, and where a prefix names several."""
    folder = tmp_path / "eval"
    with EvalStore.create(folder, {"model": "scripted:toy"}) as store:
        ids = [f"P/{n}" for n in (10, 2, 1, 100)]
        store.add_samples("toy", [Sample.of(id, 0, "x", PromptForm.ANSWER) for id in ids])
        for id in ids:
            store.add_verdict("toy", StoredVerdict(id, 0, False, None, "fence", {"kind": "failed"}))
    wanted = ["P/1", "P/2", "P/10", "P/100"]
    for given in ([], ["--drops"], ["P/"]):
        out = call(capsys, folder, *given)[1]
        assert re.findall(r"^(?:== toy )?(P/\d+)", out, re.MULTILINE) == wanted
    plain = json.loads(call(capsys, folder, "--json")[1])
    assert [one["problem"] for one in plain["verdicts"]] == wanted
