"""Functions of known growth, measured in the sandbox, and programs that want to be measured wrongly."""

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
from evolcoder.verification.complexity.bound_parser import Bound, GrowthClass, Resource, asked
from evolcoder.verification.complexity.check import (
    MOST_BYTES,
    NotMeasuredError,
    measure,
    read_counts,
)
from evolcoder.verification.complexity.instrument import rewritten
from evolcoder.verification.complexity.verdict import (
    MOST_SERIES,
    N_RESAMPLES,
    CostCounts,
    CostRun,
    judged,
)
from evolcoder.verification.metrics import ComplexityCheck

SPACE = {}
exec((Path(__file__).parent / "growths.py").read_text(encoding="utf-8"), SPACE)
KNOWN = SPACE["KNOWN"]
LIMITS = Limits(cpu_s=60, wall_s=240)
ORDER = list(GrowthClass)


def measured(sandbox, source, bounds, *, entry=None, checks=(), seed=0):
    return sandbox.runner.run(
        measure(sandbox.sandbox, source, entry, bounds, checks=checks, limits=LIMITS, seed=seed)
    )


def one(sandbox, source, text, **options):
    (found,) = measured(sandbox, source, asked(text), **options)
    return found


@pytest.mark.e2e
def test_known_growths_are_never_judged_wrongly(sandbox):
    """Of every function and every class: never a wrong word, and nearly always a word."""
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
    """A comprehension of one line with a search inside is no linear time."""
    assert one(sandbox, HIDDEN, "O(n) time").kind == "ruled_out"
    assert one(sandbox, HIDDEN, "O(n^2) time").kind == "holds"


def test_a_set_does_not_come_out_sorted(sandbox):
    """Small numbers lie in a set in their order, which would make sorting it look linear."""
    source = "def f(a: list[int], b: list[int]) -> list[int]:\n    return sorted(set(a) & set(b))\n"
    assert one(sandbox, source, "O(n) time").kind == "ruled_out"


def test_same_seed_same_finding(sandbox):
    """The clock has no part in it."""
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
def test_no_program_gets_a_better_word_by_interfering(sandbox, source, kinds):
    """Printing, writing to the channel, ending, and taking the tracer off never make a bound hold."""
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
def test_what_cannot_be_measured_says_why(sandbox, source, why):
    """No inputs, no function, or only exceptions: there is no word on the bound, but a reason."""
    found = one(sandbox, source, "O(n) time")
    assert found.kind == "not_measured"
    assert why in found.why


def test_unknown_work_never_holds(sandbox):
    """What a library does that the table does not know may be anything."""
    source = "import re\ndef f(s: str) -> int:\n    return len(re.findall('a+', s))\n"
    found = one(sandbox, source, "O(n) time")
    assert found.kind == "undecided"
    assert "re.findall" in found.why


def test_a_class_that_we_do_not_know_is_not_measured(sandbox):
    """An odd bound is told apart from one that was missed."""
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


def test_a_rewritten_program_does_the_same():
    """Hooks count, and change nothing that a program computes."""
    from evolcoder.verification.complexity.op_counter import Hooks

    said = []
    for hooks in (None, Hooks()):
        tree = ast.parse(REWRITTEN)
        if hooks:
            tree = rewritten(tree, "hooks").tree
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


def test_a_row_that_misses_its_bound_says_so(sandbox):
    """The verdict names the bound, the line and the exponent; inputs come from the row's checks."""
    found = verdict(sandbox, HIDDEN.replace(": list[int]", ""))
    assert found.kind == "ruled_out"
    assert 1.8 < found.score < 2.2
    assert "O(n) time: list.count at line 2" in found.detail["said"]


def test_a_row_without_a_bound_costs_nothing(sandbox):
    """Nothing is run where nothing is asked."""
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
def test_counts_that_no_run_could_have_are_none(other):
    """The counts are the candidate's word: of other types, sizes or signs they measure nothing.

    The kind: numbers that a program made up, and arithmetic on them in this process.
    """
    body = json.dumps({"runs": [{**RUN, **other}], "unseen": []}).encode()
    with pytest.raises(NotMeasuredError, match="something else than counts"):
        read_counts(body, {("random", 8)})


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"3", b"{}", b'{"runs": 3}', b'{"runs": {"a": 1}}', b'{"failed": 3}', b"[" * 9999,
     b'{"runs": [3], "unseen": []}', b'{"runs": [], "unseen": [3]}', b"9" * 5000,
     b'{"runs": [%s], "unseen": []}' % b",".join([b'{"stop": "x"}'] * 2000),
     b" " * (MOST_BYTES + 1)],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_what_is_no_counts_is_not_measured(body):
    """Neither other JSON nor too much of it ends in another error."""
    with pytest.raises(NotMeasuredError):
        read_counts(body, {("random", 8)})


def test_counts_are_read():
    """What the driver writes comes back."""
    body = json.dumps({"runs": [RUN, {"shape": "x", "n": 1, "stop": "budget"}], "unseen": ["zip"]})
    found = read_counts(body.encode(), {("random", 8)})
    assert [(run.n, run.counts, run.depth) for run in found.runs] == [(8, {"f 1": 3}, 1)]
    assert (found.stops, found.unseen) == (("budget",), ("zip",))


def test_made_up_lines_are_not_all_fitted():
    """However many lines a program says it has, the steepest few decide, and those are enough."""
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
    judged(CostCounts(tuple(runs), (), ()), bound, rng)
    assert n_fits["draws"] <= 2 * MOST_SERIES * N_RESAMPLES
    assert judged(CostCounts(tuple(runs), (), ()), bound, Random(0)).kind == "ruled_out"
