"""An arm's rows follow from its name, in any order of the input rows."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolcoder.errors import ConfigError
from evolcoder.experiment.arms import Arm, MatchedOn, RowSource, select
from evolcoder.records import Check, CheckResult, Response, Row, Task, Usage

NAMES = [
    "student", "seed", "seed-reanswered", "round-2", "merge-0..3", "round-1@samples",
    "round-12@tokens", "merge-0..3@steps", "merge-0..3+verified", "merge-0..3~misdirect~deepen",
    "other/merge-0..1@tokens+verified~deepen", "merge-0..2@samples+ran",
    "reanswered-0..2", "other/reanswered-0..3@tokens",
]  # fmt: skip
HEURISTICS = ("constrain", "deepen", "misdirect")


def rows_of(n_seeds, n_rounds, *, said="own"):
    """Lineages of a run; some rounds miss some of them, as after drops."""
    made = []
    for ordinal in range(n_seeds):
        task = Task.seed(f"task {ordinal}", ordinal=ordinal, language=None)
        made.append(
            Row(task, Response.to(task, f"{said} {'word ' * (ordinal % 7)}", made=None), None)
        )
        for round in range(1, n_rounds + 1):
            if (ordinal + round) % 5 == 0:
                continue
            cost = Usage("toy", 1, 10 * round + ordinal % 3, 1)
            heuristic = HEURISTICS[(ordinal + round) % 3]
            task = task.child(
                f"{task.instruction} {round}",
                round=round,
                heuristic=heuristic,
                language=None,
                made=cost,
            )
            text = "word " * (10 * round + ordinal % 3)
            made.append(Row(task, Response.to(task, text, made=cost), None))
    return made


FOUND = (("passed", 0.9), ("failed", 0.9), ("passed", 0.2), ("passed", 0.5))
"""Test verdicts of every fourth lineage: validated, failed, too weak, just strong enough."""

RAN = ("passed", "error", "passed")
"""How the programs of every third lineage ended."""


def verdicts_of(row):
    t = row.task
    if t.round == 0:
        return ()
    tests, runs = FOUND[t.ordinal % 4], (RAN[t.ordinal % 3], None)
    return tuple(
        CheckResult(t.id, row.response.id, t.round, t.ordinal, check, *found, {})
        for check, found in ((Check.TESTS, tests), (Check.RUNS, runs))
    )


def tokens(row):
    return len(row.response.text.split())


def source(n_seeds=60, n_rounds=3, shuffled=None):
    rows, again = rows_of(n_seeds, n_rounds), rows_of(n_seeds, 0, said="again")
    rows = [replace(row, verdicts=verdicts_of(row)) for row in rows]
    if shuffled is not None:
        random.Random(shuffled).shuffle(rows)
    return {"main": RowSource(tuple(rows), tuple(again), 0.5)}


def chosen(*names, sources=None, seed=0):
    found = select(map(Arm.read, names), sources or source(), seed=seed, tokens=tokens)
    return {str(arm): one for arm, one in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_reads_back_to_itself(name):
    """An arm's name describes it completely."""
    assert Arm.read(str(Arm.read(name))) == Arm.read(name)
    assert sorted(str(Arm.read(name)).split("~")) == sorted(name.split("~"))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "seeds",
        "round-0",
        "merge-1..2",
        "merge-0..0",
        "reanswered-0..0",
        "seed@rows",
        "student@steps",
        "a b/seed",
    ],
)
def test_what_is_no_arm_is_refused(name):
    """The error shows the syntax of arms."""
    with pytest.raises(ConfigError, match="arms: "):
        Arm.read(name)


