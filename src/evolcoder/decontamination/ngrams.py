"""Finds leaks by shared n-grams: word 3-grams of prose, and normalised statements of code.

Names, layout, comments, statement order and position in a longer text do not matter. Grams are
weighted by their rarity, in the benchmark and among dissimilar rows, so boilerplate is ignored, and
many copies of a problem do not make it common. Rows are streamed in any order; only potential hits
are kept. Does not find paraphrases (see `nearest` and `llm_judge`) or other solutions (see
`execution`).

    detector = NgramDetector(items)
    for row in rows:
        detector.add_row(row.id, read(row.task), read(row.answer))
    hits = detector.hits()
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2

from evolcoder.code.normalize import NormalizedText, lines, statements, words_of
from evolcoder.decontamination.hits import (
    SEEN_CHARS,
    BenchmarkText,
    Detector,
    Hit,
    RowField,
    TextSpan,
)
from evolcoder.text import one_line

WORDS = 3
"""Words per gram of prose."""
MIN_BITS = {TextSpan.PROMPT: 24.0, TextSpan.SOLUTION: 20.0, TextSpan.TESTS: 24.0}
"""Minimum information, in bits, shared by row and problem: several rare grams."""
MIN_BITS_OF_ALL = {TextSpan.PROMPT: 20.0, TextSpan.SOLUTION: 11.0, TextSpan.TESTS: 24.0}
"""Minimum information if nearly all of the problem's side is in the row."""
NEARLY_ALL = 0.95
"""Share from which "nearly all" applies."""
MIN_GRAM_BITS = 5.0
"""Grams below this are ubiquitous (`n += 1`) and do not count, however many."""
MAX_STATEMENT_BITS = 16.0
"""Upper bound for one statement."""
MIN_SHARE = {TextSpan.PROMPT: 0.7, TextSpan.SOLUTION: 0.75, TextSpan.TESTS: 0.3}
"""Minimum share of the problem's information that the row contains."""
MIN_WORDS = 0.8
"""Minimum share of the prompt's single words, weighted by information: a one-sentence problem may
differ from similar ones by a single word, such as `polygon`."""
PRIOR_ROWS = 1000
"""Smoothing: rows without a gram assumed in every data set, so that small ones change little."""

Gram = str | tuple[str, ...]
Slot = tuple[int, TextSpan, int]
"""Index of an item, its side, and the form: the number of its wording; of code, 0 for statements
and 1 for unmodified lines."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: str
    slot: Slot
    part: RowField
    shared: tuple[Gram, ...]


class NgramDetector:
    """Index over the grams of benchmarks, with the matches of all rows so far."""

    def __init__(self, items: Sequence[BenchmarkText]) -> None:
        self._items = items
        self._sides: dict[Slot, frozenset[Gram]] = dict(_sides(items))
        self._postings: defaultdict[Gram, list[Slot]] = defaultdict(list)
        for slot, grams in self._sides.items():
            for gram in grams:
                self._postings[gram].append(slot)
        self._bits = _weights(items, self._postings)
        self._whole = {slot: self._total_bits(grams) for slot, grams in self._sides.items()}
        self._vocabulary = Vocabulary(items)
        self._n_unrelated: Counter[Gram] = Counter()
        self._n_rows = 0
        self._candidates: list[_Candidate] = []

    def add_row(self, row: str, task: NormalizedText, answer: NormalizedText) -> None:
        """Record what a row shares with any problem."""
        self._n_rows += 1
        for part, text in ((RowField.TASK, task), (RowField.ANSWER, answer)):
            self._add_text(row, part, text)

    def hits(self) -> list[Hit]:
        """Return the hits, weighted by all rows added so far."""
        bits = {gram: self._final_bits(gram) for found in self._candidates for gram in found.shared}
        return [hit for found in self._candidates if (hit := self._hit(found, bits))]

    def _add_text(self, row: str, part: RowField, text: NormalizedText) -> None:
        shared: defaultdict[Slot, list[Gram]] = defaultdict(list)
        known = self._postings.keys() & grams_of(text)
        for gram in known:
            for slot in self._postings[gram]:
                shared[slot].append(gram)
        related: set[Gram] = set()
        for slot, common in shared.items():
            if self._is_enough(slot, common, self._whole[slot], self._bits) and self._covers_words(
                slot, text
            ):
                related.update(common)
                self._candidates.append(_Candidate(row, slot, part, tuple(common)))
        self._n_unrelated.update(known - related)

    def _is_enough(
        self, slot: Slot, common: Iterable[Gram], whole: float, bits: Mapping[Gram, float]
    ) -> bool:
        weights = sorted(bits[gram] for gram in common)
        shared = sum(weights)
        least = MIN_BITS_OF_ALL if shared >= NEARLY_ALL * whole else MIN_BITS
        informative = sum(each for each in weights if each >= MIN_GRAM_BITS)
        return informative >= least[slot[1]] and shared >= MIN_SHARE[slot[1]] * whole

    def _covers_words(self, slot: Slot, text: NormalizedText) -> bool:
        if slot[1] is not TextSpan.PROMPT:
            return True
        words = (*text.words, *text.relaid)
        return self._vocabulary.coverage(slot[0], words, form=slot[2]) >= MIN_WORDS

    def _total_bits(self, grams: Iterable[Gram]) -> float:
        return sum(self._bits[gram] for gram in grams)

    def _final_bits(self, gram: Gram) -> float:
        among_rows = log2((self._n_rows + PRIOR_ROWS) / (self._n_unrelated[gram] + 1))
        return min(self._bits[gram], among_rows)

    def _hit(self, found: _Candidate, bits: Mapping[Gram, float]) -> Hit | None:
        shared = sum(sorted(bits[gram] for gram in found.shared))
        missing = self._sides[found.slot].difference(found.shared)
        whole = shared + sum(sorted(self._final_bits(gram) for gram in missing))
        if not self._is_enough(found.slot, found.shared, whole, bits):
            return None
        item, side = self._items[found.slot[0]], found.slot[1]
        heaviest = sorted(found.shared, key=lambda gram: (-bits[gram], _format_gram(gram)))
        seen = one_line(" | ".join(map(_format_gram, heaviest)), SEEN_CHARS)
        share = round(shared / whole, 4)
        return Hit(
            found.row, item.benchmark, item.id, Detector.NGRAMS, found.part, side, seen, share
        )


class Vocabulary:
    """Weights of the words in the problems' prose."""

    def __init__(self, items: Sequence[BenchmarkText]) -> None:
        self._words = [[frozenset(words_of(one)) for one in item.wordings] for item in items]
        postings: defaultdict[Gram, list[Slot]] = defaultdict(list)
        for at, wordings in enumerate(self._words):
            for word in frozenset[str]().union(*wordings):
                postings[(word,)].append((at, TextSpan.PROMPT, 0))
        self._bits = rarity(items, postings)

    def forms(self, at: int) -> list[dict[str, float]]:
        """Return the words of each wording of a problem with their information."""
        return [{word: self._bits[(word,)] for word in words} for words in self._words[at]]

    def coverage(self, at: int, words: Iterable[str], *, form: int = 0) -> float:
        """Return the share of a problem's words, weighted by information, in `words`.

        `form` is the number of its wording.
        """
        missing = self._words[at][form].difference(words)
        whole = sum(self._bits[(word,)] for word in self._words[at][form])
        return 1 - sum(self._bits[(word,)] for word in missing) / whole if whole else 1.0


