"""Leaks by common n-grams: of words, and of code where a gram is a statement with its names gone.

Promises: order of statements, names, layout and comments make no difference, nor does the place of
a text in a longer one. A gram counts by how rare it is, in the benchmark and among rows that are
otherwise unlike it, so that boilerplate finds nothing; many copies of one problem do not make it
common. Rows are read once, in any order, and what is kept is what may be a hit. Does not find other
words for the same (`neighbours`, `judge`), nor another solution (execution).

    grams = Ngrams(items)
    for row in rows:
        grams.look(row.id, read(row.task), read(row.answer))
    hits = grams.hits()
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2

from evolcoder.code.normalize import NormalizedText, lines, statements, words_of
from evolcoder.decontamination.benchmark_texts import BenchmarkText
from evolcoder.decontamination.hits import SEEN_CHARS, Detector, Hit, RowField, TextSpan
from evolcoder.text import one_line

WORDS = 3
"""Words of a gram of prose."""
LEAST_BITS = {TextSpan.PROMPT: 24.0, TextSpan.SOLUTION: 20.0, TextSpan.TESTS: 24.0}
"""Least information that row and problem must share: several rare grams."""
LEAST_BITS_OF_ALL = {TextSpan.PROMPT: 20.0, TextSpan.SOLUTION: 11.0, TextSpan.TESTS: 24.0}
"""Least information where nearly all of the problem's side is in the row."""
NEARLY_ALL = 0.95
"""Share from which that holds."""
TELLING_BITS = 5.0
"""A gram with less is found everywhere; many of them together say no more (`n += 1`)."""
MAX_BITS = 16.0
"""What one statement can tell at most."""
LEAST_SHARE = {TextSpan.PROMPT: 0.7, TextSpan.SOLUTION: 0.75, TextSpan.TESTS: 0.3}
"""Least part of the problem's information that must be in the row."""
LEAST_WORDS = 0.8
"""Least part of the prompt's single words, by their information: a problem in one sentence is told
from its neighbours by one word, such as `polygon`."""
PRIOR_ROWS = 1000
"""Rows without a gram that every data set is taken to have seen, so that small ones say little."""

Gram = str | tuple[str, ...]
Slot = tuple[int, TextSpan, int]
"""Place of an item, its side, and which form of that side: statements, or lines as they are."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: str
    slot: Slot
    part: RowField
    shared: tuple[Gram, ...]


class NgramDetector:
    """An index over the grams of benchmarks, and what rows have in common with it so far."""

    def __init__(self, items: Sequence[BenchmarkText]) -> None:
        self._items = items
        self._sides: dict[Slot, frozenset[Gram]] = dict(_sides(items))
        self._holders: defaultdict[Gram, list[Slot]] = defaultdict(list)
        for slot, grams in self._sides.items():
            for gram in grams:
                self._holders[gram].append(slot)
        self._bits = _weights(items, self._holders)
        self._whole = {slot: self._sum(grams) for slot, grams in self._sides.items()}
        self._vocabulary = Vocabulary(items)
        self._elsewhere: Counter[Gram] = Counter()
        self._n_rows = 0
        self._candidates: list[_Candidate] = []

    def look(self, row: str, task: NormalizedText, answer: NormalizedText) -> None:
        """Note what a row has in common with any problem."""
        self._n_rows += 1
        for part, reading in ((RowField.TASK, task), (RowField.ANSWER, answer)):
            self._look_at(row, part, reading)

    def hits(self) -> list[Hit]:
        """Weigh what was noted by all rows seen so far."""
        bits = {gram: self._final(gram) for found in self._candidates for gram in found.shared}
        return [hit for found in self._candidates if (hit := self._judged(found, bits))]

    def _look_at(self, row: str, part: RowField, reading: NormalizedText) -> None:
        shared: defaultdict[Slot, list[Gram]] = defaultdict(list)
        known = self._holders.keys() & grams_of(reading)
        for gram in known:
            for slot in self._holders[gram]:
                shared[slot].append(gram)
        alike: set[Gram] = set()
        for slot, common in shared.items():
            if self._is_enough(slot, common, self._whole[slot], self._bits) and self._has_the_words(
                slot, reading
            ):
                alike.update(common)
                self._candidates.append(_Candidate(row, slot, part, tuple(common)))
        self._elsewhere.update(known - alike)

    def _is_enough(
        self, slot: Slot, common: Iterable[Gram], whole: float, bits: Mapping[Gram, float]
    ) -> bool:
        told = sorted(bits[gram] for gram in common)
        shared = sum(told)
        least = LEAST_BITS_OF_ALL if shared >= NEARLY_ALL * whole else LEAST_BITS
        telling = sum(each for each in told if each >= TELLING_BITS)
        return telling >= least[slot[1]] and shared >= LEAST_SHARE[slot[1]] * whole

    def _has_the_words(self, slot: Slot, reading: NormalizedText) -> bool:
        if slot[1] is not TextSpan.PROMPT:
            return True
        return self._vocabulary.coverage(slot[0], reading.words) >= LEAST_WORDS

    def _sum(self, grams: Iterable[Gram]) -> float:
        return sum(self._bits[gram] for gram in grams)

    def _final(self, gram: Gram) -> float:
        among_rows = log2((self._n_rows + PRIOR_ROWS) / (self._elsewhere[gram] + 1))
        return min(self._bits[gram], among_rows)

    def _judged(self, found: _Candidate, bits: Mapping[Gram, float]) -> Hit | None:
        shared = sum(sorted(bits[gram] for gram in found.shared))
        missing = self._sides[found.slot].difference(found.shared)
        whole = shared + sum(sorted(self._final(gram) for gram in missing))
        if not self._is_enough(found.slot, found.shared, whole, bits):
            return None
        item, side = self._items[found.slot[0]], found.slot[1]
        heaviest = sorted(found.shared, key=lambda gram: (-bits[gram], _said(gram)))
        seen = one_line(" | ".join(map(_said, heaviest)), SEEN_CHARS)
        share = round(shared / whole, 4)
        return Hit(
            found.row, item.benchmark, item.id, Detector.NGRAMS, found.part, side, seen, share
        )


class Vocabulary:
    """How telling each word of the problems' wordings is."""

    def __init__(self, items: Sequence[BenchmarkText]) -> None:
        self._words = [frozenset(words_of(item.wording)) for item in items]
        holders: defaultdict[Gram, list[Slot]] = defaultdict(list)
        for at, said in enumerate(self._words):
            for word in said:
                holders[(word,)].append((at, TextSpan.PROMPT, 0))
        self._bits = rarity(items, holders)

    def coverage(self, at: int, said: Iterable[str]) -> float:
        """Return the part of a problem's words, by their information, that a text has."""
        missing = self._words[at].difference(said)
        whole = sum(self._bits[(word,)] for word in self._words[at])
        return 1 - sum(self._bits[(word,)] for word in missing) / whole if whole else 1.0


