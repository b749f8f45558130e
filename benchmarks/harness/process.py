"""Runs one command to its end, and measures its cost.

Processor time is that of the whole process tree, as far as its processes were waited for; memory is
the largest resident size of any one of its processes. A command that fails, or exceeds its time
limit, has a `failure`; nothing is raised.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 900.0
"""Longest time that a command may take, unless its caller says otherwise."""
Watch = Callable[[int], AbstractContextManager[object]]
"""Looks at a process while it runs."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    printed: str
    """Its standard output."""
    started: float
    """Monotonic time of its start."""
    wall_s: float
    """From start to end."""
    cpu_s: float
    """User and system time of the process tree."""
    peak_mb: float
    """Resident size of its largest process, at its peak."""
    failure: str
    """Exit code and last line of a command that failed; else empty."""


def run(
    command: list[str],
    folder: Path,
    variables: Mapping[str, str] | None = None,
    watch: Watch = nullcontext,
    *,
    limit_s: float = LIMIT_S,
) -> Ended:
    """Run a command in a bare environment whose home is in `folder`."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=err,
            env={**_few(home), **(variables or {})},
            start_new_session=True,
        )
        timer = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        with watch(process.pid):
            _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        (folder / "stdout").read_text(errors="replace"),
        started,
        wall_s,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024.0,
        _failure(process.returncode, folder / "stderr", limit_s),
    )


def _failure(code: int, stderr: Path, limit_s: float) -> str:
    if code == 0:
        return ""
    if code == -signal.SIGKILL:
        return f"killed after {limit_s:.0f} s"
    said = stderr.read_text(errors="replace").strip().splitlines() or ["nothing said"]
    return f"exit {code}: {said[-1][:160]}"


def _few(home: Path) -> dict[str, str]:
    """Return the few variables that every command gets: no proxy, no telemetry."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "DO_NOT_TRACK": "1"}
