"""Builds an `Execution` from a finished job, and parses the finding of an `Asserts` test.

An execution combines what the worker measured with what the isolated process reported.
`read_finding` returns a finding of known kind and bounded size, or None, for any bytes: the process
that writes it runs a test from a data set or a model and is not trusted.

>>> read_finding(b'{"kind": "passed", "check": null, "expected": "", "got": "", "detail": ""}').kind
<Kind.PASSED: 'passed'>
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from evolcoder.errors import SandboxError
from evolcoder.sandbox.base import Execution, Kind, Layer, Status, missing_from
from evolcoder.sandbox.inside.protocol import IDLE, KILLED, End
from evolcoder.sandbox.job import JobSpec
from evolcoder.sandbox.memfds import Memfds

REPORT_BYTES = 4096
"""Longest report that is read."""


_OTHER_REASONS = {IDLE: Status.TIMEOUT, KILLED: Status.MEMORY}
"""Statuses for reasons that name no limit. A program that is killed again on its second run needs
more memory than the machine has."""


class RunOutcome(NamedTuple):
    """Result of one run of a program."""

    execution: Execution
    """The execution."""
    is_final: bool
    """Whether more CPU time could not have changed it."""


def has_begun(channels: Memfds) -> bool:
    """Return whether a program had started, fully isolated, when its worker ended."""
    report = _Report(channels.read("report", REPORT_BYTES)[0].decode("utf-8", "replace"))
    return report.ready and not report.broken


def outcome_of(end: End, channels: Memfds, spec: JobSpec, layers: Sequence[Layer]) -> RunOutcome:
    """Build the outcome of a run; raise SandboxError if the program never started."""
    report = _Report(channels.read("report", REPORT_BYTES)[0].decode("utf-8", "replace"))
    if report.broken or not report.ready:
        raise SandboxError(f"cannot isolate a program: {report.broken or 'no report'}")
    limits = spec.limits
    answers, flooded = channels.read("answers", limits.answers_mb << 20)
    begun = report.compiled_at or end.ended
    cpu_s = end.cpu_s - report.cpu_before
    output, flooded_out = channels.read("stdout", limits.output_kb << 10)
    errors, flooded_err = channels.read("stderr", limits.output_kb << 10)
    code = end.code if report.code is None else report.code
    status = _status(end, report, over_cpu=cpu_s >= spec.cpu_s, code=code)
    if status is Status.FINISHED and (flooded or flooded_out or flooded_err):
        status = Status.OUTPUT
    execution = Execution(
        status=status,
        exit_code=code if status in {Status.FINISHED, Status.COMPILE_ERROR} else None,
        stdout=output,
        stderr=errors,
        answers=answers,
        checks=spec.confirmed_checks(answers),
        failed_check=spec.failed_check(output, errors)
        if status is Status.FINISHED and code
        else None,
        cpu_s=max(cpu_s, 0.0),
        wall_s=end.ended - begun,
        peak_mb=end.peak_bytes / 2**20,
        compile_s=begun - end.begun,
        layers=tuple(layers),
        missing=missing_from(layers),
    )
    return RunOutcome(execution, status is not Status.TIMEOUT or end.why == IDLE)


class _Report:
    """Parsed progress report of an isolated process."""

    def __init__(self, text: str) -> None:
        self.ready = self.uncompiled = False
        self.broken = ""
        self.compiled_at, self.cpu_before = 0.0, 0.0
        self.code: int | None = None
        for line in text.splitlines():
            word, _, rest = line.partition(" ")
            if word == "ready":
                self.ready = True
            elif word == "uncompiled":
                self.uncompiled = True
            elif word == "broken":
                self.broken = rest
            elif word == "compiled":
                self.compiled_at, self.cpu_before = map(float, rest.split())
            elif word == "done":
                self.code = int(rest)


def _status(end: End, report: _Report, *, over_cpu: bool, code: int) -> Status:
    if report.uncompiled or not report.compiled_at:
        return Status.COMPILE_ERROR
    if end.why:
        return _OTHER_REASONS.get(end.why) or Status(end.why)
    if over_cpu and code < 0:
        return Status.TIMEOUT
    return Status.FINISHED


FINDING_BYTES = 1 << 14
"""Longest finding: three texts of a few hundred characters each."""
MAX_CHECKS = 1 << 20
"""Exclusive upper bound of check numbers."""


class AssertFinding(NamedTuple):
    """Finding of an `Asserts` test."""

    kind: Kind
    """The outcome."""
    check: int | None
    """Number of the deciding assertion; None if none decided or the failure preceded all."""
    expected: str
    """The failed line, shortened."""
    got: str
    """The candidate's last answer, shortened."""
    detail: str
    """Further detail."""


def read_finding(answers: bytes) -> AssertFinding | None:
    """Parse a finding; return None for anything else."""
    if not answers or len(answers) > FINDING_BYTES:
        return None
    try:
        found: Any = json.loads(answers)
        finding = AssertFinding(
            Kind(found["kind"]), *(found[name] for name in AssertFinding._fields[1:])
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    check = finding.check
    is_number = check is None or (type(check) is int and -1 <= check < MAX_CHECKS)
    if not is_number or set(map(type, finding[2:])) != {str}:
        return None
    return finding._replace(check=None) if check == -1 else finding
