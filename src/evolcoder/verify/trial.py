"""Run checks against programs: which pass, and whether they do so every time.

Promises: a program cannot vouch for itself, since checks run in a process apart from it
(`sandbox.base.Asserts`). Every check is told apart: one that fails, or is no valid test, leaves the
others. A program that a check hangs or kills is run once more for each check alone.
`stable` runs program and checks together in fresh interpreters, where nothing keeps them apart; it
is only asked about programs that passed apart already, and can only take checks away.
"""

import ast
import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolcoder.records import JSON
from evolcoder.sandbox.base import Asserts, Limits, Program, Sandbox, Script, Status
from evolcoder.verify.agreement import Outcomes

HASH_SEEDS = (1, 2, 3)
"""Hash seeds of the fresh interpreters; the sandbox's own is 0."""
ALONE_S = 0.5
"""Processor seconds of one check alone, and of a stub or mutant."""
_TOLD = re.compile(r"AssertionError: told ([01]*)$")
_HARNESS = """
told = []
for check in [{names}]:
    try:
        check()
        told.append("1")
    except (Exception, SystemExit):
        told.append("0")
"""
_APART = _HARNESS + 'raise AssertionError("told " + "".join(told))\n'
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
class Stable:
    """Which checks a program passes every time."""

    outcomes: Outcomes
    """Those that passed all the times."""
    n_hash_seeds: int
    """Hash seeds that were tried; 0 where programs may not start an interpreter, as on a level of
    the sandbox without containers whose interpreter is under a private home."""


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
) -> Stable:
    """Run checks that a program passed once more, and under every other hash seed."""
    again, fresh = await asyncio.gather(
        outcomes(sandbox, source, entry_point, checks, limits),
        _in_fresh_interpreters(sandbox, source, checks, limits),
    )
    return Stable(tuple(all(each) for each in zip(again, *fresh, strict=True)), len(fresh))


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
    if execution.status is not Status.FINISHED or not execution.answers:
        return None
    found: dict[str, JSON] = json.loads(execution.answers)
    if found["kind"] == "error" and str(found["detail"]).startswith("the candidate raised"):
        return (False,) * len(checks)
    told = _TOLD.fullmatch(str(found["detail"]))
    return _read(told[1], len(checks)) if found["kind"] == "failed" and told else None


async def _in_fresh_interpreters(
    sandbox: Sandbox, source: str, checks: Sequence[str], limits: Limits
) -> list[Outcomes]:
    tests = _as_tests(checks) + _named(_HARNESS, checks)
    row = _ROW.format(source=source, tests=tests)
    program = Program("python", _FRESH.format(row=row, seeds=HASH_SEEDS), Script())
    execution = await sandbox.run(program, limits)
    lines = execution.answers.decode("ascii", "replace").split("\n")[: len(HASH_SEEDS)]
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
