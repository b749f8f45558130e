"""What another machine needs to train and to ask, and what it brings back.

    jobs.json           models to make: key, seed, steps, and which rows they are trained on
    rows.jsonl.gz       every row once
    prompts.jsonl.gz    every problem as the student is asked it
    back: KEY.jsonl.gz  samples of one model: bench, problem, number, text, finish
    back: trainings.jsonl   what each training took and came to; may be missing, or end amid a line

Promises: the same rows, in the same order, give the models of the same keys there as here. Nothing
of this needs evolcoder on the other machine but `evolcoder train`. What comes back is bounded in
bytes, unpacked, and in samples; a link or device among it, a sample that is none, or one that is
there twice is refused, and then nothing of its file is kept.
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
from evolcoder.experiment.store import LoopStore, StoredStep, lesson
from evolcoder.input_files import open_input, read_bytes
from evolcoder.storage.atomic import write_whole

Planned = Sequence[tuple[Training, Selection | None]]
ENDING = ".jsonl.gz"
SAMPLE = ("bench", "problem", "number", "text")
"""What a sample must have."""
MOST_SAMPLES = 1_000_000
"""Most samples of one model, over all benchmarks."""
MOST_MB = 512
"""Most text of one model's samples, unpacked."""
MOST_TOLD_MB = 16
"""Largest file of what trainings came to."""
CUT = (json.JSONDecodeError, UnicodeDecodeError)
"""What comes of a line whose writer was killed; no beginning of an object is JSON."""


def pack(folder: Path, planned: Planned, prompts: Iterable[object], how: object) -> list[Path]:
    """Write all that another machine needs; equal models of two arms are made once."""
    places: dict[str, int] = {}
    rows: list[object] = []
    jobs: dict[str, dict[str, Any]] = {}
    for training, selection in planned:
        mine = []
        for row in selection.rows if selection else ():
            if row.response.id not in places:
                places[row.response.id] = len(rows)
                rows.append(lesson(row))
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
    """Say every problem as a student is asked it."""
    for name, (bench, problems) in benches.items():
        for problem in problems:
            said = form.messages(bench.prompt(problem))
            chat = [[one.role, one.content] for one in said]
            yield {"bench": name, "problem": problem.id, "messages": chat}


def files_in(folder: Path) -> dict[str, Path]:
    """Return the files of samples that came back: a model's key -> its file."""
    found = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.name.endswith(ENDING):
                _refuse_link(path)
                found[path.name.removesuffix(ENDING)] = path
    except OSError as error:
        raise BenchError(f"{folder}: cannot be read: {error.strerror}") from error
    return found


def brought(path: Path) -> list[dict[str, Any]]:
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
                if len(found) > MOST_SAMPLES or n_chars > MOST_MB << 20:
                    raise ValueError(
                        f"line {number} is more than {MOST_SAMPLES:,} samples, or {MOST_MB} MB"
                    )
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise BenchError(f"{path}: no samples of a model: {error}") from error
    names = ("bench", "problem", "number")
    return [{**dict(zip(names, key, strict=True)), "text": text} for key, text in found.items()]


def _sample_of(row: object, line: int) -> tuple[str, str, int, str]:
    """Return a sample's bench, problem, number and text."""
    fields: Any = row if isinstance(row, dict) else {}
    for name in SAMPLE:
        if type(fields.get(name)) is not (int if name == "number" else str):
            raise ValueError(f"line {line} has no {name}")
    if not 0 <= fields["number"] < MOST_SAMPLES:
        raise ValueError(f"line {line} has the number {fields['number']}")
    return fields["bench"], fields["problem"], fields["number"], fields["text"]


def _refuse_link(path: Path) -> None:
    """Refuse a link, which a folder of another machine's needs none of."""
    if path.is_symlink():
        raise BenchError(f"{path}: is a link; put the file itself there")


def note(store: LoopStore, folder: Path) -> None:
    """Keep what the other machine said of each training, once; a line that a kill cut is left out.

    Another line that tells of no training is a BenchError, and then nothing is kept.
    """
    path = folder / "trainings.jsonl"
    _refuse_link(path)
    known = {step.detail for step in store.steps()}
    steps = {step.detail: step for step in _told(path)} if path.exists() else {}
    for detail, step in steps.items():
        if detail not in known:
            store.add_step(step)


def _told(path: Path) -> Iterator[StoredStep]:
    """Read the other machine's trainings, one a line."""
    lines = read_bytes(path, max_mb=MOST_TOLD_MB, error=BenchError).rstrip().split(b"\n")
    for n, line in enumerate(lines, 1):
        try:
            told = json.loads(line)
            name, seconds = f"{told['arm']}, seed {told['seed']}", float(told["seconds"])
            if not 0 <= seconds < math.inf:
                raise ValueError(f"{seconds} seconds")
            told.get("outcome", {}).pop("folder", None)  # a place on the other machine
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if n == len(lines) and isinstance(error, CUT):
                return
            raise BenchError(
                f"{path} line {n}: no training: {error!r}; mend the line or take it out"
            ) from error
        yield StoredStep("train", name, seconds, json.dumps(told))


def _lines(rows: Iterable[object]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode(
        "utf-8", "backslashreplace"
    )
