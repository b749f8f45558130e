r"""Additional training rows derived from verified ones: preference pairs, infilling, and repair.

Nothing is executed or generated: derived rows rest on what verification observed. A preference pair
needs validated tests, or several answers that did not all behave alike; if the row's own response
failed its tests, the alternative that passed replaces it. An
infilling is cut from a Python program that ran, at an expression, a statement or part of a block;
other spans may fit too. A repair's broken program is one mutation away from the program, or another
answer to its task, and a test was seen to fail on it. Rows that provide none of a kind, or cannot
be parsed, are skipped.

Equal seeds give equal rows.

>>> row = infill("def f(x):\n    return x + 1\n", Span.STATEMENT, Random(0))
>>> row.prefix, row.span, row.suffix
('def f(x):\n    ', 'return x + 1', '\n')
>>> [row.beside["rejected"] for row in pairs(store.rows(dropped=True))]   # doctest: +SKIP
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from evolcoder.code.fill_in_middle import FIM_TOKENS
from evolcoder.code.python_ast import parse
from evolcoder.errors import UnjudgedError
from evolcoder.fences import only_block
from evolcoder.ids import rng_for
from evolcoder.records import JSON, Check, CheckResult, Response, Row
from evolcoder.sample_errors import judging
from evolcoder.verification.metrics import python_program

HOLE = "# ... fill in ..."
"""Marks the span's place in the instruction's program."""
MIN_CHARS = 3
"""Minimum length of a span."""
MAX_SHARE = 0.6
"""Maximum share of the program that is removed."""


class Span(StrEnum):
    """Kinds of spans. Values are stored; never rename one."""

    EXPRESSION = "expression"
    STATEMENT = "statement"
    BLOCK = "block"


class Derived(StrEnum):
    """Kinds of derivation. Values are stored; never rename one."""

    INFILL = "infill"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Infilling:
    """A program with a span removed."""

    kind: Span
    """Kind of span."""
    prefix: str
    """Program text before the span."""
    span: str
    """The span."""
    suffix: str
    """Program text after the span."""
    instruction: str
    """The infilling as an instruction."""
    answer: str
    """The response: the complete program."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A broken program and its original."""

    mutation: str
    """Kind and line of the mutation."""
    broken: str
    """The broken program."""
    failing: str
    """The check that it fails."""
    instruction: str
    """The instruction, with the broken program and the check."""
    answer: str
    """The response: the original program."""


def infill(program: str, kind: Span, rng: Random, *, task: str = "") -> Infilling | None:
    """Remove one span of a kind from a program; None if it has none."""
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
    fitting = [cut for cut in cuts if _is_usable(program, *cut)]
    if not fitting:
        return None
    begin, end = rng.choice(fitting)
    prefix, span, suffix = program[:begin], program[begin:end], program[end:]
    return Infilling(
        kind, prefix, span, suffix, _infill_instruction(task, prefix, suffix), _fenced(program)
    )


def build_repair(task: str, mutation: str, broken: str, failing: str, *, fixed: str) -> Repair:
    """Build a repair from a fault that a check detected."""
    instruction = _repair_instruction(task, broken, failing)
    return Repair(mutation, broken, failing, instruction, _fenced(fixed))


Located = ast.expr | ast.stmt


def _spans(tree: ast.Module, kind: Span) -> Iterator[tuple[Located, Located]]:
    """Yield the spans of a kind, each as its first and last node."""
    for node in ast.walk(tree):
        if kind is Span.EXPRESSION:
            yield from ((one, one) for one in _expressions(node))
        elif kind is Span.STATEMENT:
            if isinstance(node, ast.stmt) and not _has_body(node) and not _is_trivial(node):
                yield node, node
        else:
            for field in ("body", "orelse", "finalbody"):
                block = getattr(node, field, None)
                if isinstance(block, list) and node is not tree:
                    yield from (
                        (first, block[-1]) for first in block[:-1] if not _is_trivial(first)
                    )


_LINE_END = re.compile(r"\r\n|\r|\n")


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the non-trivial expressions among a node's children."""
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


def _is_trivial(node: ast.stmt) -> bool:
    is_literal = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_literal or isinstance(node, ast.Import | ast.ImportFrom)


def _line_starts(program: str) -> list[int]:
    """Return the offset of every line, with the line endings of the Python parser."""
    return [0, *(end.end() for end in _LINE_END.finditer(program))]