def grams_of(text: NormalizedText) -> frozenset[Gram]:
    """Return the grams of a text: of its words and its code's statements."""
    return frozenset[Gram](word_grams(text.words) | word_grams(text.relaid)) | text.statements


def word_grams(words: Sequence[str]) -> set[tuple[str, ...]]:
    """Return all word 3-grams; a shorter text is one gram."""
    if len(words) < WORDS:
        return {tuple(words)} if words else set()
    return set(zip(*(words[at:] for at in range(WORDS)), strict=False))


def rarity(
    items: Sequence[BenchmarkText], postings: Mapping[Gram, Sequence[Slot]]
) -> dict[Gram, float]:
    """Return each gram's information in bits, by the benchmark in which it is most common."""
    sizes = Counter(item.benchmark for item in items)
    found = {}
    for gram, slots in postings.items():
        counts = Counter(items[at].benchmark for at in {slot[0] for slot in slots})
        found[gram] = min(log2((sizes[name] + 1) / count) for name, count in counts.items())
    return found


def _weights(
    items: Sequence[BenchmarkText], postings: Mapping[Gram, Sequence[Slot]]
) -> dict[Gram, float]:
    """Return each gram's weight: its rarity, for statements bounded by the sum of their tokens'."""
    bits = rarity(items, postings)
    of_parts: defaultdict[Gram, list[Slot]] = defaultdict(list)
    for gram, slots in postings.items():
        for part in set(gram.split()) if isinstance(gram, str) else ():
            of_parts[part].extend(slots)
    parts = rarity(items, of_parts)
    for gram, rare in bits.items():
        if isinstance(gram, str):
            weights = sum(parts[part] for part in sorted(set(gram.split())))
            bits[gram] = (
                min(MAX_STATEMENT_BITS, weights)
                if _is_single(postings[gram])
                else min(rare, weights)
            )
    return bits


def _is_single(slots: Sequence[Slot]) -> bool:
    return len({slot[0] for slot in slots}) == 1


def _sides(items: Sequence[BenchmarkText]) -> Iterable[tuple[Slot, frozenset[Gram]]]:
    for at, item in enumerate(items):
        for form, wording in enumerate(item.wordings):
            yield (at, TextSpan.PROMPT, form), frozenset(word_grams(words_of(wording)))
        for side, code in ((TextSpan.SOLUTION, item.solution), (TextSpan.TESTS, item.tests)):
            yield (at, side, 0), statements(code, item.language)
            yield (at, side, 1), lines(code, item.language)


def _format_gram(gram: Gram) -> str:
    return gram if isinstance(gram, str) else " ".join(gram)
