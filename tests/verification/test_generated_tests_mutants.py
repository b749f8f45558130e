"""Mutants: small, named, different, and the same for the same seed."""

import ast
from collections import Counter
from random import Random

import pytest

from evolcoder.code.python_ast import parse
from evolcoder.verification.generated_tests.mutants import Mutation, mutants

RICH = '''
import math

LIMIT = 10
OTHER = 99

def used(values: list[int] = [1, 2]) -> int:
    """Add 1 and "one"."""
    total = 0
    for i in range(0, len(values)):
        if values[i] > LIMIT and not values[i] == 3:
            total += values[i] * 2
        else:
            continue
    return total, "sum" if total else ""

def entry(values):
    if not values:
        raise ValueError("at least 1")
    return used(values[1:]) == -1 or True

def unused(x):
    return x + 41

if __name__ == "__main__":
    print(unused(1) + 1)
'''


def all_of(source, **options):
    return mutants(source, Random(1), limit=1000, **options)


def test_every_mutant_is_another_program():
    """Mutants parse, differ from the source and from each other, whatever the spelling."""
    made = all_of(RICH)
    sources = {ast.unparse(ast.parse(mutant.source)) for mutant in made}
    assert len(sources) == len(made) > 40
    assert ast.unparse(ast.parse(RICH)) not in sources


def test_every_kind_is_drawn():
    """A rich program is broken in every way that there is."""
    assert {mutant.kind for mutant in all_of(RICH)} == set(Mutation)


def test_kinds_share_evenly():
    """While every kind has edits left, none is drawn twice before all are drawn once."""
    drawn = Counter(mutant.kind for mutant in mutants(RICH, Random(3), limit=len(Mutation)))
    assert set(drawn.values()) == {1}


@pytest.mark.parametrize("seed", range(3))
def test_same_seed_same_mutants(seed):
    """Equal random numbers draw equal mutants; other ones draw others."""
    first, again = (mutants(RICH, Random(seed), limit=9) for _ in range(2))
    assert first == again
    assert mutants(RICH, Random(seed + 100), limit=9) != first


def test_only_what_the_entry_point_reaches_is_changed():
    """Helpers and constants in use are changed, strangers and the main guard are not."""
    changed = {mutant.line for mutant in all_of(RICH, entry_point="entry")}
    assert {4, 9, 11, 12, 18, 20} <= changed
    assert not changed & {5, 8, 19, 23, 25, 26}


def test_an_unknown_entry_point_restricts_nothing():
    """Without its definition everything may be changed but the main guard."""
    changed = {mutant.line for mutant in all_of(RICH, entry_point="elsewhere")}
    assert 23 in changed
    assert 26 not in changed


def test_a_mutant_says_where_it_is():
    """The named line is the one that changed."""
    (mutant,) = mutants("def f(x):\n    y = x\n    return y + x\n", Random(0), limit=1)
    before, after = (
        "def f(x):\n    y = x\n    return y + x".splitlines(),
        mutant.source.splitlines(),
    )
    assert [n for n in range(3) if before[n] != after[n]] == [mutant.line - 1]


@pytest.mark.parametrize(
    "source",
    [
        "not python at all (",
        "x = " + "(" * 3000 + "1" + ")" * 3000,
        "x = " + "-" * 20_000 + "1",
        "x = a" + ".b" * 20_000,
        "x = " + "+".join("1" * 1 for _ in range(20_000)),
        "\n".join(" " * depth + "if x:" for depth in range(99)) + "\n" + " " * 99 + "y = 1",
        "x = 1\n" * 200_000,
        "x = '\ud800'",
        "x = 1\0",
        "x = " + "9" * 5000,
        "",
    ],
    ids=range(11),
)
def test_odd_sources_end_in_few_mutants_or_none(source):
    """Whatever the text is, there is an answer, and no exception or warning."""
    assert len(mutants(source, Random(0), limit=5)) <= 5


def test_a_source_that_warns_is_read_in_silence():
    """Invalid escapes and odd comparisons are Python; nobody is warned of them."""
    assert parse("x = '\\d' is 1") is not None
    assert all_of("x = '\\d' is 1")
