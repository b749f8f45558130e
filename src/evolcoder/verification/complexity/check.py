"""Checks whether a response meets the time or space bound of its task, by counting operations.

The response's function is instrumented so that work in C is visible (`instrument`), and run in the
sandbox under a tracer on inputs of growing size and several shapes (`inputs`, `op_counter`); the
counts are fitted (`verdict`). Time is executed lines plus steps in C. Space is the peak of bytes
besides arguments and result, and the call depth.

Verdicts are `holds` (no tried input grows faster), `ruled_out` (at least one does, at every size),
`undecided`, and `not_measured` with the reason. No time is measured, so equal seeds give equal
verdicts.
Trust: limits, inputs and fit are ours. The counts come from the process that the candidate runs in:
a random token keeps its output from being taken for counts, but a program that looks for the tracer
could change them. A bound that holds is therefore never rewarded; a row is only dropped for missing
one.
Limitations: functions without a sized argument or with several sizes are not measured; a bound
never holds if the function calls libraries of unknown cost; arithmetic on growing numbers counts as
one step; growth of a few bytes per doubling is not detected.

>>> found = await measure_complexity(   # doctest: +SKIP
...     sandbox, source, "f", bounds, checks=[], limits=Limits(), seed=0)
"""

import ast
import json
import marshal
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from evolcoder.code.python_ast import definitions, parse, reachable
from evolcoder.ids import content_id, rng_for
from evolcoder.sandbox.base import Limits, Program, Sandbox, Script, Status
from evolcoder.text import clean
from evolcoder.verification.complexity.bound_parser import Bound
from evolcoder.verification.complexity.inputs import (
    SizedCall,
    UnsizedError,
    infer_arguments,
    sized_calls,
)
from evolcoder.verification.complexity.instrument import add_hooks
from evolcoder.verification.complexity.verdict import (
    MIN_SIZES,
    NOT_MEASURED,
    CostCounts,
    CostRun,
    MeasuredCosts,
    by_shape,
    judge_bound,
)

_PACKAGE = "evolcoder.verification.complexity"
_LOADER = """\
import sys, types
for name, text in {texts!r}:
    sys.modules[name] = types.ModuleType(name)
    exec(compile(text, "op_counter", "exec"), sys.modules[name].__dict__)
sys.modules[name].main()
"""


MAX_BYTES = 1 << 22
"""Longest accepted output of the driver; a program of a thousand lines needs half of it."""
MAX_RUNS, MAX_LINES = 1000, 1000
"""Most accepted runs, and most counted lines per run; far more than any function has."""
MAX_COUNT = 1e15
"""Largest accepted count, far above that of any run within the budget."""
MAX_NAME_CHARS = 200
"""Longest accepted name of a line, function or stop."""
_UNKNOWN_BOUND = "unknown complexity class, or a bound on single operations"


class NotMeasuredError(Exception):
    """The complexity cannot be measured; the message is the reason."""


async def measure_complexity(  # noqa: PLR0913 - all inputs affect the result
    sandbox: Sandbox,
    source: str,
    entry_point: str | None,
    bounds: Sequence[Bound],
    *,
    checks: Sequence[str],
    limits: Limits,
    seed: int,
) -> list[MeasuredCosts]:
    """Judge a function by bounds; without an entry point the last function is used."""
    known = [bound for bound in bounds if bound.growth is not None]
    others = [
        MeasuredCosts(NOT_MEASURED, bound, _UNKNOWN_BOUND, "", None)
        for bound in bounds
        if bound.growth is None
    ]
    try:
        counts = await count(sandbox, source, entry_point, checks=checks, limits=limits, seed=seed)
    except (NotMeasuredError, UnsizedError) as error:
        return [MeasuredCosts(NOT_MEASURED, bound, str(error), "", None) for bound in bounds]
    rng = rng_for(seed, "bound", content_id("source", source))
    return [judge_bound(counts, bound, rng) for bound in known] + others


async def count(
    sandbox: Sandbox,
    source: str,
    entry_point: str | None,
    *,
    checks: Sequence[str],
    limits: Limits,
    seed: int,
) -> CostCounts:
    """Count operations at growing sizes, or at small sizes if the function is too slow for that.

    Raises NotMeasuredError or UnsizedError.
    """
    tree = parse(source)
    if tree is None:
        raise NotMeasuredError("no Python source")
    name = entry_point or _last_function(tree)
    function = definitions(tree).get(name)
    if function is None or isinstance(function, ast.ClassDef):
        raise NotMeasuredError(f"no function {name}" if name else "no function")
    arguments = infer_arguments(function, checks)
    counts = CostCounts((), (), ())
    for small in (False, True):
        rng = rng_for(seed, "sized", name, int(small))
        made = sized_calls(arguments, rng, small=small)
        token = f"{rng.getrandbits(128):032x}"
        counts = await _run(sandbox, _job(source, name, made, token), token, limits)
        if any(len(runs) >= MIN_SIZES for runs in by_shape(counts).values()):
            return counts
    raise NotMeasuredError(f"too few sizes completed: {', '.join(counts.stops[:5]) or 'too slow'}")


