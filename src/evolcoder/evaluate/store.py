"""The folder of an evaluation: samples, verdicts and what failed, appended and never changed.

Promises: what is in it survives any interruption; a second process on the same folder is refused;
samples that other settings made are not mixed with these. A sandbox failure is kept apart from
verdicts and is tried again by the next session.

>>> with EvalStore.create(Path("runs/e"), settings) as store:   # doctest: +SKIP
...     store.add_sample("humaneval", sample)
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from evolcoder.bench.base import Form, Sample
from evolcoder.db import Database, Statement
from evolcoder.errors import RunFolderError
from evolcoder.store import lock_folder

DB_NAME = "eval.db"
MIGRATIONS: Sequence[str] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE samples (
        bench TEXT NOT NULL, problem TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
        form TEXT NOT NULL, fault TEXT, finish TEXT NOT NULL,
        PRIMARY KEY (bench, problem, number)
    );
    CREATE TABLE verdicts (
        bench TEXT NOT NULL, problem TEXT NOT NULL, number INTEGER NOT NULL, passed INTEGER,
        base_passed INTEGER, found TEXT NOT NULL, facts TEXT NOT NULL,
        PRIMARY KEY (bench, problem, number)
    );
    CREATE TABLE failures (
        bench TEXT NOT NULL, problem TEXT NOT NULL, number INTEGER NOT NULL, what TEXT NOT NULL,
        PRIMARY KEY (bench, problem, number)
    );
    CREATE TABLE calls (
        model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    )
    """,
)
_SAMPLE = "INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict as it is kept."""

    problem: str
    """Id of the problem."""
    number: int
    """Place among the samples of the problem."""
    passed: bool
    """Whether every check held."""
    base_passed: bool | None
    """Whether the checks of the original benchmark held; None where there is no such part."""
    found: str
    """Where in the sample the program was."""
    facts: dict[str, Any]
    """All else that is known of the verdict: its kind, what was seen, times, layers."""


class EvalStore:
    """An evaluation's folder that is open."""

    def __init__(self, folder: Path, db: Database, lock: int | None) -> None:
        self.folder = folder
        self._db = db
        self._lock = lock

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, object]) -> Self:
        """Open a folder for writing: a new one, or one that was made with the same settings."""
        lock = lock_folder(folder, fresh=not (folder / DB_NAME).exists())
        try:
            store = cls(folder, Database(folder / DB_NAME, MIGRATIONS), lock)
        except BaseException:
            os.close(lock)
            raise
        try:
            store._adopt(settings)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Open a folder to look at it."""
        if not (folder / DB_NAME).is_file():
            raise RunFolderError(f"{folder}: no evaluation here (there is no {DB_NAME})")
        return cls(folder, Database(folder / DB_NAME, MIGRATIONS), None)

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
            self._db.close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def flush(self) -> None:
        """Wait until all that was added is committed."""
        self._db.flush()

    def set_meta(self, key: str, value: object) -> None:
        """Keep a fact about the evaluation."""
        self._db.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def meta(self, key: str) -> Any:  # noqa: ANN401 - JSON is any plain data
        """Read a fact about the evaluation, or None."""
        rows = self._db.read("SELECT value FROM meta WHERE key=?", (key,))
        return json.loads(str(rows[0][0])) if rows else None

    def add_sample(self, bench: str, sample: Sample, finish: str) -> None:
        """Queue one sample; it is durable within about 20 ms."""
        self._db.write(*_sample_row(bench, sample, finish))

    def add_samples(self, bench: str, samples: Iterable[Sample]) -> None:
        """Write many samples at once: all of them or none."""
        self._db.write_all(_sample_row(bench, sample, "") for sample in samples)

    def add_verdict(self, bench: str, judged: Judged) -> None:
        """Queue one verdict."""
        j = judged
        facts = json.dumps(j.facts)
        values = (bench, j.problem, j.number, j.passed, j.base_passed, j.found, facts)
        self._db.write("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self._db.write(
            "DELETE FROM failures WHERE bench=? AND problem=? AND number=?",
            (bench, j.problem, j.number),
        )

    def add_failure(self, bench: str, problem: str, number: int, what: str) -> None:
        """Queue a failure of the sandbox or of a model's server: it says nothing of a program."""
        values = (bench, problem, number, what)
        self._db.write("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", values)

    def add_call(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Note one completion that was paid for."""
        values = (model, prompt_tokens, completion_tokens)
        self._db.write("INSERT INTO calls VALUES (?, ?, ?)", values)

    def paid(self) -> dict[str, tuple[int, int, int]]:
        """Sum what was paid for: model -> (requests, prompt tokens, completion tokens)."""
        rows: Any = self._db.read(
            "SELECT model, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens) "
            "FROM calls GROUP BY model ORDER BY model"
        )
        return {model: (n, sent, received) for model, n, sent, received in rows}

    def samples(self, bench: str, problem: str) -> dict[int, Sample]:
        """Read the samples of one problem, by number."""
        rows: Any = self._db.read(
            "SELECT number, text, form, fault FROM samples WHERE bench=? AND problem=?",
            (bench, problem),
        )
        return {
            number: Sample(problem, number, text, Form(form), fault)
            for number, text, form, fault in rows
        }

    def benches(self) -> list[str]:
        """Name the benchmarks that there are verdicts on."""
        rows = self._db.read("SELECT DISTINCT bench FROM verdicts ORDER BY bench")
        return [str(name) for (name,) in rows]

    def count(self, bench: str, n: int) -> int:
        """Count the samples of a bench among the first n of each problem."""
        query = "SELECT COUNT(*) FROM samples WHERE bench=? AND number<?"
        return int(str(self._db.read(query, (bench, n))[0][0]))

    def judged_numbers(self, bench: str, problem: str) -> set[int]:
        """Return the numbers of the samples that have a verdict."""
        rows: Any = self._db.read(
            "SELECT number FROM verdicts WHERE bench=? AND problem=?", (bench, problem)
        )
        return {number for (number,) in rows}

    def verdicts(self, bench: str) -> Iterator[Judged]:
        """Read all verdicts of a bench, by problem and number."""
        rows: Any = self._db.reader.execute(
            "SELECT problem, number, passed, base_passed, found, facts FROM verdicts"
            " WHERE bench=? ORDER BY problem, number",
            (bench,),
        )
        for problem, number, passed, base, found, facts in rows:
            base_passed = None if base is None else bool(base)
            yield Judged(problem, number, bool(passed), base_passed, found, json.loads(facts))

    def failures(self, bench: str) -> list[tuple[str, str]]:
        """Read what failed: problems, and what was seen."""
        rows = self._db.read(
            "SELECT problem, what FROM failures WHERE bench=? ORDER BY problem, number", (bench,)
        )
        return cast("list[tuple[str, str]]", rows)

    def _adopt(self, settings: Mapping[str, object]) -> None:
        known = self.meta("settings")
        wanted = json.loads(json.dumps(settings))
        if known is not None and known != wanted:
            keys = sorted(k for k in {*known, *wanted} if known.get(k) != wanted.get(k))
            raise RunFolderError(
                f"{self.folder}: this evaluation was made with other values of {', '.join(keys)}; "
                f"use the old ones or another --out"
            )
        self.set_meta("settings", wanted)
        self.flush()


def _sample_row(bench: str, sample: Sample, finish: str) -> Statement:
    s = sample
    return _SAMPLE, (bench, s.problem, s.index, s.text, s.form, s.fault, finish)
