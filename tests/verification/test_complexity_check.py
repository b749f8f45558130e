"""Functions of known growth measured in the sandbox, and programs that try to falsify their counts."""

import ast
import contextlib
import io
import json
import math
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from evolcoder.records import Check, CheckResult, Response, Task
from evolcoder.sandbox.base import Limits
from evolcoder.verification.complexity.bounds import (
    MAX_SERIES,
    N_RESAMPLES,
    Bound,
    CostCounts,
    CostRun,
    GrowthClass,
    Resource,
    judge_bound,
    parse_bounds,
)
from evolcoder.verification.complexity.check import (
    MAX_BYTES,
    NotMeasuredError,
    add_hooks,
    measure_complexity,
    parse_counts,
)
from evolcoder.verification.metrics import ComplexityCheck

SPACE = {}
exec((Path(__file__).parent / "growths.py").read_text(encoding="utf-8"), SPACE)
KNOWN = SPACE["KNOWN"]
LIMITS = Limits(cpu_s=60, wall_s=240)
ORDER = list(GrowthClass)


def measured(sandbox, source, bounds, *, entry=None, checks=(), seed=0):
    return sandbox.runner.run(
        measure_complexity(
            sandbox.sandbox, source, entry, bounds, checks=checks, limits=LIMITS, seed=seed
        )
    )


def one(sandbox, source, text, **options):
    (found,) = measured(sandbox, source, parse_bounds(text), **options)
    return found


@pytest.mark.e2e
def test_known_growths_are_never_judged_wrongly(sandbox):
    """For every function and class: no wrong verdict, and few undecided ones."""
    judged, wrong = Counter(), []
    for name, time, space, source, *checks in KNOWN:
        bounds = [Bound(what, growth, False, "") for what in Resource for growth in GrowthClass]
        for found in measured(sandbox, source, bounds, checks=checks):
            true = GrowthClass(time if found.bound.resource is Resource.TIME else space)
            fits = ORDER.index(found.bound.growth) >= ORDER.index(true)
            is_right = found.kind == ("holds" if fits else "ruled_out")
            said = found.kind in {"holds", "ruled_out"}
            judged[found.bound.resource, "right" if is_right else "open"] += 1
            wrong += [(name, found)] if said and not is_right else []
    assert wrong == []
    assert len(KNOWN) >= 40
    assert judged[Resource.TIME, "open"] <= 0.03 * len(KNOWN) * len(GrowthClass)
    assert judged[Resource.SPACE, "open"] <= 0.12 * len(KNOWN) * len(GrowthClass)


HIDDEN = "def f(xs: list[int]) -> list[int]:\n    return [x for x in xs if xs.count(x) == 1]\n"
QUICK = "def f(xs: list[int]) -> int:\n    return xs[0] if xs else 0\n"


def test_work_hidden_in_c_is_seen(sandbox):
    """A one-line comprehension with a search inside is not linear."""
    assert one(sandbox, HIDDEN, "O(n) time").kind == "ruled_out"
    assert one(sandbox, HIDDEN, "O(n^2) time").kind == "holds"


def test_a_set_does_not_come_out_sorted(sandbox):
    """Small numbers are in order in a set, which would make sorting it look linear."""
    source = "def f(a: list[int], b: list[int]) -> list[int]:\n    return sorted(set(a) & set(b))\n"
    assert one(sandbox, source, "O(n) time").kind == "ruled_out"


def test_same_seed_same_finding(sandbox):
    """Verdicts do not depend on time."""
    assert one(sandbox, HIDDEN, "O(n) time") == one(sandbox, HIDDEN, "O(n) time")


