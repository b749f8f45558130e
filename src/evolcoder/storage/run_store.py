"""The run database: an append-only record of every task, response, verdict and drop of a run.

Records are durable in the order added. A run killed at any time resumes without loss, a second
writing process is refused, and in = kept + dropped. Records read from a damaged or foreign database
are validated. Completions are stored in the cache (`engine/cache.py`), not here.

>>> with RunStore.create(Path("runs/x"), config) as store:   # doctest: +SKIP
...     store.add_task(task)

`lineage` returns the history of one record, from its seed to the newest task:

>>> [step.task.round for step in lineage(store, "3f2a")]   # doctest: +SKIP
[0, 1, 3]
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import NonNegativeInt

from evolcoder.config.load import Config, differing_keys, without_places
from evolcoder.errors import RunFolderError
from evolcoder.records import (
    Check,
    CheckResult,
    Drop,
    Origin,
    Reason,
    Response,
    ResponseCandidate,
    Row,
    Stage,
    Task,
    Usage,
)
from evolcoder.storage import atomic
from evolcoder.storage.database import (
    COUNT,
    MAYBE_COUNT,
    MAYBE_NUMBER,
    MAYBE_TEXT,
    NUMBER,
    TEXT,
    Columns,
    Statement,
    json_object,
)
from evolcoder.storage.sqlite_files import translate_errors
from evolcoder.storage.workdir import (
    BILLING_TABLES,
    LOCK_NAME,
    PROVENANCE_META,
    FolderFacts,
    Workdir,
)
from evolcoder.text import changed, without_logins

MADE = "model TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, attempts INTEGER"
MIGRATIONS: Sequence[str] = (
    f"""
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE tasks (
        id TEXT PRIMARY KEY, instruction TEXT NOT NULL, round INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, root TEXT NOT NULL, parent TEXT, heuristic TEXT,
        language TEXT, {MADE}, UNIQUE (round, ordinal)
    );
    CREATE TABLE responses (
        id TEXT PRIMARY KEY, task TEXT NOT NULL, round INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL, {MADE},
        UNIQUE (round, ordinal)
    );
    CREATE TABLE drops (
        stage TEXT NOT NULL, reason TEXT NOT NULL, subject TEXT NOT NULL, round INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, heuristic TEXT, seen TEXT NOT NULL, detail TEXT NOT NULL, {MADE},
        PRIMARY KEY (stage, round, ordinal)
    );
    CREATE INDEX drops_of_lineage ON drops (ordinal, round);
    CREATE INDEX responses_of_lineage ON responses (ordinal, round);
    CREATE TABLE rounds (round INTEGER PRIMARY KEY, pool INTEGER NOT NULL, started REAL NOT NULL);
    CREATE TABLE calls (
        model TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    );
    CREATE TABLE events (time REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL)
    """,
    """
    CREATE TABLE verdicts (
        task TEXT NOT NULL, response TEXT NOT NULL, round INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, check_name TEXT NOT NULL, kind TEXT NOT NULL, score REAL,
        detail TEXT NOT NULL, PRIMARY KEY (round, ordinal, check_name)
    );
    CREATE TABLE kept (
        round INTEGER NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (round, ordinal)
    ) WITHOUT ROWID;
    INSERT INTO kept SELECT round, ordinal FROM responses
    """,
    BILLING_TABLES,
    """
    CREATE TABLE answered (
        record TEXT PRIMARY KEY, asked TEXT NOT NULL, model TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE TABLE origins (ordinal INTEGER PRIMARY KEY, facts TEXT NOT NULL)",
    f"""
    CREATE TABLE answers (
        task TEXT NOT NULL, round INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        number INTEGER NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL,
        defect TEXT NOT NULL, detail TEXT NOT NULL, temperature REAL NOT NULL,
        seed INTEGER NOT NULL, {MADE}, answered TEXT NOT NULL, cluster INTEGER,
        tests_passed INTEGER, chosen INTEGER NOT NULL, PRIMARY KEY (task, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE reopened (
        round INTEGER NOT NULL, ordinal INTEGER NOT NULL, PRIMARY KEY (round, ordinal)
    ) WITHOUT ROWID
    """,
)
"""Table `answered` holds, by id of a task or response, the name of the model that answered;
`origins`, by ordinal of a seed, what its row had besides task and response; `answers`, by
task and number, each of several answers to one task, of which `responses` has the chosen one;
`reopened`, the places whose outcome stands until further answers to their task bring another."""
_MADE = {
    "model": MAYBE_TEXT,
    "prompt_tokens": MAYBE_COUNT,
    "completion_tokens": MAYBE_COUNT,
    "attempts": MAYBE_COUNT,
}
_TASK = Columns(
    id=TEXT, instruction=TEXT, round=COUNT, ordinal=COUNT, root=TEXT, parent=MAYBE_TEXT,
    heuristic=MAYBE_TEXT, language=MAYBE_TEXT, **_MADE,
)  # fmt: skip
_RESPONSE = Columns(
    id=TEXT, task=TEXT, round=COUNT, ordinal=COUNT, text=TEXT, reasoning=TEXT, **_MADE
)
_DROP = Columns(
    stage=TEXT, reason=TEXT, subject=TEXT, round=COUNT, ordinal=COUNT, heuristic=MAYBE_TEXT,
    seen=TEXT, detail=TEXT, **_MADE,
)  # fmt: skip
_VERDICT = Columns(
    task=TEXT, response=TEXT, round=COUNT, ordinal=COUNT, check_name=TEXT, kind=TEXT,
    score=MAYBE_NUMBER, detail=TEXT,
)  # fmt: skip
_ANSWER = Columns(
    task=TEXT, round=COUNT, ordinal=COUNT, number=COUNT, text=TEXT, reasoning=TEXT, defect=TEXT,
    detail=TEXT, temperature=NUMBER, seed=COUNT, **_MADE, answered=TEXT, cluster=MAYBE_COUNT,
    tests_passed=MAYBE_COUNT, chosen=COUNT,
)  # fmt: skip
_ROUND = Columns(round=COUNT)
_PARENT = Columns(instruction=MAYBE_TEXT, round=MAYBE_COUNT)
_ANSWERED = Columns(model=MAYBE_TEXT)
_COUNTED_ANSWERS = Columns(asked=TEXT, model=TEXT, n=COUNT)
_ROWS = """
    SELECT t.*, r.*, p.instruction, p.round, at.model, ar.model, o.facts FROM responses r
    LEFT JOIN kept k ON k.round = r.round AND k.ordinal = r.ordinal
    LEFT JOIN tasks t ON t.id = r.task LEFT JOIN tasks p ON p.id = t.parent
    LEFT JOIN answered at ON at.record = t.id LEFT JOIN answered ar ON ar.record = r.id
    LEFT JOIN origins o ON o.ordinal = r.ordinal AND r.round = 0
    WHERE r.round = ? AND (k.round IS NOT NULL OR ?) {where} ORDER BY r.ordinal LIMIT ?
"""
_NOT_CLEANED = """AND NOT EXISTS (
    SELECT 1 FROM drops d WHERE d.stage = 'clean' AND d.round = r.round AND d.ordinal = r.ordinal)
"""
_LOST = """
    SELECT COUNT(*) FROM kept k LEFT JOIN responses r USING (round, ordinal) WHERE r.id IS NULL
"""
STYLE_META = "style"
"""Meta key of the style of evolution: StyleFacts."""
MODEL_KEYS = ("evolver.", "responder.", "judge.", "verify.tester")
"""Beginnings of the config keys that say which model is asked, and how."""
_N_ANSWERS = """
    SELECT (SELECT COUNT(*) FROM tasks WHERE round > 0)
    + (SELECT COUNT(*) FROM responses WHERE model IS NOT NULL)
    + (SELECT COUNT(*) FROM verdicts
        WHERE (check_name IN ('tests', 'difficulty') AND kind != 'not_run')
            OR (check_name = 'bound' AND detail LIKE '%"generator": %'))
"""
_FORGET_MODELS = (
    # Rows of a data set without a response are no model's doing.
    """DELETE FROM drops WHERE stage IN ('evolve', 'respond') AND NOT (
        model IS NULL AND reason IN ('empty', 'only_thought', 'labelled_bad'))""",
    "DELETE FROM rounds",
    f"DELETE FROM meta WHERE key IN ('{PROVENANCE_META}', '{STYLE_META}')",
)
"""Removes what models decided, so that others are asked; what was paid for stays."""
_FORGET_OUTCOME = (
    "DELETE FROM reopened WHERE round = ? AND ordinal = ?",
    "DELETE FROM kept WHERE round = ? AND ordinal = ?",
    "DELETE FROM drops WHERE round = ? AND ordinal = ? AND stage IN ('respond', 'verify')",
    "DELETE FROM responses WHERE round = ? AND ordinal = ?",
    f"DELETE FROM verdicts WHERE round = ? AND ordinal = ? AND check_name = '{Check.AGREEMENT}'",
)
"""Removes how the answers to a task ended, for the transaction that stores how they end now."""
_OF_LINEAGE = """
    WITH RECURSIVE filled (round) AS (
        SELECT MIN(round) FROM tasks UNION ALL
        SELECT (SELECT MIN(t.round) FROM tasks t WHERE t.round > f.round) FROM filled f
        WHERE f.round IS NOT NULL
    )
    SELECT t.* FROM filled f JOIN tasks t ON t.round = f.round AND t.ordinal = ? ORDER BY t.round
"""
"""The tasks of a lineage; each round is one search in the index of places."""
_VERDICTS = "SELECT * FROM verdicts WHERE round = ? ORDER BY ordinal, rowid"
Record = Task | Response | Drop | CheckResult | Origin | ResponseCandidate
T = TypeVar("T", Task, Response)
DB_NAME = "run.db"
LATER_SECTIONS = frozenset({"verify"})
"""Config sections added after the first version; they are missing from older runs."""
CONFIG_NAME = "config.yaml"


