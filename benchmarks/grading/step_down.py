"""The first process in the container of a tool: drops privileges, then runs the tool.

    python step_down.py UID COMMAND...

UID is -1 if the container was not made by root. Needs only the standard library and the contents of
the container of `held.py`.
"""

import os
import resource
import sys

sys.path.insert(0, "/evolcoder")

from evolcoder.sandbox.inside import libc

GB = 1 << 30
LIMITS = (
    (resource.RLIMIT_NPROC, 512),
    (resource.RLIMIT_DATA, 8 * GB),
    (resource.RLIMIT_FSIZE, GB),
    (resource.RLIMIT_CORE, 0),
)


def main() -> None:
    uid, command = int(sys.argv[1]), sys.argv[2:]
    if uid >= 0:
        libc.mount_proc()
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    libc.no_new_privileges()
    for what, most in LIMITS:
        resource.setrlimit(what, (most, most))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
