r"""Counts operations on inputs from a generator that a model writes for a program.

The tester sees the task and the answer and writes `make_input(n)`. A generator counts if equal
seeds give equal inputs, if these grow with n, and if the program accepts them; otherwise another is
asked for, `MAX_GENERATORS` at most. It runs in the sandbox only (`written_inputs`).

A generator may be wrong, and the row is not blamed for it. What n is of the task's sizes is not
known either, so each verdict is taken over n, over the elements of the inputs and over their
largest number, as far as these grow otherwise than n: a bound is only missed, or met, if it is so
over all of them. A bound on the average case is never missed on inputs that were written as hard
ones, and none is met where the cost does not grow at all. A generator that makes easy inputs can
make a bound hold that does not; a bound that holds is never rewarded.

The prompts are written for this project.

>>> parse_generator("```python\ndef make_input(n):\n    return (n,)\n```", ())
'def make_input(n):\n    return (n,)'
"""

import ast
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from evolcoder.code.python_ast import definitions, parse, reachable
from evolcoder.engine.base import Completion, Message, Role
from evolcoder.errors import EngineError
from evolcoder.ids import rng_for, seed_for
from evolcoder.records import JSON, Task
from evolcoder.sandbox.base import Limits, Sandbox
from evolcoder.text import clean, code_blocks
from evolcoder.verification.complexity.bounds import (
    HOLDS,
    MIN_SIZES,
    NOT_MEASURED,
    RULED_OUT,
    UNDECIDED,
    Bound,
    CostCounts,
    GrowthClass,
    MeasuredCosts,
    Resource,
    slope,
)
from evolcoder.verification.complexity.check import (
    MeasuredPart,
    NotMeasuredError,
    PartKind,
    has_enough_sizes,
    job_of,
    judge_bounds,
    run_counting,
    run_driver,
    too_few_sizes,
)
from evolcoder.verification.complexity.inputs import (
    NUMBER_SIZES,
    SMALL_SIZES,
    InputShape,
)
from evolcoder.verification.complexity.written_inputs import ENTRY, MAX_ELEMENTS, MAX_NUMBER

MAX_GENERATORS = 3
"""Most generators that are asked for per row."""
MAX_GENERATOR_TOKENS = 512
"""Most tokens of a generator."""
MAX_SHOWN_CHARS = 6000
"""Longest answer shown to the tester."""
INPUT_SEEDS = (0, 1, 2)
"""Seeds of the inputs of each size."""
GENERATOR_LIMITS = Limits(cpu_s=10.0, wall_s=80.0)
"""Limits of making one input per size; a generator that does not end is stopped by its lines."""

PROMPT = (
    "A programming task:\n\n{task}\n\nThis code answers it:\n\n```python\n{code}\n```\n\n"
    "The work of this code will be counted on inputs of growing size. Do not solve the task. Write "
    "one Python function `make_input(n)` that makes an input of size n, where n is the size that "
    "the task means by the n in its O(...). It returns {what}. Make a valid input that leaves the "
    "code as much to do as an input of this size can, and let every part of it grow with n that "
    "may be large. Take random values from the module `random`, which is seeded for you. Use the "
    "classes of the code above where it needs them. Print nothing."
)
"""Request for a generator, in our own words."""
_ARGUMENTS = "a tuple of the arguments for one call of `{signature}`"
_OBJECT = (
    "a tuple of three: a tuple of the arguments that make the object of class `{signature}`, the "
    "name of the method to measure, and a tuple of that method's arguments"
)
_TYPED = "the whole text that the program reads from standard input"


@dataclass(frozen=True, slots=True)
class _Example:
    """A task, its answer and a good generator, shown as an earlier turn of the chat."""

    task: str
    code: str
    what: str
    generator: str


