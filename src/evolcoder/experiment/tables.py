"""Result tables: every score with its interval, and the difference to its control.

`questions` derives the comparisons from the available arms, with those of the paper named; an arm
without a control is in no question, and arms keep their order. `tables` computes them from stored
outcomes alone; the same outcomes give the same bytes. An arm without samples of a benchmark is an
error, never an empty cell.

Intervals are over problems and training seeds, by a hierarchical bootstrap. Every resample draws
problems, the same for all arms of a benchmark, and training seeds, separately for each arm; so a
difference between two arms is paired by problem. The same outcomes and seed give the same numbers.
With few seeds the seeds' part of the interval is too narrow, since the bootstrap treats three seeds
as the whole population.

>>> one = {0: {"a": [True], "b": [False]}}
>>> Resampler(["a", "b"], seed=0).estimate("arm", one).value
0.5
>>> [question.name for question in questions(["seed-reanswered", "merge-0..1"])]
['rounds']
>>> print(markdown(tables(entries, benches=["humaneval+"], seed=0)))   # doctest: +SKIP
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from statistics import fmean
from typing import Any

from evolcoder.bench.scores import CONFIDENCE, Outcomes
from evolcoder.errors import BenchError
from evolcoder.experiment.arms import MAIN, REANSWERED, SEED, STUDENT, Arm, MatchedOn
from evolcoder.ids import rng_for
from evolcoder.markdown import table_lines
from evolcoder.visible import visible

N_RESAMPLES = 2000
"""Enough for the first decimal of a percentage."""

BySeed = Mapping[int, Outcomes]
"""Training seed -> outcomes."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """pass@1 of an arm."""

    value: float
    """Mean over seeds and problems, from 0 to 1."""
    low: float
    """Lower end at 95 %."""
    high: float
    """Upper end."""
    n_problems: int
    """Problems."""
    n_seeds: int
    """Training seeds."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An arm less its control, on the same problems."""

    value: float
    """Difference of the means."""
    low: float
    """Lower end at 95 %."""
    high: float
    """Upper end."""
    p_value: float
    """Twice the share of resamples on the smaller side of zero."""


class Resampler:
    """Bootstrap of one benchmark, with the same draws of problems for all arms."""

    def __init__(self, problems: Sequence[str], *, seed: int, n: int = N_RESAMPLES) -> None:
        if not problems:
            raise BenchError("a benchmark without problems has no score")
        self._problems = tuple(problems)
        self._seed = seed
        rng, places = rng_for(seed, "problems"), range(len(problems))
        drawn = (rng.choices(places, k=len(problems)) for _ in range(n))
        self._draws = [itemgetter(*draw, draw[0]) for draw in drawn]
        self._n = n
        self._known: dict[tuple[str, tuple[tuple[float, ...], ...]], list[float]] = {}

    def estimate(self, name: str, arm: BySeed) -> Estimate:
        """Return the mean of an arm with its interval."""
        low, high = _interval(self._means(name, arm))
        return Estimate(self._value(name, arm), low, high, len(self._problems), len(arm))

    def difference(self, name: str, arm: BySeed, control_name: str, control: BySeed) -> Difference:
        """Return the difference of an arm to its control."""
        pairs = zip(self._means(name, arm), self._means(control_name, control), strict=True)
        changes = [mine - theirs for mine, theirs in pairs]
        sides = (sum(change <= 0 for change in changes), sum(change >= 0 for change in changes))
        p_value = min(1.0, 2 * (min(sides) + 1) / (self._n + 1))
        value = self._value(name, arm) - self._value(control_name, control)
        return Difference(value, *_interval(changes), p_value)

    def _value(self, name: str, arm: BySeed) -> float:
        """Return the mean of an arm over seeds and problems."""
        return fmean(fmean(self._rates(name, one)) for one in arm.values())

    def _means(self, name: str, arm: BySeed) -> list[float]:
        """Return the arm's mean in every resample, cached for all its pairs."""
        rates = tuple(self._rates(name, one) for _, one in sorted(arm.items()))
        if (name, rates) not in self._known:
            self._known[name, rates] = self._over_seeds(name, rates)
        return self._known[name, rates]

    def _over_seeds(self, name: str, rates: Sequence[Sequence[float]]) -> list[float]:
        """Return the mean of each resample, over training seeds drawn for it."""
        by_seed = list(map(self._resampled, rates))
        rng = rng_for(self._seed, "seeds", name)
        return [
            fmean(means[draw] for means in rng.choices(by_seed, k=len(by_seed)))
            for draw in range(self._n)
        ]

    def _resampled(self, rates: Sequence[float]) -> list[float]:
        """Return the mean of each draw of problems; a draw repeats its first element at the end."""
        n = len(rates)
        return [(sum(found) - found[-1]) / n for found in (draw(rates) for draw in self._draws)]

    def _rates(self, name: str, outcomes: Outcomes) -> tuple[float, ...]:
        missing = [problem for problem in self._problems if not outcomes.get(problem)]
        if missing:
            raise BenchError(f"{name}: {len(missing)} problems have no verdict ({missing[0]} …)")
        return tuple(fmean(outcomes[problem]) for problem in self._problems)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    outside = round(len(ordered) * (1 - CONFIDENCE) / 2)
    return ordered[outside], ordered[-outside - 1]


