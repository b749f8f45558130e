r"""Escapes characters that control a terminal, are invisible, or reorder text.

>>> visible("a\x1b[31m")
'a\\x1b[31m'
"""

import re
import unicodedata

from evolcoder.text import late_pattern

_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""ASCII control characters, except tab and line feed."""
_INVISIBLE = late_pattern(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL, C1
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # drawn as nothing
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, joiners, directions, separators
    r"\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"  # lone surrogates, private use, no characters
    r"\ufe00-\ufe0f\ufeff\ufff0-\ufffb\ufffe\uffff"  # selectors, byte order, annotations
    r"\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # layout of rare scripts
    r"\U0001fffe\U0001ffff\U0002fffe\U0002ffff\U0003fffe-\U0010ffff]"  # tags, private use, none
)
"""Unicode control characters, and characters that reorder text or are invisible."""
_JOINERS = "\u200c\u200d"
_EMOJI_SELECTOR = "\ufe0f"
_KEYCAPS = frozenset("0123456789#*")
"""Characters that an emoji selector turns into a keycap."""
_SYMBOLS = frozenset({"So", "Sm"})
_JOINING_SCRIPTS = late_pattern(
    "[\u0600-\u109f\u1780-\u18af\u1a00-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f]"
)
"""Scripts with joining letters: Arabic, Syriac, Indic and related scripts, Mongolian."""
_MONGOLIAN = re.compile("[\u1820-\u18aa]")
_IDEOGRAPH = late_pattern("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_VIRAMA = 9
"""Combining class of the sign that a joiner may follow at the end of a word."""


def visible(text: str, *, lines: bool = True) -> str:
    r"""Escape control, bidirectional and invisible characters, such as `\x1b` or `\u202e`.

    The result can neither control a terminal nor hide or reorder adjacent text; text of any script
    is unchanged, including the joiners that its letters and emoji need. `lines` keeps tabs and line
    feeds. Never raises; idempotent.
    """
    text = (_ASCII_CONTROLS if text.isascii() else _INVISIBLE).sub(_escape, text)
    return text if lines else text.replace("\n", "\\n").replace("\t", "\\t")


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    if _is_needed(char, found.string, found.start()):
        return char
    code = ord(char)
    if code < 0x100:
        return "\\r" if char == "\r" else f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _is_needed(char: str, text: str, at: int) -> bool:
    """Return whether an invisible character is needed to display its neighbours correctly."""
    before, after = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
    if char in _JOINERS:
        if before == _EMOJI_SELECTOR:
            before = text[max(at - 2, 0) : at - 1]
        return _joins_letters(before, after) or (_is_symbol(before) and _is_symbol(after))
    if "\ufe00" <= char <= _EMOJI_SELECTOR:
        return before in _KEYCAPS if before.isascii() else _is_shown(before)
    if "\u180b" <= char <= "\u180f":
        return _MONGOLIAN.match(before) is not None
    if "\U000e0100" <= char <= "\U000e01ef":
        return _IDEOGRAPH.match(before) is not None
    return False


def _joins_letters(before: str, after: str) -> bool:
    if not _is_letter(before):
        return False
    return unicodedata.combining(before) == _VIRAMA or _is_letter(after)


def _is_letter(char: str) -> bool:
    is_joined = _JOINING_SCRIPTS.match(char) is not None and _INVISIBLE.match(char) is None
    return is_joined and unicodedata.category(char)[0] in "LM"


def _is_symbol(char: str) -> bool:
    """Return whether it may be part of an emoji, including emoji newer than Python's data."""
    return "\U0001f000" <= char <= "\U0001faff" or (
        char > "\xff" and unicodedata.category(char) in _SYMBOLS
    )


def _is_shown(char: str) -> bool:
    return char != "" and not char.isspace() and _INVISIBLE.match(char) is None
