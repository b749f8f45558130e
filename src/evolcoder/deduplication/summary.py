"""The results of cleaning, as plain records. Imports no numpy."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolcoder.records import Row

if TYPE_CHECKING:
    from evolcoder.deduplication.embedders import Embedder

Evidence = Sequence[Mapping[str, object]]
"""Hits of a row, as plain data."""


@dataclass(frozen=True, slots=True)
class LeakCounts:
    """The result of leak detection."""

    evidence: Mapping[str, Evidence]
    """Hits by id of the rows to drop."""
    layers: tuple[str, ...] = ()
    """Sandbox layers under which responses were executed; empty if none was."""
    searched: Mapping[str, object] = field(default_factory=dict)
    """What was looked for and found, as plain data for the certificate; empty if nothing was."""


LeakDetector = Callable[[Iterable[Row]], Awaitable[LeakCounts]]
"""Detects leaks among the rows of one cleaning; a further call adds rows to those searched."""


def shares_its_task(hits: Evidence) -> bool:
    """Whether rows with the same task as a leak are leaks too, whatever their own answers are.

    They are if only running the leak's answer showed what its task asks for. Any other hit is on a
    text, which is looked for in each row.
    """
    return bool(hits) and all(hit.get("detector") == "execution" for hit in hits)


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
    shared: tuple[str, ...] = ()
    """Excerpts of the text that many rows share and that was left out of comparisons."""

    @property
    def n_kept(self) -> int:
        """Rows kept."""
        return self.n_rows - sum(self.dropped.values())


def shared_note(summary: CleaningSummary) -> str:
    """Say what was taken as a header that many rows share; empty if nothing was."""
    if not summary.shared:
        return ""
    parts = " and ".join(f'"{one}"' for one in summary.shared)
    return f"many rows share this text, so near duplicates are compared without it: {parts}"


def embedder_name(embedder: "Embedder | None") -> str | None:
    """Return the name of the embedding model, if any."""
    return None if embedder is None else embedder.name
