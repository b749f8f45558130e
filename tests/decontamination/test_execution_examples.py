"""Examples, views and further inputs of a benchmark's problems."""

import math

import pytest

from evolcoder.bench.base import AssertChecks
from evolcoder.decontamination.execution.agreement import is_plain, solution_size
from evolcoder.decontamination.execution.examples import (
    N_DRAWN,
    ProblemExample,
    apply_view,
    argument_types,
    argument_views,
    examples_of,
    inputs_drawn,
    inputs_like,
)
from evolcoder.decontamination.execution.kappa import agreement
from evolcoder.decontamination.execution.search import UNLIMITED, PassedProblem, reference_work
from evolcoder.decontamination.hits import Detector, execution_hits
from evolcoder.safe_codec import encode
from small_bench import problem


def examples(*pairs):
    return [ProblemExample(arguments, expected, True) for arguments, expected in pairs]


def values(*given):
    return [encode(["value", one]) for one in given]


def test_a_test_that_is_more_than_literals_is_run_once_with_its_reference(sandbox):
    """Its calls are recorded with the reference's answers, before arguments can be modified."""
    reference = "def last(items):\n    return items.pop()\n"
    test = "for n in (1, 2):\n    assert last([n, n + 1]) == n + 1\n"
    of = problem("p", AssertChecks(test, ("last",), None), reference)
    found = sandbox.runner.run(examples_of(of, sandbox.sandbox))
    assert [(one.arguments, one.expected, one.exact) for one in found] == [
        (([1, 2],), 2, False),
        (([2, 3],), 3, False),
    ]


def test_informative_examples_come_first(sandbox):
    """Answers that are easily matched by chance come last."""
    test = "assert f(0) == 0\nassert f(12000) == 31\nassert f(7) == 19"
    of = problem("p", AssertChecks(test, ("f",), None), "def f(n):\n    return n\n")
    found = sandbox.runner.run(examples_of(of, sandbox.sandbox))
    assert [one.arguments for one in found] == [(7,), (0,), (12000,)]


def test_a_length_that_says_nothing_may_be_left_out_or_added():
    """`f(items, n)` and `f(items)` are equivalent if n is the number of items."""
    two = examples((([5, 6, 7], 3), 1), (([5], 1), 2))
    assert set(argument_views(two)) == {(0, 1), (1, 0), (0,)}
    one = examples((([5, 6, 7],), 1))
    assert argument_views(one) == ((0,), (0, ~0))
    assert apply_view((0, ~0), ([5, 6, 7],)) == ([5, 6, 7], 3)


def test_no_length_is_added_where_it_is_the_answer():
    """Otherwise a function that returns its second argument would count as a solution."""
    assert argument_views(examples((("abc",), 3))) == ((0,),)


def test_kinds_follow_the_view():
    """Arguments of varying type have no type."""
    given = examples((("a", 1), 0), (("b", [2]), 0))
    assert argument_types((1, 0), given) == ("", "text")


def test_further_inputs_are_the_same_each_time_and_unlike_the_test():
    """Arguments that are lengths of others stay so."""
    given = examples((([5, 6, 7], 3), 1), (([5, 9], 2), 2))
    made = inputs_like(given, seed="p")
    assert made == inputs_like(given, seed="p")
    assert len(made) > 10
    assert all(len(items) == n for items, n in made)
    assert ([5, 6, 7], 3) not in made


def drawn(*arguments):
    """Return random values of the first argument, given these examples."""
    return [
        first for first, *_ in inputs_drawn(examples(*((one, 0) for one in arguments)), seed="p")
    ]


def test_drawn_inputs_are_the_same_each_time_and_have_types_and_lengths_of_the_test():
    """Lengths stay consistent, and records keep their shape."""
    given = examples((([("a", 1), ("b", 2)], 2), 1), (([("c", 9)], 1), 2))
    made = inputs_drawn(given, seed="p")
    assert made == inputs_drawn(given, seed="p")
    assert len(made) == N_DRAWN
    for items, n in made:
        assert len(items) == n > 0
        assert {(type(word), type(number)) for word, number in items} == {(str, int)}


def test_drawn_numbers_reach_further_and_below_zero_only_where_the_test_does():
    """Small ordered numbers would accept sets as sorted lists."""
    counts, signs = drawn(([3, 1],), ([9, 2],)), drawn(([-3, 1],), ([9, 0],))
    assert max(map(max, counts)) > 9
    assert min(map(min, counts)) > 0
    assert min(map(min, signs)) < -9
    assert any(list(set(one)) != sorted(set(one)) for one in signs)
    assert any(len(set(one)) < len(one) for one in counts)


def test_drawn_texts_hold_what_the_test_holds_of_letters_digits_and_marks():
    """Tests without a vowel would accept a function that removes vowels."""
    letters, codes = "".join(drawn(("xyz",), ("zz",))), "".join(drawn(("x-1",)))
    assert letters.isalpha()
    assert letters.islower()
    assert set(letters) & set("aeiou")
    assert {one.isalpha() for one in codes} == {True, False}
    assert {len(one) for one in drawn(("x",), ("y",))} == {1}


def test_what_cannot_be_drawn_stays():
    """None, bytes, empty lists and empty strings."""
    of = examples(((None, [], "", {}, 3), 0))
    assert {repr(one[:4]) for one in inputs_drawn(of, seed="p")} == {"(None, [], '', {})"}


