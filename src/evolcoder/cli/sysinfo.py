"""Reads the properties of this machine: processors, memory, disks, bubblewrap, optional packages.

Guarantees: nothing is changed; a value that cannot be read is None.

>>> read_machine().cpus   # doctest: +SKIP
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import evolcoder
from evolcoder.engine.registry import CACHE_ADVICE, cache_folder
from evolcoder.errors import ConfigError
from evolcoder.sandbox.launchers import find_bwrap

EXTRAS = ("xllamacpp", "pyarrow", "datasets")
"""Optional packages: for local models, Parquet files and Hub data sets."""
MB = 1 << 20
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Disk:
    """Free disk space for a folder."""

    use: str
    """Use of the folder."""
    folder: str
    """Path of the folder, which need not exist."""
    free_mb: int
    """Free space in MB for an unprivileged user."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Properties of this machine."""

    evolcoder: str
    """Version of this package."""
    python: str
    """Version of the interpreter."""
    platform: str
    """Name and version of the operating system."""
    cpus: int
    """Processors available to this process."""
    memory_mb: int | None
    """Total memory available to this process, in MB."""
    memory_free_mb: int | None
    """Free part of that memory, in MB."""
    disks: tuple[Disk, ...]
    """Free space of the cache folder and the current folder."""
    cache_trouble: str
    """Why the cache folder is unusable; empty if it is usable."""
    bubblewrap: str | None
    """Path of the bubblewrap program."""
    bubblewrap_version: str | None
    """Version reported by bubblewrap."""
    extras: dict[str, str | None]
    """Optional package -> version; None if not installed."""


def read_machine() -> Machine:
    """Read the properties of this machine."""
    memory, free = _memory()
    bwrap = find_bwrap()
    cache, trouble = _cache()
    return Machine(
        evolcoder=evolcoder.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        cpus=len(os.sched_getaffinity(0)),
        memory_mb=memory,
        memory_free_mb=free,
        disks=(*([_disk("cache", cache)] if cache else ()), _disk("here", Path.cwd())),
        cache_trouble=trouble,
        bubblewrap=bwrap,
        bubblewrap_version=_version_of(bwrap) if bwrap else None,
        extras={name: _installed_version(name) for name in EXTRAS},
    )


def _cache() -> tuple[Path | None, str]:
    """Return the cache folder, which need not exist, and why it is unusable (or an empty text)."""
    try:
        folder = cache_folder()
    except ConfigError as error:
        return None, str(error)
    existing = _existing(folder)
    can_write = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return folder, "" if can_write else f"the cache: {existing}: cannot be written; {CACHE_ADVICE}"


def _existing(folder: Path) -> Path:
    """Return a folder or its nearest existing parent."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() follows links
    return next(path for path in (absolute, *absolute.parents) if os.path.exists(path))  # noqa: PTH110 - never raises


def _disk(use: str, folder: Path) -> Disk:
    existing = _existing(folder)
    return Disk(use, str(folder), shutil.disk_usage(existing).free // MB)


def _memory() -> tuple[int | None, int | None]:
    """Return total and free memory in MB, within the limit of the control group."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, None
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    total, free = kb["MemTotal"] << 10, kb["MemAvailable"] << 10
    for limit, used in _cgroup_memory():
        total, free = min(total, limit), min(free, limit - used)
    return total // MB, free // MB


def _cgroup_memory() -> Iterator[tuple[int, int]]:
    """Yield limit and usage of the control group in bytes, if it has a limit."""
    try:
        limit, used = (
            (_CGROUP / name).read_text(encoding="ascii").strip()
            for name in ("memory.max", "memory.current")
        )
    except OSError:
        return
    if limit.isdigit():
        yield int(limit), int(used)


def _version_of(bwrap: str) -> str | None:
    try:
        done = subprocess.run([bwrap, "--version"], capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip().removeprefix("bubblewrap ")


def _installed_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
