"""When a loop's models are graded: at once, or beside what the loop does next.

Promises: a model that has its verdicts is not graded again; one grading at a time, so that a
program that is run once more alone is alone among programs; what the decision needs goes first.
Where models are graded beside, the benchmarks' own references are run before there is a model.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from evolcoder.loop.behind import Behind
from evolcoder.loop.clock import BESIDE, Clock
from evolcoder.loop.parts import Scorer, Training


class Grading(Behind):
    """Grades the models of one loop."""

    def __init__(
        self,
        parts: Sequence[Sequence[str]],
        *,
        beside: bool,
        scorer: Scorer,
        clock: Clock,
        evaluation: Callable[[Training], Path],
        name: Callable[[Training], str],
    ) -> None:
        """Take the benchmarks in parts, the most urgent first, and where a model's samples are."""
        super().__init__(scorer.stop)
        self._parts = [tuple(part) for part in parts if part]
        self._beside = beside
        self._scorer = scorer
        self._clock = clock
        self._evaluation = evaluation
        self._name = name

    def check_soon(self) -> None:
        """Have the benchmarks' references run while the loop goes on, where that is wanted."""
        if self._beside:
            self.hand_in("check", self._check, urgency=0)

    def _check(self) -> None:
        benches = tuple(dict.fromkeys(bench for part in self._parts for bench in part))
        with self._clock.timed("check", ", ".join(benches)) as step:
            self._scorer.check(benches)
            step.detail = BESIDE

    def soon(self, training: Training) -> None:
        """Have a model graded while the loop goes on, where that is wanted."""
        for urgency, part in enumerate(self._parts if self._beside else ()):
            call = partial(self._grade, training, part)
            self.hand_in(_job(training, part), call, urgency=urgency)

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

    def _grade(self, training: Training, benches: Sequence[str]) -> None:
        folder = self._evaluation(training)
        if not self._scorer.is_graded(folder, benches):
            what = f"{self._name(training)} on {', '.join(benches)}"
            with self._clock.timed("grade", what) as step:
                self._scorer.grade(folder, training.key, benches)
                step.detail = BESIDE if self._beside else ""


def _job(training: Training, benches: Sequence[str]) -> str:
    return f"{training.key} on {', '.join(benches)}"
