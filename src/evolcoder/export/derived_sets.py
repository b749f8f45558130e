"""More rows for free out of what verification found: pairs of answers, infillings, repairs.

Promises: nothing is run or asked for; what a derived row claims was seen when its row was verified.
A pair rests on tests that stood their own test, and where the row's own answer failed, the answer
that passed stands in its place. An infilling is cut out of a Python program that ran; a repair's
fault is one that a test was seen to find. A row that gives none of a kind, or that cannot be read,
gives no row of it.

>>> [row.beside["rejected"] for row in pairs(store.rows(dropped=True))]   # doctest: +SKIP
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from evolcoder.errors import UnjudgedError
from evolcoder.export.derived_rows import Derived, Span, infill, mending
from evolcoder.ids import rng_for
from evolcoder.records import Check, Response, Row, RowVerdict
from evolcoder.sample_errors import judging
from evolcoder.verify.metric_checks import python_program


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


def _verdict(row: Row, check: Check) -> RowVerdict | None:
    return next((verdict for verdict in row.verdicts if verdict.check is check), None)


def _derived(row: Row, instruction: str, answer: str, beside: Mapping[str, str]) -> Row:
    """Put a derived task and answer in a row's place; its ids stay those of its origin."""
    task = replace(row.task, instruction=instruction)
    return replace(row, task=task, response=replace(row.response, text=answer), beside=beside)
