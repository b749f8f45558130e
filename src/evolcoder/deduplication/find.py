"""Finds exact, near and semantic duplicates.

| kind | similarity |
| --- | --- |
| exact | equal folded texts |
| near | Jaccard index of the texts' word 3-grams |
| meaning | cosine of embeddings |

Documents are processed in order of precedence (`Corpus.precedence`); each is dropped if it is
similar to a kept one, and kept otherwise, so duplicates never form chains. LSH only proposes
candidates: similarity is computed on the texts themselves, and the most similar match is reported.
Near and semantic duplicates must be alike also without the text that many documents share, such as
a header (`shared_text`). Texts that mention different languages, or that differ in the operators
of their code alone, are duplicates only if identical.
Chats are duplicates only if each of their turns is, and rows only with equal system turns, tools,
images and labels. A task and its own parent are never compared.

The result depends on documents and seed, not on the order of arrival: precedence follows from
contents and metadata. Memory is about 550 bytes per document, whatever the length of the texts,
which are in an anonymous temporary file; time is O(n log n) plus one comparison per candidate pair.
Embeddings are on disk, with LSH keys from random hyperplanes; the number of hyperplanes per key
grows with the logarithm of the number of vectors, which keeps buckets small.

>>> documents = [Document("a", "Sort the list."), Document("b", "sort  the list.")]
>>> [(d.id, d.match, d.kind.value) for d in find_duplicates(documents, Similarity(), seed=0)]
[('b', 'a', 'exact')]
"""

import hashlib
import math
import re
import tempfile
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

import numpy as np

from evolcoder.deduplication.embedders import BATCH, Embedder
from evolcoder.deduplication.minhash import (
    MIN_RECALL,
    LshIndex,
    MinHasher,
    fold,
    jaccard,
    shingles,
    word_spans,
)
from evolcoder.deduplication.pairs import are_other_tasks, rests
from evolcoder.deduplication.shared_text import EDGE, SAMPLE, SharedText, find_shared
from evolcoder.fences import without_code
from evolcoder.ids import rng_for
from evolcoder.programming_language import code_blocks, named_languages
from evolcoder.records import Check, Row
from evolcoder.storage.atomic import temporary_file_errors
from evolcoder.text import clean, one_line

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
    answer: str = ""
    """Its response, where tasks are compared; tells tasks under one preamble from copies."""

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
            "" if row.turns or compare == "row" else response.text,
        )


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """The stored part of a document."""

    id: str
    """Its id."""
    text: str
    """Its text, with invalid characters replaced."""
    answer: str
    """Its response likewise; may be empty."""


class Corpus:
    """All documents of one comparison, numbered in the order added."""

    def __init__(self) -> None:
        with temporary_file_errors():
            self._file = tempfile.TemporaryFile(prefix="evolcoder-clean-")  # noqa: SIM115 - closed later
        self._ends = array("Q", [0])
        self._digests = array("Q")
        self._names = array("Q")
        self._places = array("q")
        self.shared = SharedText()

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
        id = clean(document.id)
        folded = _folded(document.text)
        record = "\0".join((id, clean(document.answer), clean(document.text))).encode()
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
            id, answer, text = self._file.read(end - start).decode().split("\0", 2)
        return DocumentFacts(id, text, answer)

    def compared(self, number: int, edge: str = "") -> str:
        """Return what near and semantic duplicates are compared by: the text without a header.

        With an `edge`, these are the words of its parts, each with the edge around it.
        """
        text = self.read(number).text
        if not self.shared:
            return text
        folded = _folded(text)
        rest = self.shared.rest(folded, edge)
        return text if rest is folded else rest

    def sample(self) -> list[str]:
        """Return distinct folded texts of no other data set, chosen by their hashes."""
        digests = self.digests()
        own = np.flatnonzero(np.frombuffer(self._places, np.int64)[::3] >= 2)
        _, first = np.unique(digests[own, 0], return_index=True)
        return [_folded(self.read(int(own[at])).text) for at in first[:SAMPLE]]

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

    def are_other_tasks(self, one: int, other: int) -> bool:
        """Whether two documents ask for different things behind a preamble of their own."""
        mine, theirs = self.read(one), self.read(other)
        answers = mine.answer, theirs.answer
        turns = mine.text.split(TURN_END), theirs.text.split(TURN_END)
        if len(turns[0]) != len(turns[1]):
            return are_other_tasks(mine.text, theirs.text, answers)
        return any(are_other_tasks(*pair, answers) for pair in zip(*turns, strict=True))

    def mention_different_languages(self, one: int, other: int) -> bool:
        """Whether each of two texts names a programming language that the other does not."""
        mine, theirs = (set(named_languages(self.read(number).text)) for number in (one, other))
        return bool(mine - theirs) and bool(theirs - mine)

    def differ_in_operators(self, one: int, other: int) -> bool:
        """Whether two texts have the same words and other operators in their code."""
        mine, theirs = (self.read(number).text for number in (one, other))
        signs = operators_in_code(mine), operators_in_code(theirs)
        return all(signs) and signs[0] != signs[1] and _words_in(mine) == _words_in(theirs)

    def texts(self, numbers: Sequence[int]) -> Iterator[str]:
        """Yield what some documents are compared by."""
        return map(self.compared, numbers)


