"""How hard a task is for a chosen model: the share of its samples that pass the row's sound checks.

Promises: samples are independent draws, each with a seed of its own, and every one counts, empty
and cut off ones too, so the share is an unbiased estimate of pass@1; its interval is Wilson's. A
model that draws greedily is asked once: more of the same would only look like more. Without sound
checks nothing is measured and nobody is asked.
Does not promise that the checks are complete: a rate is at least what complete checks would give.

>>> found = await difficulty(   # doctest: +SKIP
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


class PassCounts(Protocol):
    """Runs checks in the sandbox; put together where the grader may be used."""

    async def __call__(self, answer: str, checks: Sequence[str]) -> bool:
        """Tell whether the program of an answer is there and passes every check.

        A sandbox that fails is a SandboxError and no verdict.
        """
        ...


@dataclass(frozen=True, slots=True)
class PassRate:
    """How often a model solves a task."""

    kind: str
    """`measured` or `not_measured`."""
    model: str
    """Identity of the model that was asked."""
    n: int
    """Samples drawn."""
    n_passed: int
    """Samples that passed every check."""
    rate: float | None
    """Share that passed; None where nothing was measured."""
    low: float
    """Lower end of its interval at 95 %."""
    high: float
    """Upper end."""
    why: str
    """Why nothing was measured; else empty."""


async def difficulty(
    task: Task,
    checks: Sequence[str],
    *,
    model: Role,
    passes: PassCounts,
    k: int,
    seed: int,
) -> PassRate:
    """Draw k samples of a task and run the checks against each."""
    if not checks:
        return PassRate(
            NOT_MEASURED, model.identity, 0, 0, None, 0.0, 1.0, "the row has no sound checks"
        )
    n = 1 if model.sampling.temperature == 0 else k

    async def sample(number: int) -> bool:
        asked = (Message("user", task.instruction),)
        said = await model.ask(asked, seed=seed_for(seed, "difficulty", task.id, number))
        return await passes(said.text, checks)

    async with asyncio.TaskGroup() as group:
        drawn = [group.create_task(sample(number)) for number in range(n)]
    n_passed = sum(one.result() for one in drawn)
    within = wilson(n_passed, n)
    return PassRate(
        MEASURED, model.identity, n, n_passed, n_passed / n, within.low, within.high, ""
    )
