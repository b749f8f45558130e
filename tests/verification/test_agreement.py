"""Among several answers the one that behaves like most others is chosen, and nothing is invented.

The real sandbox runs them.
"""

import asyncio
import random

import pytest

import toys
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import SandboxError
from evolcoder.records import ResponseCandidate, Task, Usage
from evolcoder.verification.agreement import clusters, inputs, observer
from evolcoder.verification.agreement.choose import (
    MAX_CONSECUTIVE_SANDBOX_FAILURES,
    AnswerChooser,
)
from evolcoder.verification.agreement.clusters import (
    Observation,
    ObservedAnswer,
    ObservedAnswers,
    choose,
    is_same,
    same_text,
    same_value,
)
from evolcoder.verification.agreement.inputs import InputOrigin, Probe, examples_in

CONFIG = toys.config(respond={"candidates": 8})


def answers(task, codes, language="python"):
    return [
        ResponseCandidate(
            task.id, 0, 0, number, f"So:\n```{language}\n{code}\n```", "", "", "", 1.0, number,
            Usage("toy", 1, 1, 1),
        )
        for number, code in enumerate(codes)
    ]  # fmt: skip


def choose_among(sandbox, instruction, codes, *, tests=None, config=CONFIG, language="python"):
    task = Task.seed(instruction, ordinal=0, language=language)
    writer = None
    if tests is not None:
        said = ScriptedEngine(lambda _: f"```python\n{tests}\n```")
        writer = Role(said, "toy", Sampling(0.2, 1.0, 600))
    chooser = AnswerChooser(sandbox.sandbox, config, ("python", language), writer)
    return sandbox.runner.run(chooser(task, answers(task, codes, language)))


def function(name, *bodies):
    return [f"def {name}(nums):\n    {body}" for body in bodies]


