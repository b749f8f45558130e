"""Waiters are scheduled by priority, and exclusive runs wait for all others."""

import asyncio
import os

import pytest

from evolcoder.sandbox import pool
from evolcoder.sandbox.pool import ExclusiveAccess, PrioritySemaphore, first_share, n_cores


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def test_the_longest_goes_first_and_equals_in_their_order():
    """A long program that starts last would leave all other workers idle."""
    went = []

    async def go(seats, name, longest_s):
        await seats.acquire(longest_s)
        went.append(name)
        seats.release()

    async def story():
        seats = PrioritySemaphore(1)
        await seats.acquire(1)
        lengths = {"short": 1, "long": 9, "middle": 5, "also short": 1}
        tasks = [asyncio.ensure_future(go(seats, *one)) for one in lengths.items()]
        await settle()
        seats.release()
        await asyncio.gather(*tasks)

    asyncio.run(story())
    assert went == ["long", "middle", "short", "also short"]


@pytest.mark.parametrize("called", [False, True])
def test_a_cancelled_waiter_leaves_no_slot_acquired(called):
    """Cancelled while waiting, or after being woken but before running."""

    async def story():
        seats = PrioritySemaphore(1)
        await seats.acquire(1)
        taker = asyncio.ensure_future(seats.acquire(9))
        await settle()
        if called:
            seats.release()
        taker.cancel()
        await asyncio.gather(taker, return_exceptions=True)
        if not called:
            seats.release()
        await asyncio.wait_for(seats.acquire(1), 10)
        other = asyncio.ensure_future(seats.acquire(1))
        await settle()
        assert not other.done()
        other.cancel()

    asyncio.run(story())


@pytest.mark.parametrize("at_most", [1, 2])
def test_a_bounded_number_is_admitted_once_all_slots_are_free(at_most):
    """An exclusive run waits for the idle event and all slots; then others wait for it."""
    inside, most, order = [], [], []

    async def alone(exclusive, lull, name):
        async with exclusive.admitted(lull):
            order.append(name)
            inside.append(name)
            most.append(len(inside))
            await settle()
            inside.remove(name)

    async def story():
        seats, lull = PrioritySemaphore(2), asyncio.Event()
        exclusive = ExclusiveAccess(seats, 2, at_most)
        await seats.acquire(1)
        tasks = [asyncio.ensure_future(alone(exclusive, lull, name)) for name in "abc"]
        await settle()
        assert order == []
        lull.set()
        await settle()
        assert order == []
        order.append("given back")
        seats.release()
        await asyncio.gather(*tasks)
        for _ in range(2):
            await asyncio.wait_for(seats.acquire(1), 10)

    asyncio.run(story())
    assert order == ["given back", *"abc"]
    assert max(most) == at_most


def test_a_cancelled_exclusive_run_releases_its_slots():
    """Slots acquired so far are released."""

    async def story():
        seats, lull = PrioritySemaphore(2), asyncio.Event()
        lull.set()
        await seats.acquire(1)

        async def alone():
            async with ExclusiveAccess(seats, 2, 1).admitted(lull):
                pass

        waiting = asyncio.ensure_future(alone())
        await settle()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.wait_for(seats.acquire(1), 10)

    asyncio.run(story())


def test_the_threads_of_a_core_count_once(tmp_path, monkeypatch):
    """Two CPUs that are threads of one core are one; where nothing is known, half are cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert n_cores(tmp_path) == 2
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    assert n_cores(tmp_path) == 2
    for number in range(4):
        (tmp_path / f"cpu{number}" / "topology" / "thread_siblings_list").write_text(f"{number}\n")
    assert n_cores(tmp_path) == 4


@pytest.mark.parametrize(
    ("workers", "siblings", "share"),
    [(1, ("0-1", "0-1"), 1.0), (3, ("0-1", "0-1"), 1 / 3), (3, ("0", "1"), 1.1)],
)
def test_a_first_run_is_cut_only_where_cpus_share_a_core(
    workers, siblings, share, tmp_path, monkeypatch
):
    """Programs on cores of their own hardly slow each other down; on threads of one core they do."""
    for number, names in enumerate(siblings):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{names}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(pool, "n_cores", lambda: n_cores(tmp_path))
    assert first_share(workers) == share
