"""What `make test` leaves out of tests over many languages or attacks; `make test-all` runs all.

One attack on every promise stays in `make test`, in Python and in C++, and two languages next to
Python: Bash, which is everywhere, and C.

>>> @pytest.mark.parametrize("language", by_language(LANGUAGES))   # doctest: +SKIP
"""

import pytest

GROUPS = ("attacks", "cluster", "e2e", "gpu", "levels", "published", "toolchains", "train")
"""The marks of what is left out; pyproject.toml says why each is."""
FEW = frozenset({"bash", "sh", "c"})
"""Languages apart from Python whose tests are always run, by our name and by MultiPL-E's."""
FIRST = {
    # out of the sandbox, and more than one's share
    "processes are bounded": "fork bomb",
    "memory is bounded": "memory on the heap",
    "memory that is nobody's heap is bounded": "memory by a file in memory",
    "files are bounded": "one big file",
    "open files are bounded": "descriptors",
    "output is bounded": "output flood",
    "processor time is bounded": "a loop that ignores every signal",
    "nothing is left running": "daemon by double fork and setsid",
    "nothing is written elsewhere": "writing outside of the work folder",
    "nothing passes to the next program": "a file left in /tmp",
    "there is no network": "TCP to us",
    "there are no sockets of ours": "an abstract socket of ours",
    "the kernel's settings stay": "the kernel's settings",
    "nobody is traced": "tracing a process of its own",
    "there are no secrets in variables": "secrets in the environment",
    "there are no secrets in files": "a token in a file",
    "there is no root": "becoming root",
    "there are no namespaces to be had": "a new user namespace",
    "there is nobody to signal": "a signal to us",
    # a verdict that was not earned
    "an exit code is no verdict": "os._exit in the call",
    "comparing is ours": "an always-equal object",
    "what compares is ours": "patching all",
    "frames hold nothing": "reading or writing through sys._getframe",
    "files hold nothing": "expected values out of the test's file",
    "variables hold nothing": "expected values out of the environment",
    "arguments hold nothing": "expected values out of the arguments",
    "a printed word is no verdict": "printing the marker",
    "the channel is sealed": "writing to the channel",
    "nothing is unpickled": "a pickle that runs code in the grader",
    "a test is its own": "emptying the test",
    # a harness that runs between a snippet's lines
    "a harness compares apart": "always equal",
    "a harness's functions are its own": "patched abs",
    "a harness's modules are its own": "a false module in sys.modules",
    "a harness's frames are its own": "expected value in the frame below",
    "a harness ends by itself": "os._exit",
    "a harness is not outshouted": "prints the word",
    "a harness draws by itself": "copies the picture",
    # a test in another language
    "an exit code is no verdict in C++": "exit(0);",
    "the seal in C++ is not guessed": '{ FILE *f = fopen("/dev/fd/3", "w"); fputs("TOKEN 2\\n", f); fclose(f); exit(0); }',
}
"""Promise -> the attack on it that is always tried."""


def by_language(values, language=str):
    """Parameters of a test, of which those in other languages than two are of `toolchains`."""
    return [
        value
        if language(value) in FEW
        else pytest.param(*_each(value), marks=pytest.mark.toolchains)
        for value in values
    ]


def _each(value):
    return value if isinstance(value, tuple) else (value,)


def by_promise(attacks):
    """Parameters of a test, of which attacks that are not first on their promise are of `attacks`."""
    return [
        each if str(each) in FIRST.values() else pytest.param(each, marks=pytest.mark.attacks)
        for each in attacks
    ]


def first_quick(values, mark=pytest.mark.attacks):
    """Parameters of a test, of which all but the first are of a group, by default `attacks`."""
    return [
        pytest.param(*_each(each), marks=mark if place else ()) for place, each in enumerate(values)
    ]


def sampled(values, step):
    """Parameters of a test, of which all but every `step`th are of `e2e`."""
    return [
        each if place % step == 0 else _marked(each, pytest.mark.e2e)
        for place, each in enumerate(values)
    ]


def _marked(value, mark):
    if isinstance(value, type(pytest.param())):
        return pytest.param(*value.values, id=value.id, marks=(*value.marks, mark))
    return pytest.param(*_each(value), marks=mark)


def grouped(values, mark):
    """Parameters of a test that are all of a group."""
    return [pytest.param(*_each(each), marks=mark) for each in values]


def repeats_below_strict(item):
    """Whether a test repeats one that also runs at the level `strict`, with a control group."""
    given = getattr(item, "callspec", None)
    return given is not None and any(map(_is_below_strict, given.params.values()))


def _is_below_strict(value):
    return isinstance(value, str) and value in {"processes", "processes-group", "processes-none"}


def in_cpp(rows):
    """Likewise for attacks on a test in another language: those in C++ alone may be always tried."""
    return [pytest.param(row, marks=() if _is_first(row) else pytest.mark.attacks) for row in rows]


def _is_first(row):
    return row.language == "cpp" and row.statement in FIRST.values()
