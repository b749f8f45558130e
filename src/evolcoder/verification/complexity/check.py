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
Where no inputs can be made, `generator` has a model write a function that makes them.
Limitations: a bound never holds if the function calls libraries of unknown cost; arithmetic on
growing numbers counts as one step; growth of a few bytes per doubling is not detected.

>>> print(ast.unparse(add_hooks(ast.parse("y = sorted(xs)"), "H").tree))
y = H.call(1, sorted, xs)
>>> found = await measure_complexity(   # doctest: +SKIP
...     sandbox, source, "f", bounds, checks=[], limits=Limits(), seed=0)
"""

import ast
import copy
import json
import marshal
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, cast

from evolcoder.code.callables import CallableKind, subject_of
from evolcoder.code.python_ast import Function, definitions, parse, reachable
from evolcoder.ids import content_id, rng_for
from evolcoder.programming_language import code_blocks
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
_MODULES = ("written_inputs", "op_counter")
_LOADER = """\
import sys, types
package = sys.modules[{package!r}] = types.ModuleType({package!r})
for name, text in {texts!r}.items():
    module = sys.modules[{package!r} + "." + name] = types.ModuleType({package!r} + "." + name)
    exec(compile(text, "op_counter", "exec"), module.__dict__)
    setattr(package, name, module)
package.op_counter.main()
"""


MAX_BYTES = 1 << 22
"""Longest accepted output of the driver; a program of a thousand lines needs half of it."""
MAX_RUNS, MAX_LINES = 1000, 1000
"""Most accepted runs, and most counted lines per run; far more than any function has."""
MAX_COUNT = 1e15
"""Largest accepted count, far above that of any run within the budget."""
MAX_NAME_CHARS = 200
"""Longest accepted name of a line, function or stop."""
UNKNOWN_BOUND = "unknown complexity class, or a bound on single operations"


class NotMeasuredError(Exception):
    """The complexity cannot be measured; the message is the reason."""

    def __init__(
        self, message: str, *, reason: str = "not_counted", is_refused: bool = False
    ) -> None:
        super().__init__(message)
        self.reason = reason
        """The reason in a word, which is stored as `why`."""
        self.is_refused = is_refused
        """Whether the function raised an exception for every input."""


def reason_of(error: Exception) -> str:
    """Return in a word why the complexity was not measured: the `why` of a verdict."""
    return error.reason if isinstance(error, NotMeasuredError) else "no_inputs"


class PartKind(StrEnum):
    """How a part of a program is called."""

    FUNCTION = "function"
    METHOD = "method"
    """The only public method of a class that is made without arguments."""
    CLASS = "class"
    """Any method of an object."""
    PROGRAM = "program"
    """The whole program, which reads its input."""


@dataclass(frozen=True, slots=True)
class MeasuredPart:
    """The part of a program whose operations are counted."""

    source: str
    """The program."""
    entry: str
    """Name of the function or class; empty for a whole program."""
    kind: PartKind = PartKind.FUNCTION
    """How it is called."""
    node: Function | None = None
    """The function, or the method without `self`."""

    @property
    def called(self) -> str:
        """Name by which the program's own examples call it."""
        return self.node.name if self.node is not None else self.entry


def part_of(source: str, entry_point: str | None) -> MeasuredPart:
    """Return a function of a source, by default its last; raises NotMeasuredError."""
    tree = parse(source)
    if tree is None:
        raise NotMeasuredError("no Python source")
    name = entry_point or _last_function(tree)
    function = definitions(tree).get(name)
    if function is None or isinstance(function, ast.ClassDef):
        raise NotMeasuredError(f"no function {name}" if name else "no function")
    if isinstance(function, ast.AsyncFunctionDef):
        raise NotMeasuredError("the function is async", reason="async")
    return MeasuredPart(source, name, PartKind.FUNCTION, function)


