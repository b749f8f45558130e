"""At most as many jobs run at once as asked for, and the first failure is raised itself."""

import asyncio
from itertools import count

import pytest

from evolcoder.concurrency import run_bounded, task_group


@pytest.mark.parametrize("n_workers", [0, 1, 3, 20])
def test_jobs_run_within_the_bound(n_workers):
    """Each job runs once; none leaves the iterator before a worker is free."""
    running, most, done = set(), [0], []

    async def job(number):
        running.add(number)
        most[0] = max(most[0], len(running))
        await asyncio.sleep(0)
        running.remove(number)
        done.append(number)

    asyncio.run(run_bounded((job(number) for number in range(10)), n_workers))
    assert sorted(done) == (list(range(10)) if n_workers else [])
    assert most[0] == min(n_workers, 10)


def test_a_failure_ends_the_others_and_is_raised_itself():
    """Jobs that run are cancelled, and those that have not begun stay in the iterator."""
    ended, numbers = [], count()

    async def job(number):
        if number == 2:
            raise ValueError(number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(ValueError, match="2") as raised:
        asyncio.run(run_bounded((job(number) for number in numbers), 3))
    assert isinstance(raised.value.__cause__, ExceptionGroup)
    assert sorted(ended) == [0, 1]
    assert next(numbers) == 3


def test_a_failure_of_the_body_is_raised_itself():
    """And not as a group."""

    async def story():
        async with task_group() as group:
            group.create_task(asyncio.Event().wait())
            raise KeyError("body")

    with pytest.raises(KeyError, match="body"):
        asyncio.run(story())
