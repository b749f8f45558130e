"""No single answer ends `eval`, `clean`, `verify` or a loop's grading, and none is lost.

The kind: an answer whose values this process cannot write down, decode or compare, or at which it
fails in an unforeseen way. Both are tried: hostile answers as they are, and an exception
that is raised in the midst of judging one of several.
"""

import importlib
import json
from pathlib import Path

import pytest

from commands import run_command
from evolcoder.app.regrade import _grade
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.cli.eval import parse_options
from evolcoder.evaluation.store import EvalStore
from evolcoder.experiment import results
from evolcoder.experiment.config import LoopConfig
from evolcoder.sample_errors import UNJUDGED
from jsonl import read_jsonl, write_jsonl

RESULTS = Path(__file__).parents[2] / "results" / "h200"
VALUES = (
    "10**5000",
    "[[10**5000]]",
    "{10**5000: (10**5000,)}",
    "{10**5000, 'x'}",
    "complex(10.0**300, -1)",
    "[k * (2**61 - 1) for k in range(20_000)]",
    "{k * (2**61 - 1) for k in range(900)}",
    "[[] for _ in range(100_000)]",
    "'\\ud800\\x00\\u202e' * 100",
    "__import__('os').write(3, b'[\"l\",\"value\",[\"i\",\"0x' + b'f' * 9000 + b'\"]]' + bytes([10]))",
    "__import__('os').write(3, b'9' * 9000 + bytes([10]))",
    "__import__('os').write(3, bytes([10]) * 100_000)",
)
"""What a function of the right name gives back."""


def run(capsys, *arguments):
    return run_command(capsys, *arguments)


def once(monkeypatch, path, word, error):
    """Have a function raise where an argument holds a word."""
    owner, _, name = path.rpartition(".")
    module = importlib.import_module(owner)
    real = getattr(module, name)

    def odd(*args, **named):
        if any(word in str(arg) for arg in args):
            raise error
        return real(*args, **named)

    monkeypatch.setattr(module, name, odd)


@pytest.fixture(autouse=True)
def _measured(_own_cache, measured_controls, monkeypatch):
    monkeypatch.setenv("EVOLCODER_CACHE", str(measured_controls))


@pytest.fixture
def problems(shared):
    return bench_named("humaneval", DataFolder(shared, shared)).problems()


def hostile(problems):
    """Two right programs, and one for every value above."""
    rows = [{"task_id": p.id, "solution": p.reference} for p in problems[:2]]
    for problem, value in zip(problems[2:], VALUES, strict=False):
        (name,) = problem.checks.entry_points
        rows.append({"task_id": problem.id, "solution": f"def {name}(*_):\n    return {value}\n"})
    return rows


def test_hostile_answers_have_verdicts_in_an_evaluation(capsys, tmp_path, shared, problems):
    """Each is wrong by its own verdict, the right ones pass, and a second session changes nothing."""
    rows = hostile(problems)
    flags = [
        *("eval", "--bench", "humaneval", "--samples", write_jsonl(tmp_path / "s.jsonl", rows)),
        *("--data-dir", shared, "--out", tmp_path / "e", "--limit", len(rows), "--json"),
    ]
    for _ in range(2):
        code, out, err = run(capsys, *flags)
        (result,) = json.loads(out)["results"]
        assert (code, result["n_samples"]) == (0, len(rows)), err
        assert dict(result["kinds"])["passed"] == 2
        assert UNJUDGED not in out
    with EvalStore.read(tmp_path / "e") as store:
        found = {one.problem: one for one in store.verdicts("humaneval")}
    assert "16610 bits" in found[problems[2].id].facts["got"]


@pytest.mark.parametrize("step", ["bench.function_bench._program", "grading.answers.decode"])
def test_an_exception_is_one_samples_verdict_in_an_evaluation(
    capsys, tmp_path, shared, problems, monkeypatch, step
):
    """The table names it; the score counts it as wrong; the next session does not judge it again."""
    rows = [{"task_id": p.id, "solution": p.reference} for p in problems[:4]]
    (name,) = problems[2].checks.entry_points
    rows[2]["solution"] = f"def {name}(*_):\n    return 'odd one'\n"
    once(monkeypatch, f"evolcoder.{step}", "odd one", ValueError(10**5000))
    flags = [
        *("eval", "--bench", "humaneval", "--samples", write_jsonl(tmp_path / "s.jsonl", rows)),
        *("--data-dir", shared, "--out", tmp_path / "e", "--limit", 4),
    ]
    code, out, err = run(capsys, *flags)
    assert code == 0, err
    assert f"passed 3, {UNJUDGED} 1" in out
    note = f"1 samples {UNJUDGED} and count as not passed, such as {problems[2].id}, sample 0: "
    assert note in out
    monkeypatch.undo()
    assert run(capsys, *flags, "--json")[0] == 0
    (found,) = [json.loads(line) for line in (tmp_path / "e/verdicts/humaneval.jsonl").read_text().splitlines() if UNJUDGED in line]  # fmt: skip
    assert (found["problem"], found["passed"]) == (problems[2].id, False)
    assert found["facts"]["kind"] == "error"


