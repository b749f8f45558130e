"""Controls: a benchmark is only believed where its reference passes and its stub does not.

Promises: what a problem's controls gave is measured in the sandbox, once per machine and version of
the data, and kept if they are sound; a fault is measured anew each time. The reference's answers
are the expected ones of a problem that is checked by calls: it is run twice, and must answer alike.
What a test in another language expects is serialised once in the same way, by a program that holds
no candidate; where that fails the test is sealed, and it is tried again each time.

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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from evolcoder.bench.base import CallChecks, Problem, ProgramChecks
from evolcoder.errors import BenchError, UnjudgedError
from evolcoder.grading.answers import read_answer
from evolcoder.grading.calls import answers_of
from evolcoder.grading.problem_test import ProblemTest, TestNeeds
from evolcoder.grading.sealed import expected_lines, harness_texts, split_test
from evolcoder.ids import content_id
from evolcoder.sample_errors import UNJUDGED, judging
from evolcoder.sandbox.base import Kind, Limits, Sandbox, Status, Verdict
from evolcoder.storage import atomic
from evolcoder.storage.database import BLOB, NUMBER, TEXT, Columns, Database
from evolcoder.text import one_line

GENEROUS = Limits(cpu_s=120, wall_s=300, memory_mb=6144, answers_mb=512, file_mb=512, compile_s=300)
"""For a reference, which is known to end."""
COSTLY_S = 0.05
"""From so much processor time of the reference on, its calls are timed one by one."""
UNKNOWN = TestNeeds(cpu_s=20.0, peak_mb=1024.0)
"""Taken for what a reference needs until it has run."""
MIGRATIONS: Sequence[str] = (
    """CREATE TABLE controls (
        key TEXT PRIMARY KEY, reference TEXT NOT NULL, stub TEXT NOT NULL,
        cpu_s REAL NOT NULL, peak_mb REAL NOT NULL, answers BLOB NOT NULL
    )""",
    "ALTER TABLE controls ADD COLUMN calls_s TEXT NOT NULL DEFAULT '[]'",
    "CREATE TABLE expected (key TEXT PRIMARY KEY, lines BLOB NOT NULL)",
)
RULES = 2
"""Goes into every key: raise it when the meaning of a control changes."""
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
"""Stands behind a reference, which is trusted to be timed in its own process."""
_TIME_BYTES = 100
"""Longest answer that is a number of seconds."""
_UNJUDGED = f"{Kind.ERROR}: {UNJUDGED}"
NONE = "none"
"""In place of a finding: the data set brings no reference."""


MOST_ANSWERS = 64 << 20
"""Bytes up to which a reference's answers are kept; those of a few are found anew each time."""
_FINDING = Columns(reference=TEXT, stub=TEXT)
_EXPECTED = Columns(lines=BLOB)
_NEED = Columns(cpu_s=NUMBER, peak_mb=NUMBER, answers=BLOB, calls_s=TEXT)


@dataclass(frozen=True, slots=True)
class ReferenceFinding:
    """What the reference and the stub of a problem gave on this machine."""

    reference: str
    """The kind of verdict on the reference, with what was seen if it did not pass; or `none`."""
    stub: str
    """The kind of verdict on the stub, with what was seen."""

    @property
    def fault(self) -> str:
        """Say why verdicts on this problem mean nothing here; empty if they do."""
        if self.reference not in {Kind.PASSED, NONE}:
            return f"its reference does not pass: {self.reference}"
        if self.stub.startswith(_UNJUDGED):
            return f"its stub has no verdict: {self.stub}"
        return "its stub passes" if self.stub == Kind.PASSED else ""


