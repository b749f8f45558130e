r"""More rows out of verified answers: a piece to fill in, and a fault to find and mend.

Promises: equal random numbers derive equal rows. An infilling's prefix, span and suffix are the
program, cut at an expression, a statement or the end of a block of it. A repair's broken program
is one edit away from the program and did fail a check of the row in the sandbox, with the assertion
that failed in the task; what only looks broken becomes no row.
Does not promise that the span is the only one that fits.

>>> row = infill("def f(x):\n    return x + 1\n", Span.STATEMENT, Random(0))
>>> row.prefix, row.span, row.suffix
('def f(x):\n    ', 'return x + 1', '\n')

More rows for free out of what verification found: pairs of answers, infillings, repairs.

Promises: nothing is run or asked for; what a derived row claims was seen when its row was verified.
A pair rests on tests that stood their own test, and where the row's own answer failed, the answer
that passed stands in its place. An infilling is cut out of a Python program that ran; a repair's
fault is one that a test was seen to find. A row that gives none of a kind, or that cannot be read,
gives no row of it.

>>> [row.beside["rejected"] for row in pairs(store.rows(dropped=True))]   # doctest: +SKIP
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Protocol

from evolcoder.code.python_ast import compiles, parse
from evolcoder.errors import UnjudgedError
from evolcoder.ids import rng_for
from evolcoder.records import Check, CheckResult, Response, Row
from evolcoder.sample_errors import judging
from evolcoder.verification.generated_tests.mutants import mutants
from evolcoder.verification.metrics import python_program

HOLE = "# ... fill in ..."
"""Stands in the program of an instruction where the span was."""
LEAST_CHARS = 3
"""Shortest span that is worth asking for."""
MOST_SHARE = 0.6
"""Largest part of a program that is taken out."""


class Span(StrEnum):
    """What is taken out of a program. Values are stored; never rename one."""

    EXPRESSION = "expression"
    STATEMENT = "statement"
    BLOCK = "block"


class Derived(StrEnum):
    """How a row was derived. Values are stored; never rename one."""

    INFILL = "infill"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Infilling:
    """A program with a piece taken out."""

    kind: Span
    """What the piece is."""
    prefix: str
    """What stands before it."""
    span: str
    """The piece."""
    suffix: str
    """What stands behind it."""
    instruction: str
    """The same as a task in words."""
    answer: str
    """The answer to that: the whole program."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A broken program and the one that it was broken from."""

    mutation: str
    """Kind and line of the edit that broke it."""
    broken: str
    """The broken program."""
    failing: str
    """The check that it fails."""
    instruction: str
    """The task: the broken program and the check."""
    answer: str
    """The program as it was before."""


class FailureTest(Protocol):
    """Runs checks in the sandbox; put together where the grader may be used."""

    async def __call__(self, program: str, checks: Sequence[str]) -> int | None:
        """Return the place of the first check that a program fails, or None if it passes all.

        A sandbox that fails is a SandboxError and no answer.
        """
        ...


def infill(program: str, kind: Span, rng: Random, *, task: str = "") -> Infilling | None:
    """Take one span of a kind out of a program; None where it has none."""
    tree = parse(program)
    if tree is None or not program.isascii():
        return None
    starts = _line_starts(program)
    cuts = sorted(
        {
            (starts[first.lineno - 1] + first.col_offset, _end(starts, last))
            for first, last in _spans(tree, kind)
        }
    )
    fitting = [cut for cut in cuts if _is_fit(program, *cut)]
    if not fitting:
        return None
    begin, end = rng.choice(fitting)
    prefix, span, suffix = program[:begin], program[begin:end], program[end:]
    return Infilling(
        kind, prefix, span, suffix, _asked_to_fill(task, prefix, suffix), _fenced(program)
    )


async def repair(  # noqa: PLR0913 - all of it decides
    program: str,
    checks: Sequence[str],
    rng: Random,
    *,
    fails: FailureTest,
    entry_point: str | None,
    task: str = "",
    tries: int = 6,
) -> Repair | None:
    """Break a program so that a check fails; None where none of a few mutants does.

    A program that fails a check itself has nothing to be mended to.
    """
    if not checks or not compiles(program) or await fails(program, checks) is not None:
        return None
    tidy = ast.unparse(ast.parse(program))
    for mutant in mutants(program, rng, limit=tries, entry_point=entry_point):
        place = await fails(mutant.source, checks)
        if place is not None:
            return mending(task, mutant.name, mutant.source, checks[place], mended=tidy)
    return None


def mending(task: str, mutation: str, broken: str, failing: str, *, mended: str) -> Repair:
    """Put a fault that a check was seen to find into words."""
    asked = _asked_to_mend(task, broken, failing)
    return Repair(mutation, broken, failing, asked, _fenced(mended))


Located = ast.expr | ast.stmt


