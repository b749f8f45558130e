"""Section A of the checklist: candidates that answer wrongly and want to be told they are right.

Asked for is `add(a, b)`. Every row deceives the naive grader that it names.
"""

from dataclasses import dataclass, field

from attacks import naive

TEST = """
import math, random, string, unittest
for a, b, c in ((1, 2, 3), (2, 2, 4)):
    assert add(a, b) == c
print("ALL TESTS PASSED")
"""
WRONG = "def add(a, b):\n    return None\n"


@dataclass(frozen=True)
class Forgery:
    name: str
    source: str
    grader: str = naive.FILES
    test: str = TEST
    with_grader: dict = field(default_factory=dict)

    def __str__(self):
        return self.name


def _exits():
    for name, statement in {
        "sys.exit": "import sys; sys.exit(0)",
        "os._exit": "import os; os._exit(0)",
        "posix._exit": "import posix; posix._exit(0)",
        "raise SystemExit": "raise SystemExit(0)",
        "raise SystemExit of nothing": "raise SystemExit",
        "exec of true": "import os; os.execv('/bin/true', ['true'])",
        "C's _exit": "import ctypes; ctypes.CDLL(None)._exit(0)",
        "exit in a thread": (
            "import os, threading; t = threading.Thread(target=os._exit, args=(0,));"
            " t.start(); t.join()"
        ),
        "exit in a signal handler": (
            "import os, signal; signal.signal(signal.SIGUSR1, lambda *_: os._exit(0));"
            " os.kill(os.getpid(), signal.SIGUSR1)"
        ),
        "exit by a raw system call": "import ctypes; ctypes.CDLL(None).syscall(231, 0)",
    }.items():
        yield Forgery(f"{name} on import", WRONG + statement)
        yield Forgery(f"{name} in the call", f"def add(a, b):\n    {statement}")
    yield Forgery("exit at exit", WRONG + "import atexit, os\natexit.register(os._exit, 0)")
    yield Forgery("exit in the hook for errors", WRONG + (
        "import os, sys\nsys.excepthook = lambda *_: os._exit(0)"
    ))  # fmt: skip
    yield Forgery("exit in a destructor", WRONG + (
        "import os\nclass Last:\n    def __del__(self, end=os._exit):\n        end(0)\nlast = Last()"
    ))  # fmt: skip


def _liars():
    yes = "    def __eq__(self, other): return True\n    __hash__ = None\n"
    for kind, value in {
        "object": "", "int": "7", "str": "'x'", "float": "1.5", "list": "[7]", "tuple": "(7,)",
        "dict": "{}", "set": "{7}", "bytes": "b''", "complex": "1j", "frozenset": "()",
    }.items():  # fmt: skip
        source = f"class Yes({kind}):\n{yes}def add(a, b):\n    return Yes({value})"
        yield Forgery(f"an always-equal {kind}", source, naive.INSIDE)
    yield Forgery(
        "an object that equals anything by its class",
        "class Meta(type):\n    def __eq__(self, other): return True\n    __hash__ = None\n"
        "class Yes(metaclass=Meta): pass\ndef add(a, b):\n    return Yes",
        naive.INSIDE,
    )
    yield Forgery(
        "mock.ANY", "from unittest.mock import ANY\ndef add(a, b):\n    return ANY", naive.INSIDE
    )
    for name, body, test in (
        ("a float that is near to everything", "class Near(float):\n    __sub__ = __rsub__ = "
         "lambda self, other: 0.0\ndef add(a, b): return Near(9)",
         "for c in (3, 4):\n    assert abs(add(1, c - 1) - c) < 1e-6"),
        ("an answer that is true", "class T(int):\n    def __bool__(self): return True\n"
         "    def __gt__(self, other): return True\ndef add(a, b): return T(0)",
         "for c in (3, 4):\n    assert add(1, c - 1) > c - 1"),
        ("a list that lies of its length", "class L(list):\n    def __len__(self): return 2\n"
         "def add(a, b): return L()", "for n in (2, 2):\n    assert len(add(1, n)) == n"),
        ("a list that iterates over something else", "class L(list):\n    def __iter__(self): "
         "return iter([3])\ndef add(a, b): return L([9])",
         "for c in (3, 3):\n    assert [x for x in add(1, 2)] == [c]"),
        ("a str that hashes and equals as another", "class S(str):\n    def __eq__(self, o): "
         "return True\n    def __hash__(self): return hash('right')\ndef add(a, b): "
         "return S('wrong')", "for a in (1, 2):\n    assert {add(a, 2)} == {'right'}"),
        ("a type that says it is another", "class I:\n    __class__ = int\n"
         "    def __eq__(self, o): return True\ndef add(a, b): return I()",
         "for c in (3, 4):\n    x = add(1, c - 1)\n    assert isinstance(x, int) and x == c"),
        ("an answer that contains everything", "class C:\n    def __contains__(self, x): return 1\n"
         "def add(a, b): return C()", "for c in (3, 4):\n    assert c in add(1, 2)"),
        ("a reflected comparison", "class R:\n    def __eq__(self, o): return True\n"
         "    __le__ = __ge__ = __lt__ = __gt__ = __eq__\ndef add(a, b): return R()",
         "for c in (3, 4):\n    assert c == add(1, 2) and c <= add(1, 2) <= c"),
        ("an object that is merely true", "def add(a, b): return object()",
         "for c in (3, 4):\n    assert add(1, c - 1)"),
    ):  # fmt: skip
        yield Forgery(name, body, test=test)


