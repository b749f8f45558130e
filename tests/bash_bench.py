"""A benchmark of four functions in Bash, one of which has a test that needs a part named PART."""

from dataclasses import replace

from evolcoder.bench.base import Problem, ProgramChecks
from evolcoder.bench.multipl_e import MultiplE
from evolcoder.sandbox.language import Requirement
from evolcoder.sandbox.toolchains import LANGUAGES

NAMES = ("one", "two", "three", "four")
USES_PART = "# PART\n"
"""What a prompt, a test or a program that needs the part holds."""


def problem(number, *, needs_part=False):
    name = NAMES[number]
    prompt = f"#!/bin/bash\n# Print {number}.\n{name}() {{\n"
    tests = '}\n\ncandidate() {\n    %s "$@"\n}\n\nset -e\nrun_test() {\n    [[ $(candidate) = "%d" ]]\n}\n\nrun_test'
    tests = (USES_PART if needs_part else "") + tests % (name, number)
    reference = f"{prompt}    echo {number}\n"
    checks = ProgramChecks("bash", tests, name)
    return Problem(f"small/{number}", prompt, checks, reference, f"{prompt}    return 1\n", ())


def bash_bench(*, all_need_part=False):
    """Four problems; the last one needs the part, or all do."""
    items = tuple(problem(n, needs_part=all_need_part or n == 3) for n in range(4))
    return lambda data_folder: MultiplE("small-sh", items, ())


def part(*, is_here):
    """A part of Bash that is here, or not."""
    return Requirement(
        name="part",
        program="echo 42" if is_here else "echo 'part: not found' >&2; exit 3",
        package="bash-part",
        used_by="PART",
    )


def bash_with(*requirements):
    """The language, with other requirements than its own."""
    return replace(LANGUAGES["bash"], requirements=requirements)


def samples(*, wrong=(), with_part=()):
    """A sample of each problem; some wrong, some with a program that needs the part."""
    for number in range(4):
        code = "echo no" if number in wrong else f"echo {number}"
        head = USES_PART if number in with_part else ""
        text = f"{head}{problem(number).prompt}    {code}\n"
        yield {"task_id": f"small/{number}", "solution": text}
