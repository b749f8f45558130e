"""The comparison of evolved tasks with their parents."""

from random import Random

from evolcoder.verification.metrics import ChildAndParent, compare_with_parents


def pairs(n, gain, heuristic="deepen", round=1):
    rng = Random(f"{heuristic}{round}")
    return [
        ChildAndParent(heuristic, round, {"tokens": x}, {"tokens": x + gain + rng.gauss(0, 1)})
        for x in (rng.uniform(10, 50) for _ in range(n))
    ]


def found(lines, heuristic, round):
    (line,) = [line for line in lines if (line.heuristic, line.round) == (heuristic, round)]
    return line


def test_a_paired_gain_is_seen_through_unlike_parents():
    """Pairing reveals a small gain among widely different pairs."""
    line = found(compare_with_parents(pairs(40, gain=2)), "deepen", 1)
    assert 1 < line.low < 2 < line.high < 3
    assert line.share_higher > 0.9


def test_no_gain_is_not_found():
    """The interval contains zero where children equal their parents on average."""
    line = found(compare_with_parents(pairs(40, gain=0)), "deepen", 1)
    assert line.low < 0 < line.high


def test_groups_add_up():
    """Every pair counts in the total, for its heuristic and for its round."""
    lines = compare_with_parents(pairs(5, 1) + pairs(7, 1, "widen", 2) + pairs(3, 1, "widen", 1))
    counts = {(line.heuristic, line.round): line.n for line in lines}
    assert counts == {
        ("all", None): 15, ("all", 1): 8, ("all", 2): 7,
        ("deepen", None): 5, ("deepen", 1): 5,
        ("widen", None): 10, ("widen", 1): 3, ("widen", 2): 7,
    }  # fmt: skip


def test_half_measured_pairs_are_left_out():
    """A measure that one side lacks is not compared."""
    assert compare_with_parents([ChildAndParent("x", 1, {"a": 1.0}, {"b": 1.0})]) == []
    assert compare_with_parents([]) == []


def test_same_pairs_same_table_in_any_order():
    """The order of the pairs does not matter."""
    some = pairs(30, 1) + pairs(30, 1, "widen")
    assert compare_with_parents(some) == compare_with_parents(Random(1).sample(some, len(some)))
