"""All resources that a program uses count against its limits, whichever process uses or reaps them.

Every test runs at each level, with a control group and without one.
"""

import asyncio
import os
import signal

import pytest

from driver import held
from evolcoder.errors import SandboxError
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.sandbox import cgroup, launchers, pool
from evolcoder.sandbox.base import Kind, Layer, Limits, Program, Status
from evolcoder.sandbox.pool import LEVELS, PoolSandbox
from evolcoder.sandbox.worker import Worker
from groups import first_quick

SMALL = Limits(cpu_s=4, wall_s=60, memory_mb=256, processes=32, file_mb=16)


@pytest.fixture(
    scope="module", params=[f"{level}-{g}" for level in LEVELS for g in ("group", "none")]
)
def metered(request):
    """A sandbox of every level, with and without a control group."""
    level, _, grouped = request.param.partition("-")
    with pytest.MonkeyPatch.context() as patch:
        if grouped == "none":
            patch.setattr(cgroup, "find", lambda: None)
        elif cgroup.find() is None:
            pytest.skip("no control groups can be made here")
        yield from held(level)


def is_grouped(sandbox):
    return Layer.CGROUP in sandbox.sandbox.layers


def worker_of(sandbox):
    """Return the process of the only worker, which is replaced when it fails."""
    return sandbox.sandbox._free[-1][1]._process.pid


HOLDERS = {
    "the heap, piece by piece": "held = [b'x' * (1 << 20) for _ in range(600)]",
    "the heap of children": """
import os, time
ready, told = os.pipe()
for _ in range(6):
    if os.fork() == 0:
        held = [b"x" * (1 << 20) for _ in range(100)]
        os.write(told, b"x")
        time.sleep(30)
for _ in range(6):
    os.read(ready, 1)
""",
    "files in memory": """
import os
held = [os.memfd_create("x") for _ in range(50)]
for fd in held:
    os.write(fd, bytes(12 << 20))
""",
    "files in memory on their way through a socket": """
import os, socket
ours, theirs = socket.socketpair()
for _ in range(50):
    fd = os.memfd_create("x")
    os.write(fd, bytes(12 << 20))
    socket.send_fds(ours, [b"x"], [fd])
    os.close(fd)
""",
    "a shared mapping": """
import mmap
held = mmap.mmap(-1, 600 << 20)
for n in range(0, len(held), 4096):
    held[n] = 1
""",
    "shared mappings that are not resident": """
import mmap
held = [mmap.mmap(-1, 50 << 20) for _ in range(12)]
for one in held:
    for n in range(0, len(one), 4096):
        one[n] = 1
    one.madvise(mmap.MADV_DONTNEED)
""",
    "shared mappings of a device": """
import mmap, os
zero = os.open("/dev/zero", os.O_RDWR)
held = [mmap.mmap(zero, 100 << 20) for _ in range(6)]
for one in held:
    for n in range(0, len(one), 4096):
        one[n] = 1
    one.madvise(mmap.MADV_DONTNEED)
""",
    "page tables": """
import ctypes, itertools
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
size = 1 << 39
held = libc.mmap(None, size, 1, 0x4022, -1, 0)
libc.madvise(ctypes.c_void_p(held), ctypes.c_size_t(size), 15)
for place in range(held, held + size, 2 << 20):
    ctypes.c_char.from_address(place).value
""",
    "sockets": """
import os, socket, time
ready, told = os.pipe()
for _ in range(16):
    if os.fork() == 0:
        held = []
        for _ in range(110):
            held += socket.socketpair()
            for one in held[-2:]:
                one.setblocking(False)
                try:
                    while True:
                        one.send(bytes(1 << 15))
                except BlockingIOError:
                    pass
        os.write(told, b"x")
        time.sleep(30)
for _ in range(16):
    os.read(ready, 1)
""",
    "processes whose first thread has ended": """
import ctypes, os, threading, time
ready, told = os.pipe()
def hold():
    held = [b"x" * (1 << 20) for _ in range(150)]
    os.write(told, b"x")
    time.sleep(30)
for _ in range(4):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)
for _ in range(4):
    os.read(ready, 1)
""",
    "processes that nobody can look into": """
import ctypes, mmap, os, time
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
held = [mmap.mmap(-1, 50 << 20) for _ in range(12)]
for one in held:
    for n in range(0, len(one), 4096):
        one[n] = 1
    one.madvise(mmap.MADV_DONTNEED)
time.sleep(1)
""",
}
"""What holds 600 MB, by the kind of memory."""


