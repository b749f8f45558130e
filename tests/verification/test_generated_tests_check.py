"""Rows are judged by tests that were written for them, and that were tested themselves."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from evolcoder.config.load import VerifyConfig
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.records import Check, Response, Task
from evolcoder.verification.generated_tests.check import GeneratedTestsCheck

ASK = "Write a Python function `double(x)` that returns twice a number."
RIGHT = "def double(x):\n    return 2 * x"
ALSO = "def double(x):\n    return x + x"
WRONG = "def double(x):\n    return x * x + 1"
SOUND = "assert double(1) == 2\nassert double(5) == 10\nassert double(-3) == -6"


def fenced(code):
    return f"Here it is:\n```python\n{code}\n```"


def row(own, instruction=ASK):
    task = Task.seed(instruction, ordinal=2, language="python")
    return task, Response.to(task, own if "```" in own else fenced(own), made=None)


def check_of(sandbox, *, answers=(RIGHT, ALSO), tests=(SOUND,), asked=None):
    """The check with a model that answers with these texts, in the order of its requests."""
    left = {"answers": list(answers), "tests": list(tests)}

    def answer(request):
        if asked is not None:
            asked.append(request)
        what = "tests" if "Do not write the code" in request.messages[-1].content else "answers"
        text = left[what].pop(0)
        if isinstance(text, Exception):
            raise text
        return text if "```" in text or "said" in text else fenced(text)

    role = Role(ScriptedEngine(answer), "toy", Sampling(0.8, 0.95, 400))
    config = VerifyConfig(
        candidates=len(answers), check_sets=len(tests), cpu_s=2, wall_s=6, memory_mb=256
    )
    return GeneratedTestsCheck(role, role, sandbox.sandbox, 7, config)


def verify(sandbox, own, *, instruction=ASK, **texts):
    made = check_of(sandbox, **texts)
    return sandbox.runner.run(made(*row(own, instruction), {}))


def flaws(verdict):
    return [one["flaw"] for one in verdict.detail["sets"]]


def test_a_right_answer_passes_a_sound_set(sandbox):
    """The verdict holds the strength, and the checks that it rests on."""
    verdict = verify(sandbox, RIGHT)
    assert (verdict.check, verdict.kind, verdict.score) == (Check.TESTS, "passed", 1.0)
    assert verdict.detail["checks"] == SOUND.split("\n")
    assert verdict.detail["groups"] == [[[0, 1, 2], 3]]
    assert verdict.detail["hash_seeds"] == 3
    json.dumps(verdict.detail)


def test_a_wrong_answer_fails_checks_that_others_agree_on(sandbox):
    """The first check that it fails is named."""
    verdict = verify(sandbox, WRONG)
    assert (verdict.kind, verdict.detail["said"]) == ("failed", "assert double(5) == 10")
    assert verdict.score == 1.0


def test_a_right_answer_is_outvoted_by_those_who_agree_on_wrong_checks(sandbox):
    """Agreement is all that is measured: this is what the verdict cannot know."""
    wrong = "assert double(1) == 2\nassert double(5) == 26\nassert double(-3) == 10"
    verdict = verify(sandbox, RIGHT, answers=(WRONG, WRONG, WRONG), tests=(wrong,))
    assert verdict.kind == "failed"
    assert verdict.detail["groups"][0] == [[1, 2, 3], 3]


def test_one_wrong_check_does_not_sink_its_set(sandbox):
    """What no group passes is left out, and the rest of its set counts."""
    verdict = verify(sandbox, RIGHT, tests=(f"{SOUND}\nassert double(7) == 15",))
    assert verdict.kind == "passed"
    assert verdict.detail["checks"] == SOUND.split("\n")
    assert verdict.detail["sets"] == [{"written": 4, "chosen": 3, "flaw": None, "strength": 1.0}]


@pytest.mark.parametrize(
    ("tests", "flaw"),
    [
        ("assert isinstance(double(2), int)\nassert double(1) is not None", "passes_stub"),
        ("assert double(2) == 4", "passes_stub"),
        ("assert double(0) == 0\nassert double(0.0) == 0", "passes_stub"),
        (f"{SOUND}\nassert double(7) == 14", None),
    ],
)
def test_a_set_that_a_stub_passes_does_not_count(sandbox, tests, flaw):
    """Types, single values and constants are no test of what a function does."""
    verdict = verify(sandbox, RIGHT, tests=(tests,))
    assert flaws(verdict) == [flaw]
    assert verdict.kind == ("unsound" if flaw else "passed")


def test_a_set_that_no_mutant_fails_does_not_count(sandbox):
    """Checks of what no mutant touches refuse every stub, and tell nothing of the answer."""
    own = (
        "import string\nclass Key:\n    letters = string.ascii_lowercase\n"
        "    def place(self, letter):\n        return self.letters.index(letter) + 1"
    )
    beside = "assert Key().letters[0] == 'a'\nassert Key().letters[1] == 'b'"
    verdict = verify(sandbox, own, instruction="A key.", answers=(own, own), tests=(beside,))
    assert (verdict.kind, flaws(verdict)) == ("unsound", ["kills_nothing"])
    tests = f"{beside}\nassert Key().place('b') == 2"
    verdict = verify(sandbox, own, instruction="A key.", answers=(own, own), tests=(tests,))
    assert (verdict.kind, flaws(verdict)) == ("passed", [None])


def test_an_answer_that_nothing_can_be_changed_in_has_no_tested_tests(sandbox):
    """Without a mutant it is unknown what the checks tell."""
    own = (
        "import string\nclass Key:\n    letters = string.digits\n    def place(self):\n        ..."
    )
    tests = "assert Key().letters[0] == '0'\nassert Key().letters[1] == '1'"
    verdict = verify(sandbox, own, instruction="A key.", answers=(own, own), tests=(tests,))
    assert (verdict.kind, flaws(verdict)) == ("unsound", ["no_mutants"])


def test_a_flaky_answer_agrees_with_nobody_twice(sandbox):
    """What depends on chance passes in one interpreter and fails in another."""
    own = "import random\ndef double(x):\n    return random.random()"
    value = sandbox.run("import random\nprint(random.random())").stdout.decode().strip()
    tests = f"assert double(1) == {value}\nassert double(2) > 0"
    verdict = verify(sandbox, own, answers=(own, own), tests=(tests,))
    assert verdict.kind == "unsound"
    assert f"assert double(1) == {value}" not in verdict.detail["checks"]


def test_a_check_that_depends_on_the_order_of_a_set_does_not_count(sandbox):
    """Another hash seed gives another order, and the others of its set stay."""
    own = "def double(x):\n    return list({*x, 'pear', 'plum', 'fig', 'lime', 'kiwi'})"
    shown = sandbox.run(f"{own}\nprint(double(['date']))").stdout.decode().strip()
    order = f"assert double(['date']) == {shown}"
    steady = "assert len(double(['date'])) == 6\nassert len(double(['fig'])) == 5"
    verdict = verify(sandbox, own, answers=(own, own), tests=(order, f"{order}\n{steady}"))
    assert flaws(verdict) == ["unstable", None]
    assert verdict.detail["checks"] == steady.split("\n")


def test_sets_too_weak_alone_may_hold_together(sandbox):
    """One check of each set is a constant's friend, and both together are nobody's."""
    tests = ("assert double(2) == 4", "assert double(3) == 6")
    verdict = verify(sandbox, RIGHT, tests=tests)
    assert flaws(verdict) == ["passes_stub", "passes_stub"]
    assert (verdict.kind, len(verdict.detail["checks"])) == ("passed", 2)


def test_answers_that_all_differ_are_disputed(sandbox):
    """Where no two answers agree, nothing is said about any."""
    verdict = verify(sandbox, RIGHT, answers=(WRONG,))
    assert (verdict.kind, verdict.score) == ("disputed", None)


def test_an_even_split_fails_nobody(sandbox):
    """Where a task leaves something open, answers that took the other side are not wrong."""
    other = "def double(x):\n    return str(2 * x)"
    tests = f"{SOUND}\nassert double(3) == '6'"
    verdict = verify(sandbox, other, answers=(other, RIGHT, ALSO), tests=(tests,))
    assert (verdict.kind, verdict.score) == ("disputed", None)
    assert verify(sandbox, other, answers=(RIGHT, ALSO), tests=(tests,)).kind == "failed"


@pytest.mark.parametrize(
    ("own", "tests"),
    [
        ("I would rather not.", SOUND),
        ("```java\nint f(int x) { return 2 * x; }\n```", SOUND),
        ("print(2 * 4)", SOUND),
        (RIGHT, "I have said all that I know."),
        (RIGHT, "print(double(2))"),
        (RIGHT, RIGHT),
    ],
)
def test_where_nothing_can_be_tested_there_are_no_tests(sandbox, own, tests):
    """No program to call, or no check in what was written, is a finding of its own."""
    assert verify(sandbox, own, tests=(tests,)).kind == "no_tests"


@pytest.mark.parametrize(
    "hostile",
    [
        "import os\ndef double(x):\n    os._exit(0)\n    return 0",
        "def double(x):\n    while True:\n        pass\n    return 0",
        "def double(x):\n    return double(x)",
        (
            "class Yes:\n    def __eq__(self, other):\n        return True\n"
            "def double(x):\n    return Yes()"
        ),
        "def double(x):\n    raise SystemExit(0)\n    return 0",
        "import sys\ndef double(x):\n    sys.modules['builtins'].told = ['1'] * 3\n    return 0",
        "import os\ndef double(x):\n    os.write(3, b'111')\n    os._exit(0)\n    return 0",
    ],
)
def test_no_answer_can_vouch_for_itself(sandbox, hostile):
    """Tricks fail the checks like any wrong answer, beside two that are right."""
    verdict = verify(sandbox, hostile)
    assert verdict.kind == "failed"
    assert verdict.detail["groups"][0][0] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "assert double(1) == 2 or __import__('os')._exit(0)",
        "x = double(2)\nwhile True:\n    pass\nassert x == 4",
        "import sys\nsys.exit()\nassert double(2) == 4",
        "told = []\nassert double(2) == 4",
        "assert double(" + "[" * 90 + "]" * 90 + ") == 4",
        "assert double(1) == 2\nassert ''.join(told) == '1' and double(2)",
    ],
)
def test_no_test_is_an_error(sandbox, text):
    """Checks that leave, loop or reach for the harness end in a verdict beside sound ones."""
    verdict = verify(sandbox, RIGHT, tests=(text, SOUND))
    assert verdict.kind == "passed"
    assert set(SOUND.split("\n")) <= set(verdict.detail["checks"])


def test_a_check_that_hangs_one_answer_leaves_the_others(sandbox):
    """The check counts as failed for that answer alone."""
    slow = "def double(x):\n    while x == 7:\n        pass\n    return 2 * x"
    verdict = verify(sandbox, slow, tests=(f"{SOUND}\nassert double(7) == 14",))
    assert (verdict.kind, verdict.detail["said"]) == ("failed", "assert double(7) == 14")


def test_objects_are_tested_by_what_they_do(sandbox):
    """A class is called through its methods, in the process that holds it."""
    own = (
        "class Till:\n    def __init__(self, coins):\n        self.coins = list(coins)\n"
        "    def pay(self, amount):\n        if amount <= 0:\n            raise ValueError(amount)\n"
        "        self.coins.append(amount)\n"
        "    def total(self):\n        return sum(self.coins)"
    )
    tests = (
        "till = Till([1, 2])\nassert till.total() == 3\ntill.pay(4)\nassert till.total() == 7\n"
        "try:\n    Till([]).pay(0)\n    assert False\nexcept ValueError:\n    pass"
    )
    verdict = verify(sandbox, own, instruction="A till.", answers=(own, own), tests=(tests,))
    assert verdict.kind == "passed"
    assert len(verdict.detail["checks"]) == 3


def test_a_program_whose_packages_are_not_here_is_not_asked_about(sandbox):
    """That the sandbox lacks something is no fault of an answer, and costs no request."""
    asked: Sequence = []
    own = "def double(x):\n    import nowhere.at.all as n\n    return n.double(x)"
    made = check_of(sandbox, asked=asked)
    verdict = sandbox.runner.run(made(*row(own), {}))
    assert (verdict.kind, asked) == ("no_tests", [])
    assert verdict.detail["said"] == "needs nowhere, which the sandbox does not have"
    inside = "def double(x):\n    import math\n    return math.floor(2 * x)"
    assert verify(sandbox, inside).kind == "passed"


def test_hundreds_of_checks_are_told_apart(sandbox):
    """What comes back of a test is short, whatever the number of its checks."""
    sets = [
        "\n".join(f"assert double({n}) == {2 * n}" for n in range(start, start + 10))
        for start in range(0, 400, 10)
    ]
    verdict = verify(sandbox, RIGHT, tests=sets)
    assert (verdict.kind, len(verdict.detail["checks"])) == ("passed", 400)


def test_a_main_program_is_tested_by_what_it_prints(sandbox):
    """What is typed goes in, prompts are left out, and what is printed is looked at."""
    own = "n = int(input('Number: '))\nfor i in range(n):\n    print(i * i)"
    also = "import sys\nn = int(sys.stdin.read())\nprint(*(i ** 2 for i in range(n)), sep='\\n')"
    tests = (
        "assert program('3') == '0\\n1\\n4'\nassert '9' in program('4\\n')\n"
        "assert program('0') == ''\nassert 'Number' not in program('1')"
    )
    told = {"instruction": "Print squares.", "answers": (own, also), "tests": (tests,)}
    verdict = verify(sandbox, own, **told)
    assert (verdict.kind, len(verdict.detail["checks"])) == ("passed", 4)
    wrong = verify(sandbox, "n = int(input())\nprint(n * n)", **told)
    assert wrong.kind == "failed"


def test_a_function_that_prints_is_tested_by_what_it_prints(sandbox):
    """Calls of itself print too, and what comes back is all of it."""
    own = "def count(n):\n    print(n)\n    if n > 1:\n        count(n - 1)\ncount(3)"
    also = "def down(n):\n    for i in range(n, 0, -1):\n        print(i)"
    tests = "assert count(2) == '2\\n1'\nassert '3' in count(3)\nassert '3' not in count(2)"
    told = {"instruction": "Count down.", "answers": (own, also), "tests": (tests,)}
    assert verify(sandbox, own, **told).kind == "passed"
    assert verify(sandbox, "def count(n):\n    print(n)", **told).kind == "failed"


def test_all_requests_go_out_together_and_show_no_answer(sandbox):
    """The writer of tests sees task and signature alone, and every request has its own seed."""
    asked: Sequence = []
    own = "def double(x):\n    secret = 2\n    return secret * x"
    made = check_of(sandbox, answers=(RIGHT, ALSO), tests=(SOUND, SOUND), asked=asked)
    sandbox.runner.run(made(*row(own), {}))
    assert len({request.seed for request in asked}) == 4
    for request in asked:
        assert "secret" not in str(request.messages)
        assert "def double(x)" in request.messages[-1].content


def test_the_same_requests_give_the_same_verdict(sandbox):
    """Nothing but the completions decides."""
    assert verify(sandbox, WRONG) == verify(sandbox, WRONG)


def test_a_task_that_shows_code_asks_for_tests_of_what_it_misses(sandbox):
    """Without that, few tests are about the demand, and a bait passes them."""
    said = "about what the task demands and that code misses"
    for shown, told in (("", False), ("\n```python\ndef double(x):\n    return x\n```", True)):
        asked: Sequence = []
        made = check_of(sandbox, asked=asked)
        sandbox.runner.run(made(*row(RIGHT, ASK + shown), {}))
        assert any(said in request.messages[-1].content for request in asked) == told


def test_rows_beside_each_other_get_the_verdicts_that_they_get_alone(sandbox):
    """Neither concurrency nor order changes a finding."""
    owns = (RIGHT, WRONG, ALSO, "def double(x):\n    return None")

    async def all_of(order):
        runs = [check_of(sandbox)(*row(owns[number]), {}) for number in order]
        found = await asyncio.gather(*runs)
        return dict(zip(order, found, strict=True))

    together = sandbox.runner.run(all_of((2, 0, 3, 1)))
    assert together == {number: verify(sandbox, own) for number, own in enumerate(owns)}
    assert [together[number].kind for number in range(4)] == ["passed", "failed"] * 2


def test_a_request_that_is_refused_for_good_counts_as_nothing_said(sandbox):
    """The others go on; a server that may come back is waited for above."""
    gone = EngineError("too long", asked="toy", retryable=False)
    verdict = verify(sandbox, RIGHT, answers=(gone, ALSO))
    assert (verdict.kind, verdict.detail["refused"]) == ("passed", 1)
    with pytest.raises(EngineError):
        verify(sandbox, RIGHT, answers=(EngineError("busy", asked="toy", retryable=True), ALSO))
