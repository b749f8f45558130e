"""Words, prose, code and the wanted output are recognised in texts."""

import re
import time
import unicodedata

import pytest

from evolcoder import programming_language, text
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


def test_prose_is_what_stands_around_fences():
    """Code is removed; an unclosed fence removes the rest of the text."""
    assert text.without_code("one\n```\nx\n```\ntwo").split() == ["one", "two"]
    assert text.without_code("one\n```\nx").split() == ["one"]


@pytest.mark.parametrize(
    ("task", "wanted"),
    [
        ("Write a function that adds", text.WantedOutput.CODE),
        ("please create a SQL query", text.WantedOutput.CODE),
        ("Explain the use of classes in Python", text.WantedOutput.WORDS),
        ("What is a class?", text.WantedOutput.WORDS),
        ("How does a hash map work?", text.WantedOutput.WORDS),
        ("How can I delete a key?", text.WantedOutput.EITHER),
        ("Sort these numbers: 3, 1", text.WantedOutput.EITHER),
        ("¿Qué diferencia hay entre un proceso y un hilo?", text.WantedOutput.WORDS),
        ("スタックとキューの違いを説明してください。", text.WantedOutput.WORDS),
        ("얕은 복사와 깊은 복사의 차이를 설명해 주세요.", text.WantedOutput.WORDS),
        ("列表和元组有什么区别？", text.WantedOutput.WORDS),
        ("Qual è la differenza tra lista e tupla?", text.WantedOutput.WORDS),
        ("Quelle est la différence entre une pile et une file ?", text.WantedOutput.WORDS),
        ("ما الفرق بين القائمة والصف؟", text.WantedOutput.WORDS),
        ("二つの日付の違いを日数で返す関数を書いてください。", text.WantedOutput.EITHER),
        ("두 날짜의 차이를 구하는 함수를 작성하세요.", text.WantedOutput.EITHER),
    ],
)
def test_what_a_task_wants_is_read_from_its_opening(task, wanted):
    """Code, an explanation, or either; in Japanese and Korean from its end."""
    assert text.wanted_output(task) is wanted


@pytest.mark.parametrize(("cell", "width"), [
    ("ﾘｽﾄ", 3), ("リスト", 6), ("１２３", 6), ("한글", 4), (unicodedata.normalize("NFD", "한글"), 4),
    (unicodedata.normalize("NFD", "ガ"), 2), ("قَائِمَة", 5), ("सूची", 3), ("ação", 4),
])  # fmt: skip
def test_a_cell_of_a_table_is_as_wide_as_a_terminal_shows_it(cell, width):
    """Full-width digits, half-width kana, decomposed letters, and vowel signs."""
    assert text.cell_width(cell) == width
    assert text.cell_width(text.padded(cell, 9)) == 9


@pytest.mark.parametrize(
    "line",
    ["def f(x):", "const a = 1;", "SELECT * FROM t", "#include <stdio.h>", "<li>one</li>",
     "x = 5", "p.info { color: red; }", "print(x)", "$total = 3", "    return f(x)", "y <- c(1, 2)"],
)  # fmt: skip
def test_lines_that_read_like_code_are_found(line):
    """Code without a fence is recognised."""
    assert text.code_lines(f"Some words.\n{line}\nMore words.") == [line.strip()]
    assert text.has_code(line)


@pytest.mark.parametrize(
    "line",
    ["Return the list, sorted.", "For each row, print it", "If it is empty, stop.", "Import it",
     "While this works, it is slow.", "The result is a tree", "- handle errors"],
)  # fmt: skip
def test_prose_is_not_taken_for_code(line):
    """English that begins like a statement is not code."""
    assert not text.has_code(line)


def test_a_loop_at_the_end_is_found_and_ordinary_repetition_is_not():
    """Four repeats that fill 40 characters are a loop; closing tags and sayings are not."""
    assert text.longest_repeat("So. " + "I will do it again. " * 5) == "I will do it again."
    assert text.longest_repeat("x" + "ab-" * 40) != ""
    assert text.longest_repeat("</div>\n" * 4) == ""
    assert text.longest_repeat("-" * 200) == ""
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
    text.code_lines(hard)
    programming_language.named_language(hard)
    text.longest_repeat(hard)
    text.wanted_output(hard)
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize(
    ("line", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        (
            "编写一个 Python 函数，返回最大值。",
            10,
            ["编写一个", "Python 函", "数，返回最", "大值。"],
        ),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("हिन्दी में", 6, ["हिन्दी", "में"]),
        ("", 5, []),
    ],
)
def test_lines_are_broken_by_the_cells_that_they_take(line, width, lines):
    """Wide characters take two cells, marks none."""
    assert text.wrapped(line, width) == lines
    assert all(text.cell_width(text.padded(part, width)) == width for part in lines)


