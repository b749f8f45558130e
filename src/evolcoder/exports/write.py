"""Writes a training set in several formats, with data set cards and configs for trainers.

Rows are streamed, in one pass for all formats whose rows are not derived. Files are written
atomically, and the same rows and facts give the same bytes. An existing export is overwritten file
by file; links out of it are not followed. The caller selects and orders the rows.

    <out>/<format>/data.json, data.jsonl or data.parquet
    <out>/<format>/validation.json, …    the rows of some lineages, if `validation` is set
    <out>/<format>/trainers.jsonl        the rows for LLaMA-Factory and axolotl, if they need others
    <out>/<format>/README.md             the data set card, which `load_dataset(<folder>)` follows
    <out>/<format>/dataset_info.json     for LLaMA-Factory
    <out>/<format>/axolotl.yaml          for axolotl

A card has no date. Its licence is `unknown` unless the user sets it, because it depends on the
seeds and the terms of the models.

>>> export(lambda _: store.rows(), ["messages"], out, facts)[0].path   # doctest: +SKIP
PosixPath('runs/x/export/messages/data.jsonl')
>>> card(facts, FORMATS["trl"], counts).splitlines()[0]   # doctest: +SKIP
'---'
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import orjson
import yaml

from evolcoder.config.load import ExportConfig, ExportFormat
from evolcoder.errors import ConfigError, RunFolderError
from evolcoder.exports.formats import (
    BODY,
    DERIVED,
    FORMATS,
    LINEAGE,
    TRAINER_FILE,
    Columns,
    Format,
    lineage,
)
from evolcoder.ids import content_id
from evolcoder.markdown import table_section
from evolcoder.records import Row
from evolcoder.sandbox.base import missing_from
from evolcoder.storage import atomic
from evolcoder.storage.stats import FunnelLine
from evolcoder.text import one_line
from evolcoder.visible import visible

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
    left_out: str = ""
    """Rows that are not exported, and why, in a sentence; empty if all are."""


@dataclass(slots=True)
class RowCounts:
    """Counts of rows, updated while they are written."""

    rounds: Counter[str] = field(default_factory=Counter)
    """Rows by round."""
    heuristics: Counter[str] = field(default_factory=Counter)
    """Evolved rows by heuristic."""
    languages: Counter[str] = field(default_factory=Counter)
    """Rows by programming language."""
    verified: Counter[str] = field(default_factory=Counter)
    """Rows by what verification showed."""

    @property
    def rows(self) -> int:
        """Rows counted."""
        return self.rounds.total()

    def add(self, row: Row, own: Columns) -> None:
        """Count a row with these lineage columns."""
        task = row.task
        self.rounds[f"round {task.round}" if task.round else "seeds"] += 1
        self.languages[task.language or "none named"] += 1
        self.verified[str(own["verified"])] += 1
        if task.heuristic:
            self.heuristics[task.heuristic] += 1


def card(
    facts: CardFacts,
    format: Format,
    counts: RowCounts,
    splits: Sequence[tuple[str, str]] = (),
    held: RowCounts | None = None,
) -> str:
    """Format the card of one export: YAML metadata, then Markdown.

    `splits` are names of splits with their files, by default the data file alone; `held` are the
    rows of the validation split.
    """
    splits = splits or (("train", format.file),)
    n_rows, n_held = counts.rows, held.rows if held else 0
    apart = f" {n_held} more are in the validation split." if n_held else ""
    parts = (
        f"---\n{yaml.safe_dump(_head(facts, splits, n_rows + n_held), sort_keys=False)}---",
        f"# {one_line(facts.title, 100)}",
        f"{n_rows} coding tasks, made harder round after round by evolcoder, with answers.{apart}",
        _LOAD,
        format.used_with,
        table_section("Columns", ("column", "meaning"), _meanings(format)),
        table_section("Rows", ("round", "rows"), counts.rounds.items()),
        table_section("Verified", ("level", "rows"), counts.verified.most_common()),
        facts.left_out,
        table_section("Heuristics", ("heuristic", "rows"), sorted(counts.heuristics.items())),
        table_section("Languages", ("language", "rows"), counts.languages.most_common()),
        table_section("From seeds to rows", _FUNNEL, _funnel(facts)),
        table_section(
            "Sandbox", ("stage that ran answers", "active", "not active"), _layers(facts)
        ),
        table_section("Models", ("role", "model", "terms"), _models(facts)),
        table_section("Models that answered", _ANSWERED, facts.answered),
        f"## Licence\n\n{_licence(facts)}",
        f"## How it was made\n\nSeeds: {one_line(facts.seeds, 300)}\n\n{_code(facts.command)}",
        table_section("Versions", ("what", "version"), facts.versions),
    )
    return visible("\n\n".join(part for part in parts if part)) + "\n"


def _head(facts: CardFacts, splits: Sequence[tuple[str, str]], n_rows: int) -> dict[str, object]:
    return {
        "pretty_name": one_line(facts.title, 100),
        "license": facts.license,
        "language": ["code"],
        "task_categories": ["text-generation"],
        "tags": ["code", "synthetic", "instruction-tuning", "evol-instruct", "evolcoder"],
        "size_categories": [_size(n_rows)],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": file} for split, file in splits],
            }
        ],
    }


def _size(n_rows: int) -> str:
    """Return the Hub's size category, which depends on the number of digits."""
    return _SIZES[min(max(len(str(n_rows)) - 3, 0), len(_SIZES) - 1)]


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


