"""Untrusted answers cost this process bounded time and memory.

Decoding or comparing them inline could block all other work: hash collisions can make building a
set take quadratic time, decoded values take many times the memory of their bytes, and no check can
distinguish such values from honest ones.
"""

import random
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace

import pytest

from driver import QUICK
from evolcoder.bench.comparators import Comparator
from evolcoder.grading import calls
from evolcoder.grading.calls import (
    INLINE_BYTES,
    INLINE_BYTES_TOTAL,
    CallTest,
    TooCostlyError,
    call_isolated,
    grade_calls,
    run_calls,
)
from evolcoder.safe_codec import encode
from evolcoder.sandbox.base import Execution, Kind, Limits, Status
from grading.adversarial import LINES, PRIME
from groups import sampled

MB = 1 << 20
PATIENT = replace(QUICK, cpu_s=10, wall_s=60, memory_mb=1024, answers_mb=64, file_mb=64)


class Elsewhere:
    """A sandbox where the candidate has answered and every comparison exceeds its limits."""

    def __init__(self, answers):
        self.answers = answers
        self.sent = []

    async def run(self, program, limits):
        if "evolcoder.grading.answers" in program.source:
            self.sent.append(limits)
            return self._execution(Status.TIMEOUT, b"")
        for number, line in enumerate(self.answers.split(b"\n")[:50]):
            if not program.task.should_continue(number, line):
                break
        return self._execution(Status.FINISHED, self.answers)

    def _execution(self, status, answers):
        return Execution(status, 0, b"", b"", answers, None, None, 0, 0, 0, 0, (), ())


def run(coroutine):
    """Run a coroutine that never waits, without the overhead of an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def grade(answers, *, n=1, oracle=Comparator.EQUAL, expected=(1, 2)):
    box = Elsewhere(answers)
    test = CallTest.of("f", inputs=[(1,)] * n, expected=[list(expected)] * n, oracle=oracle)
    return run(grade_calls(box, "", test, Limits())), box


def spent(answers, **options):
    """Least CPU seconds of this process over a few runs, and the last verdict."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        verdict, box = grade(answers, **options)
        times.append(time.process_time() - begun)
    return min(times), verdict, box


@pytest.mark.parametrize(
    "oracle", sampled([Comparator.SAME_SET, Comparator.EQUAL, Comparator.TRUTH], 3)
)
@pytest.mark.parametrize("name", LINES)
def test_a_long_answer_is_not_decoded_here(name, oracle):
    """A megabyte of any content is compared in the sandbox and costs this process little."""
    line = LINES[name](MB)
    assert len(line) > MB / 2
    seconds, verdict, box = spent(line + b"\n", oracle=oracle)
    assert (verdict.kind, verdict.passed) == (Kind.FAILED, False)
    assert "too costly to compare: over" in verdict.detail
    assert len(box.sent) == 1
    assert seconds < 0.05


