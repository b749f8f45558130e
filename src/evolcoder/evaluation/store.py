"""An evaluation's folder with its samples, verdicts and failures in an append-only database.

Guarantees: stored data survives any interruption; a second process on the same folder is refused;
a folder only contains samples of one set of settings. Failures of the sandbox or a server are
stored separately from verdicts, and the next run retries them. Rows of a damaged or foreign
database are validated when they are read.

>>> with EvalStore.create(Path("runs/e"), settings) as store:   # doctest: +SKIP
...     store.add_sample("humaneval", sample)
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import NonNegativeInt

from evolcoder.bench.base import ExtractedProgram, PromptForm, Sample
from evolcoder.credentials import without_address, without_logins
from evolcoder.errors import RunFolderError
from evolcoder.storage.database import COUNT, MAYBE_COUNT, MAYBE_TEXT, TEXT, Columns, Statement
from evolcoder.storage.run_config import describe_changes
from evolcoder.storage.workdir import (
    BILLING_TABLES,
    PROVENANCE_META,
    FolderFacts,
    Workdir,
    parse_fact,
)

DB_NAME = "eval.db"
ANSWERED, EXCLUDED = "answered", "excluded"
"""Meta key of the number of answers by the model that answered."""
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
    BILLING_TABLES,
    """
    CREATE TABLE first_steps (
        bench TEXT NOT NULL, problem TEXT NOT NULL, number INTEGER NOT NULL, text TEXT NOT NULL,
        finish TEXT NOT NULL, PRIMARY KEY (bench, problem, number)
    )
    """,
)
_SAMPLE = "INSERT OR IGNORE INTO samples VALUES (?, ?, ?, ?, ?, ?, ?)"
_SAMPLES = Columns(problem=TEXT, number=COUNT, text=TEXT, form=TEXT, fault=MAYBE_TEXT)
_VERDICTS = Columns(
    problem=TEXT, number=COUNT, passed=MAYBE_COUNT, base_passed=MAYBE_COUNT, found=TEXT, facts=TEXT
)
_FAILURES = Columns(problem=TEXT, what=TEXT)
_FINISHES = Columns(finish=TEXT, n=COUNT)
_NAME, _NUMBER, _TEXT = Columns(name=TEXT), Columns(number=COUNT), Columns(text=TEXT)


class StoredRequest(FolderFacts):
    """The stored settings of an evaluation that generates its samples."""

    model: str


class AnsweredFacts(FolderFacts):
    """The fact under ANSWERED: a number by name."""

    __pydantic_extra__: dict[str, NonNegativeInt]


class ExcludedFacts(FolderFacts):
    """The fact under EXCLUDED: ids of problems by benchmark."""

    __pydantic_extra__: dict[str, list[str]]


class VerdictFacts(FolderFacts):
    """Required facts of a verdict, and those that earlier versions did not store."""

    kind: str
    separation: str = ""
    layers: Sequence[str] = ()
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A verdict as stored."""

    problem: str
    """Id of the problem."""
    number: int
    """Index among the samples of the problem."""
    passed: bool
    """Whether all checks passed."""
    base_passed: bool | None
    """Whether the original benchmark's checks passed; None if they are not separate."""
    found: str
    """Where the program was found in the sample."""
    facts: dict[str, Any]
    """Details of the verdict: kind, values, times, sandbox layers."""

    @property
    def is_unjudged(self) -> bool:
        """Whether judging failed (`sample_errors.judging`); the verdict's kind is then an error."""
        return self.facts.get("unjudged") is True


