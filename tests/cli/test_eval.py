"""`evolcoder eval` as a user meets it: what it scores, what it keeps, what it says when it cannot."""

import gzip
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from commands import run_command
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.mbpp import MBPP
from evolcoder.bench.registry import bench_named
from evolcoder.bench.samples import SampleFormat
from evolcoder.evaluation.store import EvalStore
from groups import sampled
from jsonl import write_jsonl
from loopback import Loopback, completion, in_thread

PUBLISHED = "samples/wizardcoder-15b-humaneval-greedy.jsonl.gz"


@pytest.fixture(scope="module", autouse=True)
def controls(tmp_path_factory):
    """Controls that all tests of this file share."""
    return tmp_path_factory.mktemp("controls")


@pytest.fixture(autouse=True)
def _shared_cache(_own_cache, controls, monkeypatch):
    monkeypatch.setenv("EVOLCODER_CACHE", str(controls))


def evaluate(capsys, *arguments):
    return run_command(capsys, "eval", *arguments)


@pytest.fixture
def humaneval(shared):
    return bench_named("humaneval", DataFolder(shared, shared))


def solutions(problems, n_wrong=0):
    """References as samples, the first ones made wrong."""
    return [
        {"task_id": p.id, "solution": p.stub if n < n_wrong else p.reference}
        for n, p in enumerate(problems)
    ]


def result(capsys, *arguments):
    code, out, err = evaluate(capsys, *arguments, "--json")
    return code, json.loads(out)["results"][0], err


def test_published_samples_get_the_published_score(capsys, tmp_path, shared):
    """WizardCoder-15B's outputs score 98 of 164, task by task as its authors say."""
    with gzip.open(shared / PUBLISHED, "rt") as file:
        published = {row["task_id"]: row["passed"] for row in map(json.loads, file)}
    out = tmp_path / "e"
    code, found, _ = result(
        capsys, "--bench", "humaneval", "--samples", shared / PUBLISHED,
        "--data-dir", shared, "--out", out,
    )  # fmt: skip
    assert code == 0
    assert round(found["scores"][0]["value"] * 164) == 98
    with EvalStore.read(out) as store:
        assert {one.problem: one.passed for one in store.verdicts("humaneval")} == published
    assert sorted(path.name for path in out.iterdir()) == [
        "eval.db", "run.lock", "samples", "scores.json", "verdicts",
    ]  # fmt: skip


def test_a_table_shows_score_interval_kinds_and_layers(capsys, tmp_path, shared, humaneval):
    """What a person reads holds the score with its interval and what is missing."""
    samples = write_jsonl(tmp_path / "s.jsonl", solutions(humaneval.problems(), 4))
    code, out, err = evaluate(
        capsys, "--bench", "humaneval", "--samples", samples, "--data-dir", shared,
        "--out", tmp_path / "e",
    )  # fmt: skip
    assert code == 0
    assert "97.6 %" in out
    assert " to " in out
    assert "passed 160" in out
    assert "separation from tests: " in out
    assert "164/164" in err


def test_partial_samples_have_no_score_until_asked_for(capsys, tmp_path, shared, humaneval):
    """Missing and unknown tasks and repeated samples are named; --partial scores the rest."""
    rows = solutions(humaneval.problems()[:10], 1)
    rows += [rows[3], {"task_id": "HumanEval/999", "solution": "x"}, {"solution": "y"}]
    samples = write_jsonl(tmp_path / "s.jsonl", rows)
    common = ["--bench", "humaneval", "--samples", samples, "--data-dir", shared]
    code, found, _ = result(capsys, *common, "--out", tmp_path / "a")
    assert code == 1
    assert found["scores"] == []
    assert "154 problems have no sample" in found["withheld"]
    notes = "\n".join(found["notes"])
    for word in ("HumanEval/999", "entries are not samples", "duplicate an earlier one"):
        assert word in notes
    code, found, _ = result(capsys, *common, "--out", tmp_path / "b", "--partial")
    assert code == 0
    assert found["scores"][0]["n_problems"] == 10
    assert found["scores"][0]["value"] == 0.9


