"""Makes a venv for every competitor under .bench/, once, with venv and pip.

A venv contains what `*/pins/NAME.txt` lists; changed pins rebuild it. A competitor that cannot be
installed is a `VenvError` with pip's last line.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

BENCH = Path(__file__).parents[2] / ".bench"
BENCHMARKS = Path(__file__).parents[1]


class VenvError(Exception):
    """A venv could not be made."""


def python_of(name: str) -> Path:
    """Return the interpreter of a competitor's venv, made first if it is missing."""
    found = _made(name)
    if isinstance(found, VenvError):
        raise found
    return found


def make_venvs(names: Iterable[str | None]) -> None:
    """Make missing venvs before anything is timed; the table repeats failures."""
    for name in dict.fromkeys(filter(None, names)):
        try:
            python_of(name)
        except VenvError as error:
            print(error, file=sys.stderr)


@cache
def _made(name: str) -> Path | VenvError:
    """Try once per invocation."""
    folder, pins = BENCH / name, next(BENCHMARKS.glob(f"*/pins/{name}.txt"))
    stamp = folder / ".pins"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"making {folder} (once)", file=sys.stderr)
        try:
            _make(folder, pins)
        except VenvError as error:
            return error
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def _make(folder: Path, pins: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    python = str(folder / "bin" / "python")
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(pins)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        raise VenvError(f"no venv: {said[-1]}")
