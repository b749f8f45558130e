"""What makes two texts look alike: folded text, runs of three words, and how many they share.

Promises: white space, case and the ways in which Unicode writes one character make no difference.
A word is a run of ASCII letters, digits and underscores (`c++` and `c#` are words), or one other
letter, so that scripts without blanks have shingles too; punctuation counts for exact likeness
alone. A text of fewer than three words is one shingle, whole.

>>> jaccard(shingles(fold("Sort the  list x.")), shingles(fold("sort the list y")))
0.3333333333333333
"""

import re
import unicodedata
from collections.abc import Set as AbstractSet

from evolcoder.text import clean

WIDTH = 3
"""Words in a shingle."""
_WORD = re.compile(r"[a-z0-9_]+[+#]*|\w")


def fold(text: str) -> str:
    """Reduce a text to what equal texts have in common."""
    text = clean(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split())


def shingles(folded: str) -> frozenset[str]:
    """Return the runs of words of a folded text; never none."""
    words = _WORD.findall(folded)
    if len(words) < WIDTH:
        return frozenset((" ".join(words) or folded,))
    return frozenset(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def jaccard(one: AbstractSet[str], other: AbstractSet[str]) -> float:
    """Return the share of all shingles that both have."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
