"""Slow calls in processes of their own give the verdict that one process gives."""

import asyncio
from dataclasses import replace

import pytest

from driver import QUICK
from evolcoder.bench.base import CallChecks, Problem
from evolcoder.bench.comparators import Comparator
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.grading.problem_checks import ProblemTest, ReferenceMeasurement
from evolcoder.grading.slow_calls import divide, grade_divided
from evolcoder.safe_codec import encode
from evolcoder.sandbox.base import Execution, Kind, Status

INPUTS = [(n,) for n in range(7)]
TIMES = (0.1, 0.9, 0.0, 1.0, 0.2, 2.0, 0.5)
N_BASE = 2
PROGRAMS = {
    "right": "def f(n): return n * n",
    "wrong at the first": "def f(n): return n * n + (n == 0)",
    "wrong at a fast one": "def f(n): return n * n + (n == 4)",
    "wrong at a slow one": "def f(n): return n * n + (n == 5)",
    "wrong at two slow ones": "def f(n): return n * n + (n in (3, 6))",
    "an exception at a slow one": "def f(n): return [n * n][n == 3]",
    "too slow at a slow one": "def f(n):\n    while n == 5: pass\n    return n * n",
    "too slow in the import": "while True: pass\ndef f(n): return n * n",
    "no function": "def g(n): return n * n",
    "no Python": "def f(n) return n * n",
    "exits at a slow one": "import os\ndef f(n):\n    if n == 6: os._exit(0)\n    return n * n",
    "recursion without end": "def f(n): return f(n) if n == 3 else n * n",
    "floods": "def f(n):\n    if n == 3: print('x' * 10 ** 7)\n    return n * n",
}


def whole():
    return CallTest.of("f", inputs=INPUTS, expected=[n * n for (n,) in INPUTS])


def limits_of(numbers, n_base):
    limits = replace(QUICK, cpu_s=20, wall_s=60, call_s=(0.4,) * len(numbers))
    return replace(limits, first_calls=n_base, first_s=1.0)


def divided():
    return divide(whole(), TIMES, N_BASE, limits_of)


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_the_verdict_is_that_of_one_process(sandbox, source):
    limits = limits_of(range(7), N_BASE)
    one = sandbox.grade(grade_calls, source, whole(), limits=limits)
    several = sandbox.grade(grade_divided, source, divided(), limits=limits)
    facts = [(v.kind, v.check, v.expected, v.got, v.outcomes[:N_BASE]) for v in (one, several)]
    assert facts[0] == facts[1]
    if several.check is None or several.check in {3, 5, 6}:
        assert several.outcomes == one.outcomes


def test_calls_of_the_original_benchmark_stay_together():
    made = divided()
    assert made.fast.numbers == (0, 1, 2, 4)
    assert [part.numbers for part in made.slow] == [(2, 3), (2, 5), (2, 6)]
    assert made.fast.limits.first_calls == N_BASE
    assert {part.limits.first_calls for part in made.slow} == {1}


@pytest.mark.parametrize("times", [(), (0.1,) * 7, (0.1,) * 6 + (9.0,), (9.0,) * 2 + (0.1,) * 5])
def test_a_test_that_would_gain_nothing_is_not_divided(times):
    assert divide(whole(), times, N_BASE, limits_of) is None


def test_a_test_of_slow_calls_alone_is_not_divided():
    assert divide(whole(), (9.0,) * 7, 0, limits_of) is None


def test_all_calls_together_have_the_limit_of_one_process(sandbox):
    """A program that stays below the limit of each call may still take too long in all."""
    source = "def f(n):\n    for i in range(40_000_000 * (n > 4)): pass\n    return n * n"
    limits = replace(limits_of(range(7), N_BASE), cpu_s=0.3)
    patient = replace(limits, call_s=(5.0,) * 7)
    verdict = sandbox.grade(
        grade_divided,
        source,
        divide(whole(), TIMES, N_BASE, lambda numbers, n: replace(patient, cpu_s=20)),
        limits=limits,
    )
    assert verdict.kind is Kind.TIMEOUT
    assert not verdict.passed


def checks():
    return CallChecks("f", tuple(INPUTS), N_BASE, 0.0, Comparator.EQUAL, "def f(n): return n * n")


MEASURED = ReferenceMeasurement(
    cpu_s=sum(TIMES),
    calls_s=TIMES,
    answers=tuple(encode(["value", n * n]) for (n,) in INPUTS),
)


def test_each_call_keeps_its_limit():
    whole_limits = MEASURED.limits(checks())
    test = ProblemTest.of(problem(), MEASURED)
    for part in test.divided.slow:
        assert part.limits.call_s[1] == whole_limits.call_s[part.numbers[1]]
    numbers = test.divided.fast.numbers
    assert test.divided.fast.limits.call_s == tuple(whole_limits.call_s[n] for n in numbers)


def problem():
    return Problem(
        "Mine/1", "def f(n):\n", checks(), reference=checks().reference, stub="", groups=()
    )


@pytest.mark.parametrize(
    ("source", "n_runs"),
    [
        ("def f(n): return n * n", 4),
        ("def f(n): return n * n + 1", 1),
        ("seen = []\ndef f(n):\n    seen.append(n)\n    return n * n", 1),
        ("seen = []\ndef f(n):\n    seen.append(n)\n    return n * n + (len(seen) > 6)", 1),
    ],
    ids=["no state", "wrong at the first", "state", "wrong by its state"],
)
def test_only_a_program_without_state_runs_in_parts(sandbox, source, n_runs):
    """A program that counts its calls is wrong in one process, and so it is here."""
    counted = CountedRuns(sandbox.sandbox)
    test = ProblemTest.of(problem(), MEASURED)
    verdict = sandbox.runner.run(test.grade(counted, source))
    assert counted.n == n_runs
    assert verdict.passed == (source.endswith("n * n"))


class CountedRuns:
    """A sandbox that counts what it runs."""

    def __init__(self, inner):
        self.inner, self.n = inner, 0

    async def run(self, program, limits):
        self.n += 1
        return await self.inner.run(program, limits)


def test_slow_calls_run_at_the_same_time_and_end_after_a_failure():
    """The first slow call that fails ends those after it, and waits for those before it."""
    begun, ended = [], []

    class Slow:
        async def run(self, program, limits):
            number = len(begun)
            begun.append(number)
            try:
                await asyncio.sleep([0, 0.05, 0.01, 9][number])
            finally:
                ended.append(number)
            answers = b"".join(lines(number))
            return Execution(Status.FINISHED, 0, b"", b"", answers, None, None, 0, 0, 0, 0, (), ())

    def lines(number):
        for one in divided().fast.numbers if number == 0 else divided().slow[number - 1].numbers:
            yield encode(["value", one * one if number != 2 else -1]) + b"\n"

    verdict = asyncio.run(grade_divided(Slow(), "", divided(), QUICK))
    assert begun == [0, 1, 2, 3]
    assert sorted(ended) == begun
    assert (verdict.kind, verdict.check) == (Kind.FAILED, 5)
