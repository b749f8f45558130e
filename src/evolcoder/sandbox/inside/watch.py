"""Samples a running program and ends it when it exceeds a limit.

A program that uses no CPU is ended long before its wall-clock limit; waiting for a CPU or a disk
does not count as idle. Standard library only.
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

FIRST_SAMPLE_S, SAMPLE_S = 0.02, 0.03
"""Time of the first sample, and the mean interval of further ones."""
_FIRST_SAMPLE_MS = 1000 * FIRST_SAMPLE_S
_ANSWERS = 1 << 22
"""Bytes of answers read per sample."""
_STOP_BYTES = 128
_PAUSE_RATIO = 4
"""Minimum ratio of the pause after a sample to the sample's duration."""
_BUSY, _AT_WORK = 0.05, 0.9
"""CPU shares: of a program that recovers from idleness, and of one that is not idle at all."""
_pauses = random.Random()
"""Separate from the module `random`, whose state programs must find unchanged."""


class Watchdog:
    """Watches one running program after another."""

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
        """Wait for the isolated process to end; return the limit that it exceeded, or ''."""
        process = os.pidfd_open(pid)
        self._poller.register(process, select.POLLIN)
        try:
            events = self._poller.poll(_FIRST_SAMPLE_MS)
            if not events:
                self.job, self._pid, self._begun = job, pid, time.monotonic() - FIRST_SAMPLE_S
                self._calls, self._read, self._call_cpu = 0, 0, 0.0
                self._stage_seen = {}
            while not events:
                why, pause = self.sample()
                if why:
                    os.kill(pid, signal.SIGKILL)
                    return why
                events = self._poller.poll(pause * 1000)
            if (process, select.POLLIN) in events:
                return ""
            if self._control.recv(_STOP_BYTES) != STOP:
                self.exit()
            os.kill(pid, signal.SIGKILL)
            return "stopped"
        finally:
            self._poller.unregister(process)
            os.close(process)

    def sample(self) -> tuple[str, float]:
        """Return the exceeded limit, or '', and the pause before the next sample."""
        stage, begun, cpu_before = self._stage()
        now = time.monotonic()
        if stage is not self._stage_seen:
            self._stage_seen, self._idleness = stage, _Idleness(now - FIRST_SAMPLE_S)
        isolated_pid = 0 if self.job["mode"] == "calls" else self._pid
        self._cpu_s, why = self.meter.sample(stage, now - self._idleness.at, isolated_pid)
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
        # Unpredictable, so that no program can rest whenever it is sampled.
        pause = SAMPLE_S * (0.5 + _pauses.random())
        # Sampling many processes takes long and must not use most of a CPU.
        took = time.monotonic() - now
        self._idleness.at_most_s = 2 * SAMPLE_S + (1 + _PAUSE_RATIO) * took
        return "", min(pause + _PAUSE_RATIO * took, left)

    def exit(self) -> NoReturn:
        """Exit because the parent has ended; the kernel ends the isolated process."""
        os._exit(0)

    def _call_is_late(self) -> bool:
        """Whether the current call has used up its CPU time, counted from the last sample.

        Fake answers cannot gain time: `should_continue` ends a candidate that writes them.
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
        """Return the limits of the current stage, and wall and CPU time at its start."""
        for line in os.pread(CHANNELS.report, 4096, 0).split(b"\n"):
            if line.startswith(b"compiled "):
                begun, cpu_before = map(float, line.split()[1:3])
                return self.job["run"], begun, cpu_before
        return self.job["compile"], self._begun, 0.0


class _Idleness:
    """Sums the time for which a program could have used a CPU and did not."""

    def __init__(self, at: float = 0.0) -> None:
        self.at = at
        """Time of the last sample."""
        self.at_most_s = 2 * SAMPLE_S
        """Longest interval to the next sample, unless the machine is too busy for sampling."""
        self._cpu_s = self._in_all_s = self._lately_s = 0.0

    def add(self, now: float, cpu_s: float, idleness: Callable[[], float]) -> None:
        """Add the time since the last sample, up to the expected interval.

        A longer interval means that the machine was suspended or too busy, not that the program
        was idle.
        """
        gone_by, used = min(now - self.at, self.at_most_s), cpu_s - self._cpu_s
        if used < _AT_WORK * gone_by:
            idle_s = idleness() * (gone_by - used)
            self._in_all_s += idle_s
            self._lately_s += idle_s
        self._lately_s = max(0.0, self._lately_s - used / _BUSY)
        self.at, self._cpu_s = now, cpu_s

    def is_over(self, stage: dict[str, Any], *, ran_s: float) -> bool:
        """Whether it was idle for too long, or for most of its time once that is over."""
        return (
            self._lately_s >= stage["idle_s"]
            or self._in_all_s >= stage["idle_in_all_s"]
            or (ran_s > 0 and 2 * self._in_all_s >= ran_s)
        )
