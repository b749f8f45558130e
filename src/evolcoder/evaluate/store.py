"""The folder of an evaluation: samples, verdicts and what failed, appended and never changed.

Promises: what is in it survives any interruption; a second process on the same folder is refused;
samples that other settings made are not mixed with these. A sandbox failure is kept apart from
verdicts and is tried again by the next session.

>>> with EvalStore.create(Path("runs/e"), settings) as store:   # doctest: +SKIP
...     store.add_sample("humaneval", sample)
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from evolcoder.bench.base import Form, Sample
from evolcoder.db import Statement
from evolcoder.errors import RunFolderError
from evolcoder.folder import Folder
from evolcoder.text import without_logins

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


class EvalStore(Folder):
    """An evaluation's folder that is open: for one writer, or for readers."""

    DB_NAME = DB_NAME
    KIND = "evaluation"
    MIGRATIONS = MIGRATIONS

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, object]) -> Self:
        """Open a folder for writing: a new one, or one that was made with the same settings."""
        return cls.opened(folder, lambda store: store.adopt(settings))

    def add_sample(self, bench: str, sample: Sample, finish: str) -> None:
        """Queue one sample; it is durable within about 20 ms."""
        self.db.write(*_sample_row(bench, sample, finish))

    def add_samples(self, bench: str, samples: Iterable[Sample]) -> None:
        """Write many samples at once: all of them or none."""
        self.db.write_all(_sample_row(bench, sample, "") for sample in samples)

    def add_verdict(self, bench: str, judged: Judged) -> None:
        """Queue one verdict."""
        j = judged
        facts = json.dumps(j.facts)
        values = (bench, j.problem, j.number, j.passed, j.base_passed, j.found, facts)
        self.db.write("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self.db.write(
            "DELETE FROM failures WHERE bench=? AND problem=? AND number=?",
            (bench, j.problem, j.number),
        )

    def add_failure(self, bench: str, problem: str, number: int, what: str) -> None:
        """Queue a failure of the sandbox or of a model's server: it says nothing of a program."""
        values = (bench, problem, number, what)
        self.db.write("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", values)

    def samples(self, bench: str, problem: str) -> dict[int, Sample]:
        """Read the samples of one problem, by number."""
        rows: Any = self.db.read(
            "SELECT number, text, form, fault FROM samples WHERE bench=? AND problem=?",
            (bench, problem),
        )
        return {
            number: Sample(problem, number, text, Form(form), fault)
            for number, text, form, fault in rows
        }

    def benches(self) -> list[str]:
        """Name the benchmarks that there are verdicts on."""
        rows = self.db.read("SELECT DISTINCT bench FROM verdicts ORDER BY bench")
        return [str(name) for (name,) in rows]

    def problems(self, bench: str) -> frozenset[str]:
        """Name the problems of a bench that there are samples of."""
        rows = self.db.read("SELECT DISTINCT problem FROM samples WHERE bench=?", (bench,))
        return frozenset(str(problem) for (problem,) in rows)

    def count(self, bench: str, n: int) -> int:
        """Count the samples of a bench among the first n of each problem."""
        query = "SELECT COUNT(*) FROM samples WHERE bench=? AND number<?"
        return int(str(self.db.read(query, (bench, n))[0][0]))

    def judged_numbers(self, bench: str, problem: str) -> set[int]:
        """Return the numbers of the samples that have a verdict."""
        rows: Any = self.db.read(
            "SELECT number FROM verdicts WHERE bench=? AND problem=?", (bench, problem)
        )
        return {number for (number,) in rows}

    def verdicts(self, bench: str) -> Iterator[Judged]:
        """Read all verdicts of a bench, by problem and number."""
        rows: Any = self.db.reader.execute(
            "SELECT problem, number, passed, base_passed, found, facts FROM verdicts"
            " WHERE bench=? ORDER BY problem, number",
            (bench,),
        )
        for problem, number, passed, base, found, facts in rows:
            base_passed = None if base is None else bool(base)
            yield Judged(problem, number, bool(passed), base_passed, found, json.loads(facts))

    def failures(self, bench: str) -> list[tuple[str, str]]:
        """Read what failed: problems, and what was seen."""
        rows = self.db.read(
            "SELECT problem, what FROM failures WHERE bench=? ORDER BY problem, number", (bench,)
        )
        return cast("list[tuple[str, str]]", rows)

    def adopt(self, settings: Mapping[str, object]) -> None:
        """Take settings as this evaluation's own, or refuse other ones."""
        known = self.meta("settings")
        wanted = json.loads(json.dumps(settings))
        if known is not None and known.get("model"):
            known["model"] = without_logins(str(known["model"]))  # earlier versions kept them
        if known is not None and known != wanted:
            keys = sorted(k for k in {*known, *wanted} if known.get(k) != wanted.get(k))
            raise RunFolderError(
                f"{self.folder}: this evaluation was made with other values of {', '.join(keys)}; "
                f"use the old ones or another --out"
            )
        self.set_meta("settings", wanted)
        self.db.flush()


def _sample_row(bench: str, sample: Sample, finish: str) -> Statement:
    s = sample
    return _SAMPLE, (bench, s.problem, s.index, s.text, s.form, s.fault, finish)
