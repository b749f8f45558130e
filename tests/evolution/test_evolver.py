"""Evolving a task gives a harder task or a drop for every model answer."""

import asyncio

import pytest

from evolcoder.config.load import validate
from evolcoder.engine.base import Completion, Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.evolution.evolver import FRAMES, ask_judge, evolve
from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.ids import seed_for
from evolcoder.records import Drop, Reason, Stage, Task

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}
PARENT = Task.seed(
    "Write a Python function that sorts a list of numbers.", ordinal=7, language="python"
)
GOOD = "Skip entries that are not finite, and keep equal ones in their old order."
LITTLE = "Skip infinite and negative zeros."


class Scripted:
    """An evolver that returns the given answers in order and records the requests."""

    def __init__(self, *answers):
        self.requests = []
        self._answers = iter(answers)

    def __call__(self, request):
        self.requests.append(request)
        return next(self._answers)


def role(answer, max_tokens=200):
    return Role(ScriptedEngine(answer), "toy", Sampling(1.0, 0.9, max_tokens))


def run(told, *, heuristic="constrain", judge=None, **sections):
    config = validate(sections, where="test")
    return asyncio.run(
        evolve(
            PARENT,
            round=2,
            heuristic=BY_NAME[heuristic],
            evolver=told if isinstance(told, Role) else role(told),
            judge=judge,
            config=config,
        )
    )


def test_a_good_first_answer_is_the_child():
    """One request; the child has the lineage, language and usage."""
    told = Scripted(GOOD)
    child = run(told)
    assert isinstance(child, Task)
    assert child.instruction == f"{PARENT.instruction} {GOOD}"
    assert (child.parent, child.root, child.ordinal) == (PARENT.id, PARENT.root, 7)
    assert (child.round, child.heuristic, child.language) == (2, "constrain", "python")
    assert child.made is not None
    assert child.made.attempts == len(told.requests) == 1
    assert child.made.model == "scripted#toy"


def test_every_attempt_has_a_seed_of_its_own():
    """Seeds come from the config's seed, the task, the round and the attempt."""
    told = Scripted("", "", "")
    run(told, seed=5)
    wanted = [seed_for(5, "evolve", PARENT.id, 2, attempt) for attempt in range(3)]
    assert [request.seed for request in told.requests] == wanted


def test_a_bad_answer_is_requested_again_with_a_hint():
    """The second request names the problem of the first answer; tokens add up."""
    told = Scripted("To solve this, sort it in Python with sorted.", GOOD)
    child = run(told)
    assert isinstance(child, Task)
    first, second = (request.messages[-1].content for request in told.requests)
    assert second.startswith(first)
    assert "no solution" in second.removeprefix(first)
    assert child.made is not None
    assert child.made.attempts == 2
    assert child.made.completion_tokens == sum(len(a.split()) for a in (GOOD, "x " * 9))


def test_a_drop_lists_the_reason_of_every_attempt():
    """In = kept + dropped: if all attempts fail, one drop lists them."""
    drop = run(Scripted("", "I'm sorry, but no.", "Sort numbers properly and efficiently."))
    assert isinstance(drop, Drop)
    assert (drop.stage, drop.subject, drop.round) == (Stage.EVOLVE, PARENT.id, 2)
    assert (drop.ordinal, drop.heuristic) == (7, "constrain")
    assert [part.split(" ")[0] for part in drop.detail.split("; ")] == [
        "empty",
        "refusal",
        "equal_to_parent",
    ]
    assert drop.made is not None
    assert drop.made.attempts == 3


def test_a_doubtful_candidate_is_kept_if_no_better_one_comes():
    """More attempts are made before it is accepted."""
    child = run(Scripted(LITTLE, "", "I'm sorry."))
    assert isinstance(child, Task)
    assert child.instruction.endswith(LITTLE)
    assert child.made is not None
    assert child.made.attempts == 3


def test_the_passing_candidate_with_most_new_words_is_kept():
    """A later candidate with more new words beats an earlier doubtful one."""
    child = run(Scripted(LITTLE, GOOD))
    assert isinstance(child, Task)
    assert child.instruction.endswith(GOOD)


def test_candidates_are_tried_no_more_often_than_the_config_says():
    """With one candidate there is no second request."""
    told = Scripted("")
    assert isinstance(run(told, evolve={"candidates": 1}), Drop)
    assert len(told.requests) == 1