_FUNCTION_EXAMPLE = _Example(
    "Write a function that counts the pairs of numbers in a list that add up to a target, in O(n).",
    "def count_pairs(numbers, target):\n    seen, found = {}, 0\n    for number in numbers:\n"
    "        found += seen.get(target - number, 0)\n"
    "        seen[number] = seen.get(number, 0) + 1\n    return found",
    _ARGUMENTS.format(signature="count_pairs(numbers, target)"),
    "import random\n\ndef make_input(n):\n"
    "    numbers = [random.randrange(10 * n) for _ in range(n)]\n"
    "    return (numbers, 10 * n)",
)
_OBJECT_EXAMPLE = _Example(
    "Create a class for the marks of a school class whose median is found in O(n log n) time.",
    "class Marks:\n    def __init__(self, marks):\n        self.marks = list(marks)\n"
    "    def add(self, mark):\n        self.marks.append(mark)\n    def median(self):\n"
    "        return sorted(self.marks)[len(self.marks) // 2]",
    _OBJECT.format(signature="Marks"),
    "import random\n\ndef make_input(n):\n    marks = [random.randrange(100) for _ in range(n)]\n"
    '    return ((marks,), "median", ())',
)
_PROGRAM_EXAMPLE = _Example(
    "Write a program that reads a count and then as many numbers, one a line, and prints their sum "
    "in O(n) time.",
    "count = int(input())\ntotal = 0\nfor _ in range(count):\n    total += int(input())\n"
    "print(total)",
    _TYPED,
    "import random\n\ndef make_input(n):\n"
    "    numbers = [random.randrange(1000) for _ in range(n)]\n"
    '    return "\\n".join(map(str, [n, *numbers])) + "\\n"',
)
_EXAMPLES = {PartKind.CLASS: _OBJECT_EXAMPLE, PartKind.PROGRAM: _PROGRAM_EXAMPLE}


def messages_for_generator(instruction: str, part: MeasuredPart) -> tuple[Message, ...]:
    """Return the messages that ask for a generator of a program's inputs."""
    shown = _EXAMPLES.get(part.kind, _FUNCTION_EXAMPLE)
    code = part.source[:MAX_SHOWN_CHARS]
    return (
        Message("user", PROMPT.format(task=shown.task, code=shown.code, what=shown.what)),
        Message("assistant", f"```python\n{shown.generator}\n```"),
        Message("user", PROMPT.format(task=instruction, code=code, what=_what(part))),
    )


def _what(part: MeasuredPart) -> str:
    if part.kind is PartKind.PROGRAM:
        return _TYPED
    if part.node is None:
        return _OBJECT.format(signature=part.entry)
    return _ARGUMENTS.format(signature=f"{part.called}({ast.unparse(part.node.args)})")


def parse_generator(text: str, known: Collection[str]) -> str | None:
    """Return the generator in a reply with what it needs, or None.

    Definitions of names that the program has, `known`, are left out: the program's own are used.
    """
    blocks = [block.code for block in code_blocks(text) if block.language in {None, "python"}]
    for code in blocks or [text]:
        tree = parse(code)
        if tree is None or not isinstance(definitions(tree).get(ENTRY), ast.FunctionDef):
            continue
        kept = {id(node) for node in reachable(tree, ENTRY)}
        body = [node for node in tree.body if _is_needed(node, kept, known)]
        return ast.unparse(ast.Module(body, []))
    return None


def _is_needed(node: ast.stmt, kept: Collection[int], known: Collection[str]) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    is_known = getattr(node, "name", "") in known
    return id(node) in kept and not isinstance(node, ast.Expr) and not is_known


@dataclass(frozen=True, slots=True)
class WrittenInputs:
    """What is known of the inputs of a generator."""

    source: str
    """The generator."""
    sizes: tuple[int, ...]
    """Sizes for which it makes inputs."""
    seeds: tuple[int, ...]
    """Seeds of the inputs of each size; one if all seeds give the same inputs."""
    axes: Mapping[str, Mapping[int, int]]
    """Other measures of size that grow with n in another way: name -> n -> measure."""


