"""What goes on behind a loop is done once, in order, and ends with the loop."""

import threading

import pytest

from evolcoder.experiment.background import BackgroundJobs


class Work:
    """Calls that note their names, and one that goes on until it is stopped."""

    def __init__(self):
        self.done, self.begun, self.stopped = [], threading.Event(), threading.Event()

    def note(self, name):
        return lambda: self.done.append(name)

    def endless(self):
        self.begun.set()
        assert self.stopped.wait(20), "nobody stopped it"
        raise RuntimeError("stopped")


def test_the_most_urgent_goes_first_and_each_once():
    """Equal ones keep their order; a name that was handed in before is not done again."""
    work, gate = Work(), threading.Event()
    with BackgroundJobs(work.stopped.set) as behind:
        behind.hand_in("gate", gate.wait, urgency=0)
        for name, urgency in (("b", 1), ("a", 0), ("c", 1), ("a", 0), ("d", 0)):
            behind.hand_in(name, work.note(name), urgency=urgency)
        gate.set()
        behind.wait("a")
        assert work.done[0] == "a"
    assert work.done == ["a", "d", "b", "c"]


def test_an_error_reaches_who_waits_and_who_leaves():
    """Waiting raises it; so does the end, where nobody has waited."""
    work = Work()
    with pytest.raises(ZeroDivisionError), BackgroundJobs(work.stopped.set) as behind:
        behind.hand_in("bad", lambda: 1 / 0, urgency=0)
        with pytest.raises(ZeroDivisionError):
            behind.wait("bad")
        behind.hand_in("good", work.note("good"), urgency=0)
    assert work.done == ["good"]


def test_an_interrupt_stops_what_goes_on_and_drops_the_rest():
    """The loop does not wait for a grading of minutes."""
    work = Work()
    with pytest.raises(KeyboardInterrupt), BackgroundJobs(work.stopped.set) as behind:
        behind.hand_in("endless", work.endless, urgency=0)
        behind.hand_in("never", work.note("never"), urgency=0)
        assert work.begun.wait(20)
        raise KeyboardInterrupt
    assert work.done == []
    assert "behind" not in {thread.name for thread in threading.enumerate()}


def test_several_go_on_at_once_but_never_two_of_a_group():
    """The second of a busy group waits, and one of another group that was handed in later does not."""
    work, gate = Work(), threading.Event()
    with BackgroundJobs(work.stopped.set, at_once=2) as behind:
        behind.hand_in("a1", gate.wait, urgency=0, group="a")
        behind.hand_in("a2", work.note("a2"), urgency=0, group="a")
        behind.hand_in("b", work.note("b"), urgency=1, group="b")
        behind.wait("b")
        assert work.done == ["b"]
        gate.set()
    assert work.done == ["b", "a2"]
