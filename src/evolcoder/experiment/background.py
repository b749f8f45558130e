"""Work that goes on behind the loop's back: a few things at a time, while the loop does another.

Promises: so many calls at a time, one of each group, the most urgent first, then in the order in
which they were handed in; a name is done once, whoever hands it in again; what a call raised is
raised to whoever waits for it. When the context is left on an error, the calls that go on are
stopped and the others are dropped; when it is left well, all are done. A wait can be interrupted.

>>> with Behind(stop=lambda: None) as behind:
...     behind.hand_in("a", lambda: print("done"), urgency=0)
...     behind.wait("a")
done
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

LOOK_UP_S = 0.5
"""How often who waits looks whether a signal has come."""


@dataclass(order=True)
class _Job:
    urgency: int
    place: int
    call: Callable[[], None] = field(compare=False)
    group: str = field(compare=False)
    done: threading.Event = field(default_factory=threading.Event, compare=False)
    error: BaseException | None = field(default=None, compare=False)

    def until_done(self) -> None:
        """Wait, and look up now and then: a signal that comes as a wait begins wakes nobody up."""
        while not self.done.wait(LOOK_UP_S):
            pass


class Behind:
    """Threads with a list of things to do."""

    def __init__(self, stop: Callable[[], None], *, at_once: int = 1) -> None:
        """Take what ends the calls that go on; it may be called when none does."""
        self._stop = stop
        self._jobs: dict[str, _Job] = {}
        self._waiting: list[_Job] = []
        self._busy: set[str] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name="behind", daemon=True) for _ in range(at_once)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                for job in self._jobs.values():
                    job.until_done()
                for name in self._jobs:
                    self.wait(name)
        finally:
            with self._changed:
                self._closing = True
                self._waiting.clear()
                self._changed.notify_all()
            while alive := [thread for thread in self._threads if thread.is_alive()]:
                self._stop()
                alive[0].join(0.2)

    def hand_in(
        self, name: str, call: Callable[[], None], *, urgency: int, group: str = ""
    ) -> None:
        """Have something done; a lower urgency goes first, and two of a group never together."""
        with self._changed:
            if name in self._jobs:
                return
            job = _Job(urgency, len(self._jobs), call, group)
            self._jobs[name] = job
            self._waiting.append(job)
            self._changed.notify_all()

    def was_handed_in(self, name: str) -> bool:
        """Whether it can be waited for."""
        return name in self._jobs

    def wait(self, name: str) -> None:
        """Wait until it is done; raise what it raised."""
        job = self._jobs[name]
        job.until_done()
        if job.error is not None:
            raise job.error

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready() or self._closing)
                if self._closing:
                    return
                job = min(self._ready())
                self._waiting.remove(job)
                self._busy.add(job.group)
            try:
                job.call()
            except BaseException as error:  # noqa: BLE001 - raised again to whoever waits
                job.error = error
            finally:
                with self._changed:
                    self._busy.remove(job.group)
                    self._changed.notify_all()
                job.done.set()

    def _ready(self) -> list[_Job]:
        return [job for job in self._waiting if job.group not in self._busy]
