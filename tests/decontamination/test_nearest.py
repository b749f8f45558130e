"""The rows nearest to every problem."""

import random

import pytest

from decontamination.leaky import CLEAN, ITEMS
from deduplication.hashing import Hashing
from evolcoder.decontamination.hits import BenchmarkText, Detector
from evolcoder.decontamination.nearest import BLOCK, NearestRows, SimilarityBounds, neighbour_hits

ROWS = [(f"row-{n:04}", f"{ITEMS[n % 39].wording[n % 7 :]} {n}") for n in range(300)]


def pairs_of(rows, *, step=10**9, k=5):
    near = NearestRows(ITEMS, Hashing(), k)
    for start in range(0, len(rows), step):
        near.add_rows(rows[start : start + step])
    return near.pairs()


@pytest.mark.parametrize("step", [1, 3, 64])
def test_blocks_and_order_of_rows_decide_nothing(step):
    """The nearest rows do not depend on order or block size."""
    shuffled = [*ROWS]
    random.Random(step).shuffle(shuffled)
    assert pairs_of(shuffled, step=step) == pairs_of(ROWS)


def test_the_nearest_are_the_nearest():
    """No other row is nearer to a problem than its k nearest."""
    everything, nearest = pairs_of(ROWS, k=len(ROWS)), pairs_of(ROWS)
    for item in ITEMS:
        ranked = [pair for pair in everything if pair.item == item]
        assert [pair for pair in nearest if pair.item == item] == ranked[:5]
        assert [-pair.cosine for pair in ranked] == sorted(-pair.cosine for pair in ranked)


def test_equal_rows_are_taken_by_their_id():
    """Among ties, the smallest row ids are kept."""
    rows = [(f"row-{n:04}", "The very same task.") for n in reversed(range(2 * BLOCK // 100))]
    kept = [pair.row for pair in pairs_of(rows) if pair.item == ITEMS[0]]
    assert kept == [f"row-{n:04}" for n in range(5)]


def test_a_near_copy_is_a_hit_and_a_clean_row_is_not():
    """A high cosine with the problem's rare words is a leak without the judge."""
    copy = (
        "bad",
        "Two ordered ledgers: merge by alternating entries; keep the surplus at the end.",
    )
    hits = neighbour_hits(
        pairs_of([*((id, task) for id, task, _ in CLEAN), copy]), SimilarityBounds()
    )
    assert {(hit.row, hit.item, hit.detector) for hit in hits} == {
        ("bad", "toy/0", Detector.NEIGHBOURS)
    }


def test_a_telling_function_name_needs_less_nearness():
    """A name of several words identifies a paraphrase; `add` does not."""
    names = {"merge_by_turns": True, "add": False}
    for name, is_named in names.items():
        item = BenchmarkText("toy", "x", "python", (name,), "Braid two lists into one.", "", "")
        near = NearestRows([item], Hashing())
        near.add_rows([("row", f"Interleave lists into a single one with `{name}`.")])
        (pair,) = near.pairs()
        assert pair.names is is_named
        assert (
            SimilarityBounds(cosine=1, named_cosine=pair.cosine, named_coverage=0, sum=2).accepts(
                pair
            )
            is is_named
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sum the even entries of a list.", "Sum the odd entries of a list."),
        ("Find the first repeated letter.", "Find the first non-repeated letter."),
        ("Convert a decimal number to binary.", "Convert a binary number to decimal."),
    ],
)
def test_a_word_that_turns_a_problem_into_another_leaves_it_to_the_judge(one, other):
    """Contrasting words leave even near pairs to the judge."""
    near = NearestRows([BenchmarkText("toy", "x", "python", ("f",), one, "", "")], Hashing())
    near.add_rows([("same", one), ("other", other)])
    assert {hit.row for hit in neighbour_hits(near.pairs(), SimilarityBounds(cosine=0, sum=0))} == {
        "same"
    }
