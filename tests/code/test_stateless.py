"""Programs that may keep something from call to call are recognised, whatever the way."""

import pytest

from evolcoder.code.stateless import keeps_no_state

STATELESS = {
    "a loop": "def f(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total",
    "helpers": "import math\nK = (1, -2.5, 'a')\nN: int = 10 ** 9 + 7\n\n"
    "def g(x, k=K, *, m=None):\n    return math.gcd(x, N)\n\ndef f(x):\n    return g(x)",
    "a docstring": '"""Sums."""\nfrom typing import List\n\ndef f(x: List[int]) -> int:\n    return sum(x)',
    "local changes": "def f(x):\n    seen = {}\n    seen[1] = x\n    seen.update(a=1)\n    return seen",
    "a closure": "def f(n):\n    k = 0\n    def g():\n        nonlocal k\n        k += n\n    g()\n    return k",
}
STATEFUL = {
    "no Python": "def f(:",
    "a list": "seen = []\ndef f(n):\n    seen.append(n)\n    return len(seen)",
    "a dictionary": "memo = {}\ndef f(n):\n    return memo.setdefault(n, len(memo))",
    "global": "k = 0\ndef f(n):\n    global k\n    k += n\n    return k",
    "a default": "def f(n, seen=[]):\n    seen.append(n)\n    return len(seen)",
    "a keyword's default": "def f(n, *, seen={}):\n    return seen.setdefault(n, len(seen))",
    "a lambda's default": "def f(n):\n    return (lambda x, s=[]: s)(n)",
    "a decorator": "from functools import cache\n@cache\ndef f(n):\n    return [n]",
    "an attribute": "def f(n):\n    f.n = getattr(f, 'n', 0) + n\n    return f.n",
    "an attribute that is deleted": "def f(n):\n    del f.n",
    "a function's own dictionary": "def f(n):\n    f.__dict__['n'] = n\n    return n",
    "setattr": "def f(n):\n    setattr(f, 'n', n)",
    "globals": "def f(n):\n    globals()['n'] = n",
    "exec": "def f(n):\n    exec('global n; n = 1')",
    "builtins": "def f(n):\n    __builtins__['n'] = n",
    "a class": "class A:\n    seen = []\ndef f(n):\n    A.seen.append(n)\n    return len(A.seen)",
    "a module's state": "import random\ndef f(n):\n    random.seed(n)\n    return random.random()",
    "a setting": "import sys\nsys.setrecursionlimit(10 ** 6)\ndef f(n):\n    return n",
    "another import": "from os import environ\ndef f(n):\n    return environ",
    "an iterator": "import itertools\ncount = itertools.count()\ndef f(n):\n    return next(count)",
    "a file": "def f(n):\n    open('a', 'a').write('b')",
    "a branch": "if True:\n    seen = []\ndef f(n):\n    seen.append(n)",
    "a relative import": "from . import a\ndef f(n):\n    return a",
    "unpacking": "a, b = [], []\ndef f(n):\n    a.append(n)",
    "a walrus": "K = (seen := [])\ndef f(n):\n    seen.append(n)",
}


@pytest.mark.parametrize("source", STATELESS.values(), ids=STATELESS)
def test_a_program_without_state_is_recognised(source):
    assert keeps_no_state(source)


@pytest.mark.parametrize("source", STATEFUL.values(), ids=STATEFUL)
def test_a_program_that_may_keep_state_is_not(source):
    assert not keeps_no_state(source)


def test_deep_nesting_is_no_error():
    assert not keeps_no_state("x = " + "(" * 100_000)
    assert not keeps_no_state("def f(n):\n    return " + "-" * 100_000 + "n")
