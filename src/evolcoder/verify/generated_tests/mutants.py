r"""Break a Python program a little: mutants, each one edit away from it.

Promises: every mutant parses, differs from the program and from every other mutant (compared as
`ast.unparse` writes them), is named by its kind and line, and is drawn evenly over the kinds; equal
random numbers draw equal mutants. Only what the entry point can reach is changed; docstrings,
annotations, decorators and what an exception says are left alone. A source that is not Python, too
long or nested too deep has no mutants.
Does not promise that a mutant behaves otherwise: `i <= n` may do what `i < n` does.

>>> from random import Random
>>> [(m.name, m.source) for m in mutants("def f(x):\n    return x + 1", Random(0), limit=1)]
[('arithmetic:2', 'def f(x):\n    return x - 1')]
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from random import Random

from evolcoder.code.reading import compiles, is_main_guard, parse, reachable
from evolcoder.verify.generated_tests.mutations import Edit, Mutation, edits_of


@dataclass(frozen=True, slots=True)
class Mutant:
    """A program that is one edit away from another."""

    kind: Mutation
    """What was changed."""
    line: int
    """The line of the original where it was."""
    source: str
    """The whole changed program, as `ast.unparse` writes it: without comments."""

    @property
    def name(self) -> str:
        """Kind and line, for a reader."""
        return f"{self.kind}:{self.line}"


def mutants(
    source: str, rng: Random, *, limit: int = 20, entry_point: str | None = None
) -> tuple[Mutant, ...]:
    """Draw at most `limit` mutants of a program, as many of each kind as there are."""
    if limit < 1 or (tree := parse(source)) is None:
        return ()
    if entry_point is not None:
        roots = reachable(tree, entry_point)
    else:
        roots = [node for node in tree.body if not is_main_guard(node)]
    seen, made = {ast.unparse(tree)}, []
    for edit in _evenly(edits_of(tree, roots), rng):
        changed = _changed(tree, edit)
        if changed is not None and changed not in seen:
            seen.add(changed)
            made.append(Mutant(edit.kind, edit.line, changed))
        if len(made) == limit:
            break
    return tuple(made)


def _evenly(edits: Iterator[Edit], rng: Random) -> Iterator[Edit]:
    """Deal out edits, one of each kind in turn, the kinds and what they hold shuffled."""
    by_kind: dict[Mutation, list[Edit]] = {}
    for edit in edits:
        by_kind.setdefault(edit.kind, []).append(edit)
    hands = [by_kind[kind] for kind in sorted(by_kind)]
    rng.shuffle(hands)
    for hand in hands:
        rng.shuffle(hand)
    for deal in zip_longest(*hands):
        yield from (edit for edit in deal if edit is not None)


def _changed(tree: ast.Module, edit: Edit) -> str | None:
    edit.place.put(edit.new)
    try:
        changed = ast.unparse(tree)
    except (ValueError, RecursionError):
        return None
    finally:
        edit.place.put(edit.place.node)
    return changed if compiles(changed) else None
