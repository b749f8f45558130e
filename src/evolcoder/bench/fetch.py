"""The files that benchmarks come in: from the official place, or from a folder that the user names.

Promises: rows are handed out only if their SHA-256 is the pinned one; a fetched file is in the
cache whole or not at all; every failure is a one-line BenchError. The digest covers the content
after gunzip, so a file may be packed anew. Does not promise that the official place still has it.

    rows(HUMAN_EVAL, Shelf(data_dir=None, cache=folder))
"""

import gzip
import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.errors import BenchError
from evolcoder.ids import canonical_json
from evolcoder.input_files import read_bytes, unpack
from evolcoder.storage.atomic import write_whole
from evolcoder.text import without_logins

HUB = "https://huggingface.co"
TIMEOUT_S = 60
GZIP_MAGIC = b"\x1f\x8b"
MOST_MB = 1024
"""Largest data file, packed and unpacked; the largest that we know has 40."""
INSTEAD = "use --data-dir (in a config, the key data_dir)"
"""What to do where nothing can be fetched."""

Row = dict[str, Any]
"""One JSON object of a data file."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of JSON lines that we know by its digest."""

    name: str
    """Path below a data folder."""
    url: str
    """The official place; on the Hub, HF_ENDPOINT takes the place of its address."""
    sha256: str
    """Digest of the content, or of the chosen fields of all rows."""
    fields: tuple[str, ...]
    """Where the official file is no JSON: the fields that the digest covers. Empty: all bytes."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Where data files are looked for."""

    data_dir: Path | None
    """A folder of the user's; if it is given, nothing is fetched."""
    cache: Path
    """Where fetched files are kept."""


def rows(file: DataFile, shelf: DataFolder) -> list[Row]:
    """Return the checked rows of a data file, fetching it if need be."""
    if shelf.data_dir is not None:
        return _checked(_unpacked(_read(_find(file, shelf.data_dir)), file), file)
    path = shelf.cache / file.name
    if not path.exists():
        return _fetch(file, path)
    data = _read(path)
    try:
        return _checked(_unpacked(data, file), file)
    except BenchError as error:
        raise BenchError(f"{path}: {error}; delete it and it is fetched again") from error


def rows_digest(found: list[Row], fields: tuple[str, ...]) -> str:
    """Hash the chosen fields of all rows, in the order of those fields' text."""
    lines = sorted(canonical_json([row[field] for field in fields]) for row in found)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _find(file: DataFile, folder: Path) -> Path:
    """Find a file in a user's folder: by its path or its name, packed or not."""
    full = Path(file.name)
    plain = full.with_suffix("")
    for name in (full, plain, Path(full.name), Path(plain.name)):
        if (folder / name).is_file():
            return folder / name
    raise BenchError(f"{folder}: holds no {file.name}; get it from {file.url}")


def _read(path: Path) -> bytes:
    return read_bytes(path, max_mb=MOST_MB, error=BenchError)


def _unpacked(data: bytes, file: DataFile) -> bytes:
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return unpack(data, max_mb=MOST_MB, name=file.name, error=BenchError)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BenchError(f"{file.name} is damaged: {error}; get it from {file.url}") from error


def _checked(content: bytes, file: DataFile) -> list[Row]:
    if not file.fields:
        _compare(hashlib.sha256(content).hexdigest(), file)
    try:
        found = [json.loads(line) for line in content.splitlines() if line.strip()]
        if file.fields:
            _compare(rows_digest(found, file.fields), file)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BenchError(f"{file.name} is damaged: {error}; get it from {file.url}") from error
    return found


def _compare(digest: str, file: DataFile) -> None:
    if digest != file.sha256:
        raise BenchError(
            f"{file.name}: wrong checksum {digest[:12]}, expected {file.sha256[:12]}; "
            f"the right file is at {file.url}"
        )


def _fetch(file: DataFile, path: Path) -> list[Row]:
    content = _unpacked(_download(file), file)
    if file.url.endswith(".parquet"):
        content = _from_parquet(content, file)
    found = _checked(content, file)
    write_whole(path, content)
    return found


def _download(file: DataFile) -> bytes:
    url = file.url
    if url.startswith(HUB):
        if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
            raise BenchError(f"{file.name} is not cached and HF_HUB_OFFLINE is set; {INSTEAD}")
        url = os.environ.get("HF_ENDPOINT", HUB).rstrip("/") + url.removeprefix(HUB)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own URLs
            data: bytes = answer.read((MOST_MB << 20) + 1)
    except (http.client.InvalidURL, ValueError):
        # Not chained: its words may hold a login that was taken for a port.
        raise BenchError(f"{without_logins(url)} is no URL; mend HF_ENDPOINT") from None
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", None) or error
        raise BenchError(
            f"{without_logins(url)} cannot be fetched: {reason}; or {INSTEAD}"
        ) from error
    if len(data) > MOST_MB << 20:
        raise BenchError(
            f"{without_logins(url)} is larger than {MOST_MB} MB, so it is not {file.name};"
            f" {INSTEAD}"
        )
    return data


def _from_parquet(data: bytes, file: DataFile) -> bytes:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise BenchError(
            f"{file.name} comes as Parquet: pip install 'evolcoder[parquet]'"
        ) from error
    try:
        table = parquet.read_table(pa.BufferReader(data), columns=[*file.fields])
    except (pa.ArrowException, OSError) as error:
        raise BenchError(f"{file.url} is no Parquet file: {error}") from error
    return b"\n".join(canonical_json(row) for row in table.to_pylist())
