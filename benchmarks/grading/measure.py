"""Measures one pass of one grader."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from grading.graders import Grader
from grading.jobs import Files
from harness.memory import Peaks
from harness.process import Ended, run
from harness.venvs import VenvError


@dataclass(frozen=True, slots=True)
class Pass:
    """What was measured in one pass."""

    grader: str
    """Short name of the grader."""
    copies: int
    """Copies of the samples."""
    programs: int = 0
    """Programs that got a verdict."""
    passed: int = 0
    """Those that passed."""
    seconds: float = math.nan
    """From the first program handed over to the last verdict."""
    cpu_s: float = math.nan
    """User and system time meanwhile, of all processes."""
    start_s: float = math.nan
    """From the start of the command to the first verdict."""
    all_mb: float = math.nan
    """Most memory of all processes together."""
    first_mb: float = math.nan
    """Of the first process, which compares; a container is started by it."""
    worker_mb: float = math.nan
    """Of everything else, over the number of workers."""
    failure: str = ""
    """Why there are no figures."""

    @property
    def per_second(self) -> float:
        """Programs graded per second."""
        return self.programs / self.seconds

    @property
    def cpu_ms_each(self) -> float:
        """Milliseconds of processor time for one program."""
        return 1000 * self.cpu_s / self.programs


def measure(name: str, grader: Grader, copies: int, files: Files, folder: Path) -> Pass:
    """Run one grader in a new folder, which is removed again unless it failed."""
    folder.mkdir(parents=True)
    peaks = Peaks()
    try:
        command = grader.command(files, copies)
    except VenvError as error:
        return Pass(name, copies, failure=str(error))
    ended = run(command, folder, watch=peaks.watch)
    if ended.failure:
        return Pass(name, copies, failure=ended.failure)
    shutil.rmtree(folder)
    return _pass(name, copies, grader, ended, peaks)


def _pass(name: str, copies: int, grader: Grader, ended: Ended, peaks: Peaks) -> Pass:
    said = json.loads(ended.printed.splitlines()[-1])
    return Pass(
        name,
        copies,
        said["programs"],
        said["passed"],
        said["seconds"],
        said["cpu_s"],
        start_s=said["first_at"] - ended.started if said["first_at"] else math.nan,
        all_mb=peaks.all_mb,
        first_mb=peaks.first_mb,
        worker_mb=peaks.others_mb / grader.workers,
    )