@pytest.mark.parametrize(
    "oracle",
    sampled([Comparator.SAME_SET, Comparator.EQUAL, Comparator.TRUTH, Comparator.NOT_NONE], 4),
)
@pytest.mark.parametrize("name", LINES)
def test_many_short_answers_have_bounded_cost(name, oracle):
    """Short lines are decoded in this process up to a total size, then in the sandbox."""
    line = LINES[name](INLINE_BYTES * 2 // 3)
    n = 2 * MB // len(line)
    few = spent(line + b"\n", n=1, oracle=oracle)[0]
    seconds, verdict, _ = spent((line + b"\n") * n, n=n, oracle=oracle)
    assert not verdict.passed
    assert seconds < 0.05 + 8 * few


def test_inline_decoding_is_bounded_per_program(monkeypatch):
    """The bound counts bytes of answers and expected answers, each line once."""
    seen = []

    def compare(line, case):
        seen.append((line, case))
        return calls.RIGHT

    monkeypatch.setattr(calls, "compare_answer", compare)
    line = LINES["colliding members of a set"](INLINE_BYTES // 2)
    grade((line + b"\n") * 500, n=500)
    assert sum(len(line) + len(case.expected) for line, case in seen) <= INLINE_BYTES_TOTAL
    assert len(seen) > 5


@pytest.mark.parametrize("name", ["newlines", "empty answers", "one too many"])
def test_surplus_answers_are_not_split(name):
    """At most one line more than the number of calls is split off."""
    line = {
        "newlines": b"\n",
        "empty answers": b"[]\n",
        "one too many": encode(["value", 1]) + b"\n",
    }
    small = spent(line[name] * 50_000, expected=[1])
    large = spent(line[name] * 800_000, expected=[1])
    assert large[1].kind in {Kind.FORGED, Kind.FAILED}
    assert large[0] < 0.02 + 40 * small[0]


def test_memory_of_this_process_does_not_depend_on_what_is_decoded():
    """Answers with millions of empty lists are only held as bytes, with a few copies."""
    answers = LINES["empty lists"](6_000_000) + b"\n"
    tracemalloc.start()
    verdict, box = grade(answers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert verdict.kind is Kind.FAILED
    assert len(box.sent) == 1
    assert peak < 6 * len(answers)


OVER = """
import asyncio, resource, sys
from evolcoder.grading import calls
from evolcoder.sandbox.base import Limits
from evolcoder.sandbox.pool import PoolSandbox
calls.ISOLATED_S = calls.ISOLATED_S_PER_MB = 0.01

async def main():
    sandbox = await PoolSandbox.start(workers=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    test = calls.CallTest.of("f", inputs=[(1,)], expected=[[1]])
    source = '''
import os
def f(x):
    data = b'["l","value",["l"' + b',["l"]' * 9_000_000 + b']]' + bytes([10])
    while data:
        data = data[os.write(3, data):]
    os._exit(0)
'''
    limits = Limits(cpu_s=20, wall_s=60, answers_mb=64, file_mb=64)
    verdict = await calls.grade_calls(sandbox, source, test, limits)
    await sandbox.aclose()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(verdict.kind, "costly" in verdict.detail, (after - before) // 1024)
asyncio.run(main())
"""


def test_nine_million_lists_are_only_held_as_bytes(sandbox):
    """From the candidate to the verdict, as measured by the kernel."""
    ran = subprocess.run(
        [sys.executable, "-c", OVER], capture_output=True, text=True, check=False, timeout=120
    )
    kind, is_costly, mb = ran.stdout.split() or [ran.stderr, "", ""]
    assert (kind, is_costly) == ("failed", "True")
    assert int(mb) < 8 * 54


@pytest.fixture
def hasty(monkeypatch):
    """Set low limits for sandboxed comparisons."""
    monkeypatch.setattr(calls, "ISOLATED_S", 0.4)
    monkeypatch.setattr(calls, "ISOLATED_S_PER_MB", 0.0)


@pytest.mark.parametrize(
    ("source", "oracle"),
    [
        ("return [k * P for k in range(60_000)]", Comparator.SAME_SET),
        ("return write('d', ','.join(str(k * P) for k in range(60_000)))", Comparator.EQUAL),
        ("return write('s', ','.join(str(k * P) for k in range(60_000)))", Comparator.TRUTH),
    ],
)
def test_a_comparison_in_quadratic_time_is_stopped_and_fails(sandbox, hasty, source, oracle):
    """Hash collisions stall nothing and never pass, not even where any true value passes."""
    program = (
        f"import os\nP = {PRIME}\ndef write(tag, members):\n"
        """    data = f'["l","value",["{tag}",{members}]]\\n'.encode()\n"""
        "    while data:\n        data = data[os.write(3, data):]\n    os._exit(0)\n"
        f"def f(x):\n    {source}\n"
    )
    test = CallTest.of("f", inputs=[(1,)], expected=[True], oracle=oracle)
    begun = time.process_time()
    verdict = sandbox.grade(grade_calls, program, test, limits=PATIENT)
    assert (verdict.kind, verdict.outcomes) == (Kind.FAILED, (False,))
    assert verdict.detail == "the answer is too costly to compare: over 0.4 s"
    assert time.process_time() - begun < 1


FLOATS = [n + 0.25 for n in range(40_000)]
SHUFFLED = random.Random(0).sample(range(20_000), 20_000)


@pytest.mark.parametrize(
    ("source", "expected", "oracle", "kind"),
    [
        ("return [n + 0.25 + 1e-9 for n in range(40_000)]", FLOATS, Comparator.EQUAL, Kind.PASSED),
        ("return [n + 0.26 for n in range(40_000)]", FLOATS, Comparator.EQUAL, Kind.FAILED),
        ("return [*map(float, range(20_000))]", [*range(20_000)], Comparator.SAME, Kind.PASSED),
        ("return set(x)", set(range(20_000)), Comparator.EQUAL, Kind.PASSED),
        ("return {k: 1 for k in x}", dict.fromkeys(range(20_000), 1), Comparator.EQUAL, Kind.PASSED),
        ("return x + x", list(range(20_000)), Comparator.SAME_SET, Kind.PASSED),
        ("return {2**k for k in range(4000)}", {2**k for k in range(3999, -1, -1)}, Comparator.EQUAL, Kind.PASSED),
        ("return x", None, Comparator.NOT_NONE, Kind.FAILED),
        ("return x", 1, Comparator.NOT_NONE, Kind.PASSED),
        ("return 3", list(range(20_000)), Comparator.EQUAL, Kind.FAILED),
        ("raise ValueError('no')", list(range(20_000)), Comparator.EQUAL, Kind.ERROR),
        ("raise MemoryError", list(range(20_000)), Comparator.EQUAL, Kind.MEMORY),
        ("return object()", list(range(20_000)), Comparator.EQUAL, Kind.FAILED),
        ("import os; os.write(3, b'x' * 100_000 + bytes([10]))", [1], Comparator.EQUAL, Kind.FORGED),
    ],
)  # fmt: skip
def test_long_answers_get_the_same_verdicts_as_short_ones(sandbox, source, expected, oracle, kind):
    """A correct answer may be of any length, and in any order that its type allows."""
    test = CallTest.of("f", inputs=[(SHUFFLED,)], expected=[expected], oracle=oracle)
    verdict = sandbox.grade(grade_calls, f"def f(x):\n    {source}\n", test, limits=PATIENT)
    assert verdict.kind is kind, verdict


CASES = [
    ("return x", [1, 2, 3, 4], [1, 2, 3, 4], Comparator.EQUAL),
    ("return float(x)", [1, 2, 3, 4], [1, 2, 3, 4], Comparator.EQUAL),
    ("return x if x < 3 else -x", [1, 2, 3, 4], [1, 2, 3, 4], Comparator.EQUAL),
    ("return 1 / (x - 2)", [3, 2, 1], [1, 2, 3], Comparator.EQUAL),
    ("return {x}", [1, 2, 3], [1, 1, 1], Comparator.TRUTH),
    ("return float('nan')", [1], [float("nan")], Comparator.EQUAL),
    ("return [10**5000]", [1], [[10**5000 + 1]], Comparator.EQUAL),
    ("return -1.0", [[1, 1]], [0], Comparator.ROOT),
    ("return 0.5", [1], [0], Comparator.NEAR),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_a_verdict_does_not_depend_on_where_answers_are_compared(at_every_level, monkeypatch, case):
    """Inline and sandboxed comparison give identical verdicts."""
    source, inputs, expected, oracle = case
    test = CallTest.of("f", inputs=[(x,) for x in inputs], expected=expected, oracle=oracle)
    found = []
    for most in (INLINE_BYTES, 0):
        monkeypatch.setattr(calls, "INLINE_BYTES", most)
        verdict = at_every_level.grade(grade_calls, f"def f(x):\n    {source}\n", test)
        found.append((verdict.kind, verdict.check, verdict.outcomes, verdict.expected,
                      verdict.got, verdict.detail))  # fmt: skip
    assert found[0] == found[1]


def test_more_answers_than_calls_are_forged_wherever_they_are_compared(sandbox, monkeypatch):
    """An extra line is detected after sandboxed comparison too."""
    source = "import os\ndef f(x):\n    if x == 2: os.write(3, b'[]' + bytes([10]) * 3)\n    return 1.0\n"
    test = CallTest.of("f", inputs=[(1,), (2,)], expected=[1, 1], oracle=Comparator.NOT_NONE)
    for most in (INLINE_BYTES, 0):
        monkeypatch.setattr(calls, "INLINE_BYTES", most)
        assert not sandbox.grade(grade_calls, source, test).passed


@pytest.mark.parametrize(
    "value", ["10**5000", "[10**5000]", "{10**5000: 1}", "{10**5000}", "(1, [-10**5000])",
              "complex(1e300, 2)", "[[[[[[[[10**5000]]]]]]]]"],
)  # fmt: skip
def test_a_huge_integer_is_a_wrong_answer_like_any_other(at_every_level, value):
    """An integer that Python cannot print in decimal is shown and fails."""
    test = CallTest.of("f", inputs=[(1,)], expected=[3])
    verdict = at_every_level.grade(grade_calls, f"def f(x):\n    return {value}\n", test)
    assert (verdict.kind, verdict.check) == (Kind.FAILED, 0)
    assert verdict.got


@pytest.mark.parametrize(
    "frame",
    [b'["l","value",["i","0x%s"]]' % (b"f" * 9000), b'["l","value",["i","-0x%s"]]' % (b"f" * 9000),
     b'["l","raise","ValueError","%s"]' % (b"x" * 9000), b'["l","odd","%s"]' % (b"x" * 9000),
     b'["l","value",["c","1e999","nan"]]', b'["l","value",%s]' % (b"9" * 4300)],
    ids=range(6),
)  # fmt: skip
def test_a_forged_frame_is_shown_in_bounded_length(sandbox, frame):
    """What a candidate writes to the channel itself is shown in bounded length like any answer."""
    source = f"import os\ndef f(x):\n    os.write(3, {frame!r} + bytes([10]))\n    os._exit(0)\n"
    test = CallTest.of("f", inputs=[(1,)], expected=[3])
    verdict = sandbox.grade(grade_calls, source, test)
    assert not verdict.passed
    assert max(map(len, (verdict.got, verdict.detail, verdict.expected))) <= 300


def test_an_isolated_call_returns_its_result(sandbox):
    """Or raises for exceeded time, exceeded memory, or the function's own exception."""
    given = [[encode(["value", 1]), encode(["value", 1.0]), [], "equal", 0.0]]
    modules = ("evolcoder.bench.comparators", "evolcoder.grading.answers")

    def call(given, limits):
        return sandbox.runner.run(
            call_isolated(sandbox.sandbox, modules, "compare_answers", given, limits)
        )

    assert call(given, PATIENT) == [1, []]
    crowd = LINES["colliding members of a set"](400_000)
    with pytest.raises(TooCostlyError, match=r"over 0\.2 s"):
        call([[crowd, crowd + b" ", [], "equal", 0.0]], replace(PATIENT, cpu_s=0.2))
    lists = LINES["empty lists"](3_000_000)
    with pytest.raises(TooCostlyError, match="over 64 MB"):
        call([[lists, lists + b" ", [], "equal", 0.0]], replace(PATIENT, memory_mb=64))
    with pytest.raises(RuntimeError, match="compare_answers: TypeError"):
        call([3], PATIENT)


def test_answers_are_split_up_to_the_number_of_calls(sandbox):
    """`run_calls` returns at most one answer more than the number of calls."""
    source = "import os\ndef f(x):\n    os.write(3, bytes([10]) * 1000)\n    return x\n"
    lines, _ = sandbox.grade(run_calls, source, "f", [(1,), (2,)])
    assert lines == [b"", b"", b""]
