"""What another machine needs to train and to ask, and what it brings back.

    jobs.json           models to make: key, seed, steps, and which rows they are trained on
    rows.jsonl.gz       every row once
    prompts.jsonl.gz    every problem as the student is asked it
    back: KEY.jsonl.gz  samples of one model: bench, problem, number, text, finish
    back: trainings.jsonl   what each training took and came to; may be missing, or end amid a line

Promises: the same rows, in the same order, give the models of the same keys there as here. Nothing
of this needs evolcoder on the other machine but `evolcoder train`.
"""

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolcoder.bench.base import Bench, Problem
from evolcoder.bench.files import write_whole
from evolcoder.bench.prompts import Template
from evolcoder.errors import BenchError
from evolcoder.loop.arms import Selection
from evolcoder.loop.parts import Training
from evolcoder.loop.store import LoopStore, Step, lesson

Planned = Sequence[tuple[Training, Selection | None]]
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
    write_whole(paths[0], f"{plan}\n".encode())
    write_whole(paths[1], _lines(rows))
    write_whole(paths[2], _lines(prompts))
    return paths


def prompts(
    benches: Mapping[str, tuple[Bench, Sequence[Problem]]], form: Template
) -> Iterator[Any]:
    """Say every problem as a student is asked it."""
    for name, (bench, problems) in benches.items():
        for problem in problems:
            said = form.messages(bench.ask(problem))
            chat = [[one.role, one.content] for one in said]
            yield {"bench": name, "problem": problem.id, "messages": chat}


def brought(path: Path) -> list[dict[str, Any]]:
    """Read the samples of one model."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
        found = [json.loads(line) for line in lines if line]
        for one in found:
            str(one["text"]), int(one["number"]), str(one["bench"]), str(one["problem"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path}: no samples of a model: {error!r}") from error
    return found


def note(store: LoopStore, folder: Path) -> None:
    """Keep what the other machine said of each training, once; a line that a kill cut is left out.

    Another line that tells of no training is a BenchError, and then nothing is kept.
    """
    path = folder / "trainings.jsonl"
    known = {step.detail for step in store.steps()}
    steps = {step.detail: step for step in _told(path)} if path.exists() else {}
    for detail, step in steps.items():
        if detail not in known:
            store.add_step(step)


def _told(path: Path) -> Iterator[Step]:
    """Read the other machine's trainings, one a line."""
    lines = path.read_bytes().rstrip().split(b"\n")
    for n, line in enumerate(lines, 1):
        try:
            told = json.loads(line)
            name, seconds = f"{told['arm']}, seed {told['seed']}", float(told["seconds"])
            told.get("outcome", {}).pop("folder", None)  # a place on the other machine
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if n == len(lines) and isinstance(error, CUT):
                return
            raise BenchError(
                f"{path} line {n}: no training: {error!r}; mend the line or take it out"
            ) from error
        yield Step("train", name, seconds, json.dumps(told))


def _lines(rows: Iterable[object]) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode(
        "utf-8", "backslashreplace"
    )
