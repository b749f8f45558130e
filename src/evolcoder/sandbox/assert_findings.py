"""What a test that ran apart from its candidate found, as its process wrote it (`Asserts`).

Promises: any bytes give a finding of known kind and bounded size, or none. The process that writes
it holds the test, which may come from a data set or a model, so nothing about it is taken for
granted.

>>> read_finding(b'{"kind": "passed", "check": null, "expected": "", "got": "", "detail": ""}').kind
<Kind.PASSED: 'passed'>
"""

import json
from typing import Any, NamedTuple

from evolcoder.sandbox.base import Kind

MOST_BYTES = 1 << 14
"""Longest finding: three texts of a few hundred characters each."""
MOST_CHECKS = 1 << 20
"""Checks have smaller numbers."""


class Finding(NamedTuple):
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


def read_finding(answers: bytes) -> Finding | None:
    """Read a finding; None where there is none, or something else."""
    if not answers or len(answers) > MOST_BYTES:
        return None
    try:
        found: Any = json.loads(answers)
        finding = Finding(Kind(found["kind"]), *(found[name] for name in Finding._fields[1:]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    check = finding.check
    is_number = check is None or (type(check) is int and -1 <= check < MOST_CHECKS)
    if not is_number or set(map(type, finding[2:])) != {str}:
        return None
    return finding._replace(check=None) if check == -1 else finding
