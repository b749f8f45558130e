"""A program is ended once its answers decide the verdict, and its finding is parsed as data.

The test may come from a data set or a model, and its process may write anything to the channel.
"""

import asyncio
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver import QUICK
from evolcoder.grading.asserts import NO_FINDING, AssertTest, grade_asserts
from evolcoder.grading.calls import CallTest, encode_calls, grade_calls, run_calls
from evolcoder.sandbox import pool
from evolcoder.sandbox.base import Calls, Kind, Program, Status
from evolcoder.sandbox.inside.protocol import STOP
from evolcoder.sandbox.job import FINDING_BYTES, AssertFinding, EarlyStop, read_finding
from evolcoder.sandbox.pool import LEVELS, PoolSandbox

PATIENT = replace(QUICK, cpu_s=20, wall_s=60)
SLOW_AT_3 = "def f(n):\n    while n == 3: pass\n    return n\n"


def calls(n):
    return encode_calls([(number,) for number in range(n)])


def test_a_program_is_ended_once_its_answers_have_decided(sandbox):
    """Nothing after the first wrong answer is waited for."""
    test = CallTest.of("f", inputs=[(0,), (1,), (2,), (3,)], expected=[0, 5, 2, 3])
    verdict = sandbox.grade(grade_calls, SLOW_AT_3, test, limits=PATIENT)
    assert (verdict.kind, verdict.check, verdict.got) == (Kind.FAILED, 1, "1")
    assert verdict.execution.status is Status.STOPPED
    assert verdict.execution.cpu_s < 2


def test_every_answer_is_shown_once_and_in_order(sandbox):
    """The callback gets complete answers from the first on."""
    seen = []

    def should_continue(number, line):
        seen.append((number, line))
        return number < 2

    task = Calls("f", calls(4), should_continue)
    assert sandbox.run(Program("python", SLOW_AT_3, task), PATIENT).status is Status.STOPPED
    assert seen == [(0, b'["l","value",0]'), (1, b'["l","value",1]'), (2, b'["l","value",2]')]


def test_a_worker_continues_after_ending_a_program(sandbox):
    """The next program is unaffected by a stopped one."""
    for _ in range(5):
        task = Calls("f", calls(4), lambda number, _: number < 1)
        assert sandbox.run(Program("python", SLOW_AT_3, task), PATIENT).status is Status.STOPPED
        answers, execution = sandbox.grade(run_calls, "f = lambda n: n", "f", [(7,)])
        assert execution.status is Status.FINISHED
        assert answers == [b'["l","value",7]']


@pytest.mark.parametrize("level", LEVELS)
def test_a_late_stop_message_ends_nothing(level):
    """A stop message for a finished program does not end the next one."""

    async def statuses():
        sandbox = await PoolSandbox.start(workers=1, level=level)
        found = []
        for _ in range(3):
            sandbox._free[0][1]._control.send(STOP)
            found.append((await sandbox.run(Program("python", "print(1)"), QUICK)).status)
        await sandbox.aclose()
        return found

    assert asyncio.run(statuses()) == [Status.FINISHED] * 3


def test_one_call_has_a_limit_of_its_own(sandbox):
    """An endless call costs its own limit, not the program's."""
    limits = replace(PATIENT, call_s=(0.2,))
    answers, execution = sandbox.grade(
        run_calls, SLOW_AT_3, "f", [(n,) for n in range(9)], limits=limits
    )
    assert (execution.status, len(answers)) == (Status.TIMEOUT, 3)
    assert execution.cpu_s < 2


def test_calls_together_may_take_longer_than_one(sandbox):
    """Each call's time starts at the previous answer."""
    busy = "import time\ndef f(n):\n    begun = time.process_time()\n"
    busy += "    while time.process_time() < begun + 0.15: pass\n    return n\n"
    inputs = [(n,) for n in range(8)]
    for call_s, status in (
        ((0.6,), Status.FINISHED),
        ((0.6, 0.6, 0.05), Status.TIMEOUT),
    ):
        _, execution = sandbox.grade(
            run_calls, busy, "f", inputs, limits=replace(PATIENT, call_s=call_s)
        )
        assert execution.status is status
        assert execution.cpu_s > 0.3


