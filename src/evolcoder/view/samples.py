"""Reads an evaluation by problem, its samples with their verdicts, and two evaluations together.

Counts are made of the stored verdicts in a thread, and kept until the database changes; a page
waits for them a moment only. Prompts and programs come from the benchmark's data where this machine
has it; nothing is downloaded or run.

>>> found, note = list_problems(evaluation, ProblemFilters("humaneval"), after="")
>>> print(found[0].problem, found[0].n_passed, found[0].n_samples)   # doctest: +SKIP
"""

import hashlib
import itertools
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.bench.base import Bench, Problem, PromptForm, Sample
from evolcoder.bench.custom import SUFFIX, custom_bench
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import BENCHES, bench_named
from evolcoder.bench.scores import Score, score
from evolcoder.errors import BenchError, UnjudgedError
from evolcoder.evaluation.store import EvalStore, StoredVerdict, VerdictFacts
from evolcoder.sample_errors import judging
from evolcoder.storage.database import COUNT, MAYBE_COUNT, MAYBE_TEXT, TEXT, Columns
from evolcoder.storage.workdir import FolderFacts, parse_fact
from evolcoder.text import natural_key
from evolcoder.view.latest import Latest, unreadable
from evolcoder.view.live import Live, LiveCounts
from evolcoder.view.sources import Source

PAGE = 50
"""Problems on a page."""
FACT_TEXTS = ("check", "expected", "got", "detail")
"""Facts of a verdict that are texts of any length."""
SAMPLES = 10
"""Samples on a page."""
_BENCHES = """
    WITH RECURSIVE found (bench) AS (
        SELECT MIN(bench) FROM {table} UNION ALL
        SELECT (SELECT MIN(t.bench) FROM {table} t WHERE t.bench > f.bench) FROM found f
        WHERE f.bench IS NOT NULL
    )
    SELECT bench FROM found WHERE bench IS NOT NULL
"""
"""Names of benchmarks; each is one search in the index, where DISTINCT would read all of it."""
_NAME = Columns(name=TEXT)
_PROBLEMS = """
    WITH RECURSIVE found (problem) AS (
        SELECT MIN(problem) FROM samples WHERE bench = ?1 UNION ALL
        SELECT (SELECT MIN(s.problem) FROM samples s WHERE s.bench = ?1
            AND s.problem > f.problem) FROM found f
        WHERE f.problem IS NOT NULL
    )
    SELECT problem FROM found WHERE problem IS NOT NULL
"""
"""Ids of a benchmark's problems; each is one search in the index."""
_SAMPLED = """
    SELECT COUNT(*), (SELECT COUNT(*) FROM verdicts WHERE bench = ?1 AND problem = ?2),
        (SELECT COALESCE(SUM(passed), 0) FROM verdicts WHERE bench = ?1 AND problem = ?2)
    FROM samples WHERE bench = ?1 AND problem = ?2
"""
_SAMPLED_COUNTS = Columns(n=COUNT, judged=COUNT, passed=COUNT)
_NUMBERS = "SELECT problem, COUNT(*) FROM samples WHERE bench = ? GROUP BY problem"
_NUMBER = Columns(problem=TEXT, n=COUNT)
_FINDINGS = """
    SELECT problem, CASE WHEN passed THEN 'passed' ELSE COALESCE(json_extract(facts, '$.kind'), '')
        END AS kind, COUNT(*), COALESCE(SUM(passed), 0) FROM verdicts WHERE bench = ?
    GROUP BY problem, kind
"""
"""Added up by SQLite, which lets other threads run meanwhile."""
_FINDING = Columns(problem=TEXT, kind=TEXT, n=COUNT, passed=COUNT)
_HAVING: Mapping[str, Callable[["ListedProblem"], bool]] = {
    "": lambda _: True,
    "all passed": lambda one: one.n_passed == one.n_samples,
    "some passed": lambda one: 0 < one.n_passed < one.n_samples,
    "none passed": lambda one: one.n_passed == 0,
}
OUTCOMES = tuple(name for name in _HAVING if name)
"""Values of the filter by outcome."""
_SAMPLE = Columns(
    number=COUNT, text=TEXT, form=TEXT, fault=MAYBE_TEXT, finish=TEXT, passed=MAYBE_COUNT,
    base=MAYBE_COUNT, found=MAYBE_TEXT, facts=MAYBE_TEXT, failure=MAYBE_TEXT,
)  # fmt: skip
_SAMPLES = """
    SELECT s.number, s.text, s.form, s.fault, s.finish, v.passed, v.base_passed, v.found, v.facts,
        f.what FROM samples s
    LEFT JOIN verdicts v USING (bench, problem, number)
    LEFT JOIN failures f USING (bench, problem, number)
    WHERE s.bench = ? AND s.problem = ? AND s.number >= ? ORDER BY s.number LIMIT ?
"""
_COUNTS = (
    ("samples", "SELECT COUNT(*) FROM samples"),
    ("verdicts", "SELECT COUNT(*) FROM verdicts"),
    ("failures", "SELECT COUNT(*) FROM failures"),
)


