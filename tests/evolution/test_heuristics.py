"""The heuristics and the choice among them, which depends on seed, task and round only."""

from collections import Counter

import pytest

from evolcoder.config.load import validate
from evolcoder.errors import ConfigError
from evolcoder.evolution import heuristics
from evolcoder.evolution.heuristics import (
    BUILT_IN,
    Applicability,
    ExampleForm,
    Heuristic,
    TaskContents,
    choose,
    resolve,
)
from evolcoder.programming_language import named_language
from evolcoder.records import Task


def config(**evolve):
    return validate({"evolve": evolve}, where="test").evolve


def task(text, at=0):
    return Task.seed(text, ordinal=at, language=named_language(text))


def test_the_five_of_the_paper_are_built_in_and_complexity_comes_least():
    """Complexity has a third of the others' weight."""
    weights = {heuristic.name: heuristic.weight for heuristic in resolve(config())}
    assert set(weights) == {"constrain", "specialise", "deepen", "misdirect", "complexity"}
    assert weights.pop("complexity") == pytest.approx(1 / 3)
    assert set(weights.values()) == {1.0}


@pytest.mark.parametrize("heuristic", BUILT_IN, ids=lambda one: one.name)
def test_every_built_in_has_a_task_placeholder_and_worked_examples(heuristic):
    """Small models need examples to copy."""
    assert heuristic.template.count("{task}") == 1
    assert len(heuristic.examples) >= 2
    assert heuristic.template.endswith("{task}")


def test_a_user_reweights_a_built_in_and_keeps_its_prompt():
    """A weight changes nothing else, including the origin."""
    (deepen,) = [
        h for h in resolve(config(heuristics={"deepen": {"weight": 5}})) if h.name == "deepen"
    ]
    (original,) = [h for h in BUILT_IN if h.name == "deepen"]
    assert deepen.weight == 5
    assert (deepen.template, deepen.examples, deepen.origin) == (
        original.template,
        original.examples,
        "evolcoder",
    )


def test_a_user_adds_a_heuristic():
    """A name and a template suffice; it requests a whole task and its origin is the user."""
    found = {h.name: h for h in resolve(config(heuristics={"flip": {"template": "Flip: {task}"}}))}
    assert found["flip"] == Heuristic("flip", 1.0, "Flip: {task}", origin="user")
    assert len(found) == len(BUILT_IN) + 1


def test_a_users_template_removes_the_built_in_examples():
    """They answer another template; the required contents stay."""
    own = {"misdirect": {"template": "Trick: {task}", "origin": "me"}}
    (misdirect,) = [h for h in resolve(config(heuristics=own)) if h.name == "misdirect"]
    assert misdirect.examples == ()
    assert misdirect.form is ExampleForm.TASK
    assert misdirect.holds is TaskContents.BAIT
    assert misdirect.origin == "me"


def test_a_user_sets_examples_and_required_contents():
    """Every part of a heuristic can be configured."""
    own = {
        "fast": {
            "template": "Faster: {task}",
            "examples": [{"task": "Sort.", "answer": "In O(n)."}],
            "answer": "addition",
            "must_hold": "bound",
            "suits": "algorithm",
            "weight": 2,
        }
    }
    (fast,) = resolve(config(heuristics=own, only_these=True))
    assert fast.examples == (heuristics.WorkedExample("Sort.", "In O(n)."),)
    assert (fast.form, fast.holds, fast.suits) == (
        ExampleForm.ADDITION,
        TaskContents.BOUND,
        Applicability.ALGORITHM,
    )


def test_only_these_excludes_the_other_built_ins():
    """A built-in that is named in the config is kept."""
    named = config(heuristics={"constrain": {}}, only_these=True)
    assert [h.name for h in resolve(named)] == ["constrain"]


def test_a_weight_of_zero_turns_a_heuristic_off():
    """It is never chosen."""
    off = resolve(config(heuristics={"misdirect": {"weight": 0}}))
    assert "misdirect" not in {h.name for h in off}


@pytest.mark.parametrize(
    "evolve",
    [
        {"heuristics": {h.name: {"weight": 0} for h in BUILT_IN}},
        {"only_these": True},
    ],
)
def test_weights_that_sum_to_zero_are_a_config_error(evolve):
    """The message is one line that names the key."""
    with pytest.raises(ConfigError, match=r"^evolve\.heuristics: .*weight") as caught:
        resolve(config(**evolve))
    assert "\n" not in str(caught.value)


def test_a_new_heuristic_without_a_template_is_a_config_error():
    """The message is one line that names the key and the built-in heuristics."""
    with pytest.raises(ConfigError, match=r"^evolve\.heuristics\.depen: has no template.*deepen"):
        resolve(config(heuristics={"depen": {"weight": 1}}))


def test_a_template_without_placeholder_is_a_config_error():
    """Loading the config checks it."""
    with pytest.raises(ConfigError, match=r"template has no \{task\}"):
        config(heuristics={"mine": {"template": "Make it hard."}})


def test_the_choice_depends_on_seed_task_and_round_alone():
    """Equal inputs give the same choice; each input can change it."""
    known = resolve(config())
    tasks = [task(f"Write a function that sorts list {n}.", n) for n in range(40)]

    def names(seed, round):
        return [choose(known, seed, each, round).name for each in tasks]

    assert names(1, 1) == names(1, 1)
    assert names(1, 1) != names(2, 1)
    assert names(1, 1) != names(1, 2)
    assert len(set(names(1, 1))) > 1


def test_heuristics_are_chosen_by_weight():
    """Over many tasks the frequencies match the weights."""
    known = resolve(config())
    chosen = Counter(
        choose(known, 0, task(f"Write a function that sorts list {n}.", n), 1).name
        for n in range(2600)
    )
    for heuristic in known:
        assert chosen[heuristic.name] == pytest.approx(600 * heuristic.weight, rel=0.2)


@pytest.mark.parametrize(
    ("text", "unsuited"),
    [
        ("Explain the use of classes in Python", {"misdirect", "complexity"}),
        ("Create an HTML form with a list of fields", {"complexity"}),
        ("Write a program that prints hello", {"complexity"}),
        ("Write a C function that sorts an array", set()),
    ],
)
def test_a_heuristic_is_chosen_for_tasks_that_it_applies_to(text, unsuited):
    """No distractor for an explanation, and no bound without a growing input."""
    categories = heuristics.categories_of(task(text))
    assert {h.name for h in BUILT_IN if h.suits not in categories} == unsuited
    assert choose(BUILT_IN, 3, task(text), 1).name not in unsuited


def test_if_none_applies_all_can_be_chosen():
    """A run with one heuristic uses it for every task."""
    only = resolve(config(heuristics={"complexity": {}}, only_these=True))
    assert choose(only, 0, task("Explain classes."), 1).name == "complexity"