@pytest.mark.parametrize("bad", ["", "\0", "x" * (1 << 21), "\ud800", "def f(:"])
def test_programs_that_cannot_be_run_fail_and_nothing_else_does(
    capsys, tmp_path, shared, humaneval, bad
):
    """Empty, huge, torn and broken programs are wrong answers."""
    rows = solutions(humaneval.problems()[:5])
    rows[2]["solution"] = bad
    samples = write_jsonl(tmp_path / "s.jsonl", rows)
    code, found, _ = result(
        capsys, "--bench", "humaneval", "--samples", samples, "--data-dir", shared,
        "--out", tmp_path / "e", "--partial",
    )  # fmt: skip
    assert code == 0
    assert found["scores"][0]["value"] == 0.8


@pytest.mark.parametrize(
    "layout",
    sampled([SampleFormat.EVALPLUS, SampleFormat.HUMAN_EVAL, SampleFormat.BIGCODE], 3),
)
def test_samples_of_other_tools_come_out_as_they_went_in(
    capsys, tmp_path, shared, humaneval, layout
):
    """Written in a tool's layout and read again, samples get the same verdicts."""
    samples = write_jsonl(tmp_path / "s.jsonl", solutions(humaneval.problems(), 3))
    common = ["--bench", "humaneval", "--data-dir", shared]
    first = result(
        capsys, *common, "--samples", samples, "--out", tmp_path / "a", "--write-samples", layout
    )
    (written,) = (tmp_path / "a/samples").glob(f"humaneval.{layout}*")
    second = result(capsys, *common, "--samples", written, "--out", tmp_path / "b")
    assert first[1]["scores"] == second[1]["scores"]


def test_compare_pairs_two_evaluations(capsys, tmp_path, shared, humaneval):
    """The problems that changed are named, with an exact test."""
    for name, n_wrong in (("a", 9), ("b", 2)):
        samples = write_jsonl(tmp_path / f"{name}.jsonl", solutions(humaneval.problems(), n_wrong))
        evaluate(
            capsys, "--bench", "humaneval", "--samples", samples, "--data-dir", shared,
            "--out", tmp_path / name,
        )  # fmt: skip
    code, out, _ = evaluate(capsys, "--compare", tmp_path / "a", tmp_path / "b")
    assert code == 0
    assert "94.5 % -> 98.8 %, +4.3 points" in out
    assert "p = 0.016 (mcnemar exact)" in out
    assert "B is better at 7: HumanEval/2, HumanEval/3" in out
    code, out, _ = evaluate(capsys, "--compare", tmp_path / "a", tmp_path / "b", "--json")
    assert json.loads(out)["humaneval"]["gained"][0] == "HumanEval/2"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--bench is missing"),
        (["--bench", "humanevl+", "--model", "x"], "did you mean humaneval+?"),
        (["--bench", "humaneval"], "give either --model SPEC or --samples FILE"),
        (["--bench", "humaneval", "--samples", "none.jsonl"], "file not found"),
        (["--bench", "humaneval", "--model", "m.gguf", "--n", "0"], "at least 1"),
        (["--bench", "humaneval", "--model", "m.gguf", "--n", "5"], "greedy samples are identical"),
        (["--bench", "humaneval", "--model", "m.gguf", "--template", "x"], "choose one of chat"),
        (["--bench", "humaneval", "--model", "m.gguf", "--sandbox", "x"], "known levels are"),
        (["--bench", "humaneval", "--model", "nothing.gguf"], "nothing.gguf"),
        (["--bench", "humaneval", "--model", "m.gguf", "--no-ask"], "there is nothing to grade"),
        (
            ["--bench", "humaneval", "--model", "m.gguf", "--no-ask", "--no-grade"],
            "cannot be combined with",
        ),
        (["--bench", "humaneval", "--model", "m.gguf", "--check"], "no model and no samples"),
        (["--check"], "--bench is missing"),
        (["--compare", "a", "b"], "holds no evaluation"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(capsys, tmp_path, shared, monkeypatch, arguments, said):
    """Nothing is asked, run or left behind."""
    monkeypatch.chdir(tmp_path)
    extra = ["--data-dir", shared] if arguments[:1] == ["--bench"] else []
    code, out, err = evaluate(capsys, *arguments, *extra)
    lines = [line for line in err.splitlines() if line.startswith("evolcoder:")]
    assert (code, out, len(lines)) == (2, "", 1)
    assert said in lines[0]
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("eval.db*"))


