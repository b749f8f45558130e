r"""Bash: MultiPL-E's tests compare the output of a call with a string: `[[ $(…) = "…" ]]`.

Newlines at the end of an output do not count, nor does the exit code of the call, which `[[` does
not look at even under `set -e`. A line is the output with backslash and newline escaped.
"""

import re

from evolcoder.grade.call_harness.base import CallHarness, Comparison, SplitTest, fresh_name
from evolcoder.grade.call_harness.brackets import SHELL

SERIALISER = r"""
NAME() {
    local NAME_text=$1 NAME_slash=\\ NAME_newline=$'\n' LC_ALL=C
    NAME_text=${NAME_text//"$NAME_slash"/"$NAME_slash$NAME_slash"}
    builtin printf '%s\n' "${NAME_text//"$NAME_newline"/"${NAME_slash}n"}" >&3
}
"""
HEAD = re.compile(
    r'(\s*\}\s*candidate\(\) \{\s*[\w-]+ "\$@"\s*\}\s*set -e\s*)(\w+)\(\) \{\s*', re.ASCII
)
TAIL = r"\s*\}}\s*{}\s*"
OPENING = r"\[\[ \$\("
ENDING = r""" ==? ("(?:\\.|[^"\\])*"|'[^']*') \]\]\s*"""


def split(test: str) -> SplitTest | None:
    """Take the comparisons apart whose right side is quoted as a whole, and so is no pattern."""
    head = HEAD.match(test)
    if head is None:
        return None
    checks, tail = SHELL.groups(test[head.end() :], OPENING, ENDING)
    if not checks or not re.fullmatch(TAIL.format(head[2]), tail):
        return None
    if any(not re.match(r"candidate(?:\s|$)", check.inner) for check in checks):
        return None
    found = tuple(Comparison(check.inner, check.ending[1]) for check in checks)
    return SplitTest(head[1].strip(), found)


def calling_program(candidate: str, test: SplitTest) -> str:
    """Call in a function, as the test does; the calls themselves cannot write to the answers."""
    name = fresh_name()
    calls = [f'    {name} "$({check.call} 3>&-)"' for check in test.comparisons]
    run = [f"{name}_run() {{", *calls, "}", f"{name}_run", "exit 0", ""]
    return "\n".join([SERIALISER.replace("NAME", name), candidate, test.head, *run])


def expected_program(prompt: str, test: SplitTest) -> str:  # noqa: ARG001 - Bash has no types
    """Serialise the expected strings."""
    values = [f"expected {check.expected}" for check in test.comparisons]
    return "\n".join([SERIALISER.replace("NAME", "expected"), *values, ""])


HARNESS = CallHarness("bash", split, calling_program, expected_program)
