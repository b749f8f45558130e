"""Work that goes on behind the loop's back: one thing at a time, while the loop does another.

Promises: one call at a time, the most urgent first, then in the order in which they were handed
in; a name is done once, whoever hands it in again; what a call raised is raised to whoever waits
for it. When the context is left on an error, the call that goes on is stopped and the others are
dropped; when it is left well, all are done.

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


@dataclass(order=True)
class _Job:
    urgency: int
    place: int
    call: Callable[[], None] = field(compare=False)
    done: threading.Event = field(default_factory=threading.Event, compare=False)
    error: BaseException | None = field(default=None, compare=False)


class Behind:
    """A thread with a list of things to do."""

    def __init__(self, stop: Callable[[], None]) -> None:
        """Take what ends the call that goes on; it may be called when none does."""
        self._stop = stop
        self._jobs: dict[str, _Job] = {}
        self._waiting: list[_Job] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="behind", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
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
                    job.done.wait()
                for name in self._jobs:
                    self.wait(name)
        finally:
            with self._changed:
                self._closing = True
                self._waiting.clear()
                self._changed.notify_all()
            while self._thread.is_alive():
                self._stop()
                self._thread.join(0.2)

    def hand_in(self, name: str, call: Callable[[], None], *, urgency: int) -> None:
        """Have something done; a lower urgency goes first."""
        with self._changed:
            if name in self._jobs:
                return
            job = _Job(urgency, len(self._jobs), call)
            self._jobs[name] = job
            self._waiting.append(job)
            self._changed.notify_all()

    def wait(self, name: str) -> None:
        """Wait until it is done; raise what it raised."""
        job = self._jobs[name]
        job.done.wait()
        if job.error is not None:
            raise job.error

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if self._closing:
                    return
                job = min(self._waiting)
                self._waiting.remove(job)
            try:
                job.call()
            except BaseException as error:  # noqa: BLE001 - raised again to whoever waits
                job.error = error
            finally:
                job.done.set()
