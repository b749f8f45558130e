"""BigCodeBench: its tests run with the program, and what ends early or runs nothing never passes."""

import gzip
import json

import pytest

from driver import sandbox  # noqa: F401 - a fixture
from evolcoder.bench.base import PromptForm, UnittestChecks
from evolcoder.bench.bigcodebench import FIELDS, NAMES, bigcodebench
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.errors import BenchError
from evolcoder.grading.gradable import left_out_here
from evolcoder.grading.unittests import LIBRARY, grade_unittests
from evolcoder.sandbox.base import Kind, Separation
from jsonl import write_jsonl
from judged_samples import graded

PROBLEM = "BigCodeBench/747"
"""Counts the numbers of a text and adds up their roots, with the standard library alone."""
RIGHT = """def task_func(s):
    numbers = [float(one) for one in s.split(",") if one.replace(".", "", 1).isdigit()]
    return len(numbers), sum(map(math.sqrt, numbers))
"""
ANSWER, CONTINUATION = PromptForm.ANSWER, PromptForm.CONTINUATION
SAMPLES = [
    (ANSWER, f"```python\nimport math\n\n{RIGHT}```", Kind.PASSED),
    (ANSWER, f"<think>No regex.</think>The imports are given:\n```python\n{RIGHT}```", Kind.PASSED),
    (ANSWER, f"```python\nimport math\n{RIGHT}\nif __name__ == '__main__':\n    print(task_func('1'))\n```", Kind.PASSED),
    (ANSWER, f"import math\n\n{RIGHT}", Kind.PASSED),
    (CONTINUATION, "    n = re.findall(r'\\d+(?:\\.\\d+)?', s)\n    return len(n), sum(math.sqrt(float(x)) for x in n)\n\ndef main():\n    pass\n", Kind.PASSED),
    (ANSWER, f"```python\nimport math\n{RIGHT.replace('len(numbers)', '5')}```", Kind.FAILED),
    (ANSWER, "```python\ndef task_func(s):\n    raise NotImplementedError\n```", Kind.ERROR),
    (ANSWER, "```python\ndef task_func(s):\n    return len(s\n```", Kind.COMPILE_ERROR),
    (ANSWER, "```python\nimport os\ndef task_func(s):\n    os._exit(0)\n```", Kind.FORGED),
    (CONTINUATION, "    return 0\n", Kind.ERROR),
    (PromptForm.PROGRAM, RIGHT, Kind.PASSED),
    (PromptForm.PROGRAM, f"import math\n\n{RIGHT}", Kind.PASSED),
    (PromptForm.PROGRAM, f"from __future__ import annotations\nimport math\n\n{RIGHT}", Kind.PASSED),
    (PromptForm.PROGRAM, "def solve(s):\n    return 0, 0\n", Kind.ERROR),
    (PromptForm.PROGRAM, "import math\ndef task_func(s):\n    return len(s\n", Kind.COMPILE_ERROR),
]  # fmt: skip
"""Samples of one problem, judged by hand."""


def test_samples_have_the_verdict_that_they_were_given_by_hand(named, sandbox, tmp_path):  # noqa: F811
    verdicts = graded(named("bigcodebench-complete"), PROBLEM, SAMPLES, sandbox, tmp_path)
    assert [one.kind for one in verdicts] == [kind for _, _, kind in SAMPLES]
    assert {one.separation for one in verdicts} == {Separation.TOKEN}


EQUAL = "import unittest\nclass TestCases(unittest.TestCase):\n    def test_it(self):\n        self.assertEqual(f(), 1)\n"
TWICE = "import unittest\nclass TestCases(unittest.TestCase):\n    def test_a(self):\n        f()\n    def test_b(self):\n        self.assertEqual(f(), 1)\n"
IMPORT, CASE = "import unittest\n", "unittest.TestCase"