LOOPS = "while nums is not None: pass\n    return 1"
FLOODS = "while True: print('x' * 9999)\n    return 1"
WRITES = "import os\n    os.write(1, b'y' * 10 ** 7)\n    return 1"
DIES = "import os\n    os._exit(0)\n    return 1"
EATS = "return 'z' * (1 << 40)"
STACK = "class Stack:\n    def __init__(self): self.{0} = []\n    def push(self, x): self.{0}.append(x)\n    def pop(self): return self.{0}.pop({1})"
USE = "\n\nstack = Stack()\nstack.push(1)\nstack.push(2)\nprint('popped', stack.pop())"
CASES = {
    "all equal": ("best", function("best", "return max(nums)", "return max(nums)"), [0, 1]),
    "equal in behaviour": (
        "best",
        function("best", "return max(nums)", "return sorted(nums)[-1]", "return min(nums)"),
        [0, 1],
    ),
    "all different": (
        "best",
        function("best", "return max(nums)", "return min(nums)", "return sum(nums)"),
        None,
    ),
    "two clusters of equal size": (
        "best",
        function("best", "return min(nums)", "return max(nums)", "return sorted(nums)[-1]",
                 "return sorted(nums)[0]"),
        [0, 3],
    ),
    "one loops for ever": (
        "best",
        function("best", LOOPS, "return sum(nums)", "return sum(sorted(nums))"),
        [1, 2],
    ),
    "one floods": (
        "best", function("best", FLOODS, "return sum(nums)", "return sum(sorted(nums))"), [1, 2],
    ),
    "one writes past standard output": (
        "best", function("best", WRITES, "return sum(nums)", "return sum(sorted(nums))"), [1, 2],
    ),
    "one dies": (
        "best", function("best", DIES, "return sum(nums)", "return sum(sorted(nums))"), [1, 2],
    ),
    "one takes all memory": (
        "best", function("best", EATS, "return sum(nums)", "return sum(sorted(nums))"), [1, 2],
    ),
    "two loop for ever": ("best", function("best", LOOPS, LOOPS), None),
    "one changes its input": (
        "order",
        function("order", "nums.sort()\n    return nums", "return sorted(nums)",
                 "return [*sorted(nums)]"),
        [1, 2],
    ),
    "in place": (
        "order",
        function("order", "nums.sort()", "nums[:] = sorted(nums)", "nums.reverse()"),
        [0, 1],
    ),
    "nondeterministic": (
        "roll",
        function("roll", *["import random\n    return random.random()"] * 3),
        None,
    ),
    "nondeterministic beside sound": (
        "roll",
        function("roll", "import random\n    return random.random()", "return len(nums)",
                 "return sum(1 for _ in nums)"),
        [1, 2],
    ),
    "state left behind": (
        "count",
        ["seen = []\ndef count(nums):\n    seen.append(nums)\n    return len(seen)"] * 2,
        [0, 1],
    ),
    "float noise": (
        "mean",
        function("mean", "return sum(nums) / len(nums)", "return sum(n / len(nums) for n in nums)",
                 "return 0.5 + sum(nums) / len(nums)"),
        [0, 1],
    ),
    "sets": (
        "distinct",
        function("distinct", "return set(nums)", "return {n for n in reversed(nums)}",
                 "return list(nums)"),
        [0, 1],
    ),
    "generators": (
        "evens",
        function("evens", "yield from (n for n in nums if n % 2 == 0)",
                 "return (n for n in nums if not n % 2)", "return [n for n in nums if n % 2]"),
        [0, 1],
    ),
    "exceptions by type": (
        "first",
        function("first", "if not nums: raise ValueError('none')\n    return nums[0]",
                 "return nums[0] if nums else None", "if not nums: raise KeyError\n    return nums[0]",
                 "if len(nums) == 0:\n        raise ValueError\n    return nums[0]"),
        [0, 3],
    ),
    "an error that befalls only one": (
        "total",
        function("total", "return 1 / sum(nums[:1])", "return 1 / nums[0] if nums and nums[0] else 0",
                 "return 1 / nums[0] if nums and nums[0] else 0"),
        [1, 2],
    ),
    "classes": (
        "Stack",
        [STACK.format("items", -1) + USE, STACK.format("_all", -1), STACK.format("a", 0)],
        [0, 1],
    ),
    "programs that read": (
        "",
        ["a = int(input())\nb = int(input())\nprint(max(a, b))",
         "import sys\nx, y = int(sys.stdin.readline()), int(input())\nprint(y if y > x else x)",
         "print(int(input()) + int(input()))"],
        [0, 1],
    ),
    "programs that print": (
        "", ["print(1)\nprint(4)", "for n in (1, 2): print(n * n)", "print(5)"], [0, 1],
    ),
    "programs that print nothing": ("", ["x = 1", "y = 2"], None),
    "no function": ("", ["not a program at all (", "neither ) is this"], None),
    "a library that is not there": (
        "best", ["import torchvision_x\ndef best(nums):\n    return torchvision_x.f(nums)"] * 2, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_largest_cluster_is_chosen(sandbox, name):
    """The earliest answer of the largest group of equal behaviour, or no verdict."""
    called, codes, agreeing = CASES[name]
    choice = choose_among(sandbox, f"Write a Python function {called}." if called else "Do.", codes)
    if agreeing is None:
        assert (choice.kind, choice.chosen.number, choice.score) == ("unverified", 0, None)
        assert choice.detail["why"] in {"differ", "no_inputs", "no_callable", "library"}
    else:
        cluster = choice.answers[agreeing[0]].cluster
        assert choice.kind == "agreed"
        assert choice.chosen.number == agreeing[0]
        assert [one.number for one in choice.answers if one.cluster == cluster] == agreeing
    assert [one.is_chosen for one in choice.answers].count(True) == 1


WRONG = "return [1, 0]"
PAIRS = (
    "return next([i, j] for i in range(len(nums)) for j in range(i) if nums[i] == nums[j])[::-1]"
)
SECOND = "return next([j, i] for i in range(len(nums)) for j in range(i) if nums[i] == nums[j])"


def test_tests_outweigh_a_majority_that_fails_them(sandbox):
    """Three answers that pass no test lose against two that do."""
    bodies = function("twins", WRONG, WRONG, WRONG, PAIRS, SECOND)
    tests = "assert twins([5, 5]) == [0, 1]\nassert twins([1, 2, 1]) == [0, 2]"
    choice = choose_among(sandbox, "Write a Python function twins.", bodies, tests=tests)
    assert (choice.kind, choice.chosen.number) == ("agreed", 3)
    assert (choice.detail["tests"], choice.detail["tests_passed"]) == (2, 2)
    assert choice.detail["worse"][0]["answer"] == 0
    assert choice.detail["fault"]["failing"] == "assert twins([5, 5]) == [0, 1]"


def test_the_tasks_own_examples_are_tests(sandbox):
    """A task that says what a call returns needs no tester."""
    bodies = function("twins", WRONG, WRONG, WRONG, PAIRS, SECOND)
    choice = choose_among(sandbox, "Write twins, e.g. `twins([7, 7])` returns `[0, 1]`.", bodies)
    assert (choice.kind, choice.chosen.number) == ("agreed", 3)


def test_a_wrong_test_that_one_answer_passes_is_not_sound(sandbox):
    """It decides nothing."""
    bodies = function("best", "return min(nums)", "return max(nums)", "return sorted(nums)[-1]")
    tests = "assert best([1, 2]) == 1\nassert best([4, 3]) == 4"
    choice = choose_among(sandbox, "Write a Python function best.", bodies, tests=tests)
    assert (choice.chosen.number, choice.detail["tests"]) == (1, 1)


def test_a_cluster_smaller_than_wanted_is_unverified(sandbox):
    """`respond.agreeing` says how many must agree."""
    config = toys.config(respond={"candidates": 3, "agreeing": 3})
    bodies = function("best", "return min(nums)", "return max(nums)", "return sorted(nums)[-1]")
    choice = choose_among(sandbox, "Write a Python function best.", bodies, config=config)
    assert (choice.kind, choice.detail["why"]) == ("unverified", "differ")


def test_answers_with_a_defect_take_no_part(sandbox):
    """A refusal is neither run nor chosen, and is counted."""
    task = Task.seed("Write a Python function best.", ordinal=0, language="python")
    given = answers(task, function("best", "return 1 + max(nums)", "return max(nums) + 1", "pass"))
    first = ResponseCandidate(
        task.id, 0, 0, 9, "", "", "rejected", "no", 1.0, 9, Usage("toy", 1, 1, 1)
    )
    chooser = AnswerChooser(sandbox.sandbox, CONFIG, ("python",), None)
    choice = sandbox.runner.run(chooser(task, [first, *given]))
    assert (choice.kind, choice.chosen.number) == ("agreed", 0)
    counted = {name: choice.detail[name] for name in ("asked", "usable", "refused")}
    assert counted == {"asked": 4, "usable": 3, "refused": 1}


class Broken:
    async def run(self, program, limits):
        raise SandboxError("no worker started")


def test_a_failure_of_the_sandbox_is_no_verdict():
    """The row is unverified with the reason; a sandbox that always fails ends the run."""
    task = Task.seed("Write a Python function best.", ordinal=0, language="python")
    given = answers(task, ["import numpy\ndef best(nums):\n    return max(nums)"] * 2)
    chooser = AnswerChooser(Broken(), CONFIG, ("python",), None)
    for _ in range(MAX_CONSECUTIVE_SANDBOX_FAILURES - 1):
        choice = asyncio.run(chooser(task, given))
        assert (choice.kind, choice.detail["why"]) == ("unverified", "sandbox")
        assert choice.detail["said"] == "no worker started"
    with pytest.raises(SandboxError):
        asyncio.run(chooser(task, given))


def test_other_languages_agree_by_what_they_print(sandbox):
    """Without their tools the reason is said."""
    codes = ["console.log(1)", "console.log(2 - 1)"]
    task = Task.seed("Write it in JavaScript.", ordinal=0, language="javascript")
    chooser = AnswerChooser(sandbox.sandbox, CONFIG, ("python",), None)
    choice = sandbox.runner.run(chooser(task, answers(task, codes, "javascript")))
    assert (choice.kind, choice.detail["why"]) == ("unverified", "language")


@pytest.mark.toolchains
@pytest.mark.parametrize(
    ("language", "codes"),
    [
        ("javascript", ["console.log(1)", "console.log(2)", "console.log(3 - 2)"]),
        ("go", [f'package main\nimport "fmt"\nfunc main() {{ fmt.Println({n}) }}' for n in "121"]),
    ],
)  # fmt: skip
def test_whole_programs_of_other_languages_are_compared(polyglot, language, codes):
    """Two that print the same outweigh one that does not."""
    choice = choose_among(polyglot, f"Write it in {language}.", codes, language=language)
    assert (choice.kind, choice.chosen.number) == ("agreed", 0)
    assert [one.cluster for one in choice.answers] == [0, 1, 0]


def made(*columns):
    """A comparison of candidates, each a list of values on the same inputs."""
    task = Task.seed("x", ordinal=0, language=None)
    given = answers(task, ["x"] * len(columns))
    found = [
        ObservedAnswer(answer, "x", tuple(Observation("value", value) for value in column))
        for answer, column in zip(given, columns, strict=True)
    ]
    probes = tuple(Probe(InputOrigin.RANDOM, (n,)) for n in range(len(columns[0])))
    return given, ObservedAnswers(probes, tuple(found), "f")


def test_every_cluster_holds_equals_and_the_largest_wins():
    """On random tables: members are alike, clusters are not, and no larger one is left out."""
    rng = random.Random(4)
    for _ in range(200):
        n = rng.randrange(2, 9)
        given, found = made(*[[rng.randrange(1, 3) for _ in range(2)] for _ in range(n)])
        choice = choose(given, found, 2)
        by_column = {}
        for one, candidate in zip(choice.answers, found.candidates, strict=True):
            by_column.setdefault(candidate.observed, set()).add(one.cluster)
        assert all(len(numbers) == 1 for numbers in by_column.values())
        sizes = [sum(one.cluster == c for one in choice.answers) for c in range(len(by_column))]
        if max(sizes) < 2:
            assert choice.kind == "unverified"
        else:
            assert sizes[choice.chosen.cluster] == max(sizes)
            losers = [given[one["answer"]] for one in choice.detail.get("worse", ())]
            assert all(choice.answers[one.number].cluster != choice.chosen.cluster
                       for one in losers)  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (0.1 + 0.2, 0.3, True),
        ([0.1 + 0.2, "a"], [0.3, "a"], True),
        (1, 1.0, True),
        (float("nan"), float("nan"), True),
        (1e300, 1e301, False),
        (10**400, 1.5, False),
        ({1, 2}, {2, 1}, True),
        ({0.1 + 0.2}, {0.3}, True),
        ((1, 2), [1, 2], False),
        ({"a": 0.3}, {"a": 0.1 + 0.2}, True),
        ({"a": 1}, {"b": 1}, False),
        ("1", 1, False),
        (None, 0, False),
        (complex(1, 1e-12), complex(1, 0), True),
    ],
)
def test_values_are_compared_as_python_does_with_tolerance(first, second, same):
    """In both directions."""
    assert same_value(first, second) is same_value(second, first) is same


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("0.30000000000000004\n", "0.3", True),
        ("a  b\n", "a b", True),
        ("12", "13", False),
        ("1.5 a", "1.5 b", False),
        ("", "x", False),
        ("1e5.", "1e5.", True),
    ],
)
def test_printed_text_is_compared_with_tolerance(first, second, same):
    """For blanks and for floats."""
    assert same_text(first, second) is same


