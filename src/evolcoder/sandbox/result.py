"""What became of a program, put together from what its worker and its cell said.

What a test that ran apart from its candidate found, as its process wrote it (`Asserts`).

Promises: any bytes give a finding of known kind and bounded size, or none. The process that writes
it holds the test, which may come from a data set or a model, so nothing about it is taken for
granted.

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
"""Longest report of a cell that is read."""


_SAID_OTHERWISE = {IDLE: Status.TIMEOUT, KILLED: Status.MEMORY}
"""What a program is said to have gone over that ended for a reason without a limit's name. One that
is killed again when it is run again uses more memory than there is."""


class RunOutcome(NamedTuple):
    """What became of a program once."""

    execution: Execution
    """What there is to say of it."""
    is_final: bool
    """Whether more processor time would not have changed it."""


def has_begun(channels: Memfds) -> bool:
    """Tell whether a program was closed in and on its way when its worker ended."""
    report = _Report(channels.read("report", REPORT_BYTES)[0].decode("utf-8", "replace"))
    return report.ready and not report.broken


def outcome_of(end: End, channels: Memfds, order: JobSpec, layers: Sequence[Layer]) -> RunOutcome:
    """Put together what became of a program; raise SandboxError if it never began."""
    report = _Report(channels.read("report", REPORT_BYTES)[0].decode("utf-8", "replace"))
    if report.broken or not report.ready:
        raise SandboxError(f"a program could not be closed in: {report.broken or 'no word'}")
    limits = order.limits
    answers, flooded = channels.read("answers", limits.answers_mb << 20)
    begun = report.compiled_at or end.ended
    cpu_s = end.cpu_s - report.cpu_before
    output, flooded_out = channels.read("stdout", limits.output_kb << 10)
    errors, flooded_err = channels.read("stderr", limits.output_kb << 10)
    code = end.code if report.code is None else report.code
    status = _status(end, report, over_cpu=cpu_s >= order.cpu_s, code=code)
    if status is Status.FINISHED and (flooded or flooded_out or flooded_err):
        status = Status.OUTPUT
    execution = Execution(
        status=status,
        exit_code=code if status in {Status.FINISHED, Status.COMPILE_ERROR} else None,
        stdout=output,
        stderr=errors,
        answers=answers,
        checks=order.vouched(answers),
        failed_check=order.failed(output, errors) if status is Status.FINISHED and code else None,
        cpu_s=max(cpu_s, 0.0),
        wall_s=end.ended - begun,
        peak_mb=end.peak_bytes / 2**20,
        compile_s=begun - end.begun,
        layers=tuple(layers),
        missing=missing_from(layers),
    )
    return RunOutcome(execution, status is not Status.TIMEOUT or end.why == IDLE)


class _Report:
    """What a cell said of its own progress."""

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
        return _SAID_OTHERWISE.get(end.why) or Status(end.why)
    if over_cpu and code < 0:
        return Status.TIMEOUT
    return Status.FINISHED


MOST_BYTES = 1 << 14
"""Longest finding: three texts of a few hundred characters each."""
MOST_CHECKS = 1 << 20
"""Checks have smaller numbers."""


class AssertFinding(NamedTuple):
    """What a test found."""

    kind: Kind
    """The finding."""
    check: int | None
    """Number of the assertion that decided it; None where none did, or what came before all."""
    expected: str
    """The line that did not hold, shortened."""
    got: str
    """What the candidate had answered last, shortened."""
    detail: str
    """What else there is to say."""


def read_finding(answers: bytes) -> AssertFinding | None:
    """Read a finding; None where there is none, or something else."""
    if not answers or len(answers) > MOST_BYTES:
        return None
    try:
        found: Any = json.loads(answers)
        finding = AssertFinding(
            Kind(found["kind"]), *(found[name] for name in AssertFinding._fields[1:])
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    check = finding.check
    is_number = check is None or (type(check) is int and -1 <= check < MOST_CHECKS)
    if not is_number or set(map(type, finding[2:])) != {str}:
        return None
    return finding._replace(check=None) if check == -1 else finding
