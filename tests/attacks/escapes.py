"""Reads the rows of escapes.txt, and runs them in a loose container to show that they are real.

The loose container is thrown away after each: its root is read-only, its /tmp and /var/tmp are its
own; but it has no limits, no filter, the user's rights and the caller's environment.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from evolcoder.sandbox.base import Layer
from evolcoder.sandbox.launchers import find_bwrap

LOOSE_S = 3.0
"""How long a program runs before it counts as one that runs on."""
UNHELD = {"processes": {
    "the user's home": Layer.MOUNT,
    "which processes there are": Layer.PID,
    "which commands run": Layer.PID,
}}  # fmt: skip
"""What weaker levels cannot hold, by level and row, with the layer that would."""
UNHELD_AS_OUR_USER = {
    "our descriptors": Layer.PID,  # their numbers; what they stand for is refused
}
"""What the level `processes` cannot hold besides where programs run as our own user."""
_TWICE = """
import subprocess, sys
for n in (1, 2):
    subprocess.run([sys.executable, "-c", {!r}])
"""
_AND_WAIT = """
import subprocess, sys, time
subprocess.run([sys.executable, "-c", {!r}])
time.sleep(2)
"""


@dataclass(frozen=True)
class Escape:
    name: str
    needs: frozenset
    source: str

    def __str__(self):
        return self.name


def rows():
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    for row in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, _, source = row.partition("\n")
        name, needs = re.fullmatch(r"(.*) \[(.*)\]", head).groups()
        yield Escape(name, frozenset(needs.split()), source)


def given(**names):
    """The globals that a program finds, as source."""
    return "".join(f"{name.upper()} = {value!r}\n" for name, value in names.items())


def succeeds_loosely(escape, head, folder):
    """Whether the program gets what it wants where nothing but a throw-away container holds it."""
    walls = ["--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/dev/shm", "--proc", "/proc"]
    walls += ["--tmpfs", "/tmp", "--tmpfs", "/var/tmp", "--bind", str(folder), str(folder)]
    walls += ["--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    walls += [] if "pids" in escape.needs else ["--unshare-pid"]
    walls += [] if os.geteuid() == 0 else ["--unshare-user"]
    walls += [] if "net" in escape.needs else ["--unshare-net"]
    walls += ["--setenv", "HOME", "/tmp", "--chdir", "/tmp"]
    source = head + escape.source
    for need, around in (("twice", _TWICE), ("stays", _AND_WAIT)):
        source = around.format(source) if need in escape.needs else source
    python = os.path.realpath(sys.executable)
    try:
        done = subprocess.run(
            [find_bwrap(), *walls, python, "-S", "-c", source],
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=LOOSE_S if "long" in escape.needs else 30,
        )
    except subprocess.TimeoutExpired:
        return "long" in escape.needs, b"", b"ran on"
    return b"GOT" in done.stdout + done.stderr, done.stdout[-300:], done.stderr[-300:]
