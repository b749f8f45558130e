"""Rows of a data file or a run as input of cleaning, and the records of its results.

Every row of a file becomes one `CleanedRow`, with empty texts if its format is unknown. Row ids are
content hashes, so reordering a file does not change them. Rows are streamed. A run is read as its
rounds left it, regardless of earlier cleaning. Imports no numpy.

>>> next(rows_of_file("bundled")).round
0
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evolcoder.config.load import SeedsConfig
from evolcoder.deduplication.corpus import Document
from evolcoder.ids import content_id
from evolcoder.records import Check, Row
from evolcoder.seeds.formats import FORMATS, SeedPair, matching_formats, read
from evolcoder.seeds.sources import rows_of
from evolcoder.storage.run_store import RunStore

if TYPE_CHECKING:
    from evolcoder.deduplication.embedders import Embedder

Compare = Literal["task", "row"]
LINEAGE = ("id", "root", "parent", "round")
"""Columns that identify a row of our own exports."""
Evidence = Sequence[Mapping[str, object]]
"""Hits of a row, as plain data."""


@dataclass(frozen=True, slots=True)
class CleanedRow:
    """A row to be cleaned."""

    id: str
    """Id of its task, or a hash of its contents."""
    task: str
    """The task; empty if there is none."""
    answer: str
    """The response; empty if there is none."""
    round: int
    """Round that created it; 0 if unknown."""
    ordinal: int
    """Ordinal of its lineage; 0 if unknown."""
    parent: str | None
    """Id of the task that it was evolved from."""
    is_verified: bool
    """Whether its response passed tests."""
    found: object
    """The original row; None for a row of a run."""

    def document(self, compare: Compare, *, is_external: bool = False) -> Document:
        """Return the document to compare."""
        return Document(
            self.id,
            self.task if compare == "task" else f"{self.task}\n\n{self.answer}",
            self.round,
            self.ordinal,
            self.parent,
            self.is_verified,
            is_external,
        )


def rows_of_file(path: str) -> Iterator[CleanedRow]:
    """Read a file or data set, detecting the format of each row."""
    for raw in rows_of(SeedsConfig(path=path)):
        yield _cleaned_row(raw.value)


def rows_of_run(store: RunStore, *, min_round: int = 0) -> Iterator[CleanedRow]:
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


def _cleaned_row(value: object) -> CleanedRow:
    matching = matching_formats(value)
    format = next((name for name in FORMATS if name in matching), None)
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


@dataclass(frozen=True, slots=True)
class LeakCounts:
    """The result of leak detection."""

    evidence: Mapping[str, Evidence]
    """Hits by id of the rows to drop."""
    layers: tuple[str, ...] = ()
    """Sandbox layers under which responses were executed; empty if none was."""


LeakDetector = Callable[[Iterable["CleanedRow"]], Awaitable[LeakCounts]]
"""Detects leaks among rows."""


@dataclass(frozen=True, slots=True)
class CleaningSummary:
    """The result of cleaning."""

    n_rows: int
    """Rows read."""
    dropped: dict[str, int]
    """Dropped rows by reason."""
    embedder: str | None
    """Name of the embedding model, if one was used."""
    layers: tuple[str, ...] = ()
    """Sandbox layers under which responses were executed; empty if none was."""

    @property
    def n_kept(self) -> int:
        """Rows kept."""
        return self.n_rows - sum(self.dropped.values())


def embedder_name(embedder: "Embedder | None") -> str | None:
    """Return the name of the embedding model, if any."""
    return None if embedder is None else embedder.name
