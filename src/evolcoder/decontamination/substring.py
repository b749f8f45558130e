"""Leaks by the longest run of words or of tokens that a row and a problem have in common.

Promises: finds a copied part where most of the problem is missing, such as half of a docstring or
one long assertion; names, comments and layout of code make no difference. A run counts by the
information in it, so that long boilerplate stays below short rare text. Work and memory are linear
in the row, also where it repeats one word a million times. Does not see a run broken by an edit in
every few words (`ngrams`).

    runs = Runs(items)
    hits = runs.look(row.id, read(row.task), read(row.answer))
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2

from evolcoder.code.normalize import NormalizedText, code_tokens, words_of
from evolcoder.decontamination.benchmark_texts import BenchmarkText
from evolcoder.decontamination.hits import SEEN_CHARS, Detector, Hit, RowField, TextSpan
from evolcoder.text import one_line

ANCHOR = {TextSpan.PROMPT: 5, TextSpan.SOLUTION: 10, TextSpan.TESTS: 10}
"""Tokens that must be equal before a run is looked for."""
MAX_PLACES = 8
"""An anchor in more places of the benchmark than that is boilerplate and begins no run."""
MAX_REPEATS = 4
"""How often one anchor of a row is looked up; later ones are repetitions."""
LEAST_BITS = {TextSpan.PROMPT: 60.0, TextSpan.SOLUTION: 60.0, TextSpan.TESTS: 60.0}
"""Least information in a run."""
LEAST_SIGNS = 6
"""Unlike tokens that are no literal which a run of code must hold: `v = [ , ]` is any list."""
SERIES = frozenset("zero one two three four five six seven eight nine ten".split())
"""Words that count nothing; neither do numbers, nor words of one or two letters."""

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    item: int
    bits: float
    tokens: Tokens


class SubstringDetector:
    """An index over the words and tokens of benchmarks."""

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

    def look(self, row: str, task: NormalizedText, answer: NormalizedText) -> list[Hit]:
        """Return the longest run with each problem that has enough information."""
        found = []
        for part, reading in ((RowField.TASK, task), (RowField.ANSWER, answer)):
            for side, index in self._sides.items():
                texts = (reading.words,) if side is TextSpan.PROMPT else reading.tokens
                found += [self._hit(row, part, side, run) for run in _best(index, texts)]
        return found

    def _hit(self, row: str, part: RowField, side: TextSpan, run: _Match) -> Hit:
        item = self._items[run.item]
        seen = one_line(" ".join(run.tokens), SEEN_CHARS)
        score = round(run.bits, 2)
        return Hit(row, item.benchmark, item.id, Detector.SUBSTRING, part, side, seen, score)


def _best(index: "_Side", texts: Sequence[Tokens]) -> list[_Match]:
    """Return the run with the most information for each problem."""
    best: dict[int, _Match] = {}
    for text in texts:
        for run in index.runs(text):
            if index.is_enough(run) and _is_better(run, best.get(run.item)):
                best[run.item] = run
    return [best[item] for item in sorted(best)]


def _is_better(run: _Match, than: _Match | None) -> bool:
    return than is None or (run.bits, run.tokens) > (than.bits, than.tokens)


class _Side:
    """One side of all problems, with the places of every anchor."""

    def __init__(self, texts: Sequence[Tokens], side: TextSpan) -> None:
        self._texts = texts
        self._side = side
        self._size = size = ANCHOR[side]
        self._places: defaultdict[Tokens, list[tuple[int, int]]] = defaultdict(list)
        held = Counter(token for text in texts for token in set(text))
        self._bits = {
            token: 0.0 if self._is_series(token) else log2((len(texts) + 1) / count)
            for token, count in held.items()
        }
        for item, text in enumerate(texts):
            for at, anchor in enumerate(_anchors(text, size)):
                self._places[anchor].append((item, at))

    def runs(self, text: Tokens) -> Iterator[_Match]:
        """Yield the runs that a text has in common with any problem, each once."""
        known = self._places
        met: Counter[Tokens] = Counter()
        ends: dict[tuple[int, int], int] = {}
        for at, anchor in enumerate(_anchors(text, self._size)):
            if anchor not in known:
                continue
            places = known[anchor]
            met[anchor] += 1
            if len(places) > MAX_PLACES or met[anchor] > MAX_REPEATS:
                continue
            for item, place in places:
                if at >= ends.get((item, at - place), -1):
                    start, end = self._stretched(text, at, item, place)
                    ends[item, at - place] = end
                    yield _Match(item, self._weight(text[start:end]), text[start:end])

    def is_enough(self, run: _Match) -> bool:
        """Whether a run tells enough to be more than chance or a list of literals."""
        signs = {token for token in run.tokens if token[0] != '"' and not token[0].isdigit()}
        return run.bits >= LEAST_BITS[self._side] and (
            self._side is TextSpan.PROMPT or len(signs) >= LEAST_SIGNS
        )

    def _is_series(self, word: str) -> bool:
        return self._side is TextSpan.PROMPT and (
            len(word) <= 2 or word in SERIES or word.isdigit()
        )

    def _stretched(self, text: Tokens, at: int, item: int, place: int) -> tuple[int, int]:
        """Stretch an anchor to both sides as far as text and problem agree."""
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

    def _weight(self, run: Tokens) -> float:
        """Sum up what tokens tell; the same one again tells half."""
        met = Counter(run)
        return sum(self._bits[token] * (1 + log2(n) / 2) for token, n in sorted(met.items()))


def _anchors(text: Tokens, size: int) -> Iterator[Tokens]:
    return zip(*(text[at:] for at in range(size)), strict=False)