@pytest.mark.parametrize("kind", first_quick(HOLDERS))
def test_no_kind_of_memory_exceeds_the_limit(metered, kind):
    """The program is ended or refused the memory; the worker survives and the next one passes."""
    metered.run("")
    worker = worker_of(metered)
    execution = metered.run(f"{HOLDERS[kind]}\nimport os\nos.write(1, b'held')", SMALL)
    assert execution.stdout != b"held", execution
    assert execution.status is Status.MEMORY or execution.exit_code, execution
    assert metered.run("x = b'x' * (150 << 20)\nprint(1)", SMALL).stdout == b"1\n"
    assert worker_of(metered) == worker


def test_what_is_within_the_limit_passes(metered):
    """Memory mostly on one process's heap, or in children, shared memory and files."""
    heap = "x = [b'x' * (1 << 20) for _ in range(220)]\nprint(len(x))"
    assert metered.run(heap, SMALL).stdout == b"220\n"
    mixed = """
import mmap, os, socket
shared = mmap.mmap(-1, 40 << 20)
shared[::4096] = b"x" * len(shared[::4096])
pairs = [socket.socketpair() for _ in range(20)]
for n in range(4):
    if os.fork() == 0:
        x = b"x" * (10 << 20)
        shared[n] = ord("y")
        os._exit(0)
for n in range(4):
    os.wait()
with open("file", "wb") as file:
    file.write(bytes(8 << 20))
print(shared[:5])
"""
    assert metered.run(mixed, SMALL).stdout == b"b'yyyy\\x00'\n"


def test_a_small_file_in_memory_can_be_had_where_it_is_counted(metered):
    """Without a control group it is refused as by a kernel without memfd_create."""
    source = "import os\nfd = os.memfd_create('x')\nprint(os.write(fd, bytes(4 << 20)))"
    execution = metered.run(source, SMALL)
    if is_grouped(metered):
        assert execution.stdout == b"4194304\n"
    else:
        assert b"PermissionError" in execution.stderr


def test_forked_workers_of_a_pool_share_what_they_have_in_common(metered):
    """With a group, eight children of a 30 MB parent use no more than the parent."""
    source = """
import os, time
x = b"x" * (30 << 20)
for n in range(8):
    if os.fork() == 0:
        time.sleep(0.2)
        os._exit(0)
for n in range(8):
    os.wait()
print("done")
"""
    execution = metered.run(source, SMALL if is_grouped(metered) else Limits())
    assert execution.stdout == b"done\n"
    assert not is_grouped(metered) or execution.peak_mb < 100


@pytest.mark.parametrize(("kind", "source"), [
    ("heap", "x = b'x' * (120 << 20)"),
    ("shared", "import mmap\nm = mmap.mmap(-1, 60 << 20)\nm[::4096] = b'x' * len(m[::4096])\nx = b'x' * (60 << 20)"),
    ("children", "import os, time\nr, w = os.pipe()\nfor n in range(3):\n    if os.fork() == 0:\n        x = b'x' * (40 << 20)\n        os.write(w, b'x')\n        time.sleep(9)\nfor n in range(3): os.read(r, 1)"),
])  # fmt: skip
def test_the_peak_is_that_of_all_memory_together(metered, kind, source):
    """The peak is between 120 MB and twice that."""
    execution = metered.run(f"{source}\nimport time\ntime.sleep(0.4)", SMALL)
    assert execution.status is Status.FINISHED
    assert 118 <= execution.peak_mb <= 240


def test_a_file_in_memory_is_in_the_peak(metered):
    """It counts although no process has it mapped."""
    if not is_grouped(metered):
        pytest.skip("it is refused where no group counts it")
    source = (
        "import os\nfd = os.memfd_create('x')\nfor n in range(15): os.write(fd, bytes(1 << 20))"
    )
    assert metered.run(source, SMALL).peak_mb >= 14
    source = "import os\nfor n in range(8): os.write(os.memfd_create('x'), bytes(15 << 20))"
    assert 120 <= metered.run(source, SMALL).peak_mb <= 160


BURN = """
import os, signal, time
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""
SPENDERS = {
    "children that nobody may wait for": """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def spend():
    if os.fork() == 0:
        burn(0.01)
        os.write(2, b"x")
        os._exit(0)
    try:
        os.wait()
    except ChildProcessError:
        pass
""",
    "orphans": """
