"""How far a function that passed a problem's test answers more inputs as the reference does.

Promises: two kinds of inputs, those like the test's own (`further`) and those drawn by its types
(`drawn`), each the same ones every time; only those that the reference has an answer for are asked.
The first kind says how far; the second, which may ask a reference what it was never meant for, only
counts where a function agrees on less than half of it, and not at all where the reference always
answers the same, since chance would explain all of it.

>>> await Likeness(sandbox).of(program, problem, examples)   # doctest: +SKIP
0.93
"""

from collections.abc import Sequence
from typing import Any

from evolcoder.bench.base import Problem
from evolcoder.bench.function_bench import entry_points
from evolcoder.code.functions import Function
from evolcoder.code.instrument import counted
from evolcoder.decontamination.execution.agreement import agreement
from evolcoder.decontamination.execution.examples import Example, is_exact
from evolcoder.decontamination.execution.mutated_inputs import inputs_like
from evolcoder.decontamination.execution.random_inputs import inputs_drawn
from evolcoder.decontamination.execution.sandbox_programs import adapted
from evolcoder.grading.answers import read_answer
from evolcoder.grading.calls import (
    LIGHT_BYTES,
    TooCostlyError,
    answers_of,
    call_isolated,
    costly_limits,
)
from evolcoder.sandbox.base import Limits, Sandbox

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


class Likeness:
    """Asks functions for more answers; remembers the references' own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._known: dict[str, tuple[Known, Known]] = {}

    async def of(self, program: str, problem: Problem, examples: Sequence[Example]) -> float:
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
        if n_bytes <= LIGHT_BYTES:
            return agreement(lines, expected, exact=exact)
        given, limits = [lines, expected, exact], costly_limits(n_bytes)
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
        lines, _ = await answers_of(self._sandbox, quick, name, inputs, FURTHER)
        return lines


def _is_value(line: bytes) -> bool:
    return len(line) <= LIGHT_BYTES and read_answer(line).word == "value"


def _tells(known: Known) -> bool:
    """Whether a reference's answers differ."""
    return len({line for _, line in known}) > 1
