"""Answering a task gives a response or a drop for every model answer."""

import asyncio

import pytest

from evolcoder.config.load import validate
from evolcoder.engine.base import Completion, Message, Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.evolution.respond import code_alone, respond
from evolcoder.ids import seed_for
from evolcoder.programming_language import named_language
from evolcoder.records import Drop, Reason, Response, Stage, Task

CODE = "Here it is.\n\n```python\ndef add(a, b):\n    return a + b\n```"
WRITE = "Write a Python function that adds two numbers."


def run(answer, instruction=WRITE, *, max_tokens=500, **sections):
    """Answer a task with a text, or with a function of the request."""
    told = answer if callable(answer) else lambda _: answer
    role = Role(ScriptedEngine(told), "toy", Sampling(1.0, 0.9, max_tokens))
    task = Task.seed(instruction, ordinal=3, language=named_language(instruction))
    return asyncio.run(respond(task, responder=role, config=validate(sections, where="test")))


def reason(answer, instruction=WRITE, **more):
    made = run(answer, instruction, **more)
    return made.reason if isinstance(made, Drop) else None


def test_the_task_alone_is_the_prompt():
    """The request holds only the instruction; the seed depends on the task."""
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
    """Reasoning is stored, and is not part of the text."""
    made = run(f"<think>add them</think>{CODE}")
    assert isinstance(made, Response)
    assert (made.text, made.reasoning) == (CODE, "add them")


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("", Reason.EMPTY),
        (" \n", Reason.EMPTY),
        ("<think>hm</think>", Reason.ONLY_THOUGHT),
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
def test_every_defect_has_its_reason(answer, wanted):
    """One answer for each reason."""
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
        ("Convert this SQL query to Java:\nSELECT name FROM t", "```java\nclass A {}\n```"),
        ("Port the JavaScript below to Go.\n```js\nf()\n```", "```go\npackage main\n```"),
        ("Count the words in the paragraphs of raw HTML.", CODE),
        ("Which selectors of this CSS are never used? Write a checker.", CODE),
    ],
)
def test_acceptable_answers_are_kept(instruction, answer):
    """Unusual answers pass."""
    assert reason(answer, instruction) is None


def test_a_truncated_answer_is_dropped():
    """A truncated repetition is dropped as looping."""
    assert reason(CODE, max_tokens=5) is Reason.TRUNCATED
    assert reason("go on and on " * 90, max_tokens=60) is Reason.LOOPING


def test_the_limit_of_apologies_comes_from_the_config():
    """A long answer may start with an apology."""
    answer = "Sorry for the delay. " + f"{CODE} " + " ".join(f"word{n}" for n in range(40))
    assert reason(answer) is Reason.APOLOGY
    assert reason(answer, eliminate={"apology_words": 20}) is None


def test_the_number_of_attempts_comes_from_the_config():
    """Each attempt has its own seed, and the tokens of all count."""
    answers = iter(["", CODE])
    made = run(lambda _: next(answers), respond={"tries": 2})
    assert isinstance(made, Response)
    assert made.made is not None
    assert made.made.attempts == 2


def test_the_last_bad_answer_names_the_reason():
    """A drop shows the last answer and the total usage."""
    answers = iter(["", "I'm sorry, I can't help with that."])
    drop = run(lambda _: next(answers), respond={"tries": 2})
    assert isinstance(drop, Drop)
    assert (drop.stage, drop.reason) == (Stage.RESPOND, Reason.REFUSAL)
    assert drop.seen.startswith("I'm sorry")
    assert drop.made is not None
    assert drop.made.attempts == 2


class Words:
    """An engine whose answers have the finish reasons given, the last one for ever."""

    identity = "words"

    def __init__(self, *words, text=CODE, reasoning=""):
        self.words, self.seeds = list(words), []
        self.text, self.reasoning = text, reasoning

    async def complete(self, request):
        self.seeds.append(request.seed)
        word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        return Completion.of(self.text, self.reasoning, word, sent=3, received=5)

    async def aclose(self):
        pass


def answered(engine, **sections):
    role = Role(engine, "toy", Sampling(1.0, 0.9, 500))
    task = Task.seed(WRITE, ordinal=0, language="python")
    config = validate(sections, where="test")
    return asyncio.run(respond(task, responder=role, config=config))


@pytest.mark.parametrize("tries", [1, 2, 3, 4])
@pytest.mark.parametrize("word", ["abort", "error", "content_filter", "SAFETY", "odd\nword"])
def test_an_answer_that_breaks_off_is_asked_for_again_and_then_dropped(word, tries):
    """At least three requests with seeds of their own; the drop has the word and the cost of all."""
    engine = Words(word)
    drop = answered(engine, respond={"tries": tries})
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.INCOMPLETE
    assert word.replace("\n", " ") in drop.detail
    n = len(engine.seeds)
    assert n == len(set(engine.seeds)) == max(3, tries) + (tries == 2)
    assert (drop.made.attempts, drop.made.prompt_tokens, drop.made.completion_tokens) == (
        n, 3 * n, 5 * n,
    )  # fmt: skip


@pytest.mark.parametrize("word", ["stop", "eos_token", "end_turn", "tool_calls", None])
def test_a_whole_answer_after_one_that_broke_off_is_kept(word):
    """Whatever the server calls a whole answer."""
    made = answered(Words("abort", word))
    assert isinstance(made, Response)
    assert (made.text, made.made.attempts, made.made.completion_tokens) == (CODE, 2, 10)


