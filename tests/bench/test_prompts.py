"""Templates: the same object prompts for a benchmark and for training."""

import pytest

from evolcoder.bench.base import PromptForm, PromptSettings
from evolcoder.bench.prompts import CHAT, COMPLETION, TEMPLATES, WIZARDCODER, template_named
from evolcoder.engine.base import Message
from evolcoder.errors import ConfigError

ASKED = PromptSettings("Add {one}.", "def f(x):\n", "python", ("\ndef ",))


def test_the_instruction_form_has_alpacas_headings():
    """The headings of WizardCoder's training data: preface, instruction, response, in order."""
    text = WIZARDCODER.fill(ASKED)
    preface, instruction, response = text.split("### ")
    assert preface.strip()
    assert (instruction, response) == ("Instruction:\nAdd {one}.\n\n", "Response:")


def test_training_and_asking_give_the_same_text():
    """An instruction of a training set and one of a benchmark get the same text around them."""
    for template in (WIZARDCODER, CHAT):
        assert template.wrap(ASKED.instruction) == template.fill(ASKED)


def test_a_completion_is_the_code_and_nothing_else():
    """A base model gets the exact prompt, including its last line break."""
    assert COMPLETION.fill(ASKED) == ASKED.code
    assert COMPLETION.form is PromptForm.CONTINUATION


def test_a_template_makes_one_message_of_the_user():
    """An engine gets the text as a chat."""
    assert CHAT.messages(ASKED) == (Message("user", "Add {one}."),)


def test_templates_are_found_by_their_names():
    """The error for an unknown name lists all known ones."""
    assert {name: template_named(name).name for name in TEMPLATES} == {n: n for n in TEMPLATES}
    with pytest.raises(ConfigError, match="--template alpaca: unknown; choose one of chat"):
        template_named("alpaca")
