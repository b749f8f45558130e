"""The documents of one deduplication: texts on disk, compact metadata in memory.

Memory is about 90 bytes per document, whatever the length of the texts, which are stored in an
anonymous temporary file. The order of precedence depends on the documents' contents and metadata,
not on the order in which they were added.
"""

import hashlib
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from evolcoder.deduplication.minhash import fold, jaccard, shingles
from evolcoder.records import Check, Row
from evolcoder.storage.atomic import temporary_file_errors
from evolcoder.text import clean, named_languages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words64 = NDArray[np.uint64]

TURN_END = "\x1e"
"""Ends each turn of a chat in a text; white space, so that it makes no word."""
_FACTS = 4
"""Hashes per document: of its id, its parent's id, the prefix of its id, and its context."""
Compare = Literal["task", "row"]
"""Whether tasks are compared, or tasks with their responses."""


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be compared with all others."""

    id: str
    """Identifies the document in reports."""
    text: str
    """The text to compare."""
    round: int = 0
    """Round that created it."""
    ordinal: int = 0
    """Position within the round, if it has a stable one."""
    parent: str | None = None
    """Id of the document that it was evolved from; a pair of these is never compared."""
    is_verified: bool = False
    """Whether its response passed tests; verified documents take precedence."""
    is_external: bool = False
    """Whether it belongs to another data set, of which nothing is dropped."""
    context: str = ""
    """What duplicates must have in common besides the text: system turns, tools, images, a
    label."""

    @classmethod
    def of(cls, row: Row, compare: Compare, *, is_external: bool = False) -> Self:
        """Return the document of a row: its task, or its task and response; of a chat all turns."""
        task, response = row.task, row.response
        text = task.instruction if compare == "task" else f"{task.instruction}\n\n{response.text}"
        return cls(
            task.id,
            TURN_END.join(row.turns) if row.turns else text,
            task.round,
            task.ordinal,
            task.parent,
            any(one.check is Check.TESTS and one.kind == "passed" for one in row.verdicts),
            is_external,
            row.context,
        )


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """The stored part of a document."""

    id: str
    """Its id."""
    text: str
    """Its text, with invalid characters replaced."""


class Corpus:
    """All documents of one comparison, numbered in the order added."""

    def __init__(self) -> None:
        with temporary_file_errors():
            self._file = tempfile.TemporaryFile(prefix="evolcoder-clean-")  # noqa: SIM115 - closed later
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
        with suppress(OSError):  # a full disk was reported on writing
            self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, document: Document) -> str:
        """Add a document; return its folded text."""
        folded, id = fold(document.text), clean(document.id)
        record = f"{id}\0{clean(document.text)}".encode()
        with temporary_file_errors():
            self._file.write(record)
        self._ends.append(self._ends[-1] + len(record))
        self._digests.extend(_words(folded, 2))
        parent = _words(clean(document.parent), 1)[0] if document.parent else 0
        prefix = int.from_bytes(id.encode()[:8].ljust(8, b"\0"), "big")
        context = _words(fold(document.context), 1)[0] if document.context else 0
        self._names.extend((_words(id, 1)[0], parent, prefix, context))
        priority = 2 * (not document.is_external) + (not document.is_verified)
        self._places.extend((priority, document.round, document.ordinal))
        return folded

    def read(self, number: int) -> DocumentFacts:
        """Return a document by number."""
        start, end = self._ends[number], self._ends[number + 1]
        with temporary_file_errors():  # seeking flushes the write buffer
            self._file.seek(start)
            id, _, text = self._file.read(end - start).decode().partition("\0")
        return DocumentFacts(id, text)

    def precedence(self) -> "NDArray[np.int64]":
        """Return all document numbers in order of precedence: of duplicates, the first is kept.

        External documents come first, then verified ones, earlier rounds, smaller ordinals, and the
        first 8 bytes of the id. Ties are broken by hashes, so the order of arrival only decides
        between identical documents.
        """
        places = np.frombuffer(self._places, np.int64).reshape(-1, 3)
        names = np.frombuffer(self._names, np.uint64).reshape(-1, _FACTS)
        keys = [*self.digests().T, names[:, 0], names[:, 2], *places.T[::-1]]
        return np.lexsort(keys)

    def digests(self) -> "Words64":
        """Return a 128-bit hash of every folded text: (n, 2)."""
        return np.frombuffer(self._digests, np.uint64).reshape(-1, 2)

    def is_external(self, number: int) -> bool:
        """Whether a document belongs to another data set."""
        return self._places[3 * number] < 2

    def is_parent_and_child(self, one: int, other: int) -> bool:
        """Whether one of two documents was evolved from the other."""
        names, mine, theirs = self._names, _FACTS * one, _FACTS * other
        return names[mine + 1] == names[theirs] or names[theirs + 1] == names[mine]

    def differ_in_context(self, one: int, other: int) -> bool:
        """Whether two documents have different system turns, tools, images or labels."""
        return self._names[_FACTS * one + 3] != self._names[_FACTS * other + 3]

    def differ_in_a_turn(self, one: int, other: int, threshold: float) -> bool:
        """Whether two chats have a turn whose texts are less similar than near duplicates."""
        mine, theirs = (self.read(number).text.split(TURN_END) for number in (one, other))
        if len(mine) != len(theirs):
            return True
        folded = ((fold(a), fold(b)) for a, b in zip(mine, theirs, strict=True))
        return len(mine) > 1 and any(
            a != b and jaccard(shingles(a), shingles(b)) < threshold for a, b in folded
        )

    def mention_different_languages(self, one: int, other: int) -> bool:
        """Whether each of two texts names a programming language that the other does not."""
        mine, theirs = (set(named_languages(self.read(number).text)) for number in (one, other))
        return bool(mine - theirs) and bool(theirs - mine)

    def texts(self, numbers: Sequence[int]) -> Iterator[str]:
        """Yield the texts of some documents."""
        return (self.read(number).text for number in numbers)


def _words(text: str, n: int) -> tuple[int, ...]:
    """Hash a text to `n` 64-bit integers."""
    digest = hashlib.blake2b(text.encode(), digest_size=8 * n).digest()
    return tuple(int.from_bytes(digest[8 * at : 8 * at + 8], "big") for at in range(n))
