"""Background jobs run once, in order, and end with the loop."""

import threading

import pytest

from evolcoder.experiment.background import BackgroundJobs


class Work:
    """Calls that record their names, and one that runs until it is stopped."""

    def __init__(self):
        self.done, self.begun, self.stopped = [], threading.Event(), threading.Event()

    def note(self, name):
        return lambda: self.done.append(name)

    def endless(self):
        self.begun.set()
        assert self.stopped.wait(20), "nobody stopped it"
        raise RuntimeError("stopped")


def test_the_most_urgent_goes_first_and_each_once():
    """Equal priorities keep their order; a name that was submitted before does not run again."""
    work, gate = Work(), threading.Event()
    with BackgroundJobs(work.stopped.set) as jobs:
        jobs.submit("gate", gate.wait, priority=0)
        for name, priority in (("b", 1), ("a", 0), ("c", 1), ("a", 0), ("d", 0)):
            jobs.submit(name, work.note(name), priority=priority)
        gate.set()
        jobs.wait("a")
        assert work.done[0] == "a"
    assert work.done == ["a", "d", "b", "c"]


def test_an_error_reaches_who_waits_and_who_leaves():
    """`wait` raises the error; so does leaving the context without a wait."""
    work = Work()
    with pytest.raises(ZeroDivisionError), BackgroundJobs(work.stopped.set) as jobs:
        jobs.submit("bad", lambda: 1 / 0, priority=0)
        with pytest.raises(ZeroDivisionError):
            jobs.wait("bad")
        jobs.submit("good", work.note("good"), priority=0)
    assert work.done == ["good"]


def test_an_error_that_is_forgiven_is_raised_once():
    """Who waits sees it, and may go on; a name that was never submitted is no error."""
    work = Work()
    with BackgroundJobs(work.stopped.set) as jobs:
        jobs.forgive("unknown")
        jobs.submit("bad", lambda: 1 / 0, priority=0)
        with pytest.raises(ZeroDivisionError):
            jobs.wait("bad")
        jobs.forgive("bad")
        jobs.submit("good", work.note("good"), priority=0)
    assert work.done == ["good"]


def test_an_interrupt_stops_what_goes_on_and_drops_the_rest():
    """On an error the loop does not wait for a running job."""
    work = Work()
    with pytest.raises(KeyboardInterrupt), BackgroundJobs(work.stopped.set) as jobs:
        jobs.submit("endless", work.endless, priority=0)
        jobs.submit("never", work.note("never"), priority=0)
        assert work.begun.wait(20)
        raise KeyboardInterrupt
    assert work.done == []
    assert "jobs" not in {thread.name for thread in threading.enumerate()}


def test_several_go_on_at_once_but_never_two_of_a_group():
    """A job of a busy group waits; a later one of another group does not."""
    work, gate = Work(), threading.Event()
    with BackgroundJobs(work.stopped.set, n_threads=2) as jobs:
        jobs.submit("a1", gate.wait, priority=0, group="a")
        jobs.submit("a2", work.note("a2"), priority=0, group="a")
        jobs.submit("b", work.note("b"), priority=1, group="b")
        jobs.wait("b")
        assert work.done == ["b"]
        gate.set()
    assert work.done == ["b", "a2"]