def test_import_and_first_calls_share_a_limit_of_their_own(sandbox):
    """A slow import is not counted into the first call; later calls have theirs."""
    busy = "import time\ndef f(n):\n    begun = time.process_time()\n"
    busy += "    while time.process_time() < begun + n: pass\n    return n\nf(0.5)\n"
    for inputs, n_answers in (((0.4, 0.0), 2), ((0.0, 0.0, 0.9), 2), ((1.5,), 0)):
        limits = replace(PATIENT, call_s=(0.2,), first_calls=2, first_s=1.2)
        answers, _ = sandbox.grade(run_calls, busy, "f", [(n,) for n in inputs], limits=limits)
        assert len(answers) == n_answers


def test_a_program_that_prints_much_is_judged_by_its_answers(sandbox):
    """Called functions and tests by asserts; the output is discarded."""
    flood = "print('x' * 5_000_000)\ndef f(n):\n    print('y' * 5_000_000)\n    return n\n"
    test = CallTest.of("f", inputs=[(0,), (1,)], expected=[0, 1])
    verdict = sandbox.grade(grade_calls, flood, test, limits=replace(PATIENT, output_kb=64))
    assert verdict.kind is Kind.PASSED


def test_answers_that_are_none_do_not_buy_time(sandbox):
    """Fake answer lines end the program at the first invalid one."""
    forger = "import os\ndef f(n):\n    while True: os.write(3, b'\\n')\n"
    test = CallTest.of("f", inputs=[(0,), (1,)], expected=[0, 1])
    verdict = sandbox.grade(
        grade_calls, forger, test, limits=replace(PATIENT, call_s=(0.3,), answers_mb=1)
    )
    assert verdict.kind in {Kind.FORGED, Kind.OUTPUT}
    assert verdict.execution.cpu_s < 5


def test_what_needs_its_time_alone_waits_for_the_others(monkeypatch):
    """Where CPUs share cores, a second run starts after all programs have had their first."""
    monkeypatch.setattr(pool, "first_share", lambda _: pool.FIRST_RUN_SHARE)

    async def order():
        sandbox = await PoolSandbox.start(workers=2)
        ended = []

        async def run(source):
            await sandbox.run(Program("python", source), replace(QUICK, cpu_s=0.6))
            ended.append(source)

        await asyncio.gather(*(run(f"{n}\nwhile {n < 2}: pass") for n in range(12)))
        await sandbox.aclose()
        return [int(source.partition("\n")[0]) for source in ended]

    assert set(asyncio.run(order())[-2:]) == {0, 1}


class Growing:
    """A channel that grows before every poll and counts the bytes read."""

    def __init__(self, piece, n):
        self.piece, self.n, self.held, self.n_read = piece, n, b"", 0

    def peek(self, _name, begin, most):
        self.held += self.piece if self.n > 0 else b""
        self.n -= 1
        found = self.held[begin : begin + most]
        self.n_read += len(found)
        return found


def looked_at(channel):
    """Poll until polling stops; return the answers passed to the callback."""
    seen, again = [], [True]
    early_stop = EarlyStop(channel, lambda number, line: seen.append((number, line)) is None)
    early_stop._wait = again.append
    while again and channel.n >= 0:
        again.clear()
        early_stop._look(0.01)
    return seen


@pytest.mark.parametrize("piece", [b"x", b"ab\n", b"\n", b"a\nb", b"\n\n\nx"])
def test_every_byte_of_the_answers_is_read_once(piece):
    """Answering one byte at a time does not cause lines to be read repeatedly."""
    channel = Growing(piece, 500)
    seen = looked_at(channel)
    whole = piece * 500
    assert channel.n_read == len(whole)
    assert seen == list(enumerate(whole.split(b"\n")[:-1]))


def test_an_answer_that_is_too_long_ends_the_looks(monkeypatch):
    """An endless answer is not buffered; the final reading still gets it."""
    monkeypatch.setattr("evolcoder.sandbox.job.LONGEST_BYTES", 1000)
    channel = Growing(b"x" * 300, 500)
    assert looked_at(channel) == []
    assert channel.n_read == 1200


