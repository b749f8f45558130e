"""Checks of benchmark problems: grades candidates, and measures references on this machine.

`ProblemTest` grades a candidate with the grader and limits that its problem's checks need.
Guarantees: a candidate's limits scale with what the problem's reference used on this machine, so
that slow machines give the same verdicts.

`ReferenceChecks` tests that a problem's reference passes and its stub fails, and caches the
measurements. Guarantees: these controls of a problem are run in the sandbox once per machine,
environment and version of the data, and cached if they behave as expected; a faulty control is
measured again each time. For problems that are checked by calls, the reference's answers are the
expected ones: it is run twice, and both runs must agree. The expected values of a test in another
language are serialised once, by a program without candidate; if that fails the test runs sealed,
and it is tried again each time.

>>> test = ProblemTest.of(problem, measured)   # doctest: +SKIP
>>> verdict = await test.grade(sandbox, candidate.program)   # doctest: +SKIP
>>> (await controls.finding(problem)).fault   # doctest: +SKIP
''
"""

import hashlib
import json
import math
import platform
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from evolcoder.bench.base import (
    AssertChecks,
    CallChecks,
    Checks,
    HarnessChecks,
    Problem,
    ProgramChecks,
    UnittestChecks,
)
from evolcoder.code.stateless import keeps_no_state
from evolcoder.errors import BenchError, UnjudgedError
from evolcoder.grading.answers import decode_answer
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.grading.calls import CallTest, grade_calls, run_calls
from evolcoder.grading.harness import grade_harness, library_limits
from evolcoder.grading.sealed import (
    ProgramTest,
    expected_lines,
    grade_program,
    harness_programs,
    split_test,
)
from evolcoder.grading.slow_calls import DividedCalls, divide, grade_divided
from evolcoder.grading.unittests import LIBRARY, grade_unittests
from evolcoder.ids import content_id
from evolcoder.sample_errors import UNJUDGED, judging
from evolcoder.sandbox.base import Kind, Limits, Sandbox, Status, Verdict
from evolcoder.storage import atomic
from evolcoder.storage.database import BLOB, NUMBER, TEXT, Columns, Database
from evolcoder.text import one_line

FUNCTION = Limits(cpu_s=3, wall_s=60, memory_mb=1024)
"""For a Python function with an assert-style test."""
CALLED = Limits(cpu_s=20, wall_s=120, memory_mb=1024)
"""For a Python function called with many inputs, on top of its reference's usage."""
CALL_S = 1.0
"""CPU seconds of one such call, on top of its reference's usage; EvalPlus gives 1 s of time. The
original benchmark's calls and the import share the limit that the original benchmark gives."""
PROGRAM = Limits(cpu_s=15, wall_s=90, memory_mb=2048, processes=128, compile_s=120)
"""For a program in another language; there is no reference to measure."""
FACTOR = 5
"""Multiple of the reference's CPU time that a candidate may use on top of the base limit."""
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class ReferenceMeasurement:
    """Resource usage of a problem's reference on this machine, and the expected answers."""

    cpu_s: float = 0.0
    """CPU seconds; 0 without a reference."""
    peak_mb: float = 0.0
    """Peak memory."""
    calls_s: tuple[float, ...] = ()
    """CPU seconds of each call; empty if all calls together are fast."""
    answers: tuple[bytes, ...] = field(default=(), repr=False)
    """The reference's encoded answer to each call, or the lines expected by a test in another
    language. Empty for checks that contain their answers and for sealed tests."""

    def limits(self, checks: Checks) -> Limits:
        """Return the limits of a candidate."""
        base = _base(checks)
        answers_mb = base.answers_mb + 2 * sum(map(len, self.answers)) // MB
        return replace(
            base,
            cpu_s=base.cpu_s + FACTOR * self.cpu_s,
            wall_s=base.wall_s + 2 * FACTOR * self.cpu_s,
            memory_mb=max(base.memory_mb, int(2 * self.peak_mb)),
            answers_mb=answers_mb,
            file_mb=max(base.file_mb, answers_mb),
            expected_s=self.cpu_s,
            **(self._call_limits(checks) if isinstance(checks, CallChecks) else {}),
        )

    def limits_of_calls(self, checks: CallChecks, numbers: Sequence[int], n_base: int) -> Limits:
        """Return the limits of a candidate that makes only these calls, `n_base` of them first."""
        calls_s = tuple(self.calls_s[number] for number in numbers)
        answers = tuple(self.answers[number] for number in numbers)
        part = replace(self, cpu_s=sum(calls_s), calls_s=calls_s, answers=answers)
        inputs = tuple(checks.inputs[number] for number in numbers)
        return part.limits(replace(checks, inputs=inputs, n_base=n_base))

    def _call_limits(self, checks: CallChecks) -> dict[str, Any]:
        calls_s = self.calls_s or (self.cpu_s,)
        base_s = sum(self.calls_s[: checks.n_base]) if self.calls_s else self.cpu_s
        return {
            "call_s": tuple(CALL_S + FACTOR * call_s for call_s in calls_s),
            "first_calls": checks.n_base,
            "first_s": FUNCTION.cpu_s + FACTOR * base_s,
        }


