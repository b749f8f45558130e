"""Finds leaks by the longest common run of words or code tokens.

Finds a copied part of a problem, such as half of a docstring or one long assertion. Names, comments
and layout of code do not matter. Runs are weighted by information, so long boilerplate counts less
than short rare text. Time and memory are linear in the row, even if it repeats one word a million
times. Does not find copies with an edit every few words (see `ngrams`).

    detector = SubstringDetector(items)
    hits = detector.find(row.id, read(row.task), read(row.answer))
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2

from evolcoder.code.normalize import NormalizedText, code_tokens, words_of
from evolcoder.decontamination.hits import (
    SEEN_CHARS,
    BenchmarkText,
    Detector,
    Hit,
    RowField,
    TextSpan,
)
from evolcoder.text import one_line

ANCHOR_TOKENS = {TextSpan.PROMPT: 5, TextSpan.SOLUTION: 10, TextSpan.TESTS: 10}
"""Tokens of an exact match from which a run is extended."""
MAX_ANCHOR_PLACES = 8
"""Anchors at more places than this in the benchmark are boilerplate and start no run."""
MAX_REPEATS = 4
"""Maximum lookups of the same anchor within one row."""
MIN_BITS = {TextSpan.PROMPT: 60.0, TextSpan.SOLUTION: 60.0, TextSpan.TESTS: 60.0}
"""Minimum information of a run, in bits."""
MIN_DISTINCT_TOKENS = 6
"""Minimum distinct non-literal tokens in a run of code: `v = [ , ]` matches any list."""
NUMBER_WORDS = frozenset("zero one two three four five six seven eight nine ten".split())
"""Words of weight zero, as are numbers and words of one or two letters."""

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    item: int
    bits: float
    tokens: Tokens


class SubstringDetector:
    """Index over the words and tokens of benchmarks."""

    def __init__(self, items: Sequence[BenchmarkText]) -> None:
        self._items = items
        self._sides = {
            TextSpan.PROMPT: _Side([words_of(i.wording) for i in items], TextSpan.PROMPT),
            TextSpan.SOLUTION: _Side(
                [code_tokens(i.solution, i.language) for i in items], TextSpan.SOLUTION
            ),
            TextSpan.TESTS: _Side(
                [code_tokens(i.tests, i.language) for i in items], TextSpan.TESTS
            ),
        }

    def find(self, row: str, task: NormalizedText, answer: NormalizedText) -> list[Hit]:
        """Return the most informative common run with each problem, if it is a hit."""
        found = []
        for part, normalized in ((RowField.TASK, task), (RowField.ANSWER, answer)):
            for side, index in self._sides.items():
                texts = (normalized.words,) if side is TextSpan.PROMPT else normalized.tokens
                found += [self._hit(row, part, side, run) for run in _best(index, texts)]
        return found

    def _hit(self, row: str, part: RowField, side: TextSpan, run: _Match) -> Hit:
        item = self._items[run.item]
        seen = one_line(" ".join(run.tokens), SEEN_CHARS)
        score = round(run.bits, 2)
        return Hit(row, item.benchmark, item.id, Detector.SUBSTRING, part, side, seen, score)


def _best(index: "_Side", texts: Sequence[Tokens]) -> list[_Match]:
    """Return the most informative run for each problem."""
    best: dict[int, _Match] = {}
    for text in texts:
        for run in index.runs(text):
            if index.is_enough(run) and _is_better(run, best.get(run.item)):
                best[run.item] = run
    return [best[item] for item in sorted(best)]


def _is_better(run: _Match, than: _Match | None) -> bool:
    return than is None or (run.bits, run.tokens) > (than.bits, than.tokens)


class _Side:
    """One side of all problems, with the positions of every anchor."""

    def __init__(self, texts: Sequence[Tokens], side: TextSpan) -> None:
        self._texts = texts
        self._side = side
        self._size = size = ANCHOR_TOKENS[side]
        self._places: defaultdict[Tokens, list[tuple[int, int]]] = defaultdict(list)
        frequency = Counter(token for text in texts for token in set(text))
        self._bits = {
            token: 0.0 if self._is_weightless(token) else log2((len(texts) + 1) / count)
            for token, count in frequency.items()
        }
        for item, text in enumerate(texts):
            for at, anchor in enumerate(_anchors(text, size)):
                self._places[anchor].append((item, at))

    def runs(self, text: Tokens) -> Iterator[_Match]:
        """Yield the maximal runs that a text shares with any problem, each once."""
        known = self._places
        counts: Counter[Tokens] = Counter()
        ends: dict[tuple[int, int], int] = {}
        for at, anchor in enumerate(_anchors(text, self._size)):
            if anchor not in known:
                continue
            places = known[anchor]
            counts[anchor] += 1
            if len(places) > MAX_ANCHOR_PLACES or counts[anchor] > MAX_REPEATS:
                continue
            for item, place in places:
                if at >= ends.get((item, at - place), -1):
                    start, end = self._extend(text, at, item, place)
                    ends[item, at - place] = end
                    yield _Match(item, self._information(text[start:end]), text[start:end])

    def is_enough(self, run: _Match) -> bool:
        """Whether a run is more than chance or a list of literals."""
        tokens = {token for token in run.tokens if token[0] != '"' and not token[0].isdigit()}
        return run.bits >= MIN_BITS[self._side] and (
            self._side is TextSpan.PROMPT or len(tokens) >= MIN_DISTINCT_TOKENS
        )

    def _is_weightless(self, word: str) -> bool:
        return self._side is TextSpan.PROMPT and (
            len(word) <= 2 or word in NUMBER_WORDS or word.isdigit()
        )

    def _extend(self, text: Tokens, at: int, item: int, place: int) -> tuple[int, int]:
        """Extend an anchor in both directions as far as text and problem agree."""
        other = self._texts[item]
        start = at
        while (
            start > 0
            and start - at + place > 0
            and text[start - 1] == other[start - at + place - 1]
        ):
            start -= 1
        end, shift = at + self._size, place - at
        while end < len(text) and end + shift < len(other) and text[end] == other[end + shift]:
            end += 1
        return start, end

    def _information(self, run: Tokens) -> float:
        """Sum the tokens' information; repetitions count less."""
        counts = Counter(run)
        return sum(self._bits[token] * (1 + log2(n) / 2) for token, n in sorted(counts.items()))


def _anchors(text: Tokens, size: int) -> Iterator[Tokens]:
    return zip(*(text[at:] for at in range(size)), strict=False)
