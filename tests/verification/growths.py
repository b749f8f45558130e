"""Functions whose growth is known: name, time class, space class beside the result, source, a check.

The classes are those of the worst inputs. The last function of each source is meant.
"""

KNOWN = [
    ("first", "1", "1", "def f(xs: list[int]) -> int:\n    return xs[0] if xs else 0\n"),
    (
        "ends",
        "1",
        "1",
        "def f(xs):\n    return xs[0] + xs[-1] * len(xs)\n",
        "assert f([1, 2]) == 5",
    ),
    ("gauss", "1", "1", "def f(n: int) -> int:\n    return n * (n + 1) // 2\n"),
    (
        "binary search",
        "log n",
        "1",
        """def f(xs: list[int], target: int) -> int:
    low, high = 0, len(xs) - 1
    while low <= high:
        middle = (low + high) // 2
        if xs[middle] == target:
            return middle
        if xs[middle] < target:
            low = middle + 1
        else:
            high = middle - 1
    return -1
""",
    ),
    (
        "recursive halving",
        "log n",
        "log n",
        "def f(n: int) -> int:\n    return 1 if n < 2 else 1 + f(n // 2)\n",
    ),
    (
        "digits",
        "log n",
        "1",
        "def f(n: int) -> int:\n    total = 0\n    while n:\n        total += n % 10\n        n //= 10\n    return total\n",
    ),
    (
        "bisect",
        "log n",
        "1",
        "import bisect\n\ndef f(xs: list[int], x: int) -> int:\n    return bisect.bisect_left(xs, x)\n",
    ),
    (
        "trial division",
        "sqrt n",
        "1",
        """def f(n: int) -> bool:
    d = 2
    while d * d <= n:
        if n % d == 0:
            return False
        d += 1
    return n > 1
""",
    ),
    (
        "divisors",
        "sqrt n",
        "1",
        """def f(n: int) -> int:
    return sum(1 if d * d == n else 2 for d in range(1, int(n ** 0.5) + 1) if n % d == 0)
""",
    ),
    (
        "maximum",
        "n",
        "1",
        "def f(xs: list[int]) -> int:\n    best = xs[0]\n    for x in xs:\n        if x > best:\n            best = x\n    return best\n",
    ),
    ("hidden sum", "n", "1", "def f(xs: list[int]) -> int:\n    return sum(xs) + max(xs)\n"),
    ("hidden search", "n", "1", "def f(xs: list[int], x: int) -> bool:\n    return x in xs\n"),
    (
        "early exit",
        "n",
        "1",
        "def f(xs: list[int], x: int) -> int:\n    for i, y in enumerate(xs):\n        if y == x:\n            return i\n    return -1\n",
    ),
    (
        "hidden slice",
        "n",
        "n",
        "def f(s: str) -> bool:\n    return s == s[::-1]\n",
        "assert f('aba') is True",
    ),
    (
        "amortised append",
        "n",
        "1",
        "def f(xs: list[int]) -> list[int]:\n    out = []\n    for x in xs:\n        out.append(x * 2)\n    return out\n",
    ),
    (
        "amortised stack",
        "n",
        "n",
        """def f(xs: list[int]) -> list[int]:
    out, stack = [0] * len(xs), []
    for i, x in enumerate(xs):
        while stack and xs[stack[-1]] < x:
            j = stack.pop()
            out[j] = i - j
        stack.append(i)
    return out
""",
    ),
    (
        "generator",
        "n",
        "1",
        "def f(xs: list[int]):\n    total = 0\n    for x in xs:\n        total += x\n        yield total\n",
    ),
    (
        "linear recursion",
        "n",
        "n",
        "def f(n: int) -> int:\n    return 0 if n == 0 else 1 + f(n - 1)\n",
    ),
    (
        "two sum",
        "n",
        "n",
        """def f(xs: list[int], target: int):
    seen = {}
    for i, x in enumerate(xs):
        if target * 9 - x in seen:
            return [seen[target * 9 - x], i]
        seen[x] = i
    return []
""",
    ),
    (
        "counter",
        "n",
        "n",
        "from collections import Counter\n\ndef f(words: list[str]) -> int:\n    return max(Counter(words).values())\n",
    ),
    (
        "two pointers",
        "n",
        "1",
        """def f(s: str) -> bool:
    i, j = 0, len(s) - 1
    while i < j:
        if s[i] != s[j]:
            return False
        i, j = i + 1, j - 1
    return True
""",
    ),
    (
        "memoised",
        "n",
        "n",
        "from functools import lru_cache\n\ndef f(n: int) -> int:\n    @lru_cache(None)\n    def g(k):\n        return k if k < 2 else g(k - 1) + g(k - 2)\n    return g(n)\n",
    ),
    (
        "sorting",
        "n log n",
        "n",
        "def f(xs: list[int]) -> int:\n    ys = sorted(xs)\n    return ys[len(ys) // 2]\n",
    ),
    (
        "sorting by key",
        "n log n",
        "n",
        "def f(words: list[str]) -> list[str]:\n    return sorted(words, key=lambda w: (w[::-1], w))\n",
    ),
    (
        "merge sort",
        "n log n",
        "n",
        """def merge(a, b):
    out, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            out.append(a[i])
            i += 1
        else:
            out.append(b[j])
            j += 1
    return out + a[i:] + b[j:]

def f(xs: list[int]) -> list[int]:
    if len(xs) < 2:
        return xs
    middle = len(xs) // 2
    return merge(f(xs[:middle]), f(xs[middle:]))
""",
    ),
    (
        "heap sort",
        "n log n",
        "n",
        """import heapq

def f(xs: list[int]) -> list[int]:
    heap = []
    for x in xs:
        heapq.heappush(heap, x)
    return [heapq.heappop(heap) for _ in range(len(heap))]
""",
    ),
    (
        "intervals",
        "n log n",
        "n",
        """def f(pairs: list[tuple[int, int]]) -> list[list[int]]:
    out = []
    for a, b in sorted(pairs):
        if out and a <= out[-1][1]:
            out[-1][1] = max(out[-1][1], b)
        else:
            out.append([a, b])
    return out
""",
    ),
    (
        "bubble sort",
        "n^2",
        "1",
        """def f(xs: list[int]) -> list[int]:
    for i in range(len(xs)):
        for j in range(len(xs) - 1 - i):
            if xs[j] > xs[j + 1]:
                xs[j], xs[j + 1] = xs[j + 1], xs[j]
    return xs
""",
    ),
    (
        "hidden count",
        "n^2",
        "1",
        "def f(xs: list[int]) -> list[int]:\n    return [x for x in xs if xs.count(x) == 1]\n",
    ),
    (
        "hidden membership",
        "n^2",
        "1",
        "def f(xs: list[int]) -> list[int]:\n    out = []\n    for x in xs:\n        if x not in out:\n            out.append(x)\n    return out\n",
    ),
    (
        "hidden pop",
        "n^2",
        "1",
        "def f(xs: list[int]) -> int:\n    total = 0\n    while xs:\n        total += xs.pop(0)\n    return total\n",
    ),
    (
        "hidden copies",
        "n^2",
        "n^2",
        "def f(xs: list[int]) -> int:\n    return xs[0] + f(xs[1:]) if xs else 0\n",
    ),
    (
        "insertion",
        "n^2",
        "n",
        "import bisect\n\ndef f(xs: list[int]) -> int:\n    ys = []\n    for x in xs:\n        bisect.insort(ys, x)\n    return ys[0]\n",
    ),
    (
        "quick sort",
        "n^2",
        "n^2",
        """def f(xs: list[int]) -> list[int]:
    if len(xs) < 2:
        return xs
    pivot, *rest = xs
    return f([x for x in rest if x < pivot]) + [pivot] + f([x for x in rest if x >= pivot])
""",
    ),
    (
        "pairs any",
        "n^2",
        "1",
        "def f(xs: list[int]) -> bool:\n    return any(a + b == -1 for a in xs for b in xs)\n",
    ),
    (
        "triples",
        "n^3",
        "1",
        """def f(xs: list[int]) -> int:
    n, found = len(xs), 0
    for i in range(n):
        for j in range(i + 1, n):
            for k in range(j + 1, n):
                found += xs[i] + xs[j] == xs[k]
    return found
""",
    ),
    (
        "substrings",
        "n^3",
        "n",
        "def f(s: str) -> int:\n    best = 0\n    for i in range(len(s)):\n        for j in range(i, len(s)):\n            part = s[i:j + 1]\n            if part == part[::-1]:\n                best = max(best, len(part))\n    return best\n",
    ),
    (
        "naive fibonacci",
        "2^n",
        "n",
        "def f(n: int) -> int:\n    return n if n < 2 else f(n - 1) + f(n - 2)\n",
    ),
    (
        "subsets",
        "2^n",
        "2^n",
        "def f(xs: list[int]) -> list[list[int]]:\n    out = [[]]\n    for x in xs:\n        out += [one + [x] for one in out]\n    return out\n",
    ),
    (
        "hanoi",
        "2^n",
        "n",
        "def f(n: int, a: str = 'a', b: str = 'b', c: str = 'c') -> int:\n    return 0 if n == 0 else f(n - 1, a, c, b) + 1 + f(n - 1, c, b, a)\n",
    ),
]
