"""The harness of every language that has one."""

from evolcoder.grade.call_harness.base import CallHarness

HARNESSES: dict[str, CallHarness] = {}
"""By our name of the language; one line each."""