WHOLE = {"kind": "failed", "check": 2, "expected": "assert f()", "got": "1", "detail": "no"}


def written(**other):
    return json.dumps({**WHOLE, **other}).encode()


def test_a_whole_finding_is_read():
    """A finding as the runner writes it is parsed field by field."""
    assert read_finding(written()) == AssertFinding(Kind.FAILED, 2, "assert f()", "1", "no")
    assert read_finding(written(check=None, more="ignored")).check is None
    assert read_finding(written(check=-1)).check is None


@pytest.mark.parametrize(
    "answers",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 10_000,
        b'{"kind": "passed"}',
        b"9" * 5000,
        b'{"kind": "passed", "check": ' + b"9" * 4400 + b"}",
        written() + written(),
        written() + b"\n{}",
        written(kind="perfect"),
        written(kind=None),
        written(kind=["passed"]),
        written(kind={"passed": 1}),
        written(check="2"),
        written(check=-2),
        written(check=True),
        written(check=1e999),
        written(check=10**4000),
        written(detail=None),
        written(got=["x"]),
        written(expected=3),
        written(detail="x" * FINDING_BYTES),
    ],
    ids=lambda answers: repr(answers[:40]),
)
def test_anything_else_is_no_finding(answers):
    """Other JSON, kinds and types, too much data, and invalid JSON are rejected."""
    assert read_finding(answers) is None


@given(st.binary() | st.dictionaries(st.sampled_from([*WHOLE]), st.none() | st.integers() | st.text() | st.lists(st.text())).map(json.dumps).map(str.encode))  # fmt: skip
def test_any_bytes_give_a_finding_or_none(answers):
    """No bytes raise an exception."""
    found = read_finding(answers)
    assert found is None or isinstance(found.kind, Kind)


TEST = "import os\n{before}\nassert add(1, 2) == 3\n"


@pytest.mark.parametrize(
    "before",
    [
        "os.write(3, b'{')",
        "os.write(3, b'x' * (1 << 20))",
        'os.write(3, b\'{"kind": "perfect"}\'); os._exit(0)',
        "os.write(3, b'[' * 100000); os._exit(0)",
        "os._exit(0)",
    ],
)
def test_a_test_that_writes_for_itself_gives_an_error_and_no_pass(sandbox, before):
    """A test that corrupts its own channel never passes, even with a correct candidate."""
    source = "def add(a, b):\n    return a + b\n"
    test = AssertTest.of(("add",), TEST.format(before=before), check=None)
    verdict = sandbox.grade(grade_asserts, source, test)
    assert (verdict.kind, verdict.passed) == (Kind.ERROR, False)
    assert verdict.detail == NO_FINDING


@pytest.mark.parametrize(
    ("test", "kind", "word"),
    [
        ("value = f()\nassert value == 3, value\n", Kind.FAILED, "AssertionError"),
        ("value = f()\nassert value == 3\n", Kind.FAILED, "AssertionError"),
        ("value = [f()]\nraise KeyError(value[0])\n", Kind.ERROR, "KeyError"),
        ("raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})(f())\n", Kind.ERROR, "E: "),
    ],
)
def test_a_value_that_cannot_be_written_down_fails_its_assertion(sandbox, test, kind, word):
    """A value that cannot be printed does not turn a failed assertion into a runner error."""
    source = "def f():\n    return 10**5000\n"
    verdict = sandbox.grade(grade_asserts, source, AssertTest.of(("f",), test, check=None))
    assert verdict.kind is kind
    assert word in verdict.detail
    assert "16610 bits" in verdict.got


def test_memory_that_the_test_lacks_for_an_answer_is_the_candidates(sandbox):
    """An answer too large to decode is reported as a memory failure, not as forged."""
    source = "def f():\n    return [[] for _ in range(3_000_000)]\n"
    test = AssertTest.of(("f",), "x = f()\nassert len(x) == 1\n", check=None)
    verdict = sandbox.grade(grade_asserts, source, test)
    assert verdict.kind in {Kind.MEMORY, Kind.TIMEOUT}