@dataclass(frozen=True, slots=True)
class BenchCounts:
    """What an evaluation found on a benchmark; of the size of its problems, not its samples."""

    bench: str
    """Name of the benchmark."""
    score: Score | None
    """pass@1 over the problems that have verdicts; None without any."""
    kinds: Sequence[tuple[str, int]]
    """Numbers of verdicts by finding, the most frequent first."""
    problems: Sequence["ListedProblem"]
    """All problems by id, with their samples counted."""
    kinds_of: Mapping[str, AbstractSet[str]]
    """Problem -> the findings of its samples."""


@dataclass(frozen=True, slots=True)
class ListedProblem:
    """A problem with its samples' verdicts, counted."""

    problem: str
    """Id of the problem."""
    n_samples: int
    """Samples."""
    n_judged: int
    """Samples with a verdict."""
    n_passed: int
    """Samples that passed."""

    @property
    def outcome(self) -> str:
        """Say what became of the samples."""
        if not self.n_judged:
            return "not judged"
        if self.n_passed in (0, self.n_samples):
            return "passed" if self.n_passed else "failed"
        return "partly"


@dataclass(frozen=True, slots=True)
class ProblemFilters:
    """Which problems are wanted; an empty value wants all."""

    bench: str
    """Name of the benchmark."""
    outcome: str = ""
    """One of OUTCOMES."""
    query: str = ""
    """Part of a problem's id."""
    kind: str = ""
    """A finding that at least one sample has."""


@dataclass(frozen=True, slots=True)
class ShownSample:
    """A sample with its program and verdict."""

    number: int
    """Its number among the samples of the problem."""
    text: str
    """The answer."""
    program: str | None
    """The program taken out of it; None if the benchmark's data is not here."""
    finish: str
    """Why the model stopped; empty if it is not known."""
    verdict: StoredVerdict | None
    """The verdict; None if there is none yet."""
    failure: str
    """Why it could not be judged; empty if it could."""

    @property
    def outcome(self) -> str:
        """Say what became of it."""
        if self.verdict is None:
            return "could not be judged" if self.failure else "not judged yet"
        return "passed" if self.verdict.passed else str(self.verdict.facts["kind"])

    @property
    def texts(self) -> dict[str, str]:
        """Its texts by name: the answer, the program, and those of the verdict."""
        facts = self.verdict.facts if self.verdict else {}
        texts = {name: str(facts[name]) for name in FACT_TEXTS if facts.get(name)}
        return {"answer": self.text, "program": self.program or "", **texts}


@dataclass(frozen=True, slots=True)
class Change:
    """A problem whose samples pass more or less often in another evaluation."""

    problem: str
    """Id of the problem."""
    before: float
    """Share that passed in the first evaluation."""
    after: float
    """Share that passed in the second one."""

    @property
    def is_better(self) -> bool:
        """Whether the second evaluation's samples pass more often."""
        return self.after > self.before