@dataclass(slots=True)
class Asked:
    """What was asked of the tester for a row; extended with each request."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    rejected: list[str] = field(default_factory=list)
    """Why earlier generators do not count."""
    source: str = ""
    """The generator that was used."""

    def detail(self) -> dict[str, JSON]:
        """Return the detail of a verdict."""
        if not self.requests:
            return {}
        found: dict[str, JSON] = {
            "requests": self.requests,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "generator": self.source,
            "rejected": list(self.rejected),
        }
        return {name: value for name, value in found.items() if value}


class GeneratorError(Exception):
    """A generator does not count; the message says why."""


@dataclass(frozen=True, slots=True)
class InputTester:
    """Asks a model for generators and counts a program's operations on their inputs."""

    writer: Role
    """Writes the generators."""
    sandbox: Sandbox
    """Runs generators and programs."""
    seed: int
    """Root of all randomness."""

    async def measure(
        self,
        task: Task,
        part: MeasuredPart,
        bounds: Sequence[Bound],
        *,
        limits: Limits,
        asked: Asked,
    ) -> list[MeasuredCosts]:
        """Judge a program by bounds on written inputs; extends `asked`.

        Raises NotMeasuredError if no generator counts, or the program is too slow, and EngineError
        if the server rejects every request.
        """
        refusals: list[EngineError] = []
        for number in range(MAX_GENERATORS):
            completion = await self._ask(task, part, number, asked)
            if isinstance(completion, EngineError):
                refusals.append(completion)
                continue
            try:
                inputs = await self._inspect(part, completion, number)
                counts = await self._count(part, inputs, limits)
            except GeneratorError as error:
                asked.rejected.append(str(error))
                continue
            asked.source = inputs.source
            return judge_over_axes(counts, inputs, bounds, part.source, self.seed)
        if len(refusals) == MAX_GENERATORS:
            raise refusals[0]
        raise NotMeasuredError(
            f"no usable input generator: {asked.rejected[-1]}", reason="no_generator"
        )

    async def _ask(
        self, task: Task, part: MeasuredPart, number: int, asked: Asked
    ) -> Completion | EngineError:
        """Send one request; return its error if it is itself at fault."""
        max_tokens = min(MAX_GENERATOR_TOKENS, self.writer.sampling.max_tokens)
        sampling = replace(self.writer.sampling, max_tokens=max_tokens)
        seed = seed_for(self.seed, "verify", "inputs", task.id, number)
        asked.requests += 1
        try:
            completion = await replace(self.writer, sampling=sampling).ask(
                messages_for_generator(task.instruction, part), seed=seed
            )
        except EngineError as error:
            if error.retryable:
                raise
            return error
        asked.prompt_tokens += completion.prompt_tokens
        asked.completion_tokens += completion.completion_tokens
        return completion

    async def _inspect(
        self, part: MeasuredPart, completion: Completion, number: int
    ) -> WrittenInputs:
        """Return what is known of a reply's inputs; raises GeneratorError if they do not count."""
        if completion.broke_off:
            raise GeneratorError(f"the reply broke off: {completion.finish}")
        known = _defined(part)
        source = parse_generator(clean(completion.text), known)
        if source is None:
            raise GeneratorError(f"the reply defines no function {ENTRY}(n)")
        rng = rng_for(self.seed, "inspected", part.entry, number)
        job = job_of(part, f"{rng.getrandbits(128):032x}", names=known)
        sizes = sorted({*SMALL_SIZES, *NUMBER_SIZES})
        job |= {"inspect": True, "generator": source, "sizes": sizes}
        try:
            body = await run_driver(self.sandbox, job, GENERATOR_LIMITS)
        except NotMeasuredError as error:
            raise GeneratorError(f"making inputs failed: {error}") from error
        return _inspected(source, body, sizes)

    async def _count(self, part: MeasuredPart, inputs: WrittenInputs, limits: Limits) -> CostCounts:
        """Count operations at growing sizes, or at small ones if the program is too slow for that.

        Raises GeneratorError if the program raises for all inputs; NotMeasuredError.
        """
        stops: tuple[str, ...] = ()
        shape = InputShape.WRITTEN.value
        for all_sizes in (NUMBER_SIZES, SMALL_SIZES):
            sizes = [n for n in all_sizes if n in inputs.sizes]
            rng = rng_for(self.seed, "counted", part.entry, len(sizes))
            job = job_of(part, f"{rng.getrandbits(128):032x}", names=_defined(part))
            job |= {
                "generator": inputs.source, "sizes": sizes, "seeds": list(inputs.seeds),
                "shape": shape, **_parameters(part),
            }  # fmt: skip
            counts = await run_counting(self.sandbox, job, {(shape, n) for n in sizes}, limits)
            if has_enough_sizes(counts):
                return counts
            stops = counts.stops
        error = too_few_sizes(stops)
        if error.is_refused:
            raise GeneratorError(f"the code does not accept its inputs: {', '.join(stops[:5])}")
        raise error


def _defined(part: MeasuredPart) -> tuple[str, ...]:
    """Return the names that the program defines; a whole program runs only to be measured."""
    tree = parse(part.source)
    is_program = part.kind is PartKind.PROGRAM
    return () if tree is None or is_program else tuple(definitions(tree))


def _parameters(part: MeasuredPart) -> dict[str, object]:
    if part.node is None:
        return {"parameters": [], "required": 0}
    spec = part.node.args
    positional = [*spec.posonlyargs, *spec.args]
    names = [one.arg for one in (*positional, *spec.kwonlyargs)]
    return {"parameters": names, "required": len(positional) - len(spec.defaults)}


