"""When a loop's models are graded: at once, or beside what the loop does next.

Promises: a model that has its verdicts is not graded again; what the decision needs goes first.
Where models are graded beside, so many are at once, and the benchmarks' own references are run
first, for all of them.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from evolcoder.experiment.background import Behind
from evolcoder.experiment.config import AskConfig
from evolcoder.experiment.interfaces import Scorer, Training
from evolcoder.experiment.timings import BESIDE, Clock

CHECK = "check"


class Grading(Behind):
    """Grades the models of one loop."""

    def __init__(
        self,
        parts: Sequence[Sequence[str]],
        *,
        ask: AskConfig,
        scorer: Scorer,
        clock: Clock,
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
