"""Leaks found by executing responses, independent of names and wording."""

import time

import pytest

from evolcoder.bench.base import AssertChecks
from evolcoder.decontamination.execution.agreement import _SANDBOX_MODULES
from evolcoder.decontamination.execution.kappa import agreement
from evolcoder.decontamination.execution.sandbox_prefilter import CALL_WORK
from evolcoder.decontamination.execution.search import ExecutionSearch
from evolcoder.decontamination.hits import DropRule, dropped, execution_hits
from evolcoder.grading import problem_checks
from evolcoder.grading.calls import call_isolated, comparison_limits
from evolcoder.safe_codec import encode
from small_bench import problem

ADD = "def add(a, b):\n    return a + b\n"
TAKE = "def take(word, n):\n    return word[:n] + word[n:].upper()\n"
RANK = "def rank(items):\n    return sorted(items, key=lambda one: (-one, one))\n"
SHARED = "def shared(one, other):\n    return tuple(set(one) & set(other))\n"
LOST = "def lost(items, n):\n    return n * (n + 1) // 2 - sum(items)\n"
FIB = (
    "def fib(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n"
)


def asserts(id, reference, *lines):
    name = reference[4:].partition("(")[0]
    return problem(id, AssertChecks("\n".join(lines), (name,), None), reference)


PROBLEMS = (
    asserts("p/add", ADD, "assert add(2, 3) == 5", "assert add(4, 9) == 13"),
    asserts("p/take", TAKE, "assert take('house', 2) == 'hoUSE'", "assert take('abc', 1) == 'aBC'"),
    asserts("p/rank", RANK, "assert rank([3, 1, 2]) == [3, 2, 1]", "assert rank([7, 9]) == [9, 7]"),
    asserts("p/shared", SHARED, "assert set(shared((3, 4, 5), (5, 4, 9))) == set((4, 5))"),
    asserts("p/lost", LOST, "assert lost([1, 3, 4], 3) == -2", "assert lost([1, 2], 2) == 0"),
    asserts(
        "p/fib", FIB, "assert fib(10) == 55", "assert fib(20) == 6765", "assert fib(27) == 196418"
    ),
)


PRIME = 2**61 - 1
"""All of its multiples have the hash 0."""
MARKS = ("weak", "plain", "tells")


async def no_need(_problem):
    return problem_checks.ReferenceMeasurement()


@pytest.fixture(scope="module")
def look(sandbox):
    """Search a response; return the problems that it passes."""
    search = sandbox.runner.run(
        ExecutionSearch.create({"small": PROBLEMS}, sandbox.sandbox, no_need)
    )

    def passes(answer):
        return sandbox.runner.run(search.passes(answer))

    passes.search = search
    return passes


def solved(passes):
    return {one.problem for one in passes}


@pytest.mark.parametrize("of", PROBLEMS, ids=lambda of: of.id)
def test_every_reference_is_found(look, of):
    """A verbatim solution is a leak, with full agreement on further inputs."""
    found = {one.problem: one for one in look(f"```python\n{of.reference}```")}
    assert found[of.id].agreement == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("def join(x, y):\n    while y:\n        x, y = x + 1, y - 1\n    return x", "p/add"),
        ("def cut(n, text):\n    return text[0:n] + text[n:].upper()", "p/take"),
        ("def cut(text, n, *, loud=True):\n    return text[:n] + text[n:].upper()", "p/take"),
        ("def down(values, reverse=True):\n    return sorted(values, reverse=reverse)", "p/rank"),
        ("def down(values):\n    values.sort(reverse=True)", "p/rank"),
        ("def down(values):\n    print('Result:', sorted(values)[::-1])", "p/rank"),
        ("class S:\n    def go(self, v: list):\n        return sorted(v)[::-1]", "p/rank"),
        ("v = [5, 6]\nv.sort()\nv.reverse()\nprint(v)", "p/rank"),
        ("def both(a, b):\n    return [one for one in b if one in a]", "p/shared"),
        ("def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)", "p/fib"),
        ("import time\ndef f(a, b):\n    time.sleep(9)\n    return b + a", "p/add"),
        ("def f(a, b):\n    return a + b\nwhile True:\n    f(1, 2)", "p/add"),
    ],
)
def test_another_way_to_solve_a_problem_is_found(look, answer, problem):
    """Other algorithms, names, argument orders, defaults, methods, scripts, printed answers."""
    assert problem in solved(look(answer))