def _inspected(source: str, body: bytes, sizes: Sequence[int]) -> WrittenInputs:
    """Validate the sandbox's report about inputs; raises GeneratorError if they do not count."""
    try:
        found = json.loads(body)
        if "failed" in found:
            raise GeneratorError(f"making inputs failed: {clean(str(found['failed'])[:200])}")
        made = [(int(n), int(elements), int(number)) for n, elements, number in found["made"]]
        stop, repeats = str(found["stop"])[:200], found["repeats"] is True
        seeds = INPUT_SEEDS if found["varies"] else INPUT_SEEDS[:1]
        if not all(
            n in sizes and 0 <= elements <= 2 * MAX_ELEMENTS and 0 <= number <= MAX_NUMBER
            for n, elements, number in made
        ):
            raise GeneratorError("making inputs returned invalid sizes")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise GeneratorError("making inputs returned invalid output") from error
    if not repeats:
        raise GeneratorError("equal seeds give different inputs")
    measures = {
        "the elements": {n: elements for n, elements, _ in made},
        "the largest number": {n: number for n, _, number in made},
    }
    if not any(_n_steps(measure) >= MIN_SIZES for measure in measures.values()):
        raise GeneratorError(f"it {clean(stop)}" if stop else "its inputs do not grow with n")
    axes = {name: measure for name, measure in measures.items() if _is_axis(measure)}
    return WrittenInputs(source, tuple(n for n, _, _ in made), seeds, axes)


def _n_steps(measure: Mapping[int, int]) -> int:
    """Return how often a measure exceeds all that it was at smaller sizes."""
    n_steps, highest = 0, -1
    for n in sorted(measure):
        if measure[n] > highest:
            n_steps, highest = n_steps + 1, measure[n]
    return n_steps


MIN_AXIS_SLOPE = 0.5
"""Log-log slope over n from which a measure is another size of the input."""
SAME_SLOPE = 0.15
"""A measure whose slope differs from 1 by less grows as n does."""


def _is_axis(measure: Mapping[int, int]) -> bool:
    """Whether a measure grows with n, and otherwise than n."""
    points = [(math.log(n), math.log(size)) for n, size in sorted(measure.items()) if size > 2]
    points = points[-max(MIN_SIZES, len(points) // 2) :]
    if len(points) < MIN_SIZES or _n_steps(measure) < MIN_SIZES:
        return False
    found = slope(points)
    return found > MIN_AXIS_SLOPE and abs(found - 1) > SAME_SLOPE


def judge_over_axes(
    counts: CostCounts, inputs: WrittenInputs, bounds: Sequence[Bound], source: str, seed: int
) -> list[MeasuredCosts]:
    """Judge by bounds over n and over every other measure of size; see the module."""
    found = judge_bounds(counts, bounds, source, seed)
    over_n = [_cautious(one, counts) for one in found]
    for name, measure in inputs.axes.items():
        runs = tuple(replace(run, n=measure[run.n]) for run in counts.runs if measure[run.n] > 2)
        others = judge_bounds(replace(counts, runs=runs), bounds, source, seed)
        over_n = [_agreed(*pair, name) for pair in zip(over_n, others, strict=True)]
    return over_n


def _cautious(one: MeasuredCosts, counts: CostCounts) -> MeasuredCosts:
    """Return a finding that does not depend on how hard the written inputs are."""
    if one.kind == RULED_OUT and one.bound.average:
        why = f"written inputs are no average case ({one.why})"
        return replace(one, kind=UNDECIDED, why=why)
    is_loop = one.bound.growth not in {GrowthClass.ONE, GrowthClass.LOG}
    if one.kind == HOLDS and is_loop and one.bound.resource is Resource.TIME and _is_flat(counts):
        return replace(one, kind=UNDECIDED, why="the cost does not grow with the written inputs")
    return one


def _is_flat(counts: CostCounts) -> bool:
    totals = {run.n: sum(run.counts.values()) for run in counts.runs}
    points = [(math.log(n), math.log(max(1.0, total))) for n, total in sorted(totals.items())]
    return slope(points) < 0.05


def _agreed(one: MeasuredCosts, other: MeasuredCosts, measure: str) -> MeasuredCosts:
    """Return the finding over n if that over another measure of size agrees."""
    if one.kind == other.kind or one.kind in {UNDECIDED, NOT_MEASURED}:
        return one
    if one.kind == HOLDS and other.kind != RULED_OUT:
        return one
    if other.kind == NOT_MEASURED:
        return replace(one, kind=UNDECIDED, why=other.why)
    why = f"{one.kind} over n, {other.kind} over {measure} of the inputs"
    return replace(one, kind=UNDECIDED, why=why)
