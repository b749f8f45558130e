"""A failure while judging one answer becomes its outcome, and nothing else does.

The case: one answer of many that aborts the command for all of them.
"""

import asyncio
import sqlite3

import pytest

from evolcoder.errors import (
    BudgetReached,
    EngineError,
    ModelError,
    SandboxError,
    StoreError,
    UnjudgedError,
)
from evolcoder.sample_errors import UNJUDGED, judging

ENGINE = EngineError("no", asked="toy", retryable=True)


def judge(error):
    with judging():
        raise error


class SilentError(Exception):
    def __str__(self):
        raise SystemError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no\n  way"), "ValueError: no way"),
        (ValueError(10**5000), "ValueError: <exception str() failed>"),
        (KeyError("\ud800\x00"), "KeyError: '\\ud800\\x00'"),
        (AssertionError("\ud800"), "AssertionError: \ufffd"),
        (RecursionError("too deep"), "RecursionError: too deep"),
        (MemoryError(), "MemoryError"),
        (StopIteration(3), "StopIteration: 3"),
        (SilentError(), "SilentError: <exception str() failed>"),
        (ExceptionGroup("many", [ExceptionGroup("more", [TypeError("one")])]), "TypeError: one"),
        (ValueError("x" * 9999), f"ValueError: {'x' * 227}…"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_other_exception_is_the_answers_outcome(error, told):
    """The outcome describes the exception in one bounded line."""
    with pytest.raises(UnjudgedError) as caught:
        judge(error)
    assert str(caught.value) == f"{UNJUDGED}: {told}"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [SandboxError("gone"), ENGINE, BudgetReached("end"), ModelError("key"), StoreError("full"),
     UnjudgedError("once"), sqlite3.DatabaseError("malformed"), KeyboardInterrupt(), SystemExit(3),
     asyncio.CancelledError(), GeneratorExit()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_means_something_of_its_own_stays_what_it_is(error):
    """Sandbox, server and database failures, limits, interrupts and cancellation pass through."""
    with pytest.raises(type(error)) as caught:
        judge(error)
    assert caught.value is error


@pytest.mark.parametrize("error", [SandboxError("gone"), ENGINE, BudgetReached("end")])
def test_a_group_means_what_it_holds(error):
    """Concurrent tasks fail in groups; a sandbox failure in a group stays one."""
    with pytest.raises(type(error)) as caught:
        judge(ExceptionGroup("tasks", [ValueError("too"), ExceptionGroup("more", [error])]))
    assert caught.value is error


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), BlockingIOError(11, "no")])
def test_a_failure_of_the_machine_says_nothing_of_the_answer(error):
    """It is a SandboxError, which is stored separately and retried."""
    for one in (error, ExceptionGroup("tasks", [ValueError("too"), error])):
        with pytest.raises(SandboxError, match="a program failed on this machine"):
            judge(one)


def test_the_outcome_names_the_line_of_ours_that_failed():
    """The file and line of the failure are in the message."""
    from evolcoder.safe_codec import pack

    with pytest.raises(UnjudgedError, match=r"\(safe_codec\.py:\d+\)$"), judging():
        pack(1, None, "x")


def test_what_is_judged_goes_through():
    """Without a failure the context does nothing."""

    async def look():
        with judging():
            await asyncio.sleep(0)
            return 3

    assert asyncio.run(look()) == 3
