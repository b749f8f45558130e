"""Run checks against programs: which pass, and whether they do so every time.

Promises: a program cannot vouch for itself, since checks run in a process apart from it
(`sandbox.base.Asserts`). Every check is told apart: one that fails, or is no valid test, leaves the
others. A program that a check hangs or kills is run once more for each check alone.
`stable` runs program and checks together in fresh interpreters, where nothing keeps them apart; it
is only asked about programs that passed apart already, and can only take checks away.
"""

import ast
import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolcoder.code.callables import imported
from evolcoder.sandbox.base import Asserts, Kind, Limits, Program, Sandbox, Script, Status
from evolcoder.sandbox.result import read_finding
from evolcoder.verification.generated_tests.selection import Outcomes

HASH_SEEDS = (1, 2, 3)
"""Hash seeds of the fresh interpreters; the sandbox's own is 0."""
ALONE_S = 0.5
"""Processor seconds of one check alone, and of a stub or mutant."""
_TOLD = re.compile(r"AssertionError: told 0x([0-9a-f]+)")
_HARNESS = """
told = []
for check in [{names}]:
    try:
        check()
        told.append("1")
    except (Exception, SystemExit):
        told.append("0")
"""
_APART = _HARNESS + 'raise AssertionError("told " + hex(int("1" + "".join(told), 2)))\n'
_FRESH = """\
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
os.write(3, "".join(space["told"]).encode())
"""


@dataclass(frozen=True, slots=True)
class StableOutcome:
    """Which checks a program passes every time."""

    outcomes: Outcomes
    """Those that passed all the times."""
    n_hash_seeds: int
    """Hash seeds that were tried; 0 where programs may not start an interpreter, as on a level of
    the sandbox without containers whose interpreter is under a private home."""


_FIND = """\
from importlib.util import find_spec
for name in {names}:
    if find_spec(name) is not None:
        print(name)
"""


async def outcomes(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> Outcomes:
    """Return which checks a program passes."""
    told = await _told(sandbox, source, entry_point, checks, limits)
    if told is not None:
        return told
    alone = hurried(limits)
    each = [_told(sandbox, source, entry_point, (check,), alone) for check in checks]
    return tuple(one == (True,) for one in await asyncio.gather(*each))


async def failing(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> Outcomes:
    """Return which checks a stub or mutant passes; one that hangs or dies passes none."""
    told = await _told(sandbox, source, entry_point, checks, hurried(limits))
    return told or (False,) * len(checks)


async def stable(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> StableOutcome:
    """Run checks that a program passed once more, and under every other hash seed."""
    again, fresh = await asyncio.gather(
        outcomes(sandbox, source, entry_point, checks, limits),
        _in_fresh_interpreters(sandbox, source, checks, limits),
    )
    return StableOutcome(tuple(all(each) for each in zip(again, *fresh, strict=True)), len(fresh))


async def missing(sandbox: Sandbox, source: str, limits: Limits) -> tuple[str, ...]:
    """Return the modules that a program imports anywhere, and that the sandbox does not have."""
    named = sorted(imported(source) - sys.stdlib_module_names)
    if not named:
        return ()
    execution = await sandbox.run(Program("python", _FIND.format(names=named), Script()), limits)
    found = frozenset(execution.stdout.decode("utf-8", "replace").split())
    return tuple(name for name in named if name not in found)


def hurried(limits: Limits) -> Limits:
    """Return limits for a program that is expected to fail."""
    return replace(limits, cpu_s=min(limits.cpu_s, ALONE_S), wall_s=min(limits.wall_s, 4 * ALONE_S))


async def _told(
    sandbox: Sandbox, source: str, entry_point: str, checks: Sequence[str], limits: Limits
) -> Outcomes | None:
    """Run checks apart from a program; None where it did not come to their end."""
    task = Asserts((entry_point,), _as_tests(checks) + _named(_APART, checks), None)
    execution = await sandbox.run(Program("python", source, task), limits)
    if execution.status is Status.COMPILE_ERROR:
        return (False,) * len(checks)
    found = read_finding(execution.answers) if execution.status is Status.FINISHED else None
    if found is None:
        return None
    if found.kind is Kind.ERROR and found.detail.startswith("the candidate raised"):
        return (False,) * len(checks)
    told = _TOLD.fullmatch(found.detail)
    if found.kind is not Kind.FAILED or told is None:
        return None
    return _read(f"{int(told[1], 16):b}"[1:], len(checks))


async def _in_fresh_interpreters(
    sandbox: Sandbox, source: str, checks: Sequence[str], limits: Limits
) -> list[Outcomes]:
    tests = _as_tests(checks) + _named(_HARNESS, checks)
    row = _ROW.format(source=source, tests=tests)
    program = Program("python", _FRESH.format(row=row, seeds=HASH_SEEDS), Script())
    execution = await sandbox.run(program, limits)
    told = execution.answers[: len(HASH_SEEDS) * (len(checks) + 1)]
    lines = told.decode("ascii", "replace").split("\n")[: len(HASH_SEEDS)]
    if "?" in lines:
        return []
    lines += [""] * (len(HASH_SEEDS) - len(lines))
    return [_read(line, len(checks)) or (False,) * len(checks) for line in lines]


def _read(told: str, n_checks: int) -> Outcomes | None:
    return tuple(mark == "1" for mark in told) if len(told) == n_checks else None


def _as_tests(checks: Sequence[str]) -> str:
    """Put every check into a function of its own, so that their names do not meet."""
    made = [
        ast.FunctionDef(f"check_{number}", _NO_ARGUMENTS, ast.parse(check).body, [])
        for number, check in enumerate(checks)
    ]
    return ast.unparse(ast.fix_missing_locations(ast.Module(list(made), [])))


def _named(harness: str, checks: Sequence[str]) -> str:
    return harness.format(names=", ".join(f"check_{number}" for number in range(len(checks))))


_NO_ARGUMENTS = ast.arguments([], [], None, [], [], None, [])
