"""A distractor is run against its row's checks and compared with the response."""

import pytest

from evolcoder.config.load import VerifyConfig
from evolcoder.records import Check, CheckResult, Response, Task, Usage
from evolcoder.verification.distractor import DistractorCheck, examples_in, find_distractor

FRAME = "A first attempt looks like this; do not take for granted that it is right:"
OWN = "def total(numbers):\n    return sum(number for number in numbers if number > 0)"
CHECKS = ("assert total([1, 2]) == 3", "assert total([4, -1]) == 4")


def run(sandbox, bait, *, own=OWN, checks=CHECKS, heuristic="misdirect", tag="python"):
    """Check the distractor of a row with these validated checks."""
    text = f"Add up what is above zero.\n\n{FRAME}\n```{tag}\n{bait}\n```"
    parent = Task.seed("Add up.", ordinal=1, language="python")
    made = Usage("toy", 1, 1, 1)
    task = parent.child(text, round=1, heuristic=heuristic, language="python", made=made)
    response = Response.to(task, f"So:\n```{tag}\n{own}\n```", made=None)
    tested = CheckResult.of(
        response, Check.TESTS, "passed", score=0.75, detail={"checks": list(checks)}
    )
    check = DistractorCheck(sandbox.sandbox, VerifyConfig(cpu_s=1, wall_s=3))
    before = {Check.TESTS: tested} if checks else {}
    return sandbox.runner.run(check(task, response, before))


@pytest.mark.parametrize(
    ("bait", "kind"),
    [
        ("def total(numbers):\n    return sum(numbers)", "fails"),
        ("def total(xs):\n    return sum(max(x, 0) for x in xs)", "works"),
        ("def add_up(xs):\n    return sum(max(x, 0) for x in xs)", "works"),
        ("def total(numbers):\n    return sum(numbers", "fails"),
        ("def total(numbers):\n    while True:\n        pass\n    return 1", "fails"),
        ("import os\ndef total(numbers):\n    os._exit(0)\n    return 1", "fails"),
        (OWN, "is_answer"),
        (f"# mine\n{OWN}\n", "is_answer"),
        (
            "def add(xs):\n    'Adds.'\n    return sum(x for x in xs if x > 0)",
            "is_answer",
        ),
        ("print(sum([1, 2]))", "not_measured"),
        ("def total(a, b):\n    return a + b", "fails"),
        ("def add(a, b):\n    return a + b", "not_measured"),
    ],
)
def test_a_distractor_works_fails_or_is_the_answer(sandbox, bait, kind):
    """Names, comments and docstrings do not matter; running decides whether it works."""
    assert run(sandbox, bait).kind == kind


@pytest.mark.parametrize("kind", ["def", "async def", "class"])
def test_names_and_docstrings_make_no_other_program(sandbox, kind):
    """Of any definition."""
    own = f"{kind} total(numbers):\n    more = numbers\n    value = more"
    bait = f"{kind} sum_up(numbers):\n    'Adds.'\n    much = numbers\n    result = much"
    assert run(sandbox, bait, own=own).kind == "is_answer"
    assert run(sandbox, f"{bait} + 1", own=own).kind != "is_answer"


def test_the_distractor_of_an_earlier_round_counts_as_well(sandbox):
    """A task that was misdirected twice shows both, and the response may be neither."""
    later = "def total(numbers):\n    return 1"
    both = f"{OWN}\n```\n\n{FRAME}\n```python\n{later}"
    assert run(sandbox, both).kind == "is_answer"


def test_an_answer_that_quotes_and_fixes_the_distractor_differs_from_it(sandbox):
    """Quoted distractor code is ignored if the response adds other callable code."""
    bait = "def total(numbers):\n    return sum(numbers)"
    mended = f"{bait}\n```\nforgets the sign. Mended:\n```python\n{OWN}"
    assert run(sandbox, bait, own=mended).kind == "fails"
    shown = f"{bait}\n```\nUse it so:\n```python\nprint(total([1]))"
    assert run(sandbox, bait, own=shown).kind == "is_answer"


def test_the_score_is_the_strength_of_the_checks(sandbox):
    """A distractor that passes weak checks may still be wrong."""
    verdict = run(sandbox, "def total(xs):\n    return sum(xs)")
    assert (verdict.check, verdict.score) == (Check.BAIT, 0.75)
    assert verdict.detail == {"said": CHECKS[1], "checks": 2, "failed": 1}


ALIKE = "def total(xs):\n    return sum(max(x, 0) for x in xs if x)"