def test_a_changed_argument_is_behaviour():
    """Also where the returned value is the same."""
    assert not is_same(Observation("value", 1), Observation("value", 1, changed=[[2]]))
    assert not is_same(Observation("raise", "ValueError"), Observation("raise", "KeyError"))
    assert is_same(Observation("timeout"), Observation("timeout"))
    assert is_same(Observation("value", 1, printed="debug"), Observation("value", 1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("f([1, 2]) -> 3", ([1, 2],) and [(([1, 2],), "3")]),
        ("`f(2)` returns `4`.", [((2,), "4")]),
        (">>> f('a)b')\n'x'", [(("a)b",), "'x'")]),
        ("f(1) == [1, (2, 3)]", [((1,), "[1, (2, 3)]")]),
        ("assert f(-1) == None", [((-1,), "None")]),
        ("f(x) is f(2)", [((2,), None)]),
        ("f(k=1) and g(2)", []),
        ("f(10 ** 99)", []),
        ("f((((", []),
        ("call f(3).", [((3,), None)]),
    ],
)
def test_examples_are_read_from_a_task(text, found):
    """Calls with literals, and what the text says they return."""
    assert [(one.arguments, one.expected) for one in examples_in(text, "f")] == found


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_long_results_that_differ_at_their_end_differ(kind):
    """What lies beyond the items that are shown counts."""
    seen = [observer.plain(kind(range(n))) for n in (1400, 1500, 1500)]
    assert seen[0] != seen[1]
    assert seen[1] == seen[2]


