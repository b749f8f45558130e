"""Reports what each heuristic made of its evolutions, and what its kept rows cost.

Costs are those of the requests that the run paid for, each booked for the heuristic of the
candidate that it was made for, whatever became of the candidate. A run whose requests were made by
a version that did not store that has no costs by heuristic, rather than a part of them.

>>> list(heuristics_sections(store, config, measured))   # doctest: +SKIP
[ReportSection(name='heuristics', ...), ReportSection(name='heuristic_costs', ...)]
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from evolcoder.config.load import Config
from evolcoder.records import SEED_GROUP, Stage
from evolcoder.report.content import (
    Cell,
    Chart,
    ReportSection,
    ReportTable,
    Series,
    parts_of,
    quartiles,
    share,
)
from evolcoder.report.money import BookedPrices
from evolcoder.storage.database import COUNT, MAYBE_TEXT, Columns
from evolcoder.storage.run_store import CallsFor, RunStore
from evolcoder.verification.measures import RowMeasures

STAGES = {"evolving": Stage.EVOLVE, "answering": Stage.RESPOND, "verifying": Stage.VERIFY}
"""What requests are made for, by the stage that makes them."""
_BY_HEURISTIC = Columns(heuristic=MAYBE_TEXT, n=COUNT)
_TASKS = "SELECT heuristic, COUNT(*) FROM tasks WHERE round > 0 GROUP BY heuristic"
_EVOLUTIONS_DROPPED = (
    "SELECT heuristic, COUNT(*) FROM drops WHERE stage = 'evolve' GROUP BY heuristic"
)
_KEPT = """
    SELECT t.heuristic, COUNT(*) FROM kept k JOIN tasks t USING (round, ordinal)
    WHERE k.round > 0 AND NOT EXISTS (SELECT 1 FROM drops d WHERE d.stage = 'clean'
        AND d.round = k.round AND d.ordinal = k.ordinal) GROUP BY t.heuristic"""
_PASSED = """
    SELECT t.heuristic, COUNT(*) FROM verdicts v JOIN tasks t USING (round, ordinal)
    WHERE v.check_name = 'runs' AND v.kind = 'passed' AND v.round > 0 GROUP BY t.heuristic"""


class _Cost:
    """The requests that were made for the candidates of one heuristic."""

    def __init__(self, calls: Sequence[CallsFor], prices: BookedPrices) -> None:
        self._calls = calls
        dollars = [
            prices.usd(
                one.model, sent=one.sent, received=one.received, cached=one.cached,
                cache_writes=one.cache_writes, reasoning=one.reasoning,
            )
            for one in calls
        ]  # fmt: skip
        known = [one for one in dollars if one is not None]
        self.usd = sum(known) if len(known) == len(dollars) else None
        """What they cost; None if the price of a model is not known."""

    def tokens(self, stage: Stage | None = None) -> int:
        """Tokens sent and received, of all stages or of one."""
        return sum(
            one.sent + one.received for one in self._calls if stage is None or one.stage == stage
        )

    def cells(self) -> tuple[Cell, ...]:
        """Return requests, tokens sent, tokens received and dollars."""
        names = ("requests", "sent", "received")
        sums = (sum(getattr(one, name) for one in self._calls) for name in names)
        return (*sums, _digits(self.usd))


def _digits(dollars: float | None) -> float | None:
    """Round dollars to six digits that count: a row may cost a millionth."""
    return None if dollars is None else float(f"{dollars:.6g}")


def _each(total: float | None, n: int) -> float | None:
    """Return the part of each of n rows; None of none."""
    return total / n if total is not None and n else None


def heuristics_sections(
    store: RunStore, config: Config, measured: Sequence[RowMeasures]
) -> Iterator[ReportSection]:
    """Report evolutions by heuristic, and costs where requests are known by heuristic."""
    counts = {name: _counts(store, query) for name, query in (
        ("made", _TASKS), ("failed", _EVOLUTIONS_DROPPED), ("kept", _KEPT), ("passed", _PASSED)
    )}  # fmt: skip
    calls = store.calls_by_purpose()
    n_calls = sum(one.requests for one in calls)
    n_unknown = sum(one.requests for one in calls if one.heuristic is None)
    by_heuristic: defaultdict[str, list[CallsFor]] = defaultdict(list)
    for one in calls:
        by_heuristic[one.heuristic or SEED_GROUP].append(one)
    tried = Counter(counts["made"]) + Counter(counts["failed"])
    names = sorted(tried, key=lambda name: (-tried[name], name))
    prices = BookedPrices(store, config)
    costs = {name: _Cost(by_heuristic[name], prices) for name in names}
    note = ""
    if n_unknown:
        costs = {}
        note = (
            f"what a row cost by heuristic is not known: {n_unknown:,} of {n_calls:,} requests "
            "were made by a version that did not store what they were for"
        )
    yield _counts_section(names, counts, measured, costs, note)
    if costs:
        seeds = _Cost(by_heuristic[SEED_GROUP], prices) if by_heuristic[SEED_GROUP] else None
        yield _costs_section(costs, counts["kept"], seeds)


def _counts(store: RunStore, query: str) -> dict[str, int]:
    """Count by heuristic; what has none is under `SEED_GROUP`."""
    return {name or SEED_GROUP: n for name, n in store.db.each(_BY_HEURISTIC.validate, query)}


def _counts_section(
    names: Sequence[str],
    counts: dict[str, dict[str, int]],
    measured: Sequence[RowMeasures],
    costs: dict[str, _Cost],
    note: str,
) -> ReportSection:
    growth: defaultdict[str, list[float]] = defaultdict(list)
    difficulty: defaultdict[str, list[float]] = defaultdict(list)
    for one in measured:
        if one.complexity is not None:
            difficulty[one.heuristic or SEED_GROUP].append(one.complexity)
        if one.parent_tokens:
            growth[one.heuristic or SEED_GROUP].append(one.task_tokens / one.parent_tokens)
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        n_made, n_kept = counts["made"].get(name, 0), counts["kept"].get(name, 0)
        n_tried = n_made + counts["failed"].get(name, 0)
        ratio, complexity = (
            quartiles(values[name])[1] if values[name] else None for values in (growth, difficulty)
        )
        cost = costs.get(name)
        each = _each(cost.tokens() if cost else None, n_kept)
        dollars = _each(cost.usd if cost else None, n_kept)
        rows.append((
            name, n_tried, n_made, n_kept, share(n_kept, n_tried),
            share(counts["passed"].get(name, 0), n_made), ratio, complexity,
            None if each is None else round(each), _digits(dollars),
        ))  # fmt: skip
    parts = {
        "kept": [int(row[3] or 0) for row in rows],
        "evolved, not kept": [int(row[2] or 0) - int(row[3] or 0) for row in rows],
        "evolution dropped": [int(row[1] or 0) - int(row[2] or 0) for row in rows],
    }
    columns = ("heuristic", "tried", "evolved", "kept", "share kept", "share that ran",
               "median growth", "median complexity", "tokens for each kept row",
               "USD for each kept row")  # fmt: skip
    notes = [note] if note else []
    if not rows:
        notes.append("no evolution has an outcome; evolcoder run with --rounds N evolves")
    if difficulty[SEED_GROUP]:
        middle = quartiles(difficulty[SEED_GROUP])[1]
        notes.append(f"the median complexity of the seeds' Python answers is {middle:g}")
    return ReportSection(
        "heuristics",
        "Heuristics",
        "How many evolutions of each heuristic were tried and kept, how much longer the median "
        "kept task is than its parent (1.3: by 30 %), the median cyclomatic complexity of the kept "
        "Python answers, and what a kept row cost, with all that was paid for candidates that "
        "were dropped.",
        ReportTable(columns, tuple(rows), ("heuristic",)),
        Chart("stacked", tuple(names), parts_of(parts), "evolutions") if names else None,
        notes=tuple(notes),
    )


def _costs_section(
    costs: dict[str, _Cost], kept: dict[str, int], seeds: _Cost | None
) -> ReportSection:
    """Report what was paid by heuristic and stage, in all and for each kept row."""
    rows: list[tuple[Cell, ...]] = []
    parts: dict[str, list[float]] = {name: [] for name in STAGES}
    for name, cost in costs.items():
        n = kept.get(name, 0)
        each = [_each(cost.tokens(stage), n) for stage in (*STAGES.values(), None)]
        rounded = [None if value is None else round(value) for value in each]
        rows.append((name, n, *cost.cells(), *rounded, _digits(_each(cost.usd, n))))
        if n:
            for part, value in zip(parts.values(), each, strict=False):
                part.append(value or 0)
    if seeds is not None:
        rows.append((SEED_GROUP, None, *seeds.cells(), *[None] * (len(STAGES) + 2)))
    columns = ("heuristic", "kept", "requests", "sent", "received", "USD",
               *(f"{name}, for each kept row" for name in STAGES), "tokens for each kept row",
               "USD for each kept row")  # fmt: skip
    drawn = tuple(name for name in costs if kept.get(name))
    series: tuple[Series, ...] = parts_of(parts)
    return ReportSection(
        "heuristic_costs",
        "Cost by heuristic",
        "Tokens that were paid to evolve, answer and verify all candidates of a heuristic, for "
        "each row that was kept of them; what came from the cache, or was sent and not answered, "
        "is not in it.",
        ReportTable(columns, tuple(rows), ("heuristic",)),
        Chart("stacked", drawn, series, "tokens for each kept row") if series else None,
        notes=tuple(_not_kept(costs, kept)),
    )


def _not_kept(costs: dict[str, _Cost], kept: dict[str, int]) -> Iterator[str]:
    """Name the heuristics that cost something and have no kept row."""
    for name, cost in costs.items():
        if not kept.get(name) and cost.tokens():
            yield f"{name}: {cost.tokens():,} tokens were paid, and no row was kept"
