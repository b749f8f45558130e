"""Fenced code and the languages that tasks name are found."""

import pytest

from evolcoder.fences import without_code
from evolcoder.programming_language import code_blocks, named_language


def test_a_fence_that_never_closes_ends_with_the_text():
    """An unclosed fence is a block marked as unclosed."""
    closed, open_ = code_blocks("```python\nx = 1\n```\nand\n```js\nlet y")
    assert (closed.language, closed.code, closed.closed) == ("python", "x = 1", True)
    assert (open_.language, open_.code, open_.closed) == ("javascript", "let y", False)


def test_a_fence_within_a_program_does_not_end_it():
    """In a docstring or far indented; what is closed by too short a fence is closed all the same."""
    docstring = '"""\n```\nf()\n```\n"""\nx = 1'
    indented = "def f():\n    # ~~~\n    ```\n    x\n    ```\n    y"
    quote = "s = \"'''\""
    for fence, code, end in (
        ("```", docstring, "```"), ("```", indented, "```"), ("````", "x = 1", "```"),
        ("````", "a\n```\nb", "````"), ("```", quote, "```"),
    ):  # fmt: skip
        answer = f"One.\n{fence}python\n{code}\n{end}\nTwo.\n```bash\nls\n```\nThree."
        found = [(block.tag, block.code, block.closed) for block in code_blocks(answer)]
        assert found == [("python", code, True), ("bash", "ls", True)], code
        assert without_code(answer).split() == ["One.", "Two.", "Three."]


def test_programs_with_an_odd_quote_each_stay_apart():
    """A fence with a tag begins a block, also where a docstring seems to be open."""
    codes = ['s = \'"""\'', 'let q = `"""`']
    answer = "One.\n```python\n{}\n```\nTwo.\n```js\n{}\n```\nThree.".format(*codes)
    assert [block.code for block in code_blocks(answer)] == codes


@pytest.mark.parametrize(
    ("task", "language"),
    [
        ("Write a function in C that adds", "c"),
        ("Read a line in C and return its length", "c"),
        ("Escape names against SQL injection", None),
        ("Write a SQL query safe from SQL injection", "sql"),
        ("Write a C++ program", "cpp"),
        ("Use jQuery to hide it", "javascript"),
        ("Go through the list", None),
        ("Write a Go function", "go"),
        ("Sort the letters r and d", None),
        ("Sort it:\n```rust\nfn f() {}\n```", "rust"),
        ("Rewrite this SQL query in C#", "sql"),
        ("Print a Python string with a java program in Java", "java"),
        ("", None),
    ],
)
def test_the_language_that_a_task_names_is_found(task, language):
    """Names, fence tags, and single letters that clearly mean a language count."""
    assert named_language(task) == language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Go में एक फ़ंक्शन लिखिए जो स्ट्रिंग को उलट दे।", "go"),
        ("اكتب برنامجًا بلغة C يطبع الأعداد.", "c"),
        ("Scrivi una funzione in Go che inverta una stringa.", "go"),
        ("Scrivi in R una funzione che sommi i numeri.", "r"),
        ("Go で文字列を反転する関数を書いてください。", "go"),
        ("Go로 문자열을 뒤집는 함수를 작성하세요.", "go"),
        ("A、B、C で構成される文字列を数える。", None),
        ("Conta le classi A, B e C in un testo.", None),
    ],
)
def test_names_of_a_letter_or_two_are_found_by_the_words_around_them(text, language):
    assert named_language(text) == language
