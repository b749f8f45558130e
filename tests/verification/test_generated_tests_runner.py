"""Dual agreement and the strength of sets of checks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.verification.generated_tests.runner import (
    CheckFlaw,
    best_group,
    groups,
    is_contested,
    measure_strength,
)

T, F = True, False
TABLES = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.tuples(*[st.booleans()] * n), min_size=1, max_size=7)
)


@pytest.mark.parametrize(
    ("table", "answers", "checks"),
    [
        ([(T, T), (T, T)], (0, 1), (0, 1)),
        ([(T, F), (T, T), (T, T)], (1, 2), (0, 1)),
        ([(T, T, T, F), (F, F, F, T), (F, F, F, T)], None, None),
        ([(T, F, F), (F, T, T), (F, T, T), (T, F, F), (T, F, F)], (1, 2), (1, 2)),
        ([(T, F), (T, F), (F, T), (F, T)], None, None),
        ([(F, F), (F, F)], None, None),
        ([(T, T)], None, None),
        ([(T, T), (T, F), (F, T)], None, None),
        ([], None, None),
    ],
)
def test_the_group_with_most_answers_times_checks_stands_out(table, answers, checks):
    """A single answer, a tie, and a group that passes nothing do not stand out."""
    found = best_group(table)
    assert (found and found.answers, found and found.checks) == (answers, checks)


@pytest.mark.parametrize(
    ("table", "contested"),
    [
        ([(T, F, F), (F, T, T), (F, T, T)], False),
        ([(T, F, F), (T, F, F), (F, T, T), (F, T, T)], True),
        ([(F, F, F), (F, F, F), (F, T, T), (F, T, T)], True),
        ([(F, T, T), (T, F, F), (T, F, F), (F, T, T)], False),
    ],
)
def test_an_answer_with_as_many_on_its_side_contests_the_group(table, contested):
    """An answer is only wrong if fewer answers agree with it than are in the group."""
    group = best_group(table)
    assert group is not None
    assert is_contested(table, 0, group) == contested


@given(TABLES)
def test_every_answer_is_in_one_group(table):
    """Groups partition the answers and hold exactly the checks that all members pass."""
    found = groups(table)
    assert sorted(number for group in found for number in group.answers) == list(range(len(table)))
    for group in found:
        for answer in group.answers:
            assert [n for n, passed in enumerate(table[answer]) if passed] == list(group.checks)


@given(TABLES, st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(table, rng):
    """Shuffling the answers selects the same group."""
    order = list(range(len(table)))
    rng.shuffle(order)
    before, after = best_group(table), best_group([table[number] for number in order])
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert before.checks == after.checks
        assert set(before.answers) == {order[number] for number in after.answers}


@given(TABLES)
def test_a_check_that_no_answer_passes_changes_nothing(table):
    """An additional wrong check does not change the selection."""
    assert best_group([(*row, False) for row in table]) == best_group(table)


@pytest.mark.parametrize(
    ("checks", "stubs", "mutants", "flaw", "killed"),
    [
        ((0, 1), [(F, T)], [(T, F), (T, T)], None, (0,)),
        ((0,), [(F, T)], [(T, F), (T, T)], CheckFlaw.KILLS_NOTHING, ()),
        ((1,), [(F, T)], [(T, F), (T, T)], CheckFlaw.PASSES_STUB, (0,)),
        ((0, 1), [(F, T), (T, T)], [(F, F)], CheckFlaw.PASSES_STUB, (0,)),
        ((0,), [(F,)], [], CheckFlaw.NO_MUTANTS, ()),
        ((), [(F,)], [(F,)], CheckFlaw.NOTHING, ()),
    ],
)
def test_a_valid_set_fails_every_stub_and_a_mutant(checks, stubs, mutants, flaw, killed):
    """An invalid set has the matching flaw."""
    found = measure_strength(checks, stubs=stubs, mutants=mutants)
    assert (found.flaw, found.killed) == (flaw, killed)


@given(TABLES, st.data())
def test_more_checks_kill_no_fewer_mutants(mutants, data):
    """The strength is monotone in the checks and lies between 0 and 1."""
    n = len(mutants[0])
    some = data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    weak = measure_strength(some, stubs=[], mutants=mutants)
    strong = measure_strength(range(n), stubs=[], mutants=mutants)
    assert set(weak.killed) <= set(strong.killed)
    assert 0 <= weak.strength <= strong.strength <= 1
