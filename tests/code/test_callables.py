"""Finding the callable of a response without running it."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.code.callables import find_compatible, find_compatible_in_code, subject_of

STACK = """class Stack:
    \"\"\"Last in, first out.\"\"\"
    def __init__(self, items=()):
        self.items = list(items)
    def push(self, item: int):
        self.items.append(item)
    def _check(self):
        pass
"""


def fenced(code, tag="python"):
    return f"Sure:\n```{tag}\n{code}\n```\nDone."


@pytest.mark.parametrize(
    ("text", "instruction", "signature"),
    [
        (fenced("def f(x, y=2):\n    'Adds.'\n    return x + y"), "", "def f(x, y=2)"),
        (fenced("def g(x):\n    return x\ndef f(x):\n    return g(x)"), "", "def f(x)"),
        (fenced("def f(x):\n    return x\ndef g(x):\n    return x"), "", "def g(x)"),
        (fenced("def f(x):\n    return x\ndef g(x):\n    return x"), "Write `f(x)`.", "def f(x)"),
        (fenced("def f(x):\n    return x\ndef main():\n    f(1)"), "", "def f(x)"),
        (fenced("def f(x):\n    return x\ndef test_f():\n    assert f(1)"), "", "def f(x)"),
        (
            fenced(STACK),
            "",
            "class Stack:\n    def __init__(self, items=())\n    def push(self, item: int)",
        ),
        (fenced("import os") + fenced("def f(x):\n    return x"), "", "def f(x)"),
        (fenced("def f(x):\n    return x", ""), "", "def f(x)"),
        ("def f(x):\n    return x", "", "def f(x)"),
        (fenced("print(input())"), "", "def program(typed)"),
        (fenced("def main():\n    print(input())\nmain()"), "", "def program(typed)"),
        (fenced("print(3)"), "", None),
        (fenced("def f(x):\n    x.sort()"), "", None),
        (fenced("def f(x):\n    print(x)"), "", "def f(x)"),
        (fenced("def f(x):\n    yield x"), "", "def f(x)"),
        (fenced("async def f(x):\n    return x"), "", "def f(x)"),
        (fenced("f = lambda x: x"), "", "def f(x)"),
        (fenced("f: Callable = lambda x, y=1: x"), "", "def f(x, y=1)"),
        (fenced("k = lambda x: -x\ndef f(x):\n    return sorted(x, key=k)"), "", "def f(x)"),
        (fenced("def f(x):\n    return x\ng = lambda x: x\nprint(f(g))"), "", "def f(x)"),
        (fenced("read = lambda: int(input())\nprint(read())"), "", "def program(typed)"),
        (fenced("x, f = 1, lambda x: x"), "", None),
        (fenced("def f(x):\n    return x", "java"), "", None),
        (fenced("def f(x:\n    return"), "", None),
        (fenced("def f():\n" + "    if x:\n" * 200), "", None),
        ("Nothing to call.", "", None),
        ("", "", None),
    ],
)
def test_the_function_that_the_task_is_about_is_found(text, instruction, signature):
    """The task's name decides, else the call graph; a signature never has a line of a body."""
    found = subject_of(text, instruction)
    assert (found and found.signature) == signature


def test_data_with_the_name_of_a_parameter_is_not_kept():
    """Local names are no dependencies; free names are."""
    code = "xs = [1, 2]\nN = 3\ndef f(xs):\n    def g(y):\n        return y * N\n    return g(xs)"
    found = subject_of(fenced(code), "")
    assert found is not None
    assert "N = 3" in found.source
    assert "[1, 2]" not in found.source


def test_code_quoted_from_the_task_is_not_the_answer():
    """Quoted code is only the answer if there is no other code."""
    shown, own = "def f(x):\n    return x", "def f(x):\n    return 2 * x"
    task = f"Mend this:\n```\n{shown}\n```"
    assert subject_of(fenced(shown) + fenced(own), task).body == own
    assert subject_of(fenced(shown), task).body == shown


def test_a_chain_of_four_thousand_names_is_resolved():
    """The cost of a step does not depend on the size of the program."""
    links = "".join(f"a{n} = a{n + 1}\n" for n in range(4000))
    found = subject_of(fenced(f"{links}a4000 = 7\nb = 1\ndef f(x):\n    return x + a0"), "")
    assert len(found.body.splitlines()) == 4004
    assert "b = 1" not in found.body


def test_only_what_the_entry_point_reaches_is_kept():
    """Example usage, main guards and unused imports are dropped; used constants and imports stay."""
    code = (
        "import math, nowhere\nimport absent\nLIMIT = 3\nn = int(input())\n"
        "def help(x):\n    return math.floor(x) + LIMIT\n"
        "def f(x):\n    return help(x)\nprint(f(n))\nif __name__ == '__main__':\n    f(1)"
    )
    found = subject_of(fenced(code), "")
    assert found is not None
    assert "absent" not in found.source
    assert "input" not in found.source
    assert "print" not in found.source
    assert "import math" in found.source
    assert "LIMIT = 3" in found.source


@given(st.text(alphabet="def class(x):\n    return`=1,input'\"#", max_size=150))
def test_any_text_has_a_subject_that_parses_or_none(text):
    """No text raises an error."""
    found = subject_of(text, text)
    if found is not None:
        ast.parse(found.source)


@pytest.mark.parametrize(
    ("code", "fits"),
    [
        ("def f(y):\n    return y", True),
        ("def double(y):\n    return y", True),
        ("def double(y, z):\n    return y", False),
        ("class f:\n    def run(self):\n        return 1", False),
        ("def f(y, z):\n    return y", True),
        ("x = 1", False),
    ],
)
def test_another_answer_is_compatible_by_name_or_number_of_parameters(code, fits):
    """A function with another name is called by the expected one."""
    wanted = subject_of(fenced("def f(x):\n    return x"), "")
    for found in (find_compatible(fenced(code), wanted), find_compatible_in_code(code, wanted)):
        assert (found is not None) == fits
        if found is not None:
            space = {}
            exec(found.source, space)
            assert callable(space["f"])