@pytest.mark.parametrize("mode", ["--samples s.jsonl", "--check"])
@pytest.mark.parametrize(
    "flags",
    [
        "--n 5", "--n 1", "--temperature 0.8", "--temperature 0", "--top-p 0.9", "--max-tokens 9",
        "--template completion", "--system x", "--seed 0", "--max-usd 1", "--max-tokens-paid 9",
        "--batch", "--cache c.db",
    ],
)  # fmt: skip
def test_a_flag_that_only_a_model_needs_is_refused_without_one(
    capsys, tmp_path, monkeypatch, flags, mode
):
    """A value that is the default is refused too: the file decides how many samples there are."""
    monkeypatch.chdir(tmp_path)
    write_jsonl(tmp_path / "s.jsonl", [])
    code, out, err = evaluate(capsys, "--bench", "humaneval", *mode.split(), *flags.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"evolcoder: {flags.split()[0]}: not with {mode.split()[0]}, which ")


def test_every_flag_without_an_effect_on_samples_is_named(capsys, tmp_path):
    samples = write_jsonl(tmp_path / "s.jsonl", [])
    code, _, err = evaluate(
        capsys, "--bench", "humaneval", "--samples", samples, "--n", "5", "--temperature", "0.8",
        "--set", "traffic.concurrency=2", "--set", "cluster.address=local:1",
    )  # fmt: skip
    assert code == 2
    assert err.startswith("evolcoder: --n, --temperature, --set traffic.concurrency: not with ")


@pytest.mark.parametrize(
    "flags",
    ["--out o", "--no-ask", "--no-grade", "--write-samples bigcode", "--samples-are answers"],
)
def test_a_flag_without_an_effect_on_a_self_check_is_refused(capsys, flags):
    code, _, err = evaluate(capsys, "--bench", "humaneval", "--check", *flags.split())
    assert code == 2
    assert err.startswith(f"evolcoder: {flags.split()[0]}: not with --check, which takes no model")


def test_corrupt_data_is_refused(capsys, tmp_path, shared):
    """A data file with another digest than the pinned one gives no problem at all."""
    content = gzip.decompress((shared / MBPP.name).read_bytes())
    (tmp_path / "mbpp.jsonl").write_bytes(content.replace(b"Write", b"Wrote", 1))
    code, _, err = evaluate(
        capsys, "--bench", "mbpp", "--samples", tmp_path / "mbpp.jsonl", "--data-dir", tmp_path,
        "--out", tmp_path / "e",
    )  # fmt: skip
    assert code == 2
    assert "wrong checksum" in err
    assert not (tmp_path / "e").exists()


def answer_from(references):
    """A model that knows some answers: it finds the function's name in the question."""

    def answer(prompt):
        name = prompt.split("`")[1]
        return f"```python\n{references.get(name, 'def nothing(): pass')}\n```"

    return answer


@pytest.mark.e2e
def test_sigkill_loses_nothing_that_was_answered_or_graded(tmp_path, shared, humaneval, controls):
    """Killed five times and started again, an evaluation ends as an undisturbed one does."""
    problems = humaneval.problems()
    references = {p.checks.entry_points[0]: p.reference for p in problems[::2]}
    server = Loopback(answer=answer_from(references), latency_s=0.05)
    rng = random.Random(5)

    def start(folder):
        command = [sys.executable, "-m", "evolcoder.cli.main", "eval", "--bench", "humaneval"]
        command += ["--model", f"{server.base_url}#toy", "--data-dir", shared, "--out", folder]
        command += ["--cache", folder.with_suffix(".cache"), "--n", 2, "--temperature", 0.5]
        return subprocess.Popen(
            [*map(str, command), "--set", "traffic.concurrency=4"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "EVOLCODER_CACHE": str(controls)},
        )

    def verdicts(folder):
        with EvalStore.read(folder) as store:
            return [(one.problem, one.number, one.passed) for one in store.verdicts("humaneval")]

    def finish(process):
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()

    with in_thread(server):
        finish(start(tmp_path / "whole"))
        server.calls.clear()
        for _ in range(5):
            process = start(tmp_path / "cut")
            n = len(server.calls)
            while len(server.calls) <= n and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0.1, 1.0))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        finish(start(tmp_path / "cut"))
    assert verdicts(tmp_path / "cut") == verdicts(tmp_path / "whole")
    assert len(verdicts(tmp_path / "cut")) == 328
    bodies = [json.dumps(call.body, sort_keys=True) for call in server.calls]
    # At most what was in flight at a kill, and what had come in the 20 ms before a commit.
    assert len(bodies) - len(set(bodies)) <= 5 * (4 + 4)


