"""One container and the conversation with the process in it that forks programs.

Promises: a job's descriptors are handed over unread and its end is reported once; whatever goes
wrong in between is a `SandboxError`, and the worker is then not used again.
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
from evolcoder.sandbox.cgroup import Cgroup, CgroupFactory, ended_in
from evolcoder.sandbox.early_stop import EarlyStop
from evolcoder.sandbox.inside.protocol import KILLED, STOP, End
from evolcoder.sandbox.job import Job
from evolcoder.sandbox.landlock_launcher import Hold

START_S = 120.0
"""Longest wait for a container to come up, with all that it loads."""
GRACE_S = 30.0
"""How much longer than its limits a job may take before its worker is given up."""
LAST_S = 1.0
"""Longest wait for a worker that has hung up to end, and to say by that whether it was killed."""
SPARE = 16
"""Processes of a worker itself."""
_KILL_CODES = (-signal.SIGKILL, 256 - signal.SIGKILL, 128 + signal.SIGKILL)
"""Exit codes of a process that was killed, or of one that passes on that its child was."""
_LONGEST = 1 << 12
"""Longest message of a worker."""


class WorkerDiedError(SandboxError):
    """A worker ended while a job ran."""

    def __init__(self, message: str, end: End) -> None:
        super().__init__(message)
        self.end = end
        """What can be said of the program all the same."""


class WorkerKilledError(WorkerDiedError):
    """The kernel or somebody else killed a worker or its program, for what no limit says."""


class Worker:
    """A running container."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        control: socket.socket,
        log: int,
        *,
        group: Cgroup | None,
        farewell_s: float,
    ) -> None:
        self._process = process
        self._control = control
        self._log = log
        self._group = group
        self._farewell_s = farewell_s
        self._heard = _SocketReader(control)
        self._n_ended = 0 if group else _n_ended()

    @classmethod
    async def start(cls, hold: Hold, number: int, groups: CgroupFactory | None = None) -> "Worker":
        """Start a container, in a control group if it can be, and wait until it is ready."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)  # noqa: FBT003 - its only form
        log = os.memfd_create("worker-log")
        group = groups.make() if groups else None
        with theirs, _opened(group) as files:
            command = hold.command(theirs.fileno(), number, files)
            process = subprocess.Popen(  # noqa: ASYNC220 - returns once the program is loaded
                group.enter(command) if group else command,
                pass_fds=(theirs.fileno(), *files.values()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        worker = cls(process, ours, log, group=group, farewell_s=hold.farewell_s)
        try:
            await worker._hear(START_S)
            if group and not group.holds(process.pid):
                raise SandboxError("a worker is not in its control group")
        except BaseException:
            worker.kill()
            raise
        return worker

    async def serve(self, job: Job, fds: Sequence[int], lookout: EarlyStop | None = None) -> End:
        """Have one job run to its end, or until a lookout ends it; return what becomes of it."""
        begun = time.monotonic()
        if self._group:
            self._group.allow(0, job.processes + SPARE)
        try:
            socket.send_fds(self._control, [job.message], list(fds))
        except OSError as error:
            raise SandboxError(f"a worker took no job: {error.strerror}") from error
        with lookout.until_end(self._stop) if lookout else contextlib.nullcontext():
            message = await self._heard.next(job.longest_s + GRACE_S)
        if not message:
            raise self._ended(begun)
        end = End.read(message)
        if not end.why and end.code in _KILL_CODES and self._is_short():
            return end._replace(why=KILLED)
        return end

    def kill(self) -> None:
        """End the container and everything in it.

        A bubblewrap that still builds its container is two processes that do not yet die together.
        """
        self._heard.close()
        self._control.close()
        try:
            self._process.wait(self._farewell_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._group:
            self._group.remove()
        os.close(self._log)

    def _stop(self) -> None:
        """Ask for the end of the job that runs; one that has ended by itself is left alone."""
        with contextlib.suppress(OSError):
            self._control.send(STOP)

    def _is_short(self) -> bool:
        """Whether the machine has ended processes for want of memory since this was last asked.

        In a control group this is for the worker to say: it knows whose limit was reached.
        """
        before, self._n_ended = self._n_ended, _n_ended()
        return self._group is None and self._n_ended > before

    async def _hear(self, wait_s: float) -> bytes:
        message = await self._heard.next(wait_s)
        if not message:
            raise SandboxError(f"a worker ended: {self._last_words()}")
        return message

    def _ended(self, begun: float) -> WorkerDiedError:
        """Say of a worker that ended in the middle of a job whether it was killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_S)
        ended = self._group.n_ended() if self._group else 0
        peak = self._group.most() if self._group else 0
        end = End(KILLED, -signal.SIGKILL, begun, time.monotonic(), 0.0, peak)
        if not ended and self._process.returncode not in _KILL_CODES:
            return WorkerDiedError(f"a worker ended: {self._last_words()}", end._replace(why=""))
        why = "ran out of memory" if ended else "was killed"
        return WorkerKilledError(f"a worker {why} with its program", end)

    def _last_words(self) -> str:
        text = os.pread(self._log, 1 << 16, 0).decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "it left no message"


def _n_ended() -> int:
    """Count the processes that the kernel has ended for want of memory on this machine."""
    with contextlib.suppress(OSError):
        return ended_in(Path("/proc/vmstat").read_bytes())
    return 0


@contextlib.contextmanager
def _opened(group: Cgroup | None) -> Iterator[Mapping[str, int]]:
    """Open what a worker inherits of its control group."""
    files = group.open_files() if group else {}
    try:
        yield files
    finally:
        for fd in files.values():
            os.close(fd)


class _SocketReader:
    """Listens to one worker for as long as it lives, on the loop that is running.

    To listen anew for every message would cost a fifth of what this process does for a program.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._messages: list[bytes] = []
        self._awaited: asyncio.Future[None] | None = None
        self._loop.add_reader(control, self._read)

    async def next(self, wait_s: float) -> bytes:
        """Wait for the next message; it is empty where the worker has hung up."""
        if not self._messages:
            self._awaited = self._loop.create_future()
            timer = self._loop.call_later(wait_s, self._wake)
            try:
                await self._awaited
            finally:
                timer.cancel()
                self._awaited = None
        if not self._messages:
            raise SandboxError(f"a worker said nothing for {wait_s:.0f} s")
        return self._messages.pop(0)

    def close(self) -> None:
        """Stop listening."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._control)

    def _read(self) -> None:
        try:
            message = self._control.recv(_LONGEST)
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
