"""Instrumented programs that count their work."""

import itertools

import pytest

from evolcoder.code.instrument import counted
from evolcoder.decontamination.execution.sandbox_prefilter import Slow, WorkMeter


def work_of(source, *arguments):
    """Run `f` of a program; return its result and its work."""
    meter = WorkMeter()
    space = {"itertools": itertools, **meter.names()}
    exec(counted(source), space)
    return space["f"](*arguments), meter.worked()


@pytest.mark.parametrize(
    ("source", "answer", "work"),
    [
        ("def f():\n    return 7", 7, 1),
        ("def f():\n    for n in range(10):\n        pass\n    return n", 9, 11),
        ("def f():\n    n = 0\n    while n < 10:\n        n += 1\n    return n", 10, 11),
        ("def f():\n    return sum(n for n in range(10) if n > 7)", 17, 11),
        ("def f():\n    return {n: m for n in range(3) for m in range(2)}", {0: 1, 1: 1, 2: 1}, 10),
        ("def f(n=3):\n    return n and f(n - 1)", 0, 4),
        ("def f():\n    return list(map(lambda n: n * 2, [1, 2]))", [2, 4], 3),
        ("def f():\n    return sum(range(1600))", 1279200, 101),
        ("def f():\n    return len(range(10, 0, -1)[::2])", 5, 1),
        ("def f():\n    return list(range(10 ** 6, 0))", [], 1),
        ("def f(n=1024):\n    return (2 ** n).bit_length()", 1025, 3),
        ("def f(n=1024):\n    return n ** 2 + n ** 0.5 + 2 ** -1", 1048608.5, 1),
        ("def f(n=2048):\n    return (1 << n).bit_length()", 2049, 3),
        ("def f(n=3):\n    n <<= 2\n    n **= 9\n    return n", 12**9, 1),
        ("def f(n=9):\n    n *= 7\n    n = n * n\n    n = 2 * n\n    return n", 7938, 1),
        ("def f(n=2**1024):\n    n *= n\n    return n.bit_length()", 2049, 7),
        (
            "def f():\n    a = b = [1]\n    a *= 2\n    a = a * 2\n    a = 2 * a\n    return b",
            [1, 1],
            1,
        ),
        ("def f():\n    return len(list(itertools.permutations('abcd')))", 24, 25),
        ("def f():\n    p = itertools.product('ab', repeat=3)\n    return len(list(p))", 8, 9),
        ("def f():\n    return sum(1 for _ in itertools.permutations('abcd'))", 24, 25),
        ("class A:\n    def g(self):\n        yield 1\ndef f():\n    return [*A().g()]", [1], 2),
    ],
)
def test_turns_entries_ranges_and_powers_are_counted(source, answer, work):
    """The result does not change, and the count is deterministic."""
    assert work_of(source) == work_of(source) == (answer, work)


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    while True:\n        try:\n            g()\n        except:\n            pass",
        "def f():\n    try:\n        f()\n    except BaseException:\n        f()",
        "def f():\n    return [n for n in itertools.count()]",
        "def f():\n    return any(map(lambda n: False, itertools.count()))",
        "def f():\n    return sum(range(10 ** 12))",
        "def f(n=10 ** 9):\n    return 7 ** n",
        "def f(n=10 ** 9):\n    return 7 << n",
        "def f(n=10 ** 9, m=7):\n    m <<= n\n    return m",
        "def f(m=3):\n    while m:\n        m *= m",
        "def f(m=3):\n    while m:\n        m = m * m",
        "def f(m=1):\n    while m:\n        m = m << 1",
        "def f():\n    return list(itertools.permutations(range(20)))",
        "def f():\n    p = itertools.product('abcdefgh', repeat=20)\n    return set(p)",
    ],
)
def test_an_endless_program_is_stopped_by_its_work(source):
    """Also if it catches every exception."""
    space = {"itertools": itertools, **(meter := WorkMeter(1000)).names()}
    exec(counted(source), space)
    with pytest.raises((Slow, RecursionError)):
        space["f"]()
    assert meter.worked() > 900


def test_a_program_that_catches_the_stop_counts_as_slow():
    """A call that continues after its last unit has no result."""
    source = "def f():\n    try:\n        for n in range(10 ** 7):\n            pass\n    except BaseException:\n        return 1"
    meter = WorkMeter()
    space = meter.names()
    exec(counted(source), space)
    with pytest.raises(Slow):
        meter.call(space["f"])
    assert meter.n_slow == 1


def test_text_that_is_not_python_is_not_instrumented():
    """Neither is a program that is too deep to unparse."""
    assert counted("def f(:") is None
    assert counted("x = " + "-" * 5000 + "1") is None