def _end(starts: Sequence[int], node: Located) -> int:
    return starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)


def _is_usable(program: str, begin: int, end: int) -> bool:
    """Whether a span is long enough, and leaves enough of the program."""
    return MIN_CHARS <= end - begin <= MAX_SHARE * len(program)


def _infill_instruction(task: str, prefix: str, suffix: str) -> str:
    about = f"The program is for this task:\n\n{task}\n\n" if task else ""
    return (
        f"A piece of a Python program is missing where `{HOLE}` stands.\n\n{about}"
        f"{_fenced(prefix + HOLE + suffix)}\n\nWrite the whole program with the piece filled in."
    )


def _repair_instruction(task: str, broken: str, failing: str) -> str:
    about = f"It is to do this:\n\n{task}\n\n" if task else ""
    return (
        f"This Python program has a fault.\n\n{_fenced(broken)}\n\n{about}"
        f"This check fails:\n\n{_fenced(failing)}\n\nFind the fault and write the mended program."
    )


def _fenced(code: str) -> str:
    return f"```python\n{code.strip(chr(10))}\n```"


def pairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows with a response that was shown to be better, and a rejected one.

    Tests decide first: the response passed them and another answer failed. Where answers were
    chosen by agreement, the response is also paired with an answer of each losing cluster that
    was seen to behave otherwise, unless its tests failed.
    """
    for row in rows:
        tests, agreement = _verdict(row, Check.TESTS), _verdict(row, Check.AGREEMENT)
        if tests is not None:
            better, worse = tests.detail.get("better"), tests.detail.get("worse")
            if tests.kind == "passed" and worse:
                yield replace(row, beside={"rejected": str(worse)})
            elif tests.kind == "failed" and better:
                chosen = Response.to(row.task, str(better), made=row.response.made)
                yield replace(row, response=chosen, beside={"rejected": row.response.text})
        if agreement is not None and (tests is None or tests.kind != "failed"):
            is_code_alone = only_block(row.response.text) == row.response.text
            for text in _losers(agreement):
                # Words around one of two answers would tell them apart, whatever the code does.
                alike = only_block(text) or text if is_code_alone else text
                yield replace(row, beside={"rejected": alike})


def _losers(agreement: CheckResult) -> Iterator[str]:
    """Yield the losing answers that a finding on several answers holds."""
    worse = agreement.detail.get("worse")
    for one in worse if isinstance(worse, list | tuple) else ():
        if agreement.kind == "agreed" and isinstance(one, Mapping) and one.get("text"):
            yield str(one["text"])


def fim_text(made: Infilling, family: str) -> str:
    """Return an infilling as one text for fill-in-the-middle training."""
    before, between, then, end = FIM_TOKENS[family]
    return f"{before}{made.prefix}{between}{made.suffix}{then}{made.span}{end}"


def infillings(rows: Iterable[Row], seed: int, fim: str = "qwen") -> Iterator[Row]:
    """Yield an infilling of every kind for each row whose Python program ran."""
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
                    "fim": fim_text(made, fim),
                }
                yield _derived(row, made.instruction, made.answer, beside)


def repairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield a repair for each row with a fault that its tests detected.

    One more for each whose chosen answer was seen to do right what another answer does wrong.
    """
    for row in rows:
        for check in (Check.TESTS, Check.AGREEMENT):
            found = _verdict(row, check)
            fault = found.detail.get("fault") if found else None
            if isinstance(fault, Mapping) and fault:
                yield _repaired(row, fault)


def _repaired(row: Row, fault: Mapping[str, JSON]) -> Row:
    names = ("mutation", "broken", "failing")
    mutation, broken, failing = (str(fault[name]) for name in names)
    fixed = str(fault["mended"])
    made = build_repair(row.task.instruction, mutation, broken, failing, fixed=fixed)
    kind = f"{Derived.REPAIR}:{mutation.partition(' ')[0]}"
    beside = {"kind": kind, "broken": broken, "failing": failing}
    return _derived(row, made.instruction, made.answer, beside)


def _verdict(row: Row, check: Check) -> CheckResult | None:
    return next((verdict for verdict in row.verdicts if verdict.check is check), None)


def _derived(row: Row, instruction: str, answer: str, beside: Mapping[str, str]) -> Row:
    """Replace task and response of a row with derived ones; ids stay those of the original."""
    task = replace(row.task, instruction=instruction)
    return replace(row, task=task, response=replace(row.response, text=answer), beside=beside)
