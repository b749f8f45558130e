"""Programs that a training answer's function runs in: under a benchmark's name, and counted.

>>> adapted(function, (1, 0), "has_close_elements")   # doctest: +SKIP
"""

import functools
from importlib import resources

from evolcoder.code.functions import Function
from evolcoder.decontamination.execution.examples import View

LEAST_WORK = 20_000_000
"""Units of work that a function may do in a benchmark's test, or more where its reference does."""


def adapted(function: Function, view: View | None, entry_point: str, most: int = LEAST_WORK) -> str:
    """Write the program in which a function goes by another name, and may work so many units."""
    given = f"{function.source!r}, {function.name!r}, {view!r}, returns={function.returns}"
    return f"{meter()}\nmeter = Meter({most})\n{entry_point} = adapted({given}, meter=meter)\n"


@functools.cache
def trial() -> str:
    """Return the source of what takes the first look, and holds the meter."""
    return (
        resources.files("evolcoder.decontamination.execution")
        .joinpath("sandbox_prefilter.py")
        .read_text(encoding="utf-8")
    )


@functools.cache
def meter() -> str:
    """Return what of that holds the meter: compiling the rest would cost each run a millisecond."""
    return trial().partition("\ndef trial(")[0]
