"""The results folder of a loop: every sample with its verdict, tables and figures.

    loop.json               config, decision, training data of each model, seconds of each step
    samples/BENCH.jsonl.gz  by problem: model, number, text, verdict
    tables.md tables.json   every question that the arms answer
    figures/NAME.svg        the same as figures

Tables and figures are computed from loop.json and the samples alone; the same results give the same
bytes. Samples of one problem are adjacent, which compresses best. Damaged or missing results are a
BenchError of one line.

A figure is readable in black and white: each arm is a row with its own marker and interval, and the
control's interval is a hatched band behind them. Figures need matplotlib, imported late.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import StringConstraints, TypeAdapter, ValidationError

from evolcoder import input_files
from evolcoder.bench.scores import BASE, Outcomes, base_by_problem, by_problem, has_base
from evolcoder.errors import BenchError, ConfigError
from evolcoder.experiment.interfaces import Training
from evolcoder.experiment.tables import Table, TableEntry, TableRow, markdown, tables
from evolcoder.input_files import open_input, read_text
from evolcoder.storage import atomic
from evolcoder.storage.atomic import write_whole
from evolcoder.storage.workdir import FolderFacts, parse_fact
from evolcoder.value_faults import first_fault
from evolcoder.visible import visible

MARKERS = {
    "student": "x", "seed": "o", "seed-reanswered": "s",
    "round": "^", "merge": "D", "other": "P",
}  # fmt: skip
"""Kind of arm -> marker."""
STYLE: Any = {
    "svg.hashsalt": "evolcoder",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(table: Table, file: BinaryIO) -> None:
    """Draw a table: one panel per benchmark, one row per arm."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - heavy and optional
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "figures need matplotlib, which is not installed; run: pip install 'evolcoder[figures]'"
        ) from error
    with mpl.rc_context(STYLE):
        height = 1.3 + 0.32 * len(table.lines)
        figure = Figure(figsize=(2.2 + 2.1 * len(table.benches), height), layout="constrained")
        panels = figure.subplots(1, len(table.benches), sharey=True, squeeze=False)[0]
        for bench, panel in zip(table.benches, panels, strict=True):
            _panel(panel, table, bench)
        names = [visible(line.arm, lines=False) for line in table.lines]
        panels[0].set_yticks(range(len(table.lines)), names)
        panels[0].invert_yaxis()
        figure.suptitle(table.question.title, fontsize=10)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "evolcoder"})


def _panel(panel: Any, table: Table, bench: str) -> None:  # noqa: ANN401 - a foreign library's
    control = next((line for line in table.lines if line.arm == line.control), None)
    if control is not None:
        band = control.cells[bench].estimate
        panel.axvspan(
            100 * band.low, 100 * band.high, facecolor="none", edgecolor="0.75", hatch="///", lw=0
        )
    for place, line in enumerate(table.lines):
        estimate = line.cells[bench].estimate
        left, right = estimate.value - estimate.low, estimate.high - estimate.value
        panel.errorbar(
            100 * estimate.value, place, xerr=[[100 * left], [100 * right]], capsize=2,
            fmt=_marker(line), color="black", markersize=5, elinewidth=1,
            markerfacecolor="white" if line is control else "black",
        )  # fmt: skip
    panel.set_title(visible(bench, lines=False), fontsize=9)
    panel.set_xlabel("pass@1, %")


def _marker(line: TableRow) -> str:
    base = line.arm.rpartition("/")[2].partition("@")[0].partition("+")[0].partition("~")[0]
    kind = base if base in MARKERS else base.partition("-")[0]
    return MARKERS.get(kind, MARKERS["other"])


FACTS = "loop.json"


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A sample with its verdict."""

    problem: str
    """Id of the problem."""
    model: str
    """Key of the model that generated it."""
    number: int
    """Index among this model's samples of the problem."""
    text: str
    """The generated text."""
    form: str
    """Kind of text, a value of `bench.base.PromptForm`."""
    passed: bool
    """Whether every check passed."""
    base_passed: bool | None
    """Whether the original benchmark's checks passed; None if there are none."""
    kind: str
    """How the program ended."""


class _Run(FolderFacts):
    seed: int


class _Dev(FolderFacts):
    bench: str | None


class _Config(FolderFacts):
    tests: list[Annotated[str, StringConstraints(pattern=r"^[\w+.-]+$")]]
    dev: _Dev
    run: _Run


class _Results(FolderFacts):
    """Required fields of loop.json."""

    config: _Config
    trainings: list[dict[str, Any]]


MAX_FACTS_MB = 64
_SAMPLE = TypeAdapter(StoredSample)
_TRAINING = TypeAdapter(Training)


