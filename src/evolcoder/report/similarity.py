"""Sections on how like the tasks of each round are to benchmark problems, and the map of the tasks.

They show what `evolcoder report RUN --similarity NAMES` stored with the run; nothing is embedded
here. Without it, a section names that command.

>>> sections = list(similarity_sections(folder, TaskSimilarity.read(folder), is_old=False))
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from evolcoder.decontamination.similarity import (
    MapPoint,
    RoundScore,
    RoundSimilarity,
    TaskSimilarity,
)
from evolcoder.report.content import Cell, Chart, ReportSection, ReportTable, Series, share
from evolcoder.terminal import shell_path
from evolcoder.text import natural_key, one_line

NEAREST_SHOWN = 40
"""Most pairs of a problem and a row in the table of the nearest."""
TASK_CHARS = 160
MAP_ROUNDS = 8
"""Most groups of evolved rounds that the map tells apart."""
IS_LEAK = {True: "yes", False: "no"}
NAMES = {
    "task_tokens": "task tokens",
    "answer_tokens": "answer tokens",
    "complexity": "cyclomatic complexity",
    "pass_rate": "pass rate",
}
"""Measure -> its name in tables."""


def similarity_sections(
    folder: Path,
    found: TaskSimilarity | None,
    *,
    is_old: bool,
    task_of: Callable[[str], str] = lambda _: "",
) -> Iterator[ReportSection]:
    """Yield similarity, similarity next to complexity, the nearest pairs, and the map.

    `task_of` returns the text of a row's task by its id.
    """
    command = f"evolcoder report {shell_path(folder)} --similarity humaneval,mbpp"
    if found is None:
        yield ReportSection(
            "similarity",
            "Similarity to benchmarks",
            "How near the tasks of each round are to problems of benchmarks was not measured.",
            notes=(f"{command} measures it, and draws the map of the tasks",),
        )
        return
    notes = [f"embeddings by {found.settings.get('embedder')}"]
    if is_old:
        names = ",".join(found.settings.get("benchmarks", ()))
        again = command.replace("humaneval,mbpp", names)
        notes.append(f"the rows of the run changed since this was measured; {again} does it again")
    yield _by_round(found, notes)
    if len(_rounds(found)) > 1:
        yield _with_complexity(found)
    if found.scores:
        yield _scores(found)
    yield _nearest(found, task_of)
    if found.points:
        yield _map(found)


def _rounds(found: TaskSimilarity) -> list[int]:
    return sorted({one.round for one in found.rounds})


def _benchmarks(found: TaskSimilarity) -> list[str]:
    return list(dict.fromkeys(one.benchmark for one in found.rounds))


def _name(round: int) -> str:
    return "seeds" if round == 0 else f"round {round}"


def _by_round(found: TaskSimilarity, notes: Sequence[str]) -> ReportSection:
    """Show the mean cosine of each benchmark's five nearest rows by round."""
    bounds = found.settings.get("bounds", {})
    columns = ("benchmark", "round", "rows", "problems", "nearest row", "five nearest", "from",
               "to", "change", "change from", "change to", "share above bound",
               "problems that leak")  # fmt: skip
    rows = tuple(_line(one) for one in found.rounds)
    sizes = {one.n_rows for one in found.rounds}
    if max(sizes) > 1.1 * min(sizes):
        more = "rounds differ in their number of rows; a larger one has nearer rows by chance alone"
        notes = [*notes, more]
    return ReportSection(
        "similarity",
        "Similarity to benchmarks",
        "Mean cosine between each problem and its five nearest rows of a round, with its 95 % "
        "interval over problems; the bound of a leak is a cosine of "
        f"{bounds.get('cosine')}.",
        ReportTable(columns, rows, ("benchmark", "round")),
        _lines(found, [_of(found, name) for name in _benchmarks(found)]),
        notes=tuple(notes),
    )


def _line(one: RoundSimilarity) -> tuple[Cell, ...]:
    return (one.benchmark, one.round, one.n_rows, one.n_problems, one.nearest, one.mean, one.low,
            one.high, one.change, one.change_low, one.change_high,
            share(one.n_above, one.n_problems), one.n_leaks)  # fmt: skip


def _lines(found: TaskSimilarity, by_bench: Sequence[Sequence[RoundSimilarity]]) -> Chart:
    series = [
        Series(
            lines[0].benchmark,
            tuple(one.mean for one in lines),
            tuple(one.low for one in lines),
            tuple(one.high for one in lines),
        )
        for lines in by_bench
    ]
    names = tuple(map(_name, _rounds(found)))
    return Chart("lines", names, tuple(series), "mean cosine", has_zero=False)


def _of(found: TaskSimilarity, benchmark: str) -> list[RoundSimilarity]:
    lines = (one for one in found.rounds if one.benchmark == benchmark)
    return sorted(lines, key=lambda one: one.round)


def _with_complexity(found: TaskSimilarity) -> ReportSection:
    """Show the rounds' likeness and complexity side by side, also in per cent of the first's."""
    rounds, benchmarks = _rounds(found), _benchmarks(found)
    values: dict[str, dict[int, float]] = {
        f"similarity to {name}": {one.round: one.mean for one in _of(found, name)}
        for name in benchmarks
    }
    for measure, title in NAMES.items():
        mine = {one.round: one.median for one in found.measures if one.measure == measure}
        if mine:
            values[title] = mine
    for title, scores in _scores_by_name(found).items():
        values[title] = {one.round: one.mean for one in scores if one.mean is not None}
    rows = tuple((round, *(mine.get(round) for mine in values.values())) for round in rounds)
    series = tuple(
        Series(name, tuple(_percent(mine.get(round), first) for round in rounds))
        for name, mine in values.items()
        if (first := mine.get(rounds[0]))
    )
    return ReportSection(
        "similarity-complexity",
        "Likeness and difficulty",
        "Similarity to benchmarks next to lengths, complexity, pass rate and what a model judged, "
        "where these were measured, each in per cent of "
        f"its value in {_name(rounds[0])} (medians of rows): gains may come from either.",
        ReportTable(("round", *values), rows, ("round",)),
        Chart("lines", tuple(map(_name, rounds)), series, f"% of {_name(rounds[0])}"),
    )