@pytest.mark.parametrize(
    ("bait", "kind"),
    [
        (OWN, "is_answer"),
        ("def total(numbers):\n    return sum(numbers)", "fails"),
        ("def total(xs):\n    return sum(x for x in xs if 0 < x)", "works"),
        ("def total(numbers):\n    while True:\n        pass\n    return 1", "fails"),
        ("import os\ndef total(numbers):\n    os._exit(0)\n    return 1", "fails"),
        ("def total(numbers):\n    return sum(numbers", "fails"),
        ("def add(a, b):\n    return a + b", "not_measured"),
        ("print(1)", "not_measured"),
    ],
)
def test_without_tests_the_response_decides(sandbox, bait, kind):
    """What behaves as the response does on all inputs is no wrong code; odd inputs are among them."""
    assert run(sandbox, bait, checks=()).kind == kind


def test_a_difference_on_an_odd_input_is_enough(sandbox):
    """The verdict names the call and what each program does with it."""
    own = OWN.replace("    return", "    if not numbers:\n        raise ValueError\n    return", 1)
    found = run(
        sandbox, "def total(xs):\n    return sum(x for x in xs if x > 0)", own=own, checks=()
    )
    assert found.kind == "fails"
    assert (
        found.detail["said"]
        == "total([]): the response raises ValueError, the distractor returns 0"
    )


@pytest.mark.parametrize(
    ("demand", "kind"),
    [
        ("It must run in O(n) time.", "not_measured"),
        ("Do it without using a set.", "not_measured"),
        ("Write it recursively.", "not_measured"),
        ("Do it in a single pass.", "not_measured"),
        ("Ignore what is not above zero.", "works"),
    ],
)
def test_a_demand_that_no_result_shows_is_left_open(sandbox, demand, kind):
    """A slow distractor returns what is right and is wrong."""
    text = f"Add up. {demand}\n\n{FRAME}\n```python\n{ALIKE}\n```"
    parent = Task.seed("Add up.", ordinal=1, language="python")
    made = Usage("toy", 1, 1, 1)
    task = parent.child(text, round=1, heuristic="misdirect", language="python", made=made)
    check = DistractorCheck(sandbox.sandbox, VerifyConfig(cpu_s=1, wall_s=3))
    own = OWN.replace("if number > 0", "if number and number > 0")
    response = Response.to(task, f"```python\n{own}\n```", made=None)
    found = sandbox.runner.run(check(task, response, {}))
    assert found.kind == kind, found.detail


def test_a_changed_argument_is_a_difference(sandbox):
    """A distractor that sorts its argument in place returns the same."""
    own = "def order(nums):\n    return sorted(nums)"
    bait = "def order(nums):\n    nums.sort()\n    return nums"
    found = run(sandbox, bait, own=own, checks=())
    assert found.kind == "fails"
    assert "and leaves" in found.detail["said"] or "raises" in found.detail["said"]


@pytest.mark.parametrize(
    ("own", "bait", "kind"),
    [
        ("def mark(q):\n    return q", "def mark(q):\n    return q + q", "not_measured"),
        ("def mark(n):\n    return n > 50", "def mark(n):\n    return 50 < n", "not_measured"),
        ("def mark(n):\n    return object()", "def mark(n):\n    return set", "not_measured"),
        ("def mark(s):\n    return {*s}", "def mark(s):\n    return set(list(s))", "works"),
        ("def mark(n):\n    return n * 2", "def mark(n):\n    return n * 2.0", "fails"),
        ("def mark(n: int):\n    print(n + 1)", "def mark(n):\n    print(1 + n)", "works"),
        (
            "class Mark:\n    def go(self, n):\n        return n",
            "class Mark:\n    def go(self, n):\n        return 0 + n",
            "not_measured",
        ),
        ("def mark(n):\n    return input()", "def mark(n):\n    return n", "fails"),
    ],
)
def test_what_cannot_be_compared_is_not_measured(sandbox, own, bait, kind):
    """Unknown types, too few values, opaque values and objects decide nothing."""
    assert run(sandbox, bait, own=own, checks=()).kind == kind