@pytest.mark.parametrize(
    ("value", "is_literal"),
    [
        ([1, "a", None], True), ({"a": (1, 2.5)}, True), ([("text", "date", "2024-01-01")], False),
        ([float("nan")], False), ({"a": float("inf")}, False), ([("long", 2000, "ab")], False),
    ],
)  # fmt: skip
def test_a_test_is_written_of_what_was_returned_alone(value, is_literal):
    """Objects nested in a result, and numbers without a literal, give no test."""
    assert clusters._is_literal(value) is is_literal


def test_texts_of_many_calls_are_read_in_time():
    """A text that begins a call again and again takes no minutes."""
    assert inputs.examples_in("f(" * 25_000, "f") == []


FUNCTIONS = {
    "javascript": (
        "function third(nums) {{ return nums.map(n => {}); }}",
        ["n / 3", "n * (1 / 3)", "n / 2", "oops(n)"],
    ),
    "typescript": (
        "function third(nums: number[]): number[] {{ return nums.map(n => {}); }}",
        ["n / 3", "n * (1 / 3)", "n / 2", "n +"],
    ),
    "go": (
        ('package main\n\nimport "fmt"\n\nfunc third(nums []int) []float64 {{\n    all := []float64{{}}\n'
        "    for _, n := range nums {{\n        all = append(all, {})\n    }}\n    return all\n}}\n\n"
        "func main() {{ fmt.Println(third([]int{{1}})) }}"),
        ["float64(n) / 3", "float64(n) * (1.0 / 3)", "float64(n) / 2", "n"],
    ),
    "rust": (
        ("fn third(nums: &[i32]) -> Vec<f64> {{\n    nums.iter().map(|n| {}).collect()\n}}\n\n"
        'fn main() {{ println!("{{:?}}", third(&[1])); }}'),
        ["*n as f64 / 3.0", "*n as f64 * (1.0 / 3.0)", "*n as f64 / 2.0", "n"],
    ),
    "cpp": (
        ("#include <vector>\n\nstd::vector<double> third(const std::vector<int>& nums) {{\n"
        "    std::vector<double> all;\n    for (int n : nums) all.push_back({});\n    return all;\n}}\n\n"
        "int main() {{ return 0; }}"),
        ["n / 3.0", "n * (1.0 / 3)", "n / 2", "m"],
    ),
    "java": (
        ("public class Solution {{\n    public static double[] third(int[] nums) {{\n"
        "        double[] all = new double[nums.length];\n        for (int i = 0; i < all.length; i++) "
        "all[i] = {};\n        return all;\n    }}\n}}"),
        ["nums[i] / 3.0", "nums[i] * (1.0 / 3)", "nums[i] / 2", "n"],
    ),
}  # fmt: skip


