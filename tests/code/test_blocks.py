"""Finding the program of a response, or the reason why there is none."""

import time

import pytest

from evolcoder.code.blocks import MAX_CHARS, as_fences, find_program
from evolcoder.code.notations import plain_code


def fence(language, code):
    return f"```{language}\n{code}\n```\n"


@pytest.mark.parametrize(
    ("text", "named", "language", "first"),
    [
        (fence("python", "x = 1"), ["java"], "python", "x = 1"),
        (fence("", "print(1)"), ["lua", "python"], "lua", "print(1)"),
        ("Its output is right:\n" + fence("", "print(1)"), ["lua"], "lua", "print(1)"),
        (fence("", "import os\nprint(os.name)"), [], "python", "import os\nprint(os.name)"),
        (fence("bash", "pip install x") + fence("py", "x = 1"), [], "python", "x = 1"),
        (fence("js", "f();") + fence("", "output") + fence("c", "int x;"), ["c"], "c", "int x;"),
        ("  - do:\n\n" + fence("ruby", "  puts 1\n  puts 2"), [], "ruby", "puts 1\nputs 2"),
        ("def f(x):\n    return x", ["python"], "python", "def f(x):\n    return x"),
        ("<?php echo 1;", ["javascript"], "php", "<?php echo 1;"),
        ("```java\nclass A {}", ["java"], "java", "class A {}"),
    ],
)
def test_the_fence_and_then_the_task_determine_the_language(text, named, language, first):
    """Without either, unambiguous code does."""
    program = find_program(text, named)
    assert (program.language, program.sources[0], program.why) == (language, first, "")


TAGS = {
    "python": "py3 python3.12 main.py",
    "cpp": "cc cxx c++ c++17 cpp20 main.cc hpp.cpp",
    "c": "c c99 c11",
    "javascript": "js mjs cjs node a.mjs",
    "typescript": "ts mts",
    "java": "java java17 Main.java",
    "csharp": "cs c-sharp csx",
    "rust": "rs rust2021 rust-2021",
    "lua": "lua lua5.3",
    "r": "R Rscript",
    "bash": "sh ksh zsh",
    "php": "php8",
}


@pytest.mark.parametrize(("language", "tags"), TAGS.items(), ids=TAGS)
def test_a_language_has_many_tags(language, tags):
    """Versions, names of interpreters, and names of files with their endings."""
    for tag in tags.split():
        assert find_program(fence(tag, "x = 1"), []).language == language, tag


@pytest.mark.parametrize(
    "tag", "python2 python2.7 py2 d3 es6 h264 c2 v8 base64 utf8 sha256".split()
)
def test_what_only_looks_like_a_language_is_none(tag):
    """Names with numbers, and Python 2, which is another language."""
    assert find_program(fence(tag, "x = 1"), ["python"]).why == "language"


@pytest.mark.parametrize(
    "text",
    [
        "```python\rx = 1\ry = 2\r```\r",
        "```bash\npip install x\n``````python\nx = 1\ny = 2\n```",
    ],
    ids=ascii,
)
def test_fences_with_other_ends_are_read(text):
    """Carriage returns alone, and a fence that ends and begins on one line."""
    program = find_program(text, [])
    assert (program.language, program.sources) == ("python", ("x = 1\ny = 2",))


def test_blocks_are_parts_or_versions():
    """All joined are tried first, then the longest, then the last."""
    program = find_program(fence("python", "a = 1\nb = 2") + "and\n" + fence("python", "c = 3"), [])
    assert program.sources == ("a = 1\nb = 2\n\nc = 3", "a = 1\nb = 2", "c = 3")


def test_the_task_selects_one_of_five_languages():
    """The others are listed as other languages."""
    names = ("python", "javascript", "java", "c", "ruby")
    program = find_program("".join(fence(name, f"{name};") for name in names), ["java"])
    assert (program.language, program.sources) == ("java", ("java;",))
    assert program.other_languages == ("c", "javascript", "python", "ruby")


@pytest.mark.parametrize(
    ("text", "named", "why"),
    [
        ("Recursion is when a function calls itself.", ["python"], "no_code"),
        ("```\n\n```", ["python"], "no_code"),
        ("", ["python"], "no_code"),
        ("There is an error in this code. Write it so:\n\nx = f(1)\n", ["python"], "among_prose"),
        (fence("", "3 7 9"), [], "language_unknown"),
        ("The output of the snippet is:\n\n" + fence("", "Hello!"), ["ruby"], "shows_output"),
        ("x" * (MAX_CHARS + 1), ["python"], "too_long"),
    ],
)
def test_a_missing_program_has_a_reason(text, named, why):
    """Prose is not searched for code, and code of unknown language is not run."""
    program = find_program(text, named)
    assert (program.sources, program.why) == ((), why)