def _patches():
    loop = "for a, b, c in ((1, 2, 3), (2, 2, 4)):\n    "
    for name, patch, test in (
        ("all", "import builtins; builtins.all = lambda *_: True",
         "assert all(add(a, 2) == a + 2 for a in (1, 2))"),
        ("any", "import builtins; builtins.any = lambda *_: True",
         "assert any(add(a, 2) == a + 2 for a in (1, 2))"),
        ("abs", "import builtins; builtins.abs = lambda *_: 0\ndef add(a, b): return 99",
         loop + "assert abs(add(a, b) - c) < 1e-6"),
        ("isinstance", "import builtins; builtins.isinstance = lambda *_: True",
         loop + "assert isinstance(add(a, b), int)"),
        ("len", "import builtins; builtins.len = lambda *_: 3\ndef add(a, b): return []",
         "for n in (3, 3):\n    assert len(add(1, 2)) == n"),
        ("sorted", "import builtins; builtins.sorted = lambda *_: 0",
         loop + "assert sorted([add(a, b)]) == sorted([c])"),
        ("math.isclose", "import math; math.isclose = lambda *_, **__: True\n"
         "def add(a, b): return 99", "import math\n" + loop + "assert math.isclose(add(a, b), c)"),
        ("unittest", "import unittest; unittest.TestCase.assertEqual = lambda *_: None",
         "import unittest\n" + loop + "unittest.TestCase().assertEqual(add(a, b), c)"),
        ("numpy.allclose in sys.modules", "import sys, types; sys.modules['numpy'] = m = "
         "types.ModuleType('numpy'); m.allclose = lambda *_: True",
         "import numpy\n" + loop + "assert numpy.allclose(add(a, b), c)"),
        ("an import hook", "import builtins, types; old = builtins.__import__\n"
         "def hook(name, *rest):\n    m = old(name, *rest)\n    if name == 'cmath': "
         "m = types.SimpleNamespace(isclose=lambda *_: True)\n    return m\n"
         "builtins.__import__ = hook\ndef add(a, b): return 99",
         "import cmath\n" + loop + "assert cmath.isclose(add(a, b), c)"),
        ("a finder on the meta path", "import sys, types\nclass F:\n    @staticmethod\n"
         "    def find_spec(name, *_):\n        import importlib.util\n"
         "        if name == 'checker': return importlib.util.spec_from_loader(name, F)\n"
         "    create_module = staticmethod(lambda spec: None)\n    @staticmethod\n"
         "    def exec_module(m): m.same = lambda *_: True\nsys.meta_path.insert(0, F)",
         "try:\n    from checker import same\nexcept ImportError:\n    same = lambda a, b: a == b\n"
         + loop + "assert same(add(a, b), c)"),
        ("the test's own table", "def add(a, b):\n    import __main__\n"
         "    __main__.TABLE[:] = [None, None]",
         "TABLE = [3, 4]\nfor n in (0, 1):\n    assert add(1, n + 2) == TABLE[n]"),
        ("the test's own function", "def add(a, b):\n    import __main__\n"
         "    __main__.same = lambda *_: True",
         "def same(a, b):\n    return a == b\ndef run():\n    for c in (3, 4):\n"
         "        x = add(1, c - 1)\n        assert same(x, c)\nrun()"),
        ("its arguments", "def add(a, b):\n    a.clear()\n    return 0",
         "given = [1, 2]\nassert add(given, 0) == sum(given)"),
    ):  # fmt: skip
        source = patch if "def add" in patch else f"{patch}\n{WRONG}"
        yield Forgery(f"patching {name}", source, test=test)