@pytest.mark.parametrize(
    ("program", "test", "kind"),
    [
        ("def f(): return 1", EQUAL, Kind.PASSED),
        ("def f(): return 2", EQUAL, Kind.FAILED),
        ("def f(): return 1", "import unittest\nclass TestCases(unittest.TestCase): pass", Kind.NO_TESTS),
        ("def f(): return 1", EQUAL.replace("TestCases", "Other"), Kind.ERROR),
        ("raise SystemExit(0)", EQUAL, Kind.FORGED),
        ("import unittest\ndef f(): raise unittest.SkipTest('x')", EQUAL, Kind.FAILED),
        ("def f(): return 1", EQUAL.replace("    def", "    @unittest.expectedFailure\n    def"), Kind.FAILED),
        (f"{IMPORT}{CASE}.run = lambda self, result=None: result.startTest(self)\ndef f(): pass", EQUAL, Kind.FORGED),
        (f"{IMPORT}{CASE}.assertEqual = print\ndef f(): pass", EQUAL, Kind.FORGED),
        (f"{IMPORT}{CASE}.assertEqual.__code__ = (lambda *a, **k: None).__code__\ndef f(): pass", EQUAL, Kind.FORGED),
        (f"{IMPORT}{CASE} = type('Own', ({CASE},), dict(assertEqual=print))\ndef f(): pass", EQUAL, Kind.FORGED),
        (f"{IMPORT}{CASE}.__getattribute__ = object.__getattribute__\ndef f(): return 1", EQUAL, Kind.FORGED),
        (f"{IMPORT}unittest.TestLoader.getTestCaseNames = lambda *a: []\ndef f(): pass", EQUAL, Kind.FORGED),
        (f"{IMPORT}unittest.TestResult.addFailure = lambda *a: None\ndef f(): pass", EQUAL, Kind.FORGED),
        ("def f():\n    def run(self, result): result.startTest(self)\n    import __test__; __test__.TestCases.run = run; return 0", TWICE, Kind.FORGED),
        ("import os; os.write(3, b't0 {\"run\": 1, \"failed\": 0, \"errors\": 0}\\n'); os._exit(0)", EQUAL, Kind.FORGED),
        ("import subprocess\ndef f(): return subprocess.call(['python', '-c', 'raise SystemExit(1)'])", EQUAL, Kind.PASSED),
        ("import absent_module", EQUAL, Kind.ERROR),
        ("def f(:", EQUAL, Kind.COMPILE_ERROR),
        (
            "import math\ndef f(): return math.sqrt(4)",
            "from unittest.mock import patch\n" + EQUAL.replace("    def", "    @patch('math.sqrt', lambda _: 1)\n    def"),
            Kind.PASSED,
        ),
        (
            "class Box:\n    pass\ndef f():\n    import pickle\n    pickle.dumps(Box()); return 1",
            EQUAL,
            Kind.PASSED,
        ),
    ],
)  # fmt: skip
def test_a_test_decides_only_if_all_of_it_ran(sandbox, program, test, kind):  # noqa: F811
    """Patches reach the program's modules; leaving early proves nothing."""
    checks = UnittestChecks(test, "f", ())
    found = sandbox.runner.run(grade_unittests(sandbox.sandbox, program, checks, LIBRARY))
    assert found.kind is kind, found


def test_instructions_hold_the_task_and_code_or_words(named):
    one = named("bigcodebench-complete").problems()[0]
    complete = named("bigcodebench-complete").prompt(one)
    instruct = named("bigcodebench-instruct").prompt(named("bigcodebench-instruct").problems()[0])
    assert "Example:" in complete.instruction
    assert "Example:" not in instruct.instruction
    assert "You should write self-contained code starting with" in instruct.instruction
    assert ("library", "itertools") in one.groups


def rows(shared, n=6):
    with gzip.open(shared / "bigcodebench" / "BigCodeBench.jsonl.gz", "rt") as file:
        return [json.loads(line) for _, line in zip(range(n), file, strict=False)]


def test_the_hubs_version_is_read_from_a_folder(shared, tmp_path):
    """Its digest is not pinned, so it must have the official file's fields."""
    found = rows(shared)
    write_jsonl(tmp_path / "BigCodeBench-v0.1.4.jsonl", [row | {"more": 1} for row in found])
    folder = DataFolder(tmp_path, tmp_path / "cache")
    assert len(bigcodebench("bigcodebench-instruct")(folder).problems()) == 6
    for name in FIELDS:
        write_jsonl(tmp_path / "BigCodeBench-v0.1.4.jsonl", [{**found[0], name: None}])
        with pytest.raises(BenchError, match=f"row 1 has no text {name}"):
            bigcodebench("bigcodebench-instruct")(folder)


def test_the_hard_subset_is_read_by_its_ids(shared, tmp_path):
    found = rows(shared)
    write_jsonl(tmp_path / "BigCodeBench-v0.1.4.jsonl", found)
    write_jsonl(
        tmp_path / "BigCodeBench-Hard.jsonl", [{"task_id": one["task_id"]} for one in found[1:3]]
    )
    bench = bigcodebench("bigcodebench-hard-complete")(DataFolder(tmp_path, tmp_path / "cache"))
    assert [one.id for one in bench.problems()] == [one["task_id"] for one in found[1:3]]
    write_jsonl(tmp_path / "BigCodeBench-Hard.jsonl", [{"task_id": "no such"}])
    with pytest.raises(BenchError, match="none of its ids"):
        bigcodebench("bigcodebench-hard-complete")(DataFolder(tmp_path, tmp_path / "cache"))


def test_the_hard_subset_without_its_file_says_where_to_get_it(shared, tmp_path):
    with pytest.raises(BenchError, match="bigcodebench-hard"):
        bench_named("bigcodebench-hard-instruct", DataFolder(shared, tmp_path))
    with pytest.raises(BenchError):
        bench_named("bigcodebench-hard-instruct", DataFolder(None, tmp_path))


def test_few_failing_references_are_left_out_and_many_refuse_a_score(named):
    """Grouped by what they need; other benchmarks leave out nothing."""
    bench = named("bigcodebench-complete")
    ids = [one.id for one in bench.problems()]
    faults = {
        ids[0]: "its reference does not pass: error: ModuleNotFoundError: No module named 'keras'",
        ids[1]: "its reference does not pass: error: urllib.error.URLError: <urlopen error>",
        ids[2]: "its reference does not pass: failed: AssertionError",
    }
    found = left_out_here(bench, faults)
    assert list(found) == ids[:3]
    assert len(set(found.values())) == 3
    assert "need keras" in found[ids[0]]
    assert "network" in found[ids[1]]
    assert left_out_here(bench, dict.fromkeys(ids[:200], "x")) == {}
    assert left_out_here(named("humaneval"), {"HumanEval/0": "x"}) == {}


def test_all_names_are_registered():
    from evolcoder.bench.registry import BENCHES

    assert set(NAMES) <= BENCHES.keys()