def test_a_raw_template_continues_the_prompt(capsys, tmp_path, shared, humaneval):
    """A base model is asked for a continuation, without a chat around it."""
    seen = []

    def answer(prompt):
        seen.append(prompt)
        return "    return None\n\ndef other():\n    pass\n"

    with in_thread(Loopback(answer=answer)) as server:
        code, found, _ = result(
            capsys, "--bench", "humaneval", "--model", f"{server.base_url}#toy", "--limit", 3,
            "--template", "completion", "--data-dir", shared, "--out", tmp_path / "e",
        )  # fmt: skip
        assert [call.body["prompt"] for call in server.calls] == seen
    assert sorted(seen) == sorted(p.prompt for p in humaneval.problems()[:3])
    assert (code, found["scores"][0]["value"]) == (0, 0.0)
    assert dict(found["kinds"]) == {"failed": 3}


def test_what_was_generated_is_graded_without_asking_for_the_rest(
    capsys, tmp_path, shared, humaneval
):
    """No model is asked and nothing else graded; without --no-ask the same command asks for the rest."""
    references = {p.checks.entry_points[0]: p.reference for p in humaneval.problems()}
    with in_thread(Loopback(answer=answer_from(references))) as server:
        common = ["--bench", "humaneval", "--model", f"{server.base_url}#toy", "--data-dir", shared]
        common += ["--out", tmp_path / "e", "--temperature", 0.5, "--cache", tmp_path / "said.db"]
        assert evaluate(capsys, *common, "--no-grade", "--limit", 3, "--n", 2)[0] == 0
        assert evaluate(capsys, *common, "--no-grade", "--limit", 4)[0] == 0
        n_asked = len(server.calls)
        code, found, _ = result(capsys, *common, "--n", 2, "--no-ask")
        assert (code, found["scores"], found["n_samples"]) == (1, [], 7)
        assert "160 problems have no sample" in found["withheld"]
        code, found, _ = result(capsys, *common, "--n", 2, "--no-ask", "--partial")
        assert (code, found["scores"][0]["value"], found["n_samples"]) == (0, 1.0, 7)
        assert len(server.calls) == n_asked == 7
        code, found, _ = result(capsys, *common, "--n", 2, "--limit", 5)
        assert (code, found["n_samples"], len(server.calls)) == (0, 10, 10)


def test_an_evaluation_moves_and_names_the_model_that_answered(capsys, tmp_path, shared):
    """Another port is the same evaluation; another model that answers is a warning, and counted."""

    def reply(body, text):
        return {**completion(body, "    pass"), "model": "tiny-fallback"}

    common = ["--bench", "humaneval", "--data-dir", shared, "--out", tmp_path / "e", "--no-grade"]
    extras = ["--set", "evolver.extra_body={reasoning_effort: low}"]
    asked = []
    for limit in (2, 3):
        with in_thread(Loopback(reply=reply)) as server:
            model = ["--model", f"{server.base_url}#toy", "--limit", limit]
            code, _, err = evaluate(capsys, *common, *model, *extras)
            assert (code, err.count("'tiny-fallback' answered in place of 'toy'")) == (0, 1), err
            asked += [call.body["reasoning_effort"] for call in server.calls]
            code, _, err = evaluate(capsys, *common, *model)
            assert code == 2
            assert "other values of extra_body" in err
    assert asked == ["low"] * 3
    with EvalStore.read(tmp_path / "e") as store:
        assert store.answered() == {"tiny-fallback": 3}


def test_a_benchmark_is_checked_before_there_is_a_model(capsys, tmp_path, shared, monkeypatch):
    """What its references gave is kept for evaluations, and one that fails here is named."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(tmp_path / "cache"))
    common = ["--bench", "humaneval", "--data-dir", shared, "--limit", 3, "--check"]
    code, out, _ = evaluate(capsys, *common)
    assert (code, out) == (0, "humaneval         passes on this machine\n")
    with sqlite3.connect(tmp_path / "cache" / "controls.db") as kept:
        assert kept.execute("SELECT COUNT(*) FROM controls").fetchone() == (3,)
        kept.execute("UPDATE controls SET reference = 'failed: 1 is not 2' WHERE rowid = 1")
    code, out, _ = evaluate(capsys, *common, "--json")
    assert code == 1
    assert list(json.loads(out)["humaneval"].values()) == [
        "its reference does not pass: failed: 1 is not 2"
    ]
    code, out, _ = evaluate(capsys, *common, "--partial")
    assert code == 0
    assert out.startswith("humaneval         1 problem fails on this machine\n  HumanEval/")
