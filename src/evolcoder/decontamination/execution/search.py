"""Contamination by execution: a response with a function that passes a benchmark's tests.

Every function of a response is tried under every fitting signature of every problem, whatever its
name. A prefilter, one sandboxed program per function, selects the pairs that are graded; a hit is a
pass of the benchmark's own tests by the regular grader in the sandbox.

Results do not depend on order, concurrency or machine load: programs are ended by counted work
(`code.instrument`), which is limited by the work of the reference in the same tests; wall-clock
limits, ten times what that work can take, only end calls stuck in C code. A sandbox failure raises
SandboxError and is never a miss. Covers only Python functions that need nothing but the standard
library.

>>> search = await ExecutionSearch.create({"humaneval": bench.problems()}, sandbox, needs)
>>> [one.problem for one in await search.passes(answer)]   # doctest: +SKIP
['HumanEval/53']
"""

import hashlib
import json
import marshal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evolcoder.bench.base import AssertChecks, CallChecks, Problem
from evolcoder.bench.function_bench import entry_points
from evolcoder.code.functions import Function, functions_of
from evolcoder.code.instrument import counted
from evolcoder.decontamination.execution.agreement import (
    MIN_WORK,
    Agreement,
    adapted,
    is_plain,
    meter,
    prefilter,
    solution_size,
)
from evolcoder.decontamination.execution.examples import (
    ProblemExample,
    View,
    apply_view,
    argument_types,
    argument_views,
    examples_of,
    is_exact,
)
from evolcoder.grading.answers import decode_answer
from evolcoder.grading.calls import run_calls
from evolcoder.grading.problem_checks import ProblemTest, ReferenceMeasurement
from evolcoder.sandbox.base import Limits, Sandbox, Status

LIMITS = Limits(cpu_s=300, wall_s=3000, memory_mb=4096)
"""Limits for references, which are known to terminate."""
UNLIMITED = 1 << 62
"""A work limit that is never reached."""
_ANSWER_BYTES = 100
"""Maximum length of a valid answer."""
_RUN_TESTS = """
def work(source, name, test, check):
    meter = WorkMeter({endless})
    function = adapted(source, name, None, returns=True, meter=meter)
    tester = {{"__name__": "test", name: function}}
    exec(test, tester)
    if check:
        tester[check](function)
    return meter.worked()
"""
_RUN_CALLS = """
def work(source, name, inputs):
    meter = WorkMeter({endless})
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


PREFILTER_LIMITS = Limits(cpu_s=30, wall_s=900, memory_mb=256, processes=8, file_mb=4, answers_mb=4)
"""Limits of the prefilter, whose work is counted and ends much earlier."""
MIN_AGREEMENT = 0.7
"""Minimum agreement on further inputs at which a pass counts as a solution."""
WORK_FACTOR = 5
"""Work limit of a function, as a multiple of the reference's work."""
QUICK_S = 0.1
"""References up to this CPU time need far less than a fifth of `MIN_WORK`, so are not measured."""
TIME_FACTOR = 10
"""Multiple of the regular time limits of tests: counted work ends them earlier."""
MAX_RESULT_BYTES = 1 << 17
"""Maximum size of the prefilter's result, in bytes: thousands of pairs."""
MAX_CACHED = 200_000
"""Maximum number of functions whose results are cached."""

Needs = Callable[[Problem], Awaitable[ReferenceMeasurement]]
"""Returns the resources that a problem's reference needs (`grading.problem_checks`)."""


@dataclass(frozen=True, slots=True)
class PassedProblem:
    """A problem whose tests a function of a response passes."""

    bench: str
    """Name of the benchmark."""
    problem: str
    """Id of the problem."""
    function: str
    """Name of the function in the response."""
    view: View | None
    """How its arguments map to the problem's (see `examples`); None if unchanged."""
    size: int
    """Size of the problem's own solution (see `agreement.solution_size`)."""
    agreement: float
    """Agreement with the reference on further inputs: 1 is always, 0 is as often as by chance."""

    @property
    def is_evidence(self) -> bool:
        """Whether the pass is evidence of a leak: not plain, and agreement beyond the tests."""
        return not is_plain(self.size) and self.agreement >= MIN_AGREEMENT


@dataclass(slots=True)
class SearchCounts:
    """Counts of a search so far."""

    answers: int = 0
    """Responses processed."""
    functions: int = 0
    """Functions found in them."""
    looked_at: int = 0
    """Distinct functions run by the prefilter."""
    unfinished: int = 0
    """Of these, functions that the sandbox ended."""
    graded: int = 0
    """Pairs of function and problem that were graded."""
    passed: int = 0
    """Pairs that passed."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A problem with what the search needs of it."""

    bench: str
    problem: Problem
    names: tuple[str, ...]
    examples: tuple[ProblemExample, ...]
    views: tuple[View, ...]
    size: int


