"""Tests in other languages: expected values are cached outside; sealed tests are reported."""

from dataclasses import replace

import pytest

from driver import held, usable
from evolcoder.bench.base import Problem, ProgramChecks, PromptForm, Sample
from evolcoder.bench.multipl_e import MultiplE
from evolcoder.cli import eval as command
from evolcoder.evaluation.results import result_of
from evolcoder.evaluation.runner import Evaluation
from evolcoder.evaluation.store import EvalStore
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.grading.problem_checks import (
    PROGRAM,
    ProblemTest,
    ReferenceChecks,
    ReferenceMeasurement,
)
from evolcoder.sandbox.base import Kind, Separation
from groups import grouped

PROMPT = "#include <assert.h>\nlong twice(long n) {\n"
MAIN = "}\nint main() {\n    auto candidate = twice;\n"
COMPARES = f"{MAIN}    assert(candidate((2)) == (4));\n    assert(candidate((3)) == (6));\n}}\n"
KEEPS = f"{MAIN}    long kept = candidate(3);\n    assert(kept == 6);\n}}\n"
UNTYPED = f"{MAIN}    assert(candidate((2)) == (four));\n}}\n"
RIGHT, WRONG = "    return n + n;\n", "    return n * n;\n"


def problem(name, tests):
    checks = ProgramChecks("cpp", tests, "twice")
    return Problem(name, PROMPT, checks, None, f"{PROMPT}    throw 0;\n", ())


class Counting:
    """A sandbox that counts the programs that it runs."""

    def __init__(self, inner):
        self.inner, self.n = inner, 0

    async def run(self, program, limits):
        self.n += 1
        return await self.inner.run(program, limits)


@pytest.fixture(scope="module")
def cpp():
    for driver in held("strict", languages=list(usable("strict", ["cpp"]))):
        driver.needs("cpp")
        yield driver


@pytest.fixture
def box(cpp):
    return Counting(cpp.sandbox)


@pytest.fixture
def controls(box, tmp_path):
    kept = ReferenceChecks(tmp_path / "controls.db", box, "")
    yield kept
    kept.close()


def needed(cpp, controls, tests, name="one"):
    return cpp.runner.run(controls.measurement(problem(name, tests)))


def judged(cpp, tests, need, body):
    test = ProblemTest.of(problem("one", tests), need)
    return cpp.runner.run(test.grade(cpp.sandbox, PROMPT + body))


def test_expected_values_are_serialised_once(cpp, box, controls):
    """The expected lines of a problem's test are computed once and cached."""
    assert needed(cpp, controls, COMPARES).answers == (b"i32 4", b"i32 6")
    controls._db.flush()
    assert needed(cpp, controls, COMPARES).answers == (b"i32 4", b"i32 6")
    assert box.n == 1


@pytest.mark.e2e
@pytest.mark.parametrize("changed", ["tools", "expected_program", "calling_program"])
def test_other_tools_or_another_harness_invalidate_the_cache(
    cpp, box, controls, monkeypatch, changed
):
    """The cache key covers the toolchain and the generated programs."""
    needed(cpp, controls, COMPARES)
    controls._db.flush()
    if changed == "tools":
        controls._tools = lambda language: f"{language} of tomorrow"
    else:
        harness = HARNESSES["cpp"]
        make = getattr(harness, changed)
        other = replace(harness, **{changed: lambda *given: f"{make(*given)}// anew\n"})
        monkeypatch.setitem(HARNESSES, "cpp", other)
    assert needed(cpp, controls, COMPARES).answers
    assert box.n == 2


@pytest.mark.parametrize("tests", [KEEPS, UNTYPED])
def test_a_test_that_cannot_be_split_is_sealed(cpp, controls, tests):
    """One test does more than compare; the other's expected value does not compile."""
    need = needed(cpp, controls, tests)
    assert need == ReferenceMeasurement()
    verdict = judged(cpp, tests, need, WRONG)
    assert (verdict.passed, verdict.separation) == (False, Separation.TOKEN)


