"""Background threads of the experiment loop, which train and grade models while it continues.

`BackgroundJobs` runs a bounded number of calls concurrently, at most one of each group, ordered by
priority and then by submission. A name runs once, however often it is submitted. `wait` raises what
the call raised, and a signal can interrupt it. Leaving the context normally completes all jobs;
leaving it on an error stops running calls and drops the others.

`GradingJobs` and `TrainingJobs` do their work when it is needed, or in the background if the config
says so (`ask.grade_beside`, `train.beside`). Models with verdicts are not graded again, and
finished models are not trained again. Background grading runs the benchmarks' references first,
then the benchmarks of the stopping decision. One model is trained at a time, in the order of need,
and gets its final folder name only when it is complete.

>>> with BackgroundJobs(stop=lambda: None) as jobs:
...     jobs.submit("a", lambda: print("done"), priority=0)
...     jobs.wait("a")
done
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
from evolcoder.experiment.timings import CONCURRENT, StepTimer

POLL_S = 0.5
"""Interval at which a waiting thread can handle a signal."""


@dataclass(order=True)
class _BackgroundJob:
    priority: int
    place: int
    call: Callable[[], None] = field(compare=False)
    group: str = field(compare=False)
    done: threading.Event = field(default_factory=threading.Event, compare=False)
    error: BaseException | None = field(default=None, compare=False)

    def wait(self) -> None:
        """Wait with a timeout: a signal that arrives as a wait begins does not interrupt it."""
        while not self.done.wait(POLL_S):
            pass


class BackgroundJobs:
    """A priority queue of calls, run by threads."""

    def __init__(self, stop: Callable[[], None], *, n_threads: int = 1) -> None:
        """Take a function that stops the running calls; it may be called when none runs."""
        self._stop = stop
        self._jobs: dict[str, _BackgroundJob] = {}
        self._waiting: list[_BackgroundJob] = []
        self._busy: set[str] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name="background", daemon=True)
            for _ in range(n_threads)
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
                    job.wait()
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

    def submit(
        self, name: str, call: Callable[[], None], *, priority: int, group: str = ""
    ) -> None:
        """Queue a call: lower priorities run first, two calls of one group never concurrently."""
        with self._changed:
            if name in self._jobs:
                return
            job = _BackgroundJob(priority, len(self._jobs), call, group)
            self._jobs[name] = job
            self._waiting.append(job)
            self._changed.notify_all()

    def is_submitted(self, name: str) -> bool:
        """Whether `wait` can be called for this name."""
        return name in self._jobs

    def wait(self, name: str) -> None:
        """Wait until the call is done; raise what it raised."""
        job = self._jobs[name]
        job.wait()
        if job.error is not None:
            raise job.error

    def forgive(self, name: str) -> None:
        """Do not raise what a call has raised once more; nothing for an unknown name."""
        if name in self._jobs:
            self._jobs[name].error = None

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
            except BaseException as error:  # noqa: BLE001 - `wait` raises it again
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
        """Take groups of benchmarks, by priority, and a function that locates a model's samples."""
        super().__init__(scorer.stop, n_threads=ask.grade_at_once)
        self._parts = [tuple(part) for part in parts if part]
        self._in_background = ask.grade_beside
        self._scorer = scorer
        self._clock = clock
        self._evaluation = evaluation
        self._name = name

    def queue_check(self) -> None:
        """Queue a run of the benchmarks' references, if grading is in the background."""
        if self._in_background:
            self.submit(CHECK, self._check, priority=0, group=CHECK)

    def _check(self) -> None:
        benches = tuple(dict.fromkeys(bench for part in self._parts for bench in part))
        with self._clock.timed("check", ", ".join(benches)) as step:
            self._scorer.check(benches)
            step.detail = CONCURRENT

    def queue(self, training: Training) -> None:
        """Queue the grading of a model, if grading is in the background."""
        for priority, part in enumerate(self._parts if self._in_background else ()):
            # Looked up now: only a check that was submitted earlier is certain to start earlier.
            call = partial(self._grade, training, part, waits=self.is_submitted(CHECK))
            self.submit(_job(training, part), call, priority=priority, group=training.key)

    def ensure_graded(self, training: Training, benches: Sequence[str]) -> None:
        """Return when a model has its verdicts on these benchmarks."""
        if not self._in_background:
            self._grade(training, benches)
            return
        self.queue(training)
        for part in self._parts:
            if set(part) & set(benches):
                with self._clock.waiting(f"{self._name(training)} is graded on {', '.join(part)}"):
                    self.wait(_job(training, part))

    def _grade(self, training: Training, benches: Sequence[str], *, waits: bool = False) -> None:
        folder = self._evaluation(training)
        if not self._scorer.is_graded(folder, benches):
            if waits:
                self.wait(CHECK)
            what = f"{self._name(training)} on {', '.join(benches)}"
            with self._clock.timed("grade", what) as step:
                self._scorer.grade(folder, training.key, benches)
                step.detail = CONCURRENT if self._in_background else ""


def _job(training: Training, benches: Sequence[str]) -> str:
    return f"{training.key} on {', '.join(benches)}"


class TrainingJobs(BackgroundJobs):
    """Trains the models of one loop."""

    def __init__(
        self,
        *,
        in_background: bool,
        trainer: Trainer,
        store: LoopStore,
        clock: StepTimer,
        name: Callable[[Training], str],
    ) -> None:
        super().__init__(trainer.stop)
        self._in_background = in_background
        self._trainer = trainer
        self._store = store
        self._clock = clock
        self._name = name

    def queue(self, training: Training, selection: Selection) -> None:
        """Queue a training, if training is in the background."""
        if self._in_background:
            self.submit(training.key, partial(self._train, training, selection), priority=0)

    def prepare(self) -> None:
        """Have the trainer get ready for a next training, after those that are queued."""
        if self._in_background:
            self.submit(f"prepare {len(self._jobs)}", self._trainer.prepare, priority=0)

    def ensure_trained(self, training: Training, selection: Selection) -> Path:
        """Return a model's folder when the model is complete."""
        if self._in_background:
            self.queue(training, selection)
            with self._clock.waiting(f"{self._name(training)} is trained"):
                self.wait(training.key)
        else:
            self._train(training, selection)
        return self._store.model(training.key)

    def _train(self, training: Training, selection: Selection) -> None:
        if self._store.model(training.key).exists():
            return
        data = self._store.data(training.data, selection.rows)
        with self._clock.timed("train", self._name(training)) as step:
            self._trainer.train(training, data, self._store.partial_model(training.key))
            step.detail = CONCURRENT if self._in_background else ""
        self._store.complete_model(training.key)
