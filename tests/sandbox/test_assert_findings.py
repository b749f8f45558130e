"""A test process's finding is parsed as data of a known shape or rejected.

The test may come from a data set or a model, and its process may write anything to the channel.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.grading.asserts import NO_FINDING, AssertTest, grade_asserts
from evolcoder.sandbox.base import Kind
from evolcoder.sandbox.result import FINDING_BYTES, AssertFinding, read_finding

WHOLE = {"kind": "failed", "check": 2, "expected": "assert f()", "got": "1", "detail": "no"}


def written(**other):
    return json.dumps({**WHOLE, **other}).encode()


def test_a_whole_finding_is_read():
    """A finding as the runner writes it is parsed field by field."""
    assert read_finding(written()) == AssertFinding(Kind.FAILED, 2, "assert f()", "1", "no")
    assert read_finding(written(check=None, more="ignored")).check is None
    assert read_finding(written(check=-1)).check is None


@pytest.mark.parametrize(
    "answers",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 10_000,
        b'{"kind": "passed"}',
        b"9" * 5000,
        b'{"kind": "passed", "check": ' + b"9" * 4400 + b"}",
        written() + written(),
        written() + b"\n{}",
        written(kind="perfect"),
        written(kind=None),
        written(kind=["passed"]),
        written(kind={"passed": 1}),
        written(check="2"),
        written(check=-2),
        written(check=True),
        written(check=1e999),
        written(check=10**4000),
        written(detail=None),
        written(got=["x"]),
        written(expected=3),
        written(detail="x" * FINDING_BYTES),
    ],
    ids=lambda answers: repr(answers[:40]),
)
def test_anything_else_is_no_finding(answers):
    """Other JSON, kinds and types, too much data, and invalid JSON are rejected."""
    assert read_finding(answers) is None


@given(st.binary() | st.dictionaries(st.sampled_from([*WHOLE]), st.none() | st.integers() | st.text() | st.lists(st.text())).map(json.dumps).map(str.encode))  # fmt: skip
def test_any_bytes_give_a_finding_or_none(answers):
    """No bytes raise an exception."""
    found = read_finding(answers)
    assert found is None or isinstance(found.kind, Kind)


TEST = "import os\n{before}\nassert add(1, 2) == 3\n"


@pytest.mark.parametrize(
    "before",
    [
        "os.write(3, b'{')",
        "os.write(3, b'x' * (1 << 20))",
        'os.write(3, b\'{"kind": "perfect"}\'); os._exit(0)',
        "os.write(3, b'[' * 100000); os._exit(0)",
        "os._exit(0)",
    ],
)
def test_a_test_that_writes_for_itself_gives_an_error_and_no_pass(sandbox, before):
    """A test that corrupts its own channel never passes, even with a correct candidate."""
    source = "def add(a, b):\n    return a + b\n"
    test = AssertTest.of(("add",), TEST.format(before=before), check=None)
    verdict = sandbox.grade(grade_asserts, source, test)
    assert (verdict.kind, verdict.passed) == (Kind.ERROR, False)
    assert verdict.detail == NO_FINDING


@pytest.mark.parametrize(
    ("test", "kind", "word"),
    [
        ("value = f()\nassert value == 3, value\n", Kind.FAILED, "AssertionError"),
        ("value = f()\nassert value == 3\n", Kind.FAILED, "AssertionError"),
        ("value = [f()]\nraise KeyError(value[0])\n", Kind.ERROR, "KeyError"),
        ("raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})(f())\n", Kind.ERROR, "E: "),
    ],
)
def test_a_value_that_cannot_be_written_down_fails_its_assertion(sandbox, test, kind, word):
    """A value that cannot be printed does not turn a failed assertion into a runner error."""
    source = "def f():\n    return 10**5000\n"
    verdict = sandbox.grade(grade_asserts, source, AssertTest.of(("f",), test, check=None))
    assert verdict.kind is kind
    assert word in verdict.detail
    assert "16610 bits" in verdict.got


def test_memory_that_the_test_lacks_for_an_answer_is_the_candidates(sandbox):
    """An answer too large to decode is reported as a memory failure, not as forged."""
    source = "def f():\n    return [[] for _ in range(3_000_000)]\n"
    test = AssertTest.of(("f",), "x = f()\nassert len(x) == 1\n", check=None)
    verdict = sandbox.grade(grade_asserts, source, test)
    assert verdict.kind in {Kind.MEMORY, Kind.TIMEOUT}
