"""Programs of known growth measured on inputs that a scripted tester writes, good and bad ones."""

import json

import pytest

from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.records import Check, Response, Task
from evolcoder.verification.complexity.check import NotMeasuredError, PartKind, part_to_measure
from evolcoder.verification.complexity.generator import (
    MAX_GENERATOR_TOKENS,
    MAX_GENERATORS,
    parse_generator,
)
from evolcoder.verification.complexity.written_inputs import describe
from evolcoder.verification.metrics import ComplexityCheck
from finishing import finishing


def role_of(*replies, asked=None):
    """A model that gives these replies in turn, the last one for all further requests."""
    left = list(replies)

    def answer(request):
        if asked is not None:
            asked.append(request)
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, Exception):
            raise reply
        return reply if "```" in reply else fenced(reply)

    return Role(ScriptedEngine(answer), "toy", Sampling(0.8, 0.95, 4000))


def fenced(code):
    return f"```python\n{code}\n```"


def measured(sandbox, bound, answer, *replies, asked=None):
    task = Task.seed(f"Write it. It must take {bound}.", ordinal=0, language="python")
    response = Response.to(task, answer if "```" in answer else fenced(answer), made=None)
    role = role_of(*replies, asked=asked) if replies else None
    check = ComplexityCheck(sandbox.sandbox, seed=0, memory_mb=512, tester=role)
    verdict = sandbox.runner.run(check(task, response, {}))
    assert verdict.check is Check.BOUND
    json.dumps(verdict.detail)
    return verdict


LIST = (
    "import random\ndef make_input(n):\n    return ([random.randrange(9 * n) for _ in range(n)],)"
)
NUMBER = "def make_input(n):\n    return (n,)"
PAIRS = "def f({}):\n    return [(a, b) for a in {} for b in {}]"
SUM = "def f(q):\n    total = 0\n    for one in q:\n        total += one\n    return total"
NESTED = "def f(q):\n    total = 0\n    for a in q:\n        for b in q:\n            total += a * b\n    return total"
GRAPH = """from collections import deque
def bfs(net, first):
    seen, waiting, order = {first}, deque([first]), []
    while waiting:
        node = waiting.popleft()
        order.append(node)
        for other in net[node]:
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return order"""
LINKED = """class Node:
    def __init__(self, value, after=None):
        self.value, self.after = value, after
def reverse(head):
    before = None
    while head:
        head.after, before, head = before, head, head.after
    return before"""
DEQUE_SUM = "class Solution:\n    def two_sum(self, q, w):\n        seen = {}\n        for i, x in enumerate(q):\n            if w - x in seen:\n                return [seen[w - x], i]\n            seen[x] = i\n        return []"
STACK = """class Bag:
    def __init__(self, items):
        self.items = list(items)
    def add(self, item):
        self.items.append(item)
    def ordered(self):
        out = []
        for item in self.items:
            at = 0
            while at < len(out) and out[at] < item:
                at += 1
            out.insert(at, item)
        return out"""