def spend():
    ended, end = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            burn(0.01)
            os.write(2, b"x")
        os._exit(0)
    os.close(end)
    os.wait()
    os.read(ended, 1)
    os.close(ended)
""",
    "children of children that nobody may wait for": """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def spend():
    ended, end = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            burn(0.01)
            os.write(2, b"x")
        os._exit(0)
    os.close(end)
    os.read(ended, 1)
    os.close(ended)
""",
    "children that it waits for": """
def spend():
    if os.fork() == 0:
        burn(0.01)
        os.write(2, b"x")
        os._exit(0)
    os.wait()
""",
    "threads": """
import threading
def work():
    end = time.thread_time() + 0.01
    while time.thread_time() < end:
        pass
    os.write(2, b"x")
def spend():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
""",
}
"""What uses 10 ms in a way, and tells so."""


@pytest.mark.parametrize("kind", first_quick(SPENDERS))
def test_cpu_time_counts_whichever_process_reaps_it(metered, kind):
    """CPU time used at the end equals the limit, within the accuracy of measurement."""
    source = f"{BURN}{SPENDERS[kind]}\nwhile True:\n    spend()"
    execution = metered.run(source, Limits(cpu_s=1, wall_s=300))
    used_s = 0.01 * len(execution.stderr)
    assert execution.status is Status.TIMEOUT
    # What is assumed of processes that were not seen is right only on average.
    most = 1.1 if is_grouped(metered) else 1.8
    assert 0.3 <= used_s <= most, execution.cpu_s


IDLERS = {
    "sleep": "time.sleep(999)",
    "a read": "os.read(os.pipe()[0], 1)",
    "a select": "import select\nselect.select([os.pipe()[0]], [], [])",
    "a lock": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "a stop": "os.kill(os.getpid(), signal.SIGSTOP)",
    "a signal": "signal.sigwait([signal.SIGUSR1])",
    "a child that sleeps": "if os.fork() == 0: time.sleep(999)\nos.wait()",
    "a child that sleeps made by vfork": "import ctypes\nif ctypes.CDLL(None).vfork() == 0: time.sleep(999)",
    "threads that sleep": "import threading\n[threading.Thread(target=time.sleep, args=(999,)).start() for _ in range(5)]",
    "many short sleeps": "while True: time.sleep(0.05)",
    "sleeps with a little work": "while True:\n    burn(0.005)\n    time.sleep(0.05)",
    "long sleeps with work between": "while True:\n    time.sleep(3)\n    burn(0.3)",
}
"""Ways to use no processor, or hardly any."""


@pytest.mark.parametrize("kind", first_quick(IDLERS))
def test_an_idle_program_is_ended_long_before_its_wall_clock_limit(metered, kind):
    """It is ended after about as many seconds as its CPU limit."""
    execution = metered.run(f"{BURN}{IDLERS[kind]}", Limits(cpu_s=1, wall_s=600))
    assert execution.status is Status.TIMEOUT
    assert execution.wall_s < 120


@pytest.mark.parametrize("source", [
    "time.sleep(2)",
    "for n in range(6): time.sleep(0.5)",
    "import subprocess\nsubprocess.run(['/bin/sleep', '1'], check=True)",
    "import threading\nt = threading.Thread(target=time.sleep, args=(1,))\nt.start()\nt.join()",
])  # fmt: skip
def test_a_program_that_sleeps_briefly_passes(metered, source):
    """Honest programs may sleep or wait for children."""
    execution = metered.run(f"import time\n{source}\nprint('fine')", Limits(cpu_s=1, wall_s=60))
    assert execution.stdout == b"fine\n"


def test_a_call_that_sleeps_is_ended_by_its_own_limit(metered):
    """The program's limit, which covers many calls, is not used."""
    source = "import time\ndef f(x):\n    time.sleep(999 * x)\n    return x"
    checks = CallTest.of("f", inputs=[(0,), (1,)], expected=[0, 1])
    limits = Limits(cpu_s=100, wall_s=600, call_s=(0.5,))
    verdict = metered.grade(grade_calls, source, checks, limits=limits)
    assert (verdict.kind, verdict.check) == (Kind.TIMEOUT, 1)
    assert verdict.execution.wall_s < 120


