"""Waits with a training's packages imported, so that the training begins when its rows exist.

Importing PyTorch, transformers and TRL takes seconds, more on a machine that does other work.
`Standby` starts a process that imports them and then waits for a command line. Guarantees: what it
runs is that command, with the output appended to the given log. A process that was never used, or
whose owner has died, ends; where none waits, `take` returns None, and the caller starts the command
itself.

>>> standby = Standby()   # doctest: +SKIP
>>> standby.start()   # doctest: +SKIP
>>> standby.take([sys.executable, "-m", "evolcoder.cli.main", "doctor"], log)   # doctest: +SKIP
"""

import importlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from evolcoder.serving.process import with_subreaper

MODULES = ("torch", "transformers", "datasets", "accelerate", "trl", "evolcoder.training.sft")
"""Modules that every training imports."""
LAZY = {
    "transformers": ("AutoModelForCausalLM", "AutoTokenizer", "GradientCheckpointingLayer"),
    "trl": ("SFTConfig", "SFTTrainer"),
}
"""Names that these modules import only when they are first used."""
OPTIONAL = ("liger_kernel.transformers",)
"""Modules that a training imports where they are installed."""


class Standby:
    """At most one waiting process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a process that imports and waits; nothing if one waits already."""
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._process = subprocess.Popen(
            with_subreaper([sys.executable, "-m", "evolcoder.app.standby"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def take(self, command: Sequence[str], log: Path) -> "subprocess.Popen[bytes] | None":
        """Have the waiting process run a command; None if none waits, or it cannot run this one.

        It can run those that begin with `python -m MODULE`. The log must exist.
        """
        if tuple(command[:2]) != (sys.executable, "-m") or self._process is None:
            return None
        process, self._process = self._process, None
        order = {"module": command[2], "arguments": command[3:], "log": str(log.resolve())}
        assert process.stdin is not None
        try:
            with process.stdin as pipe:
                pipe.write(json.dumps(order).encode() + b"\n")
        except OSError:
            _end(process)
            return None
        if process.poll() is None:
            return process
        return None

    def close(self) -> None:
        """End the waiting process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait()
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def _import_packages() -> None:
    """Import what a training imports; one that fails is reported by the training itself."""
    for name in (*MODULES, *OPTIONAL):
        with suppress(Exception):
            module = importlib.import_module(name)
            for attribute in LAZY.get(name, ()):
                getattr(module, attribute)


def main() -> int:
    """Import, wait for a command line on standard input, and run it; without one, exit."""
    _import_packages()
    line = sys.stdin.buffer.readline()
    if not line:
        return 0
    order = json.loads(line)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    sys.argv = ["evolcoder", *order["arguments"]]
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
