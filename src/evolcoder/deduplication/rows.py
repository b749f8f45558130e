"""The rows of a data file or of a run, as cleaning sees them.

Promises: every row is one candidate, also one without a known field (its texts are then empty); the
id of a row says what it holds, not where it stands, so that a file in another order has the same
ids. Memory does not grow with the number of rows. A run is read as its rounds left it, whatever was
cleaned out of it before.

>>> next(of_file("bundled")).round
0

What a cleaning came to, and who is asked about leaks: words that need no numpy to be said.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evolcoder.config.load import SeedsConfig
from evolcoder.deduplication.corpus import Document
from evolcoder.ids import content_id
from evolcoder.records import Check, Row
from evolcoder.seeds.formats import FORMATS, SeedPair, fitting, read
from evolcoder.seeds.sources import rows_of
from evolcoder.storage.run_store import RunStore

Compare = Literal["task", "row"]
LINEAGE = ("id", "root", "parent", "round")
"""Columns by which a row of our own exports is known."""


@dataclass(frozen=True, slots=True)
class CleanedRow:
    """A row that may be cleaned out."""

    id: str
    """Id of its task, or a hash of what it holds."""
    task: str
    """The task; empty if it has none."""
    answer: str
    """The answer; empty if it has none."""
    round: int
    """The round that made it; 0 where that is not known."""
    ordinal: int
    """Ordinal of its lineage; 0 where that is not known."""
    parent: str | None
    """Id of the task that it was evolved from."""
    is_verified: bool
    """Whether its answer passed tests."""
    found: object
    """The row as it was found; None for a row of a run."""

    def entry(self, compare: Compare, *, is_beside: bool = False) -> Document:
        """Make what is compared with others."""
        return Document(
            self.id,
            self.task if compare == "task" else f"{self.task}\n\n{self.answer}",
            self.round,
            self.ordinal,
            self.parent,
            self.is_verified,
            is_beside,
        )


def of_file(path: str) -> Iterator[CleanedRow]:
    """Read a file or data set, each row in the format that its fields tell."""
    for raw in rows_of(SeedsConfig(path=path)):
        yield _candidate(raw.value)


def of_run(store: RunStore, *, min_round: int = 0) -> Iterator[CleanedRow]:
    """Read the rows of a run in their canonical order."""
    for row in store.rows(min_round=min_round, cleaned=False):
        task = row.task
        yield CleanedRow(
            task.id,
            task.instruction,
            row.response.text,
            task.round,
            task.ordinal,
            task.parent,
            _passed(row),
            None,
        )


def _candidate(value: object) -> CleanedRow:
    fits = fitting(value)
    format = next((name for name in FORMATS if name in fits), None)
    pair = read(value, format) if format else SeedPair("", "")
    task, answer = pair.instruction, pair.answer
    if isinstance(value, Mapping) and all(isinstance(value.get(key), str) for key in LINEAGE[:3]):
        round = value.get("round")
        number = round if isinstance(round, int) and 0 <= round < 1 << 31 else 0
        id, parent = str(value["id"]), str(value["parent"]) or None
        return CleanedRow(id, task, answer, number, 0, parent, is_verified=False, found=value)
    id = content_id("row", [task, answer])
    return CleanedRow(id, task, answer, 0, 0, None, is_verified=False, found=value)


def _passed(row: Row) -> bool:
    return any(
        verdict.check is Check.TESTS and verdict.kind == "passed" for verdict in row.verdicts
    )


if TYPE_CHECKING:
    from evolcoder.deduplication.embedders import Embedder

Evidence = Sequence[Mapping[str, object]]
"""Hits of a row, as plain data."""


@dataclass(frozen=True, slots=True)
class LeakCounts:
    """What looking for leaks came to."""

    evidence: Mapping[str, Evidence]
    """The rows that are to go, by id, each with its hits."""
    layers: tuple[str, ...] = ()
    """Protections under which answers were run; empty where none was."""


Leaked = Callable[[Iterable["CleanedRow"]], Awaitable[LeakCounts]]
"""Looks for leaks in rows."""


@dataclass(frozen=True, slots=True)
class CleaningSummary:
    """What came of a cleaning."""

    n_rows: int
    """Rows that went in."""
    dropped: dict[str, int]
    """Rows that went, by reason."""
    embedder: str | None
    """The model that told meanings, if one was asked."""
    layers: tuple[str, ...] = ()
    """Protections under which answers were run to find leaks; empty where none was."""

    @property
    def n_kept(self) -> int:
        """Rows that stayed."""
        return self.n_rows - sum(self.dropped.values())


def name_of(embedder: "Embedder | None") -> str | None:
    """Name the model that told meanings, if one did."""
    return None if embedder is None else embedder.name