@pytest.mark.parametrize("grade", ["calls", "asserts"])
def test_a_candidate_that_uses_too_much_memory_is_judged_in_every_mode(metered, grade):
    """The memory limit applies to both processes."""
    source = "def f():\n    global x\n    x = [b'x' * (1 << 20) for _ in range(600)]"
    limits = Limits(cpu_s=4, wall_s=60, memory_mb=256, file_mb=16)
    if grade == "calls":
        test, grader = CallTest.of("f", inputs=[()], expected=[None]), grade_calls
    else:
        test, grader = AssertTest.of(("f",), "assert f() is None", check=None), grade_asserts
    assert metered.grade(grader, source, test, limits=limits).kind in {Kind.MEMORY, Kind.ERROR}


async def started(**options):
    """A sandbox with several workers, all of them running."""
    sandbox = await PoolSandbox.start(**options)
    await asyncio.gather(*[sandbox.run(Program("python", ""), Limits()) for _ in range(4)])
    return sandbox


def counting_runs(sandbox):
    """Count how often a program is given to a worker."""
    runs, serve = [], sandbox._serve

    async def counted(job, channels, order, **options):
        runs.append(order)
        return await serve(job, channels, order, **options)

    sandbox._serve = counted
    return runs


@pytest.mark.parametrize(("source", "is_shared", "n_runs"), [
    ("import time\ntime.sleep(999)", True, 1),
    ("while True: pass", True, 2),
    ("while True: pass", False, 1),
    ("print(1)", True, 1),
    ("x = [b'x' * (1 << 20) for _ in range(600)]", True, 1),
])  # fmt: skip
def test_only_results_that_more_cpu_time_could_change_are_repeated(
    source, is_shared, n_runs, monkeypatch
):
    """Sleeping programs and those over another limit run once, and all where no CPUs share a core."""
    share = pool.FIRST_RUN_SHARE if is_shared else pool.LOADED_SHARE
    monkeypatch.setattr(pool, "first_share", lambda _: share)

    async def use():
        sandbox = await started(workers=2)
        runs = counting_runs(sandbox)
        await sandbox.run(Program("python", source), Limits(cpu_s=1, wall_s=300, memory_mb=256))
        await sandbox.aclose()
        return len(runs)

    assert asyncio.run(use()) == n_runs


@pytest.mark.parametrize(("expected_s", "n_runs"), [(0.0, 2), (0.49, 2), (0.5, 1), (9.0, 1)])
def test_a_program_that_is_expected_to_take_long_is_not_run_twice(expected_s, n_runs, monkeypatch):
    """Where two CPUs share a core, a share of its time would end most right ones."""
    monkeypatch.setattr(pool, "first_share", lambda _: pool.FIRST_RUN_SHARE)
    source = "import time\nwhile time.process_time() < 0.6: pass\nprint('right')"

    async def use():
        sandbox = await started(workers=2)
        runs = counting_runs(sandbox)
        limits = Limits(cpu_s=1.5, wall_s=300, expected_s=expected_s)
        execution = await sandbox.run(Program("python", source), limits)
        await sandbox.aclose()
        return len(runs), execution.stdout

    assert asyncio.run(use()) == (n_runs, b"right\n")


def test_a_long_program_that_is_cut_by_others_load_runs_once_more(monkeypatch):
    """Its first run has all of its time, but not a core of its own."""
    monkeypatch.setattr(pool, "first_share", lambda _: pool.FIRST_RUN_SHARE)

    async def use():
        sandbox = await started(workers=2)
        runs = counting_runs(sandbox)
        limits = Limits(cpu_s=1, wall_s=300, expected_s=1.0)
        execution = await sandbox.run(Program("python", "while True: pass"), limits)
        await sandbox.aclose()
        return [one.cpu_share for one in runs], execution.status

    assert asyncio.run(use()) == ([1.0, 1.0], Status.TIMEOUT)


@pytest.mark.attacks
def test_many_sleepers_cost_no_more_than_their_share():
    """Each sleeper runs once, concurrently, and honest programs among them pass."""
    honest, sleeps = "print(sum(n * n for n in range(200_000)))", "import time\ntime.sleep(999)"
    sources = ([honest, honest, sleeps, honest, sleeps] * 55)[:264]

    async def use():
        sandbox = await started(workers=4)
        runs = counting_runs(sandbox)
        limits = Limits(cpu_s=1, wall_s=600)
        ended = await asyncio.gather(
            *[sandbox.run(Program("python", source), limits) for source in sources]
        )
        await sandbox.aclose()
        return len(runs), [one.status for one in ended]

    n_runs, statuses = asyncio.run(use())
    assert n_runs == len(sources)
    assert statuses == [
        Status.FINISHED if source is honest else Status.TIMEOUT for source in sources
    ]