PARQUET_ROWS = 1000
"""Rows per Parquet batch and row group."""
Sink = Callable[[Columns], object]
"""Writes one row."""
VALIDATION = "validation"
"""Name of the second split and of its file."""
_AXOLOTL_HEAD = (
    "# For axolotl: take this into your config, with the path of the data file in full.\n"
)


@dataclass(frozen=True, slots=True)
class Exported:
    """A format that was written."""

    format: ExportFormat
    """The format."""
    path: Path
    """Its data file."""
    n_rows: int
    """Rows of the data file."""
    n_validation: int
    """Rows of the validation file; 0 if there is none."""


def export(
    rows: Callable[[ExportFormat], Iterable[Row]],
    formats: Sequence[ExportFormat],
    out: Path,
    facts: CardFacts,
    options: ExportConfig | None = None,
) -> list[Exported]:
    """Write every format to its own folder in `out`.

    `rows` is called with the first of the formats that are not derived, for all of these, and with
    each derived one; twice if `options.validation` splits them. Links must not lead out of `out`,
    or of the run that contains it.
    """
    options = options or ExportConfig()
    inside = atomic.boundary(out) or out
    outs = {}
    for name in formats:
        atomic.make_folder(out / name, inside=inside, error=RunFolderError)
        outs[name] = _Out(out / name, inside)
    groups = [[name for name in outs if name not in DERIVED]]
    groups += [[name] for name in outs if name in DERIVED]
    groups = [group for group in groups if group]
    held = _held_lineages(rows, [group[0] for group in groups], options.validation)
    written: dict[ExportFormat, Exported] = {}
    for group in groups:
        written |= _export_group({name: outs[name] for name in group}, rows(group[0]), facts, held)
        for name in group:
            _write_trainer_configs(outs[name], written[name], options.name)
    return [written[name] for name in formats]


def root_of(row: Row) -> str:
    """Return the id of the seed that a row descends from."""
    return str(row.lineage.get("root") or row.task.root)


def _held_lineages(
    rows: Callable[[ExportFormat], Iterable[Row]], formats: Sequence[ExportFormat], share: float
) -> frozenset[str]:
    """Choose the lineages of the validation split, by hashes of their roots.

    The same lineages are held out of every format, so that no format trains on rows that another
    one validates on.
    """
    if not share or not formats:
        return frozenset()
    roots = {root_of(row) for name in formats for row in rows(name)}
    n_held = max(1, round(share * len(roots))) if len(roots) > 1 else 0
    return frozenset(sorted(roots, key=lambda root: content_id(VALIDATION, [root]))[:n_held])


@dataclass(frozen=True, slots=True)
class _Out:
    """The output folder of one format."""

    folder: Path
    """The folder."""
    inside: Path
    """The folder that links must not lead out of."""

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        atomic.write_text(path, text, inside=self.inside, error=RunFolderError)

    def forget_validation(self) -> None:
        """Delete the validation files of an earlier export."""
        for path in self.folder.glob(f"{VALIDATION}[.-]*"):
            path.unlink()

    @contextmanager
    def data(self, name: str, format: Format) -> Iterator[Sink]:
        """Open a data file, in the file format of its suffix."""
        path = self.folder / name
        with (
            atomic.open_binary(path, inside=self.inside, error=RunFolderError) as file,
            _SINKS[path.suffix](file, format) as sink,
        ):
            yield sink


