"""Lengths, complexity and pass rate of a row, as reports count them by round.

Nothing is executed and no model is asked: the pass rate is that of a stored verdict. An answer that
is too long, or holds no Python program, has no complexity. At most `MEASURED` rows of a run are
measured, spread evenly over its order.

>>> measured(store.rows(), store.n_kept())   # doctest: +SKIP
[RowMeasures(round=0, heuristic=None, task_tokens=12, ...), ...]
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from evolcoder.code.blocks import find_program, looks_like
from evolcoder.code.python_ast import tree_of
from evolcoder.records import Check, Row
from evolcoder.text import clean
from evolcoder.verification.metrics import cyclomatic_complexity, n_tokens, python_program

MEASURED = 4_000
"""Most rows of a run that are measured."""
PARSED_CHARS = 50_000
"""Longest answer whose program is measured."""


@dataclass(frozen=True, slots=True)
class RowMeasures:
    """Measures of a row."""

    round: int
    """The round of its task; 0 for seeds."""
    heuristic: str | None
    """The heuristic that made its task; None for seeds."""
    parent_tokens: int
    """Words and signs of the parent's task; 0 without a parent."""
    task_tokens: int
    """Words and signs of the task."""
    answer_tokens: int
    """Words and signs of the answer."""
    complexity: int | None
    """Cyclomatic complexity of the answer's Python program."""
    pass_rate: float | None
    """Share of a model's samples that pass the row's checks, if that was measured."""

    @classmethod
    def of(cls, row: Row) -> Self:
        """Measure a row."""
        text, parent = row.response.text, row.parent_instruction
        program = _python_of(row) if len(text) <= PARSED_CHARS else None
        rates = [one.score for one in row.verdicts if one.check is Check.DIFFICULTY]
        return cls(
            row.task.round,
            row.task.heuristic,
            n_tokens(parent) if parent else 0,
            n_tokens(row.task.instruction),
            n_tokens(text),
            cyclomatic_complexity(program) if program else None,
            next((rate for rate in rates if rate is not None), None),
        )


def _python_of(row: Row) -> str | None:
    """Return the Python program of an answer, in a fence or, as in most seeds, without one."""
    text, language = row.response.text, row.task.language
    if (fenced := python_program(text)) is not None:
        return fenced
    found = find_program(clean(text), [language] if language else [])
    if "python" not in {found.language, *found.alternatives}:
        return None
    sources = (one for one in found.sources if tree_of(one) and looks_like("python", one))
    return next(sources, None)


def measured(rows: Iterable[Row], n_rows: int) -> list[RowMeasures]:
    """Measure at most `MEASURED` of about `n_rows` rows, spread evenly."""
    every = max(1, -(-n_rows // MEASURED))
    return [RowMeasures.of(row) for at, row in enumerate(rows) if at % every == 0]