PROGRAM = "n = int(input())\nq = list(map(int, input().split()))\nbest = 0\nfor i in range(n):\n    for j in range(i):\n        best = max(best, q[i] - q[j])\nprint(best)"
STDIN = "import sys\ntotal = 0\nfor line in sys.stdin:\n    total += int(line)\nprint(total)"
KNOWN = {
    "list": ("O(n) time", SUM, LIST, "holds"),
    "list, too slow": ("O(n) time", NESTED, LIST, "ruled_out"),
    "list, at its bound": ("O(n^2) time", NESTED, LIST, "holds"),
    "sort": ("O(n) time", "def f(q):\n    return sorted(q)", LIST, "ruled_out"),
    "sort, at its bound": ("O(n log n) time", "def f(q):\n    return sorted(q)", LIST, "holds"),
    "dictionary": (
        "O(n) time",
        "def f(q):\n    return {v: k for k, v in q.items()}",
        "def make_input(n):\n    return ({str(k): k for k in range(n)},)",
        "holds",
    ),
    "dictionary, not in a tuple": (
        "O(n) time",
        "def f(q):\n    return {v: k for k, v in q.items()}",
        "def make_input(n):\n    return {str(k): k for k in range(n)}",
        "holds",
    ),
    "text": (
        "O(n) time",
        "def f(q):\n    return [a for i, a in enumerate(q) if a in q[:i]]",
        "import random\ndef make_input(n):\n    return (''.join(chr(300 + k) for k in range(n)),)",
        "ruled_out",
    ),
    "matrix by its side": (
        "O(n^2) time",
        "def f(q):\n    return [[row[i] for row in q] for i in range(len(q))]",
        "def make_input(n):\n    return ([[i * j for i in range(n)] for j in range(n)],)",
        "holds",
    ),
    "matrix product": (
        "O(n^2) time",
        "def f(p, q):\n    return [[sum(a * b for a, b in zip(r, c)) for c in zip(*q)] for r in p]",
        "def make_input(n):\n    m = [[i + j for i in range(n)] for j in range(n)]\n    return (m, m)",
        "undecided",
    ),
    "two sizes": (
        "O(n * m) time",
        "def f(p, q):\n    return sum(1 for a in p for b in q if a == b)",
        "def make_input(n):\n    return list(range(n)), list(range(n, 2 * n))",
        "holds",
    ),
    "sum of two sizes": (
        "O(n + m) time",
        "def f(p, q):\n    return sum(1 for a in p for b in q if a == b)",
        "def make_input(n):\n    return list(range(n)), list(range(n, 2 * n))",
        "ruled_out",
    ),
    "graph": (
        "O(V + E) time",
        GRAPH,
        "def make_input(n):\n    return {k: [(k + 1) % n, (k * 7) % n] for k in range(n)}, 0",
        "holds",
    ),
    "graph with n nodes and n^2 edges": (
        "O(V + E) time",
        GRAPH,
        "def make_input(n):\n    return {k: list(range(n)) for k in range(n)}, 0",
        "undecided",
    ),
    "linked list of its own nodes": (
        "O(n) time",
        LINKED,
        "def make_input(n):\n    head = None\n    for k in range(n):\n        head = Node(k, head)\n    return (head,)",
        "holds",
    ),
    "linked list whose class the tester writes again": (
        "O(n) time",
        LINKED,
        f"{LINKED}\ndef make_input(n):\n    head = None\n    for k in range(n):\n        head = Node(k, head)\n    return head",
        "holds",
    ),
    "by name": (
        "O(n) time",
        "def f(q, *, w=3):\n    return [a * w for a in q]",
        "def make_input(n):\n    return {'q': list(range(n)), 'w': 7}",
        "holds",
    ),
    "nested": (
        "O(n) time",
        "def f(q):\n    out, left = [], [q]\n    while left:\n        one = left.pop()\n        if isinstance(one, list):\n            left.extend(one)\n        else:\n            out.append(one)\n    return out",
        "def make_input(n):\n    out = []\n    for k in range(n):\n        out = [k, out]\n    return (out,)",
        "holds",
    ),
    "generator": (
        "O(n) time",
        "def f(q):\n    for i in range(len(q)):\n        yield sum(q[:i])",
        LIST,
        "ruled_out",
    ),
    "in place": (
        "O(n^2) time",
        "def order(q):\n    for i in range(len(q)):\n        for j in range(len(q) - 1):\n            if q[j] > q[j + 1]:\n                q[j], q[j + 1] = q[j + 1], q[j]",
        LIST,
        "holds",
    ),
    "in place, too slow": (
        "O(n log n) time",
        "def order(q):\n    for i in range(len(q)):\n        for j in range(len(q) - 1):\n            if q[j] > q[j + 1]:\n                q[j], q[j + 1] = q[j + 1], q[j]",
        LIST,
        "ruled_out",
    ),
    "depth of calls": (
        "O(1) extra space",
        "def f(w):\n    return 0 if w < 1 else 1 + f(w - 1)",
        NUMBER,
        "ruled_out",
    ),
    "exponential": (
        "O(n) time",
        "def f(w):\n    return w if w < 2 else f(w - 1) + f(w - 2)",
        NUMBER,
        "ruled_out",
    ),
    "exponential input": (
        "O(2^n) time",
        "def f(q):\n    return len(q)",
        "from itertools import product\ndef make_input(n):\n    return (list(product([0, 1], repeat=n)),)",
        "undecided",
    ),
    "early end": (
        "O(n) time",
        "def f(q, w):\n    for i, x in enumerate(q):\n        if x == w:\n            return i\n    return -1",
        "def make_input(n):\n    return list(range(n)), 0",
        "undecided",
    ),
    "memoised across calls": (
        "O(n) time",
        "from functools import lru_cache\n@lru_cache(None)\ndef g(k):\n    return k if k < 2 else g(k - 1) + g(k - 2)\ndef f(w):\n    return [g(k) for k in range(w)][-1]",
        NUMBER,
        "holds",
    ),
    "value of a number": (
        "O(log n) time",
        "def f(w):\n    steps = 0\n    while w:\n        w //= 2\n        steps += 1\n    return steps",
        NUMBER,
        "holds",
    ),
    "value of a number, too slow": (
        "O(sqrt n) time",
        "def f(w):\n    return all(w % d for d in range(2, w))",
        "def make_input(n):\n    while any(n % d == 0 for d in range(2, int(n ** 0.5) + 1)):\n        n += 1\n    return n",
        "ruled_out",
    ),
    "method": (
        "O(n) time",
        DEQUE_SUM,
        "def make_input(n):\n    return list(range(n)), 3 * n",
        "holds",
    ),
    "object": (
        "O(n log n) time",
        STACK,
        "import random\ndef make_input(n):\n    return ((list(range(n)),), 'ordered', ())",
        "ruled_out",
    ),
    "object, its arguments not in tuples": (
        "O(n^2) time",
        STACK,
        "def make_input(n):\n    return (list(range(n)), 'ordered', None)",
        "holds",
    ),
    "program": (
        "O(n) time",
        PROGRAM,
        "def make_input(n):\n    return f\"{n}\\n{' '.join(map(str, range(n)))}\\n\"",
        "ruled_out",
    ),
    "program, at its bound": (
        "O(n^2) time",
        PROGRAM,
        "def make_input(n):\n    return [str(n), ' '.join(map(str, range(n)))]",
        "holds",
    ),
    "program that reads all lines": (
        "O(n) time",
        STDIN,
        "def make_input(n):\n    return ''.join(f'{k}\\n' for k in range(n))",
        "holds",
    ),
    "counting by values that grow as n^2": (
        "O(n) time",
        "def f(q):\n    counts = [0] * (max(q) + 1)\n    for x in q:\n        counts[x] += 1\n    return counts",
        "def make_input(n):\n    return ([k * n for k in range(n)],)",
        "undecided",
    ),
    "average case on hard inputs": (
        "O(n log n) time on average",
        "def f(q):\n    if len(q) < 2:\n        return q\n    p = q[0]\n    return f([x for x in q[1:] if x < p]) + [p] + f([x for x in q[1:] if x >= p])",
        "def make_input(n):\n    return (list(range(n)),)",
        "undecided",
    ),
}  # fmt: skip


