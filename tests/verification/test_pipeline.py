"""Verification survives a check that fails on one row: that row gets an error verdict."""

import asyncio

import pytest

import toys
from evolcoder.errors import BudgetReached, EngineError, SandboxError
from evolcoder.records import Check, CheckResult, Reason, Response
from evolcoder.sample_errors import UNJUDGED
from evolcoder.sandbox.base import Limits
from evolcoder.storage.pending import reopen_unverified
from evolcoder.storage.stats import VERIFY_META
from evolcoder.verification.execution.check import ExecutionCheck
from evolcoder.verification.metrics import ComplexityCheck, MetricsCheck
from evolcoder.verification.pipeline import (
    DROP_REASONS,
    RowVerifier,
    Verifier,
    count_findings,
    drop_reason,
    has_unasked_check,
    is_unjudged,
    unasked_note,
    unjudged_note,
)
from test_pipeline import open_store

ALL_DROPS = frozenset(DROP_REASONS.values())


class Failing:
    """A check that fails on one row, by raising or by a verdict that cannot be stored."""

    def __init__(self, failure, check=Check.RUNS):
        self.failure, self.check = failure, check

    async def __call__(self, task, response, before):
        if task.ordinal == 3 and isinstance(self.failure, BaseException):
            raise self.failure
        detail = self.failure if task.ordinal == 3 else {"said": "fine"}
        return CheckResult.of(response, self.check, "passed", detail=detail)


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "run", toys.config(), 0, answered=True) as opened:
        seeds = [*_answered(6)]
        opened.add_seeds(seeds, unverified=True)
        opened.set_meta(VERIFY_META, {"checks": ["runs"], "seeds": True})
        opened.db.flush()
        yield opened


def _answered(n):
    from evolcoder.records import Task

    for number, text in enumerate(toys.tasks(n)):
        task = Task.seed(text, ordinal=number, language="python")
        yield task
        yield Response.to(task, "```python\ndef f(x):\n    return x\n```", made=None)


def verify(store, *checks, drop=ALL_DROPS):
    asyncio.run(RowVerifier(store, Verifier(store, checks, drop), in_flight=3).run())
    store.db.flush()
    return list(store.rows(dropped=True))


LOOP = {}
LOOP["loop"] = LOOP


