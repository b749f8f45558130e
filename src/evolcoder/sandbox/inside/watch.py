"""Looks at a running program from time to time, and ends it when it goes over a limit.

Promises: a program that uses no processor is ended long before its time by the clock is over, and
one that waits for a processor or a disk is not taken for such a one. Standard library only.
"""

import os
import random
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from evolcoder.sandbox.inside.isolate import CHANNELS
from evolcoder.sandbox.inside.metering import Meter
from evolcoder.sandbox.inside.protocol import IDLE, STOP

FIRST_LOOK_S, LOOK_S = 0.02, 0.03
"""When a running program is looked at: first, and about how long after each look."""
_FIRST_LOOK_MS = 1000 * FIRST_LOOK_S
_ANSWERS = 1 << 22
"""Bytes of answers that one look reads."""
_STOP_BYTES = 128
_LOOKS_REST = 4
"""How many times longer than a look the pause is that it adds."""
_BUSY, _AT_WORK = 0.05, 0.9
"""Part of the time for which a program uses a processor that is not idle for long, and of one that
is not idle at all."""
_pauses = random.Random()
"""Its state is nobody else's: programs find the one of the module `random` as it was."""


class Watch:
    """Looks at one running program after another."""

    def __init__(self, control: socket.socket, meter: Meter) -> None:
        self.job = dict[str, Any]()
        self.meter = meter
        self._control = control
        self._poller = select.poll()
        self._poller.register(control, select.POLLIN)
        self._stage_seen, self._idleness = dict[str, Any](), _Idleness()
        self._begun = self._cpu_s = self._call_cpu = 0.0
        self._calls = self._read = self._pid = 0

    def until_end(self, pid: int, job: dict[str, Any]) -> str:
        """Wait for the cell to end; return which limit it went over, or ''."""
        process = os.pidfd_open(pid)
        self._poller.register(process, select.POLLIN)
        try:
            events = self._poller.poll(_FIRST_LOOK_MS)
            if not events:
                self.job, self._pid, self._begun = job, pid, time.monotonic() - FIRST_LOOK_S
                self._calls, self._read, self._call_cpu = 0, 0, 0.0
                self._stage_seen = {}
            while not events:
                why, pause = self.look()
                if why:
                    os.kill(pid, signal.SIGKILL)
                    return why
                events = self._poller.poll(pause * 1000)
            if (process, select.POLLIN) in events:
                return ""
            if self._control.recv(_STOP_BYTES) != STOP:
                self.leave()
            os.kill(pid, signal.SIGKILL)
            return "stopped"
        finally:
            self._poller.unregister(process)
            os.close(process)

    def look(self) -> tuple[str, float]:
        """Say which limit is passed, or '', and how long to wait before looking again."""
        stage, begun, cpu_before = self._stage()
        now = time.monotonic()
        if stage is not self._stage_seen:
            self._stage_seen, self._idleness = stage, _Idleness(now - FIRST_LOOK_S)
        cell = 0 if self.job["mode"] == "calls" else self._pid
        self._cpu_s, why = self.meter.look(stage, now - self._idleness.at, cell)
        self._idleness.add(now, self._cpu_s, self.meter.idleness)
        if why:
            return why, 0.0
        if self._cpu_s - cpu_before >= stage["cpu_s"] or self._call_is_late():
            return "timeout", 0.0
        left = begun + stage["wall_s"] - now
        if self._idleness.is_over(stage, ran_s=now - begun if left <= 0 else 0.0):
            return IDLE, 0.0
        if left <= 0:
            return "timeout", 0.0
        written = max(os.fstat(fd).st_size for fd in (CHANNELS.stdout, CHANNELS.stderr))
        if written > self.job["output"]:
            return "output", 0.0
        # At times that no program can foresee, or it could rest whenever it is looked at.
        pause = LOOK_S * (0.5 + _pauses.random())
        # A look at many processes takes long, and is not to take most of a processor.
        took = time.monotonic() - now
        self._idleness.at_most_s = 2 * LOOK_S + (1 + _LOOKS_REST) * took
        return "", min(pause + _LOOKS_REST * took, left)

    def leave(self) -> NoReturn:
        """End, because the parent has; the kernel ends the cell."""
        os._exit(0)

    def _call_is_late(self) -> bool:
        """Whether the call that was seen to run at the last look has had its processor time.

        The candidate could write answers that are none, and is then ended for these.
        """
        limits = self.job["run"].get("call_s")
        if not limits:
            return False
        new = os.pread(CHANNELS.answers, _ANSWERS, self._read)
        if new:
            self._read += len(new)
            self._calls += new.count(b"\n")
            self._call_cpu = self._cpu_s
        allowed: float = limits[min(self._calls, len(limits) - 1)]
        return self._cpu_s - self._call_cpu >= allowed

    def _stage(self) -> tuple[dict[str, Any], float, float]:
        """Return the limits of the stage that runs, and time and processor time at its start."""
        for line in os.pread(CHANNELS.report, 4096, 0).split(b"\n"):
            if line.startswith(b"compiled "):
                begun, cpu_before = map(float, line.split()[1:3])
                return self.job["run"], begun, cpu_before
        return self.job["compile"], self._begun, 0.0


class _Idleness:
    """Adds up for how long a program could have used a processor and did not want to."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at
        """When it was last looked at."""
        self.at_most_s = 2 * LOOK_S
        """How long after that the next look may be, if the machine is not too busy for looks."""
        self._cpu_s = self._in_all_s = self._lately_s = 0.0

    def add(self, now: float, cpu_s: float, idleness: Callable[[], float]) -> None:
        """Add the time since the last look, of which no more counts than there is by rights.

        A machine that stood still, or was too busy for looks, says nothing of the program.
        """
        gone_by, used = min(now - self.at, self.at_most_s), cpu_s - self._cpu_s
        if used < _AT_WORK * gone_by:
            idle_s = idleness() * (gone_by - used)
            self._in_all_s += idle_s
            self._lately_s += idle_s
        self._lately_s = max(0.0, self._lately_s - used / _BUSY)
        self.at, self._cpu_s = now, cpu_s

    def is_over(self, stage: dict[str, Any], *, ran_s: float) -> bool:
        """Whether it has been idle for too long; or for most of its time, where that is over."""
        return (
            self._lately_s >= stage["idle_s"]
            or self._in_all_s >= stage["idle_in_all_s"]
            or (ran_s > 0 and 2 * self._in_all_s >= ran_s)
        )
