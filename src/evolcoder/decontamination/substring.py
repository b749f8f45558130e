"""Finds leaks by verbatim text: exact word n-grams of prose, and the longest run of code tokens.

Finds a copied part of a problem, such as a third of a docstring or one long assertion. Case,
punctuation, markup, line breaks, and names, comments and layout of code do not matter.

A run of `MIN_RUN_WORDS` words of a problem's task is a hit, or of `ANCHOR_WORDS` of a short one,
if it holds `MIN_SPECIFIC_WORDS` words that exercises do not share anyhow. So is a whole task of
`ANCHOR_WORDS` words; in the task of a row also one of `CORE_WORDS` words, and a shorter one as a
sentence or line of its own. So is a sentence that says little but a short task without up to
`MAX_CUT_WORDS` of its words, if what is left tells the task. A task's request ("write a function
to") and imports do not count. So is a part of a task, or of its tests, in a row that names its
function (`named_tasks`). Word n-grams that are in more than `MAX_FAMILIES` unlike problems are
boilerplate; versions of one problem in several benchmarks count as one.

Runs of code are weighted by information, so long boilerplate counts less than short rare text. Time
and memory are linear in the row, even if it repeats one word a million times. Does not find copies
with an edit every few words (see `ngrams`).

    detector = SubstringDetector(items)
    hits = detector.find(row.id, read(row.task), read(row.answer))
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
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
from evolcoder.decontamination.named_tasks import NamedTasks
from evolcoder.decontamination.ngrams import Gram, Slot, rarity
from evolcoder.text import one_line

ANCHOR_WORDS = 8
"""Words of the n-grams by which prose is found; the shortest run of a short problem that counts."""
MIN_RUN_WORDS = 10
"""Minimum words of a run otherwise."""
SHORT_WORDS = 20
"""Problems with fewer words are short."""
MIN_SPECIFIC_WORDS = 2
"""Minimum distinct words of a run outside `GENERIC_WORDS`; one suffices if `MIN_RUN_WORDS` words of
the run are no request."""
MIN_PLAIN_WORDS = 6
"""Minimum words of a run that are no numbers and no single letters."""
LONG_RUN_WORDS = 14
"""Number of such words from which a run counts whatever they are."""
CORE_WORDS = 5
"""Tasks of fewer words, the request not counted, are found as a whole sentence or line only."""
MIN_CORE_WORDS = 3
"""Tasks of fewer words are not looked for by their prose."""
MAX_FAMILIES = 3
"""N-grams in more unlike problems are boilerplate of the benchmark."""
SAME_PROBLEM = 0.75
"""Share of the n-grams of the smaller of two texts from which they are the same problem."""
MAX_PLACES = 4
"""Maximum places at which an n-gram is looked up in one problem."""
REQUEST_VERBS = frozenset(
    "build complete construct create define design develop generate implement make write".split()
)
REQUEST_NOUNS = frozenset("algorithm class code function functions method program script".split())
REQUEST_LINKS = frozenset("for in of order that to which".split())
"""A request is a verb, a noun and links: `write a python function to`."""
MAX_REQUEST_WORDS = 6
"""Maximum words before a request's verb, and from its verb to its noun."""
_IMPORT = re.compile(
    r"^[ \t]*(?:from\s+[\w.]+\s+import\b|import\s+[\w.*{]|#include|us(?:e|ing)\s+[\w.:]+;).*$",
    re.MULTILINE,
)
GENERIC_WORDS = frozenset(
    """a about above after all also an and another any are arg args argument arguments arr
    array arrays as at available b base based be been before below between but by c called can
    case cases char character characters check class code complete compute containing contains
    correct count create data def default define defined desired determine do does each eight
    either element elements else empty ends example examples expected false final find first
    five float following for format four from full function functions generate get give given
    gives has have help here how i if implement implementation import imports in include index
    indices input inputs instance int integer integers into is it item items its java
    javascript key keys last length line lines list lists make map match may me method methods
    must n name named need needs new nine no non none not nothing np null num number numbers
    numpy object of on one only or order other otherwise output outputs over pair pairs pandas
    param parameter parameters pass pd please positive possible print problem produce program
    provided python raise raises range record required res result results return returned
    returning returns same script second self sequence set seven should show single six size so
    solution solve some specific specified start starts str string strings such sum take takes
    task ten test tests text than that the their them then there these this those three to
    total true tuple tuples two type up use used uses using value values variable want we when
    where whether which while will with within without word words write x y you your zero""".split()
)
"""Words that any programming exercise may contain."""
MAX_CUT_WORDS = 3
"""Words that may be missing of a short task if a sentence says little else."""
CUT_ANCHOR_WORDS = 5
"""Words of the n-grams by which such a sentence is found."""
MIN_CUT_SHARE = 0.55
"""Minimum share of the task's words that it has."""
MIN_WORDS_FROM_START = 8
"""Minimum words of a sentence that is the beginning of a task with its request, and no more."""
MAX_OTHER_WORDS = 9
"""Maximum words that another sentence has besides."""
MIN_CUT_BITS = 24.0
"""Minimum information of the words that such a sentence shares with the task; less than what words
cost on average, since each is counted by the benchmark in which it is most common."""
MIN_CUT_BITS_FROM_START = 9.0
"""The same for the beginning of a task."""
MIN_CUT_BITS_SHARE = (0.6, 0.5)
"""Minimum share of the task's information, in such a sentence and in a beginning."""
ANCHOR_TOKENS = 10
"""Tokens of an exact match from which a run of code is extended."""
MAX_ANCHOR_PLACES = 8
"""Anchors at more places than this in the benchmark are boilerplate and start no run."""
MAX_REPEATS = 4
"""Maximum lookups of the same anchor within one row."""
MIN_BITS = 60.0
"""Minimum information of a run of code, in bits."""
MIN_DISTINCT_TOKENS = 6
"""Minimum distinct non-literal tokens in a run of code: `v = [ , ]` matches any list."""

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Match:
    text: int
    score: float
    tokens: Tokens


