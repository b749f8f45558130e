"""Runs a command of ours in this process and sends it signals at its nth call of a function.

Promises: the instant is one of the command's own, wherever the machine is slow, and falls into
whatever runs then in the main thread: imports, destructors, event loop, hooks at exit. The number
of calls is written to a file when the command has ended by itself.

    python interrupting.py CALLS_FILE SIGINT@1200,SIGTERM@1300 VERB ARGUMENT...
"""

import os
import signal
import sys
from pathlib import Path


def main():
    calls_file, told, *command = sys.argv[1:]
    plan = [
        (int(n), signal.Signals[name])
        for name, _, n in (one.partition("@") for one in told.split(",") if one)
    ]
    n_calls = 0

    def count(frame, event, argument):
        nonlocal n_calls
        if event not in {"call", "c_call"}:
            return
        n_calls += 1
        while plan and n_calls >= plan[0][0]:
            os.kill(os.getpid(), plan.pop(0)[1])

    from evolcoder.cli.main import main as ours

    sys.argv = ["evolcoder", *command]
    sys.setprofile(count)
    code = ours()
    sys.setprofile(None)
    Path(calls_file).write_text(str(n_calls))
    sys.setprofile(count)
    sys.exit(code)


if __name__ == "__main__":
    main()
