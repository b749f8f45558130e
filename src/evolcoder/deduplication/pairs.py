"""Texts of which two rows alone share most, such as a preamble in front of two short tasks.

Two texts that begin or end with many equal words are compared by the sentences or lines in which
they differ. Unlike ones make other tasks, however long the equal part is; a word changed in a long
sentence makes a copy. Where one cannot tell, answers decide: unlike answers to texts with other
words are answers to other tasks.

>>> header = "Answer in one block of code. " * 6
>>> are_other_tasks(f"{header}Sort some names.", f"{header}Merge two trees.")
True
>>> are_other_tasks(f"{header}Sort some names.", f"{header}Please sort some names")
False
"""

import re
import unicodedata
from typing import NamedTuple

from evolcoder.deduplication.minhash import fold, jaccard, shingles, word_spans
from evolcoder.deduplication.shared_text import (
    COURTESY,
    LINKING,
    MIN_AROUND_SLOT,
    PASSING,
    Spans,
    counts_rows,
    without_number,
)

MAX_ALIKE = 0.6
"""Maximum share of words that lines or sentences of other tasks have in common."""
MIN_OTHER_WORDS = 2
"""Minimum words of each sentence that the other lacks; in lines of their own one is enough."""
MIN_ALIKE_ANSWERS = 0.8
"""Minimum Jaccard index of the 3-grams of answers to one task."""
_LINE_END = re.compile(r"\n")
_SENTENCE_END = re.compile(r"[.!?:;](?=\s)|\n")


class _Text(NamedTuple):
    text: str
    spans: Spans

    def words(self, start: int, end: int) -> set[str]:
        """Return the words of a range that can make another task."""
        said = {
            without_number(self.spans[at][0])
            for at in range(start, end)
            if not counts_rows(self.spans, at)
        }
        return said - PASSING - LINKING

    def around(self, start: int, end: int, ends: re.Pattern[str]) -> set[str]:
        """Return such words of the sentences or lines that contain a range of words."""
        first = self.spans[start][1] if start < len(self.spans) else len(self.text)
        last = self.spans[end - 1][2] if end > start else first
        begins = [found.end() for found in ends.finditer(self.text, 0, first)]
        stop = ends.search(self.text, last)
        places = range(begins[-1] if begins else 0, stop.start() if stop else len(self.text))
        inside = [at for at, span in enumerate(self.spans) if span[1] in places]
        return self.words(inside[0], inside[-1] + 1) if inside else set()


def are_other_tasks(one: str, other: str, answers: tuple[str, str] = ("", "")) -> bool:
    """Whether texts that begin or end alike ask for different things."""
    mine, theirs = _read(one), _read(other)
    start, n_end = _equal_ends(mine.spans, theirs.spans)
    if start + n_end < MIN_AROUND_SLOT:
        return False
    ends = len(mine.spans) - n_end, len(theirs.spans) - n_end
    said = mine.words(start, ends[0]), theirs.words(start, ends[1])
    n_other = sorted((len(said[0] - said[1]), len(said[1] - said[0])))
    if not n_other[1]:
        return False
    if all(answers):
        if jaccard(*(shingles(fold(answer)) for answer in answers)) >= MIN_ALIKE_ANSWERS:
            return False
        if n_other[0] or n_other[1] >= MIN_OTHER_WORDS:
            return True
    for pattern, least in ((_LINE_END, 1), (_SENTENCE_END, MIN_OTHER_WORDS)):
        around = mine.around(start, ends[0], pattern), theirs.around(start, ends[1], pattern)
        if n_other[0] >= least and jaccard(*around) <= MAX_ALIKE:
            return True
    return False


def rests(one: str, other: str) -> tuple[str, str] | None:
    """Return what differs between texts that begin or end alike; None if they do not."""
    mine, theirs = _read(one), _read(other)
    start, n_end = _equal_ends(mine.spans, theirs.spans)
    if start + n_end < MIN_AROUND_SLOT:
        return None
    found = [
        " ".join(word for word, *_ in some.spans[start : len(some.spans) - n_end])
        for some in (mine, theirs)
    ]
    return (found[0], found[1]) if all(found) else None


def _read(text: str) -> _Text:
    lower = unicodedata.normalize("NFC", text.casefold())
    return _Text(lower, [span for span in word_spans(lower) if span[0] not in COURTESY])


def _equal_ends(one: Spans, other: Spans) -> tuple[int, int]:
    """Count the equal words at the start and, of the rest, at the end."""
    least = min(len(one), len(other))
    start = next((at for at in range(least) if one[at][0] != other[at][0]), least)
    backward = range(least - start)
    n_end = next((at for at in backward if one[-1 - at][0] != other[-1 - at][0]), len(backward))
    return start, n_end
