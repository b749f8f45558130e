"""Plans: which rows go together, on any number of devices."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolcoder.training.plan import plan, rows_by_step

LENGTHS = [7, 30, 12, 12, 5, 90, 41, 8, 8, 19, 3]


def laid(n_devices=1, *, max_tokens=64, n_seen=22, rows_per_step=4, seed=0):
    steps = rows_by_step(len(LENGTHS), n_seen=n_seen, rows_per_step=rows_per_step, seed=seed)
    return plan(steps, LENGTHS, max_tokens=max_tokens, n_devices=n_devices)


def test_every_epoch_sees_every_row_once():
    """Two epochs contain each row twice, and each half contains it once."""
    rows = [row for step in rows_by_step(11, n_seen=22, rows_per_step=4, seed=3) for row in step]
    assert sorted(rows[:11]) == sorted(rows[11:]) == list(range(11))
    assert rows[:11] != rows[11:]


def test_the_order_is_the_seeds():
    """The same seed gives the same order, another seed another one."""
    assert laid(seed=1) == laid(seed=1)
    assert laid(seed=1) != laid(seed=2)


@given(
    lengths=st.lists(st.integers(1, 100), min_size=1, max_size=30),
    rows_per_step=st.integers(1, 9),
    max_tokens=st.integers(1, 200),
    n_devices=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_parts_hold_what_their_step_holds(lengths, rows_per_step, max_tokens, n_devices):
    """A step's parts contain its rows exactly, within the bound, equally many for each device."""
    steps = rows_by_step(len(lengths), n_seen=2 * len(lengths), rows_per_step=rows_per_step, seed=0)
    made = plan(steps, lengths, max_tokens=max_tokens, n_devices=n_devices)
    assert len(made.parts) == made.n_parts * made.n_steps
    assert made.n_parts % n_devices == 0
    for at, step in enumerate(steps):
        parts = made.parts[at * made.n_parts : (at + 1) * made.n_parts]
        assert Counter(row for part in parts for row in part) == Counter(step)
        for part in parts:
            longest = max((lengths[row] for row in part), default=0)
            assert len(part) <= 1 or len(part) * longest <= max_tokens


@pytest.mark.parametrize("n_devices", [1, 2, 4])
def test_devices_share_steps(n_devices):
    """The rows of a step do not depend on the number of devices."""
    made = laid(n_devices)
    alone = laid(1)
    for at in range(made.n_steps):
        mine = made.parts[at * made.n_parts : (at + 1) * made.n_parts]
        theirs = alone.parts[at * alone.n_parts : (at + 1) * alone.n_parts]
        assert sorted(sum(mine, ())) == sorted(sum(theirs, ()))


def test_rows_of_like_length_lie_together():
    """Sorting a step's rows by length reduces padding."""
    lengths = [(7 * at) % 97 + 3 for at in range(64)]
    steps = rows_by_step(64, n_seen=64, rows_per_step=64, seed=0)
    made = plan(steps, lengths, max_tokens=800)
    by_eights = [steps[0][at : at + 8] for at in range(0, 64, 8)]
    as_they_come = sum(8 * max(lengths[row] for row in part) for part in by_eights)
    assert made.n_padded < 0.8 * as_they_come
    assert made.waste < 0.12
    assert made.waste == 1 - sum(lengths) / made.n_padded