def grams_of(reading: NormalizedText) -> frozenset[Gram]:
    """Return the grams of a text: of its words, and the statements of its code."""
    return frozenset[Gram](word_grams(reading.words)) | reading.statements


def word_grams(said: Sequence[str]) -> set[tuple[str, ...]]:
    """Return all runs of WORDS words; a shorter text is one gram."""
    if len(said) < WORDS:
        return {tuple(said)} if said else set()
    return set(zip(*(said[at:] for at in range(WORDS)), strict=False))


def rarity(
    items: Sequence[BenchmarkText], holders: Mapping[Gram, Sequence[Slot]]
) -> dict[Gram, float]:
    """Say in bits how rare each gram is, by the benchmark in which most problems have it."""
    sizes = Counter(item.benchmark for item in items)
    found = {}
    for gram, slots in holders.items():
        held = Counter(items[at].benchmark for at in {slot[0] for slot in slots})
        found[gram] = min(log2((sizes[name] + 1) / count) for name, count in held.items())
    return found


def _weights(
    items: Sequence[BenchmarkText], holders: Mapping[Gram, Sequence[Slot]]
) -> dict[Gram, float]:
    """Say how much each gram tells: its rarity, and that of its parts where a statement is long."""
    bits = rarity(items, holders)
    of_parts: defaultdict[Gram, list[Slot]] = defaultdict(list)
    for gram, slots in holders.items():
        for part in set(gram.split()) if isinstance(gram, str) else ():
            of_parts[part].extend(slots)
    parts = rarity(items, of_parts)
    for gram, rare in bits.items():
        if isinstance(gram, str):
            told = sum(parts[part] for part in sorted(set(gram.split())))
            bits[gram] = min(MAX_BITS, told) if _is_single(holders[gram]) else min(rare, told)
    return bits


def _is_single(slots: Sequence[Slot]) -> bool:
    return len({slot[0] for slot in slots}) == 1


def _sides(items: Sequence[BenchmarkText]) -> Iterable[tuple[Slot, frozenset[Gram]]]:
    for at, item in enumerate(items):
        yield (at, TextSpan.PROMPT, 0), frozenset(word_grams(words_of(item.wording)))
        for side, code in ((TextSpan.SOLUTION, item.solution), (TextSpan.TESTS, item.tests)):
            yield (at, side, 0), statements(code, item.language)
            yield (at, side, 1), lines(code, item.language)


def _said(gram: Gram) -> str:
    return gram if isinstance(gram, str) else " ".join(gram)