FORGER = HIDDEN + "import os\nos.write(3, b'{}')\n"
ENDER = "import os\ndef f(xs: list[int]) -> int:\n    os._exit(0)\n"
PRINTER = (
    "def f(xs: list[int]) -> int:\n    print('x' * 10**6)\n    return sum(x in xs for x in xs)\n"
)
UNTRACED = "import sys\ndef f(xs: list[int]) -> int:\n    sys.settrace(None)\n    return len(xs)\n"
CATCHER = "def f(xs: list[int]) -> int:\n    while True:\n        try:\n            sum(xs)\n        except BaseException:\n            return 0\n"


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        (FORGER, {"ruled_out", "not_measured"}),
        (ENDER, {"not_measured"}),
        (PRINTER, {"ruled_out"}),
        (UNTRACED, {"not_measured"}),
        (CATCHER, {"ruled_out", "not_measured", "undecided"}),
    ],
)
def test_no_program_gets_a_better_verdict_by_interfering(sandbox, source, kinds):
    """Printing, writing to the channel, exiting and removing the tracer never make a bound hold."""
    assert one(sandbox, source, "O(n) time").kind in kinds


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = 1", "no function"),
        ("def f(", "no Python"),
        ("def f():\n    return 1", "no argument"),
        ("def f(x):\n    return x", "no size"),
        ("def f(a: int, b: int):\n    return a", "more than one number"),
        ("async def f(xs: list[int]):\n    return xs", "async"),
        ("def f(xs: list[int]):\n    raise ValueError", "raises ValueError"),
        ("def f(xs: list[int]):\n    import nothing_like_it\n    return xs", "raises"),
    ],
)
def test_not_measured_has_a_reason(sandbox, source, why):
    """No inputs, no function, or only exceptions."""
    found = one(sandbox, source, "O(n) time")
    assert found.kind == "not_measured"
    assert why in found.why


def test_unknown_work_never_holds(sandbox):
    """Library calls that are not in the table have an unknown cost."""
    source = "import re\ndef f(s: str) -> int:\n    return len(re.findall('a+', s))\n"
    found = one(sandbox, source, "O(n) time")
    assert found.kind == "undecided"
    assert "re.findall" in found.why


def test_an_unknown_class_is_not_measured(sandbox):
    """It is not reported as missed."""
    assert one(sandbox, QUICK, "O(n log log n) time").kind == "not_measured"


REWRITTEN = """
import heapq
from collections import Counter, deque
def f(xs, s="b"):
    a, *rest = sorted(xs, key=lambda x: -x)
    q = deque(rest)
    q.appendleft(a)
    out = [*q, *map(str, xs)]
    out += [x for x in xs if x in rest and x not in {1}]
    t = (1, 2)
    t += (3,)
    s += f"{a!r:>4}" * 2
    heapq.heapify(rest)
    del rest[0]
    rest[1:1] = [7]
    c = Counter(s)
    return out, t, s, rest, c.most_common(2), {1, 2} - {2} | {5}, xs == rest, xs != list(xs), (-3) ** 2 % 5
def g(n):
    yield from range(n)
    yield from map(str, [n])
class A:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
    def twice(self): return A(self.x * 2)
print(f([5, 3, 9, 3]), list(g(3)), A(2).twice() == A(4), [A(1)] == [A(1)] * 1, min([3, 1], key=abs))
print(dict(zip("abc", map(ord, "abc"))), "".join(reversed("abc")), any(x > 2 for x in [1, 3]), 3 in range(4))
"""


def test_an_instrumented_program_computes_the_same():
    """Hooks count and do not change results."""
    from evolcoder.verification.complexity.op_counter import Hooks

    said = []
    for hooks in (None, Hooks()):
        tree = ast.parse(REWRITTEN)
        if hooks:
            tree = add_hooks(tree, "hooks").tree
        space = {"hooks": hooks, "__name__": "<row>"}
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(ast.unparse(tree), "<row>", "exec"), space)
        said.append(out.getvalue())
    assert said[0] == said[1] != ""
    assert sum(hooks.counts.values()) > 50


TASK = "Write a function f(xs) that finds the values that occur once. It must run in O(n) time."


def verdict(sandbox, answer, instruction=TASK):
    task = Task.seed(instruction, ordinal=0, language="python")
    response = Response.to(task, f"```python\n{answer}```", made=None)
    tests = CheckResult.of(
        response, Check.TESTS, "passed", detail={"checks": ["assert f([1, 1, 2]) == [2]"]}
    )
    check = ComplexityCheck(sandbox.sandbox, seed=0, memory_mb=512)
    return sandbox.runner.run(check(task, response, {Check.TESTS: tests}))