def test_a_translation_may_be_in_either_language():
    """If only the task names languages, all of them are candidates."""
    program = find_program("def f(x):\n    return x", ["cpp", "python"])
    assert (program.language, program.alternatives) == ("cpp", ("python",))


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\nA" + " bcd" * 20_000 + " ~\n",
        "output " * 12_000 + "\nhello\n```\nx = 1\n```\n",
    ],
    ids=["a long sentence", "a line that says output often"],
)
def test_long_lines_are_searched_in_linear_time(text):
    """Without a time that grows with the square of a line's length."""
    start = time.process_time()
    find_program(text, ["python"])
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "mark",
    [
        "<pre><code>\n",
        "\\begin{verbatim}\nx\n",
        "<pre",
        "\\begin{minted}[",
        "<code>",
        "'''py\n",
        '{"code": ',
        '"code": """x ',
        "cat <<EOF\n",
        "> ```\n",
        "\n\n    x = 1",
        "[code]\n",
    ],
)
def test_marks_without_an_end_are_read_in_time(mark):
    """Not every one of them is followed to the end of the longest text, which took minutes."""
    found = find_program(mark * (MAX_CHARS // len(mark)), [])
    assert isinstance(found.why, str)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ('<pre class="x"><code>', "</code></pre>"),
        ("\\begin{minted}[a=1]{python}", "\\end{minted}"),
        ("'''python\n", "\n'''"),
    ],
)
def test_what_follows_the_last_end_of_a_mark_stays(begin, end):
    """An unclosed mark below a closed one changes nothing."""
    text = as_fences(f"So:\n{begin}x = 1\ny = 2{end}\nand {begin}")
    assert text.startswith("So:\n\n```\nx = 1\ny = 2\n```\n")
    assert text.endswith(f"and {begin}")


def test_only_quoted_lines_lose_their_mark():
    """A line of code may begin with `>`; a blank line within a quoted fence may lack the mark."""
    quoted = "> ```python\n> a = 1\n\n> b = 2\n> ```\n"
    plain = "```python\nc = (1\n> 2)\n```"
    assert as_fences(f"{quoted}\n{plain}") == f"```python\na = 1\n\nb = 2\n```\n\n{plain}"


@pytest.mark.parametrize(
    "text",
    [
        'A key:\n```json\n{"code": "ERR_404"}\n```',
        '```python\nanswer = {"code": "x = f(1)\\n"}\n```',
        '```python\nprint("a:\\n  b\\n")\n```',
        'print("{\\n  1,\\n}")',
        "```python\n1\n2\n```",
        "Steps:\n\n1. Sort it.\n\n    Take the first one, and return that.\n",
    ],
)
def test_what_looks_like_another_notation_stays(text):
    """JSON that holds no code or is code, escapes in strings, numbers, and indented prose."""
    assert as_fences(text) == text


def test_an_indented_block_in_prose_is_the_program():
    """In prose, and only if it looks like code."""
    block = "It is:\n\n    def f(x):\n        return x\n\nThat returns its argument as it is.\n"
    assert find_program(block, ["python"]).sources == ("def f(x):\n    return x",)
    prose = "1. Sort all of it.\n\n    Take the first one, and return that.\n"
    assert not find_program(prose, ["python"]).sources


SEPARATORS = ["\u2028", "\u2029", "\x85", "<br>", "<br/>", "<BR />", "<br>\n"]
LINED = "def f(x):\n    if x < 1:\n        return '<br>'\n    return 2"
SHAPES_OF_LINES = [
    "CODE", "```python\nCODE\n```", "```python|CODE|```", "```\nCODE\n```", "Here it is:|CODE",
    "Here it is:||```python|CODE|```||It works.", "Here:\n\n```python|CODE|```\n",
    "Here:\n\n```python\nCODE\n```\nIt works.",
]  # fmt: skip


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
@pytest.mark.parametrize("shape", SHAPES_OF_LINES, ids=ascii)
def test_other_signs_between_lines_are_line_feeds(shape, separator):
    """Of code with or without a fence, and of the prose around it."""
    code = LINED.replace("<br>", "-") if "br" in separator.lower() else LINED
    text, wanted = (
        shape.replace("CODE", code.replace("\n", sign)).replace("|", sign)
        for sign in (separator, "\n")
    )
    found = find_program(text, ["python"])
    assert any(code in source for source in found.sources)
    assert found == find_program(wanted, ["python"])


@pytest.mark.parametrize(
    "text",
    [
        LINED,
        "```python\nprint('a\u2028b')\n```",
        "```python\nx = 'a<br>b'\n```",
        "print('<br>\u2029')",
        "```js\nlet s = 'a;<br>b;<br>c';\n```",
        "```html\n<p>a&nbsp;<br>b;<br>c</p>\n```",
        "```html\n<p>a<br>\nb</p>\n<br>\n```",
        "```js\nlet a = 1;\nlet s = 'x\u2028y';\n```",
    ],
    ids=ascii,
)
def test_such_signs_in_strings_and_in_html_stay(text):
    """The code runs as it was written."""
    assert as_fences(text) == text


@pytest.mark.parametrize(
    "code", ["<<<<<<< SEARCH\nx\n=======\n>>>>>>> REPLACE", "--- a\n+++ b\n-x"]
)
def test_an_edit_that_leaves_nothing_is_empty(code):
    """Only the old text is there, so no code is."""
    assert plain_code(code, "diff").strip() == ""
