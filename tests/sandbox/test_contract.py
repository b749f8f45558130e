"""The conformance suite of the Sandbox contract, which every implementation must pass."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driver import QUICK
from evolcoder.errors import SandboxError, SandboxRefusedError
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.sandbox import launchers, pool, worker
from evolcoder.sandbox.base import Kind, Layer, Limits, Program, Script, Status
from evolcoder.sandbox.inside import seccomp
from evolcoder.sandbox.pool import LEVELS, PoolSandbox


@pytest.mark.parametrize(
    ("source", "status", "code", "stdout"),
    [
        ("print(6 * 7)", Status.FINISHED, 0, b"42\n"),
        ("", Status.FINISHED, 0, b""),
        ("x = 1\r\nprint(x)\r\n", Status.FINISHED, 0, b"1\n"),
        ("import sys\nprint('x', end='')\nsys.exit(3)", Status.FINISHED, 3, b"x"),
        ("import sys\nsys.exit('no')", Status.FINISHED, 1, b""),
        ("raise SystemExit", Status.FINISHED, 0, b""),
        ("1 / 0", Status.FINISHED, 1, b""),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)", Status.FINISHED, -15, b""),
        ("import os\nos.abort()", Status.FINISHED, -6, b""),
        ("if __name__ == '__main__': print('main')", Status.FINISHED, 0, b"main\n"),
        ("import atexit\natexit.register(print, 'end')", Status.FINISHED, 0, b"end\n"),
        ("while True: pass", Status.TIMEOUT, None, b""),
        ("import time\nprint(1, flush=True)\ntime.sleep(99)", Status.TIMEOUT, None, b"1\n"),
        ("def f(", Status.COMPILE_ERROR, 1, b""),
        ("a\0b", Status.COMPILE_ERROR, 1, b""),
        ("\ud800", Status.COMPILE_ERROR, 1, b""),
        ("(" * 5000, Status.COMPILE_ERROR, 1, b""),
    ],
)
def test_an_execution_says_how_a_program_ended(sandbox, source, status, code, stdout):
    """Status, exit code and output are the program's."""
    execution = sandbox.run(source)
    assert (execution.status, execution.exit_code, execution.stdout) == (status, code, stdout)


def test_output_is_cut_at_the_limit(sandbox):
    """Excessive output ends the program, and output up to the limit is kept."""
    execution = sandbox.run("while True: print('x' * 99)")
    assert execution.status is Status.OUTPUT
    assert len(execution.stdout) == QUICK.output_kb << 10


def test_memory_of_all_processes_together_is_bounded(sandbox):
    """The memory of many small processes is added up."""
    source = "import os, time\nfor n in range(5):\n    if os.fork() == 0: break\n"
    source += "x = bytearray(100 << 20)\nx[::4096] = b'x' * len(x[::4096])\ntime.sleep(9)"
    assert sandbox.run(source).status is Status.MEMORY


def test_a_program_reads_what_it_is_given(sandbox):
    """Standard input contains the given bytes and then ends."""
    program = Program("python", "import sys\nprint(len(sys.stdin.read()))", Script(b"x" * 300_000))
    assert sandbox.run(program).stdout == b"300000\n"


def test_a_long_program_runs(sandbox):
    """Sources of several megabytes run."""
    assert sandbox.run(f"x = '{'a' * 20_000_000}'\nprint(len(x))").stdout == b"20000000\n"


def test_time_used_is_measured(sandbox):
    """CPU time and wall-clock time are measured separately."""
    execution = sandbox.run("import time\nt = time.process_time()\ntime.sleep(0.3)\n"
                            "while time.process_time() < t + 0.2: pass")  # fmt: skip
    assert 0.19 <= execution.cpu_s <= 0.6
    assert execution.wall_s >= 0.49
    assert execution.peak_mb > 1


def test_every_execution_names_its_layers(sandbox):
    """Active and missing layers together are all layers."""
    execution = sandbox.run("")
    assert set(execution.layers) >= set(LEVELS[sandbox.level].required)
    assert set(execution.layers) | set(execution.missing) == set(Layer)
    assert not set(execution.layers) & set(execution.missing)


