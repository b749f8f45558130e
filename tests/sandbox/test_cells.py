"""A program's initial state: the same in every mode, without access to the sandbox's internals."""

import asyncio
import json
import os
import threading

import pytest

from driver import QUICK
from evolcoder.grading.calls import decode_answer, run_calls
from evolcoder.sandbox.base import Asserts, Limits, Program
from evolcoder.sandbox.inside import isolate, tasks
from evolcoder.sandbox.inside.isolate import KEPT_FDS
from evolcoder.sandbox.inside.protocol import End
from evolcoder.sandbox.job import Memfds
from evolcoder.sandbox.pool import PoolSandbox

OPEN = "import os\ndef f():\n    return [n for n in range(5000) if os.path.exists(f'/proc/self/fd/{n}')]\n"
STATE = """
import os, random
def f():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    powers = [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")]
    return [powers, status["NoNewPrivs"].strip(), status["Seccomp"].strip(), random.random()]
"""


def called(sandbox, source):
    answers, _ = sandbox.runner.run(run_calls(sandbox.sandbox, source, "f", [()], QUICK))
    return decode_answer(answers[0]).value


def printed(sandbox, source):
    return json.loads(sandbox.run(f"{source}\nimport json\nprint(json.dumps(f()))").stdout)


def shown_to_a_test(sandbox, source):
    """Return what an `Asserts` test sees its candidate return."""
    task = Asserts(("f",), "found = f()\nassert not found, found", None)
    execution = sandbox.run(Program("python", source, task))
    detail = json.loads(execution.answers)["detail"]
    return json.loads(detail.removeprefix("AssertionError: ").replace("'", '"'))


@pytest.mark.parametrize("mode", [called, printed, shown_to_a_test])
def test_a_program_finds_four_descriptors_and_no_more(sandbox, mode):
    """No control socket, namespace or other channel is left open.

    Without a container, folders of an interpreter in a private home stay open.
    """
    found = mode(sandbox, OPEN)
    assert found[:4] == [0, 1, 2, 3]
    assert sandbox.level != "strict" or found == [0, 1, 2, 3]
    assert all(number >= KEPT_FDS for number in found[4:])


def test_a_separate_test_process_has_no_control_socket_either(sandbox):
    """Besides its streams it has the candidate's socket, the findings' channel and the report."""
    test = f"{OPEN}\nfound = [n for n in f() if 2 < n < {KEPT_FDS}]\nassert not found, found"
    task = Asserts(("g",), f"g()\n{test}", None)
    execution = sandbox.run(Program("python", "def g(): pass", task))
    detail = json.loads(execution.answers)["detail"]
    assert len(json.loads(detail.removeprefix("AssertionError: "))) == 3


def test_mounts_do_not_pile_up(sandbox):
    """Mounts of a test's two processes are removed after the test."""
    mounts = "def f():\n    return len(open('/proc/self/mounts').readlines())\n"
    before = printed(sandbox, mounts)
    for _ in range(30):
        sandbox.run(Program("python", "def g(): pass", Asserts(("g",), "assert g() is None", None)))
    assert printed(sandbox, mounts) == before


def test_every_mode_begins_alike(sandbox):
    """Every mode has no capabilities, no new privileges, a filter and the same random state."""
    found = printed(sandbox, STATE)
    assert found[:3] == [[0, 0, 0, 0], "1", "2"]
    assert called(sandbox, STATE) == shown_to_a_test(sandbox, STATE) == found


def test_threads_and_forks_work_in_a_forked_program(sandbox):
    """The C library's fork, which renews no Python locks, is sufficient."""
    source = "import threading\nfound = []\n"
    source += "work = [threading.Thread(target=found.append, args=(n,)) for n in range(5)]\n"
    source += "[t.start() for t in work]; [t.join() for t in work]\n"
    source += "import os\npid = os.fork()\nif pid == 0: os._exit(7)\n"
    source += "print(sorted(found), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    assert sandbox.run(source).stdout == b"[0, 1, 2, 3, 4] 7\n"


def test_limits_of_one_program_are_not_those_of_the_next():
    """A worker's cached limits are replaced when a job's limits differ."""
    source = "import resource\nprint(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"

    async def use():
        sandbox = await PoolSandbox.start(workers=1)
        limits = [Limits(descriptors=number) for number in (50, 60, 50)]
        found = [(await sandbox.run(Program("python", source), one)).stdout for one in limits]
        await sandbox.aclose()
        return found

    assert asyncio.run(use()) == [b"50\n", b"60\n", b"50\n"]


def test_an_end_survives_encoding():
    """Encoding and decoding a job's end keeps every field."""
    end = End("timeout", -9, 1.5, 2.25, 0.125, 1 << 40)
    assert End.from_bytes(end.to_bytes()) == end


@pytest.mark.parametrize("name", ["stdout", "stderr", "report"])
def test_concurrent_writers_do_not_overwrite_each_other(name):
    """Two processes report concurrently, and a lost line would change the verdict."""
    each, place = 50_000, isolate.Channels._fields.index(name)
    with Memfds.open(Program("python", "")) as channels:

        def write():
            for _ in range(each):
                os.write(channels.fds[place], b"a line\n")

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert os.fstat(channels.fds[place]).st_size == 2 * each * len(b"a line\n")


def test_what_its_linker_could_not_make_executable_is_made_so(tmp_path):
    """Rust's and Swift's linkers chmod by path, which is refused without a separate user."""
    program = tmp_path / "main"
    program.write_bytes(b"")
    program.chmod(0o644)
    tasks._make_executable(str(program))
    assert os.access(program, os.X_OK)
