"""A container around a whole tool that runs candidates without isolating them.

No network, system and data read-only, a temporary /tmp in memory, an unused uid, no way to gain
privileges, limits on processes and memory. It is made once for a whole pass, so it costs nothing
per program: `grading.py` measures that with programs of our own. It does not separate candidates
from each other's files or verdicts; that is the tool's task.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from evolcoder.sandbox.launchers import FIRST_UID, BubblewrapLauncher, find_bwrap

HERE = Path(__file__).parent
UID = FIRST_UID + 999


def held(command: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Return the command that runs another one in a container, where it may read some folders."""
    bwrap = find_bwrap()
    if bwrap is None:
        sys.exit("there is no bubblewrap, and tools that isolate nothing are not run without it")
    from_root = os.geteuid() == 0
    jail = BubblewrapLauncher(bwrap, (HERE, *folders), (), from_root=from_root)
    # First, since checkouts and data may lie under /tmp themselves.
    room = ["--perms", "1777", "--tmpfs", "/tmp"]
    python = os.path.realpath(sys.executable)
    step_down = [python, str(HERE / "step_down.py"), str(UID if from_root else -1)]
    return [bwrap, *room, *jail.container_options(), *step_down, *command]
