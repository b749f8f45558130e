"""Programs that run a response's function under a benchmark's name, with its work counted.

>>> adapted(function, (1, 0), "has_close_elements")   # doctest: +SKIP
"""

import functools
from importlib import resources

from evolcoder.code.functions import Function
from evolcoder.decontamination.execution.examples import View

MIN_WORK = 20_000_000
"""Minimum work limit of a function in a benchmark's tests; more if the reference needs more."""


def adapted(function: Function, view: View | None, entry_point: str, most: int = MIN_WORK) -> str:
    """Return a program that defines a function under another name, limited to `most` units."""
    given = f"{function.source!r}, {function.name!r}, {view!r}, returns={function.returns}"
    return f"{meter()}\nmeter = Meter({most})\n{entry_point} = adapted({given}, meter=meter)\n"


@functools.cache
def prefilter() -> str:
    """Return the source of the prefilter."""
    return (
        resources.files("evolcoder.decontamination.execution")
        .joinpath("sandbox_prefilter.py")
        .read_text(encoding="utf-8")
    )


@functools.cache
def meter() -> str:
    """Return the part of it with the meter; compiling the rest would take a millisecond per run."""
    return prefilter().partition("\ndef prefilter(")[0]