def _spies():
    walk = "import sys\ndef frames():\n    f = sys._getframe()\n    while f:\n        yield f\n        f = f.f_back\n"
    forge = "\ndef add(a, b):\n    forge()\n"
    for name, source in (
        ("sys._getframe", walk + "def forge():\n    for f in frames():\n        "
         "if 'results' in f.f_globals: f.f_globals['results'].insert(0, 'passed')" + forge),
        ("inspect.stack", "import inspect\ndef forge():\n    for f in inspect.stack():\n        "
         "if 'results' in f[0].f_globals: f[0].f_globals['results'].insert(0, 'passed')" + forge),
        ("a traceback's frames", "def forge():\n    try: 1/0\n    except Exception as e:\n"
         "        f = e.__traceback__.tb_frame\n        while f:\n"
         "            if 'results' in f.f_globals: f.f_globals['results'].insert(0, 'passed')\n"
         "            f = f.f_back" + forge),
        ("gc.get_objects", "import gc\ndef forge():\n    for o in gc.get_objects():\n        "
         "if type(o) is dict and type(o.get('results')) is list: o['results'].insert(0, 'passed')"
         + forge),
        ("the main module", "import __main__\ndef forge():\n    "
         "__main__.results.insert(0, 'passed')" + forge),
        ("expected values in a frame", walk + "def add(a, b):\n    for f in frames():\n"
         "        if 'expected' in f.f_locals: return f.f_locals['expected'][a - 1]"),
        ("sys.settrace", "import sys\nanswers = []\ndef tracer(f, *_):\n    while f:\n"
         "        answers.extend(f.f_locals.get('expected', ()))\n        f = f.f_back\n"
         "def inner(): pass\ndef add(a, b):\n    sys.settrace(tracer); inner(); sys.settrace(None)\n"
         "    return answers[a - 1]"),
        ("sys.setprofile", "import sys\nanswers = []\ndef tracer(f, *_):\n    while f:\n"
         "        answers.extend(f.f_locals.get('expected', ()))\n        f = f.f_back\n"
         "def inner(): pass\ndef add(a, b):\n    sys.setprofile(tracer); inner()\n"
         "    sys.setprofile(None)\n    return answers[a - 1]"),
        ("ctypes on a list it should not reach", "import ctypes, gc\ndef forge():\n"
         "    for o in gc.get_objects():\n        if type(o) is dict and 'results' in o:\n"
         "            ctypes.pythonapi.PyList_Append(ctypes.py_object(o['results']), "
         "ctypes.py_object('passed')); return" + forge),
    ):  # fmt: skip
        yield Forgery(f"reading or writing through {name}", source, naive.INSIDE)
    read = "\nimport re\ndef add(a, b):\n    found = re.findall(r'\\(\\d, \\d, (\\d)\\)', text)\n    return int(found[a - 1])"
    for name, get in {
        "the test's file": "text = open('test.py').read()",
        "the test's file through /proc": (
            "import os\ntext = open('/proc/self/cwd/test.py').read()"
        ),
        "the linecache": "import linecache\ntext = ''.join(linecache.getlines('test.py'))",
        "the frame's source": (
            "import inspect, sys\nf = sys._getframe()\n"
            "while f.f_back: f = f.f_back\ntext = inspect.getsource(f)"
        ),
        "the memory of the parent": (
            "import os\ntext = ''\n"
            "for line in open(f'/proc/{os.getppid()}/maps'):\n"
            "    if '[heap]' not in line and ' rw-p ' not in line: continue\n"
            "    low, high = (int(x, 16) for x in line.split()[0].split('-'))\n"
            "    with open(f'/proc/{os.getppid()}/mem', 'rb') as m:\n"
            "        m.seek(low)\n"
            "        part = m.read(min(high - low, 1 << 24)).decode('latin-1')\n"
            "    at = part.find('((1, 2, 3), (2, 2, 4))')\n"
            "    text = text or (part[at:at + 40] if at >= 0 else '')"
        ),
    }.items():
        yield Forgery(f"expected values out of {name}", get + read)
    for name, get in {
        "the environment": "import os; text = os.environ['EXPECTED']",
        "/proc/self/environ": "text = open('/proc/self/environ').read()",
        "the parent's environment": "import os; text = open('/proc/self/environ').read()",
    }.items():
        yield Forgery(f"expected values out of {name}", get + read,
                      with_grader={"env": {"EXPECTED": "(1, 2, 3), (2, 2, 4)"}})  # fmt: skip
    for name, get in {
        "the arguments": "import sys; text = sys.argv[1]",
        "/proc/self/cmdline": "text = open('/proc/self/cmdline').read()",
    }.items():
        yield Forgery(f"expected values out of {name}", get + read,
                      with_grader={"argv": ["(1, 2, 3), (2, 2, 4)"]})  # fmt: skip