def test_a_row_that_misses_its_bound_is_ruled_out(sandbox):
    """The verdict has the bound, the line and the exponent; inputs come from the row's checks."""
    found = verdict(sandbox, HIDDEN.replace(": list[int]", ""))
    assert found.kind == "ruled_out"
    assert 1.8 < found.score < 2.2
    assert "O(n) time: list.count at line 2" in found.detail["said"]


def test_a_row_without_a_bound_costs_nothing(sandbox):
    """Nothing is run if the task states no bound."""
    assert verdict(sandbox, HIDDEN, "Find what occurs once.").kind == "not_measured"


RUN = {"shape": "random", "n": 8, "counts": {"f 1": 3}, "depth": 1, "bytes": 0}


@pytest.mark.parametrize(
    "other",
    [
        {"n": 9},
        {"n": True},
        {"n": "8"},
        {"n": 10**4000},
        {"shape": "round"},
        {"shape": ["random"]},
        {"counts": {"f 1": -1}},
        {"counts": {"f 1": math.nan}},
        {"counts": {"f 1": math.inf}},
        {"counts": {"f 1": 10**4000}},
        {"counts": {"f 1": "3"}},
        {"counts": {"f 1": None}},
        {"counts": {"f 1": True}},
        {"counts": {"f" * 300: 3}},
        {"counts": [3]},
        {"counts": {f"f {line}": 1 for line in range(2000)}},
        {"depth": 1e300},
        {"bytes": [1]},
        {"stop": 3},
        {"stop": "x" * 300},
    ],
    ids=lambda other: str(other)[:40],
)
def test_impossible_counts_are_rejected(other):
    """The candidate may forge counts: wrong types, sizes or signs are invalid."""
    body = json.dumps({"runs": [{**RUN, **other}], "unseen": []}).encode()
    with pytest.raises(NotMeasuredError, match="invalid counts"):
        parse_counts(body, {("random", 8)})


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"3", b"{}", b'{"runs": 3}', b'{"runs": {"a": 1}}', b'{"failed": 3}', b"[" * 9999,
     b'{"runs": [3], "unseen": []}', b'{"runs": [], "unseen": [3]}', b"9" * 5000,
     b'{"runs": [%s], "unseen": []}' % b",".join([b'{"stop": "x"}'] * 2000),
     b" " * (MAX_BYTES + 1)],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_invalid_output_is_not_measured(body):
    """Other JSON and too much output raise NotMeasuredError."""
    with pytest.raises(NotMeasuredError):
        parse_counts(body, {("random", 8)})


def test_counts_are_parsed():
    """The driver's output is parsed completely."""
    body = json.dumps({"runs": [RUN, {"shape": "x", "n": 1, "stop": "budget"}], "unseen": ["zip"]})
    found = parse_counts(body.encode(), {("random", 8)})
    assert [(run.n, run.counts, run.depth) for run in found.runs] == [(8, {"f 1": 3}, 1)]
    assert (found.stops, found.unseen) == (("budget",), ("zip",))


def test_the_number_of_fitted_series_is_bounded():
    """A program may forge any number of lines; only the steepest are fitted."""
    sizes = (8, 11, 16, 23, 32, 45, 64, 91, 128)
    flat = {f"flat {n}": n + 10 for n in range(5000)}
    runs = [CostRun("random", n, {**flat, "steep 1": n * n}, 1, 0) for n in sizes]
    bound = Bound(Resource.TIME, GrowthClass.N, False, "O(n)")
    n_fits = Counter()

    def draw(*_args, **_options):
        n_fits["draws"] += 1
        return [(1.0, 1.0), (2.0, 2.0)]

    rng = Random(0)
    rng.choices = draw
    judge_bound(CostCounts(tuple(runs), (), ()), bound, rng)
    assert n_fits["draws"] <= 2 * MAX_SERIES * N_RESAMPLES
    assert judge_bound(CostCounts(tuple(runs), (), ()), bound, Random(0)).kind == "ruled_out"
