"""The process that forks programs where there are no namespaces.

Guarantees: it never contains a program, a test or an answer. A program is a new process without
capabilities, with its own folder, restricted by Landlock and a system call filter; it and all that
it started, daemons included, are gone before the next begins. Its folder is empty and its own,
whatever modes, depth or names the previous program left. The zygote ends with its parent and
cleans up; folders of killed workers are removed when the next worker starts. Not guaranteed: what
takes namespaces (see `Layer`). Standard library only.

It uses the same protocol as `zygote`.
"""

import contextlib
import errno
import functools
import gc
import importlib
import itertools
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from evolcoder.sandbox.inside import (
    isolate,
    landlock,
    libc,
    metering,
    process_tree,
    seccomp,
    tasks,
)
from evolcoder.sandbox.inside.metering import Watchdog
from evolcoder.sandbox.inside.protocol import End, ReceivedJob, WorkerConnection, unpack_message
from evolcoder.sandbox.inside.seccomp import SharedHost

_PREFIX = "evolcoder-room-"
_BLOCK = 512


class ScratchDir:
    """A folder of which programs own a part: a home and, within it, a work folder."""

    def __init__(self, top: str) -> None:
        self._top = top
        self._heap = f"{top}/heap"
        self._uid = os.getuid()
        self.parent = os.path.dirname(top)
        self.own = f"{top}/own"
        self.work = f"{top}/own/work"

    @classmethod
    def make(cls, parent: str, uid: int | None) -> "ScratchDir":
        """Make a folder for programs of user `uid`, None for ours; remove those of dead workers."""
        _remove_stale(parent)
        scratch = cls(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
        os.chmod(scratch._top, 0o711)  # noqa: S103 - other users must be able to traverse it
        os.mkdir(scratch.own, 0o700)
        os.mkdir(scratch._heap, 0o700)
        if uid is not None:
            scratch._uid = uid
            os.chown(scratch.own, uid, -1)
        return scratch

    def make_work_dir(self) -> None:
        """Make the next program's work folder."""
        os.mkdir(self.work, 0o700)
        os.chown(self.work, self._uid, -1)

    def usage(self, most: int) -> tuple[int, int]:
        """Return its bytes and entries; counting stops above `most` entries."""
        size = count = 0
        for entry in itertools.islice(_entries(self.own), most + 1):
            count += 1
            with contextlib.suppress(OSError):
                size += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
        return size, count

    def free_bytes(self) -> int:
        """Return the free bytes of its file system."""
        found = os.statvfs(self.own)
        return found.f_bavail * found.f_frsize

    def empty(self) -> None:
        """Empty it. Folders are first moved to one level, since paths may exceed the maximum."""
        numbers = itertools.count()
        os.chmod(self.own, 0o700)
        waiting = [self.own]
        for place in waiting:
            for name in os.listdir(place):
                path = f"{place}/{name}"
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    os.unlink(path)
                    continue
                flat = f"{self._heap}/{next(numbers)}"
                os.chmod(path, 0o700)
                os.rename(path, flat)
                waiting.append(flat)
        for place in waiting[1:]:
            os.rmdir(place)

    def remove(self) -> None:
        """Remove it with all its content."""
        with contextlib.suppress(FileNotFoundError):
            self.empty()
        shutil.rmtree(self._top, ignore_errors=True)


def _entries(top: str) -> Iterator[os.DirEntry[str]]:
    waiting = [top]
    for place in waiting:
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _remove_stale(parent: str) -> None:
    """Remove folders of this user whose worker has ended."""
    for entry in os.scandir(parent):
        owner = entry.name.removeprefix(_PREFIX).partition("-")[0]
        if not entry.name.startswith(_PREFIX) or os.path.exists(f"/proc/{owner}"):
            continue
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False) and entry.stat().st_uid == os.getuid():
                ScratchDir(entry.path).remove()


_RECOUNT_S = 1.0
"""Maximum age of a count of the user's other processes."""


def main(config: dict[str, Any]) -> NoReturn:
    """Set up, announce readiness, and serve jobs until the parent disconnects."""
    connection = WorkerConnection(config["control"], config["group"])
    libc.become_subreaper()
    libc.set_dumpable(0)
    libc.no_new_privileges()
    sys.path[:] = [*config["packages"], *(path for path in sys.path if path != "")]
    if config["uid"] is not None:
        landlock.keep_open(config["folders"])
    runner = _LandlockJobRunner(config, connection)
    runner.load(config["warm"])
    random.seed(0)
    gc.collect()
    gc.freeze()
    with contextlib.suppress(ConnectionError), connection.accepting_jobs():
        while job := connection.next_job():
            connection.send_end(runner.serve(job))
    runner.exit()


