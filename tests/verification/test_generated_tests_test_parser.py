"""Checks are read out of whatever models write as tests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.verification.generated_tests.test_parser import MAX_CHECKS, checks_in


def fenced(code):
    return f"Here are the tests:\n\n```python\n{code}\n```\n\nThey cover all cases."


@pytest.mark.parametrize(
    ("code", "checks"),
    [
        ("assert f(1) == 2, 'message'", ["assert f(1) == 2"]),
        ("assert f(1) == 2\nassert f(1) == 2", ["assert f(1) == 2"]),
        (
            (
                "import unittest\nclass TestF(unittest.TestCase):\n    def test_it(self):\n"
                "        self.assertEqual(f(1), 2)\n        self.assertFalse(f(0))\n"
                "        self.assertIsNone(f('x'), 'no')\n"
                "if __name__ == '__main__':\n    unittest.main()"
            ),
            ["assert f(1) == 2", "assert not f(0)", "assert f('x') is None"],
        ),
        (
            "import pytest\ndef test_it():\n    with pytest.raises(ValueError):\n        f(-1)",
            ["try:\n    f(-1)\nexcept ValueError:\n    pass\nelse:\n    assert False"],
        ),
        ("print(f(2))  # Output: 4", ["assert f(2) == 4"]),
        ("print(f('ab'))  # should be 'ba'", ["assert f('ab') == 'ba'"]),
        ("print(f(2))  # prints the double", []),
        (
            "cases = [(1, 2), (3, 6)]\nfor given, wanted in cases:\n    assert f(given) == wanted",
            [
                (
                    "cases = [(1, 2), (3, 6)]\nfor given, wanted in cases:\n"
                    "    assert f(given) == wanted"
                )
            ],
        ),
        (
            "try:\n    assert f(1) == 2\n    print('passed')\nexcept AssertionError:\n    print('no')",
            ["assert f(1) == 2"],
        ),
        (
            "import math\nx = 3\ny = f(x)\nprint(y)\nassert y == math.pi",
            ["import math\nx = 3\ny = f(x)\nassert y == math.pi"],
        ),
        (
            "s = f(2)\ns.add(1)\nassert s.n == 3\ns = f(5)\nassert s.n == 5",
            ["s = f(2)\ns.add(1)\nassert s.n == 3", "s = f(5)\nassert s.n == 5"],
        ),
        ("assert f(1) == 2\nassert f([1, 2", ["assert f(1) == 2"]),
        ("given: 1\nassert f(1) == 2\nso it is!\nassert f(2) == 3", None),
    ],
)
def test_tests_in_any_form_become_checks_with_their_set_up(code, checks):
    """Each check stands alone; a text that is no Python gives the lines that assert."""
    expected = ["assert f(1) == 2", "assert f(2) == 3"] if checks is None else checks
    assert list(checks_in(fenced(code), "f")) == expected


@pytest.mark.parametrize(
    "code",
    [
        "assert True",
        "assert g(1) == 2",
        "assert f == f",
        "assert f(1) == f(1)",
        "assert (f(1) == 2, 'always')",
        "assert f(1) == 2 or True",
        "x = f(1)\nassert x == x",
        "f(1)",
        "if f(1) != 2:\n    print('wrong')",
        "def f(x):\n    assert f(x) == 3",
        "def test_it():\n    x = f(1)\n    if x is None:\n        return\n    assert x == 2",
        "try:\n    f(1)\nexcept ValueError:\n    print('fine')",
        "",
    ],
)
def test_what_cannot_fail_or_calls_nothing_is_no_check(code):
    """Vacuous asserts and code that only looks like a test are left out."""
    assert checks_in(fenced(code), "f") == ()


def test_the_solution_again_is_left_out():
    """A definition of the entry point does not come along with the checks behind it."""
    text = fenced("def f(x):\n    return 2\n\nx = 4\nassert f(x) == 2")
    assert checks_in(text, "f") == ("x = 4\nassert f(x) == 2",)


def test_checks_in_several_blocks_or_in_none_are_read():
    """Fences of other languages are passed over, and a text without any is code."""
    assert checks_in("```python\nassert f(1)\n```\n```bash\nassert f(3)\n```", "f") == (
        "assert f(1)",
    )
    assert checks_in("assert f(1)\nassert not f(2)", "f") == ("assert f(1)", "assert not f(2)")


def test_a_model_that_runs_on_gives_a_bounded_number():
    """The first checks count, and the rest is not looked at."""
    lines = "\n".join(f"assert f({n}) == {n}" for n in range(500))
    assert len(checks_in(fenced(lines), "f")) == MAX_CHECKS


@pytest.mark.parametrize(
    "text",
    [
        "assert f(" + "(" * 5000 + ")" * 5000 + ") == 1",
        "```python\n" + "x = 1\n" * 100_000 + "assert f(1) == 2\n```",
        "```python\nassert f(1) == '\x00'\n```",
        "```python\nassert f('\ud800') == 2",
        "print(" * 2000 + "f(1)" + ")" * 2000 + "  # 1",
        "```python\n" + "if x:\n" * 200,
    ],
)
def test_hostile_texts_end_in_some_checks_or_none(text):
    """Depth, length and broken characters are no error."""
    assert len(checks_in(text, "f")) <= MAX_CHECKS


@given(st.text(alphabet="asert f(1)=\n:`python#'\"[],.x", max_size=120))
def test_any_text_gives_checks_that_call_the_entry_point(text):
    """No text is an error, and what is read can be parsed again and calls what it checks."""
    for check in checks_in(text, "f"):
        compile(check, "check", "exec")
        assert "f(" in check


def test_a_set_up_of_two_thousand_lines_is_read_once():
    """Every check finds in it what it needs, those that call something else too."""
    set_up = "".join(f"a{n} = {n}\n" for n in range(2000))
    others = "".join(f"assert g(a{n}) == 1\n" for n in range(0, 2000, 2))
    found = checks_in(f"{set_up}{others}assert f(a7) == a8", "f")
    assert found == ("a7 = 7\na8 = 8\nassert f(a7) == a8",)
