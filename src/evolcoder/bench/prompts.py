"""Prompt templates for evaluation, as data; training uses the same objects.

Guarantees: filling a template is deterministic, and can be repeated from what is stored with a
result. The wording is ours; the headings of the instruction template are those that WizardCoder and
Alpaca models were trained on. Does not apply a model's chat template: engines and tokenizers do.

>>> COMPLETION.fill(PromptSettings(instruction="", code="def f():", language="python", stops=()))
'def f():'
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evolcoder.bench.base import PromptForm, PromptSettings
from evolcoder.code.fill_in_middle import FIM_TOKENS
from evolcoder.engine.base import RAW, Message
from evolcoder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt template."""

    name: str
    """Name in `--template` and in results."""
    origin: str
    """Source of the template."""
    head: str
    """Text before the task."""
    tail: str
    """Text after the task, up to where the answer begins."""
    form: PromptForm
    """Form of the output: a chat answer that contains a program, or a continuation of code."""
    raw: bool
    """Whether the model continues the raw text; otherwise its chat template is applied."""
    ending: str | None = None
    """What white space at the end of a prompt is replaced with; None to leave it as it is."""
    gap: tuple[str, str, str] | None = None
    """Tokens before the code, between it and the code after its gap, and before what fills the gap;
    None for templates of code without a gap."""

    def wrap(self, task: str) -> str:
        """Fill the template with a task, such as a training instruction."""
        return f"{self.head}{task}{self.tail}"

    def fill(self, prompt: PromptSettings) -> str:
        """Fill the template with a benchmark problem."""
        if self.gap is not None:
            before, between, then = self.gap
            return f"{before}{prompt.code}{between}{prompt.after or ''}{then}"
        is_code = self.form is PromptForm.CONTINUATION
        text = self.wrap(prompt.code if is_code else prompt.instruction)
        return text if self.ending is None else f"{text.rstrip()}{self.ending}"

    def messages(self, prompt: PromptSettings) -> tuple[Message, ...]:
        """Return the messages of a prompt: one user message, or the raw text."""
        return (Message(RAW if self.raw else "user", self.fill(prompt)),)


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
"""Name -> template of training and evaluation."""
GAP_TEMPLATES = {
    f"fim-{family}": Template(
        name=f"fim-{family}",
        origin=f"fill-in-the-middle tokens of the {family} family, as its models' cards have them",
        head="",
        tail="",
        form=PromptForm.CONTINUATION,
        raw=True,
        gap=tokens[:3],
    )
    for family, tokens in FIM_TOKENS.items()
}
"""Name -> template of benchmarks whose prompts have a gap."""
EVALUATION_TEMPLATES = TEMPLATES | GAP_TEMPLATES
"""Name -> template of evaluation."""
ENDINGS = {"": None, "stripped": "", "newline": "\n"}
"""Name of an end of prompts -> `Template.ending`."""


def template_named(name: str, known: Mapping[str, Template] = TEMPLATES) -> Template:
    """Return the template with this name, or raise ConfigError with the known names."""
    if name not in known:
        raise ConfigError(f"--template {name}: unknown; choose one of {', '.join(known)}")
    return known[name]