def _spans(tree: ast.Module, kind: Span) -> Iterator[tuple[Located, Located]]:
    """Find the spans of a kind, each by its first and last node."""
    for node in ast.walk(tree):
        if kind is Span.EXPRESSION:
            yield from ((one, one) for one in _expressions(node))
        elif kind is Span.STATEMENT:
            if isinstance(node, ast.stmt) and not _has_body(node) and not _is_remark(node):
                yield node, node
        else:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list) and node is not tree:
                    yield from ((first, block[-1]) for first in block[:-1] if not _is_remark(first))


_LINE_END = re.compile(r"\r\n|\r|\n")
_TELLING = (
    *(ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp),
    *(ast.Call, ast.ListComp, ast.Subscript),
)


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Return those expressions of a node that say something by themselves."""
    if isinstance(node, ast.JoinedStr | ast.FormattedValue):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(
            child,
            ast.BinOp
            | ast.BoolOp
            | ast.Call
            | ast.Compare
            | ast.IfExp
            | ast.ListComp
            | ast.Subscript,
        ) and not isinstance(getattr(child, "ctx", None), ast.Store):
            yield child


def _has_body(node: ast.stmt) -> bool:
    return isinstance(getattr(node, "body", None), list) or isinstance(node, ast.Match)


def _is_remark(node: ast.stmt) -> bool:
    said = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return said or isinstance(node, ast.Import | ast.ImportFrom)


def _line_starts(program: str) -> list[int]:
    """Return where every line begins; lines end as they do for the parser."""
    return [0, *(end.end() for end in _LINE_END.finditer(program))]


def _end(starts: Sequence[int], node: Located) -> int:
    return starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)


def _is_fit(program: str, begin: int, end: int) -> bool:
    """Tell whether a piece is long enough to ask for, and leaves enough to go by."""
    return LEAST_CHARS <= end - begin <= MOST_SHARE * len(program)


def _asked_to_fill(task: str, prefix: str, suffix: str) -> str:
    about = f"The program is for this task:\n\n{task}\n\n" if task else ""
    return (
        f"A piece of a Python program is missing where `{HOLE}` stands.\n\n{about}"
        f"{_fenced(prefix + HOLE + suffix)}\n\nWrite the whole program with the piece filled in."
    )


def _asked_to_mend(task: str, broken: str, failing: str) -> str:
    about = f"It is to do this:\n\n{task}\n\n" if task else ""
    return (
        f"This Python program has a fault.\n\n{_fenced(broken)}\n\n{about}"
        f"This check fails:\n\n{_fenced(failing)}\n\nFind the fault and write the mended program."
    )


def _fenced(code: str) -> str:
    return f"```python\n{code.strip(chr(10))}\n```"


def pairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Make rows whose answer passed and that hold one which was rejected."""
    for row in rows:
        tests = _verdict(row, Check.TESTS)
        if tests is None:
            continue
        better, worse = tests.detail.get("better"), tests.detail.get("worse")
        if tests.kind == "passed" and worse:
            yield replace(row, beside={"rejected": str(worse)})
        elif tests.kind == "failed" and better:
            chosen = Response.to(row.task, str(better), made=row.response.made)
            yield replace(row, response=chosen, beside={"rejected": row.response.text})


def infillings(rows: Iterable[Row], seed: int) -> Iterator[Row]:
    """Make a row of every kind of span out of each row whose Python program ran."""
    for row in rows:
        runs, tests = _verdict(row, Check.RUNS), _verdict(row, Check.TESTS)
        ran = runs is not None and runs.kind == "passed"
        if not ran or (tests is not None and tests.kind == "failed"):
            continue
        program = python_program(row.response.text)
        for kind in Span if program else ():
            rng = rng_for(seed, "infill", row.task.id, kind)
            made = None
            with suppress(UnjudgedError), judging():
                made = infill(program or "", kind, rng, task=row.task.instruction)
            if made is not None:
                beside = {
                    "kind": f"{Derived.INFILL}:{kind}",
                    "prefix": made.prefix,
                    "span": made.span,
                    "suffix": made.suffix,
                }
                yield _derived(row, made.instruction, made.answer, beside)


def repairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Make a row out of the fault that each row's tests were seen to find."""
    for row in rows:
        tests = _verdict(row, Check.TESTS)
        fault = tests.detail.get("fault") if tests else None
        if not isinstance(fault, Mapping) or not fault:
            continue
        names = ("mutation", "broken", "failing")
        mutation, broken, failing = (str(fault[name]) for name in names)
        mended = str(fault["mended"])
        made = mending(row.task.instruction, mutation, broken, failing, mended=mended)
        kind = f"{Derived.REPAIR}:{mutation.partition(' ')[0]}"
        beside = {"kind": kind, "broken": broken, "failing": failing}
        yield _derived(row, made.instruction, made.answer, beside)


def _verdict(row: Row, check: Check) -> CheckResult | None:
    return next((verdict for verdict in row.verdicts if verdict.check is check), None)


def _derived(row: Row, instruction: str, answer: str, beside: Mapping[str, str]) -> Row:
    """Put a derived task and answer in a row's place; its ids stay those of its origin."""
    task = replace(row.task, instruction=instruction)
    return replace(row, task=task, response=replace(row.response, text=answer), beside=beside)
