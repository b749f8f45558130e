"""What this machine has: processors, memory, disk, bubblewrap, optional packages.

Promises to read and never to change anything; what cannot be read is None.
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
from evolcoder.sandbox.bubblewrap import find_bwrap

EXTRAS = ("xllamacpp", "pyarrow", "datasets")
"""Packages that bring what the core can do without: local models, parquet, the Hub."""
MB = 1 << 20
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Disk:
    """Room in a folder."""

    use: str
    """What the folder is for."""
    folder: str
    """Its path; it may not exist yet."""
    free_mb: int
    """What an unprivileged user may still write."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is here."""

    evolcoder: str
    """Version of this package."""
    python: str
    """Version of the interpreter."""
    platform: str
    """The system, as it names itself."""
    cpus: int
    """Processors that this process may use."""
    memory_mb: int | None
    """All memory that it may use."""
    memory_free_mb: int | None
    """What of it is free."""
    disks: tuple[Disk, ...]
    """Room where things are written."""
    cache_trouble: str
    """Why the cache cannot be used; empty if it can."""
    bubblewrap: str | None
    """Path of bubblewrap."""
    bubblewrap_version: str | None
    """As it says itself."""
    extras: dict[str, str | None]
    """Optional packages with their versions; None for what is not installed."""


def look() -> Machine:
    """Look around."""
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
        extras={name: _installed(name) for name in EXTRAS},
    )


def _cache() -> tuple[Path | None, str]:
    """Return the cache folder, which need not exist, and what is wrong with it."""
    try:
        folder = cache_folder()
    except ConfigError as error:
        return None, str(error)
    existing = _existing(folder)
    can_write = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return folder, "" if can_write else f"the cache: {existing}: cannot be written; {CACHE_ADVICE}"


def _existing(folder: Path) -> Path:
    """Return a folder or the nearest above it that is there."""
    absolute = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() follows links
    return next(path for path in (absolute, *absolute.parents) if os.path.exists(path))  # noqa: PTH110 - never raises


def _disk(use: str, folder: Path) -> Disk:
    existing = _existing(folder)
    return Disk(use, str(folder), shutil.disk_usage(existing).free // MB)


def _memory() -> tuple[int | None, int | None]:
    """Return all and free memory in MB: the machine's, or less if a control group says so."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, None
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    whole, free = kb["MemTotal"] << 10, kb["MemAvailable"] << 10
    for most, used in _group():
        whole, free = min(whole, most), min(free, most - used)
    return whole // MB, free // MB


def _group() -> Iterator[tuple[int, int]]:
    """Yield the control group's limit and what is used of it, if there is a limit."""
    try:
        most, used = (
            (_CGROUP / name).read_text(encoding="ascii").strip()
            for name in ("memory.max", "memory.current")
        )
    except OSError:
        return
    if most.isdigit():
        yield int(most), int(used)


def _version_of(bwrap: str) -> str | None:
    try:
        said = subprocess.run([bwrap, "--version"], capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.decode("utf-8", "replace").strip().removeprefix("bubblewrap ")


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
