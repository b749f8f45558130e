"""Recipes: presets by name, errors of one line."""

import pytest

from evolcoder.errors import ConfigError, TrainError
from evolcoder.training.recipe import PRESETS, recipe_of


def test_wizardcoder_is_as_published():
    """Batch, rate, schedule, warm-up and length are the paper's."""
    recipe = recipe_of("wizardcoder", {})
    assert (recipe.batch_rows, recipe.learning_rate, recipe.schedule) == (512, 2e-5, "cosine")
    assert (recipe.warmup_steps, recipe.max_length) == (30, 2048)
    assert (recipe.epochs, recipe.steps) == (3.0, None)
    assert recipe.template == "wizardcoder"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset):
    """A preset can be taken as it is, and changed."""
    assert recipe_of(preset, {"steps": 200}).steps == 200


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        ("wizzard", {}, "known are wizardcoder, small, small-lora"),
        ("small", {"learning_rat": 1}, "unknown key learning_rat; did you mean learning_rate?"),
        ("small", {"epochs": -1}, "epochs"),
        ("small", {"merge": True}, "merge: needs method lora, not full"),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(preset, changes, said):
    """An error names the key and the value."""
    with pytest.raises((ConfigError, TrainError)) as caught:
        recipe_of(preset, changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
