"""Checks are parsed from model-written tests of any form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.verification.generated_tests.test_parser import MAX_CHECKS, parse_checks


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
    """Each check is self-contained; text that does not parse gives its assert lines."""
    expected = ["assert f(1) == 2", "assert f(2) == 3"] if checks is None else checks
    assert list(parse_checks(fenced(code), "f")) == expected


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
def test_vacuous_asserts_and_asserts_without_a_call_are_no_checks(code):
    """Code that only looks like a test is ignored."""
    assert parse_checks(fenced(code), "f") == ()


def test_a_repeated_solution_is_ignored():
    """A definition of the entry point is not part of the checks' set-up."""
    text = fenced("def f(x):\n    return 2\n\nx = 4\nassert f(x) == 2")
    assert parse_checks(text, "f") == ("x = 4\nassert f(x) == 2",)


def test_checks_in_several_blocks_or_in_none_are_read():
    """Blocks of other languages are skipped; a text without blocks is read as code."""
    assert parse_checks("```python\nassert f(1)\n```\n```bash\nassert f(3)\n```", "f") == (
        "assert f(1)",
    )
    assert parse_checks("assert f(1)\nassert not f(2)", "f") == ("assert f(1)", "assert not f(2)")


def test_the_number_of_checks_is_bounded():
    """The first checks count; the rest is ignored."""
    lines = "\n".join(f"assert f({n}) == {n}" for n in range(500))
    assert len(parse_checks(fenced(lines), "f")) == MAX_CHECKS


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
    """Deep nesting, length and invalid characters raise no error."""
    assert len(parse_checks(text, "f")) <= MAX_CHECKS


@given(st.text(alphabet="asert f(1)=\n:`python#'\"[],.x", max_size=120))
def test_any_text_gives_checks_that_call_the_entry_point(text):
    """No text raises an error; every check parses again and calls the entry point."""
    for check in parse_checks(text, "f"):
        compile(check, "check", "exec")
        assert "f(" in check


def test_a_set_up_of_two_thousand_lines_is_analysed_once():
    """Every check gets the set-up that it needs, also where others call something else."""
    set_up = "".join(f"a{n} = {n}\n" for n in range(2000))
    others = "".join(f"assert g(a{n}) == 1\n" for n in range(0, 2000, 2))
    found = parse_checks(f"{set_up}{others}assert f(a7) == a8", "f")
    assert found == ("a7 = 7\na8 = 8\nassert f(a7) == a8",)
