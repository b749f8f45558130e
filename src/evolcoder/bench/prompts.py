"""The prompts that a model is scored with, as data; training uses the same objects.

Promises: a template filled with the same words gives the same text, and what is stored with a
result is enough to fill it again. The wording is ours; the headings of the instruction form are the
ones that WizardCoder and Alpaca models were trained on. Does not apply a model's own chat template:
an engine or a tokenizer does that to the messages.

>>> COMPLETION.fill(Asked(instruction="", code="def f():", language="python", stops=()))
'def f():'
"""

from dataclasses import dataclass

from evolcoder.bench.base import PromptForm, PromptSettings
from evolcoder.engine.base import RAW, Message
from evolcoder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Template:
    """One way to put a task to a model."""

    name: str
    """What `--template` calls it, and results too."""
    origin: str
    """Where the form comes from."""
    head: str
    """What stands before the task."""
    tail: str
    """What stands after it, up to where the answer begins."""
    form: PromptForm
    """What comes back: an answer to take a program out of, or a continuation of code."""
    raw: bool
    """Whether a model continues the text as it is; else its own chat template goes around it."""

    def wrap(self, task: str) -> str:
        """Put a task, such as a training instruction, between head and tail."""
        return f"{self.head}{task}{self.tail}"

    def fill(self, asked: PromptSettings) -> str:
        """Put a benchmark's problem between head and tail."""
        return self.wrap(asked.code if self.form is PromptForm.CONTINUATION else asked.instruction)

    def messages(self, asked: PromptSettings) -> tuple[Message, ...]:
        """Return the chat that asks a problem: one message of the user, or the raw text."""
        return (Message(RAW if self.raw else "user", self.fill(asked)),)


WIZARDCODER = Template(
    name="wizardcoder",
    origin="the instruction form of WizardCoder (arXiv 2306.08568), after Alpaca",
    head="An instruction for a programming task follows. "
    "Write the response that carries it out.\n\n### Instruction:\n",
    tail="\n\n### Response:",
    form=PromptForm.ANSWER,
    raw=True,
)
CHAT = Template(
    name="chat",
    origin="the task alone; the model's chat template does the rest",
    head="",
    tail="",
    form=PromptForm.ANSWER,
    raw=False,
)
COMPLETION = Template(
    name="completion",
    origin="the benchmark's own prompt, to be continued by a base model",
    head="",
    tail="",
    form=PromptForm.CONTINUATION,
    raw=True,
)
TEMPLATES = {template.name: template for template in (CHAT, COMPLETION, WIZARDCODER)}
"""Name -> template."""


def template_named(name: str) -> Template:
    """Return a template, or say which there are."""
    if name not in TEMPLATES:
        raise ConfigError(f"--template {name}: not known; known are {', '.join(TEMPLATES)}")
    return TEMPLATES[name]
