"""Leak detection on the rows of a file, independent of order."""

import asyncio

import pytest

from deduplication.hashing import Hashing
from evolcoder.code.functions import functions_of
from evolcoder.code.instrument import counted
from evolcoder.config.load import CleanConfig
from evolcoder.decontamination import detect
from evolcoder.decontamination.detect import DetectorSettings, build_report, detect_leaks
from evolcoder.decontamination.hits import BenchmarkText, Detector, DropRule
from evolcoder.decontamination.report import as_dict, page, table
from evolcoder.deduplication.files import clean_file, drops_path
from evolcoder.deduplication.summary import LeakCounts
from evolcoder.errors import BudgetReached, SandboxError, StoreError
from evolcoder.sample_errors import UNJUDGED
from evolcoder.seeds.rows import read_rows
from jsonl import read_jsonl, write_jsonl

PROMPT = "Write a function to weave two quilted ribbons into a lattice of alternating crimson knots and count the loose threads."
SOLUTION = "def weave(left, right):\n    knots = [a * 7 + b for a, b in zip(left, right)]\n    return sum(knot % 13 for knot in knots) - len(right)\n"
ITEM = BenchmarkText(
    "toy", "Toy/1", "python", ("weave",), PROMPT, SOLUTION, "assert weave([1], [2]) == 8"
)
OTHER = BenchmarkText(
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
    write_jsonl(path, data)
    return str(path)


def looks():
    return DetectorSettings(
        [ITEM, OTHER], frozenset({Detector.NGRAMS, Detector.SUBSTRING}), Hashing()
    )


def found_in(path):
    return asyncio.run(detect_leaks(read_rows(path), looks(), seed=0))


class Ending(Hashing):
    """Cancels the task on the third embedding call, and counts calls."""

    times = 0

    def embed(self, texts):
        self.times += 1
        if self.times == 3:
            asyncio.current_task().cancel()
        return super().embed(texts)


@pytest.mark.parametrize(("n_items", "n_rows"), [(1000, 1), (1, 1000)])
def test_a_search_ends_between_a_few_texts(n_items, n_rows, tmp_path):
    """Ctrl-C does not wait until all problems or rows are embedded."""
    path = written(tmp_path / "d.jsonl", rows(n_rows))
    embedder = Ending()
    wanted = DetectorSettings([ITEM] * n_items, frozenset(), embedder)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(detect_leaks(read_rows(path), wanted, seed=0))
    assert embedder.times == 3


def test_a_copy_is_found_by_words_and_by_nearness(tmp_path):
    """A verbatim problem is found by n-grams and embeddings, and no other row is."""
    path = written(tmp_path / "d.jsonl", rows())
    found = found_in(path)
    copy = [row.task.id for row in read_rows(path)][-1]
    assert {hit.detector for hit in found.hits} >= {Detector.NGRAMS, Detector.NEIGHBOURS}
    assert {(hit.row, hit.item) for hit in found.hits} == {(copy, "Toy/1")}
    assert build_report(found, looks(), [DropRule.ANY]).dropped == (copy,)


def test_the_order_of_rows_does_not_matter(tmp_path):
    """Reversed rows give the same report."""
    reports = [
        build_report(found_in(written(tmp_path / "d.jsonl", data)), looks(), [DropRule.ANY])
        for data in (rows(), rows()[::-1])
    ]
    assert reports[0] == reports[1]


@pytest.mark.parametrize("out", ["out.jsonl", None])
def test_a_leak_is_a_drop_with_its_evidence(tmp_path, out):
    """Duplicates are dropped first; leaks among the remaining rows are dropped with their hits."""
    data = [*rows(3), *rows(3)[:1]]
    path = written(tmp_path / "d.jsonl", data)
    asked = []

    async def leaked(left):
        asked.extend(left)
        return LeakCounts({asked[-1].task.id: [{"item": "Toy/1"}]}, ("no network",))

    target = tmp_path / out if out else None
    summary = asyncio.run(clean_file(path, CleanConfig(), seed=0, out=target, leaked=leaked))
    assert summary.dropped == {"duplicate_exact": 1, "leak": 1}
    assert (len(asked), summary.n_kept) == (4, 3)
    assert summary.layers == ("no network",)
    if target is not None:
        drops = read_jsonl(drops_path(target))
        assert drops[-1]["hits"] == [{"item": "Toy/1"}]
        assert read_jsonl(target) == [
            row for at, row in enumerate(data) if at not in {one["number"] for one in drops}
        ]


class Once:
    """Wraps a function and raises for one row."""

    def __init__(self, real, word, error):
        self.real, self.word, self.error = real, word, error

    def __call__(self, *args, **named):
        if any(self.word in str(arg) for arg in args):
            raise self.error
        return self.real(*args, **named)


@pytest.mark.parametrize(
    "error",
    [ValueError(10**5000), RecursionError(), MemoryError(), KeyError("\ud800")],
    ids=range(4),
)
@pytest.mark.parametrize("step", ["read", "execution"])
def test_a_row_that_a_detector_fails_on_is_reported(tmp_path, monkeypatch, step, error):
    """It has no hit by that detector and stays; the report counts it and says why.

    The kind: one row that ends the look at all of them.
    """

    async def execution(row, answer):
        if step == "execution" and "moss" in answer and " 1)" in answer:
            raise error
        return ()

    if step == "read":
        odd = Once(detect.read, "moss of number 1.", error)
        monkeypatch.setattr(detect, "read", odd)
    path = written(tmp_path / "data.jsonl", rows(6))
    wanted = DetectorSettings([ITEM, OTHER], frozenset({Detector.NGRAMS}), execution=execution)
    found = asyncio.run(detect_leaks(read_rows(path), wanted, seed=0))
    ((row, why),) = found.unjudged
    assert row == [one.task.id for one in read_rows(path)][1]
    assert why.startswith(f"{UNJUDGED}: {type(error).__name__}")
    assert {hit.item for hit in found.hits} == {"Toy/1"}
    report = build_report(found, wanted, [DropRule.ANY])
    assert row not in report.dropped
    assert len(report.dropped) == 1
    note = f"1 rows could not be judged by a detector, such as {row}: {UNJUDGED}"
    assert note in table(report)
    assert note in page(report, title="data")
    assert as_dict(report)["unjudged"] == ((row, why),)


@pytest.mark.parametrize(
    "error", [SandboxError("a worker ended"), StoreError("full"), BudgetReached("end")]
)
def test_sandbox_errors_end_the_detection(tmp_path, error):
    """A repeated sandbox failure is not a finding about a row."""

    async def execution(row, answer):
        raise error

    wanted = DetectorSettings([ITEM], frozenset(), execution=execution)
    with pytest.raises(type(error)):
        asyncio.run(detect_leaks(read_rows(written(tmp_path / "d.jsonl", rows(2))), wanted, seed=0))


HOSTILE = [
    "x = 0x" + "f" * 9000,
    "x = " + "-" * 20_000 + "1",
    "x = " + "(" * 20_000,
    "a." * 9_000 + "b",
    "def f(x):\n    return f'{x!r:{\">\"}}'",
    "\x00\ud800\u202e",
    "```" * 9_000,
    "'" * 90_000,
    "9" * 90_000,
    "def f(a):\n    return " + "[" * 190 + "a" + "]" * 190,
    "def f(a, b):\n    return a + 0x" + "f" * 9000 + " * b",
    "v = 0x" + "f" * 9000 + "\nprint(v)",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_rows_are_looked_at_like_any_other(tmp_path, text):
    """Huge numbers, deep nesting and odd characters are processed, fenced or not."""
    fenced = f"```python\n{text}\n```"
    data = [{"instruction": f"Do {n}: {t}", "output": t} for n, t in enumerate((text, fenced))]
    found = asyncio.run(
        detect_leaks(read_rows(written(tmp_path / "d.jsonl", data)), looks(), seed=0)
    )
    assert (found.n_rows, found.unjudged) == (2, [])
    for one in read_rows(str(tmp_path / "d.jsonl")):
        for function in functions_of(one.response.text):
            assert function.source
            counted(function.source)


def test_a_leak_is_no_leak_of_the_rows_that_share_its_id(tmp_path):
    """Rows that are derived from one row have its id."""
    rows = [
        {"id": "x", "root": "x", "parent": "", "instruction": task, "output": "pass"}
        for task in ("Sort a list.", "Plot a circle with three colours.")
    ]
    path, target = tmp_path / "x.jsonl", tmp_path / "out.jsonl"
    write_jsonl(path, rows)

    async def leaked(left):
        found = {
            row.task.id: [{"item": "Toy/1"}] for row in left if "circle" in row.task.instruction
        }
        return LeakCounts(found, ())

    summary = asyncio.run(clean_file(str(path), CleanConfig(), seed=0, out=target, leaked=leaked))
    assert summary.dropped == {"leak": 1}
    assert read_jsonl(target) == rows[:1]


CODE = f"```python\n{SOLUTION}```"
OTHER_PLACES = {
    "a system turn": {"messages": [{"role": "system", "content": PROMPT}, {"role": "user", "content": "Go."},
                                   {"role": "assistant", "content": "ok"}]},
    "a system column": {"system": PROMPT, "instruction": "Go.", "output": "ok"},
    "the description of a tool": {
        "tools": [{"type": "function", "function": {"name": "f", "description": PROMPT}}],
        "messages": [{"role": "user", "content": "Go."}, {"role": "assistant", "content": "ok"}],
    },
    "a rejected answer": {"prompt": "Go.", "chosen": "ok", "rejected": CODE},
    "a rejected turn": {"prompt": "Go.", "chosen": [{"role": "assistant", "content": "ok"}],
                        "rejected": [{"role": "assistant", "content": CODE}]},
    "a further answer": {"question": "Go.", "answers": ["ok", CODE]},
    "thoughts": {"instruction": "Go.", "output": f"<think>\n{PROMPT}\n</think>\nok"},
    "a column of thoughts": {"messages": [{"role": "user", "content": "Go."},
                             {"role": "assistant", "content": "ok", "reasoning_content": PROMPT}]},
}  # fmt: skip


@pytest.mark.parametrize("place", OTHER_PLACES)
def test_a_leak_is_found_wherever_a_row_has_it(tmp_path, place):
    """What is written with a row is searched: not only its task and its answer."""
    clean = [{"instruction": f"Name {n} tides.", "output": "ok"} for n in range(3)]
    found = found_in(written(tmp_path / "rows.jsonl", [*clean, OTHER_PLACES[place]]))
    assert {hit.item for hit in found.hits} == {"Toy/1"}
    assert len({hit.row for hit in found.hits}) == 1
