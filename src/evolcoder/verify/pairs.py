"""Pairs of answers to one task, one that passes its tests and one that does not.

Promises: a pair rests on a verdict of `tests` alone, whose tests stood their own test; a row whose
own answer failed gives a pair too, with the answer that passed in its place. Rows without such a
verdict, or whose other answers all went the same way, give none.

>>> [row.beside["rejected"] for row in pairs(store.rows(dropped=True))]   # doctest: +SKIP
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from evolcoder.records import Check, Response, Row


def pairs(rows: Iterable[Row]) -> Iterator[Row]:
    """Make rows whose answer passed and that hold one which was rejected."""
    for row in rows:
        tests = next((v for v in row.verdicts if v.check is Check.TESTS), None)
        if tests is None:
            continue
        better, worse = tests.detail.get("better"), tests.detail.get("worse")
        if tests.kind == "passed" and worse:
            yield replace(row, beside={"rejected": str(worse)})
        elif tests.kind == "failed" and better:
            chosen = Response.to(row.task, str(better), made=row.response.made)
            yield replace(row, response=chosen, beside={"rejected": row.response.text})
