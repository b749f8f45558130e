"""Files that are written whole or not at all."""

import gzip
from pathlib import Path

from evolcoder.errors import BenchError
from evolcoder.storage import atomic


def write_whole(path: Path, data: bytes, *, inside: Path | None = None) -> None:
    """Put a file in place, packed if it is named so; a reader sees the old state or the new one.

    No link leads out of `inside`; without it the path is the user's own.
    """
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    atomic.write_bytes(path, data, inside=inside, error=BenchError)