@pytest.mark.parametrize(
    "failure",
    [ValueError(10**5000), RecursionError("deep"), MemoryError(), KeyError("\ud800\x00"),
     StopIteration(), ExceptionGroup("g", [TypeError("inner")]), AssertionError(),
     {"said": object()}, {"said": 10**5000}, LOOP, {"said": b"bytes"}],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize("check", [Check.RUNS, Check.TESTS])
def test_an_internal_failure_of_a_check_is_an_error_verdict(store, failure, check):
    """The verdict names the failure, does not drop the row, and is counted as unjudged."""
    rows = verify(store, Failing(failure, check))
    found = {row.task.ordinal: row.verdicts[0] for row in rows}
    assert {n: one.kind for n, one in found.items()} == {
        n: "error" if n == 3 else "passed" for n in range(6)
    }
    assert is_unjudged(found[3])
    assert found[3].detail["said"].startswith(f"{UNJUDGED}: ")
    assert found[3].detail["said"].isprintable()
    assert found[3].score is None
    assert drop_reason(found[3], ALL_DROPS) is None
    assert not list(store.drops())
    assert count_findings(store) == {(check.value, "passed"): 5, (check.value, UNJUDGED): 1}
    assert unjudged_note(store).startswith(
        f"1 finding(s) {UNJUDGED}; first: round 0, row 3, {check.value}: {UNJUDGED}: "
    )
    again = verify(store, Failing(SandboxError("not asked again"), check))
    assert again == rows


def test_an_error_of_the_response_is_not_an_internal_failure(store):
    """A failing program is dropped if configured, even if it prints the marker of a check failure."""

    class Erring(Failing):
        async def __call__(self, task, response, before):
            said = f'{UNJUDGED}: "why": "unjudged"'
            return CheckResult.of(response, self.check, "error", detail={"said": said})

    assert verify(store, Erring(None), drop={Reason.DOES_NOT_RUN}) != []
    assert {drop.reason for drop in store.drops()} == {Reason.DOES_NOT_RUN}
    assert count_findings(store) == {("runs", "error"): 6}
    assert unjudged_note(store) == ""


@pytest.mark.parametrize(
    "error",
    [BudgetReached("end"), EngineError("down", asked="toy", retryable=True),
     ExceptionGroup("tasks", [EngineError("down", asked="toy", retryable=True)])],
    ids=["budget", "server", "group"],
)  # fmt: skip
def test_budget_and_server_errors_end_the_verification(store, error):
    """They are not verdicts; the row is checked again on resume."""
    with pytest.raises((BudgetReached, EngineError)):
        verify(store, Failing(error))
    store.db.flush()
    rows = verify(store, Failing({}))
    assert {row.verdicts[0].kind for row in rows} == {"passed"}


@pytest.mark.parametrize("rejected", [True, False])
def test_a_request_that_is_itself_at_fault_gives_not_run(store, rejected):
    """The row stays, the server's words are said, and it may be checked again."""
    no = EngineError("HTTP 400", asked="toy", got="odd", retryable=False, rejected=rejected)
    rows = verify(store, Failing(no))
    verdict = next(row.verdicts[0] for row in rows if row.task.ordinal == 3)
    assert verdict.kind == "not_run"
    assert verdict.detail["why"] == ("rejected" if rejected else "failed")
    assert "got odd" in unasked_note(store)
    assert not has_unasked_check(store)
    assert reopen_unverified(store) == 1
    assert unasked_note(store) == ""
    again = verify(store, Failing({}))
    assert {row.verdicts[0].kind for row in again} == {"passed"}
    assert len(again) == len(rows)


@pytest.mark.parametrize("error", [SandboxError("gone"), OSError(24, "Too many open files")])
def test_a_failing_sandbox_or_machine_gives_not_run(store, error):
    """The row was not run, and an event records why."""
    rows = verify(store, Failing(error))
    assert {row.task.ordinal: row.verdicts[0].kind for row in rows}[3] == "not_run"
    assert [kind for _, kind, _ in store.db.read("SELECT * FROM events")] == ["sandbox"]
    assert reopen_unverified(store) == 0  # no model server is at fault
    assert reopen_unverified(store, unjudged=True) == 1
    again = verify(store, Failing({}))
    assert {row.verdicts[0].kind for row in again} == {"passed"}
    assert len(again) == len(rows)


def test_verdict_details_contain_no_lone_surrogates(store):
    """They become replacement characters, both in fresh verdicts and in those read back."""
    import orjson

    class Odd(Failing):
        async def __call__(self, task, response, before):
            detail = {"said": "\ud800", "list": ("\udc00", {"\ud800": 1})}
            return CheckResult.of(response, self.check, "passed", detail=detail)

    (row, *_) = verify(store, Odd(None))
    assert orjson.loads(orjson.dumps(row.verdicts[0].detail)) == {
        "said": "\ufffd", "list": ["\ufffd", {"\ufffd": 1}],
    }  # fmt: skip


HOSTILE = [
    "```python\nx = 0x" + "f" * 9000 + "\ndef f(x: list[int]) -> int:\n    return x[0]\n```",
    "```python\ndef f(x: list[int]) -> int:\n    return " + "-" * 9000 + "1\n```",
    "```python\ndef f(x: list[int]) -> int:\n    return " + "(" * 180 + "1" + ")" * 180 + "\n```",
    "```python\ndef f(x: list[int]):\n    return f'{x!r:{'>'}}'\n```",
    "```python\ndef f(x: list[int]):\n    return 10**5000\nprint(f([1]))\n```",
    "```python\ndef f(x: list[int]):\n    raise ValueError('\\ud800\\x00')\nf([1])\n```",
    "```python\n\x00\n```",
    "```python\n" + "\ud800" * 9 + "\n```",
    "```python\n" + "a." * 20_000 + "b\n```",
    "```python\n" + "class A:\n" + "  def f(self): pass\n" * 3000 + "```",
    "```\n" * 5000,
    "`" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_answers_have_findings(sandbox, store, text):
    """Every check reaches a verdict on hostile responses."""
    task, _ = _answered(1)
    task = task.seed(f"{task.instruction} It takes O(n) time.", ordinal=0, language="python")
    response = Response.to(task, text, made=None)
    limits = Limits(cpu_s=2, wall_s=5)
    for check in (
        ExecutionCheck(sandbox.sandbox, languages=(), limits=limits),
        ComplexityCheck(sandbox.sandbox, seed=0, memory_mb=512),
        MetricsCheck(None, seed=0),
    ):
        found = sandbox.runner.run(check(task, response, {}))
        assert found.check is check.check
        assert len(str(found.detail.get("said", ""))) <= 400
