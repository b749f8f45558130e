"""The folder of an evaluation: samples, verdicts and what failed, appended and never changed.

Promises: what is in it survives any interruption; a second process on the same folder is refused;
samples that other settings made are not mixed with these. A sandbox failure is kept apart from
verdicts and is tried again by the next session. What a damaged or foreign database holds becomes a
sample or verdict only if it could be one.

>>> with EvalStore.create(Path("runs/e"), settings) as store:   # doctest: +SKIP
...     store.add_sample("humaneval", sample)
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from evolcoder.bench.base import ExtractedProgram, PromptForm, Sample
from evolcoder.errors import RunFolderError
from evolcoder.storage.database import COUNT, MAYBE_COUNT, MAYBE_TEXT, TEXT, Columns, Statement
from evolcoder.storage.workdir import FolderFacts, Workdir, parse_fact
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
_SAMPLES = Columns(problem=TEXT, number=COUNT, text=TEXT, form=TEXT, fault=MAYBE_TEXT)
_VERDICTS = Columns(
    problem=TEXT, number=COUNT, passed=MAYBE_COUNT, base_passed=MAYBE_COUNT, found=TEXT, facts=TEXT
)
_FAILURES = Columns(problem=TEXT, what=TEXT)
_NAME, _NUMBER = Columns(name=TEXT), Columns(number=COUNT)


class StoredRequest(FolderFacts):
    """What is stored of an evaluation whose samples a model gave."""

    model: str


class VerdictFacts(FolderFacts):
    """What must be known of a verdict; an earlier version may not have said the rest."""

    kind: str
    separation: str = ""
    layers: Sequence[str] = ()
    missing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StoredVerdict:
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

    @property
    def is_unjudged(self) -> bool:
        """Whether the sample could not be judged (`guard.judging`); its kind is then an error."""
        return self.facts.get("unjudged") is True


class EvalStore(Workdir):
    """An evaluation's folder that is open: for one writer, or for readers."""

    DB_NAME = DB_NAME
    KIND = "evaluation"
    MIGRATIONS = MIGRATIONS
    REMEDY = (
        "restore it from a copy, or delete the folder and evaluate again: "
        "answers that are in the cache are not paid for twice"
    )

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, object]) -> Self:
        """Open a folder for writing: a new one, or one that was made with the same settings."""
        return cls.open_to_write(folder, lambda store: store.adopt(settings))

    def add_sample(self, bench: str, sample: Sample, finish: str) -> None:
        """Queue one sample; it is durable within about 20 ms."""
        self.db.write(*_sample_row(bench, sample, finish))

    def add_samples(self, bench: str, samples: Iterable[Sample]) -> None:
        """Write many samples at once: all of them or none."""
        self.db.write_all(_sample_row(bench, sample, "") for sample in samples)

    def add_verdict(self, bench: str, judged: StoredVerdict) -> None:
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
        query = "SELECT problem, number, text, form, fault FROM samples WHERE bench=? AND problem=?"
        found = self.db.each(_sample_from, query, (bench, problem))
        return {sample.index: sample for sample in found}

    def benches(self) -> list[str]:
        """Name the benchmarks that there are verdicts on."""
        query = "SELECT DISTINCT bench FROM verdicts ORDER BY bench"
        return [name for (name,) in self.db.each(_NAME.validate, query)]

    def problems(self, bench: str) -> frozenset[str]:
        """Name the problems of a bench that there are samples of."""
        query = "SELECT DISTINCT problem FROM samples WHERE bench=?"
        return frozenset(name for (name,) in self.db.each(_NAME.validate, query, (bench,)))

    def count(self, bench: str, n: int) -> int:
        """Count the samples of a bench among the first n of each problem."""
        query = "SELECT COUNT(*) FROM samples WHERE bench=? AND number<?"
        return self.db.number(query, (bench, n))

    def judged_numbers(self, bench: str, problem: str) -> set[int]:
        """Return the numbers of the samples that have a verdict."""
        query = "SELECT number FROM verdicts WHERE bench=? AND problem=?"
        return {number for (number,) in self.db.each(_NUMBER.validate, query, (bench, problem))}

    def without_verdict(self, bench: str, problems: Iterable[str]) -> list[str]:
        """Return those of some problems that no sample was judged on."""
        return [problem for problem in problems if not self.judged_numbers(bench, problem)]

    def verdicts(self, bench: str) -> Iterator[StoredVerdict]:
        """Read all verdicts of a bench, by problem and number."""
        query = (
            "SELECT problem, number, passed, base_passed, found, facts FROM verdicts"
            " WHERE bench=? ORDER BY problem, number"
        )
        yield from self.db.each(_judged_from, query, (bench,))

    def failures(self, bench: str) -> list[tuple[str, str]]:
        """Read what failed: problems, and what was seen."""
        query = "SELECT problem, what FROM failures WHERE bench=? ORDER BY problem, number"
        return [
            (problem, what) for problem, what in self.db.each(_FAILURES.validate, query, (bench,))
        ]

    def adopt(self, settings: Mapping[str, object]) -> None:
        """Take settings as this evaluation's own, or refuse other ones."""
        known = self.meta("settings", FolderFacts)
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
