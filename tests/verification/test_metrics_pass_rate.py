"""Pass rates of a model, with checks that run in the sandbox."""

from driver import QUICK
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.grading.asserts import AssertTest, grade_asserts
from evolcoder.programming_language import code_blocks
from evolcoder.records import Task
from evolcoder.verification.metrics import measure_pass_rate
from finishing import finishing

TASK = Task.seed("Write a function add(a, b).", ordinal=0, language="python")
CHECKS = ("assert add(1, 2) == 3", "assert add(0, 0) == 0")
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"
WRONG = "```python\ndef add(a, b):\n    return a * b + 1\n```"


def python_of(text):
    blocks = code_blocks(text)
    return blocks[0].code if blocks else None


def measured(driver, answer, *, checks=CHECKS, k=8, temperature=1.0, word="stop"):
    asked = []

    def said(request):
        asked.append(request.seed)
        return answer(request.seed)

    async def passes(answer, checks):
        program = python_of(answer)
        test = AssertTest.of(("add",), "\n".join(checks), check=None)
        return bool(program) and (await grade_asserts(driver.sandbox, program, test, QUICK)).passed

    model = finishing(Role(ScriptedEngine(said), "m", Sampling(temperature, 1.0, 99)), word)
    found = driver.runner.run(
        measure_pass_rate(TASK, checks, model=model, passes=passes, k=k, seed=5)
    )
    return found, asked


def test_the_rate_is_the_share_that_passes(sandbox):
    """Right, wrong, empty and codeless samples all count."""
    answers = [RIGHT, WRONG, "", "no code"]
    found, asked = measured(sandbox, lambda seed: answers[seed % 4], k=12)
    assert found.n == len(set(asked)) == 12
    assert found.n_passed == sum(seed % 4 == 0 for seed in asked)
    assert found.low <= found.rate == found.n_passed / 12 <= found.high


def test_a_greedy_model_is_sampled_once(sandbox):
    """Repeating a deterministic sample adds no information."""
    found, asked = measured(sandbox, lambda seed: RIGHT, temperature=0.0)
    assert (found.n, found.rate, len(asked)) == (1, 1.0, 1)
    assert found.low < 0.3


def test_without_checks_no_request_is_sent(sandbox):
    """No checks, no rate, no cost."""
    found, asked = measured(sandbox, lambda seed: RIGHT, checks=())
    assert (found.kind, found.rate, asked) == ("not_measured", None, [])


def test_samples_that_break_off_give_no_rate(sandbox):
    """A server's fault is not the model's; a truncated sample counts."""
    found, asked = measured(sandbox, lambda seed: WRONG, word="abort")
    assert (found.kind, found.rate, found.n_passed) == ("not_measured", None, 0)
    assert "8 of 8 samples are incomplete: the finish reason is abort" in found.why
    assert len(asked) == len(set(asked)) == 24
    assert measured(sandbox, lambda seed: WRONG, word="length")[0].rate == 0.0