class SubstringDetector:
    """Index over the words and tokens of benchmarks."""

    def __init__(self, items: Sequence[BenchmarkText]) -> None:
        self._items = items
        self._prose = _Prose([item.wordings for item in items])
        self._cut = _CutTasks(items, self._prose)
        self._named = NamedTasks(items)
        self._code = {
            TextSpan.SOLUTION: _Code(code_tokens(i.solution, i.language) for i in items),
            TextSpan.TESTS: _Code(code_tokens(i.tests, i.language) for i in items),
        }

    def find(self, row: str, task: NormalizedText, answer: NormalizedText) -> list[Hit]:
        """Return the longest common run with each problem, if it is a hit."""
        found = [
            self._hit(row, one.part, one.side, one.item, _Match(0, one.score, (one.seen,)))
            for one in self._named.find(task, answer)
        ]
        for part, normalized in ((RowField.TASK, task), (RowField.ANSWER, answer)):
            runs = [*self._prose.runs(normalized, short=part is RowField.TASK)]
            runs += self._cut.runs(normalized) if part is RowField.TASK else ()
            found += [
                self._hit(row, part, TextSpan.PROMPT, at, run)
                for run in _best(runs)
                for at in self._prose.items[run.text]
            ]
            for side, index in self._code.items():
                runs = _best(run for tokens in normalized.tokens for run in index.runs(tokens))
                found += [
                    self._hit(row, part, side, at, run)
                    for run in runs
                    for at in index.items[run.text]
                ]
        return found

    def _hit(self, row: str, part: RowField, side: TextSpan, at: int, run: _Match) -> Hit:
        item = self._items[at]
        seen = one_line(" ".join(run.tokens), SEEN_CHARS)
        return Hit(
            row, item.benchmark, item.id, Detector.SUBSTRING, part, side, seen, round(run.score, 2)
        )