class StyleFacts(FolderFacts):
    """The fact under STYLE_META: the style that a run keeps, and how it was decided."""

    style: Literal["append", "rewrite"]
    why: str
    probe: dict[str, dict[str, NonNegativeInt]]
    """By style, numbers of a measurement; empty if there was none."""


class RunStore(Workdir):
    """An open run folder, for one writer or for readers."""

    DB_NAME = DB_NAME
    KIND = "run"
    MIGRATIONS = MIGRATIONS
    REMEDY = (
        "restore it from a copy, or delete the folder and run the same command again: "
        "cached completions are not paid for again"
    )

    @classmethod
    def create(cls, folder: Path, config: Config) -> Self:
        """Create a run folder, or resume one whose config has the same fingerprint."""
        return cls.open_to_write(folder, lambda store: store.adopt(config))

    @property
    def is_alone(self) -> bool:
        """Whether the folder holds nothing but the files of a run that did not start."""
        ours = {CONFIG_NAME, LOCK_NAME}
        return all(
            path.name in ours or path.name.startswith(DB_NAME) for path in self.folder.iterdir()
        )

    def discard(self) -> None:
        """Close a run that did not start and delete its files."""
        self.close()
        for path in [*self.folder.glob(f"{DB_NAME}*"), self.folder / CONFIG_NAME]:
            path.unlink(missing_ok=True)
        (self.folder / LOCK_NAME).unlink(missing_ok=True)
        self.folder.rmdir()

    def add_seeds(
        self, records: Iterable[Origin | Task | Response | Drop], *, unverified: bool = False
    ) -> None:
        """Write the records of all seeds in one transaction."""
        self.db.write_all(
            statement
            for record in records
            for statement in _statements(record, unverified=unverified)
        )

    def add(self, record: Record, *, unverified: bool = False) -> None:
        """Queue one record; it is durable within about 20 ms.

        An `unverified` response becomes a row only through `keep`.
        """
        for statement in _statements(record, unverified=unverified):
            self.db.write(*statement)

    def keep(self, response: Response) -> None:
        """Accept an unverified response as a row of the training set."""
        self.db.write(*_kept(response))

    def drop_kept(self, drop: Drop) -> None:
        """Store the drop of a response, which is then no row of the training set."""
        self.db.write("DELETE FROM kept WHERE round=? AND ordinal=?", (drop.round, drop.ordinal))
        self.add(drop)

    def verdicts(self, task: Task) -> list[CheckResult]:
        """Return the verdicts on a task's response, in the order added."""
        query = "SELECT * FROM verdicts WHERE round=? AND ordinal=? ORDER BY rowid"
        return list(self.db.each(verdict_from, query, (task.round, task.ordinal)))

    def answers(self, task: Task) -> list[ResponseCandidate]:
        """Return the stored answers to a task, in their order."""
        query = "SELECT * FROM answers WHERE task=? ORDER BY number"
        return list(self.db.each(answer_from, query, (task.id,)))

    def choose(
        self, answers: Iterable[ResponseCandidate], verdict: CheckResult, response: Response
    ) -> None:
        """Store how the answers to a task agreed, and the response chosen among them.

        The response is queued last: where it is stored, all of it is. Verdicts of another response,
        chosen among fewer answers, are deleted. The outcome of a reopened row ends in the
        transaction that stores all this.
        """
        place = (verdict.round, verdict.ordinal)
        other = "DELETE FROM verdicts WHERE round=? AND ordinal=? AND (check_name=? OR response<>?)"
        found = "UPDATE answers SET cluster=?, tests_passed=?, chosen=? WHERE task=? AND number=?"
        statements: list[Statement] = [
            (other, (*place, verdict.check, verdict.response)),
            *(
                (found, (one.cluster, one.tests_passed, int(one.is_chosen), one.task, one.number))
                for one in answers
            ),
            *_statements(verdict, unverified=True),
            *_statements(response, unverified=True),
        ]
        if self._is_reopened(place):
            self._replace_outcome(place, statements)
        else:
            for statement in statements:
                self.db.write(*statement)

    def drop_answers(self, drop: Drop) -> bool:
        """Store the drop of a task whose answers came to nothing; return whether it is its outcome.

        A reopened row that has a response keeps its outcome: an answer that was usable still is.
        """
        place = (drop.round, drop.ordinal)
        if not self._is_reopened(place):
            self.add(drop)
            return True
        query = "SELECT COUNT(*) FROM responses WHERE round=? AND ordinal=?"
        if not self.db.number(query, place):
            self._replace_outcome(place, _statements(drop, unverified=True))
            return True
        self.db.write_all([(_FORGET_OUTCOME[0], place)])
        self.add_event("unanswered", f"{drop.subject}: {drop.reason}: {drop.detail}")
        return False

    def _is_reopened(self, place: tuple[int, int]) -> bool:
        query = "SELECT COUNT(*) FROM reopened WHERE round=? AND ordinal=?"
        return self.db.number(query, place) > 0

    def _replace_outcome(self, place: tuple[int, int], outcome: Iterable[Statement]) -> None:
        self.db.write_all(chain(((query, place) for query in _FORGET_OUTCOME), outcome))

    def add_event(self, kind: str, detail: str = "") -> None:
        """Record an event of the run."""
        self.db.write("INSERT INTO events VALUES (?, ?, ?)", (time.time(), kind, detail))

    def open_round(self, round: int, pool: int) -> None:
        """Record the start of a round and the number of tasks in its pool.

        A resumed round keeps its start; its pool is another one if drops were reopened before it.
        """
        query = """INSERT INTO rounds VALUES (?, ?, ?)
            ON CONFLICT (round) DO UPDATE SET pool = excluded.pool"""
        self.db.write(query, (round, pool, time.time()))

    def task(self, id: str) -> Task | None:
        """Return a task by id."""
        return next(self.db.each(task_from, "SELECT * FROM tasks WHERE id=?", (id,)), None)

    def sample_seeds(self, n: int) -> list[Task]:
        """Return n seeds, or all if there are fewer, in the order of their ids: a random sample."""
        self.db.flush()
        query = "SELECT * FROM tasks WHERE round = 0 ORDER BY id LIMIT ?"
        return list(self.db.each(task_from, query, (n,)))

    def with_answered(self, record: T) -> T:
        """Return a task or response with the model that answered."""
        query = "SELECT model FROM answered WHERE record=?"
        found = self.db.each(partial(_with_answered, record), query, (record.id,))
        return next(found, record)

    def answers_by_model(self) -> list[tuple[str, str, int]]:
        """Count tasks and responses by the model asked for and the model that answered."""
        query = "SELECT asked, model, COUNT(*) FROM answered GROUP BY asked, model"
        rows = self.db.each(_COUNTED_ANSWERS.validate, f"{query} ORDER BY asked, model")
        return [(asked, model, n) for asked, model, n in rows]

    def n_kept(self) -> int:
        """Count the rows kept by the rounds, including those dropped by cleaning."""
        query = "SELECT COUNT(*) FROM kept k JOIN responses r USING (round, ordinal)"
        return self.db.number(query)

    def replace_cleaned(
        self, drops: Iterable[Drop], key: str, fact: object, *, with_leaks: bool = False
    ) -> None:
        """Replace the drops of the cleaning stage and store a fact about it, atomically.

        Earlier leak drops are kept unless `with_leaks`: then `drops` come from a new detection.
        """
        query = "DELETE FROM drops WHERE stage = 'clean' AND (reason <> 'leak' OR ?)"
        forget: Statement = (query, (with_leaks,))
        found = (statement for drop in drops for statement in _statements(drop, unverified=False))
        how: Statement = ("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(fact)))
        self.db.write_all(chain([forget], found, [how]))

    def rows(
        self,
        *,
        min_round: int = 0,
        limit: int | None = None,
        dropped: bool = False,
        cleaned: bool = True,
    ) -> Iterator[Row]:
        """Yield the training set in its canonical order: by round, then by seed.

        `limit` bounds the number of evolved rows, seeds not counted. `dropped` includes responses
        that verification dropped or has not processed. `cleaned=False` includes rows that cleaning
        dropped.
        """
        query = _ROWS.format(where=_NOT_CLEANED if cleaned else "")
        with translate_errors(self.db.path, self.REMEDY):
            if n_lost := self.db.number(_LOST):
                raise ValueError(f"{n_lost} rows have no response")
        left = limit
        for round in self._rounds(min_round):
            bound = -1 if left is None or round == 0 else left
            n_rows = 0
            decode = partial(_row_from, verdicts=self._verdicts_of(round))
            for n_rows, row in enumerate(self.db.each(decode, query, (round, dropped, bound)), 1):  # noqa: B007
                yield row
            left = left - n_rows if left is not None and round else left

    def _rounds(self, first: int) -> Iterator[int]:
        """Yield the rounds that have responses; costs one query per round, whatever its number."""
        query = "SELECT MIN(round) FROM responses WHERE round >= ?"
        while (found := self.db.read(query, (first,))[0][0]) is not None:
            with translate_errors(self.db.path, self.REMEDY):
                round = int(_ROUND.validate((found,))[0])
            yield round
            first = round + 1

    def _verdicts_of(self, round: int) -> "_RoundVerdicts":
        every = self.db.each(verdict_from, _VERDICTS, (round,))
        return _RoundVerdicts(groupby(every, key=attrgetter("ordinal")))

    def drops(self) -> Iterator[Drop]:
        """Yield every drop, by round, stage and seed."""
        query = "SELECT * FROM drops ORDER BY round, stage, ordinal"
        yield from self.db.each(drop_from, query)

    def style(self) -> str | None:
        """Return the style of evolution that the run keeps; None if it is still to be decided."""
        if (decided := self.meta(STYLE_META, StyleFacts)) is not None:
            return str(decided["style"])
        known = self.meta("config", FolderFacts)
        style = "auto" if known is None else _own_style(known)
        return None if style == "auto" else style

    def _keep_style(self, known: dict[str, Any], given: dict[str, Any]) -> None:
        """Let a config that does not contradict the run's style keep what the run has stored."""
        style, kept, evolve = given["evolve"]["style"], self.style(), known.get("evolve")
        if not isinstance(evolve, dict):
            return
        if kept is not None and style in ("auto", kept):
            given["evolve"]["style"] = evolve["style"] = _own_style(known)
        else:  # where `auto` chose, its choice is what the config contradicts
            evolve["style"] = kept or style

    def adopt(self, config: Config) -> None:
        """Store the run's config; RunFolderError if the run was made with a different one.

        A run in which no model's answer was accepted takes other models: `replaced` names the keys.
        """
        known, fingerprinted = self.meta("config", FolderFacts), config.fingerprinted()
        if known is not None:
            for section in LATER_SECTIONS - known.keys():
                # A run older than the section continues without it.
                del fingerprinted[section]
            config, fingerprinted = _with_known_verification(known, config, fingerprinted)
            _allow_more_answers(known, fingerprinted)
            self._keep_style(known, fingerprinted)
            before, now = _comparable(known), _comparable(fingerprinted)
            differing = {key: _values(key, before, now) for key in differing_keys(before, now)}
            is_model = all(key.startswith(MODEL_KEYS) for key in differing)
            if differing and is_model and not self._has_answers():
                self.replaced = tuple(differing)
                self.db.write_all((query, ()) for query in _FORGET_MODELS)
            elif differing:
                raise RunFolderError(
                    f"{self.folder}: this run was created with different values of "
                    f"{changed(differing)}; restore them or use another --out"
                )
        self.set_meta("config", fingerprinted)
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        path = self.folder / CONFIG_NAME
        atomic.write_text(path, text, inside=self.folder, error=RunFolderError)
        self.db.flush()

    def _has_answers(self) -> bool:
        """Whether an answer of a model was accepted, or decided on a row."""
        return self.db.number(_N_ANSWERS) > 0


def _own_style(config: Mapping[str, Any]) -> str:
    """Return the style in a stored config; earlier versions appended and stored none."""
    evolve = config.get("evolve")
    given = evolve.get("style", "append") if isinstance(evolve, Mapping) else "append"
    return str(given)


def _values(
    key: str, before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[object, object] | None:
    """Return both values of a dotted key, unless they may hold a secret."""
    if "extra_headers" in key or "extra_body" in key:
        return None
    return _value(before, key), _value(now, key)


def _value(config: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - plain data
    """Return the value under a dotted key, whose parts may contain dots; None if there is none."""
    found: Any = config
    names = key.split(".")
    while names and isinstance(found, Mapping):
        n = next((n for n in range(len(names), 0, -1) if ".".join(names[:n]) in found), None)
        if n is None:
            return None
        found, names = found[".".join(names[:n])], names[n:]
    return found


def _with_known_verification(
    known: Mapping[str, Any], config: Config, fingerprinted: dict[str, Any]
) -> tuple[Config, dict[str, Any]]:
    """Add the checks that a run has to a config: checks may be added to a run, and none leaves.

    Checks and drops that were not given are the run's: the defaults were others earlier.
    """
    section = known.get("verify", {})
    checks, given = section.get("checks", ()), config.verify.model_fields_set
    if "verify" not in fingerprinted or not isinstance(checks, list):
        return config, fingerprinted
    added = config.verify.checks if "checks" in given else ()
    both = [check for check in Check if check in {*checks, *added}]
    is_given = "drop" in given or "drop" not in section
    drop = config.verify.drop if is_given else tuple(section["drop"])
    section["checks"] = plain = [check.value for check in both]
    changed = config.model_copy(
        update={"verify": config.verify.model_copy(update={"checks": tuple(both), "drop": drop})}
    )
    verify = {**fingerprinted["verify"], "checks": plain, "drop": list(drop)}
    return changed, {**fingerprinted, "verify": verify}


def _allow_more_answers(known: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Let a config ask for more answers to a task than the run did; see `pending.reopen_answers`.

    How several are asked for and judged is kept once several are.
    """
    before, now = known.get("respond"), given["respond"]
    if not isinstance(before, dict):
        return
    n_before, n_now = before.get("candidates", 1), now.get("candidates", 1)
    if n_before == 1 < n_now:
        known["respond"] = {**now, **before}
    elif isinstance(n_before, int) and n_before < n_now:
        known["respond"] = {**before, "candidates": n_now}


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Remove credentials from URLs and addresses from models: earlier versions stored them."""
    plain: dict[str, Any] = json.loads(without_logins(json.dumps(config)))
    return without_places(plain)


def _made(made: Usage | None) -> tuple[object, ...]:
    if made is None:
        return (None, None, None, None)
    return (made.model, made.prompt_tokens, made.completion_tokens, made.attempts)


def _statements(record: Record, *, unverified: bool) -> Iterator[Statement]:
    r = record
    if isinstance(r, Task):
        head = (r.id, r.instruction, r.round, r.ordinal, r.root, r.parent, r.heuristic, r.language)
        yield _insert("tasks", (*head, *_made(r.made)))
        yield from _answered(r)
    elif isinstance(r, Response):
        values = (r.id, r.task, r.round, r.ordinal, r.text, r.reasoning, *_made(r.made))
        yield _insert("responses", values)
        yield from _answered(r)
        if not unverified:
            yield _kept(r)
    elif isinstance(r, CheckResult):
        of = (r.task, r.response, r.round, r.ordinal)
        detail = json.dumps(r.detail, sort_keys=True)
        yield _insert("verdicts", (*of, r.check, r.kind, r.score, detail))
    elif isinstance(r, Origin):
        facts = {"turns": r.turns, "context": r.context, "lineage": r.lineage}
        yield _insert("origins", (r.ordinal, json.dumps(facts)))
    elif isinstance(r, ResponseCandidate):
        texts = (r.text, r.reasoning, r.defect, r.detail, r.temperature, r.seed)
        found = (r.made.answered, r.cluster, r.tests_passed, int(r.is_chosen))
        values = (r.task, r.round, r.ordinal, r.number, *texts, *_made(r.made), *found)
        yield _insert("answers", values)
    else:
        where = (r.subject, r.round, r.ordinal, r.heuristic)
        values = (r.stage, r.reason, *where, r.seen, r.detail, *_made(r.made))
        yield _insert("drops", values)


def _answered(record: Task | Response) -> Iterator[Statement]:
    """Store the model that answered, if the server said its name."""
    if record.made is not None and record.made.answered:
        yield _insert("answered", (record.id, record.made.asked, record.made.answered))


def _with_answered(record: T, columns: Sequence[Any]) -> T:
    """Return a task or response with the model that answered."""
    (model,) = _ANSWERED.validate(columns)
    if model is None or record.made is None:
        return record
    return replace(record, made=replace(record.made, answered=model))


def _kept(response: Response) -> Statement:
    return _insert("kept", (response.round, response.ordinal))


def _insert(table: str, values: tuple[object, ...]) -> Statement:
    return _insert_sql(table, len(values)), values


@lru_cache(maxsize=64)
def _insert_sql(table: str, n: int) -> str:
    return f"INSERT OR IGNORE INTO {table} VALUES ({','.join('?' * n)})"


def _made_from(columns: Sequence[Any], answered: Sequence[Any]) -> Usage | None:
    if columns[0] is None:
        return None
    if None in columns:
        raise ValueError(f"the token counts of {columns[0]} are incomplete")
    (model,) = _ANSWERED.validate(answered)
    asked, sent, received, attempts = columns
    return Usage(asked, sent, received, attempts, model or "")


_UNKNOWN = (None,)
"""The column of the model that answered where it is not read."""


def task_from(columns: Sequence[Any], answered: Sequence[Any] = _UNKNOWN) -> Task:
    """Decode a task; `answered` has the name of the model that answered, if it is known."""
    _TASK.validate(columns)
    id, instruction, round, ordinal, root, parent, heuristic, language = columns[:8]
    made = _made_from(columns[8:12], answered)
    return Task(id, instruction, round, ordinal, root, parent, heuristic, language, made)


def drop_from(columns: Sequence[Any]) -> Drop:
    """Decode a drop."""
    _DROP.validate(columns)
    stage, reason, subject, round, ordinal, heuristic, seen, detail = columns[:8]
    made = _made_from(columns[8:12], _UNKNOWN)
    return Drop(
        Stage(stage), Reason(reason), subject, round, ordinal, heuristic, seen, detail, made
    )


def response_from(columns: Sequence[Any], answered: Sequence[Any] = _UNKNOWN) -> Response:
    """Decode a response; `answered` as for a task."""
    _RESPONSE.validate(columns)
    id, task, round, ordinal, text, reasoning = columns[:6]
    made = _made_from(columns[6:10], answered)
    return Response(id, task, round, ordinal, text, reasoning, made)


def answer_from(columns: Sequence[Any]) -> ResponseCandidate:
    """Decode one of several answers to a task."""
    _ANSWER.validate(columns)
    made = _made_from(columns[10:14], columns[14:15])
    if made is None:
        raise ValueError("an answer has no model")
    cluster, tests_passed, is_chosen = columns[15:]
    task, round, ordinal, number, text, reasoning, defect, detail, temperature, seed = columns[:10]
    head = (task, round, ordinal, number, text, reasoning, defect, detail)
    return ResponseCandidate(*head, temperature, seed, made, cluster, tests_passed, bool(is_chosen))


def verdict_from(columns: Sequence[Any]) -> CheckResult:
    """Decode a verdict."""
    task, response, round, ordinal, check, kind, score, detail = _VERDICT.validate(columns)
    found = json_object("detail of a verdict", detail)
    return CheckResult(task, response, round, ordinal, Check(check), kind, score, found)


class _RoundVerdicts:
    """The verdicts of a round, read in step with its rows."""

    def __init__(self, by_ordinal: Iterator[tuple[int, Iterator[CheckResult]]]) -> None:
        self._by_ordinal = by_ordinal
        self._next = next(by_ordinal, None)

    def of(self, ordinal: int) -> tuple[CheckResult, ...]:
        """Return the verdicts of a lineage; ordinals must be requested in ascending order."""
        while self._next is not None and self._next[0] < ordinal:
            self._next = next(self._by_ordinal, None)
        if self._next is None or self._next[0] > ordinal:
            return ()
        return tuple(self._next[1])


def _row_from(columns: Sequence[Any], *, verdicts: _RoundVerdicts) -> Row:
    response = response_from(columns[12:22], columns[25:26])
    if columns[0] is None:
        raise ValueError(f"the task of response {response.id} is missing")
    task = task_from(columns[:12], columns[24:25])
    parent, round = _PARENT.validate(columns[22:24])
    if task.parent is not None and (round is None or round >= task.round):
        # Requiring an earlier round rules out cycles.
        raise ValueError(f"the parent of task {task.id} is missing or not from an earlier round")
    row = Row(task, response, parent, verdicts.of(task.ordinal))
    return row if columns[26] is None else _with_origin(row, columns[26])


def _with_origin(row: Row, facts: object) -> Row:
    """Add what the row of a data set had besides task and response."""
    if not isinstance(facts, str):
        raise ValueError("facts of an origin are no text")
    found = json_object("origin of a row", facts)
    turns, context, lineage = (found.get(name) for name in ("turns", "context", "lineage"))
    is_valid = isinstance(turns, list) and all(isinstance(one, str) for one in turns)
    if not (is_valid and isinstance(context, str) and isinstance(lineage, dict)):
        raise ValueError("origin of a row has other fields than turns, context and lineage")
    return replace(row, turns=tuple(turns or ()), context=context, lineage=lineage)


@dataclass(frozen=True, slots=True)
class LineageStep:
    """A task of a lineage with its outcomes."""

    task: Task
    """The task."""
    response: Response | None
    """Its response, if any; it was kept unless there is a drop."""
    drops: tuple[Drop, ...]
    """Drops at its evolution, response or verification."""
    verdicts: tuple[CheckResult, ...]
    """Verdicts on its response, in the order added."""
    answers: tuple[ResponseCandidate, ...] = ()
    """All answers to it, if several were asked for."""


def lineage(store: RunStore, id: str) -> list[LineageStep]:
    """Return the lineage of the task or response whose id starts with `id`; empty if none."""
    ends = (id, f"{id}{chr(0x10FFFF)}")  # a range of the index, which LIKE would not use
    found = store.db.read(
        "SELECT ordinal FROM tasks WHERE id >= ? AND id < ? "
        "UNION ALL SELECT ordinal FROM responses WHERE id >= ? AND id < ? LIMIT 1",
        (*ends, *ends),
    )
    if not found:
        return []
    return [_step(store, task) for task in store.db.each(task_from, _OF_LINEAGE, found[0])]


def steps(store: RunStore) -> Iterator[LineageStep]:
    """Yield all tasks, by round and seed, with their outcomes."""
    query = "SELECT * FROM tasks ORDER BY round, ordinal"
    for task in store.db.each(task_from, query):
        yield _step(store, task)


def step_at(store: RunStore, round: int, ordinal: int) -> LineageStep | None:
    """Return the task of a place with its outcomes; None if there is none."""
    query = "SELECT * FROM tasks WHERE round=? AND ordinal=?"
    task = next(store.db.each(task_from, query, (round, ordinal)), None)
    return None if task is None else _step(store, task)


def _step(store: RunStore, task: Task) -> LineageStep:
    answered = "SELECT * FROM responses WHERE round=? AND ordinal=?"
    dropped = "SELECT * FROM drops WHERE subject=? AND ordinal=? ORDER BY round"
    place = (task.round, task.ordinal)
    response = next(store.db.each(response_from, answered, place), None)
    task = store.with_answered(task)
    response = None if response is None else store.with_answered(response)
    drops = tuple(store.db.each(drop_from, dropped, (task.id, task.ordinal)))
    verdicts, answers = tuple(store.verdicts(task)), tuple(store.answers(task))
    return LineageStep(task, response, drops, verdicts, answers)