def test_a_failed_serialisation_is_retried(cpp, box, controls):
    """A failure is not cached, since the toolchain may be repaired."""
    for _ in range(2):
        needed(cpp, controls, UNTYPED)
        controls._db.flush()
    assert box.n == 2


@pytest.mark.parametrize(
    ("body", "kind", "check", "outcomes"),
    [
        (RIGHT, Kind.PASSED, None, (True, True)),
        (WRONG, Kind.FAILED, 1, (True, False)),
        *grouped([
        ("    throw n;\n", Kind.ERROR, 0, ()),
        ("    if (n == 3) __builtin_abort();\n    return 4;\n", Kind.ERROR, 1, (True,)),
        ("    if (n == 3) __builtin_abort();\n    return 5;\n", Kind.FAILED, 0, (False,)),
        ("    while (n == 3);\n    return 4;\n", Kind.TIMEOUT, 1, (True,)),
        ("    return nothing;\n", Kind.COMPILE_ERROR, None, ()),
        ("    if (n == 3) exit(0);\n    return 4;\n", Kind.FORGED, None, (True,)),
        ("    atexit([] { _exit(3); });\n    return n + n;\n", Kind.ERROR, None, (True, True)),
        ('    if (write(3, "i64 4\\n", 6)) return n + n;\n', Kind.FAILED, 1, (True, False)),
        ('    if (n == 3) write(3, "i64 6\\ni64", 9);\n    return n + n;\n', Kind.FORGED, None, (True, True)),
        ], pytest.mark.toolchains),
    ],
)  # fmt: skip
def test_every_ending_has_its_verdict(cpp, body, kind, check, outcomes):
    """The first wrong line decides, then how the program ended, then the number of lines."""
    need = ReferenceMeasurement(answers=(b"i32 4", b"i32 6"))
    test = ProblemTest.of(problem("one", COMPARES), need)
    test = replace(test, limits=replace(PROGRAM, cpu_s=1))
    verdict = cpp.runner.run(test.grade(cpp.sandbox, f"#include <unistd.h>\n{PROMPT}{body}"))
    assert (verdict.kind, verdict.check, verdict.outcomes) == (kind, check, outcomes), verdict
    assert verdict.separation is Separation.PARENT


def test_the_first_wrong_line_ends_a_program(cpp):
    """Endless code after it is stopped early, and so is a program that writes extra lines."""
    need = ReferenceMeasurement(answers=(b"i32 4", b"i32 6"))
    test = ProblemTest.of(problem("one", COMPARES), need)
    for body, kind, check in [
        ("    while (n == 3);\n    return 5;\n", Kind.FAILED, 0),
        (
            '    if (n == 3) write(3, "i64 6\\n\\n", 7);\n    while (n == 3);\n    return 4;\n',
            Kind.FORGED,
            None,
        ),
    ]:
        verdict = cpp.runner.run(test.grade(cpp.sandbox, f"#include <unistd.h>\n{PROMPT}{body}"))
        assert (verdict.kind, verdict.check) == (kind, check), verdict
        assert verdict.execution.cpu_s < PROGRAM.cpu_s / 2


def test_a_result_lists_sealed_tests(cpp, controls, tmp_path, capsys):
    """In the table and in the result, by number and by name."""
    problems = (problem("compares", COMPARES), problem("keeps", KEEPS))
    bench = MultiplE("humaneval-cpp", problems, ())
    with EvalStore.create(tmp_path / "e", {}) as store:
        samples = [Sample.of(one.id, 0, RIGHT, PromptForm.COMPLETION) for one in problems]
        store.add_samples(bench.name, samples)
        one = Evaluation(store, bench, generator=None, n=1, in_flight=2, problems=problems)
        cpp.runner.run(one.run(cpp.sandbox, controls))
        result = result_of(store, bench, faults={}, partial=False)
        assert (result.scores[0].value, result.sealed, result.n_tested) == (1.0, ("keeps",), 2)
    command._show_result(result, 80)
    assert "1 of 2 tests by seal: keeps" in capsys.readouterr().out