@pytest.mark.toolchains
@pytest.mark.parametrize("language", FUNCTIONS)
def test_functions_of_other_languages_are_called_with_typed_inputs(polyglot, language):
    """Two that agree but for rounding outweigh a wrong one; one that does not compile has none."""
    source, bodies = FUNCTIONS[language]
    codes = [source.format(bodies[at]) for at in (2, 0, 1, 3)]
    task = f"Write third in {language}, which divides all numbers by three: third([3]) is [1.0]."
    choice = choose_among(polyglot, task, codes, language=language)
    assert (choice.kind, choice.chosen.number) == ("agreed", 1)
    assert [one.cluster for one in choice.answers][:3] == [0, 1, 1]
    assert choice.detail["inputs"] > 3
    assert choice.detail["tests"] == 1


USED = "def best(nums):\n    return {}\n\nprint(best([3, 5]))  # Output: {}"


@pytest.mark.parametrize(
    ("stated", "chosen"), [((5, 5), 0), ((8, 5), 1), ((8, 9, 5), 2), ((8, 9), 0)]
)
def test_of_equal_answers_one_that_states_its_output_rightly_is_chosen(sandbox, stated, chosen):
    """The earliest one; if all misstate it, the earliest of all."""
    codes = [USED.format("max(nums)", value) for value in stated]
    choice = choose_among(sandbox, "Write a Python function best.", codes)
    assert (choice.kind, choice.chosen.number) == ("agreed", chosen)
    assert [one.is_chosen for one in choice.answers].index(True) == chosen