_INLINE_CODE = re.compile(r"`([^`\n]+)`")
_OPERATOR = re.compile(r"[-+*/%<>=!&|^~@]+")


def operators_in_code(text: str) -> tuple[str, ...]:
    """Return the operators in fences and between ticks.

    >>> operators_in_code("- What is `a << b`?")
    ('<<',)
    """
    if "`" not in text:
        return ()
    codes = [block.code for block in code_blocks(text)] + _INLINE_CODE.findall(without_code(text))
    return tuple(found for code in codes for found in _OPERATOR.findall(code))


def _words_in(text: str) -> list[str]:
    return [word for word, *_ in word_spans(fold(text))]


def _folded(text: str) -> str:
    return TURN_END.join(map(fold, text.split(TURN_END)))


def _words(text: str, n: int) -> tuple[int, ...]:
    """Hash a text to `n` 64-bit integers."""
    digest = hashlib.blake2b(text.encode(), digest_size=8 * n).digest()
    return tuple(int.from_bytes(digest[8 * at : 8 * at + 8], "big") for at in range(n))


MIN_PLANES = 6
BLOCK = 8192
"""Vectors per matrix product."""


class VectorIndex:
    """One unit vector per document, by its number."""

    def __init__(self, corpus: Corpus, embedder: Embedder, order: Sequence[int]) -> None:
        """Embed all documents in `order`, which must not depend on the order of arrival."""
        with temporary_file_errors():
            self._file = tempfile.TemporaryFile(prefix="evolcoder-vectors-")  # noqa: SIM115 - closed later
        self._n, self._width = len(order), 0
        for start in range(0, self._n, BATCH):
            numbers = order[start : start + BATCH]
            rows = embedder.embed(list(corpus.texts(numbers)))
            self._width = rows.shape[1]
            for number, row in zip(numbers, rows, strict=True):
                with temporary_file_errors():
                    self._file.seek(4 * self._width * number)
                    self._file.write(row.astype(np.float32).tobytes())

    def close(self) -> None:
        """Delete the vectors."""
        with suppress(OSError):  # a full disk was reported on writing
            self._file.close()

    def cosine(self, one: int, other: int) -> float:
        """Return the cosine of two vectors, in double precision."""
        a, b = (self._read(number, 1)[0].astype(np.float64) for number in (one, other))
        return _cosine(a, b)

    def keys(self, threshold: float, seed: int) -> "NDArray[np.uint64]":
        """Return one key per vector and band: (n, b)."""
        n_planes = max(MIN_PLANES, min(32, math.ceil(math.log2(self._n + 1)) - 2))
        n_bands = _bands_for(threshold, n_planes)
        planes = _planes(self._width, n_bands * n_planes, seed)
        weights = np.uint64(1) << np.arange(n_planes, dtype=np.uint64)
        found = np.empty((self._n, n_bands), np.uint64)
        for start in range(0, self._n, BLOCK):
            rows = self._read(start, min(BLOCK, self._n - start))
            sides = (rows @ planes > 0).reshape(len(rows), n_bands, n_planes)
            found[start : start + len(rows)] = (sides * weights).sum(axis=2, dtype=np.uint64)
        return found

    def _read(self, start: int, n: int) -> "NDArray[np.float32]":
        size = 4 * self._width
        with temporary_file_errors():
            self._file.seek(size * start)
            return np.frombuffer(self._file.read(size * n), np.float32).reshape(n, self._width)


def _cosine(one: "NDArray[np.float64]", other: "NDArray[np.float64]") -> float:
    return float(np.clip(one @ other, -1, 1))