def _scores_by_name(found: TaskSimilarity) -> dict[str, list[RoundScore]]:
    """Return the scores by what was judged, each by round."""
    named: dict[str, list[RoundScore]] = {}
    for one in sorted(found.scores, key=lambda one: (one.kind, one.benchmark, one.round)):
        name = f"judged {one.kind}{f' to {one.benchmark}' if one.benchmark else ''}"
        named.setdefault(name, []).append(one)
    return named


def _scores(found: TaskSimilarity) -> ReportSection:
    """Show the scores of a model by round with their intervals."""
    rows, series = list[tuple[Cell, ...]](), []
    for name, scores in _scores_by_name(found).items():
        by_round = {one.round: one for one in scores}
        rows += [
            (name, one.round, one.n, one.n_unreadable, one.mean, one.low, one.high)
            for one in scores
        ]
        mine = [by_round.get(round) for round in _rounds(found)]
        mean, low, high = (
            tuple(getattr(one, part) if one else None for one in mine)
            for part in ("mean", "low", "high")
        )
        series.append(Series(name, mean, low, high))
    columns = ("judged", "round", "scores", "unreadable", "mean", "from", "to")
    return ReportSection(
        "judged",
        "What a model judged",
        "Mean score from 1 to 10 of the difficulty of a round's tasks, and of the likeness of "
        "problems and their nearest rows, with 95 % intervals over rows and over problems: one "
        "model's opinion, to be compared between rounds only.",
        ReportTable(columns, tuple(rows), ("judged", "round")),
        Chart("lines", tuple(map(_name, _rounds(found))), tuple(series), "mean score, 1 to 10",
              has_zero=False),
        notes=(f"judged by {found.judge}",),
    )  # fmt: skip


def _percent(value: float | None, first: float) -> float | None:
    return None if value is None else round(100 * value / first, 1)


def _nearest(found: TaskSimilarity, task_of: Callable[[str], str]) -> ReportSection:
    """List the problems with the nearest rows of all rounds."""
    ordered = sorted(
        found.neighbours, key=lambda one: (-one.cosines[0], natural_key(one.problem), one.round)
    )
    rows = tuple(
        (one.benchmark, one.problem, one.round, one.cosines[0], one.rows[0],
         one_line(task_of(one.rows[0]), TASK_CHARS), IS_LEAK[one.is_leak])
        for one in ordered[:NEAREST_SHOWN]
    )  # fmt: skip
    return ReportSection(
        "nearest",
        "Nearest rows",
        f"The {len(rows)} nearest pairs of a problem and a row of {len(ordered):,}; a pair is a "
        "leak where it also shares the problem's rare words, or names its function.",
        ReportTable(("benchmark", "problem", "round", "cosine", "row", "its task", "leak"), rows),
    )


def _map(found: TaskSimilarity) -> ReportSection:
    groups: dict[str, list[MapPoint]] = {}
    for point in found.points:
        groups.setdefault(point.group, []).append(point)
    rows = tuple(
        (one.name, len(one.values), _mean(one.x), _mean(one.values), _spread(one))
        for one in _series(groups)
    )
    n_tasks = sum(len(points) for name, points in groups.items() if name.startswith("round "))
    return ReportSection(
        "map",
        "Map of the tasks",
        f"{n_tasks:,} tasks, spread evenly over the run, and problems by the first two principal "
        f"components of the tasks' embeddings, which hold {found.explained:.0%} of their variance; "
        "near points are not always near in meaning.",
        ReportTable(
            ("group", "points", "mean x", "mean y", "mean distance to its middle"),
            rows,
            ("group",),
        ),
        Chart("scatter", (), _series(_fewer(groups)), "second component"),
        notes=("similarity.json in the run's folder has every point",),
    )


def _series(groups: Mapping[str, Sequence[MapPoint]]) -> tuple[Series, ...]:
    return tuple(
        Series("seeds" if name == "round 0" else name, tuple(one.y for one in points),
               x=tuple(one.x for one in points))
        for name, points in groups.items()
    )  # fmt: skip


def _fewer(groups: Mapping[str, Sequence[MapPoint]]) -> dict[str, Sequence[MapPoint]]:
    """Put rounds that follow each other together, where they are too many to be told apart."""
    rounds = [name for name in groups if name.startswith("round ") and name != "round 0"]
    size = -(-len(rounds) // MAP_ROUNDS)
    found = {name: points for name, points in groups.items() if size <= 1 or name not in rounds}
    for at in range(0, len(rounds), size) if size > 1 else ():
        part = rounds[at : at + size]
        last = part[-1].removeprefix("round ")
        name = f"rounds {part[0].removeprefix('round ')} to {last}" if part[1:] else part[0]
        found[name] = [point for one in part for point in groups[one]]
    return found


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4)


def _spread(one: Series) -> float:
    x, y = _mean(one.x), _mean(one.values)
    far = [
        ((a - x) ** 2 + ((b or 0.0) - y) ** 2) ** 0.5
        for a, b in zip(one.x, one.values, strict=True)
    ]
    return _mean(far)