class EvalStore(Workdir):
    """An open evaluation folder, for one writer or for readers."""

    DB_NAME = DB_NAME
    KIND = "evaluation"
    MIGRATIONS = MIGRATIONS
    REMEDY = (
        "restore it from a copy, or delete the folder and evaluate again: "
        "cached completions are not requested again"
    )

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, object]) -> Self:
        """Open a folder for writing: a new one, or one with the same settings."""
        return cls.open_to_write(folder, lambda store: store.adopt(settings))

    def add_sample(self, bench: str, sample: Sample, finish: str) -> None:
        """Queue one sample and the deletion of its failure; it is durable within about 20 ms."""
        self.db.write(*_sample_row(bench, sample, finish))
        self._forget_failure(bench, sample.problem, sample.index)

    def add_first_step(self, bench: str, place: tuple[str, int], text: str, finish: str) -> None:
        """Queue the answer to the first of two prompts; `place` is problem and number."""
        values = (bench, *place, text, finish)
        self.db.write("INSERT OR IGNORE INTO first_steps VALUES (?, ?, ?, ?, ?)", values)

    def first_step(self, bench: str, problem: str, number: int) -> str | None:
        """Read the answer to the first of a sample's two prompts; None if there is none."""
        query = "SELECT text FROM first_steps WHERE bench=? AND problem=? AND number=?"
        found = self.db.each(_TEXT.validate, query, (bench, problem, number))
        return next((str(text) for (text,) in found), None)

    def add_samples(
        self, bench: str, samples: Sequence[Sample], finishes: Sequence[str] = ()
    ) -> None:
        """Write many samples in one transaction, with their finish reasons if these are known."""
        given = zip(samples, finishes or [""] * len(samples), strict=True)
        self.db.write_all(_sample_row(bench, sample, finish) for sample, finish in given)

    def add_verdict(self, bench: str, verdict: StoredVerdict) -> None:
        """Queue one verdict, and the deletion of its sample's failure."""
        v = verdict
        facts = json.dumps(v.facts)
        values = (bench, v.problem, v.number, v.passed, v.base_passed, v.found, facts)
        self.db.write("INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self._forget_failure(bench, v.problem, v.number)

    def _forget_failure(self, bench: str, problem: str, number: int) -> None:
        query = "DELETE FROM failures WHERE bench=? AND problem=? AND number=?"
        self.db.write(query, (bench, problem, number))

    def add_answered(self, found: Mapping[str, int]) -> None:
        """Add a session's number of answers by the model that answered."""
        self.set_meta(ANSWERED, dict(Counter(self.answered()) + Counter(found)))

    def answered(self) -> dict[str, int]:
        """Return the number of answers by the model that answered, as servers say its name."""
        found: dict[str, int] = self.meta(ANSWERED, AnsweredFacts) or {}
        return found

    def exclude(self, bench: str, excluded: Iterable[str], checked: Iterable[str]) -> None:
        """Store which problems are in no score, of those that were checked now."""
        stored = self.meta(EXCLUDED, ExcludedFacts) or {}
        kept = {*stored.get(bench, ())} - {*checked}
        self.set_meta(EXCLUDED, {**stored, bench: sorted(kept | {*excluded})})
        self.db.flush()

    def excluded(self, bench: str) -> frozenset[str]:
        """Return the problems that are in no score; folders of earlier versions name none."""
        stored = self.meta(EXCLUDED, ExcludedFacts) or {}
        return frozenset(stored.get(bench, ()))

    def add_failure(self, bench: str, problem: str, number: int, what: str) -> None:
        """Queue a failure of the sandbox or of a model server, which is not a verdict."""
        values = (bench, problem, number, what)
        self.db.write("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", values)

    def samples(self, bench: str, problem: str) -> dict[int, Sample]:
        """Read the samples of one problem, by number."""
        query = "SELECT problem, number, text, form, fault FROM samples WHERE bench=? AND problem=?"
        stored = self.db.each(_sample_from, query, (bench, problem))
        return {sample.index: sample for sample in stored}

    def benches(self) -> list[str]:
        """Return the names of the benchmarks with verdicts."""
        query = "SELECT DISTINCT bench FROM verdicts ORDER BY bench"
        return [name for (name,) in self.db.each(_NAME.validate, query)]

    def sampled_benches(self) -> list[str]:
        """Return the names of the benchmarks with samples."""
        query = "SELECT DISTINCT bench FROM samples ORDER BY bench"
        return [name for (name,) in self.db.each(_NAME.validate, query)]

    def problems(self, bench: str) -> frozenset[str]:
        """Return the ids of a benchmark's problems with samples."""
        query = "SELECT DISTINCT problem FROM samples WHERE bench=?"
        return frozenset(name for (name,) in self.db.each(_NAME.validate, query, (bench,)))

    def count(self, bench: str, n: int) -> int:
        """Count a benchmark's samples among the first n of each problem."""
        query = "SELECT COUNT(*) FROM samples WHERE bench=? AND number<?"
        return self.db.number(query, (bench, n))

    def n_samples(self, bench: str, problem: str) -> int:
        """Count the samples of one problem."""
        query = "SELECT COUNT(*) FROM samples WHERE bench=? AND problem=?"
        return self.db.number(query, (bench, problem))

    def finishes(self, bench: str) -> dict[str, int]:
        """Count a benchmark's samples by finish reason; those of a file may have an empty one."""
        query = "SELECT finish, COUNT(*) FROM samples WHERE bench=? GROUP BY finish ORDER BY finish"
        found = self.db.each(_FINISHES.validate, query, (bench,))
        return {str(finish): int(n) for finish, n in found}

    def judged_numbers(self, bench: str, problem: str) -> set[int]:
        """Return the indices of the samples with a verdict."""
        query = "SELECT number FROM verdicts WHERE bench=? AND problem=?"
        return {number for (number,) in self.db.each(_NUMBER.validate, query, (bench, problem))}

    def without_verdict(self, bench: str, problems: Iterable[str]) -> list[str]:
        """Return those of the problems that have no verdict."""
        return [problem for problem in problems if not self.judged_numbers(bench, problem)]

    def verdicts(self, bench: str) -> Iterator[StoredVerdict]:
        """Read all verdicts of a benchmark, ordered by problem and number."""
        query = (
            "SELECT problem, number, passed, base_passed, found, facts FROM verdicts"
            " WHERE bench=? ORDER BY problem, number"
        )
        yield from self.db.each(_judged_from, query, (bench,))

    def failures(self, bench: str) -> list[tuple[str, str]]:
        """Read the failures: (problem, message) pairs."""
        query = "SELECT problem, what FROM failures WHERE bench=? ORDER BY problem, number"
        return [
            (problem, what) for problem, what in self.db.each(_FAILURES.validate, query, (bench,))
        ]

    def adopt(self, settings: Mapping[str, object]) -> None:
        """Store the settings; RunFolderError if samples were made with different ones."""
        found = self.meta("settings", FolderFacts)
        stored = None if found is None else comparable_settings(found)
        wanted = comparable_settings(settings)
        if stored is not None and stored != wanted:
            differing = {
                key: None if key.startswith("extra_") else (stored.get(key), wanted.get(key))
                for key in sorted({*stored, *wanted})
                if stored.get(key) != wanted.get(key)
            }
            if self.db.number("SELECT COUNT(*) FROM samples"):
                raise RunFolderError(
                    f"{self.folder}: this evaluation has other values of "
                    f"{describe_changes(differing)}; use the same values or another --out"
                )
            self.replaced = tuple(differing)
            forget = "DELETE FROM meta WHERE key=?"
            self.db.write_all([("DELETE FROM failures", ()), (forget, (PROVENANCE_META,))])
        self.set_meta("settings", settings)
        self.db.flush()


def comparable_settings(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return settings as JSON, with the model in place of its server's address and login."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    if plain.get("model"):
        # Earlier versions stored logins.
        plain["model"] = without_address(without_logins(str(plain["model"])))
    return plain


def _sample_from(columns: Sequence[Any]) -> Sample:
    problem, number, text, form, fault = _SAMPLES.validate(columns)
    return Sample(problem, number, text, PromptForm(form), fault)


def _judged_from(columns: Sequence[Any]) -> StoredVerdict:
    problem, number, passed, base, found, facts = _VERDICTS.validate(columns)
    base_passed = None if base is None else bool(base)
    known = parse_fact("a verdict", facts, VerdictFacts)
    return StoredVerdict(
        problem, number, bool(passed), base_passed, str(ExtractedProgram(found)), known
    )


def _sample_row(bench: str, sample: Sample, finish: str) -> Statement:
    s = sample
    return _SAMPLE, (bench, s.problem, s.index, s.text, s.form, s.fault, finish)