class ExecutionSearch:
    """Searches functions that solve problems of some benchmarks."""

    def __init__(self, targets: Sequence[_Target], sandbox: Sandbox, needs: Needs) -> None:
        self.counts = SearchCounts()
        self._targets = targets
        self._sandbox = sandbox
        self._needs = needs
        self._tests: dict[int, tuple[ProblemTest, int]] = {}
        self._agreement = Agreement(sandbox)
        self._cache: dict[bytes, tuple[PassedProblem, ...]] = {}
        self._tables: dict[tuple[int, int], bytes] = {}
        self._by_name = defaultdict[str, list[int]](list)
        for number, target in enumerate(targets):
            if len(target.names) == 1:
                self._by_name[target.names[0]].append(number)

    @classmethod
    async def create(
        cls, benches: Mapping[str, Sequence[Problem]], sandbox: Sandbox, needs: Needs
    ) -> "ExecutionSearch":
        """Prepare the problems of some benchmarks."""
        targets = []
        for bench, problems in benches.items():
            for problem in problems:
                examples = await examples_of(problem, sandbox)
                views = argument_views(examples) if examples else ()
                size = solution_size(problem.reference or "")
                names = entry_points(problem)
                targets.append(_Target(bench, problem, names, examples, views, size))
        return cls(targets, sandbox, needs)

    async def passes(self, answer: str) -> tuple[PassedProblem, ...]:
        """Return the problems that the functions of a response pass; raises SandboxError."""
        functions = functions_of(answer)
        self.counts.answers += 1
        self.counts.functions += len(functions)
        found = [await self._passes_of(function) for function in functions]
        return tuple(dict.fromkeys(one for some in found for one in some))

    async def _passes_of(self, function: Function) -> tuple[PassedProblem, ...]:
        """Process a function once, however often it occurs."""
        text = f"{function.name}\0{function.source}"
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key not in self._cache:
            found = await self._search(function)
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[key] = found
        return self._cache[key]

    async def _search(self, function: Function) -> tuple[PassedProblem, ...]:
        """Grade a function on every candidate problem, until one view passes."""
        source = counted(function.source)
        if source is None:
            return ()
        function = replace(function, source=source)
        found: dict[int, PassedProblem] = {}
        for number, view in await self._candidates(function):
            if number not in found and await self._solves(function, number, view):
                target = self._targets[number]
                program = adapted(function, view, target.names[0])
                agreement = await self._agreement.of(program, target.problem, target.examples)
                found[number] = PassedProblem(
                    target.bench, target.problem.id, function.name, view, target.size, agreement
                )
        return tuple(found[number] for number in sorted(found))

    async def _candidates(self, function: Function) -> list[tuple[int, View | None]]:
        """Run the prefilter; problems whose function has the same name skip it."""
        named: list[tuple[int, View | None]] = [
            (number, None) for number in self._by_name.get(function.name, ())
        ]
        table = self._table(function.least, function.most)
        if not table:
            return named
        self.counts.looked_at += 1
        given = [[function.source, function.name, function.returns, list(function.kinds), table]]
        lines, execution = await run_calls(
            self._sandbox, prefilter(), "prefilter", given, PREFILTER_LIMITS
        )
        self.counts.unfinished += execution.status is not Status.FINISHED
        return [*named, *(self._pairs(lines[0]) if lines else ())]

    def _pairs(self, line: bytes) -> Iterator[tuple[int, View]]:
        """Parse the prefilter's result, which the function may have forged.

        Yields each valid pair once: a pair costs a run in the sandbox.
        """
        try:
            result = json.loads(line) if len(line) <= MAX_RESULT_BYTES else None
        except (ValueError, RecursionError):
            return
        match result:
            case ["l", "value", ["l", *pairs]]:
                yield from dict.fromkeys(filter(None, map(self._pair, pairs)))

    def _pair(self, pair: object) -> tuple[int, View] | None:
        match pair:
            case ["l", int(number), int(place)] if 0 <= number < len(self._targets):
                views = self._targets[number].views
                return (number, views[place]) if 0 <= place < len(views) else None
        return None

    def _table(self, least: int, most: int) -> bytes:
        """Return the problems that a function of this arity may solve, encoded; empty if none."""
        if (least, most) not in self._tables:
            entries = [
                (number, place, *_encode_target(view, target))
                for number, target in enumerate(self._targets)
                for place, view in enumerate(target.views)
                if least <= len(view) <= most
            ]
            self._tables[least, most] = marshal.dumps(entries, 2) if entries else b""
        return self._tables[least, most]

    async def _solves(self, function: Function, number: int, view: View | None) -> bool:
        target = self._targets[number]
        if number not in self._tests:
            need = await self._needs(target.problem)
            most = MIN_WORK
            if need.cpu_s > QUICK_S:
                work = await reference_work(target.problem, self._sandbox)
                most = max(most, WORK_FACTOR * work)
            self._tests[number] = _relax_limits(ProblemTest.of(target.problem, need)), most
        test, most = self._tests[number]
        self.counts.graded += 1
        program = adapted(function, view, target.names[0], most)
        verdict = await test.grade(self._sandbox, program)
        self.counts.passed += verdict.passed
        return verdict.passed


def _relax_limits(test: ProblemTest) -> ProblemTest:
    """Relax the time limits of a test, since counted work ends it."""
    given = test.limits
    call_s = tuple(TIME_FACTOR * one for one in given.call_s)
    relaxed = replace(
        given, cpu_s=TIME_FACTOR * given.cpu_s, wall_s=TIME_FACTOR * given.wall_s, call_s=call_s
    )
    return replace(test, limits=relaxed)


def _encode_target(
    view: View, target: _Target
) -> tuple[tuple[str, ...], bool, list[tuple[bytes, Any]]]:
    """Encode a problem under a view for the prefilter."""
    examples = target.examples
    calls = [(marshal.dumps(apply_view(view, one.arguments), 2), one.expected) for one in examples]
    return argument_types(view, examples), is_exact(target.examples), calls
