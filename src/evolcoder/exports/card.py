"""The data set card of an export, for the Hub and for readers.

The same facts and rows give the same bytes; there is no date. The licence is `unknown` unless the
user sets it, because it depends on the seeds and the terms of the models.

>>> card(facts, FORMATS["trl"], counts).splitlines()[0]   # doctest: +SKIP
'---'
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import yaml

from evolcoder.exports.formats import BODY, LINEAGE, Format
from evolcoder.records import Row
from evolcoder.sandbox.base import missing_from
from evolcoder.storage.stats import FunnelLine
from evolcoder.text import one_line, visible

_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B")
_FUNNEL = ("stage", "round", "in", "kept", "dropped")
_ANSWERED = ("asked for", "answered, as the server says", "tasks and answers")
_LOAD = """```python
from datasets import load_dataset

rows = load_dataset("<this folder>", split="train")
```"""


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """A model used for the rows."""

    role: str
    """`evolver`, `responder` or `judge`."""
    identity: str
    """Name with file digest or server."""
    terms: str
    """Its licence or terms of use; empty if unknown."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """The contents of a card that do not come from the rows."""

    title: str
    """Display name of the data set."""
    license: str
    """Licence of the export as a Hub identifier; `unknown` unless the user set one."""
    seeds: str
    """Source of the seeds, in a few words."""
    command: str
    """Command line of the run."""
    models: tuple[ModelUsed, ...]
    """All models used."""
    funnel: tuple[FunnelLine, ...]
    """The funnel of the run, in order."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions of the software: this package, its revision, Python."""
    sandbox: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Stages that executed responses, with the active sandbox layers."""
    answered: tuple[tuple[str, str, int], ...] = ()
    """(model asked for, other name under which it answered, tasks and answers)."""


@dataclass(slots=True)
class RowCounts:
    """Counts of rows, updated while they are written."""

    rounds: Counter[str] = field(default_factory=Counter)
    """Rows by round."""
    heuristics: Counter[str] = field(default_factory=Counter)
    """Evolved rows by heuristic."""
    languages: Counter[str] = field(default_factory=Counter)
    """Rows by programming language."""

    @property
    def rows(self) -> int:
        """Rows counted."""
        return self.rounds.total()

    def counting(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows and count them."""
        for row in rows:
            task = row.task
            self.rounds[f"round {task.round}" if task.round else "seeds"] += 1
            self.languages[task.language or "none named"] += 1
            if task.heuristic:
                self.heuristics[task.heuristic] += 1
            yield row


def card(facts: CardFacts, format: Format, counts: RowCounts) -> str:
    """Format the card of one export: YAML metadata, then Markdown."""
    parts = (
        f"---\n{yaml.safe_dump(_head(facts, format, counts), sort_keys=False)}---",
        f"# {one_line(facts.title, 100)}",
        f"{counts.rows} coding tasks, made harder round after round by evolcoder, with answers.",
        _LOAD,
        format.used_with,
        _section("Columns", ("column", "meaning"), _meanings(format)),
        _section("Rows", ("round", "rows"), counts.rounds.items()),
        _section("Heuristics", ("heuristic", "rows"), sorted(counts.heuristics.items())),
        _section("Languages", ("language", "rows"), counts.languages.most_common()),
        _section("From seeds to rows", _FUNNEL, _funnel(facts)),
        _section("Sandbox", ("stage that ran answers", "active", "not active"), _layers(facts)),
        _section("Models", ("role", "model", "terms"), _models(facts)),
        _section("Models that answered", _ANSWERED, facts.answered),
        f"## Licence\n\n{_licence(facts)}",
        f"## How it was made\n\nSeeds: {one_line(facts.seeds, 300)}\n\n{_code(facts.command)}",
        _section("Versions", ("what", "version"), facts.versions),
    )
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _head(facts: CardFacts, format: Format, counts: RowCounts) -> dict[str, object]:
    return {
        "pretty_name": one_line(facts.title, 100),
        "license": facts.license,
        "language": ["code"],
        "task_categories": ["text-generation"],
        "tags": ["code", "synthetic", "instruction-tuning", "evol-instruct", "evolcoder"],
        "size_categories": [_size(counts.rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": format.file}],
            }
        ],
    }


def _size(n_rows: int) -> str:
    """Return the Hub's size category, which depends on the number of digits."""
    return _SIZES[min(max(len(str(n_rows)) - 3, 0), len(_SIZES) - 1)]


def _section(title: str, heads: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    """Format a section with one table; empty if the table has no rows."""
    rows = [f"| {' | '.join(map(_cell, line))} |" for line in lines]
    rule = f"|{' --- |' * len(heads)}"
    return "\n".join((f"## {title}\n", f"| {' | '.join(heads)} |", rule, *rows)) if rows else ""


def _cell(value: object) -> str:
    return one_line(str(value), 300).replace("|", "\\|")


def _meanings(format: Format) -> Iterator[tuple[object, ...]]:
    for name in format.shape():
        yield name, {**BODY, **LINEAGE}[name]


def _funnel(facts: CardFacts) -> Iterator[tuple[object, ...]]:
    for line in facts.funnel:
        why = [f"{reason} {count}" for reason, count in line.dropped.items()]
        why += [f"still waiting {line.waiting}"] if line.waiting else []
        yield line.stage, line.round, line.entered, line.kept, ", ".join(why) or "0"


def _layers(facts: CardFacts) -> Iterator[tuple[object, ...]]:
    for stage, layers in facts.sandbox:
        yield stage, ", ".join(layers), ", ".join(missing_from(layers)) or "none"


def _models(facts: CardFacts) -> Iterator[tuple[object, ...]]:
    for model in facts.models:
        yield model.role, model.identity, model.terms or "not known: see its provider"


def _licence(facts: CardFacts) -> str:
    source = (
        f"`{facts.license}`, as set for this export."
        if facts.license != "unknown"
        else "Not set. Set `export.license` when you know it."
    )
    return (
        f"{source} Two things bear on it: the licence of the seeds, and the terms of the models "
        f"above, some of which limit what may be trained on their output."
    )


def _code(command: str) -> str:
    """Fence a command with more backticks than it contains in a row."""
    command = visible(command, lines=False)
    fence = "```"
    while fence in command:
        fence += "`"
    return f"{fence}bash\n{command}\n{fence}"