def test_an_answer_of_thinking_alone_is_dropped_with_its_length():
    """Also where the thinking was cut, or the answer broke off; the drop shows it."""
    drop = answered(Words("stop", text="", reasoning="Let me see."))
    assert (drop.reason, drop.seen) == (Reason.ONLY_THOUGHT, "Let me see.")
    assert "11 characters" in drop.detail
    for word, reason in (("length", Reason.TRUNCATED), ("abort", Reason.INCOMPLETE)):
        drop = answered(Words(word, text="<think>Let me see."))
        assert drop.reason is reason
        assert "only thought came: 11 characters" in drop.detail


@pytest.mark.parametrize("indent", ["    ", "\t"])
def test_the_indentation_of_the_first_line_is_kept(indent):
    """A body without its function may be the answer."""
    body = f"{indent}x = 1\n{indent}return x"
    assert run(f"<think>hm</think>\n\n{body}\n").text == body
    assert run(f"\n {CODE}\n").text == CODE


def test_a_rejected_request_is_a_drop_and_a_retryable_error_is_raised():
    """A permanent rejection costs one record."""

    def fail(*, retryable):
        raise EngineError("no", asked="toy", retryable=retryable)

    assert reason(lambda _: fail(retryable=False)) is Reason.REJECTED
    with pytest.raises(EngineError):
        run(lambda _: fail(retryable=True))


def test_invalid_characters_are_replaced():
    """Lone surrogates and NUL never reach the store."""

    class Odd:
        identity = "odd"

        async def complete(self, request):
            return Completion(f"{CODE}\x00\ud800", "", "stop", 1, 1)

        async def aclose(self):
            pass

    role = Role(Odd(), "toy", Sampling(1.0, 0.9, 9))
    task = Task.seed(WRITE, ordinal=0, language="python")
    made = asyncio.run(respond(task, responder=role, config=validate({}, where="test")))
    assert isinstance(made, Response)
    assert made.text.endswith("\ufffd\ufffd")


@pytest.mark.parametrize(
    ("task", "answer", "is_whole"),
    [
        ("Write a function that adds.", "Sure:\n```py\nx\n```\nIt adds.", False),
        ("Write a function that adds. Explain it.", "Sure:\n```py\nx\n```\nIt adds.", True),
        ("Explain how to add.", "Sure:\n```py\nx\n```\nIt adds.", True),
        ("Write a function that adds.", "a\n```py\nx\n```\nor\n```py\ny\n```", True),
        ("Write a function that adds.", "a\n```py\nx\n", True),
        ("Write a function that adds.", "def f(): pass", True),
    ],
)
def test_code_stands_alone_where_words_are_not_asked_for(task, answer, is_whole):
    assert code_alone(answer, task) == (answer if is_whole else "```py\nx\n```")


WORDS_ARE_ASKED_FOR = """\
and explain it|. Explanation of each step included|, and describe your approach|, describing each step
. Include a description of the algorithm|. Discuss the trade-offs|and justify your choice
, with a justification of the data structure|. Give a reason for each choice|and say why it terminates
. Analyze its complexity|. Analyse the running time|, with an analysis of the complexity
. Add a complexity analysis|. Summarize the approach|and give a summary|. Comment on its complexity
. Tell me how it works|, telling the reader what to change|. Mention its limits|, mentioning edge cases
. Answer the questions below it|. Answer in one sentence whether it is stable|. State the complexity
. State its assumptions|and state clearly which inputs fail|. In a comment, state why it ends
, stating the time complexity|. State time and space complexity|. A comment states what it needs
. State in one sentence what it does|. Its limits must be clearly stated|. Each step should be explained
. The choice must be justified|. Put an explanation in your answer""".replace("\n", "|").split("|")
"""Ends of a task that asks for a function."""
WORDS_ARE_NOT_ASKED_FOR = """\
with an if statement|that counts the statements of a program|with one return statement
that prints a bank statement|that implements a state machine|that keeps state between calls
that returns the state of a light|that lists the states of the US|, as stated above|without stateful objects
, stateless|that restores the state the game was in|that runs in a reasonable time|that scales reasonably
for a bank teller|that sorts as described below|, with the fields described above|, as explained above
that uses the mentioned list|for the aforementioned class|that returns the answer|that answers range queries
that answers each query in O(1)|with an answer key|that computes summary statistics|that prints a summary table
for a lexical analyzer|for an analyser of logs|for a discussion forum|that shows whitespace
that returns the analysed text|in the described format""".replace("\n", "|").split("|")
"""Ends whose words describe the program or refer to the task."""


@pytest.mark.parametrize(
    ("end", "is_whole"),
    [
        *((end, True) for end in WORDS_ARE_ASKED_FOR),
        *((end, False) for end in WORDS_ARE_NOT_ASKED_FOR),
    ],
)
def test_words_that_describe_the_program_are_no_demand_for_words(end, is_whole):
    """An if statement is code; to state the complexity takes words."""
    answer = "Sure:\n```py\nx\n```\nIt adds."
    task = f"Write a function{'' if end[0] in ',.' else ' '}{end}."
    assert (code_alone(answer, task) == answer) is is_whole