def test_hash_seed_random_time_zone_and_locale_are_fixed(sandbox):
    """Two runs of one program print the same."""
    source = "import random, time, locale, os\nprint(hash('x'), random.random(), time.tzname,"
    source += " locale.getlocale(), sorted(os.environ))"
    assert sandbox.run(source).stdout == sandbox.run(source).stdout


def test_what_one_program_changes_the_next_does_not_see(sandbox):
    """Modules, files and limits are new for each program."""
    changed = "import math, os, sys\nmath.pi = 3\nopen('x', 'w').close()\nsys.setrecursionlimit(99)"
    sandbox.run(changed)
    source = "import math, os, sys\nprint(math.pi > 3.1, os.listdir('.'), sys.getrecursionlimit())"
    assert sandbox.run(source).stdout == b"True [] 1000\n"


def test_a_program_does_not_find_what_came_before_it_in_memory(sandbox):
    """Memory shared by forks contains no earlier program or test."""
    mark = "before-" + "the-flood"
    sandbox.run(f"x = '{mark}'")
    checks = CallTest.of("f", inputs=[(mark,)], expected=[mark])
    sandbox.grade(grade_calls, "def f(x): return x", checks)
    source = """
wanted = b"-".join([b"before", b"the", b"flood"])
found = 0
for line in open("/proc/self/maps"):
    if " rw" in line and "[v" not in line:
        low, high = (int(x, 16) for x in line.split()[0].split("-"))
        with open("/proc/self/mem", "rb") as memory:
            memory.seek(low)
            part = memory.read(high - low)
        at = part.find(wanted)
        while at >= 0:
            found += 1
            at = part.find(wanted, at + 1)
print(found)
"""
    # It finds its own word, which it has just put together, and the copy that it has read.
    alone = int(sandbox.run(source.replace("flood", "other")).stdout)
    assert int(sandbox.run(source).stdout) <= alone


def test_a_worker_that_is_killed_is_replaced(sandbox):
    """A sandbox failure costs a retry and gives no verdict."""
    sandbox.run("")
    busy = sandbox.sandbox._free[-1][1]
    busy._process.kill()
    assert sandbox.run("print(1)").stdout == b"1\n"


def test_a_sandbox_that_cannot_start_workers_says_so():
    """A second failure is a SandboxError and not an execution."""
    broken = PoolSandbox(launchers.BubblewrapLauncher("/bin/false", (), (), from_root=False), 1, {})
    with pytest.raises(SandboxError, match="worker"):
        asyncio.run(broken.run(Program("python", ""), Limits()))


def test_strict_refuses_without_bubblewrap(monkeypatch):
    """Nothing runs below the requested level, and the message says what to install."""
    monkeypatch.setattr(launchers, "find_bwrap", lambda: None)
    with pytest.raises(SandboxRefusedError, match="install the package bubblewrap"):
        asyncio.run(PoolSandbox.start(workers=1))


def test_strict_refuses_when_a_layer_is_missing(monkeypatch):
    """The refusal names the layer that the probe did not find."""
    lame = tuple(layer for layer in Layer if layer is not Layer.NETWORK)
    monkeypatch.setattr(pool, "layers_of", lambda _, grouped: lame)
    with pytest.raises(SandboxRefusedError, match="missing layers: no network"):
        asyncio.run(PoolSandbox.start(workers=1))


def test_an_unknown_language_is_refused(sandbox):
    """The sandbox runs only languages that it was started with."""
    with pytest.raises(SandboxRefusedError, match="cobol"):
        sandbox.run(Program("cobol", ""))


@pytest.mark.parametrize("level", LEVELS)
def test_closing_ends_every_container(level):
    """A closed sandbox has no processes left and refuses to run programs."""

    async def use():
        sandbox = await PoolSandbox.start(workers=1, level=level)
        process = sandbox._free[-1][1]._process
        await sandbox.aclose()
        await sandbox.aclose()
        with pytest.raises(SandboxError, match="closed"):
            await sandbox.run(Program("python", ""), Limits())
        return process

    assert asyncio.run(use()).poll() is not None


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_verdicts_alone_and_side_by_side(level):
    """Two workers give the same verdicts as one, also for programs at their limits."""
    sources = ["print(1)", "while True: pass", "x = [0] * 10**9", "1 / 0"] * 3

    async def statuses(workers):
        sandbox = await PoolSandbox.start(workers=workers, level=level)
        limits = Limits(cpu_s=0.3, wall_s=8, memory_mb=128)
        runs = [sandbox.run(Program("python", source), limits) for source in sources]
        found = await asyncio.gather(*runs)
        await sandbox.aclose()
        return [(execution.status, execution.exit_code) for execution in found]

    assert asyncio.run(statuses(1)) == asyncio.run(statuses(2))


