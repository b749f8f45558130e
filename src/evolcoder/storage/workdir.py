"""A folder with a database: one writer at a time, any number of readers; facts stored as JSON.

A second writing process is refused. Writes are durable within about 20 ms, and closing commits.
Folders may be untrusted: reading does not modify them, writes follow no link out of them, and
database contents are validated. This class knows only facts (`meta`) and paid completions
(`calls`); `RunStore` and `EvalStore` extend it.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from evolcoder.errors import RunFolderError
from evolcoder.records import NO_PURPOSE, CallPurpose, TokenCounts
from evolcoder.storage import atomic
from evolcoder.storage.database import COUNT, MAYBE_COUNT, MAYBE_TEXT, TEXT, Columns, Database
from evolcoder.storage.sqlite_files import RESTORE
from evolcoder.value_faults import first_fault

LOCK_NAME = "run.lock"
FEW_MODELS = 4
"""Models of a run whose calls are summed one after another."""
IN_FLIGHT_META = "in_flight"
"""Fact with the most tries in flight; it is removed when a session ends, so one that is found is
of a session that was killed."""
_OTHERS = {"run.db": "a run", "eval.db": "an evaluation", "loop.db": "a loop"}
_META = Columns(value=TEXT)
_SUMS = "COUNT(*), SUM(prompt_tokens), SUM(completion_tokens)"
_MODELS = Columns(
    first=MAYBE_TEXT,
    last=MAYBE_TEXT,
    requests=COUNT,
    prompt_tokens=MAYBE_COUNT,
    completion_tokens=MAYBE_COUNT,
)
_PAID = Columns(model=TEXT, requests=COUNT, prompt_tokens=COUNT, completion_tokens=COUNT)
_DETAILS = Columns(model=TEXT, cached=COUNT, cache_writes=COUNT, reasoning=COUNT)
BILLING_TABLES = """
    CREATE TABLE call_details (
        model TEXT NOT NULL, cached_tokens INTEGER NOT NULL, cache_write_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL
    );
    CREATE TABLE possible_calls (
        model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    )
"""
"""Tokens of `calls` with a price of their own, and the bounds of tries without an answer."""
_Count = Annotated[int, Field(ge=1, le=1_000_000)]
_Tokens = Annotated[int, Field(ge=0, le=2**53)]
Paid = tuple[int, int, int]
"""Requests, prompt tokens, completion tokens."""


PROVENANCE_META = "provenance"
"""Fact with the first session's record of what produced the folder."""


class FolderFacts(BaseModel):
    """Base of schemas for facts: required fields of a fact, which may have more."""

    model_config = ConfigDict(strict=True, extra="allow", defer_build=True)


class _InFlight(RootModel[dict[str, tuple[_Count, _Tokens, _Tokens]]]):
    """The stored record of tries in flight, by model."""


