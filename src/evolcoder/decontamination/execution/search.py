"""Leakage by execution: a training answer whose function passes a benchmark's test is a leak.

Promises: every function of an answer is tried under every fitting signature of every problem,
whatever its name and wording; a hit is a pass of the benchmark's own test by the real grader, in
the sandbox. The first look, all problems in one sandboxed program, only decides which pairs are
graded; it costs one fork per function. The same answer gives the same hits in any order, at any
concurrency and on a machine as busy as may be: what works too much is ended by a count of its work
(`clean.work`), and a clock only ends what C does not come back from, at ten times what counted work
can take. A failure of the sandbox is a SandboxError, never a miss.
Does not run other languages than Python, or functions that need more than the standard library.

>>> search = await Search.over({"humaneval": bench.problems()}, sandbox, controls.measurement)
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

from evolcoder.bench.base import Problem
from evolcoder.bench.function_bench import entry_points
from evolcoder.code.functions import Function, functions_of
from evolcoder.code.instrument import counted
from evolcoder.decontamination.execution.agreement import Agreement, is_plain, size_of
from evolcoder.decontamination.execution.examples import (
    ProblemExample,
    View,
    examples_of,
    is_exact,
    kinds_of,
    seen_by,
    views_of,
)
from evolcoder.decontamination.execution.reference_cost import effort_of
from evolcoder.decontamination.execution.sandbox_programs import LEAST_WORK, adapted, trial
from evolcoder.grading.calls import run_calls
from evolcoder.grading.problem_test import ProblemTest, ReferenceMeasurement
from evolcoder.sandbox.base import Limits, Sandbox, Status

FIRST_LOOK = Limits(cpu_s=30, wall_s=900, memory_mb=256, processes=8, file_mb=4, answers_mb=4)
"""For one function and all problems; its work is counted (`clean.trial`) and ends much earlier."""
ALIKE = 0.7
"""From so much agreement on further inputs on, a function that passes solves its problem."""
FACTOR = 5
"""How many times the reference's work it may do, where that is more."""
QUICK_S = 0.1
"""A reference that takes no longer works far less than a fifth of `LEAST_WORK`."""
AMPLE = 10
"""How many times a candidate's time a test may take, since counted work ends before."""
MOST_SAID = 1 << 17
"""Longest answer of the first look that is read, in bytes: thousands of pairs."""
MAX_KEPT = 200_000
"""Functions whose findings are remembered."""

Needs = Callable[[Problem], Awaitable[ReferenceMeasurement]]
"""Says what a problem's reference takes, as `grade.controls` measures it."""


@dataclass(frozen=True, slots=True)
class PassedProblem:
    """A function of an answer that passes a benchmark's test."""

    bench: str
    """Name of the benchmark."""
    problem: str
    """Id of the problem."""
    function: str
    """Name of the function in the answer."""
    view: View | None
    """How its arguments are the problem's (`leakage.examples`); None for as they come."""
    size: int
    """How much there is to the problem's own solution (`leakage.plainness`)."""
    alike: float
    """How far it answers further inputs as the reference does, 1 for always and 0 for as often as
    by chance, on inputs like the test's, or less on some by its types (`leakage.likeness`)."""

    @property
    def tells(self) -> bool:
        """Whether it speaks of a leak: the problem is not plain, and more than its tests agree."""
        return not is_plain(self.size) and self.alike >= ALIKE


@dataclass(slots=True)
class SearchCounts:
    """What a search has done so far."""

    answers: int = 0
    """Answers looked at."""
    functions: int = 0
    """Functions found in them."""
    looked_at: int = 0
    """Functions that were run, equal ones once."""
    unfinished: int = 0
    """Of these, functions that the sandbox ended."""
    graded: int = 0
    """Pairs of function and problem that got the benchmark's test."""
    passed: int = 0
    """Pairs that passed it."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A problem that functions are held against."""

    bench: str
    problem: Problem
    names: tuple[str, ...]
    examples: tuple[ProblemExample, ...]
    views: tuple[View, ...]
    size: int


