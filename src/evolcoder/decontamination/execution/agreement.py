r"""How often a function answers as a reference does, beyond chance.

Promises: a number from 0 to 1 for any answers at all; equal lines give equal numbers.
Does not bound what comparing values costs: whoever calls it bounds the lines' length, or runs it
where it can be ended (`leakage.likeness`). This module is sent to the sandbox as text: it needs
`bench.oracles`, `grade.answers` and what every sandboxed process has.

>>> agreement([b'["l","value",1]'], [b'["l","value",1]'], exact=True)
1.0

How far a function that passed a problem's test answers more inputs as the reference does.

Promises: two kinds of inputs, those like the test's own (`further`) and those drawn by its types
(`drawn`), each the same ones every time; only those that the reference has an answer for are asked.
The first kind says how far; the second, which may ask a reference what it was never meant for, only
counts where a function agrees on less than half of it, and not at all where the reference always
answers the same, since chance would explain all of it.

>>> await Likeness(sandbox).of(program, problem, examples)   # doctest: +SKIP
0.93

How much there is to a problem: what a few symbols solve, many solve who never saw it.

Promises: a count of the reference's own syntax, docstrings, annotations, imports and the bare
signature left out. A problem of at most `PLAIN` is plain: a row that passes it solves it, but tells
nothing about where it came from, since `return a + b` is in every collection of exercises.

>>> size_of("def add(a, b):\n    return a + b"), size_of("def f(s):\n    return len(s)")
(5, 4)
"""

import ast
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evolcoder.bench.base import Problem
from evolcoder.bench.comparators import Comparator, compare
from evolcoder.bench.function_bench import entry_points
from evolcoder.code.functions import Function
from evolcoder.code.instrument import counted
from evolcoder.code.python_ast import tree_of
from evolcoder.decontamination.execution.examples import ProblemExample, is_exact
from evolcoder.decontamination.execution.mutated_inputs import inputs_like
from evolcoder.decontamination.execution.random_inputs import inputs_drawn
from evolcoder.decontamination.execution.sandbox_programs import adapted
from evolcoder.grading.answers import CandidateAnswer, decode_answer
from evolcoder.grading.calls import (
    INLINE_BYTES,
    TooCostlyError,
    call_isolated,
    comparison_limits,
    run_calls,
)
from evolcoder.safe_codec import encode
from evolcoder.sandbox.base import Limits, Sandbox


def agreement(lines: Sequence[bytes], expected: Sequence[bytes], *, exact: bool) -> float:
    """Say how often answers agree beyond chance (Cohen's kappa), from 0 to 1.

    Both are encoded, and the expected ones are values. Calls that were ended for taking too long
    count neither way.
    """
    answers = [decode_answer(line) for line in lines[: len(expected)]]
    given = [*answers, *[CandidateAnswer("raise", "")] * (len(expected) - len(answers))]
    both = zip(given, map(decode_answer, expected), strict=True)
    pairs = [two for two in both if not _is_slow(two[0])]
    if not pairs:
        return 1.0
    same = [_says_the_same(one, right, exact) for one, right in pairs]
    observed = sum(same) / len(pairs)
    mine = Counter(
        _said(right if agree else one) for (one, right), agree in zip(pairs, same, strict=True)
    )
    theirs = Counter(_said(right) for _, right in pairs)
    by_chance = sum(n * mine[said] for said, n in theirs.items()) / len(pairs) ** 2
    return 1.0 if observed == 1 else max(0.0, (observed - by_chance) / (1 - by_chance))


def agreement_apart(given: Sequence[Any]) -> float:
    """Do the same with the arguments in one, as plain data."""
    lines, expected, exact = given
    return agreement(lines, expected, exact=exact)


def _is_slow(answer: CandidateAnswer) -> bool:
    return answer.kind == "raise" and str(answer.value).startswith("Slow:")


def _said(answer: CandidateAnswer) -> tuple[str, bytes]:
    return answer.kind, encode(answer.value)


def _says_the_same(answer: CandidateAnswer, expected: CandidateAnswer, exact: bool) -> bool:  # noqa: FBT001
    if answer.kind != "value":
        return False
    return _said(answer) == _said(expected) or _alike(answer.value, expected.value, exact)


