"""Runs checks against programs in the sandbox: which pass, and whether they pass every time.

Checks run in another process than the program (`sandbox.base.Asserts`), so a program cannot fake
its result. Every check has its own outcome, also where others fail or are no valid tests. If a
check hangs or kills the program, each check is run again by itself.
`find_stable_checks` runs program and checks in one fresh interpreter, without that separation; it
is only used for programs that passed separated, and can only remove checks.

>>> await run_checks(sandbox, source, "add", ("assert add(1, 2) == 3",), limits)
... # doctest: +SKIP
(True,)
"""

import ast
import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolcoder.code.callables import imported_modules
from evolcoder.sandbox.base import Asserts, Kind, Limits, Program, Sandbox, Script, Status
from evolcoder.sandbox.job import read_finding
from evolcoder.verification.generated_tests.selection import Outcomes

HASH_SEEDS = (1, 2, 3)
"""Hash seeds of the fresh interpreters; the sandbox's own is 0."""
SINGLE_CHECK_CPU_S = 0.5
"""CPU seconds of one check by itself, and of a stub or mutant."""
_OUTCOMES = re.compile(r"AssertionError: outcomes 0x([0-9a-f]+)")
_HARNESS = """
check_outcomes = []
for check in [{names}]:
    try:
        check()
        check_outcomes.append("1")
    except (Exception, SystemExit):
        check_outcomes.append("0")
"""
# The outcomes are the bits of a number: the message must stay short whatever the number of checks.
_SEPARATE_HARNESS = (
    _HARNESS + 'raise AssertionError("outcomes " + hex(int("1" + "".join(check_outcomes), 2)))\n'
)
_FRESH_INTERPRETERS = """\
import os, subprocess, sys
with open("row.py", "w", encoding="utf-8") as file:
    file.write({row!r})
for seed in {seeds}:
    try:
        subprocess.run(
            [sys.executable, "-s", "row.py", str(seed)],
            env={{**os.environ, "PYTHONHASHSEED": str(seed)}},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=[3],
        )
    except OSError:
        os.write(3, b"?")
    os.write(3, b"\\n")
"""
_ROW = """\
import random, sys
random.seed(sys.argv[1])
space = {{"__name__": "candidate"}}
exec({source!r}, space)
names = {tests!r}
exec(names, space)
import os
os.write(3, "".join(space["check_outcomes"]).encode())
"""


@dataclass(frozen=True, slots=True)
class StableOutcome:
    """Which checks a program passes in every run."""

    outcomes: Outcomes
    """Whether each check passed in all runs."""
    n_hash_seeds: int
    """Hash seeds tried; 0 where programs cannot start an interpreter, as on a sandbox level without
    containers if the interpreter is below a private home directory."""


_FIND_MODULES = """\
from importlib.util import find_spec
for name in {names}:
    if find_spec(name) is not None:
        print(name)
"""


async def run_checks(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> Outcomes:
    """Return which checks a program passes; if a check hangs or kills it, retry them one by one."""
    outcomes = await _run_together(sandbox, source, entry_point, checks, limits)
    if outcomes is not None:
        return outcomes
    reduced = reduced_limits(limits)
    single = [_run_together(sandbox, source, entry_point, (check,), reduced) for check in checks]
    return tuple(one == (True,) for one in await asyncio.gather(*single))


async def run_checks_on_mutant(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> Outcomes:
    """Return which checks a stub or mutant passes; one that hangs or dies passes none."""
    reduced = reduced_limits(limits)
    outcomes = await _run_together(sandbox, source, entry_point, checks, reduced)
    return outcomes or (False,) * len(checks)


async def find_stable_checks(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> StableOutcome:
    """Run the checks once more and under each of `HASH_SEEDS`."""
    again, fresh = await asyncio.gather(
        run_checks(sandbox, source, entry_point, checks, limits),
        _in_fresh_interpreters(sandbox, source, checks, limits),
    )
    return StableOutcome(tuple(all(each) for each in zip(again, *fresh, strict=True)), len(fresh))


async def missing_modules(sandbox: Sandbox, source: str, limits: Limits) -> tuple[str, ...]:
    """Return the modules that a program imports and the sandbox lacks, sorted."""
    names = sorted(imported_modules(source) - sys.stdlib_module_names)
    if not names:
        return ()
    program = Program("python", _FIND_MODULES.format(names=names), Script())
    execution = await sandbox.run(program, limits)
    found = frozenset(execution.stdout.decode("utf-8", "replace").split())
    return tuple(name for name in names if name not in found)


def reduced_limits(limits: Limits) -> Limits:
    """Return short time limits, for a single check or a program that is expected to fail."""
    cpu_s, wall_s = SINGLE_CHECK_CPU_S, 4 * SINGLE_CHECK_CPU_S
    return replace(limits, cpu_s=min(limits.cpu_s, cpu_s), wall_s=min(limits.wall_s, wall_s))


async def _run_together(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> Outcomes | None:
    """Run all checks in one process apart from the program; None if they did not finish."""
    tests = _as_functions(checks) + _with_names(_SEPARATE_HARNESS, checks)
    task = Asserts((entry_point,), tests, None)
    execution = await sandbox.run(Program("python", source, task), limits)
    if execution.status is Status.COMPILE_ERROR:
        return (False,) * len(checks)
    found = read_finding(execution.answers) if execution.status is Status.FINISHED else None
    if found is None:
        return None
    if found.kind is Kind.ERROR and found.detail.startswith("the candidate raised"):
        return (False,) * len(checks)
    match = _OUTCOMES.fullmatch(found.detail)
    if found.kind is not Kind.FAILED or match is None:
        return None
    return _parse_outcomes(f"{int(match[1], 16):b}"[1:], len(checks))


async def _in_fresh_interpreters(
    sandbox: Sandbox, source: str, checks: Sequence[str], limits: Limits
) -> list[Outcomes]:
    tests = _as_functions(checks) + _with_names(_HARNESS, checks)
    row = _ROW.format(source=source, tests=tests)
    program = Program("python", _FRESH_INTERPRETERS.format(row=row, seeds=HASH_SEEDS), Script())
    execution = await sandbox.run(program, limits)
    output = execution.answers[: len(HASH_SEEDS) * (len(checks) + 1)]
    lines = output.decode("ascii", "replace").split("\n")[: len(HASH_SEEDS)]
    if "?" in lines:
        return []
    lines += [""] * (len(HASH_SEEDS) - len(lines))
    return [_parse_outcomes(line, len(checks)) or (False,) * len(checks) for line in lines]


def _parse_outcomes(digits: str, n_checks: int) -> Outcomes | None:
    return tuple(digit == "1" for digit in digits) if len(digits) == n_checks else None


def _as_functions(checks: Sequence[str]) -> str:
    """Put every check into its own function, so that their names do not collide."""
    made = [
        ast.FunctionDef(f"check_{number}", _NO_ARGUMENTS, ast.parse(check).body, [])
        for number, check in enumerate(checks)
    ]
    return ast.unparse(ast.fix_missing_locations(ast.Module(list(made), [])))


def _with_names(harness: str, checks: Sequence[str]) -> str:
    return harness.format(names=", ".join(f"check_{number}" for number in range(len(checks))))


_NO_ARGUMENTS = ast.arguments([], [], None, [], [], None, [])
