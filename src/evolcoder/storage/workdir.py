"""A folder with a database in it: one writer holds it, anybody may look, facts are kept as JSON.

Promises: a second process that wants to write is refused; what was added is durable within about
20 ms; closing commits. A folder may come from a stranger: it is read without a change to it, no
link in it leads a write elsewhere, and what its database holds is checked as it is read. Knows
nothing of that but facts (`meta`) and completions that were paid for (`calls`). `RunStore` and
`EvalStore` are such folders.
"""

import fcntl
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from evolcoder.errors import RunFolderError
from evolcoder.storage import atomic
from evolcoder.storage.database import COUNT, TEXT, Columns, Database
from evolcoder.storage.sqlite_files import RESTORE

LOCK_NAME = "run.lock"
_META = Columns(value=TEXT)
_PAID = Columns(model=TEXT, requests=COUNT, prompt_tokens=COUNT, completion_tokens=COUNT)


class FolderFacts(BaseModel):
    """What must hold of a fact for the code that reads it; it may hold more."""

    model_config = ConfigDict(strict=True, extra="allow")


class Workdir:
    """A folder that is open: for one writer, or for readers."""

    DB_NAME: ClassVar[str]
    """Name of the database's file."""
    KIND: ClassVar[str]
    """What is in such a folder, as errors call it."""
    MIGRATIONS: ClassVar[Sequence[str]]
    """Scripts that bring the database to its newest version; they make `meta` and `calls`."""
    REMEDY: ClassVar[str] = RESTORE
    """What to do if the database is damaged."""

    def __init__(self, folder: Path, db: Database, lock: int | None) -> None:
        self.folder = folder
        self.db = db
        self._lock = lock

    @classmethod
    def opened(cls, folder: Path, adopt: Callable[[Self], None]) -> Self:
        """Open a folder for writing; make it, or go on with what is there if `adopt` agrees."""
        lock = _locked(folder, fresh=not os.path.lexists(folder / cls.DB_NAME))
        try:
            store = cls(folder, cls._database(folder, read_only=False), lock)
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
        if not os.path.lexists(folder / cls.DB_NAME):
            raise RunFolderError(f"{folder}: no {cls.KIND} here (there is no {cls.DB_NAME})")
        return cls(folder, cls._database(folder, read_only=True), None)

    @classmethod
    def _database(cls, folder: Path, *, read_only: bool) -> Database:
        path = folder / cls.DB_NAME
        return Database(path, cls.MIGRATIONS, inside=folder, remedy=cls.REMEDY, read_only=read_only)

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

    def meta(self, key: str, kind: type[BaseModel] | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Read a fact, or None; `kind` says what it is to hold."""

        def decoded(row: Sequence[Any]) -> Any:  # noqa: ANN401
            return fact(key, _META.checked(row)[0], kind)

        rows = list(self.db.each(decoded, "SELECT value FROM meta WHERE key=?", (key,)))
        return rows[0] if rows else None

    def add_call(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Note one completion that was paid for; `model` is its name in the price table."""
        values = (model, prompt_tokens, completion_tokens)
        self.db.write("INSERT INTO calls VALUES (?, ?, ?)", values)

    def paid(self) -> dict[str, tuple[int, int, int]]:
        """Sum what was paid for: model -> (requests, prompt tokens, completion tokens)."""
        rows = self.db.each(
            _PAID.checked,
            "SELECT model, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens) "
            "FROM calls GROUP BY model ORDER BY model",
        )
        return {model: (n, sent, received) for model, n, sent, received in rows}


def fact(key: str, text: str, kind: type[BaseModel] | None) -> Any:  # noqa: ANN401 - any JSON
    """Decode a fact, or raise ValueError with what is wrong in it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"meta {key} is no JSON") from error
    try:
        if kind is not None and value is not None:
            kind.model_validate(value)  # not of the text: JSON may hold lone surrogates
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, (key, *first["loc"])))
        raise ValueError(f"meta {place}: {first['msg']}") from None
    return value


def _locked(folder: Path, *, fresh: bool) -> int:
    """Make the folder if need be and lock it; return the lock's descriptor."""
    try:
        if fresh and folder.is_dir() and any(n.name != LOCK_NAME for n in folder.iterdir()):
            raise RunFolderError(f"{folder}: holds other files and no run; name another --out")
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be read: {error.strerror}") from error
    atomic.make_folder(folder, error=RunFolderError)
    lock = atomic.open_lock(folder / LOCK_NAME, inside=folder, error=RunFolderError)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if not isinstance(error, BlockingIOError):
            raise RunFolderError(f"{folder}: cannot be locked: {error.strerror}") from error
        raise RunFolderError(f"{folder}: in use by another evolcoder process") from error
    return lock