class Benchmarks:
    """Benchmarks whose data this machine has; nothing is downloaded."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """`folders` are those of the user and of the cache, in the order in which they are read."""
        self._folders = tuple(folders)
        self.folder = self._folders[0] if self._folders else None
        """The folder that is read first."""
        self._found: dict[object, tuple[Bench, dict[str, Problem]] | str] = {}
        self._lock = threading.Lock()

    def problem(self, evaluation: "Evaluation", bench: str, id: str) -> tuple[Bench, Problem] | str:
        """Return a problem of an evaluation with its benchmark, or say why it is not here."""
        own = evaluation.own_benches().get(bench)
        with self._lock:
            if own is not None and isinstance(self._found.get((bench, own)), str):
                del self._found[bench, own]  # the file may have come meanwhile
            if (bench, own) not in self._found:
                self._found[bench, own] = self._read_own(*own) if own else self._read(bench)
            found = self._found[bench, own]
        if isinstance(found, str):
            return found
        if id not in found[1]:
            return f"{bench} has no problem {id}"
        return found[0], found[1][id]

    def _read_own(self, name: str, digest: str) -> tuple[Bench, dict[str, Problem]] | str:
        """Read a benchmark of the user's own, if its file is the one that was evaluated."""
        places = [Path(name), *(folder / Path(name).name for folder in self._folders)]
        for path in (one for one in places if one.is_file()):
            try:
                with path.open("rb") as file:
                    is_same = hashlib.file_digest(file, "sha256").hexdigest() == digest
                if is_same:
                    bench = custom_bench(path)
                    return bench, {problem.id: problem for problem in bench.problems()}
            except (BenchError, OSError) as error:
                return unreadable(error) if isinstance(error, OSError) else str(error)
        return (
            f"{name}, as it was evaluated, is not here; name the folder with that file with "
            "--data-dir"
        )

    def _read(self, name: str) -> tuple[Bench, dict[str, Problem]] | str:
        if name not in BENCHES:
            return f"{name} is no benchmark that this version knows"
        why = "its data is not on this machine"
        for folder in self._folders:
            if not folder.is_dir():
                continue
            try:
                bench = bench_named(name, DataFolder(folder, folder))
            except BenchError as error:
                why = str(error)
            else:
                return bench, {problem.id: problem for problem in bench.problems()}
        return f"{why}; evolcoder eval downloads it, or name its folder with --data-dir"


class Evaluation:
    """An evaluation with its counts."""

    def __init__(self, source: Source[EvalStore]) -> None:
        self.source = source
        self._live = Live(source, _COUNTS)
        self._benches = Latest(self._count_benches)
        self._ids: dict[str, tuple[object, list[str]]] = {}

    def live(self, *, wait_s: float | None = None) -> LiveCounts:
        """Return numbers of samples, verdicts and failures, and how many came per minute.

        They are counted in a thread, and empty for the first time beyond `wait_s` seconds.
        """
        return self._live.counts(wait_s=wait_s)

    def benches(self, *, wait_s: float | None = None) -> list[BenchCounts] | None:
        """Return scores and findings by benchmark; None if they are being counted.

        `wait_s` is the longest wait for the first counts, in seconds; None: as for a page.
        """
        return self._benches.get(self.source.signature(), wait_s=wait_s)

    def bench(self, name: str, *, wait_s: float | None = None) -> BenchCounts | None:
        """Return the counts of one benchmark; None if they are being counted, or there is none."""
        found = self.benches(wait_s=wait_s) or ()
        return next((one for one in found if one.bench == name), None)

    def _count_benches(self) -> list[BenchCounts]:
        with self.source.open() as store:
            return [_counts_of(store, bench) for bench in _bench_names(store)]

    def own_benches(self) -> dict[str, tuple[str, str]]:
        """Return name -> path and SHA-256 of the benchmarks that are files of the user's own."""
        with self.source.open() as store:
            settings = store.meta("settings", FolderFacts) or {}
        files = settings.get("bench_files")
        found = files.items() if isinstance(files, dict) else ()
        return {
            Path(path).name.removesuffix(SUFFIX): (str(path), str(digest)) for path, digest in found
        }

    def bench_names(self) -> list[str]:
        """Return the names of the benchmarks."""
        with self.source.open() as store:
            return _bench_names(store)

    def ids(self, bench: str) -> list[str]:
        """Return the ids of a benchmark's problems, in order; read again when there are changes."""
        signature = self.source.signature()
        if self._ids.get(bench, ("", []))[0] != signature:
            with self.source.open() as store:
                rows = store.db.each(_NAME.validate, _PROBLEMS, (bench,))
                found = sorted((str(id) for (id,) in rows), key=natural_key)
            self._ids[bench] = signature, found
        return self._ids[bench][1]


