"""Does an answer keep the bound on time or space that its task asks for? Counted, not clocked.

The answer's function is rewritten so that work within C is seen (`rewrite`), and run in the sandbox
under a tracer on inputs of growing size and several shapes (`sized`, `inside/counting`); what it
counts is fitted (`growth`). Time is lines begun and steps within C; space is the most bytes held
beside arguments and result, and the depth of calls.

Promises: the verdict says which classes the data rule out: `holds`, `ruled_out`, `undecided`, or
`not_measured` with the reason; never by the clock, so equal seeds give equal verdicts. `holds` means
that no input that was tried grows faster; `ruled_out` that at least one did, at every size.
What is trusted: the sandbox's limits, and the inputs and the fit, which are made here. The counts
are the candidate's word, since it runs in the process that counts: a random token keeps what it
prints from being taken for them, but a program that looks for the tracer could change them. So an
answer is not paid for keeping a bound; it is only dropped for missing it.
What cannot be measured: functions of no sized argument or of several sizes, work of libraries that
the table of `counting` does not know (such a bound is never said to hold), arithmetic on numbers of
growing length (a step is a step), growth of a few bytes for every doubling.

>>> found = await measure(sandbox, source, "f", bounds, checks=[], limits=Limits(), seed=0)  # doctest: +SKIP
"""  # noqa: E501 - a call

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
from evolcoder.verification.complexity.inputs import SizedCall, UnsizedError, arguments_of, calls
from evolcoder.verification.complexity.instrument import rewritten
from evolcoder.verification.complexity.verdict import (
    LEAST_SIZES,
    NOT_MEASURED,
    CostCounts,
    CostRun,
    MeasuredCosts,
    by_shape,
    judged,
)

_INSIDE = "evolcoder.verification.complexity"
_LOAD = """\
import sys, types
for name, text in {texts!r}:
    sys.modules[name] = types.ModuleType(name)
    exec(compile(text, "op_counter", "exec"), sys.modules[name].__dict__)
sys.modules[name].main()
"""


MOST_BYTES = 1 << 22
"""Longest text of counts that is read; a program of a thousand lines writes half of it."""
MOST_RUNS, MOST_LINES = 1000, 1000
"""Runs, and lines of one run with a count of their own, that are read; no function has so many."""
MOST_COUNT = 1e15
"""No count of a run that ended within its budget comes near it."""
NAME_CHARS = 200
"""Longest name of a line, a function or a stop that is shown."""
UNKNOWN = "a class that we do not know, or a bound on single steps"


class NotMeasuredError(Exception):
    """Nothing can be said, for the reason that it tells."""


async def measure(  # noqa: PLR0913 - all of it decides
    sandbox: Sandbox,
    source: str,
    entry_point: str | None,
    bounds: Sequence[Bound],
    *,
    checks: Sequence[str],
    limits: Limits,
    seed: int,
) -> list[MeasuredCosts]:
    """Measure a function against bounds; without an entry point it is the last one defined."""
    known = [bound for bound in bounds if bound.growth is not None]
    others = [
        MeasuredCosts(
            NOT_MEASURED, bound, "a class that we do not know, or a bound on single steps", "", None
        )
        for bound in bounds
        if bound.growth is None
    ]
    try:
        counts = await count(sandbox, source, entry_point, checks=checks, limits=limits, seed=seed)
    except (NotMeasuredError, UnsizedError) as error:
        return [MeasuredCosts(NOT_MEASURED, bound, str(error), "", None) for bound in bounds]
    rng = rng_for(seed, "bound", content_id("source", source))
    return [judged(counts, bound, rng) for bound in known] + others


