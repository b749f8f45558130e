"""Task groups that raise the first failure itself, not a group of failures.

>>> async def square(n, found):
...     found.append(n * n)
>>> found = []
>>> asyncio.run(run_bounded((square(n, found) for n in range(4)), 2))
>>> sorted(found)
[0, 1, 4, 9]
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks as `asyncio.TaskGroup` does; raise the first failure, after ending the others."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures


async def run_bounded(jobs: Iterator[Awaitable[None]], n_workers: int) -> None:
    """Await jobs, at most `n_workers` at once; each leaves the iterator only when it starts.

    The first failure ends the jobs that run, leaves the others in the iterator, and is raised.
    """

    async def work() -> None:
        for job in jobs:
            await job

    async with task_group() as group:
        for _ in range(n_workers):
            group.create_task(work())