@pytest.mark.parametrize(
    "answer",
    [
        "def f(a, b):\n    return a - b",
        "def f(a, b, c):\n    return a + b + c",
        "def f(*, a, b):\n    return a + b",
        "def f(a, b):\n    return f(a, b)",
        "def f(a, b):\n    while True:\n        try:\n            a += 1\n        except BaseException:\n            pass",
        "def f(a, b):\n    return [0] * 10 ** 12",
        "import os\ndef f(a, b):\n    os._exit(0)",
        "def f(a, b):\n    raise SystemExit",
        "class Yes:\n    def __eq__(self, other):\n        return True\ndef f(a, b):\n    return Yes()",
        "def trial(*_):\n    return [[0, 0]]\ndef f(a, b):\n    return trial",
    ],
)
def test_what_does_not_solve_a_problem_is_none(look, answer):
    """Wrong solutions, infinite loops, resource bombs and forgeries pass nothing."""
    assert look(answer) == ()


@pytest.mark.parametrize(("units", "found"), [(CALL_WORK, {"p/fib"}), (CALL_WORK + 1, set())])
def test_the_prefilter_ends_at_an_exact_unit_of_work(look, units, found):
    """The work limit is exact, whatever the machine load."""
    turns = units - 1 - 10  # one for the entry, ten for the first example
    fib = "    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n"
    for name in ("one", "two", "three"):
        answer = f"def {name}(n):\n    for _ in range({turns}):\n        pass\n{fib}"
        assert solved(look(answer)) == found


def test_endless_functions_end_by_their_work(look):
    """None needs the wall-clock limit of the sandbox."""
    before = look.search.counts.unfinished
    look("def f(a, b=1):\n    while True:\n        a = [a]")
    look("def f(a, b=1):\n    return f(a, b) if a else sum(range(10 ** 15))")
    assert look.search.counts.unfinished == before


def test_a_pass_by_weak_tests_is_told_from_a_solution(look):
    """A function that satisfies two asserts and little else passes with low agreement."""
    answer = "def f(a, b):\n    return {2: 5, 4: 13, 3: 5, 9: 13}.get(a, 0)"
    (found,) = [one for one in look(answer) if one.problem == "p/add"]
    assert found.agreement < 0.5
    assert not found.is_evidence


def test_a_pass_by_a_test_that_holds_too_little_is_told_from_a_solution(sandbox):
    """Its words are short with six letters; random inputs of its types are not."""
    echo = "def echo(word):\n    return word.upper() + '-' + word[::-1]\n"
    lines = ("assert echo('xyz') == 'XYZ-zyx'", "assert echo('krtt') == 'KRTT-ttrk'")
    of = asserts("p/echo", echo, *lines)
    search = sandbox.runner.run(ExecutionSearch.create({"small": [of]}, sandbox.sandbox, no_need))
    line = "    if len(word) > 4 or not set(word) <= set('krtxyz'):\n        return ''\n"
    other = echo.replace("echo", "f").replace(":\n", f":\n{line}", 1)
    ((right,), (wrong,)) = (sandbox.runner.run(search.passes(answer)) for answer in (echo, other))
    assert right.is_evidence
    assert wrong.agreement < 0.5


def test_passes_of_plain_problems_are_inconclusive(look):
    """`a + b` solves a problem and is in every collection of exercises."""
    (found,) = look(ADD)
    assert found.agreement == 1
    assert not found.is_evidence


def test_inconclusive_passes_are_marked_and_drop_nothing(look):
    """Weak and plain passes are reported, but only conclusive ones drop a row."""
    weak = "def f(w, n):\n    return {'house': 'hoUSE', 'abc': 'aBC'}.get(w, w)"
    hits = [
        hit
        for row, answer in (("weak", weak), ("plain", ADD), ("tells", FIB))
        for hit in execution_hits(row, look(answer))
    ]
    assert {(hit.row, hit.mark.value) for hit in hits} == {(row, row) for row in MARKS}
    assert dropped(hits, DropRule.EXECUTION) == dropped(hits, DropRule.ANY) == {"tells"}
    assert dropped(hits, DropRule.EXECUTION_ANY) == set(MARKS)


