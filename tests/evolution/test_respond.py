"""One task becomes a response or a drop, whatever the model answers."""

import asyncio

import pytest

from evolcoder.config.load import check
from evolcoder.engine.base import Completion, Message, Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.evolution.respond import respond
from evolcoder.ids import seed_for
from evolcoder.records import Drop, Reason, Response, Stage, Task
from evolcoder.text import named_language

CODE = "Here it is.\n\n```python\ndef add(a, b):\n    return a + b\n```"
WRITE = "Write a Python function that adds two numbers."


def run(answer, instruction=WRITE, *, max_tokens=500, **sections):
    """Answer a task with a text, or with a function of the request."""
    told = answer if callable(answer) else lambda _: answer
    role = Role(ScriptedEngine(told), "toy", Sampling(1.0, 0.9, max_tokens))
    task = Task.seed(instruction, ordinal=3, language=named_language(instruction))
    return asyncio.run(respond(task, responder=role, config=check(sections, where="test")))


def reason(answer, instruction=WRITE, **more):
    made = run(answer, instruction, **more)
    return made.reason if isinstance(made, Drop) else None


def test_the_task_alone_is_the_prompt():
    """Nothing stands before or behind the instruction, and the seed is the task's."""
    seen = []

    def answer(request):
        seen.append(request)
        return CODE

    made = run(answer, seed=4)
    assert isinstance(made, Response)
    assert made.text == CODE
    assert (made.ordinal, made.round) == (3, 0)
    assert [request.messages for request in seen] == [(Message("user", WRITE),)]
    assert seen[0].seed == seed_for(4, "respond", made.task, 0)
    assert made.made is not None
    assert made.made.attempts == 1


def test_reasoning_is_kept_apart_from_the_answer():
    """A thinking model's thoughts are stored, and are no part of the text."""
    made = run(f"<think>add them</think>{CODE}")
    assert isinstance(made, Response)
    assert (made.text, made.reasoning) == (CODE, "add them")


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("", Reason.EMPTY),
        (" \n", Reason.EMPTY),
        ("<think>hm</think>", Reason.EMPTY),
        ("I'm sorry, but I can't assist with that.", Reason.REFUSAL),
        ("As an AI, I have no access to files.", Reason.REFUSAL),
        ("My apologies, the task is unclear to me.", Reason.APOLOGY),
        ("And so it is, then!", Reason.ONLY_STOP_WORDS),
        ("...?!", Reason.ONLY_STOP_WORDS),
        ("Add the two numbers and hand the sum back.", Reason.NO_CODE),
        ("```java\nint add(int a, int b) { return a + b; }\n```", Reason.WRONG_LANGUAGE),
        ("So. " + "Then add it once again. " * 9, Reason.LOOPING),
    ],
)
def test_every_fault_of_an_answer_has_its_reason(answer, wanted):
    """One answer of each kind."""
    assert reason(answer) is wanted


@pytest.mark.parametrize(
    ("instruction", "answer"),
    [
        (WRITE, CODE),
        (WRITE, "```\ndef add(a, b):\n    return a + b\n```"),
        (WRITE, "def add(a, b):\n    return a + b"),
        (WRITE, "Use `lambda a, b: a + b`."),
        (WRITE, f"{CODE}\n\nRun it:\n```bash\npython add.py\n```"),
        (
            WRITE,
            f"I'm sorry that this took long. {CODE} " + " ".join(f"word{n}" for n in range(90)),
        ),
        (WRITE, f"The function is unable to do that twice.\n{CODE}"),
        ("Explain what a class is in Python.", "A class is a plan for objects."),
        ("What is 2 + 2?", "4"),
        ("Create an HTML page with a button.", "```css\nbutton { color: red; }\n```"),
        ("Write a C program.", "```cpp\nint main() {}\n```"),
        ("How do I sort in Python?", "```\nsorted(x)\n```"),
    ],
)
def test_answers_that_will_do_are_kept(instruction, answer):
    """What is only unusual passes."""
    assert reason(answer, instruction) is None


def test_an_answer_that_is_cut_off_is_dropped():
    """A program without its end is no program, and a loop is called a loop."""
    assert reason(CODE, max_tokens=5) is Reason.TRUNCATED
    assert reason("go on and on " * 90, max_tokens=60) is Reason.LOOPING


def test_the_limit_of_apologies_comes_from_the_config():
    """A long answer may begin with an apology."""
    answer = "Sorry for the delay. " + f"{CODE} " + " ".join(f"word{n}" for n in range(40))
    assert reason(answer) is Reason.APOLOGY
    assert reason(answer, eliminate={"apology_words": 20}) is None


def test_another_answer_is_tried_as_often_as_the_config_says():
    """Each try has a seed of its own, and the tokens of all are counted."""
    answers = iter(["", CODE])
    made = run(lambda _: next(answers), respond={"tries": 2})
    assert isinstance(made, Response)
    assert made.made is not None
    assert made.made.attempts == 2


def test_the_last_bad_answer_names_the_reason():
    """A drop shows what was judged, and what it had cost."""
    answers = iter(["", "I'm sorry, I can't help with that."])
    drop = run(lambda _: next(answers), respond={"tries": 2})
    assert isinstance(drop, Drop)
    assert (drop.stage, drop.reason) == (Stage.RESPOND, Reason.REFUSAL)
    assert drop.seen.startswith("I'm sorry")
    assert drop.made is not None
    assert drop.made.attempts == 2


def test_a_rejected_request_is_a_drop_and_other_trouble_is_not():
    """What the server refuses for good costs one record; what may pass stops the caller."""

    def fail(*, retryable):
        raise EngineError("no", asked="toy", retryable=retryable)

    assert reason(lambda _: fail(retryable=False)) is Reason.REJECTED
    with pytest.raises(EngineError):
        run(lambda _: fail(retryable=True))


def test_what_no_encoder_takes_is_replaced():
    """Lone surrogates and NUL never reach the store."""

    class Odd:
        identity = "odd"

        async def complete(self, request):
            return Completion(f"{CODE}\x00\ud800", "", "stop", 1, 1)

        async def aclose(self):
            pass

    role = Role(Odd(), "toy", Sampling(1.0, 0.9, 9))
    task = Task.seed(WRITE, ordinal=0, language="python")
    made = asyncio.run(respond(task, responder=role, config=check({}, where="test")))
    assert isinstance(made, Response)
    assert made.text.endswith("\ufffd\ufffd")
