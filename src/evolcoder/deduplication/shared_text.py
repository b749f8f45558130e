"""Text that many documents share, such as a header, a footer or a prompt around each task.

Documents under one long header are alike by its words alone, so near and semantic duplicates are
compared without it. Shared are the word 3-grams of at least `MIN_SHARE` of the distinct documents,
where they cover `MIN_BLOCK_WORDS` words in a row, if most documents with them say more: at least
`MIN_REST_WORDS` words in a row that few have. So copies of one text with a word changed here and
there stay duplicates even if they are most of the data, and a document that says nothing else is
compared whole. Documents are sampled by their hashes, so the order of arrival does not matter.

>>> header = "answer in one block of code that runs as it is, and name it well: "
>>> tasks = ("sort the names", "merge two trees", "split long words", "join short lines")
>>> find_shared([header + task for task in tasks]).rest(f"{header}sort the trees")
'sort the trees'
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from evolcoder.deduplication.minhash import SHINGLE_WORDS, word_spans
from evolcoder.text import one_line

SAMPLE = 256
"""Distinct documents in which shared text is looked for."""
MIN_SHARE = 0.3
"""Minimum share of them that has a 3-gram."""
MIN_DOCUMENTS = 4
"""Minimum number of them that has it."""
MIN_BLOCK_WORDS = 12
"""Minimum words in a row that are left out."""
MIN_REST_WORDS = 2
"""Minimum words in a row, in no shared 3-gram, that few documents have."""
MAX_SHOWN = 5
"""Blocks that are reported."""
EXCERPT_CHARS = 300
"""Maximum length of a reported block."""


Gram = tuple[str, ...]
Spans = list[tuple[str, int, int]]
"""Words with their start and end."""


class _Run(NamedTuple):
    is_block: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SharedText:
    """What many documents share; false if there is nothing."""

    grams: frozenset[Gram] = frozenset()
    """Word 3-grams of the shared text."""
    common: frozenset[str] = frozenset()
    """Words that many documents have."""
    blocks: tuple[str, ...] = ()
    """Excerpts of the shared text, on one line each."""

    def __bool__(self) -> bool:
        return bool(self.blocks)

    def rest(self, folded: str) -> str:
        """Return a folded text without what is shared; the whole text if too little remains."""
        spans = word_spans(folded)
        covered = _covered(spans, self.grams)
        if not _says_more(spans, covered, self.common):
            return folded
        kept = (run for run in _runs(covered) if not run.is_block)
        return " ".join(_text(folded, spans, run) for run in kept)


def find_shared(folded: Iterable[str]) -> SharedText:
    """Find what a sample of distinct folded texts shares."""
    texts = [(text, word_spans(text)) for text in folded]
    least = max(MIN_DOCUMENTS, MIN_SHARE * len(texts))
    grams = _frequent((gram for _, spans in texts for gram in set(_grams(spans))), least)
    if not grams:
        return SharedText()
    common = _frequent((word for _, spans in texts for word in {span[0] for span in spans}), least)
    blocks: Counter[str] = Counter()
    in_blocks: set[Gram] = set()
    n_with = n_more = 0
    for text, spans in texts:
        covered = _covered(spans, grams)
        found = [run for run in _runs(covered) if run.is_block]
        blocks.update(_text(text, spans, run) for run in found)
        for run in found:
            in_blocks.update(_grams(spans[run.start : run.end]))
        n_with += bool(found)
        n_more += bool(found) and _says_more(spans, covered, common)
    if 2 * n_more < n_with:
        return SharedText()
    return SharedText(frozenset(in_blocks), common, tuple(_shown(blocks)))


T = TypeVar("T", bound=Hashable)


def _frequent(values: Iterable[T], least: float) -> frozenset[T]:
    return frozenset(value for value, count in Counter(values).items() if count >= least)


def _says_more(spans: Spans, covered: bytes, common: frozenset[str]) -> bool:
    """Whether enough words in a row are in no shared 3-gram and in few documents."""
    for run in _pieces(covered):
        if not covered[run.start]:
            words = {word for word, *_ in spans[run.start : run.end]} - common
            if sum(not word.isdigit() for word in words) >= MIN_REST_WORDS:
                return True
    return False


def _shown(blocks: Counter[str]) -> Iterator[str]:
    """Yield the most frequent blocks, none of which is in another one."""
    seen: list[str] = []
    for block, _ in sorted(blocks.items(), key=lambda pair: (-pair[1], pair[0])):
        if len(seen) < MAX_SHOWN and not any(block in one or one in block for one in seen):
            seen.append(block)
            yield one_line(block, EXCERPT_CHARS)


def _text(text: str, spans: Spans, run: _Run) -> str:
    return text[spans[run.start][1] : spans[run.end - 1][2]]


def _grams(spans: Spans) -> Iterator[Gram]:
    words = [word for word, *_ in spans]
    return zip(*(words[at:] for at in range(SHINGLE_WORDS)), strict=False)


def _covered(spans: Spans, grams: frozenset[Gram]) -> bytes:
    """Return for each word whether it is in one of the grams."""
    covered = bytearray(len(spans))
    for at, gram in enumerate(_grams(spans)):
        if gram in grams:
            covered[at : at + SHINGLE_WORDS] = b"\1" * SHINGLE_WORDS
    return bytes(covered)


def _pieces(covered: bytes) -> Iterator[_Run]:
    """Split words into runs that are covered, and blocks if long enough, or are not."""
    at = 0
    while at < len(covered):
        end = covered.find(not covered[at], at)
        end = len(covered) if end < 0 else end
        yield _Run(bool(covered[at]) and end - at >= MIN_BLOCK_WORDS, at, end)
        at = end


def _runs(covered: bytes) -> Iterator[_Run]:
    """Split words into blocks and what is between them."""
    begun = 0
    for piece in _pieces(covered):
        if piece.is_block:
            if begun < piece.start:
                yield _Run(is_block=False, start=begun, end=piece.start)
            yield piece
            begun = piece.end
    if begun < len(covered):
        yield _Run(is_block=False, start=begun, end=len(covered))
