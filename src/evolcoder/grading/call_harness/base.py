"""The call harness interface: programs call a candidate, and this process compares the results.

A test that compares calls with values is split into two programs. One contains the candidate and
the calls, and serialises their results; the other contains the expected values and no candidate.
Each writes one line per comparison to file descriptor 3, in order, flushed before the next call.
This process compares the lines. A candidate controls what its process reports, but it never sees
the expected values.

Guarantees: `split`, `calling_program` and `expected_program` never raise; `same` takes linear time
and never raises for any line.

>>> HARNESSES["cpp"].split("} int main() { assert(f(1) == (2)); }").comparisons  # doctest: +SKIP
(Comparison(call='f(1)', expected='(2)', relation=''),)
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

ANSWERS = 3
"""File descriptor to which both programs write their lines."""
MAX_LENGTH_RATIO = 8
"""How many times longer than the expected line an equal line can be."""
RANDOM_SUFFIX = "[0-9a-f]{16}"
"""Regex of the random part of a fresh name."""
MAX_EXTRA_BYTES = 1 << 12
"""Bytes by which an equal line can be longer on top of MAX_LENGTH_RATIO."""


class Comparison(NamedTuple):
    """One check of a test: a call and the value that its result is compared with."""

    call: str
    """Source of the expression that calls the candidate, as in the test."""
    expected: str
    """Source of the expression that the result is compared with."""
    relation: str = ""
    """How the test compares them, for languages whose tests do so in several ways; names are
    defined by each harness. `same` does not receive it: expected programs include it in their
    lines."""


@dataclass(frozen=True, slots=True)
class SplitTest:
    """A test split into the code before its checks and the checks."""

    head: str
    """Code before the comparisons that the calls need (what closes the open prompt, an alias of the
    candidate, helpers, imports), without any expected value."""
    comparisons: tuple[Comparison, ...]
    """The checks, in order; at least one."""


def equal_lines(got: bytes, expected: bytes) -> bool:
    """Compare two lines byte by byte."""
    return got == expected


def is_plausible_length(got: bytes, expected: bytes) -> bool:
    """Whether a line is short enough to be another spelling of the expected line."""
    return len(got) <= MAX_LENGTH_RATIO * len(expected) + MAX_EXTRA_BYTES


@dataclass(frozen=True, slots=True)
class CallHarness:
    """Splits the tests of a language into programs, and compares the lines that they write."""

    language: str
    """A key of `evolcoder.programming_language.LANGUAGES`."""
    split: Callable[[str], SplitTest | None] = field(repr=False)
    """Splits a test; None if it does more than compare calls with values and has to run sealed."""
    calling_program: Callable[[str, SplitTest], str] = field(repr=False)
    """Builds the program that calls the candidate and serialises the results, from the candidate's
    source (a prompt with its continuation, left open for the test). Code added before the source
    uses fully qualified names and a `fresh_name`, so that it does not clash with the candidate."""
    expected_program: Callable[[str, SplitTest], str] = field(repr=False)
    """Builds the program that serialises the expected values, at the result's declared type if the
    language has one. It uses the problem's prompt for its types and contains no candidate. It is
    deterministic, since its text is part of the cache key of its lines."""
    same: Callable[[bytes, bytes], bool] = field(default=equal_lines, repr=False)
    """Compares a candidate's line (first) with the expected line, as the test would."""


def fresh_name(prefix: str = "h") -> str:
    """Return a random identifier that no program can predict."""
    return f"{prefix}{secrets.token_hex(8)}"
