"""One task becomes a harder task or a drop, whatever the model answers."""

import asyncio

import pytest

from evolcoder.config.load import check
from evolcoder.engine.base import Role, Sampling
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError
from evolcoder.evolution.evolver import FRAMES, evolve
from evolcoder.evolution.heuristics import BUILT_IN
from evolcoder.ids import seed_for
from evolcoder.records import Drop, Reason, Stage, Task

BY_NAME = {heuristic.name: heuristic for heuristic in BUILT_IN}
PARENT = Task.seed(
    "Write a Python function that sorts a list of numbers.", ordinal=7, language="python"
)
GOOD = "Skip entries that are not finite, and keep equal ones in their old order."
LITTLE = "Skip infinite and negative zeros."


class Told:
    """An evolver that gives the answers it was told, one after the other, and notes the requests."""

    def __init__(self, *answers):
        self.requests = []
        self._answers = iter(answers)

    def __call__(self, request):
        self.requests.append(request)
        return next(self._answers)


def role(answer, max_tokens=200):
    return Role(ScriptedEngine(answer), "toy", Sampling(1.0, 0.9, max_tokens))


def run(told, *, heuristic="constrain", judge=None, **sections):
    config = check(sections, where="test")
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
    """One request; the lineage, the language and the cost are the child's."""
    told = Told(GOOD)
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
    told = Told("", "", "")
    run(told, seed=5)
    wanted = [seed_for(5, "evolve", PARENT.id, 2, attempt) for attempt in range(3)]
    assert [request.seed for request in told.requests] == wanted


def test_a_bad_answer_is_asked_for_again_with_a_hint():
    """The second candidate is told what was wrong with the first, and the tokens add up."""
    told = Told("To solve this, sort it in Python with sorted.", GOOD)
    child = run(told)
    assert isinstance(child, Task)
    first, second = (request.messages[-1].content for request in told.requests)
    assert second.startswith(first)
    assert "no solution" in second.removeprefix(first)
    assert child.made is not None
    assert child.made.attempts == 2
    assert child.made.completion_tokens == sum(len(a.split()) for a in (GOOD, "x " * 9))


def test_a_drop_tells_the_reason_of_every_candidate():
    """In = kept + dropped: what never works is one drop that shows all attempts."""
    drop = run(Told("", "I'm sorry, but no.", "Sort numbers properly and efficiently."))
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


def test_what_adds_little_is_kept_when_nothing_better_comes():
    """A doubtful candidate is tried to be bettered, and not thrown away."""
    child = run(Told(LITTLE, "", "I'm sorry."))
    assert isinstance(child, Task)
    assert child.instruction.endswith(LITTLE)
    assert child.made is not None
    assert child.made.attempts == 3


def test_of_several_that_do_the_one_that_adds_most_is_kept():
    """A later candidate with more new words wins over an earlier doubtful one."""
    child = run(Told(LITTLE, GOOD))
    assert isinstance(child, Task)
    assert child.instruction.endswith(GOOD)


def test_candidates_are_tried_no_more_often_than_the_config_says():
    """With one candidate there is no second request."""
    told = Told("")
    assert isinstance(run(told, evolve={"candidates": 1}), Drop)
    assert len(told.requests) == 1


def test_a_bait_is_shown_behind_the_stricter_task():
    """The child holds the demand, a word of caution, and the code in a fence."""
    answer = "```python\ndef f(x):\n    return sorted(x)\n```\nDemand: Put NaN entries last."
    child = run(Told(answer), heuristic="misdirect")
    assert isinstance(child, Task)
    prose, frame, code = (
        child.instruction.partition("\n\n")[0],
        *child.instruction.partition("\n\n")[2].split("\n", 1),
    )
    assert prose == f"{PARENT.instruction} Put NaN entries last."
    assert frame in FRAMES
    assert code == "```python\ndef f(x):\n    return sorted(x)\n```"


def test_an_answer_that_is_cut_off_is_not_kept():
    """What ends at the length limit is dropped as truncated."""
    drop = run(role(lambda _: GOOD, max_tokens=4))
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.TRUNCATED


def test_a_rejected_request_is_a_drop():
    """What a server refuses for what it holds costs one record."""

    def reject(_):
        raise EngineError("too long", asked="toy", retryable=False)

    drop = run(reject)
    assert isinstance(drop, Drop)
    assert drop.reason is Reason.REJECTED
    assert "too long" in drop.detail


def test_trouble_that_may_pass_is_not_the_tasks():
    """An engine that may recover stops the caller; nothing is dropped."""

    def fail(_):
        raise EngineError("down", asked="toy", retryable=True)

    with pytest.raises(EngineError, match="down"):
        run(fail)


@pytest.mark.parametrize(
    ("word", "kept"), [("NO", False), ("No.", False), ("YES", True), ("Hm", True)]
)
def test_the_judge_decides_only_what_is_in_doubt_already(word, kept):
    """Its NO drops a candidate that adds little; anything else lets it pass."""
    made = run(Told(LITTLE), judge=role(lambda _: word), evolve={"candidates": 1})
    assert isinstance(made, Task) is kept
    if not kept:
        assert made.reason is Reason.JUDGED_EQUAL


def test_the_judge_is_not_asked_about_what_is_plainly_harder():
    """A judge that says NO to everything cannot drop a good child."""
    judge = Told()
    assert isinstance(run(Told(GOOD), judge=role(judge)), Task)
    assert judge.requests == []


def test_the_same_answers_give_the_same_child():
    """Same seed, same bytes."""
    assert run(Told("", GOOD)) == run(Told("", GOOD))