class ExecutionSearch:
    """A search for functions that solve problems of some benchmarks."""

    def __init__(self, targets: Sequence[_Target], sandbox: Sandbox, needs: Needs) -> None:
        self.tally = SearchCounts()
        self._targets = targets
        self._sandbox = sandbox
        self._needs = needs
        self._tests: dict[int, tuple[ProblemTest, int]] = {}
        self._likeness = Agreement(sandbox)
        self._found: dict[bytes, tuple[PassedProblem, ...]] = {}
        self._tables: dict[tuple[int, int], bytes] = {}
        self._namesakes = defaultdict[str, list[int]](list)
        for number, target in enumerate(targets):
            if len(target.names) == 1:
                self._namesakes[target.names[0]].append(number)

    @classmethod
    async def over(
        cls, benches: Mapping[str, Sequence[Problem]], sandbox: Sandbox, needs: Needs
    ) -> "ExecutionSearch":
        """Make the problems of some benchmarks ready."""
        targets = []
        for bench, problems in benches.items():
            for problem in problems:
                examples = await examples_of(problem, sandbox)
                views = views_of(examples) if examples else ()
                size = size_of(problem.reference or "")
                names = entry_points(problem)
                targets.append(_Target(bench, problem, names, examples, views, size))
        return cls(targets, sandbox, needs)

    async def passes(self, answer: str) -> tuple[PassedProblem, ...]:
        """Return what the functions of an answer pass, or raise SandboxError."""
        functions = functions_of(answer)
        self.tally.answers += 1
        self.tally.functions += len(functions)
        found = [await self._passes_of(function) for function in functions]
        return tuple(dict.fromkeys(one for some in found for one in some))

    async def _passes_of(self, function: Function) -> tuple[PassedProblem, ...]:
        """Look at a function once, however often it comes."""
        text = f"{function.name}\0{function.source}"
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key not in self._found:
            found = await self._fresh(function)
            if len(self._found) >= MAX_KEPT:
                self._found.clear()
            self._found[key] = found
        return self._found[key]

    async def _fresh(self, function: Function) -> tuple[PassedProblem, ...]:
        """Grade a function on every problem that it may solve, until one view passes."""
        source = counted(function.source)
        if source is None:
            return ()
        function = replace(function, source=source)
        found: dict[int, PassedProblem] = {}
        for number, view in await self._suspects(function):
            if number not in found and await self._solves(function, number, view):
                target = self._targets[number]
                program = adapted(function, view, target.names[0])
                alike = await self._likeness.of(program, target.problem, target.examples)
                found[number] = PassedProblem(
                    target.bench, target.problem.id, function.name, view, target.size, alike
                )
        return tuple(found[number] for number in sorted(found))

    async def _suspects(self, function: Function) -> list[tuple[int, View | None]]:
        """Take the first look; problems whose function has this very name need none."""
        named: list[tuple[int, View | None]] = [
            (number, None) for number in self._namesakes.get(function.name, ())
        ]
        table = self._table(function.least, function.most)
        if not table:
            return named
        self.tally.looked_at += 1
        given = [[function.source, function.name, function.returns, list(function.kinds), table]]
        lines, execution = await run_calls(self._sandbox, trial(), "trial", given, FIRST_LOOK)
        self.tally.unfinished += execution.status is not Status.FINISHED
        return [*named, *(self._pairs(lines[0]) if lines else ())]

    def _pairs(self, line: bytes) -> Iterator[tuple[int, View]]:
        """Read what the first look says, which a function may have forged: numbers and no more."""
        try:
            said = json.loads(line) if len(line) <= MOST_SAID else None
        except (ValueError, RecursionError):
            return
        match said:
            case ["l", "value", ["l", *pairs]]:
                yield from filter(None, map(self._pair, pairs))

    def _pair(self, pair: object) -> tuple[int, View] | None:
        match pair:
            case ["l", int(number), int(place)] if 0 <= number < len(self._targets):
                views = self._targets[number].views
                return (number, views[place]) if 0 <= place < len(views) else None
        return None

    def _table(self, least: int, most: int) -> bytes:
        """Return the problems that a function with so many arguments may solve; empty if none."""
        if (least, most) not in self._tables:
            entries = [
                (number, place, *_entry(view, target))
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
            most = LEAST_WORK
            if need.cpu_s > QUICK_S:
                effort = await effort_of(target.problem, self._sandbox)
                most = max(most, FACTOR * effort)
            self._tests[number] = _ample(ProblemTest.of(target.problem, need)), most
        test, most = self._tests[number]
        self.tally.graded += 1
        program = adapted(function, view, target.names[0], most)
        verdict = await test.grade(self._sandbox, program)
        self.tally.passed += verdict.passed
        return verdict.passed


def _ample(test: ProblemTest) -> ProblemTest:
    """Leave the end of a test to counted work."""
    given = test.limits
    call_s = tuple(AMPLE * one for one in given.call_s)
    ample = replace(given, cpu_s=AMPLE * given.cpu_s, wall_s=AMPLE * given.wall_s, call_s=call_s)
    return replace(test, limits=ample)


def _entry(view: View, target: _Target) -> tuple[tuple[str, ...], bool, list[tuple[bytes, Any]]]:
    """Write down a problem under a view for the first look."""
    examples = target.examples
    calls = [(marshal.dumps(seen_by(view, one.arguments), 2), one.expected) for one in examples]
    return kinds_of(view, examples), is_exact(target.examples), calls
