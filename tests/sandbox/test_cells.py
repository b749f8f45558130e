"""What a program finds when it begins: the same in every mode, and nothing of the machinery."""

import asyncio
import json
import os
import threading

import pytest

from driver import QUICK
from evolcoder.grading.calls import decode_answer, run_calls
from evolcoder.sandbox.base import Asserts, Limits, Program
from evolcoder.sandbox.inside import isolate, tasks
from evolcoder.sandbox.inside.isolate import SPARED
from evolcoder.sandbox.inside.protocol import End
from evolcoder.sandbox.memfds import Memfds
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
    """What a test that runs apart sees its candidate answer."""
    task = Asserts(("f",), "found = f()\nassert not found, found", None)
    execution = sandbox.run(Program("python", source, task))
    detail = json.loads(execution.answers)["detail"]
    return json.loads(detail.removeprefix("AssertionError: ").replace("'", '"'))


@pytest.mark.parametrize("mode", [called, printed, shown_to_a_test])
def test_a_program_finds_four_descriptors_and_no_more(sandbox, mode):
    """Neither the line to the parent, nor namespaces, nor another channel is left open.

    Without a container an interpreter under a private home is found by folders that are kept open.
    """
    found = mode(sandbox, OPEN)
    assert found[:4] == [0, 1, 2, 3]
    assert sandbox.level != "strict" or found == [0, 1, 2, 3]
    assert all(number >= SPARED for number in found[4:])


def test_a_test_that_runs_apart_holds_no_line_to_the_parent_either(sandbox):
    """Beside its streams: its line to the candidate, where its findings go, and the report."""
    test = f"{OPEN}\nfound = [n for n in f() if 2 < n < {SPARED}]\nassert not found, found"
    task = Asserts(("g",), f"g()\n{test}", None)
    execution = sandbox.run(Program("python", "def g(): pass", task))
    detail = json.loads(execution.answers)["detail"]
    assert len(json.loads(detail.removeprefix("AssertionError: "))) == 3


def test_mounts_do_not_pile_up(sandbox):
    """What was mounted for a test's two processes is taken away with them."""
    mounts = "def f():\n    return len(open('/proc/self/mounts').readlines())\n"
    before = printed(sandbox, mounts)
    for _ in range(30):
        sandbox.run(Program("python", "def g(): pass", Asserts(("g",), "assert g() is None", None)))
    assert printed(sandbox, mounts) == before


def test_every_mode_begins_alike(sandbox):
    """No powers, no new ones, a filter, and the same state of random, however a program is run."""
    found = printed(sandbox, STATE)
    assert found[:3] == [[0, 0, 0, 0], "1", "2"]
    assert called(sandbox, STATE) == shown_to_a_test(sandbox, STATE) == found


def test_threads_and_forks_work_in_a_forked_program(sandbox):
    """The fork renews no locks, and needs to renew none."""
    source = "import threading\nfound = []\n"
    source += "work = [threading.Thread(target=found.append, args=(n,)) for n in range(5)]\n"
    source += "[t.start() for t in work]; [t.join() for t in work]\n"
    source += "import os\npid = os.fork()\nif pid == 0: os._exit(7)\n"
    source += "print(sorted(found), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    assert sandbox.run(source).stdout == b"[0, 1, 2, 3, 4] 7\n"


def test_limits_of_one_program_are_not_those_of_the_next():
    """What a worker remembers of limits is replaced when they change, and comes back with them."""
    source = "import resource\nprint(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"

    async def use():
        sandbox = await PoolSandbox.start(workers=1)
        limits = [Limits(descriptors=number) for number in (50, 60, 50)]
        found = [(await sandbox.run(Program("python", source), one)).stdout for one in limits]
        await sandbox.aclose()
        return found

    assert asyncio.run(use()) == [b"50\n", b"60\n", b"50\n"]


def test_an_end_is_read_as_it_was_said():
    """The message about a job's end keeps every field."""
    end = End("timeout", -9, 1.5, 2.25, 0.125, 1 << 40)
    assert End.read(end.said()) == end


@pytest.mark.parametrize("name", ["stdout", "stderr", "report"])
def test_two_who_write_at_a_time_do_not_overwrite_each_other(name):
    """A cell's two processes report side by side, and a lost line would be another verdict."""
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
    """Rust's and Swift's change modes by path, which a program without a user of its own may not."""
    program = tmp_path / "main"
    program.write_bytes(b"")
    program.chmod(0o644)
    tasks._make_executable(str(program))
    assert os.access(program, os.X_OK)