@pytest.mark.parametrize(
    ("answers", "expected", "least", "most"),
    [
        (values(1, 2, 3, 4), values(1, 2, 3, 4), 1, 1),
        (values(1, 2, 3.0000000001, 4), values(1, 2, 3.0, 4), 1, 1),
        (values(*[False] * 10), values(*[False] * 9, True), 0, 0),
        (values(*[False] * 5, *[True] * 5), values(*[False] * 10), 0, 0),
        (values(1, 2, 3, 4), values(1, 2, 3, 5), 0.6, 0.8),
        ([encode(["raise", "ValueError", "no"])], values(1), 0, 0),
        ([encode(["raise", "ValueError", "no"])], values("ValueError: no"), 0, 0),
        (values(math.nan), values(math.nan), 1, 1),
        (values(10**5000, [10**5000]), values([10**5000], 10**5000), 0, 0.1),
        ([b"\xff", b"1"], values(1, 2), 0, 0),
        ([], [], 1, 1),
        ([], values(1, 2), 0, 0),
    ],
)
def test_agreement_counts_beyond_chance(answers, expected, least, most):
    """Always answering no where yes is rare has no agreement."""
    assert least <= agreement(answers, expected, exact=True) <= most


def test_order_counts_where_the_test_wants_it():
    """Where the test compares sets, order does not matter."""
    answers, expected = values((1, 2)), values((2, 1))
    assert agreement(answers, expected, exact=True) == 0
    assert agreement(answers, expected, exact=False) == 1


def test_a_plain_problem_has_few_symbols():
    """Docstrings, signatures and imports are not counted."""
    assert is_plain(
        solution_size("import re\ndef f(a: int, b: int):\n    '''Long doc.'''\n    return a + b")
    )
    assert not is_plain(
        solution_size("def f(a):\n    s = 0\n    for b in a:\n        s += b * b\n    return s")
    )


def test_a_pass_becomes_evidence_that_can_be_read():
    """It names the function, the order of arguments and the agreement."""
    hit, weak = execution_hits(
        "r",
        [
            PassedProblem("mbpp", "Mbpp/9", "g", (1, 0), 40, 0.9375),
            PassedProblem("mbpp", "Mbpp/8", "h", None, 40, 0.1),
        ],
    )
    assert (hit.row, hit.benchmark, hit.item, hit.detector) == (
        "r",
        "mbpp",
        "Mbpp/9",
        Detector.EXECUTION,
    )
    assert hit.seen == (
        "`g` passes the tests given argument 2, argument 1; "
        "agrees with the reference on further inputs to 0.94"
    )
    assert weak.seen.endswith("weak: the tests accept programs that are not solutions")


HUGE = 10**5000


def test_values_of_any_size_are_examples_and_make_further_inputs(sandbox):
    """Integers beyond Python's digit limit and non-numeric arguments are supported."""
    reference = "def f(n):\n    return [n]\n"
    test = f"for n in ({HUGE:#x}, 3, -{HUGE:#x}):\n    assert f(n) == [n]\n"
    of = problem("p", AssertChecks(test, ("f",), None), reference)
    found = sandbox.runner.run(examples_of(of, sandbox.sandbox))
    assert [one.arguments for one in found][:1] == [(3,)]
    for given in (
        [ProblemExample((HUGE // 3,), 1, True)],
        [ProblemExample((math.inf, math.nan), 1, True)],
        found,
    ):
        assert inputs_like(given, seed="p") == inputs_like(given, seed="p")
        assert len(inputs_drawn(given, seed="p")) <= N_DRAWN


@pytest.mark.parametrize(
    "body",
    [
        "import os; os.write(3, b'[' * 10000); os._exit(0)",
        "import os; os.write(3, b'9' * 5000 + bytes([10])); os._exit(0)",
        'import os; os.write(3, b\'["l","value",["b","00"]]\' + bytes([10])); os._exit(0)',
        'import os; os.write(3, b\'["l","value",["l","1",2,"[]"]]\' + bytes([10])); os._exit(0)',
        "return ...",
        "return object()",
        "return [[]] * 100000",
    ],
    ids=range(7),
)
def test_a_reference_that_says_something_else_gives_no_examples(sandbox, body):
    """A reference runs in the sandbox, and its output is untrusted."""
    test = "x = f(1)\nassert x or not x\n"
    of = problem("p", AssertChecks(test, ("f",), None), f"def f(n):\n    {body}\n")
    assert sandbox.runner.run(examples_of(of, sandbox.sandbox)) == ()


@pytest.mark.parametrize(
    ("body", "units"),
    [
        ("return n", 1),
        ('import os; os.write(3, b\'["l","value",["f","inf"]]\' + bytes([10])); os._exit(0)', 0),
        ('import os; os.write(3, b\'["l","value",-9]\' + bytes([10])); os._exit(0)', 0),
        ("import os; os.write(3, b'x' * 100000 + bytes([10])); os._exit(0)", 0),
        (
            "import os; os.write(3, b'[\"l\",\"value\",' + b'9' * 50 + b']' + bytes([10])); os._exit(0)",
            UNLIMITED,
        ),
    ],
    ids=range(5),
)
def test_work_is_a_valid_number_whatever_a_reference_returns(sandbox, body, units):
    """Neither infinity nor a negative number becomes a limit."""
    of = problem("p", AssertChecks("assert f(1) == 1", ("f",), None), f"def f(n):\n    {body}\n")
    assert sandbox.runner.run(reference_work(of, sandbox.sandbox)) == units
