"""What a leakage detector leaves behind: one record per hit, and what it takes to drop a row.

Promises: a hit names the row, the benchmark's problem and what was seen, so that a reader can judge
it without running anything again, and whether it tells of a leak at all. `dropped` depends on the
set of hits alone, in no order; a hit that does not tell drops no row, unless asked for by name.

>>> hit = Hit("row-1", "humaneval", "HumanEval/0", Detector.NGRAMS, Part.ANSWER, Side.SOLUTION,
...           "return sorted ( v0 )", 12.5)
>>> dropped([hit], Drop.JUDGE)
frozenset()

Passes as evidence beside the other detectors': one hit for every problem that a row solves.

Promises: the hit says which function passed, how its arguments were taken, and why the pass may
tell nothing, its mark: a plain problem, or no agreement beyond the test. Its score is that
agreement. Which hits drop a row is `clean.evidence`'s rule.

>>> hits_of("row-1", await search.passes(answer))   # doctest: +SKIP
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from evolcoder.decontamination.execution.agreement import is_plain
from evolcoder.decontamination.execution.search import PassedProblem


class Detector(StrEnum):
    """Who saw a leak. Values are stored and reported; never rename one."""

    NGRAMS = "ngrams"
    SUBSTRING = "substring"
    NEIGHBOURS = "neighbours"
    JUDGE = "judge"
    EXECUTION = "execution"


class RowField(StrEnum):
    """Which part of a row is alike."""

    TASK = "task"
    ANSWER = "answer"


class TextSpan(StrEnum):
    """Which part of a benchmark's problem it is alike to."""

    PROMPT = "prompt"
    SOLUTION = "solution"
    TESTS = "tests"


class SpanMark(StrEnum):
    """Whether a hit tells of a leak, or why not. Values are stored and reported; never rename one.

    Only passes of a benchmark's tests can be without a word: many solve a plain problem who never
    saw it, and a weak test lets through what is no solution.
    """

    TELLS = "tells"
    WEAK = "weak"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Hit:
    """One detector's finding that a row holds one problem of a benchmark."""

    row: str
    """Id of the row."""
    benchmark: str
    """Name of the benchmark, as on the command line."""
    item: str
    """Id of the problem in its benchmark."""
    detector: Detector
    """Who found it."""
    part: RowField
    """The part of the row that was looked at."""
    side: TextSpan
    """The part of the problem that it was held against."""
    seen: str
    """The matching span as it was compared, or the verdict with its reason; shortened."""
    score: float
    """How alike, in the detector's own unit: share of the problem's side that was found (n-grams),
    bits of the longest common run (substring), cosine (neighbours), 1 for a verdict (judge), share
    of agreement on further inputs (execution)."""
    mark: SpanMark = SpanMark.TELLS
    """Whether it tells of a leak."""


SEEN_CHARS = 500
"""Longest span or verdict that is kept with a hit."""


class DropRule(StrEnum):
    """Whose word drops a row, as `--drop` names it: any detector's, one detector's, or nobody's.

    Hits that do not tell are evidence without a vote, but for `execution-any`: every pass.
    """

    ANY = "any"
    NGRAMS = "ngrams"
    SUBSTRING = "substring"
    NEIGHBOURS = "neighbours"
    JUDGE = "judge"
    EXECUTION = "execution"
    EXECUTION_ANY = "execution-any"
    NONE = "none"


def decides(hit: Hit, drop: DropRule) -> bool:
    """Whether a hit drops its row."""
    if drop is DropRule.EXECUTION_ANY:
        return hit.detector is Detector.EXECUTION
    return hit.mark is SpanMark.TELLS and (drop is DropRule.ANY or hit.detector.value == drop.value)


def dropped(hits: Iterable[Hit], *drops: DropRule) -> frozenset[str]:
    """Return the ids of the rows that go when each of `drops` may drop a row."""
    return frozenset(hit.row for hit in hits if any(decides(hit, drop) for drop in drops))


def in_order(hits: Iterable[Hit]) -> list[Hit]:
    """Sort hits into the one order that they are reported in, each once."""
    return sorted(set(hits), key=_place)


def _place(hit: Hit) -> tuple[str, ...]:
    where = (hit.row, hit.benchmark, hit.item, hit.detector, hit.part, hit.side)
    return (*where, hit.seen, repr(hit.score), hit.mark)


def hits_of(row: str, passes: Iterable[PassedProblem]) -> list[Hit]:
    """Turn what a row's answer passes into hits, those that tell nothing too."""
    return [
        Hit(
            row,
            one.bench,
            one.problem,
            Detector.EXECUTION,
            RowField.ANSWER,
            TextSpan.TESTS,
            seen_in(one),
            one.alike,
            mark_of(one),
        )
        for one in passes
    ]


def mark_of(one: PassedProblem) -> SpanMark:
    """Say whether a pass tells of a leak, or why not."""
    if one.tells:
        return SpanMark.TELLS
    return SpanMark.PLAIN if is_plain(one.size) else SpanMark.WEAK


def seen_in(one: PassedProblem) -> str:
    """Say in a line what was seen."""
    notes = [
        f"`{one.function}` passes the tests{_taken(one)}",
        f"agrees with the reference on further inputs to {one.alike:.2f}",
    ]
    mark = mark_of(one)
    if mark is SpanMark.PLAIN:
        notes.append(f"plain: the reference has {one.size} symbols")
    elif mark is SpanMark.WEAK:
        notes.append("weak: the tests let through more than solutions")
    return "; ".join(notes)


def _taken(one: PassedProblem) -> str:
    """Say how the arguments were taken, where it was not as they came."""
    if one.view is None or list(one.view) == list(range(len(one.view))):
        return ""
    named = (f"argument {n + 1}" if n >= 0 else f"length of argument {~n + 1}" for n in one.view)
    return f" given {', '.join(named)}"
