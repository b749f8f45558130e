"""Workers without a container, for machines where there are no namespaces.

Promises: each program is a fresh process that Landlock and a filter of system calls hold, without
powers, bound in memory, processes and time; it writes in its own folder alone, reads no home and no
run folder, has no sockets but pairs, and leaves nothing running and nothing behind. Where we are
root, it runs as a user whom nobody else is.
Does not promise what only namespaces can: a program sees which processes and files there are, and
where we are not root it runs as our user.
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
    BOUND_EARLY,
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
from evolcoder.sandbox.inside.private_paths import is_private

_START = """
import json, sys, types
for name, path in json.loads(sys.argv[2]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from evolcoder.sandbox.inside import fenced
fenced.main(json.loads(sys.argv[1]))
"""
_numbers = itertools.count()
_MANY = 1 << 26
_LOWEST, _SYSTEM_USERS = 20_000, 65_000
"""Between these no system that we know of has users of its own; nobody is above."""
_MORE_SETTINGS = ("/etc/ssl/openssl.cnf",)
"""What tools do without where it is not there, but not where it is and may not be read."""


@dataclass(frozen=True, slots=True)
class LandlockLauncher:
    """How to start workers on this machine."""

    folders: tuple[Path, ...]
    """Folders beside the system's that programs may read."""
    packages: tuple[Path, ...]
    """Folders of Python packages that programs may import."""
    known: int
    """The version of Landlock that is used."""
    users: range | None
    """Users whom nobody else is, for programs to run as; None where we are not root."""
    warm: tuple[str, ...] = ()
    """Modules beside WARM that a worker loads once, for all its programs."""
    farewell_s: float = 5.0
    """How long a worker may take to end its programs and tidy up once we hang up."""

    def command(self, control: int, number: int, group: Mapping[str, int]) -> list[str]:  # noqa: ARG002 - as a jail's
        """Return the command that starts a worker.

        It inherits its control socket and what there is of files of its control group.
        """
        prefix = Path(sys.base_prefix).resolve()
        extra = [str(path) for path in (prefix, *self.folders, *self.packages)]
        system = [f"/{name}" for name in SYSTEM]
        system += map(str, (*settings(), *_MORE_SETTINGS))
        config = {
            "control": control,
            "group": dict(group),
            "uid": self._user(),
            "within": self._place(),
            "landlock": self.known,
            "packages": [str(path) for path in self.packages],
            "folders": [str(path) for path in (prefix, *self.packages)],
            "readable": [*system, *extra, "/proc"],
            "devices": [f"/dev/{name}" for name in DEVICES],
            "warm": [*WARM, *self.warm],
        }
        package = Path(evolcoder.__file__).parent
        code = [("evolcoder", str(package)), ("evolcoder.sandbox", str(package / "sandbox"))]
        found = (*ENVIRONMENT.items(), BOUND_EARLY)
        variables = [f"{name}={value}" for name, value in found]
        python = [interpreter(), "-P", "-s", "-S", "-B", "-X", "utf8", "-c", _START]
        return ["/usr/bin/env", "-i", *variables, *python, json.dumps(config), json.dumps(code)]

    def _place(self) -> str:
        """Choose where rooms are made: a folder that the programs' user can come to."""
        place = tempfile.gettempdir()
        return place if self.users is None or not is_private(place) else "/tmp"  # noqa: S108

    def _user(self) -> int | None:
        """Choose a user whom no other worker on this machine is likely to have."""
        if self.users is None:
            return None
        return self.users[(os.getpid() << 10 | next(_numbers) & 1023) % len(self.users)]


NO_PROC = "there is no /proc here, which the sandbox needs; mount it"
Hold = BubblewrapLauncher | LandlockLauncher
"""How to start workers."""


def spare_users(uid_map: str) -> range | None:
    """Find users whom nobody is; a rootless container has only those below 65536, or one."""
    for line in uid_map.splitlines():
        first, _, count = map(int, line.split())
        if first <= FIRST_UID and first + count >= FIRST_UID + _MANY:
            return range(FIRST_UID, FIRST_UID + _MANY)
        if first < _LOWEST < first + count - 64:
            return range(_LOWEST, min(first + count, _SYSTEM_USERS))
    return None


def _uid_map() -> str:
    try:
        return Path("/proc/self/uid_map").read_text()
    except FileNotFoundError as error:
        raise SandboxRefusedError(NO_PROC) from error


def fences(
    folders: Sequence[Path], packages: Sequence[Path], warm: Sequence[str] = ()
) -> Iterator[LandlockLauncher]:
    """Return the way to hold programs without a container, if there is one here."""
    known = landlock.version()
    users = spare_users(_uid_map()) if os.geteuid() == 0 else None
    for folder in folders if users else ():
        if is_private(str(folder)):
            raise SandboxRefusedError(
                f"--sandbox processes: {folder} is under a folder that is private to root; install"
                " these tools where everybody may read them"
            )
    if known >= (1 if users else landlock.KNOWS_TRUNCATE):
        yield LandlockLauncher(tuple(folders), tuple(packages), known, users, tuple(warm))
