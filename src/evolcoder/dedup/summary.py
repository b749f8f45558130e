"""What a cleaning came to, and who is asked about leaks: words that need no numpy to be said."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolcoder.dedup.embedders import Embedder
    from evolcoder.dedup.rows import Candidate

Evidence = Sequence[Mapping[str, object]]
"""Hits of a row, as plain data."""


@dataclass(frozen=True, slots=True)
class Leaks:
    """What looking for leaks came to."""

    evidence: Mapping[str, Evidence]
    """The rows that are to go, by id, each with its hits."""
    layers: tuple[str, ...] = ()
    """Protections under which answers were run; empty where none was."""


Leaked = Callable[[Iterable["Candidate"]], Leaks]
"""Looks for leaks in rows."""


@dataclass(frozen=True, slots=True)
class Summary:
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