def test_equal_functions_are_run_once(look):
    """Whatever the text around them."""
    look("def once(q, r):\n    return q * r - 7")
    before = look.search.counts.looked_at
    look("Once more:\n```python\ndef once(q, r):\n    '''Doc.'''\n    return q * r - 7\n```")
    assert look.search.counts.looked_at == before


def test_the_same_answers_in_any_order_give_the_same_hits(look, sandbox):
    """State that one function leaves in its process does not affect the next."""
    answers = [
        "import builtins\ndef f(a, b):\n    builtins.sorted = builtins.len = None\n    return a + b",
        *(of.reference for of in PROBLEMS),
    ]
    fresh = sandbox.runner.run(
        ExecutionSearch.create({"small": PROBLEMS}, sandbox.sandbox, no_need)
    )
    there = {answer: look(answer) for answer in answers}
    back = {answer: sandbox.runner.run(fresh.passes(answer)) for answer in reversed(answers)}
    assert there == back


TWICE = "def twice(items):\n    return [*items, *items]\n"


def test_further_answers_that_are_too_costly_to_compare_agree_with_nothing(sandbox, monkeypatch):
    """A function that passes, and answers the rest with values chosen to stall, is an unlike one.

    The kind: comparing what a function of a training row answers. It is done where it can be ended.
    """
    monkeypatch.setattr("evolcoder.grading.calls.ISOLATED_S", 0.3)
    monkeypatch.setattr("evolcoder.grading.calls.ISOLATED_S_PER_MB", 0)
    of = asserts(
        "p/twice", TWICE, "assert twice([7, 8]) == [7, 8, 7, 8]", "assert twice([5]) == [5, 5]"
    )
    search = sandbox.runner.run(ExecutionSearch.create({"small": [of]}, sandbox.sandbox, no_need))
    head = "def f(v):\n    if v in ([7, 8], [5]):\n        return v + v\n    return "
    for rest in (
        f"{{k * ({PRIME}): 0 for k in range(1500)}}",
        "[10**5000, {10**5000}]",
        "[[]] * 9000",
    ):
        begun = time.process_time()
        found = sandbox.runner.run(search.passes(head + rest))
        assert time.process_time() - begun < 0.5
        assert [(one.problem, one.agreement < 0.2) for one in found] == [("p/twice", True)]
    (right,) = sandbox.runner.run(search.passes(TWICE))
    assert right.agreement == 1


def test_agreement_is_the_same_wherever_it_is_counted(sandbox):
    """In the sandbox as in this process."""
    lines = [encode(["value", one]) for one in (1, 2.5, [3, 4], {5}, 10**5000, float("nan"))]
    others = [encode(["value", one]) for one in (1.0, 2.5, [4, 3], {5}, 10**5000, 7)]
    for exact in (True, False):
        apart = call_isolated(
            sandbox.sandbox,
            _SANDBOX_MODULES,
            "agreement_in_sandbox",
            [lines, others, exact],
            comparison_limits(0),
        )
        assert sandbox.runner.run(apart) == agreement(lines, others, exact=exact)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[",
        b"[]",
        b"[" * 100_000,
        b'["l","value",["s"%s]]' % b"".join(b",%d" % (n * PRIME) for n in range(5000)),
        b'["l","value",["l",["l",0,0],["l",-1,0],["l",9,9],["l","0",0],["d",0,0],7,["l",0]]]',
        b'["l","value",["l",["l",%s,0]]]' % (b"9" * 4000),
        b'["l","value",["l",["l",%s,0]]]' % (b"9" * 5000),
        b'["l","value",["l"%s]]' % (b',["l",0,0]' * 10_000),
        b'{"value": 1}',
    ],
    ids=range(10),
)
def test_a_forged_prefilter_result_yields_only_valid_pairs(look, said):
    """A function may forge the result: only valid indices are accepted, and each pair once."""
    costs = []
    for _ in range(3):  # the first may pay for a collection of garbage
        begun = time.process_time()
        pairs = list(look.search._pairs(said))
        costs.append(time.process_time() - begun)
    assert min(costs) < 0.05
    assert len(pairs) == len(set(pairs))
    assert set(pairs) <= {(0, look.search._targets[0].views[0])}
    assert bool(pairs) == (said.startswith(b'["l","value",["l",["l",0,0],'))