QUICK = (
    "list, too slow", "linked list of its own nodes", "by name", "graph with n nodes and n^2 edges",
    "object", "program that reads all lines", "average case on hard inputs",
)  # fmt: skip
"""Those that a short test run measures."""


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.e2e) for name in KNOWN],
)
def test_programs_of_every_shape_get_a_right_verdict(sandbox, name):
    """Undecided where the inputs leave open what n is, or are no test of the bound."""
    bound, answer, generator, kind = KNOWN[name]
    found = measured(sandbox, bound, answer, generator)
    assert found.kind == kind, found.detail
    if kind == "holds":
        assert found.detail.get("why") is None


BAD = {
    "does not end": "def make_input(n):\n    while True:\n        pass",
    "making inputs failed": "def make_input(n):\n    import os\n    os._exit(0)",
    "too large": "def make_input(n):\n    return ([0] * 10 ** 7,)",
    "do not grow": "def make_input(n):\n    return ([1, 2, 3],)",
    "different inputs": "import os\ndef make_input(n):\n    return (list(os.urandom(n)),)",
    "raises ValueError": "def make_input(n):\n    raise ValueError('no')",
    "needs numpy": "import numpy\ndef make_input(n):\n    return (list(numpy.arange(n)),)",
    "does not accept": "def make_input(n):\n    return ([object()] * n, 1, 2, 3)",
    "defines no function": "def make(n):\n    return n",
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_a_bad_generator_blames_no_row(sandbox, why):
    """There is no verdict, the reason is told, and the requests are booked."""
    found = measured(sandbox, "O(1) time", NESTED, BAD[why])
    assert (found.kind, found.detail["why"]) == ("not_measured", "no_generator"), found.detail
    assert why in found.detail["said"]
    assert found.detail["requests"] == MAX_GENERATORS
    assert [why in one for one in found.detail["rejected"]] == [True] * MAX_GENERATORS


def test_a_reply_that_broke_off_is_no_generator(sandbox):
    """It is asked for again, as another request."""
    task = Task.seed("Write it in O(n) time.", ordinal=0, language="python")
    role = finishing(role_of(LIST), "error")
    check = ComplexityCheck(sandbox.sandbox, seed=0, memory_mb=512, tester=role)
    found = sandbox.runner.run(check(task, Response.to(task, fenced(NESTED), made=None), {}))
    assert "broke off: error" in found.detail["said"]


def test_a_generator_that_prints_is_used(sandbox):
    """What it prints is not taken for counts."""
    found = measured(sandbox, "O(n) time", NESTED, f"{LIST}\nprint('0' * 10 ** 6)".replace(
        "    return", "    print(n)\n    return"))  # fmt: skip
    assert found.kind == "ruled_out"


def test_another_generator_is_asked_for(sandbox):
    """The second reply decides; both requests are booked, and the first one's fault is kept."""
    asked = []
    found = measured(sandbox, "O(n) time", NESTED, BAD["raises ValueError"], LIST, asked=asked)
    assert found.kind == "ruled_out"
    assert (found.detail["requests"], len(asked)) == (2, 2)
    assert found.detail["rejected"] == ["it raises ValueError"]
    assert "randrange" in found.detail["generator"]
    assert len({request.seed for request in asked}) == 2
    assert {request.sampling.max_tokens for request in asked} == {MAX_GENERATOR_TOKENS}


def test_nothing_is_asked_where_own_inputs_do(sandbox):
    """Nor where the task states no bound, or one that cannot be measured, or there is no Python."""
    asked = []
    typed = "def f(q: list[int]) -> int:\n    return sum(q)"
    assert measured(sandbox, "O(n) time", typed, LIST, asked=asked).kind == "holds"
    for bound, answer, why in (
        ("care", SUM, "no_bound"),
        ("O(n log log n) time", SUM, "unknown_class"),
        ("O(n) time", "```go\nfunc f() {}\n```", "language"),
        ("O(n) time", "x = 1\nprint(x)", "no_function"),
        ("O(n) time", "async def f(q):\n    return q", "async"),
    ):
        found = measured(sandbox, bound, answer, LIST, asked=asked)
        assert (found.kind, found.detail["why"]) == ("not_measured", why)
    assert asked == []


def test_without_a_tester_usual_names_tell_the_types(sandbox):
    """An unusual one has no inputs, which is told."""
    assert measured(sandbox, "O(n) time", NESTED.replace("q", "nums")).kind == "ruled_out"
    assert measured(sandbox, "O(n) time", SUM).detail["why"] == "no_inputs"


def test_assigned_examples_tell_the_types(sandbox):
    """An answer often assigns its example before it calls the function."""
    answer = f"{NESTED}\nsome = [3, 1, 2]\nprint(f(some))"
    assert measured(sandbox, "O(n) time", answer).kind == "ruled_out"


def test_a_server_that_rejects_every_request_is_raised(sandbox):
    """The row is asked for again then; one that answers once is enough."""
    refused = EngineError("no", asked="toy", retryable=False)
    with pytest.raises(EngineError):
        measured(sandbox, "O(n) time", NESTED, refused)
    assert measured(sandbox, "O(n) time", NESTED, refused, LIST).kind == "ruled_out"


def test_same_seed_same_finding(sandbox):
    """Inputs, counts and fit depend on the seed and the reply only."""
    found = [measured(sandbox, "O(n) time", NESTED, LIST) for _ in range(2)]
    assert found[0].detail == found[1].detail


@pytest.mark.parametrize(
    ("reply", "known", "kept"),
    [
        ("def make_input(n):\n    return n", (), "def make_input(n):\n    return n"),
        ("Here:\n```\nimport math\nX = 3\ndef make_input(n):\n    return X\nprint(make_input(4))\n```",
         (), "import math\nX = 3\n\ndef make_input(n):\n    return X"),
        ("```python\nclass A:\n    pass\ndef make_input(n):\n    return A()\n```", {"A"},
         "def make_input(n):\n    return A()"),
        ("```python\nx = 1\n```\n```python\ndef make_input(n):\n    return n\n```", (),
         "def make_input(n):\n    return n"),
        ("```python\nmake_input = 3\n```", (), None),
        ("```python\ndef make_input(n)\n```", (), None),
        ("", (), None),
    ],
)  # fmt: skip
def test_the_generator_in_a_reply(reply, known, kept):
    """Calls and the program's own classes are left out."""
    assert parse_generator(reply, known) == kept


def test_a_value_is_described_by_its_elements_and_numbers():
    """Cycles, attributes and deep lists count once each, without recursion."""
    deep = []
    for _ in range(5000):
        deep = [deep]
    assert describe(deep)[:2] == (5000, 0)
    loop = [1]
    loop.append(loop)
    assert describe(loop)[:2] == (2, 1)
    assert describe({"ab": {3, -9}})[:2] == (6, 9)
    assert describe([10**6000])[1] == describe([1e300, 2**53])[1]
    assert describe({1, 2})[2] == describe({2, 1})[2]
    assert describe([1, 2])[2] != describe([2, 1])[2]


@pytest.mark.parametrize(
    ("answer", "kind", "called"),
    [
        (SUM, PartKind.FUNCTION, "f"),
        (DEQUE_SUM, PartKind.METHOD, "two_sum"),
        (STACK, PartKind.CLASS, "Bag"),
        (PROGRAM, PartKind.PROGRAM, ""),
        ("def show(q):\n    print(q)", PartKind.FUNCTION, "show"),
    ],
)
def test_what_is_measured_of_an_answer(answer, kind, called):
    """A function, a method, an object or the whole program."""
    part = part_to_measure(fenced(answer), "")
    assert (part.kind, part.called) == (kind, called)


def test_an_answer_without_code_has_nothing_to_measure():
    """The reason is told in a word."""
    with pytest.raises(NotMeasuredError) as raised:
        part_to_measure("It cannot be done.", "")
    assert raised.value.reason == "no_code"
