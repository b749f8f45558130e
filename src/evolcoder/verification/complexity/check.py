"""Checks whether a response meets the time or space bound of its task, by counting operations.

The response's function is instrumented so that work in C is visible, and run in the sandbox under a
tracer on inputs of growing size and several shapes (`inputs`, `op_counter`); the counts are fitted
(`bounds`). Time is executed lines plus steps in C. Space is the peak of bytes besides arguments and
result, and the call depth.

Instrumenting does not change the program's results. Every call of a function that is not its own,
every `in` and `==`, every slice, concatenation and unpacking goes through a hook of
`op_counter.Hooks`. Calls that cannot be followed (`eval`) are listed.

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

>>> print(ast.unparse(add_hooks(ast.parse("y = sorted(xs)"), "H").tree))
y = H.call(1, sorted, xs)
>>> found = await measure_complexity(   # doctest: +SKIP
...     sandbox, source, "f", bounds, checks=[], limits=Limits(), seed=0)
"""

import ast
import json
import marshal
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, cast

from evolcoder.code.python_ast import definitions, parse, reachable
from evolcoder.ids import content_id, rng_for
from evolcoder.sandbox.base import Limits, Program, Sandbox, Script, Status
from evolcoder.text import clean
from evolcoder.verification.complexity.bounds import (
    MIN_SIZES,
    NOT_MEASURED,
    Bound,
    CostCounts,
    CostRun,
    MeasuredCosts,
    by_shape,
    judge_bound,
)
from evolcoder.verification.complexity.inputs import (
    SizedCall,
    UnsizedError,
    infer_arguments,
    sized_calls,
)

_FRAME_FUNCTIONS = {"super", "locals", "globals", "vars", "dir"}
"""Functions that inspect the calling frame and must be called directly."""
_UNKNOWN_COST = {"eval", "exec", "compile", "__import__"}
"""Functions whose cost cannot be determined."""
_CONCATENATIONS = ast.Add | ast.Mult | ast.Mod
_SET_OPERATORS = {ast.Sub: "-", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^"}


@dataclass(frozen=True, slots=True)
class HookedProgram:
    """An instrumented program."""

    tree: ast.Module
    """The program."""
    unseen: tuple[str, ...]
    """Functions of unknown cost that it calls."""


def add_hooks(tree: ast.Module, hooks: str) -> HookedProgram:
    """Instrument a tree in place; `hooks` is the global name of the `Hooks` object."""
    visitor = _Hooks(hooks, _own_functions(tree))
    tree = ast.fix_missing_locations(cast("ast.Module", visitor.visit(tree)))
    return HookedProgram(tree, tuple(sorted(visitor.unseen)))


def _own_functions(tree: ast.Module) -> set[str]:
    """Return names that only ever stand for functions of the program."""
    functions = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not node.decorator_list
    }
    rebound = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }
    return functions - rebound - {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


class _Hooks(ast.NodeTransformer):
    """Inserts the hooks."""

    def __init__(self, hooks: str, own: set[str]) -> None:
        self._hooks = hooks
        self._own = own
        self.unseen: set[str] = set()

    def _hook(self, name: str, at: ast.AST, *operands: ast.expr) -> ast.Call:
        line = ast.Constant(getattr(at, "lineno", 1))
        hook = ast.Attribute(ast.Name(self._hooks, ast.Load()), name, ast.Load())
        return ast.Call(hook, [line, *operands], [])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _UNKNOWN_COST:
            self.unseen.add(name)
        if name in _FRAME_FUNCTIONS | _UNKNOWN_COST | self._own:
            return node
        call = self._hook("call", node, node.func, *node.args)
        call.keywords = node.keywords
        return call

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) != 1:
            return node
        (op,), (right,) = node.ops, node.comparators
        if isinstance(op, ast.In):
            return self._hook("contains", node, node.left, right)
        if isinstance(op, ast.NotIn):
            return ast.UnaryOp(ast.Not(), self._hook("contains", node, node.left, right))
        if isinstance(op, ast.Eq | ast.NotEq) and not isinstance(right, ast.Constant):
            return ast.Compare(node.left, [op], [self._hook("against", node, right)])
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, _CONCATENATIONS):
            return self._hook("value", node, node)
        sign = _SET_OPERATORS.get(type(node.op))
        if sign is None:
            return node
        return self._hook("sets", node, ast.Constant(sign), node.left, node.right)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            old = ast.Name(node.target.id, ast.Load())
            node.value = self._hook("augmented", node, old, node.value)
        else:
            node.value = self._hook("value", node, node.value)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        last = isinstance(node.slice, ast.UnaryOp)
        if isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Slice):
            return self._hook("value", node, node)
        if isinstance(node.ctx, ast.Store) and isinstance(node.slice, ast.Slice):
            node.value = self._hook("resized", node, node.value)
        if isinstance(node.ctx, ast.Del) and not last:
            node.value = self._hook("resized", node, node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                part.value = self.visit(part.value)
        return self._hook("value", node, node)

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            node.value = self._hook("value", node, node.value)
        return node

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.expr:
        self.generic_visit(node)
        node.value = self._hook("value", node, node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        self.generic_visit(node)
        starred = [
            part
            for target in node.targets
            for part in ast.walk(target)
            if isinstance(part, ast.Starred)
        ]
        if starred:
            node.value = self._hook("value", node, node.value)
        return node


_PACKAGE = "evolcoder.verification.complexity"
_LOADER = """\
import sys, types
module = sys.modules[{name!r}] = types.ModuleType({name!r})
exec(compile({text!r}, "op_counter", "exec"), module.__dict__)
module.main()
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
    """Return the counting program with its module as text, since the sandbox lacks the package."""
    text = files(_PACKAGE).joinpath("op_counter.py").read_text("utf-8")
    return _LOADER.format(name=f"{_PACKAGE}.op_counter", text=text)


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
