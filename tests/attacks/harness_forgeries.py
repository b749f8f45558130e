"""Reads the rows of harness_forgeries.txt, and the toy harnesses and naive graders they name."""

import re
from dataclasses import dataclass
from pathlib import Path

from evolcoder.bench.base import HarnessChecks

HARNESS = '''
import copy, io, math, random, tokenize, types
IMPORTS
Image = types.ModuleType("PIL.Image")
Image.open = lambda file, formats=None: (open(file, "rb") if isinstance(file, str) else file).read()
def generate_test_case(test_case_id):
    def define_test_input(test_case_id):
        return INPUT
    def generate_ans(data):
        return EXPECTED
    test_input = define_test_input(test_case_id)
    expected_result = generate_ans(copy.deepcopy(test_input))
    return test_input, expected_result
def exec_test(result, ans):
    COMPARE
    return 1
exec_context = r"""
data = test_input
[insert]
"""
def test_execution(solution: str):
    code = exec_context.replace("[insert]", solution)
    for i in range(2):
        test_input, expected_result = generate_test_case(i + 1)
        test_env = {"test_input": test_input}
        exec(code, test_env)
        assert exec_test(test_env["result"], expected_result)
def test_string(solution: str):
    tokens = tokenize.tokenize(io.BytesIO(solution.encode("utf-8")).readline)
    assert "for" not in [token.string for token in tokens]
'''
SUM = "7 * sum(data)"
RIGHT = f"result = {SUM}"
COMPARISONS = {
    "sum": "assert result == ans",
    "text": "assert result == ans",
    "zero": "assert result == ans",
    "guess": "assert result == ans",
    "close": "assert abs(result - ans) <= 1e-5",
    "members": "assert len(result) == 3 and all(item in result for item in ans)",
    "isclose": "assert math.isclose(result, ans)",
    "lazy": "from fractions import Fraction; assert Fraction(result) == Fraction(ans)",
    "picture": "assert Image.open('output.png') == Image.open('ans.png')",
    "array": "assert numpy.array_equal(result, ans)",
    "testing": "numpy.testing.assert_array_equal(result, ans)",
    "frame": "pandas.testing.assert_frame_equal(result, ans)",
    "frame_equals": "assert result.equals(ans)",
}
EXPECTED = {
    "members": "[7 * item for item in data]",
    "guess": "(random.seed(test_case_id), random.randrange(1 << 30))[1] * data[0]",
    "picture": "open('ans.png', 'wb').write(b'seven')",
    "array": "7 * numpy.array(data)",
    "testing": "7 * numpy.array(data)",
    "frame": "pandas.DataFrame({'x': data})",
    "frame_equals": "pandas.DataFrame({'x': data})",
}
INPUTS = {
    "zero": "[0] * 3 if test_case_id == 1 else [1, 2, 3]",
    "guess": "[test_case_id - 1, 2, 3]",
}
ANSWERS = {
    "members": "result = [7 * item for item in data]",
    "guess": "import random; random.seed(data[0] + 1); result = random.randrange(1 << 30) * data[0]",
    "picture": "open('output.png', 'wb').write(b'seven'); result = None",
    "array": "import numpy; result = 7 * numpy.array(data)",
    "testing": "import numpy; result = 7 * numpy.array(data)",
    "frame": "import pandas; result = pandas.DataFrame({'x': data})",
    "frame_equals": "import pandas; result = pandas.DataFrame({'x': data})",
}
LIBRARIES = {"array": "numpy", "testing": "numpy", "frame": "pandas", "frame_equals": "pandas"}
NAIVE = """
import subprocess
tests = "".join(f"\\n{{name}}(SOLUTION)" for name in CALLS)
code = f"SOLUTION = {{SOLUTION!r}}\\n" + HARNESS + tests + "\\nprint('ALL TESTS PASSED')\\n"
def inside():
    try:
        exec(code, {{}})
        return True
    except BaseException as error:
        print(error)
        return False
def apart():
    open("tests.py", "w").write(code)
    return subprocess.run([PYTHON, "-S", "tests.py"], capture_output=True)
good = {good}
print("PASSED" if good else "FAILED")
"""
GRADERS = {
    "inside": "inside()",
    "exit": "apart().returncode == 0",
    "marker": "b'ALL TESTS PASSED' in apart().stdout",
}


@dataclass(frozen=True)
class HarnessForgery:
    name: str
    grader: str
    harness: str
    source: str

    def __str__(self):
        return self.name

    @property
    def checks(self):
        return checks_of(self.harness)

    @property
    def library(self):
        return LIBRARIES.get(self.harness)

    def naively(self, python, source=None):
        """The program in which the naive grader judges the forgery, or another source."""
        words = {"SOLUTION": source or self.source, "HARNESS": self.checks.harness}
        words |= {"CALLS": self.checks.calls, "PYTHON": python}
        head = "".join(f"{name} = {value!r}\n" for name, value in words.items())
        return head + NAIVE.format(good=GRADERS[self.grader])


def checks_of(harness):
    library = LIBRARIES.get(harness)
    text = HARNESS.replace("COMPARE", COMPARISONS[harness])
    text = text.replace("IMPORTS", f"import {library}, {library}.testing" if library else "")
    text = text.replace("EXPECTED", EXPECTED.get(harness, SUM))
    text = text.replace("INPUT", INPUTS.get(harness, "[test_case_id, 2, 3]"))
    calls = ("test_execution", "test_string") if harness == "text" else ("test_execution",)
    return HarnessChecks(text, calls, library or "")


def rows():
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    for row in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        head, _, source = row.partition("\n")
        name, grader, harness = re.fullmatch(r"(.*) \[(\w+) (\w+)\]", head).groups()
        yield HarnessForgery(name, grader, harness, source)
