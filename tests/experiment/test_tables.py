"""Questions follow from the available arms, and every number has its interval."""

import pytest

from evolcoder.experiment.figures import draw
from evolcoder.experiment.tables import TableEntry, markdown, questions, tables

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
