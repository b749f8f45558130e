"""Reads benchmark data files, downloaded from their official URLs or from a folder of the user's.

Guarantees: rows are returned only if their SHA-256 matches the pinned one; cache files are written
atomically; every failure is a one-line BenchError. The digest covers the decompressed content, so a
file may be recompressed. Does not guarantee that a URL still works.

    rows(HUMAN_EVAL, DataFolder(data_dir=None, cache=folder))
"""

import gzip
import hashlib
import http.client
import io
import json
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.engine import hub
from evolcoder.errors import BenchError
from evolcoder.ids import canonical_json
from evolcoder.input_files import read_bytes, unpack
from evolcoder.storage.atomic import write_whole

TIMEOUT_S = 60
GZIP_MAGIC = b"\x1f\x8b"
MOST_MB = 1024
"""Maximum size of a data file, compressed and decompressed; the largest known one has 40 MB."""
INSTEAD = "use --data-dir (in a config: clean.data_dir; of a loop: ask.data_dir)"
"""Advice if a file cannot be downloaded."""

Row = dict[str, Any]
"""One JSON object of a data file."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of JSON lines with a pinned digest."""

    name: str
    """Path relative to a data folder."""
    url: str
    """Official URL; on the Hub, HF_ENDPOINT replaces the host."""
    sha256: str
    """Digest of the content, or of the chosen fields of all rows; empty if none is known, for files
    that are read from the user's folder only."""
    fields: tuple[str, ...]
    """Fields that the digest covers if the official file is not JSON; empty to cover all bytes."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Where data files are read from."""

    data_dir: Path | None
    """The user's folder; if given, nothing is downloaded."""
    cache: Path
    """Folder for downloaded files."""


def rows(file: DataFile, folder: DataFolder) -> list[Row]:
    """Return the verified rows of a data file, downloading it if necessary."""
    if folder.data_dir is not None:
        return _checked(_unpacked(_read(_find(file, folder.data_dir)), file), file)
    path = folder.cache / file.name
    if not file.sha256:
        raise BenchError(f"{file.name} is read from a folder only: {INSTEAD}; it is {file.url}")
    if not path.exists():
        return _download_rows(file, path)
    data = _read(path)
    try:
        return _checked(_unpacked(data, file), file)
    except BenchError as error:
        raise BenchError(f"{path}: {error}; delete it to download it again") from error


def rows_digest(found: list[Row], fields: tuple[str, ...]) -> str:
    """Hash the chosen fields of all rows, sorted by their JSON text."""
    lines = sorted(canonical_json([row[field] for field in fields]) for row in found)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def has_file(file: DataFile, folder: Path) -> bool:
    """Whether the user's folder holds a file."""
    return any((folder / name).is_file() for name in _names(file))


def _names(file: DataFile) -> tuple[Path, ...]:
    """Return the paths that a file may have in the user's folder, compressed or not."""
    full = Path(file.name)
    plain = full.with_suffix("")
    return full, plain, Path(full.name), Path(plain.name)


def _find(file: DataFile, folder: Path) -> Path:
    for name in _names(file):
        if (folder / name).is_file():
            return folder / name
    raise BenchError(f"{folder}: {file.name} not found; download it from {file.url}")


def _read(path: Path) -> bytes:
    return read_bytes(path, max_mb=MOST_MB, error=BenchError)


def _unpacked(data: bytes, file: DataFile) -> bytes:
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return unpack(data, max_mb=MOST_MB, name=file.name, error=BenchError)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BenchError(f"{file.name} is damaged: {error}; download it from {file.url}") from error


def _checked(content: bytes, file: DataFile) -> list[Row]:
    if not file.fields:
        _compare(hashlib.sha256(content).hexdigest(), file)
    try:
        found = [json.loads(line) for line in content.splitlines() if line.strip()]
        if file.fields:
            _compare(rows_digest(found, file.fields), file)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BenchError(f"{file.name} is damaged: {error}; download it from {file.url}") from error
    return found


def _compare(digest: str, file: DataFile) -> None:
    if file.sha256 and digest != file.sha256:
        raise BenchError(
            f"{file.name}: wrong checksum {digest[:12]}, expected {file.sha256[:12]}; "
            f"download it from {file.url}"
        )


def _download_rows(file: DataFile, path: Path) -> list[Row]:
    content = _unpacked(_download(file), file)
    if file.url.endswith(".parquet"):
        content = _from_parquet(content, file)
    found = _checked(content, file)
    write_whole(path, content)
    return found


def _download(file: DataFile) -> bytes:
    if file.url.startswith(hub.HUB):
        return _from_hub(file)
    url = file.url
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own URLs
            data: bytes = answer.read((MOST_MB << 20) + 1)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", None) or error
        raise BenchError(f"cannot download {url}: {reason}; or {INSTEAD}") from error
    if len(data) > MOST_MB << 20:
        raise BenchError(f"{url} is larger than {MOST_MB} MB, so it is not {file.name}; {INSTEAD}")
    return data


def _from_hub(file: DataFile) -> bytes:
    if hub.is_offline():
        raise BenchError(f"{file.name} is not cached and HF_HUB_OFFLINE is set; {INSTEAD}")
    content, path = io.BytesIO(), file.url.removeprefix(f"{hub.HUB}/")
    try:
        hub.download(path, content, max_bytes=MOST_MB << 20, error=BenchError)
    except BenchError as error:
        raise BenchError(f"cannot download {file.url}: {error}; or {INSTEAD}") from error.__cause__
    return content.getvalue()


def _from_parquet(data: bytes, file: DataFile) -> bytes:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise BenchError(
            f"{file.name} is a Parquet file: pip install 'evolcoder[parquet]'"
        ) from error
    try:
        table = parquet.read_table(pa.BufferReader(data), columns=[*file.fields])
    except (pa.ArrowException, OSError) as error:
        raise BenchError(f"{file.url} is not a Parquet file: {error}") from error
    return b"\n".join(canonical_json(row) for row in table.to_pylist())
