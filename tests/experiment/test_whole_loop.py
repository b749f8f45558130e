"""`evolcoder loop` with a toy trainer and a scripted model: every step is the real one."""

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from commands import run_command
from evolcoder.experiment import results
from evolcoder.experiment.store import LoopStore
from evolcoder.experiment.timings import CONCURRENT

pytestmark = pytest.mark.e2e


def loop(capsys, *arguments):
    return run_command(capsys, "loop", *arguments)


def test_evolution_stops_where_it_harms_and_the_best_merge_is_kept(capsys, tmp_path, toy_loop):
    """Round 3 is proven worse, so round 4 is never made, and the arms are reported with intervals."""
    server, write, student = toy_loop
    config = write(arms=["student", "seed-reanswered", "round-1@steps", "seed@steps", "round-4"])
    code, out, err = loop(capsys, config, "--out", tmp_path / "out")
    assert code == 0, err
    assert "round 3 is worse by 58.3 points than round 2 (p = 0.016): not kept" in out
    assert "Evol Stop ended evolution: the best round is 2" in out
    assert "1 round did not help: stop, and keep round 2" in err
    assert "skipped: round-4" in out
    assert "| merge-0..2<br>[seed-reanswered] |" in out
    facts = results.facts(tmp_path / "out" / "results")
    assert facts["decision"]["best"] == 2
    assert [step["kind"] for step in facts["steps"]].count("evolve") == 4
    steps = {one["arm"]: one["steps"] for one in facts["trainings"]}
    assert steps["seed"] is None
    assert steps["seed@steps"] == steps["round-1@steps"] == 3
    trained = (student / "trainings").read_text().splitlines()
    assert len(trained) == len(set(trained)) == 7
    asked = len(server.calls)
    assert loop(capsys, config, "--out", tmp_path / "out")[0] == 0
    assert len(server.calls) == asked
    assert (student / "trainings").read_text().splitlines() == trained


@pytest.mark.parametrize("beside", [False, True])
def test_an_arm_whose_training_fails_is_left_out_and_made_later(capsys, tmp_path, toy_loop, beside):
    """All others are made and reported; the same command trains the missing ones only."""
    _, write, student = toy_loop
    plain = yaml.safe_load(write().read_text())
    config = write(
        arms=["student", "seed@steps", "seed-reanswered", "round-1@steps"],
        train={**plain["train"], "beside": beside},
        run={**plain["run"], "budget": {"rounds": 1}},
    )
    (student / "fails").touch()
    code, out, err = loop(capsys, config, "--out", tmp_path / "out")
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith("evolcoder: 2 models are missing, since the training failed; ")
    assert "seed@steps, seed 0: train-" in last
    assert "out of memory (log: " in last
    assert "| merge-0..1" in out
    assert "| seed-reanswered" in out
    assert "| seed@steps" not in out
    before = (student / "trainings").read_text().splitlines()
    (student / "fails").unlink()
    code, out, err = loop(capsys, config, "--out", tmp_path / "out")
    assert code == 0, err
    assert "| seed@steps" in out
    assert (student / "trainings").read_text().splitlines()[: len(before)] == before
    assert len((student / "trainings").read_text().splitlines()) == len(before) + 2


