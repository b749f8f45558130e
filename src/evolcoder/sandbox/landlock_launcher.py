"""Workers without a container, for machines without namespaces.

Guarantees: each program is a new process restricted by Landlock and a system call filter, without
capabilities, limited in memory, processes and time. It writes only in its own folder, reads no home
and no run folder, has no sockets except socket pairs, and leaves no processes or files. As root,
programs run under a UID that nobody else uses.
Not guaranteed, since it takes namespaces: a program sees which processes and files exist, and
without root it runs as our user.
"""

import itertools
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import evolcoder
from evolcoder.errors import SandboxRefusedError
from evolcoder.sandbox.bubblewrap import (
    BIND_NOW,
    DEVICES,
    ENVIRONMENT,
    FIRST_UID,
    SYSTEM,
    WARM,
    BubblewrapLauncher,
    interpreter,
    settings,
)
from evolcoder.sandbox.inside import landlock
from evolcoder.sandbox.inside.landlock import is_private

_START = """
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
        python = [interpreter(), "-P", "-s", "-S", "-B", "-X", "utf8", "-c", _START]
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
