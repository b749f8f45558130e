"""A toy benchmark and rows that leak it, and rows that do not."""

from evolcoder.decontamination.hits import BenchmarkText
from toys import WORDS

ZIGZAG = """def zigzag_merge(left, right):
    '''Merge.'''
    shortest = min(len(left), len(right))
    merged = [entry for pair in zip(left, right) for entry in pair]
    surplus = left[shortest:] + right[shortest:]
    return merged + surplus
"""
ZIGZAG_TESTS = """assert zigzag_merge([1, 4], [9, 7, 3]) == [1, 9, 4, 7, 3]
assert zigzag_merge([], [5, 8]) == [5, 8]
assert zigzag_merge([2, 6, 1], [3]) == [2, 3, 6, 1]
assert zigzag_merge([8], [2, 2, 5]) == [8, 2, 2, 5]
"""
TIDE = """def tide_height(log):
    depth = sorted(log)[len(log) // 2]
    readings = [each for each in log if each >= depth]
    highest = max(readings, default=0)
    return highest * 3 - depth % 7
"""
SMALL = """def step(a):
    result = []
    for x in a:
        result.append(x)
    {word} = {n}
    return result
"""


def item(id, wording, solution, tests):
    """An item of the toy benchmark."""
    return BenchmarkText("toy", id, "python", ("f",), f'"""\n{wording}\n"""\n', solution, tests)


ITEMS = (
    item(
        "toy/0",
        "Merge two ordered ledgers by alternating their entries, and keep the surplus at the end.",
        ZIGZAG,
        ZIGZAG_TESTS,
    ),
    item(
        "toy/1",
        "Return the highest tide of a harbour log after removing readings below the median depth.",
        TIDE,
        "assert tide_height([3, 8, 5]) == 19\nassert tide_height([40, 2, 9, 9]) == 118\n",
    ),
    item(
        "toy/2", "Add two numbers.", "def add(x, y):\n    return x + y\n", "assert add(2, 3) == 5"
    ),
    *(
        item(
            f"toy/{n}",
            f"Write a function that returns step {n} of a {word} {WORDS[n - 4]} as a list.",
            SMALL.format(word=word, n=n),
            f"assert step([1]) == [{n}]\n",
        )
        for n, word in enumerate(WORDS, 3)
    ),
)
CLEAN = (
    ("clean-0", "Write a function that adds two numbers.", "def add(a, b):\n    return a + b"),
    ("clean-1", "Explain what a list is.", "A list keeps its items in order."),
    (
        "clean-2",
        "Write a function that returns a list of the squares of numbers.",
        "def f(a):\n    result = []\n    for x in a:\n        result.append(x * x)\n    return result",
    ),
)
RENAMED = """
def braid(a, b):
    # no word of the original is left
    n = min(len(a), len(b))
    out = [x for p in zip(a, b) for x in p]
    rest = a[n:] + b[n:]
    return out + rest
"""
REORDERED = """
def braid(a, b):
    out = [x for p in zip(a, b) for x in p]
    n = min(len(a), len(b))
    rest = a[n:] + b[n:]
    return out + rest
"""
