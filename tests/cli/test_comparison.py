"""`eval --compare` and `--plan` on stored evaluations of several benchmarks."""

import gzip
import json
import random

import pytest

from commands import run_command
from evolcoder.evaluation.results import outcomes_of
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.report.evaluation import report_of
from jsonl import write_jsonl

SIZES = {"humaneval": 120, "mbpp": 200}


def evaluation(folder, rate, *, n=1, seed=0, sizes=SIZES):
    """Store an evaluation whose problems pass at a rate of their own, moved by `rate`."""
    with EvalStore.create(folder, {"model": folder.name}) as store:
        for bench, size in sizes.items():
            hardness, chance = random.Random(bench), random.Random(f"{bench} {seed}")
            for place in range(size):
                own = hardness.random() + rate
                for number in range(n):
                    passed = chance.random() < own
                    store.add_verdict(
                        bench,
                        StoredVerdict(f"p/{place}", number, passed, None, "fence", {"kind": "x"}),
                    )
    return folder


def call(capsys, *arguments):
    return run_command(capsys, "eval", *arguments)


def test_several_benchmarks_are_pooled(capsys, tmp_path):
    """Each benchmark has its own line, and all of them together one more."""
    one, other = evaluation(tmp_path / "a", 0.0), evaluation(tmp_path / "b", 0.2, seed=1)
    code, out, _ = call(capsys, "--compare", one, other)
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines() if "pass@1" in line] == [
        *SIZES,
        "pooled",
    ]
    assert "320 problems in both" in out
    assert out.count("(mcnemar exact)") == 3
    code, out, _ = call(capsys, "--compare", one, other, "--json")
    found = json.loads(out)
    assert list(found) == [*SIZES, "pooled"]
    assert found["pooled"]["n_shared"] == sum(SIZES.values())
    assert found["pooled"]["smallest_effect"] < found["humaneval"]["smallest_effect"]


def test_a_comparison_says_that_it_could_not_have_decided(capsys, tmp_path):
    """With the difference that it could have; not where the difference is proven."""
    one, other = evaluation(tmp_path / "a", 0.0), evaluation(tmp_path / "b", 0.01, seed=1)
    _, out, _ = call(capsys, "--compare", one, other)
    assert out.count("could not have decided 3 points") == 3
    _, out, _ = call(capsys, "--compare", one, other, "--effect", "30")
    assert "could not" not in out
    assert out.count("not decided: differences from") == 3
    far = evaluation(tmp_path / "c", 0.6, seed=2)
    _, out, _ = call(capsys, "--compare", one, far)
    assert out.count("decided at 5 %") == 3


def test_several_arms_are_compared_with_the_first_and_corrected(capsys, tmp_path):
    """By Holm's method, over the pooled comparisons."""
    folders = [evaluation(tmp_path / f"arm{n}", n / 20, seed=n) for n in range(4)]
    code, out, _ = call(capsys, "--compare", *folders, "--json")
    assert code == 0
    found = json.loads(out)
    assert list(found) == [str(folder) for folder in folders[1:]]
    for arm in found.values():
        assert arm["p_value_holm"] >= arm["pooled"]["p_value"] - 1e-12
    code, out, _ = call(capsys, "--compare", *folders)
    assert out.count("after Holm's correction for 3") == 3
    assert "D is better at" in out


@pytest.mark.parametrize("sizes", [{"humaneval": 40}, {"humaneval": 20, "mbpp": 20}])
@pytest.mark.parametrize(("n_gained", "is_decided"), [(6, False), (9, True)])
def test_several_arms_are_decided_by_the_corrected_p_value(
    capsys, tmp_path, sizes, n_gained, is_decided
):
    """Six gained and none lost is p = 0.031, which three arms turn into 0.094."""
    folders = []
    for name, n_passed in (("a", 0), *((name, n_gained) for name in "bcd")):
        places = [(bench, place) for bench, size in sizes.items() for place in range(size)]
        folders.append(tmp_path / name)
        with EvalStore.create(folders[-1], {"model": name}) as store:
            for n, (bench, place) in enumerate(places):
                verdict = StoredVerdict(f"p/{place}", 0, n < n_passed, None, "fence", {"kind": "x"})
                store.add_verdict(bench, verdict)
    _, out, _ = call(capsys, "--compare", *folders)
    lines = [line.strip() for line in out.splitlines()]
    assert lines.count("decided at 5 %") == 3 * is_decided
    assert sum("could not have decided" in line for line in lines) == 3 * (not is_decided)
    _, out, _ = call(capsys, "--compare", *folders[:2])
    assert "decided at 5 %" in out


def test_one_benchmark_is_compared_as_before(capsys, tmp_path):
    """Nothing is pooled."""
    sizes = {"humaneval": 30}
    one, other = (
        evaluation(tmp_path / name, rate, sizes=sizes) for name, rate in (("a", 0.0), ("b", 0.3))
    )
    _, out, _ = call(capsys, "--compare", one, other)
    assert "pooled" not in out
    assert "(mcnemar exact)" in out


def test_a_plan_names_problems_and_samples(capsys, tmp_path):
    """Fewer problems with more samples, fewer for a larger difference."""
    one, other = evaluation(tmp_path / "a", 0.0, n=5), evaluation(tmp_path / "b", 0.1, n=5, seed=1)
    code, out, _ = call(capsys, "--plan", one, other, "--effect", "3", "--json")
    assert code == 0
    near = json.loads(out)
    assert (near["effect"], near["n_problems"], near["benches"]) == (3, 320, [*SIZES])
    needed = [size["n_problems"] for size in near["sizes"]]
    assert needed == sorted(needed, reverse=True)
    far = json.loads(call(capsys, "--plan", one, other, "--effect", "6", "--json")[1])
    assert needed[0] == pytest.approx(4 * far["sizes"][0]["n_problems"], rel=0.01)
    _, out, _ = call(capsys, "--plan", one, other)
    assert "A true difference of 3 points is found by 80 % of comparisons" in out
    assert f"{needed[0]:,}" in out


