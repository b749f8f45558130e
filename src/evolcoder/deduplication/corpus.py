"""The texts that are compared: on disk, with the little about each that must be at hand.

Promises: memory per entry is some 80 bytes however long the texts are; they are in a temporary
file that is gone when closed or killed. The order of precedence depends on what entries are, never
on the order in which they came.
"""

import hashlib
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from evolcoder.deduplication.minhash import fold
from evolcoder.storage.atomic import temporary_files
from evolcoder.text import clean, named_languages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words64 = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be compared with all others."""

    id: str
    """Names it in the evidence."""
    text: str
    """What is compared."""
    round: int = 0
    """The round that made it."""
    ordinal: int = 0
    """Its place within the round, where it has one that lasts."""
    parent: str | None = None
    """Id of the entry that it was evolved from: the two are never compared."""
    is_verified: bool = False
    """Whether its answer passed a check; such a row outlives others."""
    is_beside: bool = False
    """Whether it belongs to another data set, of which nothing is ever dropped."""


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What is read back of an entry."""

    id: str
    """Its id."""
    text: str
    """Its text, as any encoder takes it."""


class Corpus:
    """All entries of one comparison, by the number in which they came."""

    def __init__(self) -> None:
        with temporary_files():
            self._file = tempfile.TemporaryFile(prefix="evolcoder-clean-")  # noqa: SIM115 - held open
        self._ends = array("Q", [0])
        self._digests = array("Q")
        self._names = array("Q")
        self._places = array("q")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what did not fit was said when it was written
            self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, entry: Document) -> str:
        """Put an entry on the shelf; return its folded text."""
        folded, id = fold(entry.text), clean(entry.id)
        record = f"{id}\0{clean(entry.text)}".encode()
        with temporary_files():
            self._file.write(record)
        self._ends.append(self._ends[-1] + len(record))
        self._digests.extend(_words(folded, 2))
        parent = _words(clean(entry.parent), 1)[0] if entry.parent else 0
        beginning = int.from_bytes(id.encode()[:8].ljust(8, b"\0"), "big")
        self._names.extend((_words(id, 1)[0], parent, beginning))
        standing = 2 * (not entry.is_beside) + (not entry.is_verified)
        self._places.extend((standing, entry.round, entry.ordinal))
        return folded

    def read(self, number: int) -> DocumentFacts:
        """Read one entry back."""
        start, end = self._ends[number], self._ends[number + 1]
        with temporary_files():  # to seek is to write what is in the buffer
            self._file.seek(start)
            id, _, text = self._file.read(end - start).decode().partition("\0")
        return DocumentFacts(id, text)

    def precedence(self) -> "NDArray[np.int64]":
        """Return the numbers of all entries, those first that outlive what is like them.

        Another data set's before ours, verified ones before others, earlier rounds, smaller
        ordinals, then by the first 8 bytes of the id. Where these are equal hashes decide, and the
        order of arrival only between entries that are the same.
        """
        places = np.frombuffer(self._places, np.int64).reshape(-1, 3)
        names = np.frombuffer(self._names, np.uint64).reshape(-1, 3)
        keys = [*self.digests().T, names[:, 0], names[:, 2], *places.T[::-1]]
        return np.lexsort(keys)

    def digests(self) -> "Words64":
        """Return 128 bits of every folded text: (n, 2)."""
        return np.frombuffer(self._digests, np.uint64).reshape(-1, 2)

    def is_beside(self, number: int) -> bool:
        """Tell whether an entry belongs to another data set."""
        return self._places[3 * number] < 2

    def are_kin(self, one: int, other: int) -> bool:
        """Tell whether one of two entries was evolved from the other."""
        names = self._names
        return names[3 * one + 1] == names[3 * other] or names[3 * other + 1] == names[3 * one]

    def name_other_languages(self, one: int, other: int) -> bool:
        """Tell whether each of two texts names a programming language that the other does not."""
        mine, theirs = (set(named_languages(self.read(number).text)) for number in (one, other))
        return bool(mine - theirs) and bool(theirs - mine)

    def texts(self, numbers: Sequence[int]) -> Iterator[str]:
        """Read the texts of some entries."""
        return (self.read(number).text for number in numbers)


def _words(text: str, n: int) -> tuple[int, ...]:
    """Hash a text to `n` numbers of 64 bits."""
    digest = hashlib.blake2b(text.encode(), digest_size=8 * n).digest()
    return tuple(int.from_bytes(digest[8 * at : 8 * at + 8], "big") for at in range(n))