class Workdir:
    """An open folder, for one writer or for readers."""

    DB_NAME: ClassVar[str]
    """File name of the database."""
    KIND: ClassVar[str]
    """What the folder contains, for error messages."""
    MIGRATIONS: ClassVar[Sequence[str]]
    """Migrations of the database, which must create `meta` and `calls`."""
    REMEDY: ClassVar[str] = RESTORE
    """Advice if the database is damaged."""
    STORES_PURPOSES: ClassVar[bool] = False
    """Whether `calls` and `call_details` end with the columns `stage` and `heuristic`."""

    def __init__(self, folder: Path, db: Database, lock: int | None) -> None:
        self.folder = folder
        self.db = db
        self.replaced: tuple[str, ...] = ()
        """Settings that this session replaced, since nothing was made with the former ones."""
        self._lock = lock

    @classmethod
    def open_to_write(cls, folder: Path, adopt: Callable[[Self], None]) -> Self:
        """Open a folder for writing, creating it if missing; `adopt` may raise to refuse it."""
        lock = _lock_folder(folder, cls.KIND, cls.DB_NAME)
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
    def read(cls, folder: Path, *, is_checked: bool = False) -> Self:
        """Open a folder for reading, even while another process writes to it.

        `is_checked`: this process has checked the contents of the same file before.
        """
        if not os.path.lexists(folder / cls.DB_NAME):
            raise RunFolderError(f"{folder}: {_why_none(folder, cls.KIND, cls.DB_NAME)}")
        return cls(folder, cls._database(folder, read_only=True, is_checked=is_checked), None)

    @classmethod
    def _database(cls, folder: Path, *, read_only: bool, is_checked: bool = False) -> Database:
        return Database(
            folder / cls.DB_NAME,
            cls.MIGRATIONS,
            inside=folder,
            remedy=cls.REMEDY,
            read_only=read_only,
            is_checked=is_checked,
        )

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
        """Commit everything and release the lock."""
        try:
            self.db.close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def flush(self) -> None:
        """Wait until everything queued is committed."""
        self.db.flush()

    def set_meta(self, key: str, value: object) -> None:
        """Store a fact as JSON."""
        self.db.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def meta(self, key: str, kind: type[BaseModel] | None = None) -> Any:  # noqa: ANN401 - any JSON
        """Return a fact, or None; `kind` is its schema."""

        def decoded(row: Sequence[Any]) -> Any:  # noqa: ANN401
            return parse_fact(key, _META.validate(row)[0], kind)

        rows = list(self.db.each(decoded, "SELECT value FROM meta WHERE key=?", (key,)))
        return rows[0] if rows else None

    def add_call(self, model: str, counts: TokenCounts, purpose: CallPurpose = NO_PURPOSE) -> None:
        """Record a completion that was paid for; `model` is its name in the price table."""
        made_for: tuple[str, ...] = ()
        if self.STORES_PURPOSES:
            made_for = (purpose.stage or "", purpose.heuristic or "")
        more = ", ?" * len(made_for)
        values = (model, counts.prompt, counts.received, *made_for)
        self.db.write(f"INSERT INTO calls VALUES (?, ?, ?{more})", values)
        details = (counts.cached, counts.cache_writes, counts.reasoning)
        if any(details):
            self.db.write(
                f"INSERT INTO call_details VALUES (?, ?, ?, ?{more})", (model, *details, *made_for)
            )

    def add_possible_call(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Record the bound of a try that was sent and not answered."""
        values = (model, prompt_tokens, completion_tokens)
        self.db.write("INSERT INTO possible_calls VALUES (?, ?, ?)", values)

    def set_in_flight(self, most: Mapping[str, Paid]) -> None:
        """Record the most tries that are in flight, by model; none removes the record."""
        if most:
            self.set_meta(IN_FLIGHT_META, most)
        else:
            self.db.write("DELETE FROM meta WHERE key=?", (IN_FLIGHT_META,))

    def book_killed(self) -> int:
        """Record what was in flight when a session was killed as possible calls; return how many.

        They are recorded with the removal of the fact, so that none is booked twice.
        """
        found = self._in_flight()
        statements: list[tuple[str, Sequence[Any]]] = []
        for model, (n, *totals) in found.items():
            shares = [[total // n + (i < total % n) for i in range(n)] for total in totals]
            insert = "INSERT INTO possible_calls VALUES (?, ?, ?)"
            statements += [(insert, (model, *tokens)) for tokens in zip(*shares, strict=True)]
        if found:
            remove = "DELETE FROM meta WHERE key=?"
            self.db.write_all([*statements, (remove, (IN_FLIGHT_META,))])
        return len(statements)

    def calls_by_model(self) -> dict[str, Paid]:
        """Sum the recorded completions: model -> (requests, prompt tokens, completion tokens)."""
        return self._sums("calls")

    def possible_calls_by_model(self) -> dict[str, Paid]:
        """Sum the tries without an answer, which may have been billed up to these tokens.

        What is in flight, or was when the process was killed, is among them.
        """
        sums = self._sums("possible_calls")
        for model, counts in self._in_flight().items():
            n, sent, received = sums.get(model, (0, 0, 0))
            sums[model] = n + counts[0], sent + counts[1], received + counts[2]
        return sums

    def _in_flight(self) -> dict[str, list[int]]:
        return self.meta(IN_FLIGHT_META, _InFlight) or {}

    def call_details_by_model(self) -> dict[str, tuple[int, int, int]]:
        """Sum the recorded completions: model -> (cached, written to cache, reasoning tokens)."""
        rows = self.db.each(
            _DETAILS.validate,
            "SELECT model, SUM(cached_tokens), SUM(cache_write_tokens), SUM(reasoning_tokens) "
            "FROM call_details GROUP BY model ORDER BY model",
        )
        return {model: (cached, writes, reasoning) for model, cached, writes, reasoning in rows}

    def _sums(self, table: str) -> dict[str, Paid]:
        """Sum a table by model; one after another, since grouping would sort millions of rows."""
        found: dict[str, Paid] = {}
        last, query = "", f"SELECT MIN(model), MAX(model), {_SUMS} FROM {table} WHERE model > ?"
        while len(found) < FEW_MODELS:
            ((first, final, n, *tokens),) = self.db.each(_MODELS.validate, query, (last,))
            if first is None:
                return found
            if first == final:
                return found | {first: (n, *tokens)}
            found |= self._grouped(f"{table} WHERE model = ?", first)
            last = first
        return found | self._grouped(f"{table} WHERE model > ?", last)

    def _grouped(self, rows: str, model: str) -> dict[str, Paid]:
        query = f"SELECT model, {_SUMS} FROM {rows} GROUP BY model ORDER BY model"
        groups = self.db.each(_PAID.validate, query, (model,))
        return {model: (n, sent, received) for model, n, sent, received in groups}


def _why_none(folder: Path, kind: str, name: str) -> str:
    """Say why a path holds no folder of ours."""
    if not os.path.lexists(folder):
        return f"holds no {kind} (there is no such folder)"
    if not folder.is_dir():
        return f"holds no {kind} (it is a file; name the folder of the {kind})"
    return f"holds no {kind} (there is no {name}){_other_kind(folder, name)}"


def _other_kind(folder: Path, name: str) -> str:
    """Say what else of ours a folder holds than the database of this name; '' if nothing."""
    others = [mark for mark in atomic.MARKS if mark != name and (folder / mark).exists()]
    return f"; it is the folder of {_OTHERS[others[0]]}" if others else ""


def parse_fact(key: str, text: str, kind: type[BaseModel] | None) -> Any:  # noqa: ANN401 - any JSON
    """Decode a fact; ValueError if it is invalid."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"meta {key} is not JSON") from error
    try:
        if kind is not None and value is not None:
            kind.model_validate(value)  # parsed by json: pydantic's parser rejects lone surrogates
    except ValidationError as error:
        raise ValueError(f"meta {key}: {first_fault(error)}") from None
    return value


def _lock_folder(folder: Path, kind: str, name: str) -> int:
    """Create the folder if missing and lock it; return the lock's descriptor."""
    is_new = not os.path.lexists(folder / name)
    try:
        if is_new and folder.is_dir() and any(n.name != LOCK_NAME for n in folder.iterdir()):
            other = _other_kind(folder, name)
            raise RunFolderError(
                f"{folder}: contains files but no {kind}{other}; use another --out"
            )
    except OSError as error:
        raise RunFolderError(f"{folder}: cannot be read: {error.strerror}") from error
    atomic.make_folder(folder, error=RunFolderError)
    lock = atomic.take_lock(folder / LOCK_NAME, inside=folder, error=RunFolderError)
    if lock is None:
        raise RunFolderError(f"{folder}: in use by another evolcoder process")
    return lock
