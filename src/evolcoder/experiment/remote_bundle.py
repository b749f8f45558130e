"""The files for training and sampling on another machine, and the files that come back.

    jobs.json           models to make: key, seed, steps, and the rows that they are trained on
    rows.jsonl.gz       every row once
    prompts.jsonl.gz    the student's prompt for every problem
    back: KEY.jsonl.gz  samples of one model: bench, problem, number, text, finish
    back: trainings.jsonl   time and outcome of each training; may be missing or end within a line

The same rows, in the same order, give models of the same keys there as here. The other machine
needs evolcoder for `evolcoder train` only. Returned data is bounded in unpacked bytes and in
samples. A link, a device, an invalid sample or a repeated one is refused, and nothing of its file
is stored.
"""

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolcoder import input_files
from evolcoder.bench.base import Bench, Problem
from evolcoder.bench.prompts import Template
from evolcoder.errors import BenchError
from evolcoder.experiment.arms import Selection
from evolcoder.experiment.interfaces import Training
from evolcoder.experiment.store import LoopStore, StoredStep, training_row
from evolcoder.input_files import open_input, read_bytes
from evolcoder.storage.atomic import write_whole

Planned = Sequence[tuple[Training, Selection | None]]
SUFFIX = ".jsonl.gz"
SAMPLE_KEYS = ("bench", "problem", "number", "text")
"""Required keys of a sample."""
MAX_SAMPLES = 1_000_000
"""Maximum samples of one model, over all benchmarks."""
MAX_MB = 512
"""Maximum text of one model's samples, unpacked."""
MAX_TRAININGS_MB = 16
"""Maximum size of trainings.jsonl."""
TRUNCATED = (json.JSONDecodeError, UnicodeDecodeError)
"""Errors of a line whose writer was killed; no prefix of an object is valid JSON."""


def pack(folder: Path, planned: Planned, prompts: Iterable[object], how: object) -> list[Path]:
    """Write the files that another machine needs; two arms with equal models share one job."""
    places: dict[str, int] = {}
    rows: list[object] = []
    jobs: dict[str, dict[str, Any]] = {}
    for training, selection in planned:
        mine = []
        for row in selection.rows if selection else ():
            if row.response.id not in places:
                places[row.response.id] = len(rows)
                rows.append(training_row(row))
            mine.append(places[row.response.id])
        job = {"arm": training.arm, "seed": training.seed, "steps": training.steps, "rows": mine}
        jobs.setdefault(training.key, {"key": training.key, **job})
    paths = [folder / name for name in ("jobs.json", "rows.jsonl.gz", "prompts.jsonl.gz")]
    plan = json.dumps({"how": how, "jobs": list(jobs.values())})
    for path, data in zip(
        paths, (f"{plan}\n".encode(), _lines(rows), _lines(prompts)), strict=True
    ):
        write_whole(path, data, inside=folder)
    return paths


def prompts(
    benches: Mapping[str, tuple[Bench, Sequence[Problem]]], form: Template
) -> Iterator[Any]:
    """Yield the student's prompt for every problem."""
    for name, (bench, problems) in benches.items():
        for problem in problems:
            messages = form.messages(bench.prompt(problem))
            chat = [[one.role, one.content] for one in messages]
            yield {"bench": name, "problem": problem.id, "messages": chat}


def sample_files(folder: Path) -> dict[str, Path]:
    """Return the files of returned samples: a model's key -> its file."""
    found = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.name.endswith(SUFFIX):
                _refuse_link(path)
                found[path.name.removesuffix(SUFFIX)] = path
    except OSError as error:
        raise BenchError(f"{folder}: cannot be read: {error.strerror}") from error
    return found


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Read the samples of one model: bench, problem, number and text."""
    found: dict[tuple[str, str, int], str] = {}
    n_chars = 0
    try:
        with open_input(path, error=BenchError) as file:
            for number, line in input_files.iter_lines(file):
                where = _sample_of(input_files.parse_value(line, number), number)
                if where[:3] in found:
                    raise ValueError(f"line {number} repeats a sample")
                found[where[:3]] = where[3]
                n_chars += len(where[3])
                if len(found) > MAX_SAMPLES or n_chars > MAX_MB << 20:
                    raise ValueError(
                        f"line {number} is more than {MAX_SAMPLES:,} samples, or {MAX_MB} MB"
                    )
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise BenchError(f"{path}: no samples of a model: {error}") from error
    names = ("bench", "problem", "number")
    return [{**dict(zip(names, key, strict=True)), "text": text} for key, text in found.items()]


def _sample_of(row: object, line: int) -> tuple[str, str, int, str]:
    """Return a sample's bench, problem, number and text."""
    fields: Any = row if isinstance(row, dict) else {}
    for name in SAMPLE_KEYS:
        if type(fields.get(name)) is not (int if name == "number" else str):
            raise ValueError(f"line {line} has no {name}")
    if not 0 <= fields["number"] < MAX_SAMPLES:
        raise ValueError(f"line {line} has the number {fields['number']}")
    return fields["bench"], fields["problem"], fields["number"], fields["text"]


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise BenchError(f"{path}: is a link; put the file itself there")


def store_trainings(store: LoopStore, folder: Path) -> None:
    """Store the other machine's trainings, each once; a truncated last line is ignored.

    Any other invalid line is a BenchError, and then nothing is stored.
    """
    path = folder / "trainings.jsonl"
    _refuse_link(path)
    known = {step.detail for step in store.steps()}
    steps = {step.detail: step for step in _trainings(path)} if path.exists() else {}
    for detail, step in steps.items():
        if detail not in known:
            store.add_step(step)


def _trainings(path: Path) -> Iterator[StoredStep]:
    """Read the other machine's trainings, one per line."""
    lines = read_bytes(path, max_mb=MAX_TRAININGS_MB, error=BenchError).rstrip().split(b"\n")
    for n, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            name, seconds = f"{fields['arm']}, seed {fields['seed']}", float(fields["seconds"])
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{seconds} seconds")
            fields.get("outcome", {}).pop("folder", None)  # a path on the other machine
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if n == len(lines) and isinstance(error, TRUNCATED):
                return
            raise BenchError(
                f"{path} line {n}: no training: {error!r}; correct or remove the line"
            ) from error
        yield StoredStep("train", name, seconds, json.dumps(fields))


def _lines(rows: Iterable[object]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode(
        "utf-8", "backslashreplace"
    )
