r"""Bash: MultiPL-E's tests compare the output of a call with a string: `[[ $(…) = "…" ]]`.

Trailing newlines of the output are ignored, and so is the exit code of the call, which `[[` ignores
even under `set -e`. A line is the output with backslashes and newlines escaped.
"""

import re

from evolcoder.grading.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grading.call_harness.splitting import SHELL

_SERIALISER = r"""
NAME() {
    local NAME_text=$1 NAME_slash=\\ NAME_newline=$'\n' LC_ALL=C
    NAME_text=${NAME_text//"$NAME_slash"/"$NAME_slash$NAME_slash"}
    builtin printf '%s\n' "${NAME_text//"$NAME_newline"/"${NAME_slash}n"}" >&3
}
"""
_HEAD = re.compile(
    r'(\s*\}\s*candidate\(\) \{\s*[\w-]+ "\$@"\s*\}\s*set -e\s*)(\w+)\(\) \{\s*', re.ASCII
)
_TAIL = r"\s*\}}\s*{}\s*"
_OPENING = r"\[\[ \$\("
_ENDING = r""" ==? ("(?:\\.|[^"\\])*"|'[^']*') \]\]\s*"""
_CALL = r"""candidate(?: +(?:"(?:\\.|[^"\\])*"|'[^']*'|[\w.+-]+))* *"""
_SUBSTITUTED = r"""(?<!\\)(?:`|\$[({A-Za-z_])"""
"""A substitution, whose value may depend on the candidate."""


def _split(test: str) -> SplitTest | None:
    """Split a test whose right sides are each one quoted string, so that none is a pattern."""
    head = _HEAD.match(test)
    if head is None:
        return None
    checks, tail = SHELL.groups(test[head.end() :], _OPENING, _ENDING)
    if not checks or not re.fullmatch(_TAIL.format(head[2]), tail):
        return None
    if not all(re.fullmatch(_CALL, check.inner) for check in checks):
        return None
    found = tuple(Comparison(check.inner, check.ending[1]) for check in checks)
    if any(re.search(_SUBSTITUTED, check.expected) for check in found):
        return None
    return SplitTest(head[1].strip(), found)


def _calling_program(candidate: str, test: SplitTest) -> str:
    """Call in a function, as the test does, with the answers' descriptor closed for the calls."""
    name = fresh_name()
    calls = [f'    {name} "$({check.call} 3>&-)"' for check in test.comparisons]
    run = [f"{name}_run() {{", *calls, "}", f"{name}_run", "exit 0", ""]
    return "\n".join([_SERIALISER.replace("NAME", name), candidate, test.head, *run])


def _expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - Bash has no types
    """Serialise the expected strings."""
    values = [f"expected {check.expected}" for check in test.comparisons]
    return "\n".join([_SERIALISER.replace("NAME", "expected"), *values, ""])


HARNESS = CallHarness("bash", _split, _calling_program, _expected_program)
