"""How much work a benchmark's own test is for its own reference, counted and not timed.

Promises: the same number on every machine. A candidate may do several times as much before its
test is ended, so that a reference with a long way to its answer does not set a limit for all.

>>> await effort_of(problem, sandbox)   # doctest: +SKIP
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
"""For a reference, which is known to end."""
ENDLESS = 1 << 62
"""Units that nothing reaches."""
_ANSWER_BYTES = 100
"""Longest answer that is a number of units."""
_TESTED = """
def effort(source, name, test, check):
    meter = Meter({endless})
    function = adapted(source, name, None, returns=True, meter=meter)
    tester = {{"__name__": "test", name: function}}
    exec(test, tester)
    if check:
        tester[check](function)
    return meter.worked()
"""
_CALLED = """
def effort(source, name, inputs):
    meter = Meter({endless})
    function = adapted(source, name, None, returns=True, meter=meter)
    for given in inputs:
        function(*given)
    return meter.worked()
"""


async def effort_of(problem: Problem, sandbox: Sandbox) -> int:
    """Return the units of work in a problem's test; 0 where there is nothing to count."""
    source, checks = counted(problem.reference or ""), problem.checks
    given: list[Any]
    if isinstance(checks, AssertChecks) and len(checks.entry_points) == 1:
        text, given = _TESTED, [source, checks.entry_points[0], checks.test_source, checks.check]
    elif isinstance(checks, CallChecks):
        text, given = _CALLED, [source, checks.entry_point, [list(one) for one in checks.inputs]]
    else:
        return 0
    program = meter() + text.format(endless=ENDLESS)
    lines, _ = await run_calls(sandbox, program, "effort", [given], LIMITS)
    answer = decode_answer(lines[0][:_ANSWER_BYTES]) if lines else None
    if answer is None or answer.kind != "value" or type(answer.value) is not int:
        return 0
    return min(max(answer.value, 0), ENDLESS)
