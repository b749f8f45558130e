"""A check that fails at a row leaves a finding that says so, and the other rows have theirs.

The kind: one row that ends the verification of all of them.
"""

import asyncio

import pytest
from test_rounds import open_store

import toys
from evolcoder.errors import BudgetReached, EngineError, SandboxError
from evolcoder.records import Check, CheckResult, Reason, Response
from evolcoder.sample_errors import UNJUDGED
from evolcoder.sandbox.base import Limits
from evolcoder.storage.stats import VERIFY_META
from evolcoder.verification.dataset import RowVerifier
from evolcoder.verification.execution.check import ExecutionCheck
from evolcoder.verification.metrics import ComplexityCheck, MetricsCheck
from evolcoder.verification.pipeline import (
    FAULTS,
    Verifier,
    counted,
    fault,
    is_unjudged,
    note_of_unjudged,
)

ALL_DROPS = frozenset(FAULTS.values())


class Failing:
    """A check that fails at one row, by raising or by a verdict that cannot be stored."""

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
        opened.add_seeds(seeds, waits=True)
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
def test_a_check_that_fails_at_a_row_is_that_rows_finding(store, failure, check):
    """It is an error that says what failed; it has not passed, is not dropped for it, and counts."""
    rows = verify(store, Failing(failure, check))
    found = {row.task.ordinal: row.verdicts[0] for row in rows}
    assert {n: one.kind for n, one in found.items()} == {
        n: "error" if n == 3 else "passed" for n in range(6)
    }
    assert is_unjudged(found[3])
    assert found[3].detail["said"].startswith(f"{UNJUDGED}: ")
    assert found[3].detail["said"].isprintable()
    assert found[3].score is None
    assert fault(found[3], ALL_DROPS) is None
    assert not list(store.drops())
    assert counted(store) == {(check.value, "passed"): 5, (check.value, UNJUDGED): 1}
    assert note_of_unjudged(store).startswith(
        f"1 findings are that a row {UNJUDGED}, such as round 0, row 3, {check.value}: {UNJUDGED}: "
    )
    again = verify(store, Failing(SandboxError("not asked again"), check))
    assert again == rows


def test_an_error_of_the_answer_is_told_from_one_of_the_check(store):
    """A program that fails by itself is dropped where that is asked for, whatever it prints."""

    class Erring(Failing):
        async def __call__(self, task, response, before):
            said = f'{UNJUDGED}: "why": "unjudged"'
            return CheckResult.of(response, self.check, "error", detail={"said": said})

    assert verify(store, Erring(None), drop={Reason.DOES_NOT_RUN}) != []
    assert {drop.reason for drop in store.drops()} == {Reason.DOES_NOT_RUN}
    assert counted(store) == {("runs", "error"): 6}
    assert note_of_unjudged(store) == ""


@pytest.mark.parametrize(
    "error",
    [BudgetReached("end"), EngineError("down", asked="toy", retryable=True),
     ExceptionGroup("tasks", [EngineError("down", asked="toy", retryable=True)])],
    ids=["budget", "server", "group"],
)  # fmt: skip
def test_what_means_something_of_its_own_ends_the_verification(store, error):
    """A server that is down or a limit is no row's finding, and the row is looked at again."""
    with pytest.raises((BudgetReached, EngineError)):
        verify(store, Failing(error))
    store.db.flush()
    rows = verify(store, Failing({}))
    assert {row.verdicts[0].kind for row in rows} == {"passed"}


@pytest.mark.parametrize("error", [SandboxError("gone"), OSError(24, "Too many open files")])
def test_a_sandbox_or_machine_that_fails_says_nothing_of_the_row(store, error):
    """The row was not run, and the run remembers why."""
    rows = verify(store, Failing(error))
    assert {row.task.ordinal: row.verdicts[0].kind for row in rows}[3] == "not_run"
    assert [kind for _, kind, _ in store.db.read("SELECT * FROM events")] == ["sandbox"]


def test_what_a_check_says_can_be_stored_and_read_by_any_encoder(store):
    """Lone surrogates in a detail become visible marks, before and after an interruption."""
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
    """Whatever an answer holds, every check that runs it comes to a finding of its own."""
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