def test_tables_come_from_samples_and_grading_them_again_gives_the_same(capsys, tmp_path, toy_loop):
    """Stored results are enough for every table, and their verdicts hold when they are run again."""
    _, write, _ = toy_loop
    config = write()
    smaller = ["--set", "run.budget.rounds=1", "--set", "train.seeds=[0, 1]"]
    smaller += ["--set", "train.keep=best"]
    target = tmp_path / "results"
    assert loop(capsys, config, *smaller, "--out", tmp_path / "out", "--results", target)[0] == 0
    assert len(list((tmp_path / "out" / "models").iterdir())) == 2, "the best merge of both seeds"
    shutil.rmtree(tmp_path / "out")
    before = {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    results.write_tables(target, figures=False)
    assert before == {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()}
    code, out, _ = loop(capsys, config, *smaller, "--results", target, "--regrade", "--json")
    assert code == 0
    same = {"samples": 12 * 7, "differing": []}
    assert json.loads(out) == {"humaneval": same, "mbpp-dev": same}
    assert "and training seeds" in before["tables.md"].decode()
    beside = [*smaller, "--set", "ask.grade_beside=true", "--set", "train.beside=true"]
    beside += ["--set", "ask.grade_at_once=2"]
    # The references of a benchmark are checked by a command that refuses options of asking.
    options = ["--cache", str(tmp_path / "c.db"), "--seed=3", "--workers", "2", "--max-usd", "9"]
    options += ["--set", "traffic.concurrency=4", "--set", "cluster.sandboxes_per_node=2"]
    beside += ["--set", f"ask.options={json.dumps(options)}"]
    assert loop(capsys, config, *beside, "--out", tmp_path / "beside")[0] == 0
    after = tmp_path / "beside" / "results"
    assert (after / "tables.json").read_bytes() == before["tables.json"]
    steps = results.facts(after)["steps"]
    beside = [step for step in steps if step["kind"] in {"check", "grade", "train"}]
    assert {step["detail"] for step in beside} == {CONCURRENT}
    ended = [(step["kind"], step["name"]) for step in steps]
    graded = next(n for n, (kind, _) in enumerate(ended) if kind == "grade")
    assert ended.index(("check", "mbpp-dev, humaneval")) < graded
    assert ended.index(("train", "seed, seed 0")) < ended.index(("evolve", "main, round 1"))


def test_a_run_that_is_reported_on_its_dev_set_is_refused(capsys, tmp_path, toy_loop):
    """A shared problem is refused before anything is made; an option removes it from the dev set."""
    _, write, _ = toy_loop
    config = write(tests=["mbpp-dev"])
    code, _, err = loop(capsys, config, "--out", tmp_path / "out")
    assert code == 2
    assert "mbpp-dev shares problems with the reported benchmarks (12 with mbpp-dev)" in err
    code, _, err = loop(
        capsys, config, "--out", tmp_path / "out", "--set", "dev.leave_out_tests=true"
    )
    assert "all of mbpp-dev is among the reported tests" in err
    assert not (tmp_path / "out" / "run-main").exists()


def test_one_machine_trains_and_asks_and_another_one_grades(capsys, tmp_path, toy_loop):
    """A pack is enough to make the same models elsewhere, and the loop reads their samples."""
    _, write, _ = toy_loop
    config, one = write(), ["--set", "run.budget.rounds=1"]
    here, there, out = tmp_path / "here", tmp_path / "there", tmp_path / "pack"
    kept = ["--set", "train.keep=best"]
    assert loop(capsys, config, *one, *kept, "--out", there, "--no-grade")[0] == 0
    assert list((there / "models").iterdir()), "which is the best is not known yet"
    folders = {name: str(there / f"run-{name}") for name in ("main", "main-reanswered")}
    config = write("here.yaml", folders=folders)
    assert loop(capsys, config, *one, "--out", here, "--pack", out)[0] == 0
    jobs = json.loads((out / "jobs.json").read_text())["jobs"]
    assert {job["key"] for job in jobs} == _sampled(there, tmp_path / "back")
    (tmp_path / "back" / f"{jobs[-1]['key']}.jsonl.gz").unlink()
    command = [config, *one, "--out", here, "--take", tmp_path / "back", "--as-it-is"]
    code, text, _ = loop(capsys, *command)
    assert code == 0
    assert not (here / "models").exists()
    assert f"skipped: {jobs[-1]['arm']}" in text
    assert "| merge-0..1<br>[seed] |" in text
    command[command.index(here)] = tmp_path / "nobody-decides"
    code, again, _ = loop(capsys, *command, "--set", "dev.bench=null")
    assert code == 0
    assert "Evol Stop" in text
    assert "Evol Stop" not in again
    assert "| merge-0..1<br>[seed] |" in again


def test_as_it_is_makes_nothing(capsys, tmp_path, toy_loop):
    """Without samples there is no report, and no model is sampled for it."""
    server, write, student = toy_loop
    code, _, err = loop(capsys, write(), "--out", tmp_path / "out", "--as-it-is")
    assert code == 1
    assert err.splitlines()[-1].endswith("nothing to report: no model has samples yet")
    assert not server.calls
    assert not (student / "trainings").exists()


def _sampled(there, back):
    """Write the samples of each model of a loop in the files of another machine."""
    from evolcoder.evaluation.store import EvalStore
    from evolcoder.storage.atomic import write_whole

    keys = set()
    for folder in (there / "evals").iterdir():
        with EvalStore.read(folder) as store:
            spec = store.meta("settings")["model"]
            key = spec.split("/")[-2]
            rows = store.db.read("SELECT bench, problem, number, text FROM samples")
        if key == "student":
            key = _student_key()
        keys.add(key)
        names = ("bench", "problem", "number", "text")
        lines = "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
        write_whole(back / f"{key}.jsonl.gz", lines.encode())
    return keys


def _student_key():
    from evolcoder.ids import content_id

    return content_id("student", "toy")


@pytest.mark.parametrize(
    ("kind", "key", "marker"),
    [("grade", "ask.grade_beside", "stuck"), ("train", "train.beside", "slow")],
)
def test_sigterm_amid_what_goes_on_beside_ends_both_and_is_gone_on_with(
    tmp_path, toy_loop, kind, key, marker
):
    """No grading or training outlives a killed loop; the same command gives the same tables."""
    _, write, student = toy_loop
    command = [*_command(write(), tmp_path / "out"), "--set", f"{key}=true"]
    (student / marker).touch()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith(f"{kind} "):
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode in {130, 143}
    assert not _graders(tmp_path / "out")
    with LoopStore.read(tmp_path / "out") as store:
        assert kind not in {step.kind for step in store.steps()}, "it was waited for"
    (student / marker).unlink()
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(_command(write(), tmp_path / "whole"), check=True, capture_output=True)
    ended = [results.tables_of(tmp_path / name / "results") for name in ("out", "whole")]
    assert ended[0] == ended[1]


def _graders(folder):
    """Return the processes with this folder in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            found += [words] if any(word.startswith(str(folder)) for word in words) else []
    return found


N_KILLS = 9


def test_sigkill_at_any_step_is_gone_on_with(tmp_path, toy_loop):
    """A loop that is killed while it evolves, trains, samples and grades gives the same result."""
    server, write, student = toy_loop
    config = write()
    subprocess.run(_command(config, tmp_path / "whole"), check=True, capture_output=True)
    whole = results.tables_of(tmp_path / "whole" / "results")
    trained = (student / "trainings").read_text().splitlines()
    n_asked = len(server.calls)
    rng, hit = random.Random(5), set()
    for n in range(N_KILLS):
        hit.add(_killed(_command(config, tmp_path / "cut"), n % 3, rng.uniform(0.0, 1.5)))
    subprocess.run(_command(config, tmp_path / "cut"), check=True, capture_output=True)
    assert hit >= {"evolve", "train"}
    assert results.tables_of(tmp_path / "cut" / "results") == whole
    assert len(server.calls) == n_asked, "the cache holds every answer of the first loop"
    again = (student / "trainings").read_text().splitlines()[len(trained) :]
    assert set(again) == set(trained)
    assert len(again) <= len(trained) + N_KILLS


def _killed(command, n_steps, delay_s):
    """Kill a loop shortly after the start of step n + 1; return the step's kind."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    begun = list(itertools.islice(process.stderr, n_steps + 1))
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if process.returncode == 0:
        return "ended"
    assert process.returncode == -signal.SIGKILL, begun
    return begun[-1].split()[0]


def _command(config, out):
    program = [sys.executable, "-m", "evolcoder.cli.main", "loop", str(config)]
    return [*program, "--out", str(out), "--set", "run.budget.rounds=1", "--no-figures"]


def test_the_trainer_of_this_program_makes_the_models(capsys, tmp_path, toy_loop):
    """`evolcoder train` accepts the default training command, with seed and steps."""
    pytest.importorskip("torch")
    from toy_model import make_base

    _, write, student = toy_loop
    make_base(student)
    plain = ["--preset", "small", "--set", "epochs=1", "--set", "bad_rows=drop"]
    config = write(
        train={"options": [*plain, "--set", "max_length=256"], "batch": 64, "seeds": [3]},
        serve={"command": [], "spec": f"scripted:{student}/script.json"},
        arms=["seed-reanswered", "seed@steps"],
    )  # fmt: skip
    out = tmp_path / "out"
    only = ["--set", "run.budget.rounds=0", "--no-figures"]
    code, _, err = loop(capsys, config, "--out", out, *only)
    assert code == 0, err
    models = list((out / "models").iterdir())
    assert len(models) == 3
    for model in models:
        assert (model / "config.json").exists()
        assert (model / "model.safetensors").exists()