def _channels():
    marker = {"with_grader": {"good": naive.MARKER}}
    for name, source in {
        "printing the marker": WRONG + "print('ALL TESTS PASSED')",
        "printing the marker and leaving": "import os\nos.write(1, b'ALL TESTS PASSED\\n')\nos._exit(0)",
        "printing the marker and hanging": (
            "print('ALL TESTS PASSED', flush=True)\nwhile True: pass"
        ),
        "printing the marker at exit": WRONG
        + "import atexit\natexit.register(print, 'ALL TESTS PASSED')",
        "printing the marker as the error": WRONG
        + ("import sys\nsys.excepthook = lambda *_: print('ALL TESTS PASSED')"),
    }.items():
        yield Forgery(name, source, **marker)
    for name, source in {
        "writing to the channel": "import os; os.write(3, b'passed')",
        "writing through /proc": "open('/proc/self/fd/3', 'w').write('passed')",
        "writing to every descriptor": (
            "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'passed')\n"
            "    except OSError: pass"
        ),
        "duplicating the channel and closing the first": (
            "import os; fd = os.dup(3); os.close(3); os.write(fd, b'passed')"
        ),
        "writing to the channel from a child": (
            "import os\nif os.fork() == 0:\n    os.write(3, b'passed'); os._exit(0)\nos.wait()"
        ),
    }.items():
        yield Forgery(name, f"{WRONG}{source}", naive.CHANNEL)
    yield Forgery(
        "a pickle that runs code in the grader",
        "class P:\n    def __reduce__(self):\n        return exec, ("
        "\"import os; os.write(1, b'PASSED'); os._exit(0)\",)\ndef add(a, b): return P()",
        naive.PICKLE,
    )
    yield Forgery(
        "a pickle that becomes an always-equal object",
        "class P:\n    def __reduce__(self):\n        return eval, ("
        "\"__import__('unittest.mock').mock.ANY\",)\ndef add(a, b): return P()",
        naive.PICKLE,
    )


def _files():
    twice = {"with_grader": {"twice": True}}
    shadow = "import os\nif not os.path.exists({0!r}): open({0!r}, 'w').write({1!r})\n"
    quit_ = "import os; os._exit(0)"
    for name in ("random", "string", "unittest"):
        yield Forgery(f"a {name} module in the working folder",
                      WRONG + shadow.format(f"{name}.py", quit_), **twice)  # fmt: skip
    yield Forgery("a sitecustomize in the working folder",
                  WRONG + shadow.format("sitecustomize.py", quit_), **twice)  # fmt: skip
    yield Forgery("a usercustomize in the working folder",
                  WRONG + shadow.format("usercustomize.py", quit_), **twice)  # fmt: skip
    yield Forgery(
        "a .pth file in the user's site",
        WRONG + "import os, site\nd = site.getusersitepackages()\n"
        "os.makedirs(d, exist_ok=True)\nopen(d + '/a.pth', 'w').write('import os; os._exit(0)')",
        **twice,
    )
    yield Forgery("emptying the test", WRONG + (
        "import os\nif __name__ == '__main__': open('test.py', 'w').close()"
    ), **twice)  # fmt: skip
    yield Forgery("replacing the test by a link", WRONG + (
        "import os\nif __name__ == '__main__':\n    os.remove('test.py')\n"
        "    open('x.py', 'w').close()\n    os.symlink('x.py', 'test.py')"
    ), **twice)  # fmt: skip


FORGERIES = [
    *_exits(), *_liars(), *_patches(), *_spies(), *_channels(), *_files()
]  # fmt: skip
