"""Measures the detectors that read, on prose of every benchmark without its answer.

Rows are the prose of problems in eleven forms: as it is, with other first words, cut, changed in
the middle, in other characters, markup and lines, and with an answer in another language. Innocent
rows are Code Alpaca's, of which every hit was read (`data/verbatim-read.json`), and made-up
requests in the words that exercises share. The benchmarks are those of the registry whose files are
there.

    print(told(measure(DATA)))
"""

import html
import json
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cleaning.planted import DATA as OWN
from cleaning.planted import alpaca
from cleaning.recall import natural
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.multipl_e import CONFIGURATIONS
from evolcoder.bench.registry import BENCHES, bench_named
from evolcoder.code.normalize import NormalizedText, read, words_of
from evolcoder.decontamination.hits import BenchmarkText, Detector, Hit, benchmark_texts
from evolcoder.decontamination.ngrams import NgramDetector
from evolcoder.decontamination.substring import SubstringDetector
from evolcoder.errors import BenchError
from evolcoder.ids import content_id
from harness.table import markdown

N_WORDS = 10
"""Problems of fewer words are counted apart."""
OTHER = '```rust\nfn main() {\n    let harbour = 7;\n    println!("{}", harbour + 1);\n}\n```'
Words = list[str]


def _middle(words: Words) -> Words:
    at = len(words) // 2
    return [*words[: at - 1], "zebra", "apricot", "quill", *words[at + 2 :]]


def _as_html(text: str) -> str:
    return "<p>" + html.escape(text).replace(" ", "&#32;").replace("\n", "<br>") + "</p>"


FORMS: Mapping[str, Callable[[str], tuple[str, str]]] = {
    "verbatim": lambda text: (text, ""),
    "start changed": lambda text: (" ".join(["kindly", "do", "this", *text.split()[3:]]), ""),
    "first two thirds": lambda text: (" ".join(_part(text, 0, 2)), ""),
    "last two thirds": lambda text: (" ".join(_part(text, 1, 3)), ""),
    "middle changed": lambda text: (" ".join(_middle(text.split())), ""),
    "last three words cut": lambda text: (" ".join(text.split()[:-3]), ""),
    "start changed, end cut": lambda text: (" ".join(["kindly", "do", "this", *text.split()[3:-3]]),
                                            ""),
    "case, no punctuation": lambda text: (re.sub(r"[^\w\s]", " ", text).upper(), ""),
    "HTML": lambda text: (_as_html(text), ""),
    "wrapped comment": lambda text: (textwrap.fill(text, 40, initial_indent="# ",
                                                   subsequent_indent="# "), ""),
    "answer in Rust": lambda text: (text, OTHER),
}  # fmt: skip
"""Form -> task and answer of a row that leaks a prose."""
NOUNS = "ledger harbour vessel barley pilot clerk berth tide anchor ferry beacon cargo".split()
INNOCENT = (
    "Write a function that takes a list of integers and returns the {0} of the {1}.",
    "Write a function that takes a string as input and returns the {0} in the {1}.",
    "Write a Python function that takes a list of numbers as input and returns the {0} {1}.",
    "Given an array of integers, return the sum of all {0} values that belong to a {1}.",
    "You are given a list of {0} records. Your task is to return the {1} of each of them.",
    "Write a function to find the {0} of a given {1}.",
    "Implement a class in Java with a method that returns true if the {0} is in the {1}.",
    "Complete the following code so that it returns a sorted list of {0} in each {1}.",
    "Permission is hereby granted, free of charge, to any {0} to use this {1} without limit.",
)


