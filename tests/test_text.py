"""Words and lines of texts are recognised."""

import re
import time

import pytest

from evolcoder import fences, programming_language, text
from evolcoder.evolution.wanted_output import wanted_output
from evolcoder.text import natural_key


def test_names_of_languages_stay_whole_words():
    """`c++` and `c#` are one word each; a hyphen separates words."""
    assert text.words("C++, C# and R-lang: it's fine") == [
        "c++",
        "c#",
        "and",
        "r",
        "lang",
        "it's",
        "fine",
    ]


@pytest.mark.parametrize("told", ["C++ and it's 3.5 #tag a_b+", "x'+y# 'q' --", "A1 B2_c"])
def test_a_letter_beyond_ascii_changes_no_other_word(told):
    """The ASCII and the Unicode pattern agree."""
    assert text.words(f"{told} é") == [*text.words(told), "é"]


def test_a_late_pattern_is_the_pattern():
    """Every attribute is that of the compiled pattern, with its flags; nothing is compiled before."""
    late = text.late_pattern(r"(?P<word>b+)", re.IGNORECASE)
    now = re.compile(r"(?P<word>b+)", re.IGNORECASE)
    assert list(vars(late)) == ["_given"]
    said = "abBa cbd"
    assert late.findall(said) == now.findall(said)
    assert late.search(said).span() == now.search(said).span()
    assert [one[0] for one in late.finditer(said)] == ["bB", "b"]
    assert late.sub("_", said) == now.sub("_", said)
    assert late.match(said) is None
    assert (late.pattern, late.flags, late.groupindex) == (now.pattern, now.flags, now.groupindex)


def test_only_short_texts_are_remembered():
    """A text of megabytes is asked for again; none is kept for its length."""
    asked = []
    length = text.remembered(lambda told: asked.append(told) or len(told))
    short, long = "x" * text.REMEMBERED_CHARS, "y" * (text.REMEMBERED_CHARS + 1)
    assert [length(told) for told in (short, short, long, long)] == [len(short)] * 2 + [
        len(long)
    ] * 2
    assert asked == [short, long, long]


def test_lone_surrogates_and_nul_become_replacement_characters():
    """Unencodable characters are replaced; all others are kept."""
    assert text.clean("a\x00b\ud800c😀") == "a\ufffdb\ufffdc😀"


def test_a_loop_at_the_end_is_found_and_ordinary_repetition_is_not():
    """Four repeats that fill 40 characters are a loop; closing tags and sayings are not."""
    assert text.longest_repeat("So. " + "I will do it again. " * 5) == "I will do it again."
    assert text.longest_repeat("x" + "ab-" * 40) != ""
    assert text.longest_repeat("</div>\n" * 4) == ""
    assert text.longest_repeat("-" * 200) == ""
    assert [text.longest_repeat(short) for short in ("", " ", "a", "aa", "ab" * 3)] == [""] * 5
    assert text.longest_repeat("She said no, no, no and left the house for good that day.") == ""


def test_long_lines_that_loop_are_found():
    """A paragraph of 300 characters repeated six times is a loop."""
    line = " ".join(f"word{n}" for n in range(45)) + ".\n"
    assert text.longest_repeat(line * 6) == line.strip()


@pytest.mark.parametrize(
    "hard", ["a" * 200_000, "```" * 50_000, "(" * 100_000, "x = " * 50_000, "</" * 100_000]
)
def test_hostile_texts_take_linear_time(hard):
    """No text causes catastrophic backtracking."""
    began = time.process_time()
    text.words(hard)
    programming_language.code_blocks(hard)
    fences.code_lines(hard)
    programming_language.named_language(hard)
    text.longest_repeat(hard)
    wanted_output(hard)
    assert time.process_time() - began < 2.0


def test_words_are_counted_in_scripts_without_blanks():
    """Two characters count as a word, and Latin names within them as one each."""
    assert text.count_words("编写一个Python函数") == 4
    assert text.count_words("हिन्दी में एक फ़ंक्शन") == 4
    assert text.words("用 Python3 排序") == ["用", "python3", "排序"]


def test_a_long_text_is_shortened_to_its_width():
    """White space is collapsed, and an ellipsis marks the cut."""
    assert text.one_line("a\n  b", 10) == "a b"
    assert text.one_line("abcdef", 4) == "abc…"


def test_numbers_in_names_sort_by_value():
    """Of any length, with leading zeros, and without a number before those with one."""
    names = ["a10", "a2", "a", "a02", "b1", "a1" + "0" * 5000, "10", "9"]
    wanted = ["9", "10", "a", "a02", "a2", "a10", "a1" + "0" * 5000, "b1"]
    assert sorted(names, key=natural_key) == wanted
