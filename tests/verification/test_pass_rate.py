"""Pass rates of a model, on checks that run for real."""

from driver import QUICK
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.records import Task
from evolcoder.text import code_blocks
from evolcoder.verification.pass_rate import difficulty

TASK = Task.seed("Write a function add(a, b).", ordinal=0, language="python")
CHECKS = ("assert add(1, 2) == 3", "assert add(0, 0) == 0")
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
WRONG = "```python\ndef add(a, b):\n    return a * b + 1\n```"


def python_of(text):
    blocks = code_blocks(text)
    return blocks[0].code if blocks else None


def measured(driver, answer, *, checks=CHECKS, k=8, temperature=1.0):
    asked = []

    def said(request):
        asked.append(request.seed)
        return answer(request.seed)

    async def passes(answer, checks):
        program = python_of(answer)
        test = AssertTest.of(("add",), "\n".join(checks), check=None)
        return bool(program) and (await grade_asserts(driver.sandbox, program, test, QUICK)).passed

    model = Role(ScriptedEngine(said), "m", Sampling(temperature, 1.0, 99))
    found = driver.runner.run(difficulty(TASK, checks, model=model, passes=passes, k=k, seed=5))
    return found, asked


def test_the_rate_is_the_share_that_passes(sandbox):
    """Right, wrong, empty and codeless samples all count."""
    answers = [RIGHT, WRONG, "", "no code"]
    found, asked = measured(sandbox, lambda seed: answers[seed % 4], k=12)
    assert found.n == len(set(asked)) == 12
    assert found.n_passed == sum(seed % 4 == 0 for seed in asked)
    assert found.low <= found.rate == found.n_passed / 12 <= found.high


def test_a_greedy_model_is_asked_once(sandbox):
    """The same sample again says nothing new."""
    found, asked = measured(sandbox, lambda seed: RIGHT, temperature=0.0)
    assert (found.n, found.rate, len(asked)) == (1, 1.0, 1)
    assert found.low < 0.3


def test_without_sound_checks_nobody_is_asked(sandbox):
    """No checks, no rate, no cost."""
    found, asked = measured(sandbox, lambda seed: RIGHT, checks=())
    assert (found.kind, found.rate, asked) == ("not_measured", None, [])