class _DataFiles:
    """The open data files of one format, by split."""

    def __init__(self, format: Format, out: _Out, stack: ExitStack, *, with_held: bool) -> None:
        self._format = format
        names = [format.file, _validation(format.file)] if with_held else [format.file]
        self._data = [stack.enter_context(out.data(name, format)) for name in names]
        self._trainers: list[Sink] = []
        if format.trainer_body is not None:
            trainers = [TRAINER_FILE, f"{VALIDATION}-{TRAINER_FILE}"][: len(names)]
            self._trainers = [stack.enter_context(out.data(name, format)) for name in trainers]

    def add(self, row: Row, own: Columns, *, is_held: bool) -> None:
        """Write a row with these lineage columns into the files of its split."""
        self._data[is_held]({**self._format.body(row), **own})
        if self._format.trainer_body is not None:
            self._trainers[is_held](self._format.trainer_body(row))


def _validation(file: str) -> str:
    return f"{VALIDATION}{Path(file).suffix}"


def _export_group(
    outs: Mapping[ExportFormat, _Out],
    rows: Iterable[Row],
    facts: CardFacts,
    held: frozenset[str],
) -> dict[ExportFormat, Exported]:
    """Write the same rows in several formats, with their cards."""
    counts = (RowCounts(), RowCounts())
    with_held = bool(held)
    with ExitStack() as stack:
        files = [
            _DataFiles(FORMATS[name], out, stack, with_held=with_held) for name, out in outs.items()
        ]
        for row in rows:
            is_held = with_held and root_of(row) in held
            own = lineage(row)
            counts[is_held].add(row, own)
            for one in files:
                one.add(row, own, is_held=is_held)
    n_rows, n_held = (one.rows for one in counts)
    for name, out in outs.items():
        if not n_held:  # an empty file has no columns for loaders
            out.forget_validation()
        out.write(
            "README.md", card(facts, FORMATS[name], counts[0], _splits(name, n_held), counts[1])
        )
    return {
        name: Exported(name, out.folder / FORMATS[name].file, n_rows, n_held)
        for name, out in outs.items()
    }


def _splits(name: ExportFormat, n_held: int) -> list[tuple[str, str]]:
    """Return the splits of a format with their files."""
    file = FORMATS[name].file
    return [("train", file), (VALIDATION, _validation(file))][: 2 if n_held else 1]


def _write_trainer_configs(out: _Out, written: Exported, name: str) -> None:
    """Write the descriptions for LLaMA-Factory and axolotl of each split's file."""
    format, data = FORMATS[written.format], dict(_splits(written.format, written.n_validation))
    files = data
    if format.trainer_body is not None:
        files = dict(zip(data, (TRAINER_FILE, f"{VALIDATION}-{TRAINER_FILE}"), strict=False))
    entries: dict[str, Columns] = {}
    stanza: Columns = dict(format.axolotl_settings)
    for split, file in files.items():
        own = name if split == "train" else f"{name}_{split}"
        entries[own] = {"file_name": file, **format.llamafactory}
        for end, columns in format.more.items():
            entries[f"{own}{end}"] = {"file_name": data[split], **columns}
        described = json.loads(json.dumps(format.axolotl))
        if split == "train":
            stanza["datasets"] = [{"path": file, **described}]
        else:  # axolotl names the split of a local file `train`, whatever it is used for
            stanza["test_datasets"] = [{"path": file, **described, "split": "train"}]
    out.write("dataset_info.json", json.dumps(entries, indent=2) + "\n")
    out.write("axolotl.yaml", _AXOLOTL_HEAD + yaml.safe_dump(stanza, sort_keys=False))


@contextmanager
def _lines(file: BinaryIO, _: Format) -> Iterator[Sink]:
    """Write JSON, one row per line."""
    yield lambda row: file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def _array(file: BinaryIO, _: Format) -> Iterator[Sink]:
    """Write a JSON array with one row per line."""
    separator = b"[\n"

    def add(row: Columns) -> None:
        nonlocal separator
        file.write(separator + orjson.dumps(row))
        separator = b",\n"

    yield add
    file.write(b"\n]\n" if separator == b",\n" else b"[]\n")


@contextmanager
def _parquet(file: BinaryIO, format: Format) -> Iterator[Sink]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only some need it
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "export.formats: parquet needs pyarrow, which is not installed; "
            "run: pip install 'evolcoder[parquet]'"
        ) from error
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([(name, types[type(value)]) for name, value in format.shape().items()])
    batch: list[Columns] = []
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:

        def write() -> None:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            batch.clear()

        def add(row: Columns) -> None:
            batch.append(row)
            if len(batch) == PARQUET_ROWS:
                write()

        yield add
        if batch:
            write()


_SINKS = {".jsonl": _lines, ".json": _array, ".parquet": _parquet}
