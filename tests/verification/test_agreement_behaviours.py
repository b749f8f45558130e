"""What counts as equal behaviour of answers, on programs of many kinds in the real sandbox."""

import pytest

from verification.test_agreement import choose_among

BEHAVIOURS = {
    "float noise": (
        "Write mean(nums).",
        [
            "def mean(nums):\n    return sum(nums)/len(nums)",
            "def mean(nums):\n    t=0.0\n    for x in reversed(nums): t+=x/len(nums)\n    return t",
            "def mean(nums):\n    return max(nums)",
        ],
        [0, 1],
    ),
    "float and int": (
        "Write half(n).",
        [
            "def half(n):\n    return n/2",
            "def half(n):\n    return n*0.5",
            "def half(n):\n    return n//2",
        ],
        [0, 1],
    ),
    "order of sets": (
        "Write uniq(nums) that returns a set.",
        [
            "def uniq(nums):\n    return set(nums)",
            "def uniq(nums):\n    return {x for x in reversed(nums)}",
            "def uniq(nums):\n    return list(nums)",
        ],
        [0, 1],
    ),
    "None against missing return": (
        "Write find(nums, x) that returns the index of x or None.",
        [
            "def find(nums, x):\n    for i,n in enumerate(nums):\n        if n==x: return i\n    return None",
            "def find(nums, x):\n    for i,n in enumerate(nums):\n        if n==x: return i",
            "def find(nums, x):\n    return nums.index(x) if x in nums else -1",
        ],
        [0, 1],
    ),
    "generator against list": (
        "Write evens(nums) that yields the even numbers.",
        [
            "def evens(nums):\n    for x in nums:\n        if x%2==0: yield x",
            "def evens(nums):\n    return (x for x in nums if x%2==0)",
            "def evens(nums):\n    return [x for x in nums if x%2]",
        ],
        [0, 1],
    ),
    "endless generator": (
        "Write count(n) that yields n, n+1, ...",
        [
            "def count(n: int):\n    while True:\n        yield n\n        n+=1",
            "import itertools\ndef count(n: int):\n    return itertools.count(n)",
            "def count(n: int):\n    return [n]",
        ],
        [0, 1],
    ),
    "printed output": (
        "Write show(nums) that prints each number.",
        [
            "def show(nums):\n    for x in nums: print(x)",
            "def show(nums):\n    print(*nums, sep='\\n')",
            "def show(nums):\n    print(nums)",
        ],
        [0, 1],
    ),
    "debug prints": (
        "Write total(nums).",
        [
            "def total(nums):\n    print('start')\n    return sum(nums)",
            "def total(nums):\n    t=0\n    for x in nums: t+=x\n    return t",
            "def total(nums):\n    return 0",
        ],
        [0, 1],
    ),
    "mutation": (
        "Write clean(nums) that removes negative numbers from the list in place.",
        [
            "def clean(nums: list[int]):\n    nums[:] = [x for x in nums if x>=0]",
            "def clean(nums: list[int]):\n    for x in nums[:]:\n        if x<0: nums.remove(x)",
            "def clean(nums: list[int]):\n    nums = [x for x in nums if x>=0]",
        ],
        [0, 1],
    ),
    "exceptions as behaviour": (
        "Write root(n) that raises ValueError for negative numbers.",
        [
            "def root(n: int):\n    if n<0: raise ValueError('no')\n    return n**0.5",
            "import math\ndef root(n: int):\n    if n<0: raise ValueError(f'bad {n}')\n    return math.sqrt(n)",
            "def root(n: int):\n    return abs(n)**0.5",
        ],
        [0, 1],
    ),
    "own exception class": (
        "Write root(n).",
        [
            "class Bad(ValueError): pass\ndef root(n: int):\n    if n<0: raise Bad()\n    return n+1",
            "def root(n: int):\n    if n<0: raise ValueError()\n    return n+1",
            "def root(n: int):\n    return n+1",
        ],
        [0, 1],
    ),
    "random programs": (
        "Write roll(n).",
        [
            "import random\ndef roll(n: int):\n    return random.random()",
            "import random\ndef roll(n: int):\n    return random.random()",
            "import random\ndef roll(n: int):\n    return random.random()",
        ],
        None,
    ),
    "random but one": (
        "Write pick(nums).",
        [
            "import random\ndef pick(nums):\n    return random.choice(nums)",
            "def pick(nums):\n    return nums[0]",
            "def pick(nums):\n    return nums[0]",
        ],
        [1, 2],
    ),
    "seeded random": (
        "Write roll(n).",
        [
            "import random\ndef roll(n: int):\n    random.seed(1)\n    return random.randrange(n+99)",
            "import random\ndef roll(n: int):\n    random.seed(1)\n    return random.randrange(n+99)",
            "def roll(n: int):\n    return 4",
        ],
        [0, 1],
    ),
    "time": (
        "Write stamp(n).",
        [
            "import time\ndef stamp(n: int):\n    return time.time_ns()",
            "import time\ndef stamp(n: int):\n    return time.time_ns()",
            "import time\ndef stamp(n: int):\n    return time.time_ns()",
        ],
        None,
    ),
    "classes": (
        "Write a class Counter with add(x) and total().",
        [
            "class Counter:\n    def __init__(self): self.t=0\n    def add(self,x): self.t+=x\n    def total(self): return self.t\n\nc = Counter()\nc.add(2)\nc.add(3)\nprint(c.total())",
            "class Counter:\n    def __init__(self): self.xs=[]\n    def add(self,x): self.xs.append(x)\n    def total(self): return sum(self.xs)\n\nc = Counter()\nc.add(2)\nc.add(3)\nprint(c.total())",
            "class Counter:\n    def __init__(self): self.t=0\n    def add(self,x): self.t=x\n    def total(self): return self.t\n\nc = Counter()\nc.add(2)\nc.add(3)\nprint(c.total())",
        ],
        [0, 1],
    ),
    "several functions": (
        "Write add(a, b) and mul(a, b).",
        [
            "def add(a: int, b: int):\n    return a+b\ndef mul(a: int, b: int):\n    return a*b",
            "def mul(a: int, b: int):\n    return b*a\ndef add(a: int, b: int):\n    return b+a",
            "def add(a: int, b: int):\n    return a+b\ndef mul(a: int, b: int):\n    return a-b",
        ],
        [0, 1],
    ),
    "helper in one": (
        "Write is_prime(n).",
        [
            "def check(n: int, k: int):\n    return n%k\ndef is_prime(n: int):\n    return n>1 and all(check(n,k) for k in range(2,n))",
            "def is_prime(n: int):\n    if n<2: return False\n    return all(n%k for k in range(2,int(n**.5)+1))",
            "def is_prime(n: int):\n    return n%2==1",
        ],
        [0, 1],
    ),
    "all equal but wrong by the example": (
        "Write add(a, b). For instance add(2, 3) returns 5.",
        [
            "def add(a, b):\n    return a-b",
            "def add(a, b):\n    return a-b",
            "def add(a, b):\n    return a-b",
        ],
        None,
    ),
    "a rounded example": (
        "Write mean(a, b). For instance mean(1, 1.5) returns 1.3.",
        [
            "def mean(a, b):\n    return (a+b)/2",
            "def mean(a, b):\n    return (a+b)/2",
            "def mean(a, b):\n    return (a+b)/2",
        ],
        [0, 1, 2],
    ),
    "one of two examples": (
        "Write add(a, b). For instance add(2, 3) returns 5 and add(1, 1) returns 3.",
        [
            "def add(a, b):\n    return a+b",
            "def add(a, b):\n    return a+b",
            "def add(a, b):\n    return a+b",
        ],
        [0, 1, 2],
    ),
    "bool against int": (
        "Write pos(n).",
        [
            "def pos(n: int):\n    return n>0",
            "def pos(n: int):\n    return bool(n>0)",
            "def pos(n: int):\n    return 'yes' if n>0 else 'no'",
        ],
        [0, 1],
    ),
    "tuple against list": (
        "Write pair(n).",
        [
            "def pair(n: int):\n    return (n, n+1)",
            "def pair(n: int):\n    return [n, n+1]",
            "def pair(n: int):\n    return (n, n+1)",
        ],
        [0, 2],
    ),
    "dict order": (
        "Write freq(nums).",
        [
            "def freq(nums):\n    d={}\n    for x in nums: d[x]=d.get(x,0)+1\n    return d",
            "from collections import Counter\ndef freq(nums):\n    return Counter(sorted(nums))",
            "def freq(nums):\n    return {}",
        ],
        [0, 1],
    ),
    "global state": (
        "Write nxt(n).",
        [
            "c=0\ndef nxt(n: int):\n    global c\n    c+=1\n    return c",
            "def nxt(n: int):\n    return n*2",
            "def nxt(n: int):\n    return n+n",
        ],
        [1, 2],
    ),
    "input in functions": (
        "Write ask(n).",
        [
            "def ask(n: int):\n    return n+int(input())",
            "def ask(n: int):\n    return n+int(input())",
            "def ask(n: int):\n    return n+int(input())",
        ],
        None,
    ),
    "main guard": (
        "Write dbl(n).",
        [
            "def dbl(n: int):\n    return 2*n\nif __name__=='__main__':\n    print(dbl(int(input())))",
            "def dbl(n: int):\n    return n+n",
            "def dbl(n: int):\n    return n",
        ],
        [0, 1],
    ),
    "sys.exit": (
        "Write f(n).",
        [
            "import sys\ndef f(n: int):\n    sys.exit(0)",
            "def f(n: int):\n    return n+1",
            "def f(n: int):\n    return 1+n",
        ],
        [1, 2],
    ),
    "decimal against float": (
        "Write tax(n).",
        [
            "from decimal import Decimal\ndef tax(n: int):\n    return Decimal(n)*2",
            "def tax(n: int):\n    return n*2",
            "def tax(n: int):\n    return n+n",
        ],
        [1, 2],
    ),
    "object of own class": (
        "Write make(n).",
        [
            "class P:\n    def __init__(self,x): self.x=x\ndef make(n: int):\n    return P(n)",
            "class P:\n    def __init__(self,v): self.x=v\ndef make(n: int):\n    return P(n)",
            "class P:\n    def __init__(self,v): self.x=v+1\ndef make(n: int):\n    return P(n)",
        ],
        [0, 1],
    ),
    "namedtuple": (
        "Write make(n).",
        [
            "from collections import namedtuple\nP=namedtuple('P','a b')\ndef make(n: int):\n    return P(n,n)",
            "def make(n: int):\n    return (n,n)",
            "def make(n: int):\n    return (n,)",
        ],
        [0, 1],
    ),
    "frozenset": (
        "Write s(nums).",
        [
            "def s(nums):\n    return frozenset(nums)",
            "def s(nums):\n    return set(nums)",
            "def s(nums):\n    return 1",
        ],
        [0, 1],
    ),
    "returns function": (
        "Write adder(n) that returns a function adding n.",
        [
            "def adder(n: int):\n    return lambda x: x+n",
            "def adder(n: int):\n    def f(x): return n+x\n    return f",
            "def adder(n: int):\n    return lambda x: x-n",
        ],
        None,
    ),
    "text blanks": (
        "Write line(n) that returns a string.",
        [
            "def line(n: int):\n    return 'a'*n",
            "def line(n: int):\n    return ''.join(['a' for _ in range(n)])",
            "def line(n: int):\n    return 'a'*n+' '",
        ],
        [0, 1],
    ),
    "all raise": (
        "Write f(n).",
        [
            "def f(n: int):\n    raise NotImplementedError",
            "def f(n: int):\n    raise NotImplementedError",
            "def f(n: int):\n    raise NotImplementedError",
        ],
        None,
    ),
    "big ints": (
        "Write p(n).",
        [
            "def p(n: int):\n    return 7**abs(n)",
            "def p(n: int):\n    r=1\n    for _ in range(abs(n)): r*=7\n    return r",
            "def p(n: int):\n    return 7*n",
        ],
        [0, 1],
    ),
    "bytes": (
        "Write e(text).",
        [
            "def e(text: str):\n    return text.encode()",
            "def e(text: str):\n    return bytes(text,'utf-8')",
            "def e(text: str):\n    return text",
        ],
        [0, 1],
    ),
    "file writes": (
        "Write save(text) that writes it to a file and returns its length.",
        [
            "def save(text: str):\n    open('a.txt','w').write(text)\n    return len(text)",
            "def save(text: str):\n    with open('b.txt','w') as f: f.write(text)\n    return len(text)",
            "def save(text: str):\n    return 0",
        ],
        [0, 1],
    ),
    "nan": (
        "Write bad(n).",
        [
            "def bad(n: int):\n    return float('nan')",
            "import math\ndef bad(n: int):\n    return math.nan",
            "def bad(n: int):\n    return 1.0",
        ],
        [0, 1],
    ),
    "top level input": (
        "Write dbl(n).",
        [
            "def dbl(n: int):\n    return 2*n\nprint(dbl(int(input())))",
            "def dbl(n: int):\n    return n+n\nprint(dbl(int(input())))",
            "def dbl(n: int):\n    return n\nprint(dbl(int(input())))",
        ],
        [0, 1],
    ),
    "named lambdas": (
        "Write a lambda dbl that doubles a number.",
        ["dbl = lambda n: 2*n", "dbl = lambda num: num+num", "dbl = lambda n: n**2"],
        [0, 1],
    ),
    "a lambda and a function": (
        "Write dbl(n).",
        ["dbl = lambda n: 2*n", "def dbl(n):\n    return n+n", "def dbl(n):\n    return n"],
        [0, 1],
    ),
    "coroutines": (
        "Write a coroutine total(nums) that waits before each addition.",
        [
            "import asyncio\nasync def total(nums):\n    t=0\n    for x in nums:\n        await asyncio.sleep(0)\n        t+=x\n    return t",
            "import asyncio\nasync def part(x):\n    await asyncio.sleep(0)\n    return x\nasync def total(nums):\n    return sum(await asyncio.gather(*map(part, nums)))\nasyncio.run(total([1]))",
            "async def total(nums):\n    return max(nums)",
        ],
        [0, 1],
    ),
    "a coroutine that awaits itself": (
        "Write an async fact(n).",
        [
            "async def fact(n: int):\n    return 1 if n<2 else n * await fact(n-1)",
            "async def fact(n: int):\n    t=1\n    for x in range(2,n+1): t*=x\n    return t",
            "async def fact(n: int):\n    return n",
        ],
        [0, 1],
    ),
    "asynchronous generators": (
        "Write an async generator evens(nums).",
        [
            "async def evens(nums):\n    for x in nums:\n        if x%2==0: yield x",
            "async def every(nums):\n    for x in nums: yield x\nasync def evens(nums):\n    async for x in every(nums):\n        if not x%2: yield x",
            "async def evens(nums):\n    for x in nums:\n        if x%2: yield x",
        ],
        [0, 1],
    ),
    "an endless asynchronous generator": (
        "Write an async generator count(n).",
        [
            "async def count(n: int):\n    while True:\n        yield n\n        n+=1",
            "import itertools\nasync def count(n: int):\n    for x in itertools.count(n): yield x",
            "async def count(n: int):\n    yield n",
        ],
        [0, 1],
    ),
    "a coroutine that prints": (
        "Write an async show(nums).",
        [
            "async def show(nums):\n    for x in nums: print(x)",
            "async def show(nums):\n    print(*nums, sep='\\n')",
            "async def show(nums):\n    print(nums)",
        ],
        [0, 1],
    ),
    "classes without usage": (
        "Write a class Account with deposit, withdraw and balance.",
        [
            "class Account:\n    def __init__(self): self.b=0\n    def deposit(self, amount: float): self.b+=amount\n    def withdraw(self, amount: float):\n        if amount>self.b: raise ValueError\n        self.b-=amount\n    def balance(self): return self.b",
            "class Account:\n    def __init__(self): self.ins=[]\n    def deposit(self, amount: float): self.ins.append(amount)\n    def withdraw(self, amount: float):\n        if sum(self.ins)<amount: raise ValueError('no')\n        self.ins.append(-amount)\n    def balance(self): return sum(self.ins)",
            "class Account:\n    def __init__(self): self.b=0\n    def deposit(self, amount: float): self.b=amount\n    def withdraw(self, amount: float): self.b-=amount\n    def balance(self): return self.b",
        ],
        [0, 1],
    ),
    "classes with properties and statics": (
        "Write a class Box.",
        [
            "class Box:\n    def __init__(self, width: float, height: float): self.w, self.h = width, height\n    @property\n    def area(self): return self.w*self.h\n    @staticmethod\n    def unit(n: int): return n",
            "class Box:\n    def __init__(self, width: float, height: float): self.sides = (width, height)\n    @property\n    def area(self): return self.sides[0]*self.sides[1]\n    @staticmethod\n    def unit(n: int): return n+0",
            "class Box:\n    def __init__(self, width: float, height: float): self.w, self.h = width, height\n    @property\n    def area(self): return self.w+self.h\n    @staticmethod\n    def unit(n: int): return n",
        ],
        [0, 1],
    ),
    "classes with other methods": (
        "Write a class Pile.",
        [
            "class Pile:\n    def put(self, n: int): return n",
            "class Pile:\n    def add(self, n: int): return n",
        ],
        None,
    ),
    "classes that only take objects": (
        "Write a class Tree with add(node) and depth(node).",
        [
            "class Tree:\n    def add(self, node): return node.value\n    def depth(self, node): return node.left.depth",
            "class Tree:\n    def add(self, node): return node.value+1\n    def depth(self, node): return node.right.depth",
        ],
        None,
    ),
}
"""Task, answers, and the cluster that is chosen; None if the answers stay unverified."""


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_answers_are_equal_in_what_a_caller_can_see(sandbox, name):
    """Not in how they compute it, and what cannot be seen is no agreement."""
    text, codes, members = BEHAVIOURS[name]
    choice = choose_among(sandbox, text, codes)
    assert choice.kind == ("agreed" if members else "unverified"), choice.detail
    if members:
        assert members in [one["answers"] for one in choice.detail["clusters"]]
        assert choice.chosen.number == members[0]


def test_answers_that_contradict_the_task_are_unverified(sandbox):
    """All answers may share a mistake that the task's own example shows."""
    choice = choose_among(
        sandbox, "Write add(a, b). For instance add(2, 3) returns 5.",
        ["def add(a, b):\n    return a - b", "def add(x, y):\n    return x - y"],
    )  # fmt: skip
    assert (choice.kind, choice.detail["why"]) == ("unverified", "fail_examples")
