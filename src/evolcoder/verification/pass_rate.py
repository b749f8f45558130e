"""Measures how hard a task is for a model: the share of samples that pass the validated checks.

Samples are independent draws with distinct seeds. All of them count, also empty and truncated ones,
so the share is an unbiased estimate of pass@1; its interval is Wilson's. Where a sample breaks off,
which is the server's fault, nothing is measured. A model that decodes
greedily is sampled once, since repeats would narrow the interval without new information. Without
validated checks nothing is measured and no request is sent.
The checks may be incomplete: complete checks would give the same rate or a lower one.

>>> found = await measure_pass_rate(   # doctest: +SKIP
...     task, checks, model=role, passes=passes, k=8, seed=0)
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from evolcoder.bench.scores import wilson
from evolcoder.engine.base import Message, Role
from evolcoder.ids import seed_for
from evolcoder.records import Task

MEASURED = "measured"
NOT_MEASURED = "not_measured"


class PassesChecks(Protocol):
    """Runs checks against a response in the sandbox."""

    async def __call__(self, answer: str, checks: Sequence[str]) -> bool:
        """Whether the response contains a program that passes every check.

        Raises SandboxError where the sandbox fails.
        """
        ...


@dataclass(frozen=True, slots=True)
class PassRate:
    """Pass rate of a model on a task."""

    kind: str
    """`measured` or `not_measured`."""
    model: str
    """Identity of the model."""
    n: int
    """Samples drawn."""
    n_passed: int
    """Samples that passed every check."""
    rate: float | None
    """Share that passed; None if not measured."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""
    why: str
    """Why nothing was measured; otherwise empty."""


async def measure_pass_rate(
    task: Task,
    checks: Sequence[str],
    *,
    model: Role,
    passes: PassesChecks,
    k: int,
    seed: int,
) -> PassRate:
    """Draw k samples of a task (one if decoding is greedy) and run the checks against each."""
    if not checks:
        return PassRate(
            NOT_MEASURED, model.identity, 0, 0, None, 0.0, 1.0, "the row has no validated checks"
        )
    n = 1 if model.sampling.temperature == 0 else k

    async def sample(number: int) -> bool:
        messages = (Message("user", task.instruction),)
        completion = await model.ask(messages, seed=seed_for(seed, "difficulty", task.id, number))
        if completion.broke_off:
            broken.append(completion.finish)
            return False
        return await passes(completion.text, checks)

    broken: list[str] = []
    async with asyncio.TaskGroup() as group:
        samples = [group.create_task(sample(number)) for number in range(n)]
    if broken:
        words = ", ".join(sorted(set(broken)))
        why = f"{len(broken)} of {n} samples are incomplete: the finish reason is {words}"
        return PassRate(NOT_MEASURED, model.identity, n, 0, None, 0.0, 1.0, why)
    n_passed = sum(one.result() for one in samples)
    interval = wilson(n_passed, n)
    return PassRate(
        MEASURED, model.identity, n, n_passed, n_passed / n, interval.low, interval.high, ""
    )