@pytest.mark.parametrize("level", LEVELS)
def test_a_cancelled_run_gives_its_worker_up(level):
    """Cancelling leaves no program running, and the next program runs."""

    async def use():
        sandbox = await PoolSandbox.start(workers=1, level=level)
        run = asyncio.create_task(sandbox.run(Program("python", "while True: pass"), Limits()))
        while sandbox._free:
            await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        after = await sandbox.run(Program("python", "print(1)"), Limits())
        await sandbox.aclose()
        return after.stdout

    assert asyncio.run(use()) == b"1\n"


@pytest.mark.parametrize("level", LEVELS)
def test_a_container_ends_with_the_process_that_started_it(level):
    """Killing the parent leaves no processes."""
    code = (
        "import asyncio, os, signal\nfrom evolcoder.sandbox.pool import PoolSandbox\n"
        "from evolcoder.sandbox.base import Limits, Program\n"
        f"async def main():\n    s = await PoolSandbox.start(workers=1, level={level!r})\n"
        "    print(s._free[-1][1]._process.pid, flush=True)\n    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    pid = int(done.stdout)
    for _ in range(200):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().split()[2] == "Z":
                    break
        except OSError:
            break
        subprocess.run(["sleep", "0.05"], check=True)
    else:
        pytest.fail("the container is still there")


def test_a_silent_worker_is_ended(monkeypatch):
    """A silent worker is ended and reported as a SandboxError after a timeout."""
    monkeypatch.setattr(worker, "START_S", 0.0)
    silent = PoolSandbox(
        launchers.BubblewrapLauncher(launchers.find_bwrap(), (), (), from_root=False), 1, {}
    )
    marked = f"said-nothing-{os.getpid()}"
    monkeypatch.setattr(
        launchers, "_BUBBLEWRAP_START", f"{launchers._BUBBLEWRAP_START}  # {marked}"
    )
    with pytest.raises(SandboxError, match="no message from a worker"):
        asyncio.run(silent.run(Program("python", ""), Limits()))
    left = [file for file in Path("/proc").glob("[0-9]*/cmdline") if marked in _read(file)]
    assert left == []


def _read(file):
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def test_the_filter_is_there_for_both_machines_and_short_enough():
    """Every jump fits in a byte; an unknown machine gets no filter."""
    for machine in ("x86_64", "aarch64"):
        assert 0 < len(seccomp.assemble(machine)) // 8 < 256
    assert seccomp.assemble("riscv64") == b""


CODE = st.text("abcdefxyz0123456789 \n\t()[]{}:=+-*/%.,'\"#@\\<>&|^~!\0\ud800é", max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=CODE)
def test_any_text_is_an_execution(sandbox, source):
    """No source makes the sandbox itself fail."""
    assert sandbox.run(source).status in Status


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=80) | st.lists(
    st.sampled_from([b'["l","value",1]\n', b"\n", b'["l"', b"]", b"null\n", b"\xff", b'["r",1]\n']),
    max_size=6).map(b"".join))  # fmt: skip
def test_any_bytes_on_the_channel_of_answers_are_a_verdict(sandbox, data):
    """The grader gives a verdict on any bytes that a candidate writes as answers."""
    source = f"import os\nos.write(3, {data!r})\nos._exit(0)"
    verdict = sandbox.grade(grade_calls, source, CallTest.of("f", inputs=[()], expected=[2]))
    assert verdict.kind in set(Kind) - {Kind.PASSED}


@pytest.mark.parametrize("number", [101, 165, 272, 321, 41, 435])
def test_forbidden_system_calls_fail_and_others_work(sandbox, number):
    """Calls at the ends and in the middle of the list are refused; harmless ones work."""
    source = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({number}, 2, 2, 0, 0), ctypes.get_errno() in (1, 13, 38))\n"
        "print(libc.syscall(39) == os.getpid())"
    )
    assert sandbox.run(source).stdout == b"-1 True\nTrue\n"
