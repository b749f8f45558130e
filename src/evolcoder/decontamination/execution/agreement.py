r"""Agreement of a function with a reference on inputs beyond the tests, and the size of problems.

`Agreement` runs a function that passed a problem's tests on two kinds of further inputs, the same
ones each time: mutations of the test's own, and random ones of their types. Only inputs for which
the reference returns a value are used. The first kind gives the agreement. The second may call a
reference outside its intended domain, so it only counts if agreement on it is below one half, and
not at all if the reference always returns the same value, which chance would explain.

Agreement is Cohen's kappa, from 0 to 1 (see `kappa`).

>>> await Agreement(sandbox).of(program, problem, examples)   # doctest: +SKIP
0.93

`adapted` returns the program that runs a function under a problem's name, with its work counted:

>>> adapted(function, (1, 0), "has_close_elements")   # doctest: +SKIP

`solution_size` counts the syntax nodes of a reference, without docstrings, annotations, imports and
the signature. A pass of a problem of at most `MAX_PLAIN_SIZE` is no evidence of a leak, since
`return a + b` is in every collection of exercises.

>>> solution_size("def add(a, b):\n    return a + b"), solution_size("def f(s):\n    return len(s)")
(5, 4)
"""

import ast
import functools
from collections.abc import Sequence
from importlib import resources
from typing import Any

from evolcoder.bench.base import Problem
from evolcoder.bench.function_bench import entry_points
from evolcoder.code.functions import Function
from evolcoder.code.instrument import counted
from evolcoder.code.python_ast import tree_of
from evolcoder.decontamination.execution.examples import (
    ProblemExample,
    View,
    inputs_drawn,
    inputs_like,
    is_exact,
)
from evolcoder.decontamination.execution.kappa import agreement
from evolcoder.grading.answers import decode_answer
from evolcoder.grading.calls import (
    INLINE_BYTES,
    TooCostlyError,
    call_isolated,
    comparison_limits,
    run_calls,
)
from evolcoder.sandbox.base import Limits, Sandbox

MIN_WORK = 20_000_000
"""Minimum work limit of a function in a benchmark's tests; more if the reference needs more."""


def adapted(function: Function, view: View | None, entry_point: str, most: int = MIN_WORK) -> str:
    """Return a program that defines a function under another name, limited to `most` units."""
    given = f"{function.source!r}, {function.name!r}, {view!r}, returns={function.returns}"
    return f"{meter()}\nmeter = WorkMeter({most})\n{entry_point} = adapted({given}, meter=meter)\n"


@functools.cache
def prefilter() -> str:
    """Return the source of the prefilter."""
    return (
        resources.files("evolcoder.decontamination.execution")
        .joinpath("sandbox_prefilter.py")
        .read_text(encoding="utf-8")
    )


@functools.cache
def meter() -> str:
    """Return the part of it with the meter; compiling the rest would take a millisecond per run."""
    return prefilter().partition("\ndef prefilter(")[0]


LIMITS = Limits(cpu_s=30, wall_s=900, memory_mb=512, processes=8, file_mb=4, answers_mb=4)
"""Limits of running a function on one kind of inputs; its work is counted and ends much earlier."""

MIN_DRAWN = 0.5
"""Agreement on random inputs below which it overrides the agreement on mutated ones."""

ReferenceAnswers = list[tuple[tuple[Any, ...], bytes]]
"""Inputs with the reference's encoded answers."""
_SANDBOX_MODULES = (
    "evolcoder.bench.comparators",
    "evolcoder.grading.answers",
    "evolcoder.decontamination.execution.kappa",
)
MAX_PLAIN_SIZE = 5
"""Maximum size of a solution that is too simple to be evidence of copying."""
_IGNORED_NODES = (ast.Module, ast.Load, ast.Store, ast.Del, ast.arguments, ast.arg, ast.FunctionDef)


class Agreement:
    """Computes the agreement of functions; caches the references' answers."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._references: dict[str, tuple[ReferenceAnswers, ReferenceAnswers]] = {}

    async def of(self, program: str, problem: Problem, examples: Sequence[ProblemExample]) -> float:
        """Return the agreement of a program that defines the problem's function, from 0 to 1."""
        if not examples:
            return 1.0
        (name,) = entry_points(problem)
        if problem.id not in self._references:
            made = [kind(examples, seed=problem.id) for kind in (inputs_like, inputs_drawn)]
            like, drawn = [await self._answered(problem, one) for one in made]
            self._references[problem.id] = like, drawn if _varies(drawn) else []
        on_like, on_drawn = [
            await self._agreement(program, name, known, exact=is_exact(examples))
            for known in self._references[problem.id]
        ]
        return on_like if on_drawn >= MIN_DRAWN else min(on_like, on_drawn)

    async def _agreement(
        self, program: str, name: str, known: ReferenceAnswers, *, exact: bool
    ) -> float:
        """Compare answers; those too costly to compare count as different."""
        lines = await self._answers(program, name, [given for given, _ in known])
        expected = [line for _, line in known]
        n_bytes = sum(map(len, lines)) + sum(map(len, expected))
        if n_bytes <= INLINE_BYTES:
            return agreement(lines, expected, exact=exact)
        given, limits = [lines, expected, exact], comparison_limits(n_bytes)
        try:
            return float(
                await call_isolated(
                    self._sandbox, _SANDBOX_MODULES, "agreement_in_sandbox", given, limits
                )
            )
        except TooCostlyError:
            return 0.0

    async def _answered(
        self, problem: Problem, inputs: Sequence[tuple[Any, ...]]
    ) -> ReferenceAnswers:
        """Return the inputs for which the reference returns a short value, with the values."""
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
        limited_program = f"{program}{name} = limited({name}, meter)\n"
        lines, _ = await run_calls(self._sandbox, limited_program, name, inputs, LIMITS)
        return lines


def _is_value(line: bytes) -> bool:
    return len(line) <= INLINE_BYTES and decode_answer(line).kind == "value"


def _varies(known: ReferenceAnswers) -> bool:
    """Whether the reference returns different values."""
    return len({line for _, line in known}) > 1


def solution_size(reference: str) -> int:
    """Count the syntax nodes of a solution; 0 if it is not Python."""
    tree = tree_of(reference)
    return sum(map(_size_of_statement, tree.body)) if tree else 0


def is_plain(size: int) -> bool:
    """Whether a problem of this size is too simple for a pass to be evidence."""
    return size <= MAX_PLAIN_SIZE


def _size_of_statement(node: ast.stmt) -> int:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return 0
    if isinstance(node, ast.FunctionDef):
        return sum(_size_of_statement(one) for one in node.body)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return 0
    return sum(not isinstance(one, _IGNORED_NODES) for one in ast.walk(node))
