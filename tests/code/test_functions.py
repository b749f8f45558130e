"""Finding callable functions in responses of every form."""

import textwrap

import pytest

from evolcoder.code import functions
from evolcoder.code.functions import MAX_FUNCTIONS, functions_of


def names(answer):
    return [found.name for found in functions_of(textwrap.dedent(answer))]


def only(answer):
    (found,) = functions_of(textwrap.dedent(answer))
    return found


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "No code here, sorry.",
        "```javascript\nfunction f(a) { return a; }\n```",
        "SELECT * FROM f;",
        "print 'python 2'",
        "def f(:\n    return",
        "def f(x):\n    pass",
        "(" * 5000,
        "x = " + "[" * 3000 + "]" * 3000,
        "\ud800def f(x):\n    return x",
    ],
)
def test_a_response_without_callable_python_gives_none(answer):
    """Prose, other languages, broken code, stubs and too deep trees give no functions."""
    assert functions_of(answer) == ()


def test_fences_prose_and_bare_code_give_the_same_function():
    """The position of the code in the response does not matter."""
    code = "def f(a, b=2):\n    return a * b"
    fenced = f"Sure:\n```python\n{code}\n```\nIt multiplies."
    prose = f"Here it is:\n\n{code}\n\nIt multiplies (a and b)."
    inline = f"Use this: ```python\n{code}\n```\nIt multiplies (a and b)."
    assert functions_of(code) == functions_of(fenced) == functions_of(prose)
    assert functions_of(code) == functions_of(inline)
    assert (functions_of(code)[0].least, functions_of(code)[0].most) == (1, 2)


def test_a_functions_source_has_its_dependencies_and_nothing_else():
    """Helpers and constants are kept; statements that read, print or import more are not."""
    found = functions_of(
        textwrap.dedent("""
        import math
        import pandas
        LIMIT = 3
        other = input()
        def helper(x):
            return math.floor(x) + LIMIT
        def f(x: Missing) -> Missing:
            '''Doc.'''
            return helper(x)
        print(f(2))
        """)
    )[1]
    assert found.source == (
        "import math\nLIMIT = 3\ndef helper(x):\n    return math.floor(x) + LIMIT\n"
        "def f(x):\n    return helper(x)"
    )


def test_types_that_are_not_imported_do_not_break_a_function():
    """Annotations that Python would evaluate are removed; fields stay fields."""
    found = functions_of(
        textwrap.dedent("""
        import dataclasses
        known: Dict[str, int] = {}
        @dataclasses.dataclass
        class Box:
            side: Meters = 2
        async def later(x: Missing) -> Missing:
            return x
        def f(x):
            return known.get(x, later and Box(3).side)
        """)
    )
    (source,) = [one.source for one in found if one.name == "f"]
    space = {}
    exec(source, space)
    assert space["f"](1) == 3


def test_an_omitted_import_is_added():
    """A snippet that uses `math` without importing it works."""
    assert only("def f(x):\n    return math.sqrt(x)").source.startswith("import math\n")


def test_functions_that_need_more_than_the_standard_library_are_excluded():
    """The sandbox has nothing else."""
    assert names("import numpy as np\ndef f(x):\n    return np.mean(x)") == []


def test_methods_are_found_if_the_object_is_easy_to_make():
    """The constructor needs no arguments, or the method needs none."""
    assert names("""
        class Solution:
            def twoSum(self, nums: list, target: int):
                return [nums, target]
        class Box:
            def __init__(self, width, height):
                self.width, self.height = width, height
            def area(self):
                return self.width * self.height
        class Pet(Animal):
            def name(self):
                return 1
        """) == ["Solution().twoSum", "Box(*).area"]


def test_kinds_are_those_of_the_annotations():
    """The annotation of each parameter gives a coarse kind of value."""
    found = only("def f(self_, a: str, b: List[int], c: float, d: Foo):\n    return a")
    assert found.kinds == ("", "text", "sequence", "number", "")


def test_a_script_becomes_functions_of_its_leading_values():
    """Leading literals and inputs become one, two or three parameters."""
    found = functions_of("a = int(input())\nb = [1, 2]\nprint(a in b)")
    assert [(one.least, one.source) for one in found] == [
        (1, "def script(a):\n    b = [1, 2]\n    print(a in b)"),
        (2, "def script(a, b):\n    print(a in b)"),
    ]


def test_a_function_that_returns_nothing_is_marked():
    """Its result is its output or its changed arguments."""
    assert [
        one.returns for one in functions_of("def f(x):\n    print(x)\ndef g(x):\n    yield x")
    ] == [
        False,
        True,
    ]


def test_an_answer_of_a_thousand_functions_ends_at_the_limit():
    """The first ones are returned."""
    answer = "\n".join(f"def f{n}(x):\n    return x + {n}" for n in range(1000))
    assert names(answer) == [f"f{n}" for n in range(MAX_FUNCTIONS)]


def test_a_chain_of_three_thousand_names_is_resolved():
    """Sixteen functions that depend on all of it are found in linear time."""
    links = "".join(f"a{n} = a{n + 1}\n" for n in range(3000))
    functions = "".join(f"def f{n}(x):\n    return a0\n" for n in range(MAX_FUNCTIONS))
    found = functions_of(f"{links}a3000 = 7\nb = 1\n{functions}")
    assert [len(one.source.splitlines()) for one in found] == [3003] * MAX_FUNCTIONS


def test_a_later_definition_replaces_an_earlier_one():
    """As in Python, its parameters count."""
    code = "def f(a):\n    return a\ndef f(a, b):\n    return a + b"
    assert [(one.name, one.least, one.most) for one in functions_of(code)] == [("f", 2, 2)]
    assert functions_of(code + "\ndef f(a):\n    ...") == ()


def test_a_function_that_is_defined_a_thousand_times_is_read_once(monkeypatch):
    """The time is proportional to the length, since dependencies are found once per name."""
    found = []
    original = functions.dependencies_of
    monkeypatch.setattr(
        functions, "dependencies_of", lambda *args: found.append(args[0]) or original(*args)
    )
    assert len(functions_of("def f(x):\n    return x\n" * 1000)) == 1
    assert found == ["f"]
