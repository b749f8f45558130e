"""Measures the work of a benchmark's tests with its reference, in counted units instead of time.

The result is the same on every machine. It sets how much work a candidate may do in these tests.

>>> await reference_work(problem, sandbox)   # doctest: +SKIP
1240
"""

from typing import Any

from evolcoder.bench.base import AssertChecks, CallChecks, Problem
from evolcoder.code.instrument import counted
from evolcoder.decontamination.execution.sandbox_programs import meter
from evolcoder.grading.answers import decode_answer
from evolcoder.grading.calls import run_calls
from evolcoder.sandbox.base import Limits, Sandbox

LIMITS = Limits(cpu_s=300, wall_s=3000, memory_mb=4096)
"""Limits for references, which are known to terminate."""
UNLIMITED = 1 << 62
"""A work limit that is never reached."""
_ANSWER_BYTES = 100
"""Maximum length of a valid answer."""
_RUN_TESTS = """
def work(source, name, test, check):
    meter = Meter({endless})
    function = adapted(source, name, None, returns=True, meter=meter)
    tester = {{"__name__": "test", name: function}}
    exec(test, tester)
    if check:
        tester[check](function)
    return meter.worked()
"""
_RUN_CALLS = """
def work(source, name, inputs):
    meter = Meter({endless})
    function = adapted(source, name, None, returns=True, meter=meter)
    for given in inputs:
        function(*given)
    return meter.worked()
"""


async def reference_work(problem: Problem, sandbox: Sandbox) -> int:
    """Return the units of work of a problem's tests; 0 if they cannot be counted."""
    source, checks = counted(problem.reference or ""), problem.checks
    given: list[Any]
    if isinstance(checks, AssertChecks) and len(checks.entry_points) == 1:
        text, given = _RUN_TESTS, [source, checks.entry_points[0], checks.test_source, checks.check]
    elif isinstance(checks, CallChecks):
        text, given = _RUN_CALLS, [source, checks.entry_point, [list(one) for one in checks.inputs]]
    else:
        return 0
    program = meter() + text.format(endless=UNLIMITED)
    lines, _ = await run_calls(sandbox, program, "work", [given], LIMITS)
    answer = decode_answer(lines[0][:_ANSWER_BYTES]) if lines else None
    if answer is None or answer.kind != "value" or type(answer.value) is not int:
        return 0
    return min(max(answer.value, 0), UNLIMITED)