@dataclass(frozen=True, slots=True)
class ArmPair:
    """An arm and its control."""

    arm: str
    """The arm."""
    control: str
    """Its control; the arm itself if it is a control."""


@dataclass(frozen=True, slots=True)
class Question:
    """A comparison of arms."""

    name: str
    """Short name, for files."""
    title: str
    """The question, with the paper's table or figure."""
    pairs: tuple[ArmPair, ...]
    """Arms with their controls, controls first."""


def questions(names: Iterable[str]) -> tuple[Question, ...]:
    """Return the questions that these arms answer."""
    arms = [Arm.read(name) for name in names]
    found = [
        Question("rounds", "Do rounds help? (the paper's Figure 3)", _rounds(arms)),
        Question("untouched", "Is it better than the untouched student?", _untouched(arms)),
        *(_quantity(arms, match) for match in MatchedOn),
        Question("evolver", "Who evolves? (the paper's Table 4)", _without(arms, _other_run)),
        Question("heuristics", "Which heuristic helps?", _without(arms, _heuristic)),
        Question("verified", "Does verification help?", _without(arms, _verification)),
    ]
    return tuple(question for question in found if len(question.pairs) > 1)


def _rounds(arms: Sequence[Arm]) -> tuple[ArmPair, ...]:
    return _against(_plain(arms))


def _untouched(arms: Sequence[Arm]) -> tuple[ArmPair, ...]:
    """Compare all arms of the first question with the untrained student."""
    students = [arm for arm in arms if arm.base == STUDENT]
    ordered = [*students, *(arm for arm in _plain(arms) if arm not in students)]
    return tuple(ArmPair(str(arm), str(students[0])) for arm in ordered) if students else ()


def _plain(arms: Sequence[Arm]) -> list[Arm]:
    """Return the unfiltered arms of the main run, except single rounds."""
    plain = [a for a in arms if (a.run, a.match, a.row_filter, a.without) == (MAIN, None, None, ())]
    return [arm for arm in plain if arm.base in {STUDENT, SEED, REANSWERED} or arm.rounds[1:]]


def _quantity(arms: Sequence[Arm], match: MatchedOn) -> Question:
    mine = [arm for arm in arms if arm.match is match and not arm.row_filter and not arm.without]
    title = f"Complexity or quantity, at equal {match}? (the paper's Table 5)"
    return Question(f"equal-{match}", title, _against(mine))


def _against(arms: Sequence[Arm]) -> tuple[ArmPair, ...]:
    """Compare all arms with the re-answered seeds, or with the seeds if those are missing."""
    controls = [arm for base in (REANSWERED, SEED) for arm in arms if arm.base == base]
    if not controls:
        return ()
    ordered = [controls[0], *(arm for arm in arms if arm != controls[0])]
    return tuple(ArmPair(str(arm), str(controls[0])) for arm in ordered)


def _other_run(arm: Arm) -> Arm:
    return replace(arm, run=MAIN)


def _heuristic(arm: Arm) -> Arm:
    return replace(arm, without=())


def _verification(arm: Arm) -> Arm:
    return replace(arm, row_filter=None)


def _without(arms: Sequence[Arm], to_control: Callable[[Arm], Arm]) -> tuple[ArmPair, ...]:
    """Compare each arm with the one that lacks the feature in question."""
    found: dict[ArmPair, None] = {}
    for arm in arms:
        control = to_control(arm)
        if control != arm and control in arms:
            found[ArmPair(str(control), str(control))] = None
            found[ArmPair(str(arm), str(control))] = None
    return tuple(found)


MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class TableEntry:
    """The data of one arm."""

    arm: str
    """Its name."""
    n_rows: int
    """Rows that it was trained on."""
    n_tokens: int
    """Tokens of their answers."""
    outcomes: Mapping[str, BySeed]
    """Benchmark -> training seed -> outcomes."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One arm on one benchmark."""

    estimate: Estimate
    """Its score."""
    difference: Difference | None
    """Difference to its control; None for the control itself."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One arm of a table."""

    arm: str
    """Its name."""
    control: str
    """Its control."""
    n_rows: int
    """Rows that it was trained on."""
    n_tokens: int
    """Tokens of their answers."""
    cells: Mapping[str, TableCell]
    """By benchmark."""


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one question."""

    question: Question
    """The question."""
    benches: tuple[str, ...]
    """Its columns."""
    lines: tuple[TableRow, ...]
    """Its arms."""

    def as_plain(self) -> dict[str, Any]:
        """Return the table as plain data."""
        return asdict(self)


def tables(
    entries: Sequence[TableEntry], *, benches: Sequence[str], seed: int
) -> tuple[Table, ...]:
    """Compute a table for every question of these arms, on these benchmarks."""
    by_name = {entry.arm: entry for entry in entries}
    resamplers = {bench: _resampler(entries, bench, seed) for bench in benches}
    cells: dict[tuple[ArmPair, str], TableCell] = {}

    def cell(pair: ArmPair, bench: str) -> TableCell:
        if (pair, bench) not in cells:
            cells[pair, bench] = _cell(pair, bench, by_name, resamplers[bench])
        return cells[pair, bench]

    def line(pair: ArmPair) -> TableRow:
        entry = by_name[pair.arm]
        found = {bench: cell(pair, bench) for bench in benches}
        return TableRow(pair.arm, pair.control, entry.n_rows, entry.n_tokens, found)

    return tuple(
        Table(question, tuple(benches), tuple(map(line, question.pairs)))
        for question in questions(by_name)
    )


def _resampler(entries: Sequence[TableEntry], bench: str, seed: int) -> Resampler:
    """Return a resampler over the first arm's problems; another arm must have all of them."""
    first = entries[0].outcomes[bench]
    problems = sorted(next(iter(first.values())))
    return Resampler(problems, seed=seed)


def _cell(
    pair: ArmPair, bench: str, by_name: Mapping[str, TableEntry], resampler: Resampler
) -> TableCell:
    mine = by_name[pair.arm].outcomes[bench]
    estimate = resampler.estimate(pair.arm, mine)
    if pair.arm == pair.control:
        return TableCell(estimate, None)
    theirs = by_name[pair.control].outcomes[bench]
    return TableCell(estimate, resampler.difference(pair.arm, mine, pair.control, theirs))


def markdown(found: Sequence[Table]) -> str:
    """Write tables as Markdown."""
    return visible("\n".join(map(_markdown, found)))


def _markdown(table: Table) -> str:
    seeds = sorted({c.estimate.n_seeds for line in table.lines for c in line.cells.values()})
    heads = ["arm", "rows", "tokens", "seeds", *table.benches]
    caption = (
        f"pass@1 in % with its 95 % interval over problems{_over(seeds)}; below it the difference "
        "to the control named in brackets, paired by problem."
    )
    lines = table_lines(heads, map(_row, table.lines), n_left=1)
    return "\n".join([f"### {table.question.title}", "", caption, "", *lines, ""])


def _over(seeds: Sequence[int]) -> str:
    if seeds[-1] == 1:
        return " (one training seed: what another seed would change is not in it)"
    return " and training seeds"


def _row(line: TableRow) -> list[str]:
    n_seeds = {cell.estimate.n_seeds for cell in line.cells.values()}
    control = "" if line.arm == line.control else f"<br>[{line.control}]"
    cells = [_text(cell) for cell in line.cells.values()]
    counts = [f"{line.n_rows:,}", f"{line.n_tokens:,}", "/".join(map(str, sorted(n_seeds)))]
    return [f"{line.arm}{control}", *counts, *cells]


def _text(cell: TableCell) -> str:
    e, d = cell.estimate, cell.difference
    text = f"{100 * e.value:.1f} ({100 * e.low:.1f} to {100 * e.high:.1f})"
    if d is None:
        return text
    return f"{text}<br>{_signed(d.value)} ({_signed(d.low)} to {_signed(d.high)})"


def _signed(share: float) -> str:
    points = round(100 * share, 1)
    return f"{MINUS if points < 0 else '+'}{abs(points):.1f}"
