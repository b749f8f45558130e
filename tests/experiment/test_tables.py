"""Questions follow from the available arms, and every number has its interval.

Intervals cover problems and training seeds, differences are paired, and numbers repeat.
"""

import random

import pytest

from evolcoder.bench.scores import bootstrap
from evolcoder.errors import BenchError
from evolcoder.experiment.results import draw
from evolcoder.experiment.tables import Resampler, TableEntry, markdown, questions, tables

ARMS = [
    "student", "seed", "merge-0..1", "merge-0..2", "seed-reanswered", "round-1@samples",
    "round-2@samples", "seed-reanswered@samples", "merge-0..2~deepen", "merge-0..2+verified",
    "self/merge-0..2", "round-1@tokens",
]  # fmt: skip
BENCHES = ("humaneval+", "mbpp+")


def entry(n, arm):
    passed = {f"p{i}": [i < 10 + 2 * n] for i in range(40)}
    return TableEntry(arm, 100 * n, 1000 * n, {bench: {0: passed, 1: passed} for bench in BENCHES})


def entries():
    return [entry(n, arm) for n, arm in enumerate(ARMS)]


def test_questions_follow_from_the_arms():
    """Every arm is compared with the one that lacks the feature in question."""
    found = {q.name: [(pair.arm, pair.control) for pair in q.pairs] for q in questions(ARMS)}
    control = "seed-reanswered"
    assert found["rounds"] == [
        (arm, control) for arm in (control, "student", "seed", "merge-0..1", "merge-0..2")
    ]
    matched = f"{control}@samples"
    assert found["equal-samples"] == [
        (arm, matched) for arm in (matched, "round-1@samples", "round-2@samples")
    ]
    plain = ("merge-0..2", "merge-0..2")
    assert found["heuristics"] == [plain, ("merge-0..2~deepen", "merge-0..2")]
    assert found["verified"] == [plain, ("merge-0..2+verified", "merge-0..2")]
    assert found["evolver"] == [plain, ("self/merge-0..2", "merge-0..2")]
    assert "equal-tokens" not in found


def test_without_the_control_the_seeds_own_answers_are_one():
    """Without re-answered seeds the control is the seeds as they came."""
    (rounds,) = questions(["seed", "merge-0..1"])
    assert {pair.control for pair in rounds.pairs} == {"seed"}
    (untouched,) = questions(["student", "merge-0..1", "round-1"])
    assert [(pair.arm, pair.control) for pair in untouched.pairs] == [
        ("student", "student"), ("merge-0..1", "student"),
    ]  # fmt: skip
    assert questions(["merge-0..1", "round-1"]) == ()


def test_a_table_has_scores_intervals_and_differences():
    """The table shows the measured values; the control has no difference."""
    text = markdown(tables(entries(), benches=BENCHES, seed=0))
    (line,) = [
        line for line in text.splitlines() if line.startswith("| merge-0..1<br>[seed-reanswered]")
    ]
    assert line.count("35.0 (") == 2
    assert "<br>\N{MINUS SIGN}10.0 (" in line
    assert "| seed-reanswered | 400 | 4,000 | 2 | 45.0 (" in text
    assert "and training seeds" in text


def test_the_order_in_which_arms_come_changes_no_number():
    """Tables depend on outcomes alone."""
    there = {t.question.name: t for t in tables(entries(), benches=BENCHES, seed=0)}
    back = {t.question.name: t for t in tables(entries()[::-1], benches=BENCHES, seed=0)}
    for name, table in there.items():
        assert sorted(map(str, table.lines)) == sorted(map(str, back[name].lines))


def test_figures_are_the_same_bytes_and_need_no_colour(tmp_path):
    """The same table gives the same file; arms differ by marker and the control by hatching."""
    pytest.importorskip("matplotlib")
    table = tables(entries(), benches=BENCHES, seed=0)[0]
    for name in ("a", "b"):
        draw(table, tmp_path / f"{name}.svg")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "<pattern" in text
    for arm in ("merge-0..2", "seed-reanswered", "mbpp+"):
        assert f">{arm}</text>" in text
    colours = {part[:7] for part in text.split("#")[1:] if part[:6].isalnum()}
    assert all(len({c[i : i + 2] for i in (0, 2, 4)}) == 1 for c in colours if _is_colour(c))


def _is_colour(text):
    return len(text) == 7 and text[6] in "\"; '" and all(c in "0123456789abcdef" for c in text[:6])


PROBLEMS = [f"p{n}" for n in range(60)]


def outcomes(passes):
    return {problem: [passes(n)] for n, problem in enumerate(PROBLEMS)}


def by_skill(*skills):
    """Training seeds that pass the easiest problems, each so many."""
    return {seed: outcomes(lambda n, skill=skill: n < skill) for seed, skill in enumerate(skills)}


def test_one_seed_has_the_interval_of_a_plain_bootstrap():
    """With one training seed the interval equals that of a score."""
    mine = Resampler(PROBLEMS, seed=0).estimate("a", by_skill(24))
    plain = bootstrap([1.0] * 24 + [0.0] * 36, random.Random(0))
    assert mine.value == 0.4
    assert abs(mine.low - plain.low) < 0.02
    assert abs(mine.high - plain.high) < 0.02


def test_seeds_that_disagree_widen_the_interval():
    """The same mean of three seeds is less certain where they differ."""
    resampler = Resampler(PROBLEMS, seed=0)
    agreeing, split = (
        resampler.estimate("a", by_skill(24, 24, 24)),
        resampler.estimate("a", by_skill(4, 24, 44)),
    )
    assert agreeing.value == pytest.approx(split.value)
    assert split.high - split.low > 1.3 * (agreeing.high - agreeing.low)
    assert (split.n_problems, split.n_seeds) == (60, 3)


def test_a_difference_is_paired_by_problem():
    """Arms that differ on four problems only have a narrow difference, despite wide intervals."""
    resampler = Resampler(PROBLEMS, seed=0)
    found = resampler.difference("a", by_skill(34), "b", by_skill(24))
    alone = resampler.estimate("a", by_skill(34))
    assert found.value == pytest.approx(10 / 60)
    assert found.low > 0
    assert found.p_value < 0.01
    assert found.high - found.low < alone.high - alone.low


def test_an_arm_beside_its_equal_differs_by_nothing():
    """Equal outcomes give a difference of zero with an empty interval."""
    found = Resampler(PROBLEMS, seed=0).difference("a", by_skill(24), "b", by_skill(24))
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1.0)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    """The same outcomes and seed give the same numbers."""
    arms = by_skill(10, 30)
    first, again = (Resampler(PROBLEMS, seed=3).estimate("a", arms) for _ in range(2))
    assert first == again
    assert first != Resampler(PROBLEMS, seed=4).estimate("a", arms)


def test_a_missing_verdict_is_an_error():
    """A problem without an outcome is an error, not a failure."""
    short = {0: {problem: [True] for problem in PROBLEMS[1:]}}
    with pytest.raises(BenchError, match="1 problems have no verdict"):
        Resampler(PROBLEMS, seed=0).estimate("a", short)
    with pytest.raises(BenchError, match="without problems"):
        Resampler([], seed=0)
