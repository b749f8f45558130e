"""One worker: a container and the protocol with the process in it that forks programs.

Guarantees: a job's descriptors are passed on unread and its end is reported once. Any failure in
between is a `SandboxError`; the worker is not used again.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evolcoder.errors import SandboxError
from evolcoder.sandbox.cgroup import Cgroup, CgroupFactory, n_oom_kills_in
from evolcoder.sandbox.inside.protocol import KILLED, STOP, End
from evolcoder.sandbox.job import EarlyStop, Job
from evolcoder.sandbox.launchers import Launcher

START_S = 120.0
"""Longest wait for a container to start, including the modules that it loads."""
GRACE_S = 30.0
"""How much longer than its limits a job may take before its worker is abandoned."""
EXIT_WAIT_S = 1.0
"""Longest wait for a disconnected worker to exit; its exit code shows whether it was killed."""
WORKER_PROCESSES = 16
"""Processes of the worker itself."""
_KILL_CODES = (-signal.SIGKILL, 256 - signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a killed process, or of one that reports that its child was killed."""
_MESSAGE_BYTES = 1 << 12
"""Longest message from a worker."""


class WorkerDiedError(SandboxError):
    """A worker ended while a job ran."""

    def __init__(self, message: str, end: End) -> None:
        super().__init__(message)
        self.end = end
        """What is known about the program."""


class WorkerKilledError(WorkerDiedError):
    """A worker or its program was killed from outside, not for exceeding a limit."""


class Worker:
    """A running container."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        log: int,
        *,
        group: Cgroup | None,
        shutdown_s: float,
    ) -> None:
        self._process = process
        self._control = control
        self._log = log
        self._group = group
        self._shutdown_s = shutdown_s
        self._reader = _SocketReader(control)
        self._n_oom_kills = 0 if group else _n_oom_kills()

    @classmethod
    async def start(
        cls, launcher: Launcher, number: int, groups: CgroupFactory | None = None
    ) -> "Worker":
        """Start a container, in a control group if possible, and wait until it is ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)  # noqa: FBT003 - its only form
        log = os.memfd_create("worker-log")
        group = groups.make() if groups else None
        with theirs, _inherited_files(group) as files:
            command = launcher.command(theirs.fileno(), number, files)
            process = subprocess.Popen(  # noqa: ASYNC220 - returns once the program is loaded
                group.enter(command) if group else command,
                pass_fds=(theirs.fileno(), *files.values()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        worker = cls(process, ours, log, group=group, shutdown_s=launcher.shutdown_s)
        try:
            await worker._wait_ready(START_S)
            if group and not group.contains(process.pid):
                raise SandboxError("a worker did not enter its control group")
        except BaseException:
            worker.kill()
            raise
        return worker

    async def serve(self, job: Job, fds: Sequence[int], early_stop: EarlyStop | None = None) -> End:
        """Run one job to its end, or until `early_stop` ends it."""
        begun = time.monotonic()
        if self._group:
            self._group.raise_limits(0, job.processes + WORKER_PROCESSES)
        try:
            socket.send_fds(self._control, [job.message], list(fds))
        except OSError as error:
            raise SandboxError(f"cannot send a job to a worker: {error.strerror}") from error
        with early_stop.until_end(self._stop) if early_stop else contextlib.nullcontext():
            message = await self._reader.next(job.longest_s + GRACE_S)
        if not message:
            raise self._death_error(begun)
        end = End.from_bytes(message)
        if not end.why and end.code in _KILL_CODES and self._was_oom_killed():
            return end._replace(why=KILLED)
        return end

    def kill(self) -> None:
        """End the container and all its processes.

        A bubblewrap that is still building its container is two processes that do not yet die
        together, so the whole process group is killed.
        """
        self._reader.close()
        self._control.close()
        try:
            self._process.wait(self._shutdown_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._group:
            self._group.remove()
        os.close(self._log)

    def _stop(self) -> None:
        """Ask the worker to end the current job; no effect if it has ended by itself."""
        with contextlib.suppress(OSError):
            self._control.send(STOP)

    def _was_oom_killed(self) -> bool:
        """Whether the kernel has killed processes for lack of memory since the last call.

        With a control group the worker itself reports this: it knows whose limit was reached.
        """
        before, self._n_oom_kills = self._n_oom_kills, _n_oom_kills()
        return self._group is None and self._n_oom_kills > before

    async def _wait_ready(self, wait_s: float) -> bytes:
        message = await self._reader.next(wait_s)
        if not message:
            raise SandboxError(f"a worker ended: {self._log_tail()}")
        return message

    def _death_error(self, begun: float) -> WorkerDiedError:
        """Build the error for a worker that ended during a job: killed, or exited by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_WAIT_S)
        ended = self._group.n_oom_kills() if self._group else 0
        peak = self._group.peak_bytes() if self._group else 0
        end = End(KILLED, -signal.SIGKILL, begun, time.monotonic(), 0.0, peak)
        if not ended and self._process.returncode not in _KILL_CODES:
            return WorkerDiedError(f"a worker ended: {self._log_tail()}", end._replace(why=""))
        why = "ran out of memory" if ended else "was killed"
        return WorkerKilledError(f"a worker {why} with its program", end)

    def _log_tail(self) -> str:
        text = os.pread(self._log, 1 << 16, 0).decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "no message"


def _n_oom_kills() -> int:
    """Count the processes that the kernel has killed for lack of memory on this machine."""
    with contextlib.suppress(OSError):
        return n_oom_kills_in(Path("/proc/vmstat").read_bytes())
    return 0


@contextlib.contextmanager
def _inherited_files(group: Cgroup | None) -> Iterator[Mapping[str, int]]:
    """Open the control group's files that a worker inherits."""
    files = group.open_files() if group else {}
    try:
        yield files
    finally:
        for fd in files.values():
            os.close(fd)


class _SocketReader:
    """Reads one worker's messages on the running event loop for the worker's lifetime.

    Registering a reader for every message would cost a fifth of this process's time per program.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._messages: list[bytes] = []
        self._awaited: asyncio.Future[None] | None = None
        self._loop.add_reader(control, self._read)

    async def next(self, wait_s: float) -> bytes:
        """Wait for the next message; it is empty if the worker has disconnected."""
        if not self._messages:
            self._awaited = self._loop.create_future()
            timer = self._loop.call_later(wait_s, self._wake)
            try:
                await self._awaited
            finally:
                timer.cancel()
                self._awaited = None
        if not self._messages:
            raise SandboxError(f"no message from a worker for {wait_s:.0f} s")
        return self._messages.pop(0)

    def close(self) -> None:
        """Stop reading."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._control)

    def _read(self) -> None:
        try:
            message = self._control.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self.close()
        self._messages.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
