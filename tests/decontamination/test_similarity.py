"""Similarity of the rows of each round to the problems of benchmarks."""

import json

import numpy as np
import pytest

from decontamination.leaky import ITEMS
from deduplication.hashing import Hashing
from evolcoder.decontamination.similarity import FILE_NAME, TaskSimilarity, compare_rounds
from evolcoder.errors import UserError
from evolcoder.records import Response, Row, Task
from toys import WORDS


def rows_of(n_rounds=3, size=20):
    """Rows of rounds; each adds words of the toy benchmark's first problem to its tasks."""
    found = []
    for round in range(n_rounds):
        for n in range(size):
            text = f"{WORDS[n % 30]} {WORDS[(n + 7) % 30]} {n}"
            text += " Merge two ordered ledgers by alternating" if round else ""
            task = Task.seed(f"{text} {round}", ordinal=n, language=None)
            task = task.child(text, round=round, heuristic="deepen", language=None, made=None)
            found.append(Row(task, Response.to(task, "x", made=None), None))
    return found


@pytest.fixture(scope="module")
def found():
    rows = rows_of()
    return compare_rounds(iter(rows), ITEMS, Hashing(), seed=3, n_rows=len(rows))


def test_each_round_has_its_own_nearest_rows(found):
    """They are the rows with the largest cosines of that round, and no other round's."""
    embedder, rows = Hashing(), rows_of()
    vectors = embedder.embed([row.task.instruction for row in rows])
    for one in found.neighbours:
        item = next(item for item in ITEMS if item.id == one.problem)
        cosines = vectors @ embedder.embed([item.wording])[0]
        mine = sorted((c for c, row in zip(cosines, rows, strict=True)
                       if row.task.round == one.round), reverse=True)  # fmt: skip
        assert one.cosines == pytest.approx(mine[:5], abs=1e-4)
        by_id = {row.task.id: row.task.round for row in rows}
        assert {by_id[id] for id in one.rows} == {one.round}


def test_a_change_is_paired_and_the_first_round_has_none(found):
    """The mean is within its interval; a round against itself would have changed by nothing."""
    first, second, third = found.rounds
    assert first.change is None
    assert second.change == pytest.approx(second.mean - first.mean, abs=2e-4)
    assert second.change_low > 0, "every task got nearer"
    assert (third.mean, third.change) == (second.mean, second.change), "the same texts"
    for one in found.rounds:
        assert one.low <= one.mean <= one.high <= 1
        assert one.mean <= one.nearest
        assert (one.n_rows, one.n_problems) == (20, len(ITEMS))


def test_the_same_rows_give_the_same_result(found):
    """Also the map, whose axes have a sign of their own; blocks decide nothing."""
    again = compare_rounds(rows_of(), ITEMS, Hashing(), seed=3, n_rows=60)
    assert again == found
    places = np.array([(one.x, one.y) for one in found.points if one.group.startswith("round")])
    assert abs(places.mean(axis=0)).max() < 0.3
    assert 0 < found.explained <= 1


def test_a_stored_result_is_read_back_and_a_damaged_one_is_one_line(found, tmp_path):
    """What is stored is the whole result."""
    assert TaskSimilarity.read(tmp_path) is None
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(found.as_plain()))
    assert TaskSimilarity.read(tmp_path) == found
    for text in ("{", "[]", json.dumps({**found.as_plain(), "rounds": [{"round": "x"}]})):
        path.write_text(text)
        with pytest.raises(UserError, match="delete it") as caught:
            TaskSimilarity.read(tmp_path)
        assert "\n" not in str(caught.value)
