"""`eval --compare` and `--plan` on stored evaluations of several benchmarks."""

import json
import random

import pytest

from evolcoder.cli.main import main
from evolcoder.evaluation.store import EvalStore, StoredVerdict

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
    code = main(["eval", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


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


def test_a_plan_from_single_samples_says_what_it_cannot_tell(capsys, tmp_path):
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
