"""Words and lines of a text.

>>> words("Sort the list, please.")
['sort', 'the', 'list', 'please']
"""

import json
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache, wraps
from itertools import pairwise
from typing import TypeVar, cast

R = TypeVar("R")


class _LatePattern:
    """A regular expression that is compiled when one of its methods is first read."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._given = pattern, flags

    def __getattr__(self, name: str) -> object:
        found: object = getattr(re.compile(*self._given), name)
        setattr(self, name, found)
        return found


def late_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return a pattern that costs nothing at the start of a command that does not use it."""
    return cast("re.Pattern[str]", _LatePattern(pattern, flags))


REMEMBERED_TEXTS, REMEMBERED_CHARS = 128, 20_000
"""Number of texts that `remembered` caches, and the length above which it caches none."""


def remembered(function: Callable[[str], R]) -> Callable[[str], R]:
    """Cache a function of a text: several rules in turn are applied to one text."""
    found = lru_cache(maxsize=REMEMBERED_TEXTS)(function)

    @wraps(function)
    def ask(text: str) -> R:
        return found(text) if len(text) <= REMEMBERED_CHARS else function(text)

    return ask


UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Scripts without blanks between words: Thai, Lao, Myanmar, Khmer, Chinese characters, kana."""
_LATIN = "a-z0-9\u00df-\u00f6\u00f8-\u024f\u1e00-\u1eff\u0300-\u036f"
_MARKS = "".join(
    char for char in map(chr, range(0x370, 0x1C00)) if unicodedata.category(char) in {"Mn", "Mc"}
)
"""Signs that are part of words and that `\\w` does not match, such as vowels of Indic scripts."""
_OTHER = rf"(?:(?![{UNSPACED}{_LATIN}])[^\W_]|[{_MARKS}])"
_WORD = late_pattern(
    rf"[{UNSPACED}]+|[{_LATIN}]+(?:['’+#][{_LATIN}]*)*|{_OTHER}+(?:['’]{_OTHER}+)*"
)
_RUN = late_pattern(f"[{UNSPACED}]+")
_UNSPACED_CHAR = late_pattern(f"[{UNSPACED}]")
_ASCII_WORD = re.compile(r"[a-z0-9][a-z0-9'+#]*")
_SPACE = re.compile(r"\s+")
_DECIMALS = re.compile(r"(\d+)")
CHARS_PER_WORD = 2.0
"""Characters of a word in scripts without blanks: between Chinese (1.6) and Thai (4)."""
STOP_WORDS = frozenset(
    """a an the and or but if then else so of in on at to for from by with without as is are was
    were be been being it its this that these those there here you your i me my we our us they them
    their he she his her do does did done doing have has had can could will would shall should may
    might must not no yes also just only very too more most some any all each every which who whom
    whose what when where why how about into over under again once than such own same both few other
    please using use used ensure make sure following given""".split()
)


def clean(text: str) -> str:
    """Make a string encodable: each lone surrogate and NUL becomes U+FFFD."""
    text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


END_OF_TURN = (
    r"(?:<\|(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|EOT|return|END_OF_TURN_TOKEN)\|>"
    r"|<end_of_turn>|<｜end▁of▁sentence｜>|\[\|endofturn\|\]|</s>)"
)
"""Special tokens that end a turn of a chat, as a pattern."""
_NEXT_TURN = late_pattern(
    rf"{END_OF_TURN}\s*(?:{END_OF_TURN}\s*)*(?:<\|(?:im_start|start_header_id|start_of_role"
    r"|START_OF_TURN_TOKEN|user|system|assistant)\|>|<start_of_turn>|<s>|\[INST\]|<｜User｜>)"
)
_TURN_ENDS = late_pattern(rf"{END_OF_TURN}\s*\Z")
_TURN_END_CHARS = 40
"""More characters than any special token has."""


def first_turn(text: str) -> tuple[str, bool]:
    r"""Cut an answer at the special token that ends its turn, if the server left that in.

    That is a token at the end, or one before the beginning of a next turn, outside fenced code and
    quotation marks. Returns whether there was a next turn.

    >>> first_turn("Done.<|im_end|>\n<|im_start|>user\nThanks!")
    ('Done.', True)
    """
    if "<" not in text and "[" not in text:
        return text, False
    has_next = False
    for found in _NEXT_TURN.finditer(text):
        at = found.start()
        line = text[text.rfind("\n", 0, at) + 1 : at].replace("```", "")
        is_quoted = line.count("`") % 2 == 1 or line.endswith(("'", '"'))
        if text.count("```", 0, at) % 2 == 0 and not is_quoted:
            text, has_next = text[:at], True
            break
    while last := _TURN_ENDS.search(text, max(0, len(text.rstrip()) - _TURN_END_CHARS)):
        if last[0].startswith("</s>") and "<s>" in text:
            break  # struck out, in HTML
        text = text[: last.start()]
    return text, has_next


def spaced(text: str) -> str:
    """Put blanks around the characters of scripts without blanks between words, for a word index.

    >>> spaced("sort 排序 it")
    'sort  排  序  it'
    """
    return text if text.isascii() else _UNSPACED_CHAR.sub(r" \g<0> ", text)


def words(text: str) -> list[str]:
    """Split into lower-case words; `c++` and `c#` are words.

    Where a script has no blanks between words, each two neighbouring characters count as a word:
    texts that share words share those. `count_words` counts whole words.
    """
    lowered = text.lower()
    if lowered.isascii():
        # This pattern finds the same words in half the time.
        return _ASCII_WORD.findall(lowered)
    found: list[str] = []
    for word in _WORD.findall(lowered):
        if len(word) > 2 and _RUN.match(word):
            found += map("".join, pairwise(word))
        else:
            found.append(word)
    return found


def is_unspaced(word: str) -> bool:
    """Return whether a word of `words` is part of a script without blanks between words."""
    return _RUN.match(word) is not None


@remembered
def count_words(text: str) -> int:
    """Count words; `CHARS_PER_WORD` characters of a script without blanks count as one."""
    lowered = text.lower()
    if lowered.isascii():
        return len(_ASCII_WORD.findall(lowered))
    found = _WORD.findall(lowered)
    n_chars = sum(len(word) for word in found if _RUN.match(word))
    n_words = sum(1 for word in found if not _RUN.match(word))
    return n_words + round(n_chars / CHARS_PER_WORD)


def one_line(text: str, width: int) -> str:
    """Collapse white space and shorten to `width` characters."""
    folded = _SPACE.sub(" ", text).strip()
    return folded if len(folded) <= width else folded[: width - 1] + "…"


def natural_key(text: str) -> tuple[tuple[str | tuple[int, str], ...], str]:
    """Return a key that sorts texts by their numbers' values.

    >>> sorted(["HumanEval/10", "HumanEval/2"], key=natural_key)
    ['HumanEval/2', 'HumanEval/10']
    """
    parts: list[str | tuple[int, str]] = list(_DECIMALS.split(text))
    for at in range(1, len(parts), 2):
        digits = str(parts[at]).lstrip("0")
        parts[at] = len(digits), digits  # as a number, of any length
    return tuple(parts), text


_REPEATED_TIMES, _REPEATED_CHARS = 4, 40
"""Fewest repetitions of a text that loops, and fewest characters of all of them."""


def longest_repeat(text: str) -> str:
    """Return the text that is repeated at the end of a text, or ''.

    A looping model repeats one text until it is cut off. Prose and code repeat too, so few
    repetitions do not count.
    """
    tail = text[-4000:].rstrip()
    end = tail[-_REPEATED_CHARS // 2 :]
    earlier = tail.rfind(end, 0, len(tail) - 1)
    if earlier < 0:
        return ""
    period = len(tail) - len(end) - earlier
    unit = tail[-period:]
    if len(unit.strip()) <= 2:
        return ""
    n_times = max(_REPEATED_TIMES, _REPEATED_CHARS // period + 1)
    return unit.strip() if tail.endswith(unit * n_times) else ""


def json_text(value: object, *, indent: int | None = None) -> str:
    """Write plain data as printable ASCII JSON; `json` escapes everything except DEL."""
    return json.dumps(value, indent=indent).replace("\x7f", "\\u007f")
