"""When a loop's models are trained: at once, or beside what the loop does next.

Promises: a model that is there is not trained again, and has its name only when it is whole; one
training at a time, in the order in which the loop comes to need them.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from evolcoder.experiment.arms import Selection
from evolcoder.experiment.background import Behind
from evolcoder.experiment.interfaces import Trainer, Training
from evolcoder.experiment.store import LoopStore
from evolcoder.experiment.timings import BESIDE, Clock


class Trainings(Behind):
    """Trains the models of one loop."""

    def __init__(
        self,
        *,
        beside: bool,
        trainer: Trainer,
        store: LoopStore,
        clock: Clock,
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
