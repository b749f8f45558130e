"""The measuring checks, called as a run calls them."""

import pytest

from driver import QUICK
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.records import Check, CheckResult, Response, Task
from evolcoder.verification.generated_tests.check import validated_checks
from evolcoder.verification.metrics import MetricsCheck, PassRateCheck, python_program

TASK = Task.seed("Write add(a, b). Reject None, and log the sum.", ordinal=3, language="python")
RIGHT = "Here:\n\n```python\ndef add(a, b):\n    return a + b if a else b\n```"
WRONG = RIGHT.replace("+", "-")
RENAMED = RIGHT.replace("add", "plus")
ANSWER = Response.to(TASK, RIGHT, made=None)


def found_by_tests(kind="passed"):
    detail = {"checks": ["assert add(1, 2) == 3"], "entry_point": "add"}
    return {Check.TESTS: CheckResult.of(ANSWER, Check.TESTS, kind, detail=detail)}


def model(answer):
    return Role(ScriptedEngine(answer), "m", Sampling(1.0, 1.0, 99))


def test_metrics_are_a_verdict(sandbox):
    """The detail holds every metric by name, and the judge's count if there is a judge."""
    judge = model(lambda request: f"{request.messages[-1].content.split()[-2]} 3")
    seen = []
    for one in (judge, None):
        check = MetricsCheck(one, seed=1)
        seen.append(sandbox.runner.run(check(TASK, ANSWER, {})))
    assert [verdict.kind for verdict in seen] == ["measured", "measured"]
    assert seen[0].score == 2
    assert seen[0].detail["constraints"] == 3
    assert "constraints" not in seen[1].detail
    assert (seen[0].check, seen[0].response, seen[0].ordinal) == (Check.SHAPE, ANSWER.id, 3)


@pytest.mark.parametrize(("answer", "rate"), [(RIGHT, 1), (RENAMED, 1), (WRONG, 0), ("no", 0)])
def test_a_pass_rate_is_a_verdict(sandbox, answer, rate):
    """Samples run against the row's checks, whatever their function is called."""
    check = PassRateCheck(model(lambda request: answer), sandbox.sandbox, QUICK, samples=3, seed=1)
    verdict = sandbox.runner.run(check(TASK, ANSWER, found_by_tests()))
    assert (verdict.kind, verdict.score, verdict.detail["n"]) == ("measured", rate, 3)


@pytest.mark.parametrize("before", [{}, found_by_tests("unsound"), found_by_tests("no_tests")])
def test_unsound_checks_measure_nothing(sandbox, before):
    """Checks that failed validation give no pass rate."""
    check = PassRateCheck(model(lambda request: RIGHT), sandbox.sandbox, QUICK, samples=3, seed=1)
    verdict = sandbox.runner.run(check(TASK, ANSWER, before))
    assert (verdict.kind, verdict.score) == ("not_measured", None)
    assert verdict.detail["said"] == "the row has no validated checks"


def test_a_failed_row_still_has_validated_checks():
    """A response that fails its checks does not invalidate them."""
    assert validated_checks(found_by_tests("failed")) == ("assert add(1, 2) == 3",)


@pytest.mark.parametrize(
    "text", ["", "prose only", "```js\nlet x = 1\n```", "```python\ndef (\n```"]
)
def test_no_python_no_program(text):
    """Only a fenced block that parses as Python is a program."""
    assert python_program(text) is None