def part_to_measure(text: str, instruction: str) -> MeasuredPart:
    """Return what to measure of a response; raises NotMeasuredError.

    It is the callable that tests would call. Functions that only change their arguments count here.
    """
    subject = subject_of(text, instruction)
    if subject is None:
        return _function_without_result(text)
    if subject.form is CallableKind.PROGRAM:
        return MeasuredPart(subject.body, "", PartKind.PROGRAM)
    if subject.is_coroutine:
        raise NotMeasuredError("the function is async", reason="async")
    tree = parse(subject.body)
    node = definitions(tree).get(subject.name) if tree is not None else None
    source = _with_classes(subject.body, text)
    if isinstance(node, ast.ClassDef):
        method = _only_method(node) if subject.n_params == 0 else None
        kind = PartKind.CLASS if method is None else PartKind.METHOD
        return MeasuredPart(source, subject.name, kind, method)
    return MeasuredPart(source, subject.name, PartKind.FUNCTION, node)


def _with_classes(body: str, text: str) -> str:
    """Return a part of a response's program with the classes that its inputs may be made of."""
    own = definitions(parse(body) or ast.Module([], []))
    for block in code_blocks(text):
        tree = parse(block.code) if block.language in {None, "python"} else None
        found = definitions(tree) if tree is not None else {}
        if tree is None or not own.keys() <= found.keys():
            continue
        names = [
            name
            for name, node in found.items()
            if isinstance(node, ast.ClassDef) and not node.bases and name not in own
        ]
        if not names:
            return body
        nodes = [node for name in (*own, *names) for node in reachable(tree, name)]
        used = {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}
        kept = {id(node) for node in nodes}
        return ast.unparse(
            ast.Module([one for one in tree.body if id(one) in kept or _imports(one, used)], [])
        )
    return body


