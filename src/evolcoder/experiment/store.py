"""The folder of a loop: what was made is named by what decides it, and found again.

    run-NAME/                         run folders, each with its database
    data/DIGEST.jsonl                 rows that a model is trained on
    models/KEY/                       a trained model; KEY.making/ while it is being trained
    evals/KEY/                        samples and verdicts of one model
    loop.db                           which step took how long, and what was decided

Promises: a file or folder has its name only when it is whole; a second process is refused; no link
in the folder leads what is written out of it.

Which weights a folder holds, told by a look into its files and not by where it lies.

Promises: the same files give the same id under another path, and two fine-tunes of one model give
two, without all of it being read. What is not here, such as a Hub id, is known by its name.
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
    """Something that a session of the loop did."""

    kind: str
    """`serve`, `evolve`, `train`, `sample`, `check`, `grade` or `wait`: `serve` is the start of
    servers alone, `check` benchmarks' own references, `wait` for what goes on beside."""
    name: str
    """What it was done to."""
    seconds: float
    """How long it took by the clock."""
    detail: str
    """More in words; empty for most."""
    busy: float | None = None
    """Share of that time in which the GPUs computed, 0 to 1; None where none can be looked at."""


class LoopStore(Workdir):
    """A loop's folder that is open: for one writer, or for readers."""

    DB_NAME = DB_NAME
    KIND = "loop"
    MIGRATIONS = MIGRATIONS

    @classmethod
    def create(cls, folder: Path) -> "LoopStore":
        """Open a folder for writing; whatever is in it already is used where it fits."""
        return cls.open_to_write(folder, lambda _: None)

    def add_step(self, step: StoredStep) -> None:
        """Note a step that was done."""
        values = (step.kind, step.name, step.seconds, step.detail, step.busy)
        self.db.write("INSERT INTO steps VALUES (?, ?, ?, ?, ?)", values)
        self.db.flush()

    def steps(self) -> list[StoredStep]:
        """Read all steps, in order."""
        query = "SELECT kind, name, seconds, detail, busy FROM steps ORDER BY rowid"
        return [StoredStep(*row) for row in self.db.each(_STEP.validate, query)]

    def run_folder(self, name: str) -> Path:
        """Return where a run is kept."""
        return self._at(f"run-{name}")

    def data(self, digest: str, rows: Iterable[Row]) -> Path:
        """Return the file of an arm's rows; write it unless it is there."""
        path = self._at("data", f"{digest}.jsonl")
        if not path.exists():
            with atomic.open_text(path, inside=self.folder, error=RunFolderError) as file:
                for row in rows:
                    file.write(json.dumps(lesson(row), ensure_ascii=False) + "\n")
        return path

    def model(self, key: str) -> Path:
        """Return where a trained model is, once it is whole."""
        return self._at("models", key)

    def making(self, key: str) -> Path:
        """Return where a model is while it is being trained."""
        path = self._at("models", f"{key}.making")
        atomic.make_folder(path.parent, inside=self.folder, error=RunFolderError)
        return path

    def made(self, key: str) -> None:
        """Give a trained model its name."""
        making = self.making(key)
        if not making.is_dir() or not any(making.iterdir()):
            raise RunFolderError(f"{making}: the training ended well and left no model there")
        making.replace(self.model(key))

    def evaluation(self, key: str) -> Path:
        """Return where a model's samples and verdicts are."""
        path = self._at("evals", key)
        atomic.make_folder(path.parent, inside=self.folder, error=RunFolderError)
        return path

    def _at(self, *parts: str) -> Path:
        """Return a place in the folder, which no link leads out of it."""
        return atomic.check_inside(
            self.folder.joinpath(*parts), inside=self.folder, error=RunFolderError
        )


def lesson(row: Row) -> dict[str, Any]:
    """Return a row as a trainer reads it, with its lineage beside."""
    return {
        "instruction": row.task.instruction,
        "output": row.response.text,
        "id": row.response.id,
        "round": row.task.round,
        "seed": row.task.ordinal,
        "heuristic": row.task.heuristic or "",
    }


def model_key(data: str, steps: int | None, student: str, how: Sequence[object], seed: int) -> str:
    """Hash all that decides a trained model."""
    return content_id("model", [data, steps, student, list(how), seed])


DECIDING = frozenset({".safetensors", ".bin", ".gguf"})
"""Endings of files that hold weights."""
BESIDE = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
"""Files that decide an answer beside them."""
LOOKS = 256
BLOCK = 16_384
"""So many blocks of so many bytes are read of a file, spread over it: some in every layer."""


def weights_id(path: str) -> str:
    """Hash what decides the answers of a model."""
    folder = Path(path)
    found = [_seen(file) for file in _files(folder)]
    return content_id("weights", found or path)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    elif folder.is_dir():
        for file in sorted(folder.iterdir()):
            if file.suffix in DECIDING or file.name in BESIDE:
                yield file


def _seen(file: Path) -> list[Any]:
    """Return a file's size and the hash of some of its blocks."""
    size = file.stat().st_size
    digest = hashlib.sha256()
    with file.open("rb") as data:
        for look in range(LOOKS):
            data.seek(look * max(0, size - BLOCK) // (LOOKS - 1), os.SEEK_SET)
            digest.update(data.read(BLOCK))
            if size <= BLOCK:
                break
    return [size, digest.hexdigest()]
