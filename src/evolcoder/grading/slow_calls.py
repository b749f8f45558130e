"""Grades a program's slow calls in processes of their own, so that they run at the same time.

A few problems have many calls that take seconds (Mbpp/599), so one process would take minutes while
other processors wait. Where the reference needs `SLOW_CALL_S` for a call, a program that keeps no
state between calls runs that call in another process.
Guarantees: each call has the limits that it has in one process, and all calls together the sum; a
program passes if and only if all calls do. The other calls run first, in one process, and a program
that fails there runs no slow call. Of several slow calls that fail, the first decides.

>>> divided = divide(test, calls_s=(0.1, 2.0), n_base=1, limits_of=limits_of)   # doctest: +SKIP
>>> verdict = await grade_divided(sandbox, source, divided, limits)   # doctest: +SKIP
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.grading.verdicts import exit_verdict
from evolcoder.sandbox.base import Execution, Limits, Sandbox, Separation, Status, Verdict

SLOW_CALL_S = 0.5
"""CPU seconds of a reference's call from which it runs in a process of its own."""

LimitsOf = Callable[[Sequence[int], int], Limits]
"""Takes numbers of calls and how many of them belong to the original benchmark; returns limits."""


@dataclass(frozen=True, slots=True)
class Part:
    """Calls that run in one process."""

    numbers: tuple[int, ...]
    """Their numbers in the whole test. A slow call comes after a fast one, which shares its limit
    with the import."""
    test: CallTest = field(repr=False)
    """These calls alone."""
    limits: Limits
    """Limits of these calls."""


@dataclass(frozen=True, slots=True)
class DividedCalls:
    """A test in parts."""

    n_calls: int
    """Number of all calls."""
    fast: Part
    """All calls that are not slow, and those of the original benchmark."""
    slow: tuple[Part, ...]
    """One part for each slow call, in their order."""


def divide(
    test: CallTest, calls_s: Sequence[float], n_base: int, limits_of: LimitsOf
) -> DividedCalls | None:
    """Divide a test by its reference's CPU seconds of each call; None if that would gain nothing.

    The first `n_base` calls share a limit, so they stay together.
    """
    slow = [n for n, call_s in enumerate(calls_s) if n >= n_base and call_s >= SLOW_CALL_S]
    fast = [n for n in range(len(calls_s)) if n not in set(slow)]
    if len(slow) < 2 or not fast:
        return None
    first = min(fast, key=lambda number: calls_s[number])
    parts = (
        Part(numbers, test.only(numbers), limits_of(numbers, n_first))
        for numbers, n_first in [(tuple(fast), n_base), *(((first, one), 1) for one in slow)]
    )
    return DividedCalls(len(calls_s), next(parts), tuple(parts))


async def grade_divided(
    sandbox: Sandbox, source: str, divided: DividedCalls, limits: Limits
) -> Verdict:
    """Grade a program that keeps no state; `limits` are those of all calls. Raises SandboxError."""
    found = await grade_calls(sandbox, source, divided.fast.test, divided.fast.limits)
    if not found.passed:
        check = None if found.check is None else divided.fast.numbers[found.check]
        return replace(found, check=check)
    verdicts = await _grade_until_failure(sandbox, source, divided.slow)
    execution = _together(found.execution, [one.execution for one in verdicts])
    last, number = verdicts[-1], divided.slow[len(verdicts) - 1].numbers[-1]
    if not last.passed:
        outcomes = (*([True] * number), *last.outcomes[1:])
        return replace(last, check=number, outcomes=outcomes, execution=execution)
    outcomes = (True,) * divided.n_calls
    if execution.cpu_s > limits.cpu_s:
        late = replace(execution, status=Status.TIMEOUT)
        return exit_verdict(late, Separation.PARENT, check=number, outcomes=outcomes[:number])
    return replace(last, outcomes=outcomes, execution=execution)


async def _grade_until_failure(
    sandbox: Sandbox, source: str, parts: Sequence[Part]
) -> list[Verdict]:
    """Grade parts at the same time; return their verdicts in order, up to the first failure."""
    tasks = [asyncio.create_task(grade_calls(sandbox, source, p.test, p.limits)) for p in parts]
    verdicts = list[Verdict]()
    try:
        for task in tasks:
            verdicts.append(await task)
            if not verdicts[-1].passed:
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return verdicts


def _together(first: Execution, others: Sequence[Execution]) -> Execution:
    """Sum the usage of executions of which all but the first ran at the same time."""
    every = [first, *others]
    return replace(
        others[-1],
        cpu_s=sum(one.cpu_s for one in every),
        wall_s=first.wall_s + max(one.wall_s for one in others),
        peak_mb=max(one.peak_mb for one in every),
    )
