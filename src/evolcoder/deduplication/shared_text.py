"""Text that many documents share, such as a header, a footer or a prompt around each task.

Documents under one long header are alike by its words alone, so near and semantic duplicates are
compared without it. Shared are the word 3-grams of at least `MIN_SHARE` of the distinct documents,
where they cover `MIN_BLOCK_WORDS` words in a row, and of `MIN_MINORITY` of them, where they cover
`MIN_MINORITY_WORDS`; words that far fewer documents have than most of their block belong to the
task. A block is a header if most documents with it say more: `MIN_REST_WORDS` words in a row that
few have, or words at a place where other documents have others, even if it is one. So tasks that
differ in one word under a header are two tasks, and copies of one text with a word changed here and
there stay duplicates even if they are most of the data. Words of courtesy, numbers of questions and
numbers within names say nothing; a document that says nothing else is compared whole. Documents are
sampled by their hashes, so the order of arrival does not matter.

>>> header = "answer in one block of code that runs as it is, and name it well: "
>>> tasks = ("sort the names", "merge two trees", "split long words", "join short lines")
>>> find_shared([header + task for task in tasks]).rest(f"{header}sort the trees")
'sort the trees'
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
MIN_MINORITY = 0.05
"""Minimum share of them that has a 3-gram of a longer block."""
MIN_MINORITY_DOCUMENTS = 6
"""Minimum number of them that has it."""
MIN_MINORITY_WORDS = 40
"""Minimum words in a row of such a block."""
MIN_HEIGHT = 0.8
"""Words of a block that fewer documents have than this share of those that have most of it are
none of it."""
MIN_REST_WORDS = 2
"""Minimum words in a row, in no shared 3-gram, that few documents have."""
MIN_AROUND_SLOT = 30
"""Minimum shared words of a text in which one other word makes another task; in a shorter text,
texts that differ in a word are less alike than near duplicates."""
MIN_SLOT_SHARE = 0.125
"""Minimum share of the documents with a block that say something at the same place of it."""
MIN_SLOT_VALUES = 3
"""Minimum number of different things that they say there."""
MIN_USUAL = 2 / 3
"""Minimum share of these that has a word which copies of one text have in common."""
MAX_SHOWN = 5
"""Blocks that are reported."""
EXCERPT_CHARS = 300
"""Maximum length of a reported block."""
EDGE = " \u02d0 \u02d0 "
"""Two signs that are words of no task. Around a part, they make a word at its end count for as many
3-grams as one within it."""
COURTESY = frozenset("hello hi kindly please pls thank thanks thx".split())
"""Words that are not compared under a header."""
PASSING = frozenset("again also just now ok okay soon today you".split())
"""Words that make no other task at the ends of one."""
LINKING = frozenset(
    """a an and are as at be by can could do does for from i in is it its me my of on or our that
    the their this to us we will with would your""".split()
)
"""Words that make no task alone."""
LABELS = frozenset(
    "case example exercise id item no nr problem q question row sample task test ticket".split()
)
"""Words before a number that counts rows."""


Gram = tuple[str, ...]
Spans = list[tuple[str, int, int]]
"""Words with their start and end."""
Slot = tuple[str, ...]
"""A place in a block: the words before it, none at the start of a text."""


class _Run(NamedTuple):
    is_block: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SharedText:
    """What many documents share; false if there is nothing."""

    grams: Mapping[Gram, int] = field(default_factory=dict)
    """Shared word 3-grams, with the number of documents that have each."""
    least: float = 0
    """Number of documents from which on a gram makes short blocks."""
    common: frozenset[str] = frozenset()
    """Words that many documents have."""
    slots: frozenset[Slot] = frozenset()
    """Places at which many documents say what others do not."""
    blocks: tuple[str, ...] = ()
    """Excerpts of the shared text, on one line each."""

    def __bool__(self) -> bool:
        return bool(self.blocks)

    def rest(self, folded: str, edge: str = "") -> str:
        """Return a folded text without what is shared; the whole text if too little remains.

        With an `edge`, return the words of each part, with the edge before and after.
        """
        spans = _spans(folded)
        runs = self.runs(spans)
        if not any(run.is_block for run in runs) or not self._says_more(spans):
            return folded
        kept = (_said(spans, run) for run in runs if not run.is_block)
        full = [run for run in kept if run.start < run.end]
        if not edge:
            return " ".join(_text(folded, spans, run) for run in full)
        words = ([word for word, *_ in spans[run.start : run.end]] for run in full)
        return " ".join(f"{edge}{' '.join(some)}{edge}" for some in words)

    def runs(self, spans: Spans) -> list[_Run]:
        """Split words into blocks and what is between them."""
        return [*_runs(_heights(spans, self.grams), self.least)]

    def _says_more(self, spans: Spans) -> bool:
        heights = _heights(spans, self.grams)
        is_in_slot = any(slot in self.slots for slot, _ in _values(spans, heights))
        return is_in_slot or _has_rare_words(spans, heights, self.common)


def find_shared(folded: Iterable[str]) -> SharedText:
    """Find what a sample of distinct folded texts shares."""
    texts = [(text, _spans(text)) for text in folded]
    least = max(MIN_DOCUMENTS, MIN_SHARE * len(texts))
    fewest = min(least, max(MIN_MINORITY_DOCUMENTS, MIN_MINORITY * len(texts)))
    grams = _frequent((gram for _, spans in texts for gram in set(_grams(spans))), fewest)
    words = (word for _, spans in texts for word in {span[0] for span in spans})
    shared = SharedText(grams, least, frozenset(_frequent(words, least)))
    split = [(text, spans, shared.runs(spans)) for text, spans in texts]
    with_block = [one for one in split if any(run.is_block for run in one[2])]
    blocks: Counter[str] = Counter()
    for text, spans, runs in with_block:
        for run in (run for run in runs if run.is_block):
            blocks[_text(text, spans, run)] += 1
    shared = replace(shared, slots=_slots([spans for _, spans, _ in with_block], grams))
    n_more = sum(shared._says_more(spans) for _, spans, _ in with_block)  # noqa: SLF001
    if 2 * n_more < len(with_block) or not blocks:
        return SharedText()
    return replace(shared, blocks=tuple(_shown(blocks)))


def _spans(folded: str) -> Spans:
    return [span for span in word_spans(folded) if span[0] not in COURTESY]


def _slots(documents: Sequence[Spans], grams: Mapping[Gram, int]) -> frozenset[Slot]:
    """Return the places of blocks at which many documents say something, and not the same."""
    said: defaultdict[Slot, list[Gram]] = defaultdict(list)
    for spans in documents:
        for slot, words in dict(_values(spans, _heights(spans, grams))).items():
            said[slot].append(words)
    least = max(MIN_SLOT_VALUES, MIN_SLOT_SHARE * len(documents))
    return frozenset(
        slot for slot, values in said.items() if len(values) >= least and _differ(values)
    )


def _differ(values: list[Gram]) -> bool:
    """Whether values are tasks rather than one text with a word changed here and there.

    A copy lacks the word that was changed, which most others have, or says what most say.
    """
    counts = Counter(values)
    in_values = Counter(word for value in values for word in set(value))
    usual = {word for word, count in in_values.items() if count >= MIN_USUAL * len(values)}
    n_copies = sum(not usual < set(value) for value in values)
    return len(counts) >= MIN_SLOT_VALUES and 2 * n_copies <= len(values)


_NUMBER_IN_NAME = re.compile(r"(?<=[a-z])_?\d+$")


def _values(spans: Spans, heights: Sequence[int]) -> Iterator[tuple[Slot, Gram]]:
    """Yield what a document says where it differs from most others, with the place.

    Words that make no task are left out, and so are the numbers in names.
    """
    usual = _usual(heights)
    is_low = [height < usual for height in heights]
    if is_low.count(False) < MIN_AROUND_SLOT:
        return
    for start, end in _pieces(is_low):
        at_all = [spans[at][0] for at in range(start, end) if not counts_rows(spans, at)]
        words = [word for word in at_all if word not in PASSING | LABELS | LINKING]
        if is_low[start] and words:
            slot = tuple(word for word, *_ in spans[max(0, start - 2) : start])
            yield slot, tuple(map(without_number, words))


def without_number(word: str) -> str:
    """Return a word without the number at the end of a name."""
    return _NUMBER_IN_NAME.sub("", word)


def counts_rows(spans: Spans, at: int) -> bool:
    """Whether a word is the number of a row, behind a label such as `question`."""
    return spans[at][0].isdigit() and at > 0 and spans[at - 1][0] in LABELS


def _said(spans: Spans, run: _Run) -> _Run:
    """Return a run without passing words and the number of a row at its ends."""
    start, end = run.start, run.end
    while start < end and (spans[start][0] in PASSING or _is_label(spans, start, end)):
        start += 1
    while start < end and spans[end - 1][0] in PASSING:
        end -= 1
    return _Run(run.is_block, start, end)


def _is_label(spans: Spans, at: int, end: int) -> bool:
    """Whether a word counts rows, or stands before a number that does."""
    return counts_rows(spans, at) or (at + 1 < end and counts_rows(spans, at + 1))


T = TypeVar("T", bound=Hashable)


def _frequent(values: Iterable[T], least: float) -> dict[T, int]:
    return {value: count for value, count in Counter(values).items() if count >= least}


def _has_rare_words(spans: Spans, heights: Sequence[int], common: frozenset[str]) -> bool:
    """Whether enough words in a row are in no shared 3-gram and in few documents."""
    for start, end in _pieces([not height for height in heights]):
        words = {word for word, *_ in spans[start:end]} - common
        if not heights[start] and sum(not word.isdigit() for word in words) >= MIN_REST_WORDS:
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


def _heights(spans: Spans, grams: Mapping[Gram, int]) -> list[int]:
    """Return for each word how many documents have the most frequent gram that covers it."""
    heights = [0] * len(spans)
    for at, gram in enumerate(_grams(spans)):
        count = grams.get(gram, 0)
        for place in range(at, at + SHINGLE_WORDS) if count else ():
            heights[place] = max(heights[place], count)
    return heights


def _usual(heights: Sequence[int]) -> float:
    """Return the least height of a word that belongs to what most words belong to."""
    found = sorted(filter(None, heights))
    return MIN_HEIGHT * found[len(found) // 2] if found else 0


def _pieces(flags: list[bool]) -> Iterator[tuple[int, int]]:
    """Split flags into runs of equal ones."""
    start = 0
    for at in range(1, len(flags) + 1):
        if at == len(flags) or flags[at] != flags[start]:
            yield start, at
            start = at


def _runs(heights: list[int], least: float) -> Iterator[_Run]:
    """Split words into blocks and what is between them."""
    is_in_block = [False] * len(heights)
    for floor, n_words in ((least, MIN_BLOCK_WORDS), (1, MIN_MINORITY_WORDS)):
        for start, end in _pieces([height >= floor for height in heights]):
            if heights[start] >= floor and end - start >= n_words:
                is_in_block[start:end] = [True] * (end - start)
    for start, end in [*_pieces(is_in_block)] if any(is_in_block) else ():
        usual = _usual(heights[start:end])
        is_low = [height < usual for height in heights[start:end]]
        for begin, stop in _pieces(is_low):
            if is_in_block[start] and is_low[begin] and stop - begin < MIN_BLOCK_WORDS:
                is_in_block[start + begin : start + stop] = [False] * (stop - begin)
    for start, end in _pieces(is_in_block):
        yield _Run(is_in_block[start], start, end)