@dataclass(frozen=True, slots=True)
class ProblemTest:
    """A problem's parsed test, shared by all candidates."""

    checks: Checks = field(repr=False)
    """The benchmark's checks."""
    limits: Limits
    """Limits of a candidate."""
    calls: CallTest | None = field(repr=False)
    """Calls with the reference's answers, for `CallChecks`."""
    asserts: AssertTest | None = field(repr=False)
    """Parsed assert-style test, for `AssertChecks`."""
    program: ProgramTest | None = field(default=None, repr=False)
    """Test in another language, for `ProgramChecks`."""
    divided: DividedCalls | None = field(default=None, repr=False)
    """`calls` in parts, if several of them take the reference long."""

    @classmethod
    def of(cls, problem: Problem, measured: ReferenceMeasurement) -> Self:
        """Parse a problem's test."""
        checks, limits = problem.checks, measured.limits(problem.checks)
        calls = asserts = program = divided = None
        if isinstance(checks, CallChecks):
            calls = CallTest.from_lines(
                checks.entry_point,
                inputs=checks.inputs,
                lines=measured.answers,
                atol=checks.atol,
                oracle=checks.oracle,
            )
            limits_of = partial(measured.limits_of_calls, checks)
            divided = divide(calls, measured.calls_s, checks.n_base, limits_of)
        elif isinstance(checks, AssertChecks):
            asserts = AssertTest.of(checks.entry_points, checks.test_source, check=checks.check)
        elif isinstance(checks, ProgramChecks):
            program = ProgramTest.of(
                checks.language, checks.tests, measured.answers, checks.sealed_tests
            )
        return cls(checks, limits, calls, asserts, program, divided)

    async def grade(self, sandbox: Sandbox, program: str) -> Verdict:
        """Grade one program, or raise SandboxError."""
        if self.divided is not None and keeps_no_state(program):
            return await grade_divided(sandbox, program, self.divided, self.limits)
        if self.calls is not None:
            return await grade_calls(sandbox, program, self.calls, self.limits)
        if self.asserts is not None:
            return await grade_asserts(sandbox, program, self.asserts, self.limits)
        if self.program is not None:
            return await grade_program(sandbox, program, self.program, self.limits)
        if isinstance(self.checks, UnittestChecks):
            return await grade_unittests(sandbox, program, self.checks, self.limits)
        assert isinstance(self.checks, HarnessChecks)
        return await grade_harness(sandbox, program, self.checks, self.limits)


def _base(checks: Checks) -> Limits:
    if isinstance(checks, HarnessChecks):
        return library_limits(checks.library)
    if isinstance(checks, UnittestChecks):
        return LIBRARY
    if isinstance(checks, CallChecks):
        return CALLED
    return PROGRAM if isinstance(checks, ProgramChecks) else FUNCTION


GENEROUS = Limits(cpu_s=120, wall_s=300, memory_mb=6144, answers_mb=512, file_mb=512, compile_s=300)
"""For references, which are known to terminate."""
COSTLY_S = 0.05
"""CPU seconds of the reference above which its calls are timed one by one."""
UNKNOWN = ReferenceMeasurement(cpu_s=20.0, peak_mb=1024.0)
"""Assumed usage of a reference that has not run yet."""
MIGRATIONS: Sequence[str] = (
    """CREATE TABLE controls (
        key TEXT PRIMARY KEY, reference TEXT NOT NULL, stub TEXT NOT NULL,
        cpu_s REAL NOT NULL, peak_mb REAL NOT NULL, answers BLOB NOT NULL
    )""",
    "ALTER TABLE controls ADD COLUMN calls_s TEXT NOT NULL DEFAULT '[]'",
    "CREATE TABLE expected (key TEXT PRIMARY KEY, lines BLOB NOT NULL)",
)
RULES = 2
"""Part of every cache key; increment it when the meaning of a control changes."""
_TIMED = """
def processor_seconds_of_call(*arguments):
    import time
    begun = time.process_time()
    try:
        {function}(*arguments)
    except Exception:
        pass
    return time.process_time() - begun
"""
"""Appended to a reference; references are trusted, so they are timed in their own process."""
_TIME_BYTES = 100
"""Most bytes of an encoded number of seconds."""
_UNJUDGED = f"{Kind.ERROR}: {UNJUDGED}"
NONE = "none"
"""Stored instead of a verdict if the data set has no reference."""
MOST_ANSWERS = 64 << 20
"""Most bytes of answers that are cached; the few larger ones are computed each time."""
_FINDING = Columns(reference=TEXT, stub=TEXT)
_EXPECTED = Columns(lines=BLOB)
_NEED = Columns(cpu_s=NUMBER, peak_mb=NUMBER, answers=BLOB, calls_s=TEXT)