def _best(runs: Iterable[_Match]) -> list[_Match]:
    """Return the highest run for each text."""
    best: dict[int, _Match] = {}
    for run in runs:
        if run.text not in best or _rank(run) > _rank(best[run.text]):
            best[run.text] = run
    return [best[text] for text in sorted(best)]


def _rank(run: _Match) -> tuple[float, Tokens]:
    return run.score, run.tokens


class _Prose:
    """The tasks of all problems, with the places of every n-gram that is no boilerplate."""

    def __init__(self, wordings: Sequence[tuple[str, ...]]) -> None:
        words = [words_of(_IMPORT.sub("", one)) for several in wordings for one in several]
        owners = [item for item, several in enumerate(wordings) for _ in several]
        self.texts, found = _distinct(words)
        self.items = [sorted({owners[at] for at in some}) for some in found]
        self.cores = list(map(task_words, self.texts))
        self._short: defaultdict[Tokens, list[int]] = defaultdict(list)
        self._anchored: defaultdict[Tokens, list[Tokens]] = defaultdict(list)
        for text, core in enumerate(self.cores):
            if len(core) < ANCHOR_WORDS:
                self._add_short(text, core)
        places = _places(self.texts)
        families = _families(self.texts, places)
        self._places = {
            gram: found
            for gram, found in places.items()
            if len({families[text] for text, _ in found}) <= MAX_FAMILIES
        }

    def _add_short(self, text: int, core: Tokens) -> None:
        if len(core) >= MIN_CORE_WORDS + (not _specific(core)):
            self._short[core].append(text)
            if len(core) >= CORE_WORDS and len(_specific(core)) >= MIN_SPECIFIC_WORDS:
                self._anchored[core[:CORE_WORDS]].append(core)

    def runs(self, row: NormalizedText, *, short: bool) -> Iterator[_Match]:
        """Yield the maximal runs of a text that are hits; `short` tasks only on demand.

        Comments of code often are a short task, such as `swap two numbers`.
        """
        if short and self._short:
            for core in {
                *map(task_words, row.phrases()),
                *self._short_runs(row.words),
                *self._short_runs(row.relaid),
            }:
                for text in self._short.get(core, ()):
                    yield _Match(text, len(core), core)
        for words in filter(None, (row.words, row.relaid)):
            for text, place, run in _runs(words, ANCHOR_WORDS, self._places, self.texts):
                if self._is_hit(text, place, run):
                    yield _Match(text, len(run), run)

    def _short_runs(self, words: Tokens) -> Iterator[Tokens]:
        """Yield the short tasks that are somewhere among words."""
        for at, anchor in enumerate(_anchors(words, CORE_WORDS) if self._anchored else ()):
            for core in self._anchored.get(anchor, ()):
                if words[at : at + len(core)] == core:
                    yield core

    def _is_hit(self, text: int, place: int, run: Tokens) -> bool:
        whole, core = len(self.texts[text]), len(self.cores[text])
        n_in_core = min(len(run), len(run) + place - (whole - core))
        n_specific, n_plain = len(_specific(run)), _n_plain(run)
        if n_in_core == core or n_plain >= LONG_RUN_WORDS:
            return True
        if not n_specific or n_plain < MIN_PLAIN_WORDS:
            return False
        if n_specific < MIN_SPECIFIC_WORDS:
            return n_in_core >= MIN_RUN_WORDS
        return len(run) >= MIN_RUN_WORDS or (n_in_core >= ANCHOR_WORDS and whole < SHORT_WORDS)


def _n_plain(run: Tokens) -> int:
    """Count the words of a run that are no numbers and no single letters."""
    return sum(len(word) > 1 and not word.isdigit() for word in run)


def task_words(words: Tokens) -> Tokens:
    """Return the words of a task without its request, such as `write a function to`."""
    verbs = [at for at, word in enumerate(words[:MAX_REQUEST_WORDS]) if word in REQUEST_VERBS]
    for verb in verbs[:1]:
        for noun in range(verb + 1, min(verb + MAX_REQUEST_WORDS, len(words))):
            if words[noun] in REQUEST_NOUNS:
                rest = words[noun + 1 :]
                return tuple(dropwhile(REQUEST_LINKS.__contains__, rest)) or words
    return words