def test_words_are_counted_in_scripts_without_blanks():
    """Two characters count as a word, and Latin names within them as one each."""
    assert text.count_words("编写一个Python函数") == 4
    assert text.count_words("हिन्दी में एक फ़ंक्शन") == 4
    assert text.words("用 Python3 排序") == ["用", "python3", "排序"]


def test_a_long_text_is_shortened_to_its_width():
    """White space is collapsed, and an ellipsis marks the cut."""
    assert text.one_line("a\n  b", 10) == "a b"
    assert text.one_line("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ("http://127.0.0.1:8000/v1#m", "openai:m"),
        ("https://user:pass@host/v1#org/m:tag", "openai:org/m:tag"),
        ("https://host/v1?api-version=1&key=x#m", "openai:m?api-version=1"),
        ("http://[::1]:8000/v1#m#x", "openai:m#x"),
        ("openai:m", "openai:m"),
        ("qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b"),
        ("models/a.gguf", "models/a.gguf"),
        ("scripted:a#b.json", "scripted:a#b.json"),
        ("engine:http://h/v1#m", "engine:http://h/v1#m"),
        ("http://host/v1", "http://host/v1"),
        ("http://host/v1#", "http://host/v1#"),
        ("http://ho[st/v1?%ff=%#m", "openai:m?%EF%BF%BD=%25"),
    ],
)
def test_a_spec_without_its_address_names_the_model(spec, model):
    """The place of a server goes, its interface stays; whatever names no server is kept."""
    assert text.without_address(spec) == model
    assert text.without_address(model) == model


@pytest.mark.parametrize(
    "name",
    ["api-key", "X-API-Key", "Authorization", "Ocp-Apim-Subscription-Key", "Cookie", "X-Auth-Token",
     "Proxy-Authorization", "x-goog-api-key", "Session-Id", "cf-access-client-secret"],
)  # fmt: skip
def test_headers_that_hold_secrets_are_known_by_name(name):
    """As those of Azure, Google and gateways."""
    assert text.header_names_secret(name)


@pytest.mark.parametrize(
    "name", ["anthropic-version", "X-Title", "HTTP-Referer", "OpenAI-Organization", "x-variant"]
)
def test_headers_without_secrets_are_shown(name):
    """They are part of what a run stores."""
    assert not text.header_names_secret(name)


RANDOM = "aQ9zT4mK2wX7rB1c"
SECRET_FIELDS = [
    ("api_key", "x"), ("api-key", "x"), ("apiKey", "x"), ("APIKey", "x"), ("token", "x"),
    ("key", "x"), ("authorization", "x"), ("Authorization", "Bearer x"), ("X-Auth", "x"),
    ("access_token", "x"), ("accessToken", "x"), ("client_secret", "x"), ("password", "x"),
    ("api_keys", "x"), ("aws_session_token", "x"), ("my_key", RANDOM), ("litellm_token", RANDOM),
    ("note", "Bearer abcdefghi"), ("note", f"sk-proj-{RANDOM}"), ("note", f"hf_{RANDOM}"),
]  # fmt: skip
OTHER_FIELDS = [
    ("prompt_cache_key", RANDOM), ("bos_token", "<s>"), ("eos_token", "<|im_end|>"),
    ("max_tokens", "x"), ("eos_token_id", "2"), ("pad_token", "[PAD]"), ("tokenizer", "x"),
    ("stop_tokens", "END"), ("author", "me"), ("monkey", "x"), ("stop", "sk-"), ("user", RANDOM),
    ("safety_identifier", RANDOM), ("idempotency_key", RANDOM), ("keywords", "x"), ("", RANDOM),
    ("reasoning_effort", "low"), ("secretary", "x"), ("grammar", "Bearer of news, and more"),
]  # fmt: skip


@pytest.mark.parametrize("fields", [SECRET_FIELDS, OTHER_FIELDS], ids=["secrets", "others"])
def test_fields_that_hold_secrets_are_known_by_name_or_value(fields):
    """A key of a cache and a token of a vocabulary are none."""
    expected = fields is SECRET_FIELDS
    assert [field for field in fields if text.is_secret_field(*field) is not expected] == []


def test_numbers_in_names_sort_by_value():
    """Of any length, with leading zeros, and without a number before those with one."""
    names = ["a10", "a2", "a", "a02", "b1", "a1" + "0" * 5000, "10", "9"]
    wanted = ["9", "10", "a", "a02", "a2", "a10", "a1" + "0" * 5000, "b1"]
    assert sorted(names, key=natural_key) == wanted