@pytest.fixture
def partly_faulty(capsys, shared, tmp_path):
    """Evaluations of right and of wrong answers, where one of two references does not pass."""
    with gzip.open(shared / "bigcodebench" / "BigCodeBench.jsonl.gz", "rt") as file:
        row = next(row for row in map(json.loads, file) if row["task_id"] == "BigCodeBench/747")
    faulty = row | {"task_id": "BigCodeBench/1", "canonical_solution": "    return None\n"}
    data, packages = tmp_path / "data", tmp_path / "packages"
    data.mkdir()
    (packages / "numpy").mkdir(parents=True)
    lines = "".join(f"{json.dumps(one)}\n" for one in (row, faulty))
    (data / "BigCodeBench-v0.1.4.jsonl").write_text(lines)
    answers = {
        "right": row["complete_prompt"] + row["canonical_solution"],
        "wrong": "task_func = 0\n",
    }
    for name, text in answers.items():
        samples = [
            {"task_id": id, "solution": text} for id in ("BigCodeBench/747", "BigCodeBench/1")
        ]
        file = tmp_path / f"{name}.jsonl"
        write_jsonl(file, samples)
        code, out, err = call(
            capsys, "--bench", "bigcodebench-complete", "--data-dir", data, "--packages", packages,
            "--samples", file, "--partial", "--out", tmp_path / name,
        )  # fmt: skip
        assert code == 0, err
        assert "BigCodeBench/1 is left out" in out
    return tmp_path / "wrong", tmp_path / "right"


def test_what_a_score_leaves_out_is_in_no_comparison_plan_or_report(capsys, partly_faulty):
    """A reference that fails on this machine says nothing about an answer."""
    found = json.loads(call(capsys, "--compare", *partly_faulty, "--json")[1])
    one = found["bigcodebench-complete"]
    assert (one["n_shared"], one["gained"]) == (1, ["BigCodeBench/747"])
    planned = json.loads(call(capsys, "--plan", *partly_faulty, "--json")[1])
    assert planned["n_problems"] == 1
    with EvalStore.read(partly_faulty[1]) as store:
        assert store.excluded("bigcodebench-complete") == {"BigCodeBench/1"}
        (scores, *_) = report_of(store).sections
    shown = scores.table.as_plain()[0]
    assert (shown["benchmark"], shown["problems"], shown["samples"], shown["pass@k"]) == (
        "bigcodebench-complete", 1, 1, 100.0,
    )  # fmt: skip
    assert scores.notes[0] == "bigcodebench-complete: 1 problems are left out, as eval found them"


def test_a_problem_that_is_found_in_order_later_counts_again(tmp_path):
    """Only what a session checked changes; folders of earlier versions leave nothing out."""
    folder = evaluation(tmp_path / "a", 0.0, sizes={"mbpp": 4})
    with EvalStore.create(folder, {"model": "a"}) as store:
        assert len(outcomes_of(store, "mbpp")) == 4
        store.exclude("mbpp", ["p/0", "p/1"], [f"p/{n}" for n in range(4)])
        store.exclude("humaneval", ["p/3"], ["p/3"])
        assert outcomes_of(store, "mbpp").keys() == {"p/2", "p/3"}
        store.exclude("mbpp", [], ["p/0"])
        assert outcomes_of(store, "mbpp").keys() == {"p/0", "p/2", "p/3"}
        store.exclude("mbpp", [f"p/{n}" for n in range(4)], [])
        (scores, *_) = report_of(store).sections
    assert (scores.table.rows, len(scores.notes)) == ((), 1)


def test_a_plan_from_single_samples_states_what_it_cannot_estimate(capsys, tmp_path):
    one, other = evaluation(tmp_path / "a", 0.0), evaluation(tmp_path / "b", 0.1, seed=1)
    _, out, _ = call(capsys, "--plan", one, other)
    assert "evaluate both with --n 5 or more" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--compare", "a"], "two or more"),
        (["--plan", "a", "b", "--effect", "0"], "--effect"),
        (["--plan", "a", "none"], "holds no evaluation"),
        (["--compare", "a", "other"], "no benchmark in common"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    evaluation(tmp_path / "a", 0.0)
    evaluation(tmp_path / "b", 0.0, seed=1)
    evaluation(tmp_path / "other", 0.0, sizes={"ds1000": 5})
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("mode", [("--compare", "a", "b"), ("--plan", "a", "b")])
@pytest.mark.parametrize(
    "flags",
    [
        ("--bench", "humaneval"), ("--limit", "3"), ("--n", "5"), ("--out", "x"), ("--partial",),
        ("--set", "a=1"), ("--temperature", "0.2"), ("--samples", "s.jsonl"), ("--no-grade",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_flag_without_an_effect_on_stored_evaluations_is_refused(capsys, mode, flags):
    code, _, err = call(capsys, *mode, *flags)
    assert code == 2
    assert err.startswith(f"evolcoder: {flags[0]}: not with {mode[0]}, which reads stored")


@pytest.mark.parametrize("mode", [(), ("--check",), ("--prompt-variants",)])
def test_an_effect_goes_with_a_comparison(capsys, mode):
    code, _, err = call(capsys, "--bench", "humaneval", "--model", "x", "--effect", "3", *mode)
    assert (code, err) == (2, "evolcoder: --effect: goes with --compare or --plan; leave it out\n")
