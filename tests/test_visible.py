"""Characters that control a terminal, hide or reorder text are escaped; other text is unchanged."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.grading import sealed
from evolcoder.visible import visible

SIGNS_IN_FRONT = {
    *range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD,
}  # fmt: skip
"""Format characters that are drawn: those that stand before a number."""
UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u3164\uffa0\ufe00\ufe0f\U000e0001\U000e0100\U000e01ef"
)
"""What is drawn as nothing although it is a letter or a mark, or is none yet."""
WRITTEN = {
    "\x00": r"\x00", "\x07": r"\x07", "\x08": r"\x08", "\r": r"\r", "\x1b": r"\x1b", "\x7f": r"\x7f",
    "\x85": r"\x85", "\x9b": r"\x9b", "\xad": r"\xad", "\u200b": r"\u200b", "\u202e": r"\u202e",
    "\u2028": r"\u2028", "\u2066": r"\u2066", "\u061c": r"\u061c", "\ufeff": r"\ufeff",
    "\ufff9": r"\ufff9", "\ud800": r"\ud800", "\ue000": r"\ue000",
    "\U000e0041": r"\U000e0041", "\U0010ffff": r"\U0010ffff",
}  # fmt: skip


def hidden(code):
    char = chr(code)
    is_control = unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    return is_control and char not in "\n\t" and code not in SIGNS_IN_FRONT


LAST_DRAWN = 0x3FFFF
"""Behind it are tags, private use and nothing else; each thousandth of those will do."""
CODES = [*range(LAST_DRAWN), *range(LAST_DRAWN, 0x110000, 997), 0x10FFFF]
ALL_HIDDEN = [*(chr(code) for code in CODES if hidden(code)), *UNSEEN]


@pytest.mark.parametrize("char", WRITTEN)
def test_a_control_character_is_written_as_its_escape(char):
    """The escape is Python's, in any context."""
    assert visible(f"a{char}b") == f"a{WRITTEN[char]}b"


def test_no_control_format_surrogate_or_private_character_passes():
    """Each such character becomes printable text, alone and between letters."""
    passed = [ascii(char) for char in ALL_HIDDEN if visible(f"x{char}y").isprintable() is False]
    passed += [ascii(char) for char in ALL_HIDDEN if char in visible(f"{char}{char}")]
    assert passed == []


@pytest.mark.parametrize(
    "text",
    [
        "plain text, tabs\tand\nlines",
        "Grüße, naïve café — “quotes” … № €",
        "漢字とかな　전각 한국어",
        "葛\U000e0100城",
        "שלום עולם، مرحبا بالعالم",
        "می‌خواهم کتاب‌ها",
        "क्‍ष श्री‌मान् অর্‌থ",
        "ന്‍ അവന്‍",
        "👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 ❤️‍🔥 🙂‍↔️ 1️⃣ ☎︎",
        "ᠮᠣᠩᠭᠣᠯ᠎ᠠ ᠪᠢ᠋",
        "ไทย ລາວ ខ្មែរ မြန်မာ བོད་ཡིག",
        "∀x ∈ ℝ: ⌈x⌉ = −⌊−x⌋",
    ],
)
def test_ordinary_text_of_any_script_stays_as_it_is(text):
    """Joiners between joining letters and in emoji, and selectors after their base, are kept."""
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "pass\u200dword", "pass\u200cword", "\u200dx", "a\ufe0f", "\ufe0f", " \ufe0f", "😀\ufe0f\ufe0f",
        "😀\U000e0100", "a\U000e0101", "ا\u200b\u200cب", "ا\u200c\u200cب", "ا\u200c", "😀\u200dx",
        "x\u180bᠠ", "1\u200d2", "\u180e",
    ],
)  # fmt: skip
def test_what_joins_or_selects_nothing_is_shown(text):
    """Joiners that do not join, doubled or final ones, and stray selectors are escaped."""
    shown = visible(text)
    assert shown != text
    assert "\\" in shown


@given(st.text(st.characters(codec=None), max_size=12))
def test_it_takes_any_string_and_done_twice_is_as_done_once(text):
    """Any string works, the result is encodable, and the function is idempotent."""
    shown = visible(text)
    shown.encode()
    assert visible(shown) == shown
    assert "\n" not in visible(text, lines=False)


@given(st.text(st.sampled_from("a ا्ক😀\u200c\u200d\ufe0f\u180bᠠ\U000e0100葛1"), max_size=8))
def test_joiners_and_selectors_in_any_order_are_settled_at_once(text):
    """One pass gives the same result as two."""
    shown = visible(text)
    assert visible(shown) == shown


def test_one_line_has_neither_tabs_nor_line_feeds():
    """For one-line texts, tabs and line feeds are escaped too."""
    assert visible("a\tb\nc\r\n", lines=False) == r"a\tb\nc\r\n"


@pytest.mark.parametrize("char", ["\x1b", "\u200d", "\ufe0f", "\udc80", "é", "ب\u200c"])
def test_it_takes_linear_time(char):
    """Twice the text takes about twice the time."""

    def cost(n):
        text = char * n
        begun = time.process_time()
        visible(text)
        return time.process_time() - begun

    cost(1000)
    once = min(cost(5_000) for _ in range(3))
    assert cost(40_000) < 24 * once + 0.1


def test_a_line_of_a_program_is_kept_as_it_is_shown():
    """A candidate's text in a verdict's `got` cannot control a terminal."""
    shown = sealed._shown("\x1b[31m\u202e\x00\x9bevil \ud83d".encode("utf-8", "surrogatepass"))
    assert shown.startswith("\\x1b[31m\\u202e\\x00\\x9bevil ")
    assert visible(shown) == shown