BOTH = "def scale(q, *, by=2):\n    return {k: v * by for k, v in q.items()}"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("For example, `scale({'a': 1})` returns `{'a': 2}`.", "fails"),
        ("scale({'a': 1}) == {'a': 2}", "fails"),
        (">>> scale({'a': 1})\n{'a': 2}", "fails"),
        ("scale({'a': 1}) should return {'a': 3}.", "not_measured"),
        ("scale(things) returns the scaled things.", "not_measured"),
    ],
)
def test_examples_in_the_task_decide(sandbox, words, kind):
    """Only those that the response itself passes; a call of unknown values is no example."""
    own = BOTH.replace("scale(q", "scale(q_q").replace("in q.", "in q_q.")
    bait = "def scale(q_q):\n    return {k: v for k, v in q_q.items() if v > 9}"
    text = f"Scale. {words}\n\n{FRAME}\n```python\n{bait}\n```"
    parent = Task.seed("Scale.", ordinal=1, language="python")
    made = Usage("toy", 1, 1, 1)
    task = parent.child(text, round=1, heuristic="misdirect", language="python", made=made)
    response = Response.to(task, f"```python\n{own}\n```", made=None)
    check = DistractorCheck(sandbox.sandbox, VerifyConfig(cpu_s=1, wall_s=3))
    found = sandbox.runner.run(check(task, response, {}))
    assert found.kind == kind, found.detail


def test_asserts_of_the_response_decide(sandbox):
    """Where no inputs can be made."""
    own = "def total(q):\n    return sum(q)\n\nassert total((1, 2)) == 3"
    found = run(sandbox, "def total(q):\n    return max(q)", own=own, checks=())
    assert (found.kind, found.detail["said"]) == ("fails", "assert total((1, 2)) == 3")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("The code you provided is correct.", "called_right"),
        (
            "The given function already works correctly, here it is written otherwise:",
            "called_right",
        ),
        ("No changes are needed.", "called_right"),
        ("The code is correct, but it ignores the sign.", "fails"),
        ("The corrected code is right here:", "fails"),
        ("The attempt is wrong: it ignores the sign.", "fails"),
        ("Here is the code:", "fails"),
        ("With this change, the function works correctly for empty lists too.", "fails"),
        ("This implementation is correct and runs in O(n).", "fails"),
        ("The code is valid for any list of numbers.", "fails"),
        ("If the draft is correct, it returns 4.", "fails"),
        ("It is not true that the given code is right.", "fails"),
        ("The draft is correct.", "called_right"),
    ],
)
def test_a_response_that_calls_wrong_code_right_is_told(sandbox, words, kind):
    """Only if checks show that the code is wrong."""
    own = f"{OWN}\n```\n{words}\n```python\ntotal([1])"
    bait = "def total(numbers):\n    return sum(numbers)"
    assert run(sandbox, bait, own=own).kind == kind
    assert run(sandbox, ALIKE, own=own).kind == "works"


def test_distractors_in_other_languages_are_compared_and_not_run(sandbox):
    """The comparison ignores white space."""
    own = "function total(xs) { return 1; }"
    assert run(sandbox, own.replace(" {", "\n{"), own=own, tag="js").kind == "is_answer"
    assert run(sandbox, "let x = 1", own=own, tag="js").kind == "not_measured"


def test_a_task_of_another_heuristic_has_no_distractor(sandbox):
    """Code in a user's own task is not a distractor."""
    assert run(sandbox, OWN, heuristic="constrain").kind == "no_bait"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Mend this.\n```\na = 1\n```\n\nDraft:\n```python\nx = 1\n```", "x = 1"),
        ("Draft:\n```python\nx = 1\n```\nMend it.", None),
        ("Draft:\n```python\n\n```", None),
        ("Draft: x = 1", None),
        ("", None),
    ],
)
def test_the_distractor_is_the_code_that_ends_a_task(text, code):
    """Code before it belongs to the task."""
    found = find_distractor(text)
    assert (found and found.code) == code


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("f(1) == 2", ("assert f(1) == 2",)),
        ("`f([1, 2], 'a')` should return `[3]`, and f(0) is None.",
         ("assert f([1, 2], 'a') == [3]", "assert f(0) == None")),
        ("f(3) -> 9; f(4) → 16. f(5) gives 25!", ("assert f(3) == 9", "assert f(4) == 16",
                                                  "assert f(5) == 25")),
        ("f(x) returns 3", ()),
        ("f(1) returns nothing", ()),
        ("f(1", ()),
        ("f(g(1)) == 2", ()),
        ("f(k=[1]) == (1, 2)", ("assert f(k=[1]) == (1, 2)",)),
        ("of(1) == 2", ()),
        ("f(" + "(" * 500, ()),
        ("f(1) == 2 " * 99, ("assert f(1) == 2",)),
    ],
)  # fmt: skip
def test_examples_in_a_task(text, found):
    """A call of literals, and a literal that it returns."""
    assert examples_in(text, "f") == found


