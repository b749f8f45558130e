"""Rows are judged by generated tests that were validated first."""

import asyncio
import gc
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from evolcoder.config.load import VerifyConfig
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.records import Check, Response, Task
from evolcoder.verification.generated_tests.check import GeneratedTestsCheck
from finishing import finishing

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
    """The verdict holds the strength and the checks."""
    verdict = verify(sandbox, RIGHT)
    assert (verdict.check, verdict.kind, verdict.score) == (Check.TESTS, "passed", 1.0)
    assert verdict.detail["checks"] == SOUND.split("\n")
    assert verdict.detail["groups"] == [[[0, 1, 2], 3]]
    assert verdict.detail["hash_seeds"] == 3
    json.dumps(verdict.detail)


def test_a_wrong_answer_fails_checks_that_others_agree_on(sandbox):
    """The verdict names the first failed check."""
    verdict = verify(sandbox, WRONG)
    assert (verdict.kind, verdict.detail["said"]) == ("failed", "assert double(5) == 10")
    assert verdict.score == 1.0


def test_a_right_answer_is_outvoted_by_answers_that_agree_on_wrong_checks(sandbox):
    """Known limitation: only agreement is measured."""
    wrong = "assert double(1) == 2\nassert double(5) == 26\nassert double(-3) == 10"
    verdict = verify(sandbox, RIGHT, answers=(WRONG, WRONG, WRONG), tests=(wrong,))
    assert verdict.kind == "failed"
    assert verdict.detail["groups"][0] == [[1, 2, 3], 3]


def test_one_wrong_check_does_not_invalidate_its_set(sandbox):
    """A check that no group passes is removed; the rest of its set counts."""
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
    """Checks of types, single values and constants do not test a function's behaviour."""
    verdict = verify(sandbox, RIGHT, tests=(tests,))
    assert flaws(verdict) == [flaw]
    assert verdict.kind == ("unsound" if flaw else "passed")


def test_a_set_that_no_mutant_fails_does_not_count(sandbox):
    """Checks of unmutated behaviour fail every stub and still do not test the answer."""
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


def test_an_answer_without_mutants_has_no_valid_tests(sandbox):
    """Without a mutant the strength of the checks is unknown."""
    own = (
        "import string\nclass Key:\n    letters = string.digits\n    def place(self):\n        ..."
    )
    tests = "assert Key().letters[0] == '0'\nassert Key().letters[1] == '1'"
    verdict = verify(sandbox, own, instruction="A key.", answers=(own, own), tests=(tests,))
    assert (verdict.kind, flaws(verdict)) == ("unsound", ["no_mutants"])


def test_a_flaky_answer_has_no_stable_checks(sandbox):
    """Random results pass in one interpreter and fail in another."""
    own = "import random\ndef double(x):\n    return random.random()"
    value = sandbox.run("import random\nprint(random.random())").stdout.decode().strip()
    tests = f"assert double(1) == {value}\nassert double(2) > 0"
    verdict = verify(sandbox, own, answers=(own, own), tests=(tests,))
    assert verdict.kind == "unsound"
    assert f"assert double(1) == {value}" not in verdict.detail["checks"]


def test_a_check_that_depends_on_the_order_of_a_set_does_not_count(sandbox):
    """Another hash seed changes the order; the other checks of the set stay."""
    own = "def double(x):\n    return list({*x, 'pear', 'plum', 'fig', 'lime', 'kiwi'})"
    shown = sandbox.run(f"{own}\nprint(double(['date']))").stdout.decode().strip()
    order = f"assert double(['date']) == {shown}"
    steady = "assert len(double(['date'])) == 6\nassert len(double(['fig'])) == 5"
    verdict = verify(sandbox, own, answers=(own, own), tests=(order, f"{order}\n{steady}"))
    assert flaws(verdict) == ["unstable", None]
    assert verdict.detail["checks"] == steady.split("\n")
    alone = verify(sandbox, own, answers=(own, own), tests=(order,))
    gc.collect()  # what was made and not awaited would warn here
    assert (flaws(alone), alone.detail["mutants"] > 0) == (["unstable"], True)


def test_sets_too_weak_alone_may_be_valid_together(sandbox):
    """Each set passes a constant stub; no stub passes both."""
    tests = ("assert double(2) == 4", "assert double(3) == 6")
    verdict = verify(sandbox, RIGHT, tests=tests)
    assert flaws(verdict) == ["passes_stub", "passes_stub"]
    assert (verdict.kind, len(verdict.detail["checks"])) == ("passed", 2)


def test_answers_that_all_differ_are_disputed(sandbox):
    """Where no two answers agree, no answer is judged."""
    verdict = verify(sandbox, RIGHT, answers=(WRONG,))
    assert (verdict.kind, verdict.score) == ("disputed", None)


def test_an_even_split_fails_no_answer(sandbox):
    """Either reading of an ambiguous task may be right."""
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
    """A response without callable code and texts without checks give `no_tests`."""
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
def test_no_answer_can_fake_its_outcome(sandbox, hostile):
    """Hostile answers fail the checks like any wrong answer."""
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
    """Checks that exit, loop or attack the harness do not prevent a verdict from sound ones."""
    verdict = verify(sandbox, RIGHT, tests=(text, SOUND))
    assert verdict.kind == "passed"
    assert set(SOUND.split("\n")) <= set(verdict.detail["checks"])