def _last_function(tree: ast.Module) -> str:
    """Return the last function that no other one uses, or the last of all."""
    names = [name for name, node in definitions(tree).items() if not isinstance(node, ast.ClassDef)]
    used = {
        part.id
        for owner, node in definitions(tree).items()
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and part.id != owner
    }
    free = [name for name in names if name not in used]
    return (free or names or [""])[-1]


def _job(source: str, name: str, made: Sequence[SizedCall], token: str) -> dict[str, Any]:
    """Make the driver's input: the part of the program that the function needs, and the calls."""
    tree = parse(source)
    assert tree is not None
    kept = {id(node) for node in reachable(tree, name)}
    tree.body = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (id(node) in kept and not isinstance(node, ast.Expr))
    ]
    plain = ast.unparse(tree)
    hooks = f"evolcoder_{token[:8]}"
    with_hooks = add_hooks(tree, hooks)
    return {
        "plain": plain,
        "rewritten": ast.unparse(with_hooks.tree),
        "unseen": list(with_hooks.unseen),
        "hooks": hooks,
        "entry": name,
        "token": token.encode(),
        "calls": [(one.shape.value, one.n, marshal.dumps(one.arguments, 2)) for one in made],
    }


@cache
def _driver() -> str:
    """Return the counting program with its modules as text, since the sandbox lacks the package."""
    texts = [
        (f"{_PACKAGE}.{name}", files(_PACKAGE).joinpath(f"{name}.py").read_text("utf-8"))
        for name in ("op_costs", "op_counter")
    ]
    return _LOADER.format(texts=texts)


async def _run(sandbox: Sandbox, job: dict[str, Any], token: str, limits: Limits) -> CostCounts:
    program = Program("python", _driver(), Script(stdin=marshal.dumps(job, 2)))
    execution = await sandbox.run(program, limits)
    if execution.status is not Status.FINISHED:
        raise NotMeasuredError(f"the counting program ended with {execution.status}")
    before, start, rest = execution.answers.partition(token.encode())
    body, end, after = rest.partition(token.encode())
    if not start or not end or before or after:
        raise NotMeasuredError("the counting program returned no counts or extra output")
    sizes = {(one[0], one[1]) for one in job["calls"]}
    counts = parse_counts(body, sizes)
    return replace(counts, unseen=(*job["unseen"], *counts.unseen))


def parse_counts(body: bytes, sizes: Collection[tuple[str, int]]) -> CostCounts:
    """Parse and validate counts, which the candidate may have forged.

    `sizes` has the (shape, size) pairs of the calls. Raises NotMeasuredError.
    """
    if len(body) > MAX_BYTES:
        raise NotMeasuredError("the counting program returned too much output")
    try:
        found = json.loads(body)
        if "failed" in found:
            raise NotMeasuredError(f"the counting program failed: {_name(found['failed'])}")
        if len(found["runs"]) > MAX_RUNS:
            raise ValueError("too many runs")
        completed = [_cost_run(run, sizes) for run in found["runs"] if "stop" not in run]
        stops = {_name(run["stop"]) for run in found["runs"] if "stop" in run}
        unseen = tuple(map(_name, found["unseen"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotMeasuredError("the counting program returned invalid counts") from error
    return CostCounts(tuple(completed), tuple(sorted(stops)), unseen)


def _cost_run(run: dict[str, Any], sizes: Collection[tuple[str, int]]) -> CostRun:
    """Validate one run."""
    call = (run["shape"], run["n"])
    if type(call[1]) is not int or call not in sizes or len(run["counts"]) > MAX_LINES:
        raise ValueError("invalid run")
    counts = {_name(line): _count(count) for line, count in run["counts"].items()}
    return CostRun(*call, counts, int(_count(run["depth"])), _count(run["bytes"]))


def _count(value: object) -> float:
    if type(value) not in {int, float} or not 0 <= value <= MAX_COUNT:  # type: ignore[operator]
        raise ValueError("invalid count")
    return value  # type: ignore[return-value]


def _name(text: object) -> str:
    if type(text) is not str or len(text) > MAX_NAME_CHARS:
        raise ValueError("invalid name")
    return clean(text)
