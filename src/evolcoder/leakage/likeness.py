"""How far a function that passed a problem's test answers more inputs as the reference does.

Promises: two kinds of inputs, those like the test's own (`further`) and those drawn by its types
(`drawn`), each the same ones every time; the lesser agreement counts, since whoever solves the
problem agrees on both. Only inputs that the reference has an answer for are asked.

>>> await Likeness(sandbox).of(program, problem, examples)   # doctest: +SKIP
0.93
"""

from collections.abc import Sequence
from typing import Any

from evolcoder.bench.base import Problem
from evolcoder.bench.functions import entry_points
from evolcoder.clean.signatures import Function
from evolcoder.clean.work import counted
from evolcoder.grade.calls import Answer, answers_of, read_answer
from evolcoder.leakage.drawn import inputs_drawn
from evolcoder.leakage.examples import Example, is_exact
from evolcoder.leakage.further import agreement, inputs_like
from evolcoder.leakage.programs import adapted
from evolcoder.sandbox.base import Limits, Sandbox

FURTHER = Limits(cpu_s=30, wall_s=900, memory_mb=512, processes=8, file_mb=4, answers_mb=4)
"""For a function on one kind of inputs; its work is counted and ends much earlier."""

Known = list[tuple[tuple[Any, ...], Answer]]
"""Inputs, and what the reference answers."""


class Likeness:
    """Asks functions for more answers; remembers the references' own."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._known: dict[str, tuple[Known, ...]] = {}

    async def of(self, program: str, problem: Problem, examples: Sequence[Example]) -> float:
        """Return the agreement of a program that defines the problem's function, from 0 to 1."""
        if not examples:
            return 1.0
        (name,) = entry_points(problem)
        if problem.id not in self._known:
            made = [kind(examples, seed=problem.id) for kind in (inputs_like, inputs_drawn)]
            self._known[problem.id] = tuple([await self._answered(problem, one) for one in made])
        found = []
        for known in self._known[problem.id]:
            answers = await self._answers(program, name, [given for given, _ in known])
            right = [expected for _, expected in known]
            found.append(agreement(answers, right, exact=is_exact(examples)))
        return min(found)

    async def _answered(self, problem: Problem, inputs: Sequence[tuple[Any, ...]]) -> Known:
        """Keep the inputs that the reference has an answer for."""
        (name,) = entry_points(problem)
        source = counted(problem.reference or "") or ""
        reference = Function(name, source, least=0, most=0, returns=True, kinds=())
        answers = await self._answers(adapted(reference, None, name), name, inputs)
        pairs = zip(inputs, answers, strict=False)
        return [(given, answer) for given, answer in pairs if answer.word == "value"]

    async def _answers(
        self, program: str, name: str, inputs: Sequence[tuple[Any, ...]]
    ) -> list[Answer]:
        if not inputs:
            return []
        quick = f"{program}{name} = limited({name}, meter)\n"
        lines, _ = await answers_of(self._sandbox, quick, name, inputs, FURTHER)
        return [read_answer(line) for line in lines]