def _alike(answer: Any, expected: Any, exact: bool) -> bool:  # noqa: ANN401, FBT001 - plain data
    """Whether two answers say the same: equal, nearly equal numbers, or the same members."""
    if isinstance(expected, list | tuple) and isinstance(answer, list | tuple):
        if len(answer) != len(expected):
            return False
        if all(_alike(a, b, exact) for a, b in zip(answer, expected, strict=True)):
            return True
        return not exact and sorted(map(encode, answer)) == sorted(map(encode, expected))
    return compare(Comparator.EQUAL, inputs=(), output=answer, expected=expected, atol=1e-6).passes


FURTHER = Limits(cpu_s=30, wall_s=900, memory_mb=512, processes=8, file_mb=4, answers_mb=4)
"""For a function on one kind of inputs; its work is counted and ends much earlier."""

LEAST_DRAWN = 0.5
"""Agreement on drawn inputs below which they decide."""

Known = list[tuple[tuple[Any, ...], bytes]]
"""Inputs, and what the reference answers, encoded."""
_AGREEING = (
    "evolcoder.bench.comparators",
    "evolcoder.grading.answers",
    "evolcoder.decontamination.execution.agreement",
)


class Agreement:
    """Asks functions for more answers; remembers the references' own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._known: dict[str, tuple[Known, Known]] = {}

    async def of(self, program: str, problem: Problem, examples: Sequence[ProblemExample]) -> float:
        """Return the agreement of a program that defines the problem's function, from 0 to 1."""
        if not examples:
            return 1.0
        (name,) = entry_points(problem)
        if problem.id not in self._known:
            made = [kind(examples, seed=problem.id) for kind in (inputs_like, inputs_drawn)]
            like, drawn = [await self._answered(problem, one) for one in made]
            self._known[problem.id] = like, drawn if _tells(drawn) else []
        on_like, on_drawn = [
            await self._agreement(program, name, known, exact=is_exact(examples))
            for known in self._known[problem.id]
        ]
        return on_like if on_drawn >= LEAST_DRAWN else min(on_like, on_drawn)

    async def _agreement(self, program: str, name: str, known: Known, *, exact: bool) -> float:
        """Compare answers; where that costs too much, they are taken for others."""
        lines = await self._answers(program, name, [given for given, _ in known])
        expected = [line for _, line in known]
        n_bytes = sum(map(len, lines)) + sum(map(len, expected))
        if n_bytes <= INLINE_BYTES:
            return agreement(lines, expected, exact=exact)
        given, limits = [lines, expected, exact], comparison_limits(n_bytes)
        try:
            return float(
                await call_isolated(self._sandbox, _AGREEING, "agreement_apart", given, limits)
            )
        except TooCostlyError:
            return 0.0

    async def _answered(self, problem: Problem, inputs: Sequence[tuple[Any, ...]]) -> Known:
        """Keep the inputs that the reference has an answer for, and a short one."""
        (name,) = entry_points(problem)
        source = counted(problem.reference or "") or ""
        reference = Function(name, source, least=0, most=0, returns=True, kinds=())
        lines = await self._answers(adapted(reference, None, name), name, inputs)
        pairs = zip(inputs, lines, strict=False)
        return [(given, line) for given, line in pairs if _is_value(line)]

    async def _answers(
        self, program: str, name: str, inputs: Sequence[tuple[Any, ...]]
    ) -> list[bytes]:
        if not inputs:
            return []
        quick = f"{program}{name} = limited({name}, meter)\n"
        lines, _ = await run_calls(self._sandbox, quick, name, inputs, FURTHER)
        return lines


def _is_value(line: bytes) -> bool:
    return len(line) <= INLINE_BYTES and decode_answer(line).kind == "value"


def _tells(known: Known) -> bool:
    """Whether a reference's answers differ."""
    return len({line for _, line in known}) > 1


PLAIN = 5
"""Symbols of a reference that are too few to speak of a copy."""
_NOT_COUNTED = (ast.Module, ast.Load, ast.Store, ast.Del, ast.arguments, ast.arg, ast.FunctionDef)


def size_of(reference: str) -> int:
    """Count the symbols of a reference; 0 if it is no Python."""
    tree = tree_of(reference)
    return sum(map(_size_of_statement, tree.body)) if tree else 0


def is_plain(size: int) -> bool:
    """Whether a problem of this size is too plain for a pass to speak of a copy."""
    return size <= PLAIN


def _size_of_statement(node: ast.stmt) -> int:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return 0
    if isinstance(node, ast.FunctionDef):
        return sum(_size_of_statement(one) for one in node.body)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return 0
    return sum(not isinstance(one, _NOT_COUNTED) for one in ast.walk(node))
