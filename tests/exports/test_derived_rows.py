"""Rows derived from verified answers: every cut fits together, every fault was seen to fail."""

import ast
from random import Random

import pytest

from driver import QUICK
from evolcoder.exports.derived_rows import HOLE, Span, infill, repair
from evolcoder.verification.generated_tests.runner import outcomes

PROGRAM = '''import math

# Largest first.
def biggest(values, n=2):
    """Return the n largest."""
    if n < 1:
        return []
    found = sorted(values)
    found.reverse()
    return found[:n]
'''
CHECKS = ("assert biggest([3, 1, 2]) == [3, 2]", "assert biggest([1], 0) == []")


def failing_in(driver):
    """Run checks for real, as a story would."""

    async def fails(program, checks):
        passed = await outcomes(driver.sandbox, program, "biggest", checks, QUICK)
        return passed.index(False) if False in passed else None

    return fails


def repaired(driver, *, program=PROGRAM, checks=CHECKS, seed=0):
    return driver.runner.run(
        repair(program, checks, Random(seed), fails=failing_in(driver), entry_point="biggest")
    )


@pytest.mark.parametrize("kind", Span)
@pytest.mark.parametrize("seed", range(5))
def test_the_pieces_of_an_infilling_are_the_program(kind, seed):
    """Prefix, span and suffix are the program, byte for byte, and the span is of its kind."""
    row = infill(PROGRAM, kind, Random(seed))
    assert row.prefix + row.span + row.suffix == PROGRAM
    dedented = ast.parse(row.span.replace("\n    ", "\n").replace("return ", "x = "))
    assert len(dedented.body) == 1 or kind is Span.BLOCK
    assert HOLE in row.instruction
    assert row.span not in row.prefix.splitlines()[-1]


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
@pytest.mark.parametrize("kind", Span)
def test_lines_end_as_they_do_for_the_parser(kind, end):
    """A program is cut at its own places whatever its lines end with, form feeds included."""
    program = PROGRAM.replace("\n\n", "\n\x0c\n").replace("\n", end)
    row = infill(program, kind, Random(1))
    assert row.prefix + row.span + row.suffix == program
    assert row.span == infill(PROGRAM, kind, Random(1)).span.replace("\n", end)


def test_a_comment_stays_where_it_was():
    """Spans are cut out of the text, not out of what a tree would print."""
    assert "# Largest first." in infill(PROGRAM, Span.EXPRESSION, Random(1)).prefix


@pytest.mark.parametrize("program", ["", "x", "def f(", "x = 'ä' + y\n", "(" * 5000, "pass\n"])
def test_what_cannot_be_cut_gives_no_row(program):
    """No Python, nothing to cut, or bytes and characters that differ: no row, and no crash."""
    assert all(infill(program, kind, Random(0)) is None for kind in Span)


def test_same_seed_same_infilling():
    """Equal random numbers cut equally, others elsewhere."""
    rows = [infill(PROGRAM, Span.EXPRESSION, Random(seed)) for seed in (1, 1, 2, 3, 4)]
    assert rows[0] == rows[1]
    assert len(set(rows)) > 1


@pytest.mark.parametrize("seed", range(3))
def test_a_repair_is_of_a_program_that_fails(sandbox, seed):
    """The broken program fails the check that the task shows; the answer passes all."""
    row = repaired(sandbox, seed=seed)
    fails = failing_in(sandbox)
    assert row.failing == CHECKS[sandbox.runner.run(fails(row.broken, CHECKS))]
    answer = row.answer.removeprefix("```python\n").removesuffix("\n```")
    assert sandbox.runner.run(fails(answer, CHECKS)) is None
    assert row.broken in row.instruction
    assert row.failing in row.instruction
    assert row == repaired(sandbox, seed=seed)


def test_a_fault_that_no_check_sees_becomes_no_row(sandbox):
    """A mutant that passes every check is not called broken."""
    assert repaired(sandbox, checks=("assert callable(biggest)",)) is None


def test_a_program_that_fails_itself_is_not_mended_to(sandbox):
    """An answer that fails a check is nobody's example; without checks there is nothing to fail."""
    assert repaired(sandbox, program=PROGRAM.replace("n < 1", "n < 9")) is None
    assert repaired(sandbox, checks=()) is None