def _bands_for(threshold: float, n_planes: int) -> int:
    """Return the number of bands at which pairs at the threshold are found with `MIN_RECALL`."""
    same_side = 1 - math.acos(threshold) / math.pi
    missed = 1 - same_side**n_planes
    return 1 if missed <= 0 else math.ceil(math.log(1 - MIN_RECALL) / math.log(missed))


def _planes(width: int, n: int, seed: int) -> "NDArray[np.float32]":
    rng = rng_for(seed, "planes")
    numbers = [rng.gauss(0, 1) for _ in range(width * n)]
    return np.array(numbers, np.float32).reshape(width, n)


TURN_SIMILARITY = 0.8
"""Minimum Jaccard index of each pair of turns of two chats that are duplicates."""
SHINGLE_CACHE_CHARS = 8 << 20
"""Size of the shingle cache, in characters of text."""
EXCERPT_CHARS = 300
"""Maximum length of the excerpts in a `Duplicate`."""


class DuplicateKind(StrEnum):
    """Kinds of duplicates. Values are stored and reported; never rename one."""

    EXACT = "exact"
    NEAR = "near"
    MEANING = "meaning"


class Matcher(Protocol):
    """Finds one kind of duplicates."""

    kind: DuplicateKind
    """The kind."""
    threshold: float
    """Minimum similarity of a duplicate."""
    lsh: LshIndex
    """Proposes candidates."""

    def similarity(self, one: int, other: int) -> float:
        """Return the similarity of two documents, from 0 to 1."""
        ...


class ExactMatcher:
    """Matches equal folded texts."""

    kind = DuplicateKind.EXACT
    threshold = 1.0

    def __init__(self, corpus: Corpus) -> None:
        self._digests = corpus.digests()
        self.lsh = LshIndex(self._digests[:, :1])

    def similarity(self, one: int, other: int) -> float:
        """Compare all 128 bits of the hashes; the index uses only half of them."""
        return float(np.array_equal(self._digests[one], self._digests[other]))


class NearMatcher:
    """Matches texts with a high Jaccard index of shingles that do not ask for different things."""

    kind = DuplicateKind.NEAR

    def __init__(self, corpus: Corpus, keys: "NDArray[np.uint64]", threshold: float) -> None:
        self.threshold = threshold
        self.lsh = LshIndex(keys)
        self._corpus = corpus
        self._cache: OrderedDict[int, tuple[frozenset[str], int]] = OrderedDict()
        self._chars = 0

    def similarity(self, one: int, other: int) -> float:
        """Return the exact Jaccard index; 0 if the texts are less alike without what all share."""
        found = jaccard(self._shingles(one), self._shingles(other))
        if found < self.threshold or self._corpus.are_other_tasks(one, other):
            return 0.0
        if self._corpus.shared:
            whole = [shingles(fold(self._corpus.read(number).text)) for number in (one, other)]
            return jaccard(*whole)
        return found

    def _shingles(self, number: int) -> frozenset[str]:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number][0]
        text = self._corpus.compared(number, EDGE)
        found = shingles(fold(text))
        self._cache[number] = found, len(text)
        self._chars += len(text)
        while self._chars > SHINGLE_CACHE_CHARS and len(self._cache) > 2:
            self._chars -= self._cache.popitem(last=False)[1][1]
        return found


class EmbeddingMatcher:
    """Matches texts with a high cosine of embeddings."""

    kind = DuplicateKind.MEANING

    def __init__(
        self,
        corpus: Corpus,
        vectors: VectorIndex,
        embedder: Embedder,
        *,
        threshold: float,
        seed: int,
    ) -> None:
        self.threshold = threshold
        self.lsh = LshIndex(vectors.keys(threshold, seed))
        self._corpus, self._vectors, self._embedder = corpus, vectors, embedder

    def similarity(self, one: int, other: int) -> float:
        """Return the cosine; of other tasks behind one preamble, that without it if it is lower."""
        cosine = self._vectors.cosine(one, other)
        if cosine < self.threshold or not self._corpus.are_other_tasks(one, other):
            return cosine
        texts = rests(*self._corpus.texts((one, other)))
        if texts is None:
            return cosine
        return min(cosine, _cosine(*self._embedder.embed(texts).astype(np.float64)))


