"""A folder with a database in it: one writer holds it, anybody may look, facts are kept as JSON.

Promises: a second process that wants to write is refused; what was added is durable within about
20 ms; closing commits. Knows nothing of what the database holds but facts (`meta`) and completions
that were paid for (`calls`). `RunStore` and `EvalStore` are such folders.
"""

import fcntl
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from evolcoder.db import Database
from evolcoder.errors import RunFolderError

LOCK_NAME = "run.lock"


class Folder:
    """A folder that is open: for one writer, or for readers."""

    DB_NAME: ClassVar[str]
    """Name of the database's file."""
    KIND: ClassVar[str]
    """What is in such a folder, as errors call it."""
    MIGRATIONS: ClassVar[Sequence[str]]
    """Scripts that bring the database to its newest version; they make `meta` and `calls`."""

    def __init__(self, folder: Path, db: Database, lock: int | None) -> None:
        self.folder = folder
        self.db = db
        self._lock = lock

    @classmethod
    def opened(cls, folder: Path, adopt: Callable[[Self], None]) -> Self:
        """Open a folder for writing; make it, or go on with what is there if `adopt` agrees."""
        lock = _locked(folder, fresh=not (folder / cls.DB_NAME).exists())
        try:
            store = cls(folder, Database(folder / cls.DB_NAME, cls.MIGRATIONS), lock)
        except BaseException:
            os.close(lock)
            raise
        try:
            adopt(store)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open a folder to look at it, also while it is being written."""
        if not (folder / cls.DB_NAME).is_file():
            raise RunFolderError(f"{folder}: no {cls.KIND} here (there is no {cls.DB_NAME})")
        return cls(folder, Database(folder / cls.DB_NAME, cls.MIGRATIONS), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit everything and give the folder back."""
        try:
            self.db.close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def set_meta(self, key: str, value: object) -> None:
        """Keep a fact as JSON."""
        self.db.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def meta(self, key: str) -> Any:  # noqa: ANN401 - JSON is any plain data
        """Read a fact, or None."""
        rows = self.db.read("SELECT value FROM meta WHERE key=?", (key,))
        return json.loads(str(rows[0][0])) if rows else None

    def add_call(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Note one completion that was paid for; `model` is its name in the price table."""
        values = (model, prompt_tokens, completion_tokens)
        self.db.write("INSERT INTO calls VALUES (?, ?, ?)", values)

    def paid(self) -> dict[str, tuple[int, int, int]]:
        """Sum what was paid for: model -> (requests, prompt tokens, completion tokens)."""
        rows: Any = self.db.read(
            "SELECT model, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens) "
            "FROM calls GROUP BY model ORDER BY model"
        )
        return {model: (n, sent, received) for model, n, sent, received in rows}


def _locked(folder: Path, *, fresh: bool) -> int:
    """Make the folder if need be and lock it; return the lock's descriptor."""
    if fresh and folder.is_dir() and any(n.name != LOCK_NAME for n in folder.iterdir()):
        raise RunFolderError(f"{folder}: holds other files and no run; name another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise RunFolderError(f"{folder}: in use by another evolcoder process") from error
    return lock
