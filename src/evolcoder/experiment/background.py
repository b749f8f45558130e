"""Work that goes on behind the loop's back: a few things at a time, while the loop does another.

Promises: so many calls at a time, one of each group, the most urgent first, then in the order in
which they were handed in; a name is done once, whoever hands it in again; what a call raised is
raised to whoever waits for it. When the context is left on an error, the calls that go on are
stopped and the others are dropped; when it is left well, all are done. A wait can be interrupted.

>>> with Behind(stop=lambda: None) as behind:
...     behind.hand_in("a", lambda: print("done"), urgency=0)
...     behind.wait("a")
done

When a loop's models are graded: at once, or beside what the loop does next.

Promises: a model that has its verdicts is not graded again; what the decision needs goes first.
Where models are graded beside, so many are at once, and the benchmarks' own references are run
first, for all of them.

When a loop's models are trained: at once, or beside what the loop does next.

Promises: a model that is there is not trained again, and has its name only when it is whole; one
training at a time, in the order in which the loop comes to need them.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from evolcoder.experiment.arms import Selection
from evolcoder.experiment.config import AskConfig
from evolcoder.experiment.interfaces import Scorer, Trainer, Training
from evolcoder.experiment.store import LoopStore
from evolcoder.experiment.timings import BESIDE, StepTimer

LOOK_UP_S = 0.5
"""How often who waits looks whether a signal has come."""


@dataclass(order=True)
class _BackgroundJob:
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


class BackgroundJobs:
    """Threads with a list of things to do."""

    def __init__(self, stop: Callable[[], None], *, at_once: int = 1) -> None:
        """Take what ends the calls that go on; it may be called when none does."""
        self._stop = stop
        self._jobs: dict[str, _BackgroundJob] = {}
        self._waiting: list[_BackgroundJob] = []
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
            job = _BackgroundJob(urgency, len(self._jobs), call, group)
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

    def _ready(self) -> list[_BackgroundJob]:
        return [job for job in self._waiting if job.group not in self._busy]


CHECK = "check"


class GradingJobs(BackgroundJobs):
    """Grades the models of one loop."""

    def __init__(
        self,
        parts: Sequence[Sequence[str]],
        *,
        ask: AskConfig,
        scorer: Scorer,
        clock: StepTimer,
        evaluation: Callable[[Training], Path],
        name: Callable[[Training], str],
    ) -> None:
        """Take the benchmarks in parts, the most urgent first, and where a model's samples are."""
        super().__init__(scorer.stop, at_once=ask.grade_at_once)
        self._parts = [tuple(part) for part in parts if part]
        self._beside = ask.grade_beside
        self._scorer = scorer
        self._clock = clock
        self._evaluation = evaluation
        self._name = name

    def check_soon(self) -> None:
        """Have the benchmarks' references run while the loop goes on, where that is wanted."""
        if self._beside:
            self.hand_in(CHECK, self._check, urgency=0, group=CHECK)

    def _check(self) -> None:
        benches = tuple(dict.fromkeys(bench for part in self._parts for bench in part))
        with self._clock.timed("check", ", ".join(benches)) as step:
            self._scorer.check(benches)
            step.detail = BESIDE

    def soon(self, training: Training) -> None:
        """Have a model graded while the loop goes on, where that is wanted."""
        for urgency, part in enumerate(self._parts if self._beside else ()):
            # Asked now, since only what was handed in before is sure to be begun before.
            call = partial(self._grade, training, part, waits=self.was_handed_in(CHECK))
            self.hand_in(_job(training, part), call, urgency=urgency, group=training.key)

    def see_to(self, training: Training, benches: Sequence[str]) -> None:
        """Return when a model has its verdicts on these benchmarks."""
        if not self._beside:
            self._grade(training, benches)
            return
        self.soon(training)
        for part in self._parts:
            if set(part) & set(benches):
                with self._clock.waited(f"{self._name(training)} is graded on {', '.join(part)}"):
                    self.wait(_job(training, part))

    def _grade(self, training: Training, benches: Sequence[str], *, waits: bool = False) -> None:
        folder = self._evaluation(training)
        if not self._scorer.is_graded(folder, benches):
            if waits:
                self.wait(CHECK)
            what = f"{self._name(training)} on {', '.join(benches)}"
            with self._clock.timed("grade", what) as step:
                self._scorer.grade(folder, training.key, benches)
                step.detail = BESIDE if self._beside else ""


def _job(training: Training, benches: Sequence[str]) -> str:
    return f"{training.key} on {', '.join(benches)}"


class TrainingJobs(BackgroundJobs):
    """Trains the models of one loop."""

    def __init__(
        self,
        *,
        beside: bool,
        trainer: Trainer,
        store: LoopStore,
        clock: StepTimer,
        name: Callable[[Training], str],
    ) -> None:
        super().__init__(trainer.stop)
        self._beside = beside
        self._trainer = trainer
        self._store = store
        self._clock = clock
        self._name = name

    def soon(self, training: Training, selection: Selection) -> None:
        """Have a model trained while the loop goes on, where that is wanted."""
        if self._beside:
            self.hand_in(training.key, partial(self._train, training, selection), urgency=0)

    def see_to(self, training: Training, selection: Selection) -> Path:
        """Return a model's folder when the model is there."""
        if self._beside:
            self.soon(training, selection)
            with self._clock.waited(f"{self._name(training)} is trained"):
                self.wait(training.key)
        else:
            self._train(training, selection)
        return self._store.model(training.key)

    def _train(self, training: Training, selection: Selection) -> None:
        if self._store.model(training.key).exists():
            return
        data = self._store.data(training.data, selection.rows)
        with self._clock.timed("train", self._name(training)) as step:
            self._trainer.train(training, data, self._store.making(training.key))
            step.detail = BESIDE if self._beside else ""
        self._store.made(training.key)
