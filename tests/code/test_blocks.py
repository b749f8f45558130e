"""The program of an answer is found, or it is said why there is none."""

import pytest

from evolcoder.code.blocks import MOST_CHARS, found


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
def test_the_fence_decides_and_then_the_task(text, named, language, first):
    """The language is the fence's, else the task's, else what the code leaves no doubt of."""
    program = found(text, named)
    assert (program.language, program.sources[0], program.why) == (language, first, "")


def test_blocks_are_parts_or_versions():
    """All together are tried first, then the longest, then the last."""
    program = found(fence("python", "a = 1\nb = 2") + "and\n" + fence("python", "c = 3"), [])
    assert program.sources == ("a = 1\nb = 2\n\nc = 3", "a = 1\nb = 2", "c = 3")


def test_of_five_languages_the_task_names_the_one_that_counts():
    """The others are told beside it."""
    names = ("python", "javascript", "java", "c", "ruby")
    program = found("".join(fence(name, f"{name};") for name in names), ["java"])
    assert (program.language, program.sources) == ("java", ("java;",))
    assert program.beside == ("c", "javascript", "python", "ruby")


@pytest.mark.parametrize(
    ("text", "named", "why"),
    [
        ("Recursion is when a function calls itself.", ["python"], "no_code"),
        ("```\n\n```", ["python"], "no_code"),
        ("", ["python"], "no_code"),
        ("There is an error in this code. Write it so:\n\nx = f(1)\n", ["python"], "among_prose"),
        (fence("", "3 7 9"), [], "language_unknown"),
        ("The output of the snippet is:\n\n" + fence("", "Hello!"), ["ruby"], "shows_output"),
        ("x" * (MOST_CHARS + 1), ["python"], "too_long"),
    ],
)
def test_where_there_is_no_program_it_is_said_why(text, named, why):
    """Nothing is guessed out of prose, and nothing of unknown language is run."""
    program = found(text, named)
    assert (program.sources, program.why) == ((), why)


def test_a_translation_may_be_of_either_language():
    """Where only the task says which language it is, all that it names are left to be tried."""
    program = found("def f(x):\n    return x", ["cpp", "python"])
    assert (program.language, program.instead) == ("cpp", ("python",))