@dataclass(frozen=True, slots=True)
class ReferenceFinding:
    """Verdicts on a problem's reference and stub on this machine."""

    reference: str
    """Kind of the verdict on the reference, with details if it did not pass; or `none`."""
    stub: str
    """Kind of the verdict on the stub, with details."""

    @property
    def fault(self) -> str:
        """Why verdicts on this problem are meaningless on this machine; empty if they are valid."""
        if self.reference not in {Kind.PASSED, NONE}:
            return f"its reference does not pass: {self.reference}"
        if self.stub.startswith(_UNJUDGED):
            return f"its stub has no verdict: {self.stub}"
        return "its stub passes" if self.stub == Kind.PASSED else ""


class ReferenceChecks:
    """Runs problems' controls, with a cache file that evaluations share."""

    def __init__(
        self,
        path: Path,
        sandbox: Sandbox,
        environment: str,
        tools: Callable[[str], str] = str,
    ) -> None:
        atomic.make_folder(path.parent, error=BenchError)
        self._db = Database(path, MIGRATIONS, remedy="delete it; it is created again")
        self._sandbox = sandbox
        self._environment = [RULES, sys.version, platform.machine(), _processor(), environment]
        self._tools = tools

    async def finding(self, problem: Problem) -> ReferenceFinding:
        """Return the verdicts on a problem's controls, cached if possible, or raise SandboxError.

        Any other failure while they are judged is a finding with a fault.
        """
        try:
            with judging():
                key = self._key(problem)
                query = "SELECT reference, stub FROM controls WHERE key=?"
                for reference, stub in self._db.each(_FINDING.validate, query, (key,)):
                    return ReferenceFinding(reference, stub)
                return (await self._measure_and_cache(key, problem))[0]
        except UnjudgedError as error:
            message = f"{Kind.ERROR}: {error}"
            return ReferenceFinding(NONE if problem.reference is None else message, message)

    async def measurement(self, problem: Problem) -> ReferenceMeasurement:
        """Return a reference's resource usage and the expected answers, or raise SandboxError."""
        if problem.reference is None and isinstance(problem.checks, ProgramChecks):
            return ReferenceMeasurement(answers=await self._expected(problem, problem.checks))
        key = self._key(problem)
        query = "SELECT cpu_s, peak_mb, answers, calls_s FROM controls WHERE key=?"
        for measured in self._db.each(partial(_measurement_from, problem=problem), query, (key,)):
            return measured
        return (await self._measure_and_cache(key, problem))[1]

    def close(self) -> None:
        """Commit and close the cache file."""
        self._db.close()

    def _key(self, problem: Problem) -> str:
        texts = [repr(problem)]
        if isinstance(problem.checks, ProgramChecks):
            language = problem.checks.language
            texts += [self._tools(language), *harness_programs(problem, problem.checks)]
        digests = [hashlib.sha256(t.encode("utf-8", "surrogatepass")).hexdigest() for t in texts]
        return content_id("control", [*self._environment, *digests])

    async def _expected(self, problem: Problem, checks: ProgramChecks) -> tuple[bytes, ...]:
        """Return a test's expected output lines, cached; empty if the test runs sealed."""
        split = split_test(checks.language, checks.tests)
        if split is None:
            return ()
        key = self._key(problem)
        query = "SELECT lines FROM expected WHERE key=?"
        for lines in self._db.each(partial(_lines_from, problem=problem), query, (key,)):
            return lines
        lines = await expected_lines(
            self._sandbox, checks.language, problem.prompt, split, GENEROUS
        )
        if lines:
            packed = zlib.compress(b"\n".join(lines), 1)
            self._db.write("INSERT OR REPLACE INTO expected VALUES (?, ?)", (key, packed))
        return lines

    async def _measure_and_cache(
        self, key: str, problem: Problem
    ) -> tuple[ReferenceFinding, ReferenceMeasurement]:
        """Run a problem's controls; cache the result unless it has a fault."""
        finding, measured = await self._measure(problem)
        if not finding.fault and sum(map(len, measured.answers)) < MOST_ANSWERS:
            packed = zlib.compress(b"\n".join(measured.answers), 1)
            usage = (measured.cpu_s, measured.peak_mb, packed, json.dumps(measured.calls_s))
            values = (key, finding.reference, finding.stub, *usage)
            self._db.write("INSERT OR REPLACE INTO controls VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return finding, measured

    async def _measure(self, problem: Problem) -> tuple[ReferenceFinding, ReferenceMeasurement]:
        measured, reference = UNKNOWN, NONE
        if isinstance(problem.checks, CallChecks):
            measured, reference = await self._run_reference(problem.checks)
        if isinstance(problem.checks, ProgramChecks):
            measured = replace(UNKNOWN, answers=await self._expected(problem, problem.checks))
        if problem.reference is not None and reference == NONE:
            test = ProblemTest.of(problem, measured)
            verdict = await test.grade(self._sandbox, problem.reference)
            reference, execution = _summary(verdict), verdict.execution
            measured = replace(measured, cpu_s=execution.cpu_s, peak_mb=execution.peak_mb)
        elif not isinstance(problem.checks, CallChecks):
            measured = ReferenceMeasurement(answers=measured.answers)
        stub = await ProblemTest.of(problem, measured).grade(self._sandbox, problem.stub)
        return ReferenceFinding(reference, _summary(stub)), measured

    async def _run_reference(self, checks: CallChecks) -> tuple[ReferenceMeasurement, str]:
        """Call the reference with every input; return its usage, and an error message or `none`."""
        answers, execution = await run_calls(
            self._sandbox, checks.reference, checks.entry_point, checks.inputs, GENEROUS
        )
        calls_s = await self._times(checks) if execution.cpu_s > COSTLY_S else ()
        measured = ReferenceMeasurement(execution.cpu_s, execution.peak_mb, calls_s, tuple(answers))
        if execution.status is not Status.FINISHED or len(answers) != len(checks.inputs):
            message = f"{execution.status}: {len(answers)} of {len(checks.inputs)} answers"
            return ReferenceMeasurement(answers=(b"",) * len(checks.inputs)), message
        return measured, NONE

    async def _times(self, checks: CallChecks) -> tuple[float, ...]:
        """Measure the reference's CPU seconds of each call."""
        timed = f"{checks.reference}\n{_TIMED.format(function=checks.entry_point)}"
        answers, _ = await run_calls(
            self._sandbox, timed, "processor_seconds_of_call", checks.inputs, GENEROUS
        )
        times = [decode_answer(line[:_TIME_BYTES]).value for line in answers]
        return tuple(round(one, 3) if isinstance(one, float) else 0.0 for one in times)


def _measurement_from(columns: Sequence[Any], *, problem: Problem) -> ReferenceMeasurement:
    """Decode a cached row, or raise ValueError if it cannot be this problem's."""
    cpu_s, peak_mb, packed, calls_s = _NEED.validate(columns)
    answers = _unpacked(packed, problem)
    times = json.loads(calls_s)
    if not all(isinstance(one, int | float) and 0 <= one < math.inf for one in times):
        raise ValueError("calls_s has a value that is not a duration")
    if len(times) not in {0, len(answers)}:
        raise ValueError(f"{len(times)} times for {len(answers)} calls")
    return ReferenceMeasurement(cpu_s, peak_mb, tuple(times), answers)


def _lines_from(columns: Sequence[Any], *, problem: Problem) -> tuple[bytes, ...]:
    """Decode cached lines, or raise ValueError if they cannot be this problem's."""
    (packed,) = _EXPECTED.validate(columns)
    return _unpacked(packed, problem)


def _unpacked(packed: bytes, problem: Problem) -> tuple[bytes, ...]:
    """Decompress answers; raise ValueError if their number does not fit the problem."""
    most = max(_n_answers(problem))
    text = zlib.decompressobj().decompress(packed, 2 * MOST_ANSWERS)
    answers = tuple(text.split(b"\n", most)) if text else ()
    if len(answers) not in _n_answers(problem):
        raise ValueError(f"{len(answers)} answers for {most} calls")
    return answers


def _n_answers(problem: Problem) -> set[int]:
    """Return the numbers of answers that a problem's cached row may have."""
    checks = problem.checks
    if isinstance(checks, CallChecks):
        return {len(checks.inputs)}
    split = split_test(checks.language, checks.tests) if isinstance(checks, ProgramChecks) else None
    return {0, len(split.comparisons)} if split else {0}


def _summary(verdict: Verdict) -> str:
    """Return the verdict's kind, with details if it did not pass."""
    if verdict.passed:
        return verdict.kind
    detail = verdict.detail or f"check {verdict.check}: {verdict.got}, not {verdict.expected}"
    return one_line(f"{verdict.kind}: {detail}", 200)


def _processor() -> str:
    """Return the CPU model, which is part of the key because times are cached."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), "")
