"""A harness grades a snippet that runs in another process."""

import pytest

from attacks.harness_forgeries import checks_of
from evolcoder.bench.base import HarnessChecks
from evolcoder.bench.ds1000 import ds1000
from evolcoder.bench.fetch import DataFolder
from evolcoder.grading.harness import grade_harness, library_limits
from evolcoder.sandbox.base import Kind, Limits, Separation

HARNESS = '''
import random
def generate_test_case(number):
    return MADE
def exec_test(result, ans):
    COMPARE
    return 1
exec_context = r"""
data = test_input
[insert]
BEHIND
"""
def test_execution(solution):
    code = exec_context.replace("[insert]", solution)
    for number in (1, 2):
        test_input, expected = generate_test_case(number)
        test_env = {"test_input": test_input}
        exec(code, test_env)
        assert exec_test(test_env["result"], expected)
'''
ROOMY = Limits(cpu_s=20, wall_s=60, memory_mb=1024)


def checks(compare="assert result == ans", made="(number, number)", behind=""):
    text = HARNESS.replace("COMPARE", compare).replace("MADE", made).replace("BEHIND", behind)
    return HarnessChecks(text, ("test_execution",), "")


def judge(sandbox, source, *args, **changes):
    return sandbox.grade(grade_harness, source, checks(*args, **changes))


@pytest.mark.parametrize(
    ("source", "kind", "detail"),
    [
        ("result = data", Kind.PASSED, ""),
        ("result = 1", Kind.FAILED, "case 2: got 1, expected 2"),
        ("result = (data,)", Kind.FAILED, "got (1,), expected 1"),
        ("", Kind.ERROR, "KeyError: 'result'"),
        ("result = missing", Kind.ERROR, "the candidate raised NameError"),
        ("result = ", Kind.ERROR, "SyntaxError"),
        ("while True: pass", Kind.TIMEOUT, ""),
        ("import os; os._exit(0)", Kind.ERROR, "ended before it answered"),
    ],
)
def test_every_outcome_of_a_snippet_has_its_verdict(at_every_level, source, kind, detail):
    """Correct, wrong, raising, endless and exiting snippets have different verdicts."""
    verdict = judge(at_every_level, source)
    assert (verdict.kind, verdict.separation) == (kind, Separation.PROXY), verdict
    assert detail in verdict.detail


def test_a_snippet_cannot_write_its_own_answer(at_every_level):
    """A snippet that writes its own answer to the channel is rejected."""
    source = "import sys; sys.modules['candidate'].run = lambda *_: ANSWER; result = data"
    for answer in ("b'made up'", "b'[]'", "1", "None"):
        verdict = judge(at_every_level, source.replace("ANSWER", answer))
        assert verdict.kind is Kind.FORGED, verdict


def test_a_harness_that_calls_or_runs_nothing_never_passes(sandbox):
    """Without calls, or if the test never runs the snippet, nothing passes."""
    nothing = HarnessChecks("def test_execution(solution): assert True", (), "")
    assert sandbox.grade(grade_harness, "result = 1", nothing).kind is Kind.NO_TESTS
    idle = HarnessChecks(nothing.harness, ("test_execution",), "")
    assert sandbox.grade(grade_harness, "result = 1", idle).kind is Kind.NO_TESTS


def test_assertions_among_the_snippets_lines_are_weaker(sandbox):
    """They run in the snippet's process, and the verdict has `Separation.TOKEN`."""
    verdict = judge(sandbox, "result = data", behind="assert result == data")
    assert (verdict.kind, verdict.separation) == (Kind.PASSED, Separation.TOKEN)


def test_the_text_of_the_snippet_is_tested_too(sandbox):
    """A second test function receives the source."""
    for source, kind in (
        ("result = 7 * sum(data)", Kind.PASSED),
        ("result = 7 * sum([n for n in data])", Kind.FAILED),
    ):
        assert sandbox.grade(grade_harness, source, checks_of("text")).kind is kind


def test_objects_that_cannot_be_encoded_are_proxied(sandbox):
    """An object stays in the snippet's process; its attributes, calls and items are data."""
    source = "class Box:\n    size = data\n    def twice(self, n): return 2 * n\n    def __getitem__(self, k): return [k]\nresult = Box()"
    compare = "assert result.size == ans and result.twice(n=3) == 6 and result['k'] == ['k']"
    assert judge(sandbox, source, compare).kind is Kind.PASSED
    for refused in ("assert result == ans", "assert result", "assert 'x' in result"):
        assert not judge(sandbox, source.replace("[k]", "'y'"), refused).passed


def test_functions_of_the_harness_are_not_passed_on(sandbox):
    """Arguments of queries are plain data, so the harness's objects never leave its process."""
    verdict = judge(sandbox, "result = max", "assert result([ans, 0], key=lambda n: n) == ans")
    assert not verdict.passed
    assert judge(sandbox, "result = max", "assert result([ans, 0]) == ans").passed


def test_random_numbers_continue_the_harness_sequence(at_every_level):
    """As in one process, a snippet draws the numbers that the harness would draw next."""
    made = "(random.seed(number), (0, random.getstate()))[1]"
    compare = "random.setstate(ans); assert result == random.random()"
    assert judge(at_every_level, "import random; result = random.random()", compare, made).passed


def test_files_of_the_harness_are_inputs(at_every_level):
    """A table that the harness writes to disk can be read."""
    made = "(open('table.csv', 'w').write('x'), 'x')"
    assert judge(at_every_level, "result = open('table.csv').read()", made=made).passed


def test_the_harness_may_start_threads(at_every_level):
    """Libraries start threads; the harness's process allows it."""
    compare = "import threading; t = threading.Thread(target=print); t.start(); t.join(); assert result == ans"
    assert judge(at_every_level, "result = data", compare).passed


def test_heavy_libraries_get_more():
    """Two processes import the library, so limits depend on it."""
    assert library_limits("Tensorflow").memory_mb > library_limits("Numpy").memory_mb


PROBLEMS = [0, 1, 36, 112, 264, 300, 323, 325, 363, 464]
"""Of pandas and numpy, including frames, lists, series, indexes, arrays and text tests."""


@pytest.fixture(scope="module")
def problems(shared, tmp_path_factory):
    return ds1000(DataFolder(shared, tmp_path_factory.mktemp("cache"))).problems()


@pytest.mark.parametrize("number", PROBLEMS)
def test_references_of_real_problems_pass_and_stubs_fail(sandbox_with_pandas, problems, number):
    """The reference passes and the stub does not, with the installed numpy and pandas."""
    pytest.importorskip("pandas")
    problem = problems[number]
    verdict = sandbox_with_pandas.grade(
        grade_harness, problem.reference, problem.checks, limits=ROOMY
    )
    assert verdict.passed, verdict
    assert not sandbox_with_pandas.grade(
        grade_harness, problem.stub, problem.checks, limits=ROOMY
    ).passed