def test_each_arm_holds_the_rows_that_it_names():
    """Rounds, answers, verification and heuristics follow from the name."""
    found = chosen(
        "seed",
        "seed-reanswered",
        "round-2",
        "merge-0..2",
        "merge-0..2+verified",
        "merge-0..2+ran",
        "merge-0..2~deepen",
        "reanswered-0..2",
    )
    assert {row.task.round for row in found["round-2"].rows} == {2}
    assert {row.task.round for row in found["merge-0..2"].rows} == {0, 1, 2}
    assert [r.task.id for r in found["seed"].rows] == [
        r.task.id for r in found["seed-reanswered"].rows
    ]
    assert all(row.response.text.startswith("again") for row in found["seed-reanswered"].rows)
    again = found["reanswered-0..2"].rows
    assert again[:60] == found["seed-reanswered"].rows
    assert again[60:] == found["merge-0..2"].rows[60:]
    verified = found["merge-0..2+verified"].rows
    assert {row.task.ordinal % 4 for row in verified if row.task.round} == {0, 3}
    assert sum(row.task.round == 0 for row in verified) == 60
    ran = found["merge-0..2+ran"].rows
    assert {row.task.ordinal % 3 for row in ran if row.task.round} == {0, 2}
    assert sum(row.task.round == 0 for row in ran) == 60
    left = {row.task.heuristic for row in found["merge-0..2~deepen"].rows}
    assert left == {None, "constrain", "misdirect"}


def test_sample_matched_arms_have_equal_sizes_and_share_lineages():
    """Each has as many rows as the smallest arm, of the same seeds where it has them."""
    found = chosen(
        "seed@samples", "round-1@samples", "round-3@samples", "merge-0..3@samples", "round-2"
    )
    sizes = {name: len(one.rows) for name, one in found.items() if "@" in name}
    assert set(sizes.values()) == {48}
    assert len(found["round-2"].rows) == 48
    seeds, first = (
        {row.task.ordinal for row in found[f"{n}@samples"].rows} for n in ("seed", "round-1")
    )
    assert len(seeds & first) >= 36


@given(n_seeds=st.integers(5, 40), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_token_matched_arms_are_within_a_row_of_the_smallest(n_seeds, seed):
    """No arm exceeds the smallest arm's tokens, or is short of them by a whole row."""
    names = [f"{base}@tokens" for base in ("seed-reanswered", "round-1", "round-2", "merge-0..2")]
    sources = source(n_seeds, 2)
    found = chosen(*names, sources=sources, seed=seed)
    whole = chosen(*(name.removesuffix("@tokens") for name in names), sources=sources)
    least = min(one.n_tokens for one in whole.values())
    longest = max(tokens(row) for row in sources["main"].rows)
    for one in found.values():
        assert least - longest < one.n_tokens <= least


def test_a_smaller_draw_is_part_of_a_larger_one():
    """A smaller sample is a subset of a larger one."""
    small = chosen("merge-0..3@samples", "round-3@samples", sources=source(30))
    large = chosen("merge-0..3@samples", sources=source(30))
    fewer, more = (one["merge-0..3@samples"] for one in (small, large))
    assert len(fewer.rows) < len(more.rows)
    assert {row.response.id for row in fewer.rows} < {row.response.id for row in more.rows}


def test_step_matched_arms_keep_their_rows():
    """Step-matched arms keep all rows; the steps are those of the smallest one."""
    found = chosen("merge-0..3@steps", "round-1@steps")
    assert len(found["merge-0..3@steps"].rows) > len(found["round-1@steps"].rows)
    assert {one.steps_of for one in found.values()} == {len(found["round-1@steps"].rows)}


@given(shuffled=st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_matter(shuffled):
    """The same rows in any order give the same arms, byte for byte."""
    names = ("merge-0..3", "merge-0..3@samples", "round-2@samples", "round-2@tokens", "seed@tokens")
    plain, mixed = chosen(*names), chosen(*names, sources=source(shuffled=shuffled))
    assert plain == mixed
    assert {n: one.digest for n, one in plain.items()} == {
        n: one.digest for n, one in mixed.items()
    }


def test_another_seed_draws_other_rows_of_the_same_number():
    """A sample depends on the seed; complete arms do not."""
    names = ("merge-0..3@samples", "round-1@samples", "merge-0..3")
    a, b = chosen(*names, seed=1), chosen(*names, seed=2)
    assert a["merge-0..3@samples"].digest != b["merge-0..3@samples"].digest
    assert len(a["merge-0..3@samples"].rows) == len(b["merge-0..3@samples"].rows)
    assert a["merge-0..3"].digest == b["merge-0..3"].digest


def test_an_arm_without_rows_or_run_is_named():
    """A missing round or run is a ConfigError."""
    with pytest.raises(ConfigError, match="round-9 has no rows"):
        chosen("round-9")
    with pytest.raises(ConfigError, match="no run 'other'"):
        chosen("other/seed")
    assert chosen("student") == {}
    assert MatchedOn("steps") is MatchedOn.STEPS
