"""A bait is run against its row's checks, and compared with the answer."""

import pytest

from evolcoder.config.load import VerifyConfig
from evolcoder.records import Check, CheckResult, Response, Task, Usage
from evolcoder.verification.distractor import DistractorCheck, bait_in

FRAME = "A first attempt looks like this; do not take for granted that it is right:"
OWN = "def total(numbers):\n    return sum(number for number in numbers if number > 0)"
CHECKS = ("assert total([1, 2]) == 3", "assert total([4, -1]) == 4")


def run(sandbox, bait, *, own=OWN, checks=CHECKS, heuristic="misdirect", tag="python"):
    """Look at the bait of a row whose checks are these."""
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
def test_a_bait_works_fails_or_is_the_answer(sandbox, bait, kind):
    """Names, comments and docstrings make no other program; whether it works is found by running."""
    assert run(sandbox, bait).kind == kind


def test_the_bait_of_an_earlier_round_is_not_the_answer_either(sandbox):
    """A task that was misdirected twice shows both."""
    later = "def total(numbers):\n    return 1"
    both = f"{OWN}\n```\n\n{FRAME}\n```python\n{later}"
    assert run(sandbox, both).kind == "is_answer"


def test_an_answer_that_shows_the_bait_and_mends_it_is_not_the_bait(sandbox):
    """What is run and compared is the code that the task does not show."""
    bait = "def total(numbers):\n    return sum(numbers)"
    mended = f"{bait}\n```\nforgets the sign. Mended:\n```python\n{OWN}"
    assert run(sandbox, bait, own=mended).kind == "fails"
    shown = f"{bait}\n```\nUse it so:\n```python\nprint(total([1]))"
    assert run(sandbox, bait, own=shown).kind == "is_answer"


def test_the_verdict_holds_how_strong_the_checks_were(sandbox):
    """A bait that passes weak checks may be wrong all the same."""
    verdict = run(sandbox, "def total(xs):\n    return sum(xs)")
    assert (verdict.check, verdict.score) == (Check.BAIT, 0.75)
    assert verdict.detail == {"said": CHECKS[1], "checks": 2, "failed": 1}


def test_without_sound_checks_nothing_is_said(sandbox):
    """But a bait that is the answer is found by reading."""
    assert run(sandbox, "def total(xs):\n    return 1", checks=()).kind == "not_measured"
    assert run(sandbox, OWN, checks=()).kind == "is_answer"


def test_baits_in_other_languages_are_read_and_not_run(sandbox):
    """White space makes no other program there."""
    own = "function total(xs) { return 1; }"
    assert run(sandbox, own.replace(" {", "\n{"), own=own, tag="js").kind == "is_answer"
    assert run(sandbox, "let x = 1", own=own, tag="js").kind == "not_measured"


def test_a_task_of_another_kind_has_no_bait(sandbox):
    """Code that a user's own task shows is no bait."""
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
def test_the_bait_is_the_code_that_a_task_ends_with(text, code):
    """Code that stands before it belongs to the task."""
    found = bait_in(text)
    assert (found and found.code) == code
