"""Files that are written whole or not at all."""

import gzip
import tempfile
from pathlib import Path

from evolcoder.errors import BenchError


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in place, packed if it is named so; a reader sees the old state or the new one."""
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            part.write_bytes(data)
            part.replace(path)
    except OSError as error:
        raise BenchError(f"{path}: cannot be written: {error.strerror}") from error
