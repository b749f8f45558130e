"""The folder of a loop, whose artifacts are named by a hash of what decides them.

    run-NAME/                         run folders, each with its database
    data/DIGEST.jsonl                 rows that a model is trained on
    models/KEY/                       a trained model; KEY.making/ while it is being trained
    evals/KEY/                        samples and verdicts of one model
    loop.db                           seconds of each step, and the decision

A file or folder gets its final name only when it is complete. A second process is refused. No
symbolic link in the folder redirects writes out of it.

`weights_id` fingerprints weights by content, not path: the same files give the same id elsewhere,
and two fine-tunes of one model differ, without reading the files completely. A name that is no
local path, such as a Hub id, is its own fingerprint.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.errors import RunFolderError
from evolcoder.ids import content_id
from evolcoder.records import Row
from evolcoder.storage import atomic
from evolcoder.storage.database import MAYBE_NUMBER, NUMBER, TEXT, Columns
from evolcoder.storage.workdir import Workdir

DB_NAME = "loop.db"
MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE calls (
        model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    );
    CREATE TABLE steps (
        kind TEXT NOT NULL, name TEXT NOT NULL, seconds REAL NOT NULL, detail TEXT NOT NULL
    )
    """,
    "ALTER TABLE steps ADD COLUMN busy REAL",
)


_STEP = Columns(kind=TEXT, name=TEXT, seconds=NUMBER, detail=TEXT, busy=MAYBE_NUMBER)


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A completed step of the loop."""

    kind: str
    """`serve`, `evolve`, `train`, `sample`, `check`, `grade` or `wait`: `serve` is the start of
    servers only, `check` the benchmarks' references, `wait` a wait for a background step."""
    name: str
    """The run, model or benchmarks of the step."""
    seconds: float
    """Duration by the clock."""
    detail: str
    """More information; mostly empty."""
    busy: float | None = None
    """Share of that time in which the GPUs computed, 0 to 1; None if it cannot be read."""


class LoopStore(Workdir):
    """An open loop folder: for one writer, or for readers."""

    DB_NAME = DB_NAME
    KIND = "loop"
    MIGRATIONS = MIGRATIONS

    @classmethod
    def create(cls, folder: Path) -> "LoopStore":
        """Open a folder for writing; existing artifacts are reused where they fit."""
        return cls.open_to_write(folder, lambda _: None)

    def add_step(self, step: StoredStep) -> None:
        """Store a completed step."""
        values = (step.kind, step.name, step.seconds, step.detail, step.busy)
        self.db.write("INSERT INTO steps VALUES (?, ?, ?, ?, ?)", values)
        self.db.flush()

    def steps(self) -> list[StoredStep]:
        """Read all steps, in order."""
        query = "SELECT kind, name, seconds, detail, busy FROM steps ORDER BY rowid"
        return [StoredStep(*row) for row in self.db.each(_STEP.validate, query)]

    def run_folder(self, name: str) -> Path:
        """Return the folder of a run."""
        return self._at(f"run-{name}")

    def data(self, digest: str, rows: Iterable[Row]) -> Path:
        """Return the file of an arm's rows; write it if it is missing."""
        path = self._at("data", f"{digest}.jsonl")
        if not path.exists():
            with atomic.open_text(path, inside=self.folder, error=RunFolderError) as file:
                for row in rows:
                    file.write(json.dumps(training_row(row), ensure_ascii=False) + "\n")
        return path

    def model(self, key: str) -> Path:
        """Return the folder of a completed model."""
        return self._at("models", key)

    def partial_model(self, key: str) -> Path:
        """Return the folder of a model while it is being trained."""
        path = self._at("models", f"{key}.making")
        atomic.make_folder(path.parent, inside=self.folder, error=RunFolderError)
        return path

    def complete_model(self, key: str) -> None:
        """Rename a trained model to its final folder."""
        partial = self.partial_model(key)
        if not partial.is_dir() or not any(partial.iterdir()):
            raise RunFolderError(f"{partial}: the training succeeded but left no model there")
        partial.replace(self.model(key))

    def evaluation_folder(self, key: str) -> Path:
        """Return the folder of a model's samples and verdicts."""
        path = self._at("evals", key)
        atomic.make_folder(path.parent, inside=self.folder, error=RunFolderError)
        return path

    def _at(self, *parts: str) -> Path:
        """Return a path in the folder; refuse one that a link redirects out of it."""
        return atomic.check_inside(
            self.folder.joinpath(*parts), inside=self.folder, error=RunFolderError
        )


def training_row(row: Row) -> dict[str, Any]:
    """Return a row in the trainer's format, with its lineage."""
    return {
        "instruction": row.task.instruction,
        "output": row.response.text,
        "id": row.response.id,
        "round": row.task.round,
        "seed": row.task.ordinal,
        "heuristic": row.task.heuristic or "",
    }


def model_key(data: str, steps: int | None, student: str, how: Sequence[object], seed: int) -> str:
    """Hash what decides a trained model."""
    return content_id("model", [data, steps, student, list(how), seed])


WEIGHT_SUFFIXES = frozenset({".safetensors", ".bin", ".gguf"})
"""Suffixes of weight files."""
MODEL_FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
"""Other files that decide answers."""
N_BLOCKS = 256
BLOCK_BYTES = 16_384
"""Number and size of the blocks that are read of a file, spread evenly: some in every layer."""


def weights_id(path: str) -> str:
    """Fingerprint the files that decide a model's answers."""
    folder = Path(path)
    found = [_fingerprint(file) for file in _files(folder)]
    return content_id("weights", found or path)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    elif folder.is_dir():
        for file in sorted(folder.iterdir()):
            if file.suffix in WEIGHT_SUFFIXES or file.name in MODEL_FILES:
                yield file


def _fingerprint(file: Path) -> list[Any]:
    """Return a file's size and the hash of some of its blocks."""
    size = file.stat().st_size
    digest = hashlib.sha256()
    with file.open("rb") as data:
        for block in range(N_BLOCKS):
            data.seek(block * max(0, size - BLOCK_BYTES) // (N_BLOCKS - 1), os.SEEK_SET)
            digest.update(data.read(BLOCK_BYTES))
            if size <= BLOCK_BYTES:
                break
    return [size, digest.hexdigest()]
