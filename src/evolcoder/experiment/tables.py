"""From outcomes to tables: every number with its interval, and the difference to its control.

Promises: computed from stored outcomes alone; the same outcomes give the same bytes. A benchmark
that an arm was not asked on is an error, never an empty cell.

>>> print(markdown(tables(outcome_rows, seed=0)))   # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evolcoder.experiment.comparisons import Pair, Question, questions
from evolcoder.experiment.intervals import BySeed, Difference, Estimate, Resampler
from evolcoder.text import visible

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one arm."""

    arm: str
    """Its name."""
    n_rows: int
    """Rows that it was trained on."""
    n_tokens: int
    """Tokens of their answers."""
    outcomes: Mapping[str, BySeed]
    """Benchmark -> training seed -> outcomes."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm on one benchmark."""

    estimate: Estimate
    """Its score."""
    difference: Difference | None
    """Less its control; None for the control itself."""


@dataclass(frozen=True, slots=True)
class Line:
    """One arm of a table."""

    arm: str
    """Its name."""
    control: str
    """What it is held against."""
    n_rows: int
    """Rows that it was trained on."""
    n_tokens: int
    """Tokens of their answers."""
    cells: Mapping[str, Cell]
    """By benchmark."""


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to one question."""

    question: Question
    """What was asked."""
    benches: tuple[str, ...]
    """Its columns."""
    lines: tuple[Line, ...]
    """Its arms."""

    def as_plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return asdict(self)


def tables(entries: Sequence[Entry], *, benches: Sequence[str], seed: int) -> tuple[Table, ...]:
    """Answer every question that these arms answer, on these benchmarks."""
    by_name = {entry.arm: entry for entry in entries}
    resamplers = {bench: _resampler(entries, bench, seed) for bench in benches}
    cells: dict[tuple[Pair, str], Cell] = {}

    def cell(pair: Pair, bench: str) -> Cell:
        if (pair, bench) not in cells:
            cells[pair, bench] = _cell(pair, bench, by_name, resamplers[bench])
        return cells[pair, bench]

    def line(pair: Pair) -> Line:
        entry = by_name[pair.arm]
        found = {bench: cell(pair, bench) for bench in benches}
        return Line(pair.arm, pair.control, entry.n_rows, entry.n_tokens, found)

    return tuple(
        Table(question, tuple(benches), tuple(map(line, question.pairs)))
        for question in questions(by_name)
    )


def _resampler(entries: Sequence[Entry], bench: str, seed: int) -> Resampler:
    """Draw the problems that the first arm has; an arm that lacks one of them is an error."""
    first = entries[0].outcomes[bench]
    problems = sorted(next(iter(first.values())))
    return Resampler(problems, seed=seed)


def _cell(pair: Pair, bench: str, by_name: Mapping[str, Entry], resampler: Resampler) -> Cell:
    mine = by_name[pair.arm].outcomes[bench]
    estimate = resampler.estimate(pair.arm, mine)
    if pair.arm == pair.control:
        return Cell(estimate, None)
    theirs = by_name[pair.control].outcomes[bench]
    return Cell(estimate, resampler.difference(pair.arm, mine, pair.control, theirs))


def markdown(found: Sequence[Table]) -> str:
    """Write tables as Markdown."""
    return visible("\n".join(map(_markdown, found)))


def _markdown(table: Table) -> str:
    seeds = sorted({c.estimate.n_seeds for line in table.lines for c in line.cells.values()})
    heads = ["arm", "rows", "tokens", "seeds", *table.benches]
    said = (
        f"pass@1 in % with its 95 % interval over problems{_over(seeds)}; below it the difference "
        "to the control named in brackets, paired by problem."
    )
    bars = f"| --- | {' | '.join(['---:'] * (len(heads) - 1))} |"
    top = [f"### {table.question.title}", "", said, "", f"| {' | '.join(heads)} |", bars]
    lines = [*top, *map(_row, table.lines), ""]
    return "\n".join(lines)


def _over(seeds: Sequence[int]) -> str:
    if seeds[-1] == 1:
        return " (one training seed: what another seed would change is not in it)"
    return " and training seeds"


def _row(line: Line) -> str:
    n_seeds = {cell.estimate.n_seeds for cell in line.cells.values()}
    held = "" if line.arm == line.control else f"<br>[{line.control}]"
    cells = [_text(cell) for cell in line.cells.values()]
    counts = [f"{line.n_rows:,}", f"{line.n_tokens:,}", "/".join(map(str, sorted(n_seeds)))]
    return f"| {' | '.join([f'{line.arm}{held}', *counts, *cells])} |"


def _text(cell: Cell) -> str:
    e, d = cell.estimate, cell.difference
    text = f"{100 * e.value:.1f} ({100 * e.low:.1f} to {100 * e.high:.1f})"
    if d is None:
        return text
    return f"{text}<br>{_signed(d.value)} ({_signed(d.low)} to {_signed(d.high)})"


def _signed(share: float) -> str:
    points = round(100 * share, 1)
    return f"{MINUS if points < 0 else '+'}{abs(points):.1f}"