def test_a_distractor_is_appended_to_the_stricter_task():
    """The child has the requirement, an introduction, and the fenced code."""
    answer = "```python\ndef f(x):\n    return sorted(x)\n```\nDemand: Put NaN entries last."
    child = run(Scripted(answer), heuristic="misdirect")
    assert isinstance(child, Task)
    prose, frame, code = (
        child.instruction.partition("\n\n")[0],
        *child.instruction.partition("\n\n")[2].split("\n", 1),
    )
    assert prose == f"{PARENT.instruction} Put NaN entries last."
    assert frame in FRAMES
    assert code == "```python\ndef f(x):\n    return sorted(x)\n```"


def test_a_truncated_answer_is_not_kept():
    """An answer that ends at the length limit is dropped as truncated."""
    drop = run(role(lambda _: GOOD, max_tokens=4))
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.TRUNCATED


def test_a_rejected_request_is_a_drop():
    """A request that the server rejects for its content costs one record."""

    def reject(_):
        raise EngineError("too long", asked="toy", retryable=False)

    drop = run(reject)
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.REJECTED
    assert "too long" in drop.detail


def test_a_retryable_error_is_raised():
    """An engine that may recover drops nothing."""

    def fail(_):
        raise EngineError("down", asked="toy", retryable=True)

    with pytest.raises(EngineError, match="down"):
        run(fail)


@pytest.mark.parametrize(
    ("word", "kept"), [("NO", False), ("No.", False), ("YES", True), ("Hm", True)]
)
def test_the_judge_only_decides_doubtful_candidates(word, kept):
    """NO rejects a candidate that adds little; any other answer accepts it."""
    made = run(Scripted(LITTLE), judge=role(lambda _: word), evolve={"candidates": 1})
    assert isinstance(made, Task) is kept
    if not kept:
        assert made.reason is Reason.JUDGED_EQUAL


def test_the_judge_is_not_asked_about_clearly_harder_tasks():
    """A judge that always answers NO cannot drop a good child."""
    judge = Scripted()
    assert isinstance(run(Scripted(GOOD), judge=role(judge)), Task)
    assert judge.requests == []


def test_the_same_answers_give_the_same_child():
    """Same seed, same bytes."""
    assert run(Scripted("", GOOD)) == run(Scripted("", GOOD))


@pytest.mark.parametrize("candidates", [1, 2, 3])
@pytest.mark.parametrize("word", ["abort", "error", "content_filter"])
def test_a_candidate_that_breaks_off_is_no_task(word, candidates):
    """However complete it looks: at least three requests, then a drop with the word."""
    asked = []

    class BreaksOff:
        identity = "broken"

        async def complete(self, request):
            asked.append(request.seed)
            return Completion(GOOD, "", word, 3, 5)

        async def aclose(self):
            pass

    engine = BreaksOff()
    drop = run(Role(engine, "toy", Sampling(1.0, 0.9, 99)), evolve={"candidates": candidates})
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.INCOMPLETE
    assert f"the finish reason is {word}" in drop.detail
    assert len(asked) == len(set(asked)) == drop.made.attempts >= 3
    assert drop.made.completion_tokens == 5 * len(asked)


def test_a_candidate_of_thinking_alone_is_no_task():
    """The drop says so, with the length."""
    drop = run(Scripted(*["<think>Let me see.</think>"] * 3))
    assert drop.reason is Reason.ONLY_THOUGHT
    assert "only thought came: 11 characters" in drop.detail


def test_a_judge_whose_answer_breaks_off_decides_nothing():
    """Its NO may have been the beginning of another word."""

    class Judge:
        identity = "judge"

        async def complete(self, request):
            return Completion("No", "", "abort", 1, 1)

        async def aclose(self):
            pass

    judge = Role(Judge(), "toy", Sampling(0.0, 1.0, 9))
    violation, answer = asyncio.run(ask_judge(judge, "a", "b", seed=1))
    assert violation is None
    assert answer.requests == 3


def test_a_candidate_that_passed_is_kept_if_a_later_request_is_rejected():
    """What was paid for is not thrown away."""

    def told(request):
        if told.n:
            raise EngineError("flagged", asked="toy", retryable=False)
        told.n += 1
        return LITTLE

    told.n = 0
    made = run(told, evolve={"candidates": 3})
    assert isinstance(made, Task), made


def test_a_rejection_after_a_failed_attempt_keeps_the_servers_words():
    """The drop lists the attempts, and then what the server said."""

    def told(request):
        if told.n:
            raise EngineError("flagged by moderation", asked="toy", retryable=False)
        told.n += 1
        return ""

    told.n = 0
    drop = run(told, evolve={"candidates": 3})
    assert drop.reason is Reason.REJECTED
    assert drop.detail.startswith("empty (")
    assert "flagged by moderation" in drop.detail