def test_hostile_samples_of_a_loop_are_graded_again(tmp_path, shared, problems):
    """What a loop stored is judged as an evaluation judges it."""
    plain = results.facts(RESULTS)["config"]
    config = LoopConfig.model_validate({**plain, "ask": {**plain["ask"], "data_dir": str(shared)}})
    samples = [
        Sample.of(row["task_id"], 0, row["solution"], PromptForm.PROGRAM)
        for row in hostile(problems)
    ]
    found = _grade(tmp_path, "humaneval", config, samples, parse_options)
    assert len(found) == len(samples)
    assert sum(one.passed for one in found.values()) == 2


def training_rows(problems):
    """A leak, a row that is none, and functions for every value above."""
    leak = f"```python\n{problems[2].prompt}{problems[2].reference}\n```"
    answers = [leak, "Nothing to run."]
    answers += [f"```python\ndef f(number):\n    return {value}\n```" for value in VALUES]
    return [{"instruction": f"Write number {n}.", "output": a} for n, a in enumerate(answers)]


def clean(capsys, tmp_path, shared, rows):
    code, out, err = run(
        capsys, "clean", write_jsonl(tmp_path / "rows.jsonl", rows), "--against", "humaneval",
        "--data-dir", shared, "--detectors", "execution,ngrams", "--out", tmp_path / "out.jsonl",
        "--json",
    )  # fmt: skip
    assert code == 0, err
    kept = read_jsonl(tmp_path / "out.jsonl")
    return json.loads(out), kept


@pytest.mark.e2e
def test_no_row_ends_a_look_for_leaks(capsys, tmp_path, shared, problems, monkeypatch):
    """Hostile rows stay, the leak goes; where a row cannot be judged, it stays and is named."""
    rows = training_rows(problems)
    found, kept = clean(capsys, tmp_path, shared, rows)
    assert found["leakage"]["unjudged"] == []
    assert found["dropped"] == {"leak": 1}
    assert kept == rows[1:]
    once(
        monkeypatch,
        "evolcoder.decontamination.execution.search.functions_of",
        "[[10**5000]]",
        RuntimeError("odd"),
    )
    again, left = clean(capsys, tmp_path, shared, rows)
    ((_, why),) = again["leakage"]["unjudged"]
    assert why.startswith(f"{UNJUDGED}: RuntimeError: odd")
    assert (again["dropped"], left) == (found["dropped"], kept)


def test_no_row_ends_a_verification(capsys, tmp_path, monkeypatch):
    """Every row has a finding, one of them that it could not be judged; it is named and stays."""
    answers = [f"```python\nprint(len(str([{value}])))\n```" for value in VALUES]
    answers += ["```python\nx = 'odd one'\n```", "```python\nx = 0x" + "f" * 9000 + "\n```"]
    rows = [{"instruction": f"Write {n} in Python.", "output": a} for n, a in enumerate(answers)]
    once(
        monkeypatch,
        "evolcoder.verification.execution.check.find_program",
        "odd one",
        KeyError("\ud800\x00"),
    )
    flags = ["verify", write_jsonl(tmp_path / "rows.jsonl", rows), "--out", tmp_path / "out"]
    flags += ["--checks", "runs,shape", "--set", "verify.cpu_s=3"]
    code, out, err = run(capsys, *flags)
    assert code == 0, err
    assert f"runs        {UNJUDGED}" in out
    assert f"1 finding(s) {UNJUDGED}; first: round 0, row {len(VALUES)}, runs: " in out
    monkeypatch.undo()
    code, out, _ = run(capsys, *flags, "--json")
    assert (code, json.loads(out)["verdicts"]["runs"][UNJUDGED]) == (0, 1)
    told = read_jsonl(tmp_path / "out/verdicts.jsonl")
    assert len(told) == len(rows)
    assert all(len(one["verdicts"]) == 2 for one in told)
    odd = told[len(VALUES)]
    assert (odd["kept"], odd["verdicts"][0]["kind"]) == (True, "error")
    assert odd["verdicts"][0]["detail"]["said"].startswith(f"{UNJUDGED}: KeyError")