def write(
    folder: Path, facts: Mapping[str, Any], samples: Mapping[str, Iterable[StoredSample]]
) -> None:
    """Write loop.json and the samples; `write_tables` computes the rest from them."""
    inside = atomic.boundary(folder) or folder
    text = json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=True)
    write_whole(folder / FACTS, _encoded(f"{text}\n"), inside=inside)
    for bench, kept in samples.items():
        ordered = sorted(kept, key=lambda one: (one.problem, one.text, one.model, one.number))
        lines = (json.dumps(asdict(one), ensure_ascii=False) for one in ordered)
        data = _encoded("".join(f"{line}\n" for line in lines))
        write_whole(folder / "samples" / f"{bench}.jsonl.gz", data, inside=inside)


def _encoded(text: str) -> bytes:
    """Encode JSON text as UTF-8, with lone surrogates as JSON escapes."""
    return text.encode("utf-8", "backslashreplace")


def facts(folder: Path) -> dict[str, Any]:
    """Read loop.json."""
    try:
        text = read_text(folder / FACTS, max_mb=MAX_FACTS_MB, error=BenchError)
        return parse_fact(FACTS, text, _Results)  # type: ignore[no-any-return]
    except (BenchError, ValueError) as error:
        raise BenchError(f"{folder}: holds no results of a loop ({FACTS}: {error})") from error


def benches(folder: Path) -> list[str]:
    """Return the reported benchmarks and the dev set, as far as they have samples."""
    config = facts(folder)["config"]
    named = dict.fromkeys([*config["tests"], *filter(None, [config["dev"]["bench"]])])
    return [name for name in named if (folder / "samples" / f"{name}.jsonl.gz").exists()]


def samples(folder: Path, bench: str) -> Iterator[StoredSample]:
    """Read the samples of a benchmark."""
    path = folder / "samples" / f"{bench}.jsonl.gz"
    try:
        with open_input(path, error=BenchError) as file:
            for number, line in input_files.iter_lines(file):
                yield _SAMPLE.validate_python(input_files.parse_value(line, number))
    except ValidationError as error:
        why = first_fault(error)
        raise BenchError(f"{path}: line {number} is no sample: {why}") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise BenchError(f"{path}: cannot be read: {error}") from error


def trainings(found: Mapping[str, Any]) -> list[Training]:
    """Return the models of a loop from its loop.json."""
    try:
        return [_TRAINING.validate_python(one) for one in found["trainings"]]
    except ValidationError as error:
        raise BenchError(f"{FACTS}: holds an invalid training") from error


def entries(
    models: Sequence[Training], kept: Mapping[str, Iterable[StoredSample]]
) -> list[TableEntry]:
    """Group outcomes by arm, benchmark and training seed; a model of two arms counts in both."""
    by_key: dict[str, dict[str, Outcomes]] = {model.key: {} for model in models}
    for bench, rows in kept.items():
        by_model: dict[str, list[StoredSample]] = {}
        for row in rows:
            by_model.setdefault(row.model, []).append(row)
        with_base = any(map(has_base, by_model.values()))
        for key, samples_of in by_model.items():
            by_key[key][bench] = by_problem(samples_of)
            if with_base:
                by_key[key][f"{bench} {BASE}"] = base_by_problem(samples_of)
    found = []
    for arm in dict.fromkeys(model.arm for model in models):
        mine = [model for model in models if model.arm == arm]
        benches = by_key[mine[0].key]
        outcomes = {b: {model.seed: by_key[model.key][b] for model in mine} for b in benches}
        found.append(TableEntry(arm, mine[0].n_rows, mine[0].n_tokens, outcomes))
    return found


def tables_of(
    folder: Path, kept: Mapping[str, Sequence[StoredSample]] | None = None
) -> tuple[Table, ...]:
    """Compute the tables of the reported benchmarks, from `kept` or the stored verdicts."""
    found = facts(folder)
    tests: list[str] = found["config"]["tests"]
    kept = kept or {bench: list(samples(folder, bench)) for bench in tests}
    arms = entries(trainings(found), kept)
    benches = [
        name for test in tests for name in (test, f"{test} {BASE}") if name in arms[0].outcomes
    ]
    return tables(arms, benches=benches, seed=found["config"]["run"]["seed"])


def write_tables(folder: Path, *, figures: bool) -> list[Path]:
    """Write tables and figures from the stored results; return their paths."""
    found, inside = tables_of(folder), atomic.boundary(folder) or folder
    paths = [folder / "tables.md", folder / "tables.json"]
    write_whole(paths[0], markdown(found).encode(), inside=inside)
    plain = json.dumps([table.as_plain() for table in found], indent=1, ensure_ascii=False)
    write_whole(paths[1], _encoded(f"{plain}\n"), inside=inside)
    for table in found if figures else ():
        paths.append(folder / "figures" / f"{table.question.name}.svg")
        with atomic.open_binary(paths[-1], inside=inside) as file:
            draw(table, file)
    return paths