def _distinct(texts: Iterable[Tokens]) -> tuple[list[Tokens], list[list[int]]]:
    """Return the distinct texts, and for each the indices of the problems that have it."""
    found: dict[Tokens, list[int]] = {}
    for item, tokens in enumerate(texts):
        found.setdefault(tokens, []).append(item)
    return list(found), list(found.values())


def _specific(run: Tokens) -> set[str]:
    """Return the words of a run that not every exercise may contain."""
    return {word for word in run if len(word) > 2 and not word.isdigit()} - GENERIC_WORDS


def _places(texts: Sequence[Tokens]) -> dict[Tokens, list[tuple[int, int]]]:
    """Return where each n-gram of words is, as (text, position)."""
    places: defaultdict[Tokens, list[tuple[int, int]]] = defaultdict(list)
    for text, words in enumerate(texts):
        counts: Counter[Tokens] = Counter()
        for at, gram in enumerate(_anchors(words, ANCHOR_WORDS)):
            counts[gram] += 1
            if counts[gram] <= MAX_PLACES:
                places[gram].append((text, at))
    return dict(places)


def _families(
    texts: Sequence[Tokens], places: Mapping[Tokens, Sequence[tuple[int, int]]]
) -> list[int]:
    """Return for each text the first text that is the same problem, by shared n-grams.

    Each n-gram is compared with the first text that has it, which keeps this linear.
    """
    shared: Counter[tuple[int, int]] = Counter()
    sizes: Counter[int] = Counter()
    for found in places.values():
        own = sorted({text for text, _ in found})
        sizes.update(own)
        shared.update((own[0], other) for other in own[1:])
    families = list(range(len(texts)))
    for (first, other), count in sorted(shared.items(), key=lambda pair: (pair[0][1], -pair[1])):
        if families[other] == other and count >= SAME_PROBLEM * min(sizes[first], sizes[other]):
            families[other] = families[first]
    return families


class _CutTasks:
    """Short tasks, to be found in sentences that lack their last words."""

    def __init__(self, items: Sequence[BenchmarkText], prose: _Prose) -> None:
        self._texts, self._cores = prose.texts, prose.cores
        postings: defaultdict[Gram, list[Slot]] = defaultdict(list)
        for words, found in zip(self._texts, prose.items, strict=True):
            for word in set(words):
                postings[(word,)] += [(at, TextSpan.PROMPT, 0) for at in found]
        self._bits = rarity(items, postings)
        places: defaultdict[Tokens, list[tuple[int, int]]] = defaultdict(list)
        for text, core in enumerate(self._cores):
            if len(core) < SHORT_WORDS:
                for at, anchor in enumerate(_anchors(core, CUT_ANCHOR_WORDS)):
                    places[anchor].append((text, at))
        self._places = dict(places)

    def runs(self, row: NormalizedText) -> Iterator[_Match]:
        """Yield the words that sentences of a row share with a task of which they say most."""
        for words in row.phrases():
            for text, place, run in _runs(words, CUT_ANCHOR_WORDS, self._places, self._cores):
                if self._tells(words, run, text, place):
                    yield _Match(text, len(run), run)

    def _tells(self, words: Tokens, run: Tokens, text: int, place: int) -> bool:
        core, whole = self._cores[text], self._texts[text]
        share = self._information(run) / self._information(core)
        if not _specific(run):
            return False
        if words == whole[: len(words)] and len(words) >= MIN_WORDS_FROM_START:
            is_enough = self._information(run) >= MIN_CUT_BITS_FROM_START
            return (
                is_enough
                and len(whole) - len(words) <= MAX_CUT_WORDS
                and (share >= MIN_CUT_BITS_SHARE[1])
            )
        n_missing = len(core) - len(run)
        if n_missing > MAX_CUT_WORDS or len(run) < MIN_CUT_SHARE * len(core):
            return False
        if len(words) - len(run) > MAX_OTHER_WORDS or share < MIN_CUT_BITS_SHARE[0]:
            return False
        is_enough = self._information(run) >= MIN_CUT_BITS
        return is_enough and not _says_other(words, run, core, place)

    def _information(self, words: Tokens) -> float:
        return sum(self._bits[(word,)] for word in sorted(set(words)))