async def count(
    sandbox: Sandbox,
    source: str,
    entry_point: str | None,
    *,
    checks: Sequence[str],
    limits: Limits,
    seed: int,
) -> CostCounts:
    """Run a function at growing sizes; where it grows too fast for that, at small ones."""
    tree = parse(source)
    if tree is None:
        raise NotMeasuredError("no Python source")
    name = entry_point or _last_function(tree)
    function = definitions(tree).get(name)
    if function is None or isinstance(function, ast.ClassDef):
        raise NotMeasuredError(f"there is no function {name}" if name else "there is no function")
    arguments = arguments_of(function, checks)
    counts = CostCounts((), (), ())
    for small in (False, True):
        rng = rng_for(seed, "sized", name, int(small))
        made = calls(arguments, rng, small=small)
        token = f"{rng.getrandbits(128):032x}"
        counts = await _run(sandbox, _job(source, name, made, token), token, limits)
        if any(len(runs) >= LEAST_SIZES for runs in by_shape(counts).values()):
            return counts
    raise NotMeasuredError(
        f"too few sizes could be run: {', '.join(counts.stops[:5]) or 'too slow'}"
    )


def _last_function(tree: ast.Module) -> str:
    """Return the last function that no other one names, or the last of all."""
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
    """Cut a program down to what the function reaches, plain and with hooks."""
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
    with_hooks = rewritten(tree, hooks)
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
    """Return the program that counts: its modules as text, since the sandbox has none of them."""
    texts = [
        (f"{_INSIDE}.{name}", files(_INSIDE).joinpath(f"{name}.py").read_text("utf-8"))
        for name in ("op_costs", "op_counter")
    ]
    return _LOAD.format(texts=texts)


async def _run(sandbox: Sandbox, job: dict[str, Any], token: str, limits: Limits) -> CostCounts:
    program = Program("python", _driver(), Script(stdin=marshal.dumps(job, 2)))
    execution = await sandbox.run(program, limits)
    if execution.status is not Status.FINISHED:
        raise NotMeasuredError(f"the runs ended with {execution.status}")
    mark = token.encode()
    begin, middle, end = execution.answers.partition(mark)
    body, closed, rest = end.partition(mark)
    if not middle or not closed or begin or rest:
        raise NotMeasuredError("the runs brought no counts, or more than counts")
    sizes = {(one[0], one[1]) for one in job["calls"]}
    counts = read_counts(body, sizes)
    return replace(counts, unseen=(*job["unseen"], *counts.unseen))


def read_counts(body: bytes, sizes: Collection[tuple[str, int]]) -> CostCounts:
    """Read the counts of runs of these shapes and sizes, which the candidate may have written."""
    if len(body) > MOST_BYTES:
        raise NotMeasuredError("the runs brought more than counts")
    try:
        found = json.loads(body)
        if "failed" in found:
            raise NotMeasuredError(f"the runs failed: {_name(found['failed'])}")
        if len(found["runs"]) > MOST_RUNS:
            raise ValueError("too many runs")
        ended = [_run_of(run, sizes) for run in found["runs"] if "stop" not in run]
        stops = {_name(run["stop"]) for run in found["runs"] if "stop" in run}
        unseen = tuple(map(_name, found["unseen"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotMeasuredError("the runs brought something else than counts") from error
    return CostCounts(tuple(ended), tuple(sorted(stops)), unseen)


def _run_of(run: dict[str, Any], sizes: Collection[tuple[str, int]]) -> CostRun:
    """Check one run; anything that no run could be raises."""
    where = (run["shape"], run["n"])
    if type(where[1]) is not int or where not in sizes or len(run["counts"]) > MOST_LINES:
        raise ValueError("no run")
    counts = {_name(line): _count(count) for line, count in run["counts"].items()}
    return CostRun(*where, counts, int(_count(run["depth"])), _count(run["bytes"]))


def _count(value: object) -> float:
    if type(value) not in {int, float} or not 0 <= value <= MOST_COUNT:  # type: ignore[operator]
        raise ValueError("no count")
    return value  # type: ignore[return-value]


def _name(text: object) -> str:
    if type(text) is not str or len(text) > NAME_CHARS:
        raise ValueError("no name")
    return clean(text)