@dataclass(frozen=True, slots=True)
class Similarity:
    """Thresholds by kind; None or False disables a kind."""

    exact: bool = True
    """Whether equal texts are duplicates."""
    near: float | None = 0.8
    """Minimum Jaccard index of shingles."""
    meaning: float | None = None
    """Minimum cosine of embeddings."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A dropped document and the kept one that it duplicates."""

    number: int
    """Number of the document in the order of arrival, from 0."""
    id: str
    """Id of the document."""
    match: str
    """Id of the kept document."""
    match_number: int
    """Number of the kept document."""
    kind: DuplicateKind
    """Kind of duplicate."""
    similarity: float
    """Similarity, from 0 to 1."""
    seen: str
    """Excerpt of the document's text without a shared header, on one line."""
    match_seen: str
    """Excerpt of the kept document's text likewise."""


def find_duplicates(
    documents: Iterable[Document],
    thresholds: Similarity,
    *,
    seed: int,
    embedder: Embedder | None = None,
    shared: list[str] | None = None,
    leaks: Mapping[int, Collection[DuplicateKind]] | None = None,
) -> Iterator[Duplicate]:
    """Yield the duplicates, in order of precedence; `meaning` requires an embedder.

    Excerpts of a header that was left out of comparisons are added to `shared`. `leaks` are the
    numbers of documents that leave anyway, each with the kinds of duplicates that leave with it; it
    is read after the documents.
    """
    with ExitStack() as stack:
        corpus = stack.enter_context(Corpus())
        signatures = MinHasher(thresholds.near, seed) if thresholds.near is not None else None
        for document in documents:
            folded = corpus.add(document)
            if signatures is not None:
                signatures.add(folded)
        if len(corpus) < 2:
            return
        if thresholds.near is not None or thresholds.meaning is not None:
            corpus.shared = find_shared(corpus.sample())
        if shared is not None:
            shared += corpus.shared.blocks
        if signatures is not None and corpus.shared:
            signatures = MinHasher(signatures.threshold, seed)
            for number in range(len(corpus)):
                signatures.add(fold(corpus.compared(number, EDGE)))
        order: list[int] = corpus.precedence().tolist()
        matchers: list[Matcher] = [ExactMatcher(corpus)] if thresholds.exact else []
        if signatures is not None:
            matchers.append(NearMatcher(corpus, signatures.keys(), signatures.threshold))
        if thresholds.meaning is not None and embedder is not None:
            vectors = VectorIndex(corpus, embedder, order)
            stack.callback(vectors.close)
            matchers.append(
                EmbeddingMatcher(corpus, vectors, embedder, threshold=thresholds.meaning, seed=seed)
            )
        yield from _deduplicate(corpus, order, matchers, leaks or {})


def _deduplicate(
    corpus: Corpus,
    order: list[int],
    matchers: list[Matcher],
    leaks: Mapping[int, Collection[DuplicateKind]],
) -> Iterator[Duplicate]:
    """Process documents by precedence: each is reported as a duplicate or kept."""
    places = array("i", bytes(4 * len(order)))
    for place, number in enumerate(order):
        places[number] = place
        is_fixed = number in leaks or corpus.is_external(number)
        found = None if is_fixed else _match(corpus, number, places, matchers)
        if found is not None:
            yield found
            continue
        for matcher in matchers:
            if number not in leaks or matcher.kind in leaks[number]:
                matcher.lsh.add(number)


def _match(
    corpus: Corpus, number: int, places: "array[int]", matchers: list[Matcher]
) -> Duplicate | None:
    """Return the most similar kept document, by the first matcher that has one."""
    for matcher in matchers:
        matches = [
            (similarity, -places[other], other)
            for other in matcher.lsh.candidates(number)
            if not corpus.is_parent_and_child(number, other)
            and not corpus.differ_in_context(number, other)
            and (similarity := matcher.similarity(number, other)) >= matcher.threshold
            and (
                matcher.kind is DuplicateKind.EXACT
                or not (
                    corpus.mention_different_languages(number, other)
                    or corpus.differ_in_a_turn(number, other, TURN_SIMILARITY)
                    or corpus.differ_in_operators(number, other)
                )
            )
        ]
        if matches:
            similarity, _, other = max(matches)
            return _duplicate(corpus, number, other, matcher.kind, similarity)
    return None


def _duplicate(
    corpus: Corpus, number: int, other: int, kind: DuplicateKind, similarity: float
) -> Duplicate:
    return Duplicate(
        number,
        corpus.read(number).id,
        corpus.read(other).id,
        other,
        kind,
        round(similarity, 6),
        one_line(corpus.compared(number), EXCERPT_CHARS),
        one_line(corpus.compared(other), EXCERPT_CHARS),
    )