def _bench_names(store: EvalStore) -> list[str]:
    names: dict[str, None] = {}
    for table in ("verdicts", "samples"):
        query = _BENCHES.format(table=table)
        names |= dict.fromkeys(str(name) for (name,) in store.db.each(_NAME.validate, query))
    return sorted(names)


def _counts_of(store: EvalStore, bench: str) -> BenchCounts:
    """Count a benchmark's verdicts, in one pass over them."""
    judged, passed, kinds = Counter[str](), Counter[str](), Counter[str]()
    kinds_of: dict[str, set[str]] = {}
    for problem, kind, n, n_passed in store.db.each(_FINDING.validate, _FINDINGS, (bench,)):
        judged[problem] += n
        passed[problem] += n_passed
        kinds[kind] += n
        kinds_of.setdefault(problem, set()).add(kind)
    problems = [
        ListedProblem(problem, n, judged[problem], passed[problem])
        for problem, n in sorted(
            store.db.each(_NUMBER.validate, _NUMBERS, (bench,)),
            key=lambda one: natural_key(one[0]),
        )
    ]
    left_out = store.excluded(bench)
    scored = {
        problem: [True] * passed[problem] + [False] * (n - passed[problem])
        for problem, n in judged.items()
        if problem not in left_out
    }
    found = score(scored, bench=bench, k=1) if scored else None
    ordered = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))
    return BenchCounts(bench, found, ordered, problems, kinds_of)


def list_problems(
    evaluation: Evaluation, filters: ProblemFilters, *, after: str
) -> tuple[list[ListedProblem], str]:
    """Return at most PAGE + 1 problems after one, by id, and what the list lacks.

    Filters need the counts of all problems; without them, the database is asked for those of a
    page.
    """
    is_filtered = bool(filters.outcome or filters.query or filters.kind)
    counts = evaluation.bench(filters.bench, wait_s=None if is_filtered else 0.0)
    if counts is None:
        if is_filtered and evaluation.benches(wait_s=0.0) is None:
            return [], "The verdicts are being counted; load the page again in a moment."
        ids = evaluation.ids(filters.bench)
        start = bisect_right(ids, natural_key(after), key=natural_key)
        ids = ids[start : start + PAGE + 1]
        with evaluation.source.open() as store:
            return [_sampled(store, filters.bench, id) for id in ids], ""
    fits = _HAVING.get(filters.outcome, _HAVING[""])
    start = bisect_right(
        counts.problems, natural_key(after), key=lambda one: natural_key(one.problem)
    )
    found = (
        one
        for one in itertools.islice(counts.problems, start, None)
        if filters.query.lower() in one.problem.lower()
        and (not filters.kind or filters.kind in counts.kinds_of.get(one.problem, ()))
        and fits(one)
    )
    return list(itertools.islice(found, PAGE + 1)), ""


