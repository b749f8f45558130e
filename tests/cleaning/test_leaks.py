"""Leakage on rows of a file: found in any order, dropped with its evidence, counted."""

import asyncio
import json

import pytest

from clean.hashing import Hashing
from evolcoder.clean.evidence import Detector, Drop
from evolcoder.clean.items import Item
from evolcoder.cleaning.doubles import drops_path, in_file
from evolcoder.cleaning.leaks import Looks, look, reported
from evolcoder.cleaning.rows import of_file
from evolcoder.cleaning.summary import Leaks
from evolcoder.config import CleanConfig

PROMPT = "Write a function to weave two quilted ribbons into a lattice of alternating crimson knots and count the loose threads."
SOLUTION = "def weave(left, right):\n    knots = [a * 7 + b for a, b in zip(left, right)]\n    return sum(knot % 13 for knot in knots) - len(right)\n"
ITEM = Item("toy", "Toy/1", "python", ("weave",), PROMPT, SOLUTION, "assert weave([1], [2]) == 8")
OTHER = Item(
    "toy",
    "Toy/2",
    "python",
    ("mend",),
    "Mend a torn sail with hemp and tar before dawn.",
    "def mend(x):\n    return x ^ 99\n",
    "",
)


def rows(n=30):
    clean = [
        {"instruction": f"Describe the {word} of number {at}.", "output": f"print('{word}', {at})"}
        for at, word in zip(range(n), ["tide", "moss", "kiln"] * n, strict=False)
    ]
    return [*clean, {"instruction": PROMPT, "output": f"```python\n{SOLUTION}```"}]


def written(path, data):
    path.write_text("".join(json.dumps(row) + "\n" for row in data))
    return str(path)


def looks():
    return Looks([ITEM, OTHER], frozenset({Detector.NGRAMS, Detector.SUBSTRING}), Hashing())


def found_in(path):
    return asyncio.run(look(of_file(path), looks(), seed=0))


class Ending(Hashing):
    """Cancels whoever embeds for the third time, and counts how often that happens."""

    times = 0

    def embed(self, texts):
        self.times += 1
        if self.times == 3:
            asyncio.current_task().cancel()
        return super().embed(texts)


@pytest.mark.parametrize(("n_items", "n_rows"), [(1000, 1), (1, 1000)])
def test_a_search_ends_between_a_few_texts(n_items, n_rows, tmp_path):
    """Ctrl-C need not wait until all problems or all rows are embedded."""
    path = written(tmp_path / "d.jsonl", rows(n_rows))
    embedder = Ending()
    wanted = Looks([ITEM] * n_items, frozenset(), embedder)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(look(of_file(path), wanted, seed=0))
    assert embedder.times == 3


def test_a_copy_is_found_by_words_and_by_nearness(tmp_path):
    """A verbatim problem is seen by n-grams and as a neighbour, and no other row is seen."""
    path = written(tmp_path / "d.jsonl", rows())
    found = found_in(path)
    copy = [row.id for row in of_file(path)][-1]
    assert {hit.detector for hit in found.hits} >= {Detector.NGRAMS, Detector.NEIGHBOURS}
    assert {(hit.row, hit.item) for hit in found.hits} == {(copy, "Toy/1")}
    assert reported(found, looks(), [Drop.ANY]).dropped == (copy,)


def test_the_order_of_rows_is_nothing(tmp_path):
    """Reversed, the same rows leave the same report."""
    reports = [
        reported(found_in(written(tmp_path / "d.jsonl", data)), looks(), [Drop.ANY])
        for data in (rows(), rows()[::-1])
    ]
    assert reports[0] == reports[1]


@pytest.mark.parametrize("out", ["out.jsonl", None])
def test_a_leak_is_a_drop_with_its_evidence(tmp_path, out):
    """Doubles go first; of the rows that are left, those that are named go with their hits."""
    data = [*rows(3), *rows(3)[:1]]
    path = written(tmp_path / "d.jsonl", data)
    asked = []

    def leaked(left):
        asked.extend(left)
        return Leaks({asked[-1].id: [{"item": "Toy/1"}]}, ("no network",))

    target = tmp_path / out if out else None
    summary = in_file(path, CleanConfig(), seed=0, out=target, leaked=leaked)
    assert summary.dropped == {"duplicate_exact": 1, "leak": 1}
    assert (len(asked), summary.n_kept) == (4, 3)
    assert summary.layers == ("no network",)
    if target is not None:
        drops = [json.loads(line) for line in drops_path(target).read_text().splitlines()]
        assert drops[-1]["hits"] == [{"item": "Toy/1"}]
        assert [json.loads(line) for line in target.read_text().splitlines()] == [
            row for at, row in enumerate(data) if at not in {one["number"] for one in drops}
        ]
