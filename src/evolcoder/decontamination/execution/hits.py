"""Passes as evidence beside the other detectors': one hit for every problem that a row solves.

Promises: the hit says which function passed, how its arguments were taken, and why the pass may
tell nothing, its mark: a plain problem, or no agreement beyond the test. Its score is that
agreement. Which hits drop a row is `clean.evidence`'s rule.

>>> hits_of("row-1", await search.passes(answer))   # doctest: +SKIP
"""

from collections.abc import Iterable

from evolcoder.decontamination.execution.search import Pass
from evolcoder.decontamination.execution.triviality import is_plain
from evolcoder.decontamination.hits import Detector, Hit, Mark, Part, Side


def hits_of(row: str, passes: Iterable[Pass]) -> list[Hit]:
    """Turn what a row's answer passes into hits, those that tell nothing too."""
    return [
        Hit(
            row,
            one.bench,
            one.problem,
            Detector.EXECUTION,
            Part.ANSWER,
            Side.TESTS,
            seen_in(one),
            one.alike,
            mark_of(one),
        )
        for one in passes
    ]


def mark_of(one: Pass) -> Mark:
    """Say whether a pass tells of a leak, or why not."""
    if one.tells:
        return Mark.TELLS
    return Mark.PLAIN if is_plain(one.size) else Mark.WEAK


def seen_in(one: Pass) -> str:
    """Say in a line what was seen."""
    notes = [
        f"`{one.function}` passes the tests{_taken(one)}",
        f"agrees with the reference on further inputs to {one.alike:.2f}",
    ]
    mark = mark_of(one)
    if mark is Mark.PLAIN:
        notes.append(f"plain: the reference has {one.size} symbols")
    elif mark is Mark.WEAK:
        notes.append("weak: the tests let through more than solutions")
    return "; ".join(notes)


def _taken(one: Pass) -> str:
    """Say how the arguments were taken, where it was not as they came."""
    if one.view is None or list(one.view) == list(range(len(one.view))):
        return ""
    named = (f"argument {n + 1}" if n >= 0 else f"length of argument {~n + 1}" for n in one.view)
    return f" given {', '.join(named)}"
