"""Runs checks against programs, selects answers and checks by agreement, measures their strength.

Checks run in another process than the program (`sandbox.base.Asserts`), so a program cannot fake
its result. Every check has its own outcome, also where others fail or are no valid tests. If a
check hangs or kills the program, each check is run again by itself.
`find_stable_checks` runs program and checks in one fresh interpreter, without that separation; it
is only used for programs that passed separated, and can only remove checks.

Dual agreement is CodeT's (arXiv 2207.10397). Answers that pass the same checks form a group, whose
score is its number of answers times the number of checks they pass. Wrong checks have no weight,
since no large group passes them. The order of answers and checks does not influence the choice. The
best group is not guaranteed to be right: a model can make the same mistake in answers and tests.

A set of checks must fail every stub, which is a trivial program with the subject's interface that
accepts any arguments. Its strength is the share of mutants that fail at least one check. Mutants
equivalent to the answer cannot be recognised, so 1 may be unreachable.

>>> await run_checks(sandbox, source, "add", ("assert add(1, 2) == 3",), limits)
... # doctest: +SKIP
(True,)
>>> best_group(((True, True), (True, True), (True, False))).answers
(0, 1)
>>> stubs, mutants = [(False, True)], [(True, False), (True, True)]
>>> measure_strength((0, 1), stubs=stubs, mutants=mutants).strength
0.5
>>> stubs_for(subject, checks=())[0]   # doctest: +SKIP
'def f(*given, **named): return None'
"""

import ast
import asyncio
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from evolcoder.code.callables import CallableKind, CallableSubject, imported_modules
from evolcoder.code.python_ast import is_literal
from evolcoder.sandbox.base import Asserts, Kind, Limits, Program, Sandbox, Script, Status
from evolcoder.sandbox.job import read_finding

Outcomes = tuple[bool, ...]
"""Whether one program passes each check, in the order of the checks."""


@dataclass(frozen=True, slots=True)
class AgreementGroup:
    """Answers that pass the same checks."""

    answers: tuple[int, ...]
    """Indices of the answers."""
    checks: tuple[int, ...]
    """Indices of the checks that they pass."""

    @property
    def score(self) -> int:
        """Number of answers times number of checks."""
        return len(self.answers) * len(self.checks)


def groups(table: Sequence[Outcomes]) -> tuple[AgreementGroup, ...]:
    """Return all groups by falling score; ties by falling number of answers."""
    members: dict[Outcomes, list[int]] = {}
    for answer, outcomes in enumerate(table):
        members.setdefault(outcomes, []).append(answer)
    found = [
        AgreementGroup(tuple(answers), tuple(n for n, passed in enumerate(outcomes) if passed))
        for outcomes, answers in members.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.score, -len(one.answers), one.answers)))


def best_group(table: Sequence[Outcomes]) -> AgreementGroup | None:
    """Return the group with the highest score, or None if none stands out.

    It needs at least two answers, a positive score, and no tie: one answer alone is no agreement,
    and of two equal groups neither is known to be right.
    """
    found = groups(table)
    if not found or found[0].score == 0 or len(found[0].answers) < 2:
        return None
    return None if len(found) > 1 and found[1].score == found[0].score else found[0]


def is_contested(table: Sequence[Outcomes], answer: int, group: AgreementGroup) -> bool:
    """Whether at least as many answers agree with an answer outside the group as are in the group.

    Tests of an ambiguous task favour one reading; an answer is only wrong if its reading has fewer
    answers.
    """
    n_agreeing = sum(outcomes == table[answer] for outcomes in table)
    return answer not in group.answers and n_agreeing >= len(group.answers)


class CheckFlaw(StrEnum):
    """Why a set of checks is invalid. Values are stored; never rename one."""

    NOTHING = "nothing"
    """It asserts nothing about the entry point."""
    NOT_AGREED = "not_agreed"
    """The agreeing answers pass none of its checks."""
    UNSTABLE = "unstable"
    """Its checks fail in a repeated run or under another hash seed."""
    PASSES_STUB = "passes_stub"
    """A stub passes it."""
    KILLS_NOTHING = "kills_nothing"
    """Every mutant of the answer passes it."""
    NO_MUTANTS = "no_mutants"
    """The answer has no mutants, so the set cannot be validated."""


@dataclass(frozen=True, slots=True)
class CheckStrength:
    """Result of validating a set of checks."""

    flaw: CheckFlaw | None
    """Why the set is invalid, or None."""
    killed: tuple[int, ...]
    """Indices of the mutants that fail it."""
    n_mutants: int
    """Number of mutants."""

    @property
    def strength(self) -> float:
        """Share of the mutants that fail it."""
        return len(self.killed) / self.n_mutants if self.n_mutants else 0.0


def measure_strength(
    checks: Sequence[int], *, stubs: Sequence[Outcomes], mutants: Sequence[Outcomes]
) -> CheckStrength:
    """Validate the checks with these indices against the outcomes of stubs and mutants."""
    killed = tuple(number for number, outcomes in enumerate(mutants) if fails(outcomes, checks))
    flaw: CheckFlaw | None = None
    if not checks:
        flaw = CheckFlaw.NOTHING
    elif not all(fails(outcomes, checks) for outcomes in stubs):
        flaw = CheckFlaw.PASSES_STUB
    elif not mutants:
        flaw = CheckFlaw.NO_MUTANTS
    elif not killed:
        flaw = CheckFlaw.KILLS_NOTHING
    return CheckStrength(flaw, killed, len(mutants))


def fails(outcomes: Outcomes, checks: Sequence[int]) -> bool:
    """Whether a program fails at least one of the checks with these indices."""
    return not all(outcomes[number] for number in checks)


MAX_EXPECTED_VALUES = 8
"""Most distinct expected values for which a stub is made that returns the value."""
_VALUES = ("None", "True", "False")
_ECHO = "given[0] if given else None"
_FUNCTION = "def {name}(*given, **named): return {value}"
_CLASS = """\
class {name}:
    def __init__(self, *given, **named): pass
    def __getattr__(self, name): return lambda *given, **named: {value}"""


def stubs_for(subject: CallableSubject, checks: Sequence[str]) -> tuple[str, ...]:
    """Make stubs that return None, True, False, their first argument, or a value checks expect."""
    expected = Counter(value for check in checks for value in _expected_values(check))
    common = (value for value, _ in expected.most_common(MAX_EXPECTED_VALUES))
    values = [*_VALUES, _ECHO, *common]
    template = _CLASS if subject.form is CallableKind.CLASS else _FUNCTION
    name = subject.entry_point
    return tuple(template.format(name=name, value=value) for value in dict.fromkeys(values))


def _expected_values(check: str) -> Iterable[str]:
    """Yield the literals that a check compares with."""
    for node in ast.walk(ast.parse(check)):
        match node:
            case ast.Compare(ops=[ast.Eq()], comparators=[value]) if is_literal(value):
                yield ast.unparse(value)


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