class ReferenceChecks:
    """The controls of problems, kept in a file that evaluations share."""

    def __init__(
        self,
        path: Path,
        sandbox: Sandbox,
        environment: str,
        tools: Callable[[str], str] = str,
    ) -> None:
        atomic.make_folder(path.parent, error=BenchError)
        self._db = Database(path, MIGRATIONS, remedy="delete it, it is made anew")
        self._sandbox = sandbox
        self._where = [RULES, sys.version, platform.machine(), _processor(), environment]
        self._tools = tools

    async def finding(self, problem: Problem) -> ReferenceFinding:
        """Say what a problem's controls gave, or raise SandboxError; what is kept was sound."""
        try:
            with judging():
                key = self._key(problem)
                query = "SELECT reference, stub FROM controls WHERE key=?"
                for reference, stub in self._db.each(_FINDING.validate, query, (key,)):
                    return ReferenceFinding(reference, stub)
                return (await self._fresh(key, problem))[0]
        except UnjudgedError as error:
            told = f"{Kind.ERROR}: {error}"
            return ReferenceFinding(NONE if problem.reference is None else told, told)

    async def need(self, problem: Problem) -> TestNeeds:
        """Return what a problem's reference took and answered, or raise SandboxError."""
        if problem.reference is None and isinstance(problem.checks, ProgramChecks):
            return TestNeeds(answers=await self._expected(problem, problem.checks))
        key = self._key(problem)
        query = "SELECT cpu_s, peak_mb, answers, calls_s FROM controls WHERE key=?"
        for need in self._db.each(partial(_need_from, problem=problem), query, (key,)):
            return need
        return (await self._fresh(key, problem))[1]

    def close(self) -> None:
        """Commit and let go of the file."""
        self._db.close()

    def _key(self, problem: Problem) -> str:
        held = [repr(problem)]
        if isinstance(problem.checks, ProgramChecks):
            language = problem.checks.language
            held += [self._tools(language), *harness_texts(problem, problem.checks)]
        digests = [hashlib.sha256(one.encode("utf-8", "surrogatepass")).hexdigest() for one in held]
        return content_id("control", [*self._where, *digests])

    async def _expected(self, problem: Problem, checks: ProgramChecks) -> tuple[bytes, ...]:
        """Return the lines that a test expects, kept from the first time; empty if it is sealed."""
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

    async def _fresh(self, key: str, problem: Problem) -> tuple[ReferenceFinding, TestNeeds]:
        """Measure the controls of a problem, and keep them if they are sound."""
        finding, need = await self._measured(problem)
        if not finding.fault and sum(map(len, need.answers)) < MOST_ANSWERS:
            packed = zlib.compress(b"\n".join(need.answers), 1)
            found = (key, finding.reference, finding.stub)
            values = (*found, need.cpu_s, need.peak_mb, packed, json.dumps(need.calls_s))
            self._db.write("INSERT OR REPLACE INTO controls VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return finding, need

    async def _measured(self, problem: Problem) -> tuple[ReferenceFinding, TestNeeds]:
        need, reference = UNKNOWN, NONE
        if isinstance(problem.checks, CallChecks):
            need, reference = await self._answered(problem.checks)
        if isinstance(problem.checks, ProgramChecks):
            need = replace(UNKNOWN, answers=await self._expected(problem, problem.checks))
        if problem.reference is not None and reference == NONE:
            test = ProblemTest.of(problem, need)
            verdict = await test.grade(self._sandbox, problem.reference)
            reference, took = _finding(verdict), verdict.execution
            need = replace(need, cpu_s=took.cpu_s, peak_mb=took.peak_mb)
        elif not isinstance(problem.checks, CallChecks):
            need = TestNeeds(answers=need.answers)
        stub = await ProblemTest.of(problem, need).grade(self._sandbox, problem.stub)
        return ReferenceFinding(reference, _finding(stub)), need

    async def _answered(self, checks: CallChecks) -> tuple[TestNeeds, str]:
        """Have the reference answer every call; say what is wrong if it does not."""
        answers, execution = await answers_of(
            self._sandbox, checks.reference, checks.entry_point, checks.inputs, GENEROUS
        )
        calls_s = await self._times(checks) if execution.cpu_s > COSTLY_S else ()
        need = TestNeeds(execution.cpu_s, execution.peak_mb, calls_s, tuple(answers))
        if execution.status is not Status.FINISHED or len(answers) != len(checks.inputs):
            told = f"{execution.status}: {len(answers)} of {len(checks.inputs)} answers"
            return TestNeeds(answers=(b"",) * len(checks.inputs)), told
        return need, NONE

    async def _times(self, checks: CallChecks) -> tuple[float, ...]:
        """Return the processor seconds that the reference takes for every call."""
        timed = f"{checks.reference}\n{_TIMED.format(function=checks.entry_point)}"
        answers, _ = await answers_of(
            self._sandbox, timed, "processor_seconds_of_call", checks.inputs, GENEROUS
        )
        times = [read_answer(line[:_TIME_BYTES]).value for line in answers]
        return tuple(round(one, 3) if isinstance(one, float) else 0.0 for one in times)


def _need_from(columns: Sequence[Any], *, problem: Problem) -> TestNeeds:
    """Decode what was kept, as far as it can be this problem's."""
    cpu_s, peak_mb, packed, calls_s = _NEED.validate(columns)
    answers = _unpacked(packed, problem)
    times = json.loads(calls_s)
    if not all(isinstance(one, int | float) and 0 <= one < math.inf for one in times):
        raise ValueError("calls_s holds what is no time")
    if len(times) not in {0, len(answers)}:
        raise ValueError(f"{len(times)} times of {len(answers)} calls")
    return TestNeeds(cpu_s, peak_mb, tuple(times), answers)


def _lines_from(columns: Sequence[Any], *, problem: Problem) -> tuple[bytes, ...]:
    """Decode expected lines, as far as they can be this problem's."""
    (packed,) = _EXPECTED.validate(columns)
    return _unpacked(packed, problem)


def _unpacked(packed: bytes, problem: Problem) -> tuple[bytes, ...]:
    """Decompress answers; those of another number than a problem has calls are damage."""
    most = max(_n_answers(problem))
    text = zlib.decompressobj().decompress(packed, 2 * MOST_ANSWERS)
    answers = tuple(text.split(b"\n", most)) if text else ()
    if len(answers) not in _n_answers(problem):
        raise ValueError(f"{len(answers)} answers to {most} calls")
    return answers


def _n_answers(problem: Problem) -> set[int]:
    """Return how many answers a problem's controls can have left."""
    checks = problem.checks
    if isinstance(checks, CallChecks):
        return {len(checks.inputs)}
    split = split_test(checks.language, checks.tests) if isinstance(checks, ProgramChecks) else None
    return {0, len(split.comparisons)} if split else {0}


def _finding(verdict: Verdict) -> str:
    if verdict.passed:
        return verdict.kind
    seen = verdict.detail or f"check {verdict.check}: {verdict.got}, not {verdict.expected}"
    return one_line(f"{verdict.kind}: {seen}", 200)


def _processor() -> str:
    """Return the processor's model, since times are kept."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), "")
