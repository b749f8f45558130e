"""Writes the model card of a trained model.

The card contains only given or measured facts; the same facts give the same bytes. The user states
the licence, since base, data and the models that wrote the data bear on it; otherwise it is
`unknown`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from evolcoder.bench.prompts import Template
from evolcoder.config.schema import Section
from evolcoder.text import one_line, visible


class ScoreLine(Section):
    """One score of the model, with its interval."""

    bench: str
    """Name of the benchmark."""
    metric: str
    """Such as `pass@1, greedy`."""
    score: float
    """From 0 to 1."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""


class CardNotes(Section):
    """Facts that the training cannot know; may be read from a file (`--notes`)."""

    run: str = ""
    """Id or folder of the run that made the rows."""
    arms: tuple[str, ...] = ()
    """The experiment's arms with these rows, such as `merge-0..3`."""
    scores: tuple[ScoreLine, ...] = ()
    """Scores of this model, if any."""
    license: str = "unknown"
    """Licence of the weights, as the Hub writes it."""


@dataclass(frozen=True, slots=True)
class ModelCardFacts:
    """Facts that the training knows."""

    title: str
    """Name of the model."""
    base: str
    """The base model."""
    method: str
    """`full`, `lora` or `qlora`."""
    is_adapter: bool
    """Whether the folder holds only an adapter, to be loaded on top of the base."""
    template: Template
    """Its prompt template."""
    data: tuple[tuple[str, object], ...]
    """Names and values that describe the training data."""
    recipe: tuple[tuple[str, object], ...]
    """Every setting."""
    result: tuple[tuple[str, object], ...]
    """Measurements."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions of packages."""


def card(facts: ModelCardFacts, notes: CardNotes) -> str:
    """Write the card: YAML for the Hub, then Markdown."""
    parts = (
        f"---\n{yaml.safe_dump(_head(facts, notes), sort_keys=False)}---",
        f"# {one_line(facts.title, 100)}",
        f"`{facts.base}`, fine-tuned ({facts.method}) on coding tasks by evolcoder. "
        + ("This folder holds an adapter; load it on top of the base." if facts.is_adapter else ""),
        _table("Scores", ("benchmark", "metric", "score", "95 %"), _scores(notes)),
        _prompt(facts.template),
        _table("Data", ("what", "value"), [*_origin(notes), *facts.data]),
        _table("Training", ("setting", "value"), facts.recipe),
        _table("Measured", ("what", "value"), facts.result),
        _table("Versions", ("what", "version"), facts.versions),
    )
    return visible("\n\n".join(part.rstrip() for part in parts if part)) + "\n"


def _head(facts: ModelCardFacts, notes: CardNotes) -> dict[str, object]:
    return {
        "license": notes.license,
        "base_model": facts.base,
        "library_name": "peft" if facts.is_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["code", "evol-instruct", "evolcoder", "sft"],
    }


def _prompt(template: Template) -> str:
    """Describe the prompt that the model was trained with."""
    shown = template.wrap("{task}").replace("```", "'''")
    around = "" if template.raw else ", inside the chat template of the tokenizer"
    return (
        f"## Prompt\n\nTemplate `{template.name}`{around}; score it with "
        f"`evolcoder eval --template {template.name}`.\n\n```text\n{shown}\n```"
    )


def _origin(notes: CardNotes) -> Iterable[tuple[str, object]]:
    if notes.run:
        yield "run", notes.run
    if notes.arms:
        yield "arms", ", ".join(notes.arms)


def _scores(notes: CardNotes) -> Iterable[tuple[object, ...]]:
    for line in notes.scores:
        interval = f"{100 * line.low:.1f} to {100 * line.high:.1f}"
        yield line.bench, line.metric, f"{100 * line.score:.1f}", interval


def _table(title: str, heads: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    rows = [f"| {' | '.join(map(_cell, line))} |" for line in lines]
    rule = f"|{' --- |' * len(heads)}"
    return "\n".join((f"## {title}\n", f"| {' | '.join(heads)} |", rule, *rows)) if rows else ""


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return one_line(text, 300).replace("|", "\\|")