def _says_other(words: Tokens, run: Tokens, core: Tokens, place: int) -> bool:
    """Whether a sentence has other words in the place of those that it lacks of a task."""
    at = next(n for n in range(len(words)) if words[n : n + len(run)] == run)
    lost = _specific(core) - _specific(run)
    around = words[max(0, at - 1) : at] + words[at + len(run) :]
    is_another_verb = place > 0 and bool(_specific(core[:1])) and core[0] not in words
    return bool(lost and _specific(around)) or is_another_verb


class _Code:
    """Code of all problems, with the places of every anchor."""

    def __init__(self, programs: Iterable[Tokens]) -> None:
        self._texts, self.items = _distinct(programs)
        texts = self._texts
        frequency = Counter(token for text in texts for token in set(text))
        self._bits = {token: log2((len(texts) + 1) / count) for token, count in frequency.items()}
        places: defaultdict[Tokens, list[tuple[int, int]]] = defaultdict(list)
        for text, tokens in enumerate(texts):
            for at, anchor in enumerate(_anchors(tokens, ANCHOR_TOKENS)):
                places[anchor].append((text, at))
        self._places = {
            anchor: found for anchor, found in places.items() if len(found) <= MAX_ANCHOR_PLACES
        }

    def runs(self, tokens: Tokens) -> Iterator[_Match]:
        """Yield the maximal runs of a program that are hits."""
        for text, _, run in _runs(tokens, ANCHOR_TOKENS, self._places, self._texts):
            bits = self._information(run)
            if bits >= MIN_BITS and _is_code(run):
                yield _Match(text, bits, run)

    def _information(self, run: Tokens) -> float:
        """Sum the tokens' information; repetitions count less."""
        counts = Counter(run)
        return sum(self._bits[token] * (1 + log2(n) / 2) for token, n in sorted(counts.items()))


def _is_code(run: Tokens) -> bool:
    """Whether a run is more than a list of literals."""
    tokens = {token for token in run if token[0] != '"' and not token[0].isdigit()}
    return len(tokens) >= MIN_DISTINCT_TOKENS


def _runs(
    tokens: Tokens,
    size: int,
    places: Mapping[Tokens, Sequence[tuple[int, int]]],
    texts: Sequence[Tokens],
) -> Iterator[tuple[int, int, Tokens]]:
    """Yield the maximal runs around an anchor that tokens share with any text, as (text, place)."""
    counts: Counter[Tokens] = Counter()
    ends: dict[tuple[int, int], int] = {}
    for at, anchor in enumerate(_anchors(tokens, size)):
        if anchor not in places:
            continue
        counts[anchor] += 1
        if counts[anchor] > MAX_REPEATS:
            continue
        for text, place in places[anchor]:
            if at >= ends.get((text, at - place), -1):
                start, end = _extend(tokens, at, texts[text], place, size)
                ends[text, at - place] = end
                yield text, place - at + start, tokens[start:end]


def _extend(tokens: Tokens, at: int, other: Tokens, place: int, size: int) -> tuple[int, int]:
    """Extend an anchor in both directions as far as the two texts agree."""
    start, shift = at, place - at
    while start > 0 and start + shift > 0 and tokens[start - 1] == other[start + shift - 1]:
        start -= 1
    end = at + size
    while end < len(tokens) and end + shift < len(other) and tokens[end] == other[end + shift]:
        end += 1
    return start, end


def _anchors(text: Tokens, size: int) -> Iterator[Tokens]:
    return zip(*(text[at:] for at in range(size)), strict=False)