class _LandlockJobRunner:
    """Runs this worker's jobs, each restricted by Landlock."""

    def __init__(self, config: dict[str, Any], connection: WorkerConnection) -> None:
        self.proc = os.open("/proc", os.O_RDONLY)
        found = functools.partial(process_tree.descendants, self.proc)
        self._meter = metering.meter(connection.group, found, self.proc)
        self._watchdog = _LandlockWatchdog(connection, self._meter, self)
        self.uid: int | None = config["uid"]
        self.scratch = ScratchDir.make(config["within"], self.uid)
        os.environ.update(HOME=self.scratch.own, TMPDIR=self.scratch.own)
        abi = config["landlock"]
        granted = [(path, landlock.READ) for path in config["readable"]]
        granted += [(path, landlock.USE) for path in config["devices"]]
        self.rules = landlock.ruleset([*granted, (self.scratch.own, landlock.OWN)], abi)
        shared_host = SharedHost(
            own_user=self.uid is not None, own_signals=abi >= landlock.KNOWS_SIGNALS
        )
        filter_code = seccomp.assemble(shared_host=shared_host, counted=bool(connection.group))
        self.drop_privileges = isolate.drop_privileges(filter_code)
        self._others, self._counted = 0, float("-inf")
        self._decoded_for, self._job_limits = (b"", 0), dict[str, Any]()

    def load(self, names: list[str]) -> None:
        """Import commonly used modules; some need a writable folder meanwhile."""
        self.scratch.make_work_dir()
        os.chdir(self.scratch.work)
        for name in names:
            importlib.import_module(name)
        os.chdir("/")
        self.scratch.empty()

    def serve(self, received: ReceivedJob) -> End:
        """Run one job to its end and return how it ended."""
        job = self._prepare_job(received)
        self._meter.begin(job)
        begun = time.monotonic()
        self.scratch.make_work_dir()
        pid = libc.fork()
        if pid == 0:
            tasks.run_job(job, self._isolate)
        watchdog = self._watchdog
        why = watchdog.until_end(pid, job)
        _, status, rusage = os.wait4(pid, 0)
        ended = time.monotonic()
        process_tree.kill_all(self.proc)
        code = os.waitstatus_to_exitcode(status)
        used, peak = self._meter.end(job, rusage, code)
        why = why or used.over or watchdog.storage_exceeded(job)
        self.scratch.empty()
        return End(why, code, begun, ended, used.cpu_s, peak)

    def exit(self) -> NoReturn:
        """End all processes, remove the scratch folder and exit."""
        process_tree.kill_all(self.proc)
        self.scratch.remove()
        os._exit(0)

    def _isolate(self, job: dict[str, Any]) -> isolate.CandidateFork | None:
        """Switch to the program's user and restrict this new process.

        The candidate of an `Asserts` test is forked inside the Landlock domain: a child with
        another domain could not be killed.
        """
        if (free := self.scratch.free_bytes()) < job["files"]:
            text = f"only {free >> 20} MB are free in {self.scratch.parent}; set TMPDIR to a folder"
            raise OSError(errno.ENOSPC, f"{text} with more space")
        parent = os.getppid()
        os.setsid()
        libc.set_dumpable(1)
        isolate.prefer_for_oom_kill()
        if self.uid is not None:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
        libc.set_parent_death_signal(signal.SIGKILL)
        if os.getppid() != parent:
            raise OSError(0, "the worker has ended")
        libc.become_subreaper()
        os.chdir(self.scratch.work)
        landlock.restrict(self.rules)
        libc.set_dumpable(job["mode"] == "calls")
        libc.run_steps(self.drop_privileges)
        return isolate.fork_candidate() if job["mode"] == "asserts" else None

    def _prepare_job(self, received: ReceivedJob) -> dict[str, Any]:
        """Decode a job, replacing /tmp with the scratch folder's path."""
        job: dict[str, Any] = self._limits_of(received.limits) | unpack_message(received.work)
        for name, value in job.get("environment", {}).items():
            if value == "/tmp" or value.startswith("/tmp/"):  # noqa: S108 - to be replaced
                job["environment"][name] = self.scratch.own + value[4:]
        if "environment" in job:
            job["environment"]["TMPDIR"] = self.scratch.own
        return job

    def _limits_of(self, limits: bytes) -> dict[str, Any]:
        """Decode limits; most jobs have those of the previous one.

        If programs run as our user, its other processes are added, since the kernel counts them.
        """
        others = self._count_others() if self.uid is None else 0
        if (limits, others) != self._decoded_for:
            self._decoded_for, decoded = (limits, others), unpack_message(limits)
            for stage in ("compile", "run"):
                decoded[stage]["processes"] += others
                entered = self._meter.steps(stage, decoded)
                decoded[stage]["limits"] = [*entered, *isolate.limit_steps(decoded[stage], decoded)]
            self._job_limits = decoded
        return self._job_limits

    def _count_others(self) -> int:
        now = time.monotonic()
        if now - self._counted > _RECOUNT_S:
            self._others, self._counted = process_tree.threads_of_user(self.proc), now
        return self._others


class _LandlockWatchdog(Watchdog):
    """Samples descendants, and the scratch folder, which has no limit of its own."""

    def __init__(
        self, connection: WorkerConnection, meter: metering.Meter, runner: _LandlockJobRunner
    ) -> None:
        super().__init__(connection.control, meter)
        self.runner = runner

    def sample(self) -> tuple[str, float]:
        """Return the exceeded limit, or '', and the pause before the next sample."""
        why, pause = super().sample()
        return why or self.storage_exceeded(self.job, is_running=True), pause

    def exit(self) -> NoReturn:
        """End all processes, remove the scratch folder and exit."""
        self.runner.exit()

    def storage_exceeded(self, job: dict[str, Any], *, is_running: bool = False) -> str:
        """Return 'output' if the scratch folder exceeds its limits, else ''.

        While a program runs, files that it has removed and not closed count as well.
        """
        size, count = self.runner.scratch.usage(job["inodes"])
        if is_running:
            size += process_tree.unnamed_bytes(self.runner.proc, self.runner.scratch.parent)
        return "output" if size > job["files"] or count > job["inodes"] else ""