SHUFFLE = "import random\ndef mix(nums: list[int]):\n    nums = nums[:]\n    random.shuffle(nums)\n    return nums"
YIELDS = "def count(n: int):\n    while True:\n        yield n\n        n += 1"
UNIQUE = "def distinct(words: list[str]):\n    return list(set(words))"
SPREAD = "def spread(n: int):\n    return list(range(400)) + [n]"
QUEUE = """\
class Queue:
    def __init__(self, items: list[int]):
        self.items = list(items)
    def put(self, x: int):
        self.items.append(x)
        return len(self.items)
    def take(self):
        return self.items.pop(0)
"""
KINDS = {
    "a random answer": (
        "import random\ndef mix(nums: list[int]):\n    return random.sample(nums, len(nums))",
        SHUFFLE,
        "not_measured",
    ),
    "a random distractor": (
        "import random\ndef pick(nums: list[int]):\n    return random.choice(nums)",
        "def pick(nums: list[int]):\n    return nums[0] if nums else None",
        "fails",
    ),
    "the order of a set": (UNIQUE.replace("set(", "dict.fromkeys("), UNIQUE, "works"),
    "items of a set": (UNIQUE.replace("list(set(words))", "words"), UNIQUE, "fails"),
    "an endless iterator": (YIELDS.replace("+= 1", "+= 2"), YIELDS, "fails"),
    "an endless iterator alike": (YIELDS.replace("n += 1", "n = n + 1"), YIELDS, "works"),
    "long results": (SPREAD.replace("[n]", "[n + 1]"), SPREAD, "fails"),
    "long results alike": (SPREAD.replace("list(range(400)) + [n]", "[*range(400), n]"), SPREAD, "works"),
    "another language in the fence": (
        "function total(nums) {\n  return nums.reduce((a, b) => a + b, 0);\n}", OWN, "not_measured"
    ),
    "noise of floats": (
        "def mean(nums: list[int]):\n    return sum(x / len(nums) for x in nums) if nums else 0",
        "def mean(nums: list[int]):\n    return sum(nums) / len(nums) if nums else 0",
        "works",
    ),
    "a default that changes": (
        "def add(x: int, items=[]):\n    items.append(x)\n    return items",
        "def add(x: int, items=None):\n    items = items or []\n    items.append(x)\n    return items",
        "fails",
    ),
    "a missing name": ("def total(nums):\n    return summ(nums)", OWN, "fails"),
    "a tuple for a list": (
        "def order(nums: list[int]):\n    return tuple(sorted(nums))",
        "def order(nums: list[int]):\n    return sorted(nums)",
        "fails",
    ),
    "another exception": (
        "def div(a: int, b: int):\n    return a / b",
        "def div(a: int, b: int):\n    if b == 0:\n        raise ValueError\n    return a / b",
        "fails",
    ),
    "reads input too": (
        "def total(nums):\n    return sum(nums)\nprint(total(list(map(int, input().split()))))",
        OWN,
        "fails",
    ),
    "a program that reads input": ("print(sum(map(int, input().split())))", OWN, "not_measured"),
    "programs": ("print(len(input()))", "print(len(input().strip()) + 1)", "fails"),
    "programs alike": (
        "print(input()[::-1])", "word = input()\nprint(''.join(reversed(word)))", "works"
    ),
    "programs on few inputs": (
        "print(int(input()) + int(input()))", "a, b = int(input()), int(input())\nprint(a + b)",
        "not_measured",
    ),
    "programs on few inputs that differ": (
        "print(int(input()) - int(input()))", "a, b = int(input()), int(input())\nprint(a + b)",
        "fails",
    ),
    "a program that does not end": ("while input: pass", "print(input())", "fails"),
    "classes": (QUEUE.replace("pop(0)", "pop()"), QUEUE, "fails"),
    "classes alike": (QUEUE.replace("self.items.append(x)", "self.items += [x]"), QUEUE, "works"),
    "classes with other methods": (
        QUEUE.replace("put", "add").replace("len(", "0 + len("), QUEUE, "not_measured"
    ),
    "named lambdas": ("dbl = lambda n: n ** 2", "dbl = lambda n: 2 * n", "fails"),
    "named lambdas alike": ("dbl = lambda n: n + n", "dbl = lambda n: 2 * n", "works"),
    "coroutines": (
        "async def dbl(n: int):\n    return n ** 2", "async def dbl(n: int):\n    return 2 * n", "fails"
    ),
    "coroutines alike": (
        "async def dbl(n: int):\n    return n + n", "async def dbl(n: int):\n    return 2 * n", "works"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("bait", "own", "kind"), KINDS.values(), ids=KINDS)
def test_distractors_of_every_kind(sandbox, bait, own, kind):
    """Chance, the order of a set and another language show no fault; long results are compared."""
    found = run(sandbox, bait, own=own, checks=())
    assert found.kind == kind, found.detail
