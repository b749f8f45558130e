"""Markdown tables, and targets with the measured values."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be reached, and what was."""

    title: str
    """What is measured."""
    wanted: str
    """The bound, in words."""
    value: float
    """What was measured."""
    is_met: bool
    """Whether it is within the bound."""


def below(title: str, bound: float, value: float) -> Target:
    """Make a target with an upper bound."""
    return Target(title, f"< {bound:g}", value, value < bound)


def at_least(title: str, wanted: float, value: float) -> Target:
    """Make a target with a lower bound."""
    return Target(title, f">= {wanted:g}", value, value >= wanted)


def targets(found: Sequence[Target]) -> str:
    """Make the table of targets."""
    rows = [
        [one.title, one.wanted, f"{one.value:.2f}", "yes" if one.is_met else "**no**"]
        for one in found
    ]
    return markdown(["target", "wanted", "reached", "met"], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table; all columns but the first are numbers."""
    rule = ["---", *(["---:"] * (len(head) - 1))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
