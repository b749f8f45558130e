"""Functions that could be called, taken out of answers of every shape."""

import textwrap

import pytest

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
def test_what_holds_no_callable_python_gives_none(answer):
    """Prose, other languages, broken code, stubs and trees that are too deep are no functions."""
    assert functions_of(answer) == ()


def test_fences_prose_and_bare_code_give_the_same_function():
    """Where the code stands in the answer does not matter."""
    code = "def f(a, b=2):\n    return a * b"
    fenced = f"Sure:\n```python\n{code}\n```\nIt multiplies."
    prose = f"Here it is:\n\n{code}\n\nIt multiplies (a and b)."
    inline = f"Use this: ```python\n{code}\n```\nIt multiplies (a and b)."
    assert functions_of(code) == functions_of(fenced) == functions_of(prose)
    assert functions_of(code) == functions_of(inline)
    assert (functions_of(code)[0].least, functions_of(code)[0].most) == (1, 2)


def test_a_function_takes_along_what_it_needs_and_nothing_else():
    """Helpers and constants come along; what asks, prints or imports more stays behind."""
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


def test_types_that_are_not_imported_keep_no_function_from_running():
    """Annotations are worked out where a class or a margin has them; fields stay fields."""
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


def test_an_import_that_was_forgotten_is_there():
    """A snippet that uses `math` without importing it is still a function."""
    assert only("def f(x):\n    return math.sqrt(x)").source.startswith("import math\n")


def test_what_needs_more_than_the_standard_library_is_left_out():
    """Nothing else is in the sandbox."""
    assert names("import numpy as np\ndef f(x):\n    return np.mean(x)") == []


def test_methods_are_found_where_an_object_is_easily_had():
    """Of an object made of nothing, or made of the arguments and asked for one value."""
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
    """What an argument is annotated with is kept in the coarse."""
    found = only("def f(self_, a: str, b: List[int], c: float, d: Foo):\n    return a")
    assert found.kinds == ("", "text", "sequence", "number", "")


def test_a_script_becomes_a_function_of_what_it_begins_with():
    """Literals and inputs at the beginning are arguments, one, two or three of them."""
    found = functions_of("a = int(input())\nb = [1, 2]\nprint(a in b)")
    assert [(one.least, one.source) for one in found] == [
        (1, "def script(a):\n    b = [1, 2]\n    print(a in b)"),
        (2, "def script(a, b):\n    print(a in b)"),
    ]


def test_a_function_that_returns_nothing_says_so():
    """Whoever calls it has to look at what it prints or changes."""
    assert [
        one.returns for one in functions_of("def f(x):\n    print(x)\ndef g(x):\n    yield x")
    ] == [
        False,
        True,
    ]


def test_an_answer_of_a_thousand_functions_ends_at_the_limit():
    """The first ones are taken."""
    answer = "\n".join(f"def f{n}(x):\n    return x + {n}" for n in range(1000))
    assert names(answer) == [f"f{n}" for n in range(MAX_FUNCTIONS)]


def test_a_chain_of_three_thousand_names_is_followed_to_its_end():
    """Sixteen functions that need all of it take no longer than it is long."""
    links = "".join(f"a{n} = a{n + 1}\n" for n in range(3000))
    functions = "".join(f"def f{n}(x):\n    return a0\n" for n in range(MAX_FUNCTIONS))
    found = functions_of(f"{links}a3000 = 7\nb = 1\n{functions}")
    assert [len(one.source.splitlines()) for one in found] == [3003] * MAX_FUNCTIONS
