"""The parts of an infilling are the program."""

import ast
from random import Random

import pytest

from evolcoder.exports.derived_rows import HOLE, Span, infill

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
    """Offsets follow the Python parser's line endings, form feeds included."""
    program = PROGRAM.replace("\n\n", "\n\x0c\n").replace("\n", end)
    row = infill(program, kind, Random(1))
    assert row.prefix + row.span + row.suffix == program
    assert row.span == infill(PROGRAM, kind, Random(1)).span.replace("\n", end)


def test_a_comment_stays_where_it_was():
    """Spans are cut from the source text, not from an unparsed tree."""
    assert "# Largest first." in infill(PROGRAM, Span.EXPRESSION, Random(1)).prefix


@pytest.mark.parametrize("program", ["", "x", "def f(", "x = 'ä' + y\n", "(" * 5000, "pass\n"])
def test_what_cannot_be_cut_gives_no_row(program):
    """Not Python, no span, or non-ASCII text: no row and no crash."""
    assert all(infill(program, kind, Random(0)) is None for kind in Span)


def test_same_seed_same_infilling():
    """Equal seeds give equal spans, others differ."""
    rows = [infill(PROGRAM, Span.EXPRESSION, Random(seed)) for seed in (1, 1, 2, 3, 4)]
    assert rows[0] == rows[1]
    assert len(set(rows)) > 1