def test_a_check_that_hangs_one_answer_does_not_affect_the_others(sandbox):
    """The check counts as failed for that answer only."""
    slow = "def double(x):\n    while x == 7:\n        pass\n    return 2 * x"
    verdict = verify(sandbox, slow, tests=(f"{SOUND}\nassert double(7) == 14",))
    assert (verdict.kind, verdict.detail["said"]) == ("failed", "assert double(7) == 14")


def test_objects_are_tested_by_what_they_do(sandbox):
    """Checks call the methods of a class in the program's process."""
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


def test_a_program_with_missing_packages_is_not_tested(sandbox):
    """A package that the sandbox lacks is not the response's fault and costs no request."""
    asked: Sequence = []
    own = "def double(x):\n    import nowhere.at.all as n\n    return n.double(x)"
    made = check_of(sandbox, asked=asked)
    verdict = sandbox.runner.run(made(*row(own), {}))
    assert (verdict.kind, asked) == ("no_tests", [])
    assert verdict.detail["said"] == "needs nowhere, which the sandbox does not have"
    inside = "def double(x):\n    import math\n    return math.floor(2 * x)"
    assert verify(sandbox, inside).kind == "passed"


def test_hundreds_of_checks_have_separate_outcomes(sandbox):
    """The encoded outcomes fit into the harness's short message."""
    sets = [
        "\n".join(f"assert double({n}) == {2 * n}" for n in range(start, start + 10))
        for start in range(0, 400, 10)
    ]
    verdict = verify(sandbox, RIGHT, tests=sets)
    assert (verdict.kind, len(verdict.detail["checks"])) == ("passed", 400)


def test_a_main_program_is_tested_by_what_it_prints(sandbox):
    """Checks pass its input and compare its output, without the input() prompts."""
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
    """The output includes that of recursive calls."""
    own = "def count(n):\n    print(n)\n    if n > 1:\n        count(n - 1)\ncount(3)"
    also = "def down(n):\n    for i in range(n, 0, -1):\n        print(i)"
    tests = "assert count(2) == '2\\n1'\nassert '3' in count(3)\nassert '3' not in count(2)"
    told = {"instruction": "Count down.", "answers": (own, also), "tests": (tests,)}
    assert verify(sandbox, own, **told).kind == "passed"
    assert verify(sandbox, "def count(n):\n    print(n)", **told).kind == "failed"


def test_all_requests_go_out_together_and_show_no_answer(sandbox):
    """The tester sees only task and signature, and every request has its own seed."""
    asked: Sequence = []
    own = "def double(x):\n    secret = 2\n    return secret * x"
    made = check_of(sandbox, answers=(RIGHT, ALSO), tests=(SOUND, SOUND), asked=asked)
    sandbox.runner.run(made(*row(own), {}))
    assert len({request.seed for request in asked}) == 4
    for request in asked:
        assert "secret" not in str(request.messages)
        assert "def double(x)" in request.messages[-1].content


def test_the_same_requests_give_the_same_verdict(sandbox):
    """The verdict depends on the completions only."""
    assert verify(sandbox, WRONG) == verify(sandbox, WRONG)


def test_a_task_that_shows_code_asks_for_tests_of_what_it_misses(sandbox):
    """Otherwise few tests cover the requirement, and a distractor passes them."""
    said = "about what the task demands and that code misses"
    for shown, told in (("", False), ("\n```python\ndef double(x):\n    return x\n```", True)):
        asked: Sequence = []
        made = check_of(sandbox, asked=asked)
        sandbox.runner.run(made(*row(RIGHT, ASK + shown), {}))
        assert any(said in request.messages[-1].content for request in asked) == told


def test_concurrent_rows_get_the_same_verdicts_as_single_ones(sandbox):
    """Neither concurrency nor order changes a finding."""
    owns = (RIGHT, WRONG, ALSO, "def double(x):\n    return None")

    async def all_of(order):
        runs = [check_of(sandbox)(*row(owns[number]), {}) for number in order]
        found = await asyncio.gather(*runs)
        return dict(zip(order, found, strict=True))

    together = sandbox.runner.run(all_of((2, 0, 3, 1)))
    assert together == {number: verify(sandbox, own) for number, own in enumerate(owns)}
    assert [together[number].kind for number in range(4)] == ["passed", "failed"] * 2


def test_a_permanently_rejected_request_counts_as_no_answer(sandbox):
    """The other requests count; retryable errors are raised."""
    gone = EngineError("too long", asked="toy", retryable=False)
    verdict = verify(sandbox, RIGHT, answers=(gone, ALSO))
    assert (verdict.kind, verdict.detail["refused"]) == ("passed", 1)
    with pytest.raises(EngineError):
        verify(sandbox, RIGHT, answers=(EngineError("busy", asked="toy", retryable=True), ALSO))


def test_tests_that_break_off_are_no_tests(sandbox):
    """Half a test may check another thing; the verdict has the server's word."""
    made = check_of(sandbox, answers=(RIGHT, ALSO) * 3, tests=(SOUND,) * 3)
    made = replace(
        made,
        responder=finishing(made.responder, "abort"),
        writer=finishing(made.writer, "content_filter"),
        config=made.config.model_copy(update={"candidates": 2, "check_sets": 1}),
    )
    verdict = sandbox.runner.run(made(*row(RIGHT), {}))
    assert verdict.kind == "no_tests"
    assert verdict.detail["incomplete"] == "abort, content_filter"
    assert "abort, content_filter" in verdict.detail["said"]
