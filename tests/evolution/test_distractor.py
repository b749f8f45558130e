"""A distractor is a solution in which one place is changed, so that it computes something else."""

from random import Random

import pytest

from evolcoder.evolution.distractor import spoil

PROGRAMS = {
    "python": 'def f(xs):\n    """Return max(xs) if x > 0."""\n    # if a == b\n    return max(xs)',
    "javascript": 'function f(a) { // a > 0?\n  return a > 0 ? "a < 0" : `a && b`;\n}',
    "sql": "-- ORDER BY a DESC\nSELECT 'a > b' FROM t ORDER BY c ASC",
    "bash": 'if [ $# -eq 0 ]; then # -lt?\n  echo "a -gt b"\nfi',
    "cpp": "#include <vector>\nint f(int a) { /* a < 1 */ return a + 1; }",
    None: "return len(xs) == 0  # != 0",
}
CHANGED = {
    "python": "max(xs)~min(xs)",
    "javascript": "a > 0 ?~a < 0 ?",
    "sql": "c ASC~c DESC",
    "bash": "$# -eq 0~$# -ne 0",
    "cpp": "a + 1~a - 1",
    None: "len(xs) == 0~len(xs) != 0",
}


@pytest.mark.parametrize("language", PROGRAMS)
@pytest.mark.parametrize("state", range(5))
def test_one_place_is_changed_and_never_in_strings_or_comments(language, state):
    """Everything else stays as it is, comments and docstrings included."""
    code = PROGRAMS[language]
    old, new = CHANGED[language].split("~")
    start, _, end = code.rpartition(old)
    assert spoil(code, language, Random(state)) == f"{start}{new}{end}"


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("<p>this and that</p>", "html"),
        ("a > b { color: red; }", "css"),
        ("print('hello')", "python"),
        ('def main():\n    pass\n\nif __name__ == "__main__":\n    main()', "python"),
        ("SELECT name FROM t;", "sql"),
        ("", "python"),
    ],
)
def test_code_without_a_place_to_change_is_not_shown(code, language):
    """Pages and styles compute nothing; a program without an operator has no edit here."""
    assert spoil(code, language, Random(0)) is None


@pytest.mark.parametrize(("code", "language", "spoiled"), [
    ("for x in xs:\n    print(x)", "python", "for x in list(xs)[1:]:\n    print(x)"),
    ("return {word: 1 for word in words}", "python", "return {word: 1 for word in list(words)[1:]}"),
    ("words = text.split()", "python", 'words = text.split(",")'),
    ("return sorted(names)", "python", "return sorted(names[1:])"),
    ("return len(set(xs))", "python", "return len(set(xs)) - 1"),
    ("return sum(xs)", "python", "return len(xs)"),
    ("const f = xs => xs.map(g);", "javascript", "const f = xs => xs.filter(g);"),
    ("SELECT a FROM t WHERE b = 'x = y'", "sql", "SELECT a FROM t WHERE b <> 'x = y'"),
    ("for row in reader:\n    print(row)", "python", None),
])  # fmt: skip
def test_code_without_an_operator_is_changed_elsewhere(code, language, spoiled):
    """In what it goes over, splits, joins or selects; not where it skips a header."""
    assert spoil(code, language, Random(0)) == spoiled


SOLUTIONS = (
    "def f(n):\n    total = 0\n    for i in range(1, n + 1):\n        total += i\n    return total",
    "def f(n):\n    return n * 2 - 1",
    "def f(n):\n    if n % 2 == 0:\n        return True\n    return False",
    "def f(n):\n    out = []\n    for i in range(n):\n        out.append(i)\n    return out",
    "def f(n):\n    return [1, 2, n][::-1]",
    "def f(n):\n    return n ** 2",
    "def f(n):\n    return 'a'.upper() if n > 1 and n < 9 else 'b'",
)


def values(code):
    """Return what `f` gives for some numbers, or the error; the code is that of this file."""
    scope = {}
    exec(code, scope)
    found = []
    for n in range(12):
        try:
            found.append(scope["f"](n))
        except (IndexError, TypeError) as error:
            found.append(repr(error))
    return found


@pytest.mark.parametrize("code", SOLUTIONS)
@pytest.mark.parametrize("state", range(8))
def test_the_changed_solution_computes_something_else(code, state):
    """It still runs, and some value differs, whichever place is changed."""
    spoiled = spoil(code, "python", Random(state))
    assert spoiled is not None
    assert values(spoiled) != values(code)


def test_the_same_state_makes_the_same_edit():
    """The choice depends on the generator alone, and differs between states."""
    code = "x = a + b\ny = a * c\nz = y > x and a == b"
    found = [spoil(code, "python", Random(state)) for state in range(20)]
    assert found == [spoil(code, "python", Random(state)) for state in range(20)]
    assert len(set(found)) > 3
