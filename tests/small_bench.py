"""A benchmark of three functions, by calls, by asserts, and by both sets of inputs."""

from evolcoder.bench.base import AssertChecks, CallChecks, Problem, PromptSettings
from evolcoder.bench.comparators import Comparator
from evolcoder.bench.function_bench import FunctionBench, entry_points

DOUBLE = "def double(x):\n    return 2 * x\n"
ADD = "def add(a, b):\n    return a + b\n"
LAST = "def last(items):\n    return items[-1]\n"


def calls(name, reference, inputs, n_base):
    return CallChecks(name, inputs, n_base, 0, Comparator.EQUAL, reference)


def problem(id, checks, reference, stub=None):
    prompt = f'{reference.splitlines()[0]}\n    """Say it."""\n'
    return Problem(id, prompt, checks, reference, stub or f"{prompt}    pass\n", ())


def ask(of):
    return PromptSettings(f"Write `{entry_points(of)[0]}`.", of.prompt, "python", ())


def small_bench(*, broken=False, generous=False):
    """Three problems; `broken` has a reference that fails, `generous` a stub that passes."""
    asserts = AssertChecks("assert add(1, 2) == 3\nassert add('a', 'b') == 'ab'", ("add",), None)
    reference = "def add(a, b):\n    return a - b\n" if broken else ADD
    stub = "def last(items):\n    return items[-1]  # not meant to be right\n" if generous else None
    return FunctionBench(
        "small",
        (
            problem("small/0", calls("double", DOUBLE, ((1,), (2,), ("a",)), 2), DOUBLE),
            problem("small/1", asserts, reference),
            problem("small/2", calls("last", LAST, (([1, 2],), ("abc",)), 2), LAST, stub),
        ),
        ask,
    )


def fenced(code):
    return f"Here you are:\n\n```python\n{code}```\n"


def right(request):
    """Answer every problem rightly."""
    asked = request.messages[-1].content
    return next(fenced(c) for c in (DOUBLE, ADD, LAST) if f"`{c[4:].partition('(')[0]}`" in asked)
