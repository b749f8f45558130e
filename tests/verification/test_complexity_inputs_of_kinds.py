"""Input generators of every kind of argument, and of every kind of fault, on small programs."""

import pytest

from verification.test_complexity_generator import measured

CASES = {
    "strings": (
        "O(n)",
        "def f(s):\n    t=0\n    for c in s: t+=1\n    return t",
        "import random\ndef make_input(n):\n    return (''.join(random.choice('ab') for _ in range(n)),)",
        "holds",
    ),
    "strings quadratic": (
        "O(n)",
        "def f(s):\n    t=0\n    for c in s:\n        for d in s: t+=1\n    return t",
        "import random\ndef make_input(n):\n    return ('a'*n,)",
        "ruled_out",
    ),
    "nested lists": (
        "O(n)",
        "def f(m):\n    t=0\n    for r in m:\n        for x in r: t+=x\n    return t",
        "import random\ndef make_input(n):\n    return ([[1]*n for _ in range(n)],)",
        "undecided",
    ),
    "nested lists n rows": (
        "O(n)",
        "def f(m):\n    t=0\n    for r in m:\n        for x in r: t+=x\n    return t",
        "import random\ndef make_input(n):\n    return ([[1,2] for _ in range(n)],)",
        "holds",
    ),
    "two sizes": (
        "O(n)",
        "def f(a,b):\n    t=0\n    for x in a:\n        for y in b: t+=1\n    return t",
        "import random\ndef make_input(n):\n    return ([1]*n,[2]*n)",
        "ruled_out",
    ),
    "two sizes n+m": (
        "O(n)",
        "def f(a,b):\n    t=0\n    for x in a: t+=1\n    for y in b: t+=1\n    return t",
        "import random\ndef make_input(n):\n    return ([1]*n,[2]*(2*n))",
        "holds",
    ),
    "n is a number": (
        "O(n)",
        "def f(k):\n    t=0\n    for i in range(k): t+=i\n    return t",
        "def make_input(n):\n    return (n,)",
        "holds",
    ),
    "loops": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    while True: pass",
        "not_measured",
    ),
    "crashes": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    raise ValueError",
        "not_measured",
    ),
    "ignores n": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    return ([1,2,3],)",
        "not_measured",
    ),
    "iterator": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    return (iter(range(n)),)",
        "holds",
    ),
    "generator function": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    yield list(range(n))",
        "holds",
    ),
    "range": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    return (range(n),)",
        "holds",
    ),
    "not a tuple": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    return [1]*n",
        "holds",
    ),
    "wrong number of arguments": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    return ([1]*n, 3)",
        "undecided",
    ),
    "wrong type": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=x\n    return t",
        "def make_input(n):\n    return (['a']*n,)",
        "not_measured",
    ),
    "exits": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "import os\ndef make_input(n):\n    os._exit(0)",
        "not_measured",
    ),
    "unseeded": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "import os\ndef make_input(n):\n    return (list(os.urandom(n)),)",
        "not_measured",
    ),
    "shrinks": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    return ([1]*max(1,5000-n),)",
        "not_measured",
    ),
    "too big": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    return ([1]*(n**4),)",
        "undecided",
    ),
    "graph": (
        "O(n)",
        "def f(g):\n    seen={0}\n    todo=[0]\n    while todo:\n        a=todo.pop()\n        for b in g[a]:\n            if b not in seen:\n                seen.add(b)\n                todo.append(b)\n    return len(seen)",
        "def make_input(n):\n    return ({i:[i+1] if i+1<n else [] for i in range(n)},)",
        "holds",
    ),
    "tree of tuples": (
        "O(n)",
        "def f(t):\n    n=0\n    todo=[t]\n    while todo:\n        x=todo.pop()\n        if x is None: continue\n        n+=1\n        todo.append(x[1])\n        todo.append(x[2])\n    return n",
        "def make_input(n):\n    def build(k):\n        if k<=0: return None\n        return (k, build((k-1)//2), build(k-1-(k-1)//2))\n    return (build(n),)",
        "holds",
    ),
    "class tree": (
        "O(n)",
        "class Node:\n    def __init__(self,v,l=None,r=None): self.v,self.l,self.r=v,l,r\ndef f(t):\n    n=0\n    todo=[t]\n    while todo:\n        x=todo.pop()\n        if x is None: continue\n        n+=1\n        todo+= [x.l,x.r]\n    return n",
        "def make_input(n):\n    def build(k):\n        if k<=0: return None\n        return Node(k, build((k-1)//2), build(k-1-(k-1)//2))\n    return (build(n),)",
        "holds",
    ),
    "class of its own": (
        "O(n)",
        "def f(t):\n    n=0\n    while t:\n        n+=1\n        t=t.next\n    return n",
        "class Node:\n    def __init__(self,v): self.v,self.next=v,None\ndef make_input(n):\n    head=None\n    for i in range(n):\n        a=Node(i); a.next=head; head=a\n    return (head,)",
        "holds",
    ),
    "constant": (
        "O(1)",
        "def f(q):\n    return q[0]",
        "def make_input(n):\n    return ([1]*n,)",
        "holds",
    ),
    "constant missed": (
        "O(1)",
        "def f(q):\n    t=0\n    for x in q: t+=x\n    return t",
        "def make_input(n):\n    return ([1]*n,)",
        "ruled_out",
    ),
    "n log n": (
        "O(n log n)",
        "def f(q):\n    if len(q)<2: return q\n    m=len(q)//2\n    a,b=f(q[:m]),f(q[m:])\n    r=[]\n    i=j=0\n    while i<len(a) and j<len(b):\n        if a[i]<b[j]:\n            r.append(a[i]); i+=1\n        else:\n            r.append(b[j]); j+=1\n    return r+a[i:]+b[j:]",
        "import random\ndef make_input(n):\n    return ([random.random() for _ in range(n)],)",
        "holds",
    ),
    "bubble n log n": (
        "O(n log n)",
        "def f(q):\n    q=q[:]\n    for i in range(len(q)):\n        for j in range(len(q)-1):\n            if q[j]>q[j+1]: q[j],q[j+1]=q[j+1],q[j]\n    return q",
        "import random\ndef make_input(n):\n    return ([random.random() for _ in range(n)],)",
        "ruled_out",
    ),
    "easy input": (
        "O(n)",
        "def f(q,x):\n    for a in q:\n        for b in q:\n            if a+b==x: return True\n    return False",
        "def make_input(n):\n    return ([1]*n,2)",
        "undecided",
    ),
    "prints": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    print('made')\n    return ([1]*n,)",
        "holds",
    ),
    "needs numpy": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "import no_such_lib as np\ndef make_input(n):\n    return (np.zeros(n),)",
        "not_measured",
    ),
    "prose only": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "```\nI cannot do that.\n```",
        "not_measured",
    ),
    "changes globals": (
        "O(n)",
        "def f(q):\n    t=0\n    for x in q: t+=1\n    return t",
        "def make_input(n):\n    global f\n    f = len\n    return ([1]*n,)",
        "holds",
    ),
    "redefines f": (
        "O(n)",
        "def f(q):\n    t=0\n    for a in q:\n        for b in q: t+=1\n    return t",
        "def f(q):\n    return 1\ndef make_input(n):\n    return ([1]*n,)",
        "ruled_out",
    ),
    "iterator, quadratic": (
        "O(n)",
        "def f(q):\n    q = list(q)\n    t=0\n    for x in q:\n        for y in q: t+=1\n    return t",
        "def make_input(n):\n    return (map(int, range(n)),)",
        "ruled_out",
    ),
}
"""Bound, answer, what the tester writes, and the finding."""


@pytest.mark.parametrize("name", CASES)
def test_inputs_of_every_kind_blame_no_right_program(sandbox, name):
    """What a generator returns is measured as far as it can be, and a bad one decides nothing."""
    bound, answer, generator, kind = CASES[name]
    verdict = measured(sandbox, bound, answer, generator)
    assert verdict.kind == kind, verdict.detail