def next_problem(evaluation: Evaluation, bench: str, problem: str) -> str | None:
    """Return the id of the problem after one; None at the end."""
    ids = evaluation.ids(bench)
    return next(iter(ids[bisect_right(ids, natural_key(problem), key=natural_key) :][:1]), None)


def _sampled(store: EvalStore, bench: str, problem: str) -> ListedProblem:
    """Count the samples of a problem; reads these alone."""
    (counts,) = store.db.each(_SAMPLED_COUNTS.validate, _SAMPLED, (bench, problem))
    return ListedProblem(problem, *counts)


def read_samples(
    evaluation: Evaluation, benchmarks: Benchmarks, bench: str, problem: str, *, first: int = 0
) -> list[ShownSample]:
    """Return at most SAMPLES samples of a problem, from a number on."""
    known = benchmarks.problem(evaluation, bench, problem)
    with evaluation.source.open() as store:
        values = (bench, problem, first, SAMPLES)
        rows = list(store.db.each(_SAMPLE.validate, _SAMPLES, values))
    return [_shown(problem, row, known) for row in rows]


def _shown(problem: str, row: Sequence[Any], known: tuple[Bench, Problem] | str) -> ShownSample:
    number, text, form, fault, finish, passed, base, found, facts, failure = row
    verdict = None
    if found is not None:
        details: Mapping[str, Any] = parse_fact("a verdict", facts, VerdictFacts)
        base_passed = None if base is None else bool(base)
        verdict = StoredVerdict(problem, number, bool(passed), base_passed, found, dict(details))
    program = None
    if not isinstance(known, str):
        bench, one = known
        sample = Sample(problem, number, text, PromptForm(form), fault)
        program = _program(bench, one, sample)
    return ShownSample(number, text, program, finish, verdict, failure or "")


def _program(bench: Bench, problem: Problem, sample: Sample) -> str:
    """Take the program out of an answer; empty if there is none."""
    try:
        with judging():
            return bench.candidate(problem, sample).program
    except UnjudgedError:
        return ""


def prompt_of(
    evaluation: Evaluation, benchmarks: Benchmarks, bench: str, problem: str
) -> tuple[str, str, str]:
    """Return a problem's instruction and checks, or why they are not shown as the last text."""
    known = benchmarks.problem(evaluation, bench, problem)
    if isinstance(known, str):
        return "", "", known
    found, one = known
    try:
        with judging():
            prompt = found.prompt(one)
    except UnjudgedError as error:
        return one.prompt, _checks_text(one), str(error)
    return prompt.instruction or prompt.code or one.prompt, _checks_text(one), ""


def _checks_text(problem: Problem) -> str:
    checks = problem.checks
    for name in ("test_source", "tests", "test", "harness"):
        if found := getattr(checks, name, ""):
            return str(found)
    inputs = getattr(checks, "inputs", ())
    lines = [f"{getattr(checks, 'entry_point', 'f')}{given!r:.300}" for given in inputs[:20]]
    more = [f"and {len(inputs) - 20} more calls"] if len(inputs) > 20 else []
    return "\n".join([*lines, *more])


def read_changes(one: Evaluation, other: Evaluation, bench: str) -> tuple[list[Change], int] | None:
    """Return problems whose share of passed samples differs, and how many both evaluations have.

    None while the verdicts are counted.
    """
    if one.benches() is None or other.benches() is None:
        return None
    first, second = _rates(one, bench), _rates(other, bench)
    both = [problem for problem in first if problem in second]
    changes = [
        Change(problem, first[problem], second[problem])
        for problem in both
        if first[problem] != second[problem]
    ]
    return sorted(changes, key=lambda one: (one.after - one.before, natural_key(one.problem))), len(
        both
    )


def _rates(evaluation: Evaluation, bench: str) -> dict[str, float]:
    """Return the share of passed samples by problem, of those with a verdict."""
    counts = evaluation.bench(bench)
    listed = counts.problems if counts else ()
    return {one.problem: one.n_passed / one.n_judged for one in listed if one.n_judged}
