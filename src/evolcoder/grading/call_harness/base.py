"""What a harness is: code that calls a candidate and leaves comparing to the parent.

A test that compares calls with values is split. One program holds the candidate and the calls, and
serialises what they return; another holds the expected values and no candidate. Each writes one
line per comparison to descriptor 3, in order, flushed before the next call begins. The lines are
compared by us. A candidate can decide what its process reports; what is expected it never sees.

Promises: `split`, `calling_program` and `expected_program` never raise; `same` takes linear time
and never raises, whatever a line holds.

>>> HARNESSES["cpp"].split("} int main() { assert(f(1) == (2)); }").comparisons  # doctest: +SKIP
(Comparison(call='f(1)', expected='(2)', relation=''),)
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

ANSWERS = 3
"""The descriptor to which both programs write their lines."""
LONGER = 8
"""How many times as long as the expected line one can be that is worth reading."""
RANDOM = "[0-9a-f]{16}"
"""Regex of what is made up anew in every fresh name."""
SPARE = 1 << 12
"""Bytes that it may have on top."""


class Comparison(NamedTuple):
    """One check of a test: what is called, and what its result is compared with."""

    call: str
    """Source of the expression that calls the candidate, as it stands in the test."""
    expected: str
    """Source of the expression that the result is compared with."""
    relation: str = ""
    """How the test compares the two, in the harness's own words, where a language's tests do so in
    several ways. `same` is not told it: an expected program writes it into its lines."""


@dataclass(frozen=True, slots=True)
class SplitTest:
    """A test taken apart."""

    head: str
    """What of the test stands before its comparisons and is needed by the calls (what closes the
    open prompt, an alias of the candidate, helpers, imports), without any expected value."""
    comparisons: tuple[Comparison, ...]
    """Its checks in order; at least one."""


def equal_lines(got: bytes, expected: bytes) -> bool:
    """Compare two lines byte by byte."""
    return got == expected


def is_plausible(got: bytes, expected: bytes) -> bool:
    """Tell whether a line is no longer than one that could be the same, written otherwise."""
    return len(got) <= LONGER * len(expected) + SPARE


@dataclass(frozen=True, slots=True)
class CallHarness:
    """How tests of a language are taken apart."""

    language: str
    """A key of `evolcoder.text.LANGUAGES`."""
    split: Callable[[str], SplitTest | None] = field(repr=False)
    """Takes a test apart; None where it does more than compare calls with values. Such a test keeps
    the seal."""
    calling_program: Callable[[str, SplitTest], str] = field(repr=False)
    """Makes a whole program of a candidate's source (a prompt with its continuation, open where the
    test goes on) that calls it and serialises the results. What it needs stands before the source,
    fully qualified and under a name by `fresh_name`, so that no honest candidate clashes."""
    expected_program: Callable[[str, SplitTest], str] = field(repr=False)
    """Makes a whole program of the problem's prompt, for its types, that holds no candidate and
    serialises every expected value, at the result's declared type where the language has one. The
    same arguments give the same text, under which its lines are kept."""
    same: Callable[[bytes, bytes], bool] = field(default=equal_lines, repr=False)
    """Compares a line of the candidate's (first) with the expected one as the test would."""


def fresh_name(prefix: str = "h") -> str:
    """Make up an identifier that no program can know of."""
    return f"{prefix}{secrets.token_hex(8)}"