def _part(text: str, first: int, last: int) -> Words:
    words = text.split()
    return words[len(words) * first // 3 : max(1, len(words) * last // 3)]


@dataclass(frozen=True, slots=True)
class InnocentHit:
    """An innocent row with a hit."""

    row: str
    """Content hash of the row."""
    problems: tuple[str, ...]
    """The problems that the hits name."""
    seen: str
    """What matched best."""
    task: str
    """The row's task."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found, by detector."""

    recall: Mapping[str, Mapping[tuple[str, str], tuple[int, int]]]
    """Detector -> (group of benchmarks, form) -> problems found, and all."""
    innocent: Mapping[str, Sequence[InnocentHit]]
    """Detector -> innocent rows with a hit."""
    n_innocent: int
    """Innocent rows."""
    missing: tuple[str, ...]
    """Benchmarks without files."""

    def precision(self, detector: str) -> tuple[int, int]:
        """Count innocent rows that repeat a problem by reading, and all with a hit.

        They ask for the `same` exercise, or for one that a `part` of the problem describes.
        """
        hits = self.innocent[detector]
        return sum(bool(verdicts_of(hit) & {"same", "part"}) for hit in hits), len(hits)


def measure(
    data: Path, *, names: Sequence[str] = (), every: int = 1, languages: int = 6, real: int = 1
) -> Measured:
    """Look for the prose of one problem in `every` of the benchmarks named, or of all.

    Of MultiPL-E one file in `languages` is taken, and one in `real` of the rows of Code Alpaca.
    """
    with TemporaryDirectory() as folder:
        shelf = DataFolder(data, Path(folder))
        items, missing = _items(shelf, names or _names(languages))
        innocent = [*alpaca(shelf)[::real], *_made_up()]
    looks = {Detector.NGRAMS.value: _by_ngrams(items), Detector.SUBSTRING.value: _by_run(items)}
    rows = [(item, form) for item in items[::every] for form in FORMS]
    texts = [tuple(map(read, FORMS[form](item.wording))) for item, form in rows]
    others = [(read(task), read(answer)) for task, answer in innocent]
    recall, hits = {}, {}
    for name, look in looks.items():
        found = look([*texts, *others])
        recall[name] = _recall(rows, found)
        hits[name] = [
            _innocent_hit(row, some)
            for n, row in enumerate(innocent)
            if (some := found.get(str(len(texts) + n)))
        ]
    return Measured(recall, hits, len(innocent), missing)


def _innocent_hit(row: tuple[str, str], hits: Sequence[Hit]) -> InnocentHit:
    best = max(hits, key=lambda hit: hit.score)
    problems = tuple(sorted({hit.item for hit in hits}))
    return InnocentHit(content_id("alpaca", list(row)), problems, best.seen, row[0])


def verdicts_of(hit: InnocentHit) -> set[str]:
    """Return what reading found of a hit; empty if it was not read, which counts as false."""
    read_before = json.loads((OWN / "verbatim-read.json").read_text(encoding="utf-8"))
    known = read_before.get(hit.row, {})
    found = {known[problem] for problem in hit.problems if problem in known}
    same = natural("same")
    return found | {"same" for problem in hit.problems if (hit.row, problem) in same}


def record(done: Measured) -> dict[str, object]:
    """Return recall and precision by detector, as certificates show them."""
    benchmarks = sorted({one.split(",")[0] for found in done.recall.values() for one, _ in found})
    return {
        name: {
            "on": f"prose of problems without their answers ({', '.join(benchmarks)}), and "
            f"{done.n_innocent:,} innocent rows, of which every hit was read; right is the same "
            "exercise, or one that a part of the problem describes",
            "recall": {form: _together(shares, form) for form in FORMS},
            "precision": list(done.precision(name)),
        }
        for name, shares in done.recall.items()
    }


def _together(shares: Mapping[tuple[str, str], tuple[int, int]], form: str) -> list[int]:
    pairs = [pair for (_, one), pair in shares.items() if one == form]
    return [sum(found for found, _ in pairs), sum(size for _, size in pairs)]


def _names(languages: int) -> list[str]:
    left_out = [name for n, name in enumerate(CONFIGURATIONS) if n % languages]
    return [name for name in BENCHES if name not in left_out]


def _items(shelf: DataFolder, names: Sequence[str]) -> tuple[list[BenchmarkText], tuple[str, ...]]:
    items: list[BenchmarkText] = []
    missing = []
    for name in names:
        try:
            items += benchmark_texts(name, bench_named(name, shelf).problems())
        except BenchError:
            missing.append(name)
    return items, tuple(missing)


def _made_up() -> Iterator[tuple[str, str]]:
    for at, text in enumerate(INNOCENT):
        for n, noun in enumerate(NOUNS):
            yield text.format(noun, NOUNS[(n + at + 1) % len(NOUNS)]), ""


Texts = Sequence[tuple[NormalizedText, ...]]
Found = Mapping[str, Sequence[Hit]]
"""Number of a row -> its hits."""


def _by_ngrams(items: Sequence[BenchmarkText]) -> Callable[[Texts], Found]:
    def look(texts: Texts) -> Found:
        index = NgramDetector(items)
        for n, (task, answer) in enumerate(texts):
            index.add_row(str(n), task, answer)
        found = defaultdict(list)
        for hit in index.hits():
            found[hit.row].append(hit)
        return found

    return look


def _by_run(items: Sequence[BenchmarkText]) -> Callable[[Texts], Found]:
    index = SubstringDetector(items)
    return lambda texts: {str(n): index.find(str(n), *pair) for n, pair in enumerate(texts)}


def _recall(
    rows: Sequence[tuple[BenchmarkText, str]], found: Found
) -> dict[tuple[str, str], tuple[int, int]]:
    counts: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for n, (item, form) in enumerate(rows):
        key = (group(item), form)
        sizes[key] += 1
        named = {(hit.benchmark, hit.item) for hit in found.get(str(n), ())}
        counts[key] += (item.benchmark, item.id) in named
    return {key: (counts[key], size) for key, size in sizes.items()}


def group(item: BenchmarkText) -> str:
    """Return the line of the table to which a problem belongs."""
    name = item.benchmark if item.language == "python" else "MultiPL-E and other languages"
    return name if len(words_of(item.wording)) >= N_WORDS else f"{name}, under {N_WORDS} words"


def told(done: Measured) -> str:
    """Write the tables of recall and precision."""
    tables = []
    for name, shares in done.recall.items():
        groups = sorted({one for one, _ in shares})
        lines = [
            [one, *(_percent(*shares[one, form]) for form in FORMS), f"{_size(shares, one):,}"]
            for one in groups
        ]
        tables.append(f"{name}\n\n" + markdown(["benchmark", *FORMS, "problems"], lines))
    lines = []
    for name in done.recall:
        true, hit = done.precision(name)
        lines.append([name, f"{true:,} of {hit:,}", f"{hit - true:,} of {done.n_innocent:,}"])
    tables.append(markdown(["detector", "right of hits", "false hits of rows"], lines))
    if done.missing:
        tables.append(f"Without files: {', '.join(done.missing)}")
    return "\n\n".join(tables)


def _size(shares: Mapping[tuple[str, str], tuple[int, int]], name: str) -> int:
    return shares[name, "verbatim"][1]


def _percent(found: int, size: int) -> str:
    return f"{100 * found / size:.1f}"