def _imports(node: ast.stmt, names: Collection[str]) -> bool:
    """Whether a statement imports one of these names."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return False
    bound = {(one.asname or one.name).partition(".")[0] for one in node.names}
    is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
    return is_future or "*" in bound or not bound.isdisjoint(names)


def _only_method(node: ast.ClassDef) -> ast.FunctionDef | None:
    """Return the only public method of a class without `self`, or None."""
    public = [
        part
        for part in node.body
        if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")
    ]
    if len(public) != 1 or any(ast.unparse(one) == "property" for one in public[0].decorator_list):
        return None
    (method,) = public
    if any(ast.unparse(one) == "staticmethod" for one in method.decorator_list):
        return method
    spec = copy.copy(method.args)
    spec.posonlyargs, spec.args = spec.posonlyargs[1:], spec.args[not spec.posonlyargs :]
    found = copy.copy(method)
    found.args = spec
    return found


def _function_without_result(text: str) -> MeasuredPart:
    """Return the last function with arguments in a response; raises NotMeasuredError."""
    blocks = [block for block in code_blocks(text) if block.language in {None, "python"}]
    trees = [tree for block in blocks if (tree := parse(block.code)) is not None]
    for tree in trees:
        name = _last_function(tree)
        node = definitions(tree).get(name)
        if isinstance(node, ast.AsyncFunctionDef):
            raise NotMeasuredError("the function is async", reason="async")
        if isinstance(node, ast.FunctionDef) and (node.args.args or node.args.posonlyargs):
            return MeasuredPart(ast.unparse(tree), name, PartKind.FUNCTION, node)
    if trees:
        raise NotMeasuredError(
            "no function to measure, and the program reads no input", reason="no_function"
        )
    tags = [block.tag for block in code_blocks(text) if block.tag]
    if tags:
        raise NotMeasuredError(f"no Python program: the code is {tags[0]}", reason="language")
    raise NotMeasuredError("no Python program", reason="no_code")


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
    try:
        part = part_of(source, entry_point)
        counts = await count(sandbox, part, checks=checks, limits=limits, seed=seed)
    except (NotMeasuredError, UnsizedError) as error:
        return not_measured(bounds, str(error))
    return judge_bounds(counts, bounds, source, seed)


def judge_bounds(
    counts: CostCounts, bounds: Sequence[Bound], source: str, seed: int
) -> list[MeasuredCosts]:
    """Judge the counts of a source by bounds, those of a known class first."""
    rng = rng_for(seed, "bound", content_id("source", source))
    known = [bound for bound in bounds if bound.growth is not None]
    others = not_measured([bound for bound in bounds if bound.growth is None], UNKNOWN_BOUND)
    return [judge_bound(counts, bound, rng) for bound in known] + others


def not_measured(bounds: Sequence[Bound], why: str) -> list[MeasuredCosts]:
    """Return that none of the bounds was measured."""
    return [MeasuredCosts(NOT_MEASURED, bound, why, "", None) for bound in bounds]


async def count(
    sandbox: Sandbox,
    part: MeasuredPart,
    *,
    checks: Sequence[str],
    limits: Limits,
    seed: int,
    by_name: bool = False,
) -> CostCounts:
    """Count operations at growing sizes, or at small sizes if the function is too slow for that.

    With `by_name`, the type of an argument without an annotation or example is guessed from its
    name. Raises NotMeasuredError or UnsizedError.
    """
    if part.node is None:
        raise UnsizedError(f"no inputs can be made for a {part.kind}")
    arguments = infer_arguments(part.node, checks, by_name=by_name)
    stops: tuple[str, ...] = ()
    for small in (False, True):
        rng = rng_for(seed, "sized", part.called, int(small))
        made = sized_calls(arguments, rng, small=small)
        token = f"{rng.getrandbits(128):032x}"
        calls = [(one.shape.value, one.n, marshal.dumps(one.arguments, 2)) for one in made]
        job = {**job_of(part, token), "calls": calls}
        sizes = {(one.shape.value, one.n) for one in made}
        counts = await run_counting(sandbox, job, sizes, limits)
        if has_enough_sizes(counts):
            return counts
        stops = counts.stops
    raise too_few_sizes(stops)


def has_enough_sizes(counts: CostCounts) -> bool:
    """Whether any shape of inputs completed the sizes that a verdict needs."""
    return any(len(runs) >= MIN_SIZES for runs in by_shape(counts).values())


def too_few_sizes(stops: Sequence[str]) -> NotMeasuredError:
    """Return the error of a function for which too few sizes completed, for these reasons."""
    is_refused = bool(stops) and all(stop.startswith("raises") for stop in stops)
    return NotMeasuredError(
        f"too few sizes completed: {', '.join(stops[:5]) or 'too slow'}",
        reason="raises" if is_refused else "too_slow",
        is_refused=is_refused,
    )


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


def job_of(part: MeasuredPart, token: str, *, names: Collection[str] = ()) -> dict[str, Any]:
    """Make the driver's input: the part of the program that is needed, plain and instrumented.

    `names` of the program are needed besides its entry.
    """
    tree = parse(part.source)
    assert tree is not None
    if part.kind is not PartKind.PROGRAM:
        kept = {id(node) for name in (part.entry, *names) for node in reachable(tree, name)}
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
        "kind": part.kind.value,
        "entry": part.entry,
        "method": part.called,
        "token": token.encode(),
        "inspect": False,
    }


@cache
def _driver() -> str:
    """Return the counting program with its modules as text, since the sandbox lacks the package."""
    texts = {name: files(_PACKAGE).joinpath(f"{name}.py").read_text("utf-8") for name in _MODULES}
    return _LOADER.format(package=_PACKAGE, texts=texts)


async def run_counting(
    sandbox: Sandbox, job: dict[str, Any], sizes: Collection[tuple[str, int]], limits: Limits
) -> CostCounts:
    """Run the counting program; `sizes` has the (shape, size) pairs of its calls.

    Raises NotMeasuredError.
    """
    counts = parse_counts(await run_driver(sandbox, job, limits), sizes)
    return replace(counts, unseen=(*job["unseen"], *counts.unseen))


async def run_driver(sandbox: Sandbox, job: dict[str, Any], limits: Limits) -> bytes:
    """Run the counting program and return what it wrote; raises NotMeasuredError."""
    token = job["token"]
    program = Program("python", _driver(), Script(stdin=marshal.dumps(job, 2)))
    execution = await sandbox.run(program, limits)
    if execution.status is not Status.FINISHED:
        raise NotMeasuredError(f"the counting program ended with {execution.status}")
    before, start, rest = execution.answers.partition(token)
    body, end, after = rest.partition(token)
    if not start or not end or before or after:
        raise NotMeasuredError("the counting program returned no counts or extra output")
    return body


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