MARK = "import time\nprint('begun', flush=True)\ntime.sleep(1.5)\nprint('done')"


async def killed(level, times, end=signal.SIGKILL):
    """Kill the worker of a running program `times` times, then run another program."""
    sandbox = await started(workers=2, level=level)
    left, serve = [None] * times, Worker.serve

    async def kills(worker, job, fds, early_stop=None):
        run = asyncio.ensure_future(serve(worker, job, fds, early_stop))
        if left and os.pread(fds[4], len(MARK), 0) == MARK.encode():
            while not os.pread(fds[0], 5, 0):
                await asyncio.sleep(0.005)
            left.pop()
            os.killpg(worker._process.pid, end)
        return await run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Worker, "serve", kills)
        limits = Limits(cpu_s=5, wall_s=60)
        first = await sandbox.run(Program("python", MARK), limits)
        after = await sandbox.run(Program("python", "print(1)"), limits)
    await sandbox.aclose()
    return first, after


@pytest.mark.parametrize("level", LEVELS)
def test_a_worker_that_is_killed_once_costs_its_program_nothing(level):
    """The program runs once more, and that result counts."""
    first, after = asyncio.run(killed(level, 1))
    assert (first.status, first.stdout) == (Status.FINISHED, b"begun\ndone\n")
    assert after.stdout == b"1\n"


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_that_has_its_worker_killed_twice_has_gone_over_its_memory(level):
    """It gets a verdict, and the next program a worker."""
    first, after = asyncio.run(killed(level, 2))
    assert (first.status, first.exit_code, first.stdout) == (Status.MEMORY, None, b"begun\n")
    assert after.stdout == b"1\n"


@pytest.mark.parametrize("level", LEVELS)
def test_a_worker_that_ends_otherwise_is_replaced_in_both_runs(level):
    """Two deaths in concurrent runs and one alone do not fail the program."""
    first, after = asyncio.run(killed(level, 3, signal.SIGHUP))
    assert (first.status, first.stdout) == (Status.FINISHED, b"begun\ndone\n")
    assert after.stdout == b"1\n"


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_that_ends_its_worker_every_time_gets_a_verdict(level):
    """The program fails, whatever ended the worker; the next program gets a worker."""
    first, after = asyncio.run(killed(level, 4, signal.SIGHUP))
    assert (first.status, first.exit_code) == (Status.FINISHED, -signal.SIGKILL)
    assert after.stdout == b"1\n"


def test_a_worker_that_fails_by_itself_says_nothing_of_the_program(monkeypatch):
    """A sandbox fault stays a SandboxError, however often it occurs."""
    broken = "import os; os.write(2, b'out of order'); os._exit(3); "
    monkeypatch.setattr(launchers, "_BUBBLEWRAP_START", broken + launchers._BUBBLEWRAP_START)
    sandbox = PoolSandbox(next(iter(LEVELS["strict"].launchers((), (), ()))), 1, {})
    with pytest.raises(SandboxError, match="out of order"):
        asyncio.run(sandbox.run(Program("python", ""), Limits()))


@pytest.mark.parametrize("source", [
    "import os\nos.kill(-1, 9)",
    "import os, signal\nos.kill(-1, signal.SIGSTOP)",
    "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nos.kill(os.getppid(), signal.SIGKILL)",
    "import os, signal\nos.killpg(0, signal.SIGKILL)",
    "import os\nfor n in range(3, 4096):\n    try: os.close(n)\n    except OSError: pass\nos._exit(0)",
    "open('/proc/self/oom_score_adj', 'w').write('-1000')",
    "import os\nfor n in os.listdir('/proc'):\n    try: open(f'/proc/{n}/oom_score_adj', 'w').write('1000')\n    except OSError: pass",
    "import socket\nheld = [socket.socketpair() for _ in range(100)]\nfor one, _ in held:\n    try: socket.send_fds(one, [b'x'], [one.fileno()] * 200)\n    except OSError: pass",
])  # fmt: skip
def test_no_program_takes_its_worker_down(metered, source):
    """Signals, closed or filled descriptors and OOM scores do not end the worker."""
    metered.run("")
    worker = worker_of(metered)
    metered.run(source, SMALL)
    assert metered.run("print(1)", SMALL).stdout == b"1\n"
    assert worker_of(metered) == worker
