"""What the functions of `evolcoder.api` return."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from evolcoder.errors import UserError
from evolcoder.records import Drop, Row
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import FunnelLine, funnel, protections, why_empty

if TYPE_CHECKING:
    from evolcoder.bench.scores import Interval, Score
    from evolcoder.decontamination.hits import Hit
    from evolcoder.decontamination.report import Report
    from evolcoder.deduplication.find import Duplicate
    from evolcoder.evaluation.results import BenchmarkResult


MAX_REPR_CHARS = 120
"""Longest value that the `repr` of a result shows: a notebook prints it whole."""


class _Brief:
    """Shows the lengths of lists rather than their rows."""

    __slots__ = ()

    def __repr__(self) -> str:
        values = {one.name: getattr(self, one.name) for one in fields(cast("Any", self))}
        shown = (f"{name}={_brief(value)}" for name, value in values.items())
        return f"{type(self).__name__}({', '.join(shown)})"


def _brief(value: object) -> str:
    if isinstance(value, list):
        return f"[{len(value):,} items]"
    text = repr(value)
    return text if len(text) <= MAX_REPR_CHARS else f"{type(value).__name__}(…)"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder."""

    folder: Path
    """The folder; the command line can read and resume it too."""
    stopped: str = ""
    """Message about the budget limit that stopped the run; empty if it is complete."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))  # a folder given as text

    def rows(self, *, seeds: bool = True) -> list[Row]:
        """Read the training set, ordered by round and seed; without `seeds`, only evolved rows."""
        with RunStore.read(self.folder) as store:
            return list(store.rows(min_round=0 if seeds else 1))

    def stats(self) -> list[FunnelLine]:
        """Return for each stage and round the rows entered, kept, and dropped by reason."""
        with RunStore.read(self.folder) as store:
            return funnel(store)

    def why_empty(self) -> str:
        """Say why no row was kept, with the drops by reason; empty if one was."""
        with RunStore.read(self.folder) as store:
            return why_empty(store)

    def paid(self) -> dict[str, tuple[int, int, int]]:
        """Return paid requests, prompt tokens and completion tokens by model."""
        with RunStore.read(self.folder) as store:
            return store.calls_by_model()

    def possibly_billed(self) -> dict[str, tuple[int, int, int]]:
        """Return requests that were sent and not answered, with the most that each may cost.

        By model: requests, prompt tokens, completion tokens. They are not in `paid`.
        """
        with RunStore.read(self.folder) as store:
            return store.possible_calls_by_model()


@dataclass(frozen=True, slots=True, repr=False)
class Verified(_Brief):
    """The result of a verification; every checked row is in `kept` or has a drop."""

    kept: list[Row]
    """Rows that no check dropped, in input order, with findings in `Row.verdicts`."""
    drops: list[Drop]
    """One per dropped row: its input index in `ordinal`, reason and evidence."""
    layers: tuple[str, ...]
    """Sandbox isolation layers under which programs ran."""
    stopped: str = ""
    """Message about the budget limit that stopped it; empty if every row was checked."""

    @classmethod
    def read(cls, store: RunStore, originals: Sequence[Row] | None, stopped: str) -> Self:
        """Read the outcome of each of these rows, or of those of a run, from its folder."""
        kept = list(store.rows())
        if originals is not None:
            kept = [replace(originals[row.task.ordinal], verdicts=row.verdicts) for row in kept]
        drops = sorted(store.drops(), key=lambda drop: drop.ordinal)
        return cls(kept, drops, protections(store).get("verify", ()), stopped)


@dataclass(frozen=True, slots=True, repr=False)
class Deduplicated(_Brief):
    """The result of a deduplication: in = kept + dropped."""

    kept: list[Row]
    """Kept rows, in input order."""
    dropped: "list[tuple[Row, Duplicate]]"
    """Every other row, with the row that it duplicates and their similarity."""


@dataclass(frozen=True, slots=True, repr=False)
class Decontaminated(_Brief):
    """The result of a decontamination: in = kept + dropped."""

    kept: list[Row]
    """Kept rows, in input order."""
    dropped: list[Row]
    """Rows with a hit of a detector in `drop`."""
    hits: "list[Hit]"
    """All hits, including those that drop no row: row id, benchmark, problem, detector, text."""
    report: "Report"
    """Counts by detector and benchmark; `evolcoder.decontamination.report` formats it."""


@dataclass(frozen=True, slots=True, repr=False)
class EvaluationResult(_Brief):
    """The result of an evaluation on one or more benchmarks."""

    folder: Path
    """The evaluation's folder, with samples, verdicts and scores; the same call resumes it."""
    results: "tuple[BenchmarkResult, ...]"
    """Results by benchmark, in the order of the call."""
    stopped: str = ""
    """Message about the budget limit that stopped it; empty if it is complete."""

    @property
    def pass_at_1(self) -> float:
        """pass@1 of the first benchmark, from 0 to 1; raises UserError if there is no score."""
        return self.score().value

    @property
    def interval(self) -> "Interval | None":
        """95 % interval of `pass_at_1` over problems, from 0 to 1; None for one problem."""
        return self.score().interval

    def score(self, bench: str | None = None, k: int = 1) -> "Score":
        """Return pass@k of a benchmark (default: the first); raises UserError if there is none."""
        for result in self.results:
            if bench in {None, result.bench}:
                for score in result.scores:
                    if score.k == k:
                        return score
                raise UserError(f"{result.bench}: no pass@{k}: {result.withheld or 'not sampled'}")
        evaluated = ", ".join(result.bench for result in self.results)
        raise UserError(f"{bench} was not evaluated; evaluated benchmarks: {evaluated}")
