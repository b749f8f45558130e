"""The data set card: what the Hub and the next reader must know of an export.

Promises: the same facts and rows give the same bytes; there is no date in it. The licence is what
the user says, and `unknown` until then: it depends on the seeds and on the terms of the models.

>>> card(facts, FORMATS["trl"], tally).splitlines()[0]   # doctest: +SKIP
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
_LOAD = """```python
from datasets import load_dataset

rows = load_dataset("<this folder>", split="train")
```"""


@dataclass(frozen=True, slots=True)
class ModelUsed:
    """A model that had a part in the rows."""

    role: str
    """`evolver`, `responder` or `judge`."""
    identity: str
    """Name and digest, or name and server."""
    terms: str
    """Its licence or terms of use; empty if not known."""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says beside what the rows themselves tell."""

    title: str
    """Name of the data set, for people."""
    license: str
    """Licence of the export, as the Hub writes it; `unknown` unless the user set one."""
    seeds: str
    """Where the seeds come from, in a few words."""
    command: str
    """The command line that made the run."""
    models: tuple[ModelUsed, ...]
    """Every model that was asked."""
    funnel: tuple[FunnelLine, ...]
    """The stages in their order."""
    versions: tuple[tuple[str, str], ...]
    """Names and versions of what made it: this package, its revision, Python."""
    sandbox: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Stages that ran answers, each with the protections that were active."""


@dataclass(slots=True)
class RowCounts:
    """Counts of the rows that went by; not frozen, for it counts while they are written."""

    rounds: Counter[str] = field(default_factory=Counter)
    """Rows by round."""
    heuristics: Counter[str] = field(default_factory=Counter)
    """Evolved rows by heuristic."""
    languages: Counter[str] = field(default_factory=Counter)
    """Rows by programming language."""

    @property
    def rows(self) -> int:
        """Rows that went by."""
        return self.rounds.total()

    def counting(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Hand rows on and count them."""
        for row in rows:
            task = row.task
            self.rounds[f"round {task.round}" if task.round else "seeds"] += 1
            self.languages[task.language or "none named"] += 1
            if task.heuristic:
                self.heuristics[task.heuristic] += 1
            yield row


def card(facts: CardFacts, format: Format, tally: RowCounts) -> str:
    """Write the card of one export: YAML for the Hub, then Markdown for people."""
    parts = (
        f"---\n{yaml.safe_dump(_head(facts, format, tally), sort_keys=False)}---",
        f"# {one_line(facts.title, 100)}",
        f"{tally.rows} coding tasks, made harder round after round by evolcoder, with answers.",
        _LOAD,
        format.used_with,
        _section("Columns", ("column", "meaning"), _meanings(format)),
        _section("Rows", ("round", "rows"), tally.rounds.items()),
        _section("Heuristics", ("heuristic", "rows"), sorted(tally.heuristics.items())),
        _section("Languages", ("language", "rows"), tally.languages.most_common()),
        _section("From seeds to rows", _FUNNEL, _funnel(facts)),
        _section("Sandbox", ("stage that ran answers", "active", "not active"), _layers(facts)),
        _section("Models", ("role", "model", "terms"), _models(facts)),
        f"## Licence\n\n{_licence(facts)}",
        f"## How it was made\n\nSeeds: {one_line(facts.seeds, 300)}\n\n{_code(facts.command)}",
        _section("Versions", ("what", "version"), facts.versions),
    )
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _head(facts: CardFacts, format: Format, tally: RowCounts) -> dict[str, object]:
    return {
        "pretty_name": one_line(facts.title, 100),
        "license": facts.license,
        "language": ["code"],
        "task_categories": ["text-generation"],
        "tags": ["code", "synthetic", "instruction-tuning", "evol-instruct", "evolcoder"],
        "size_categories": [_size(tally.rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": format.file}],
            }
        ],
    }


def _size(n_rows: int) -> str:
    """Name the Hub's size category: the number of digits decides, and the first has three."""
    return _SIZES[min(max(len(str(n_rows)) - 3, 0), len(_SIZES) - 1)]


def _section(title: str, heads: tuple[str, ...], lines: Iterable[tuple[object, ...]]) -> str:
    """Write a section with one table, or nothing if the table has no lines."""
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
    said = (
        f"`{facts.license}`, as set by whoever made this export."
        if facts.license != "unknown"
        else "Not set. Set `export.license` when you know it."
    )
    return (
        f"{said} Two things bear on it: the licence of the seeds, and the terms of the models "
        f"above, some of which limit what may be trained on their output."
    )


def _code(command: str) -> str:
    """Fence a command with more backticks than it holds in a row."""
    command = visible(command, lines=False)
    fence = "```"
    while fence in command:
        fence += "`"
    return f"{fence}bash\n{command}\n{fence}"
