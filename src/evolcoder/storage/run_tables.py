"""The tables of a run's database: their schema, and records as rows of them.

Rows that are read are validated, since a file may be damaged or come from elsewhere; ValueError
says which column is wrong. Rows are inserted once: the same record added again changes nothing.

>>> list(insert_statements(task, unverified=False))[0]   # doctest: +SKIP
('INSERT OR IGNORE INTO tasks VALUES (?,?,...)', ('5d41...', 'Sort a list.', 0, ...))
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

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
from evolcoder.storage.workdir import BILLING_TABLES

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
    """
    ALTER TABLE calls ADD COLUMN stage TEXT;
    ALTER TABLE calls ADD COLUMN heuristic TEXT;
    ALTER TABLE call_details ADD COLUMN stage TEXT;
    ALTER TABLE call_details ADD COLUMN heuristic TEXT
    """,
    """
    CREATE TABLE throughput (
        session INTEGER NOT NULL, begun INTEGER NOT NULL, requests INTEGER NOT NULL,
        sent INTEGER NOT NULL, received INTEGER NOT NULL, PRIMARY KEY (session, begun)
    ) WITHOUT ROWID
    """,
)
"""Table `answered` holds, by id of a task or response, the name of the model that answered;
`origins`, by ordinal of a seed, what its row had in addition to task and response; `answers`, by
task and number, each of several answers to one task, of which `responses` has the chosen one;
`reopened`, the places whose outcome stands until further answers to their task bring another.
`calls` and `call_details` have the stage and the heuristic that a request was made for: empty for
seeds, and NULL where an earlier version made it. `throughput` has the completions that were
recorded, and their tokens, by the process that recorded them (`session`: the begin of its first
span) and by spans of `SPAN_S` (`begun`: Unix time, a multiple of it)."""
SPAN_S = 10
"""Seconds of a span of `throughput`."""
_MADE = {
    "model": MAYBE_TEXT,
    "prompt_tokens": MAYBE_COUNT,
    "completion_tokens": MAYBE_COUNT,
    "attempts": MAYBE_COUNT,
}
_TASK = Columns(
    id=TEXT,
    instruction=TEXT,
    round=COUNT,
    ordinal=COUNT,
    root=TEXT,
    parent=MAYBE_TEXT,
    heuristic=MAYBE_TEXT,
    language=MAYBE_TEXT,
    **_MADE,
)
_RESPONSE = Columns(
    id=TEXT, task=TEXT, round=COUNT, ordinal=COUNT, text=TEXT, reasoning=TEXT, **_MADE
)
_DROP = Columns(
    stage=TEXT,
    reason=TEXT,
    subject=TEXT,
    round=COUNT,
    ordinal=COUNT,
    heuristic=MAYBE_TEXT,
    seen=TEXT,
    detail=TEXT,
    **_MADE,
)
_VERDICT = Columns(
    task=TEXT,
    response=TEXT,
    round=COUNT,
    ordinal=COUNT,
    check_name=TEXT,
    kind=TEXT,
    score=MAYBE_NUMBER,
    detail=TEXT,
)
_ANSWER = Columns(
    task=TEXT,
    round=COUNT,
    ordinal=COUNT,
    number=COUNT,
    text=TEXT,
    reasoning=TEXT,
    defect=TEXT,
    detail=TEXT,
    temperature=NUMBER,
    seed=COUNT,
    **_MADE,
    answered=TEXT,
    cluster=MAYBE_COUNT,
    tests_passed=MAYBE_COUNT,
    chosen=COUNT,
)
_PARENT = Columns(instruction=MAYBE_TEXT, round=MAYBE_COUNT)
_ANSWERED = Columns(model=MAYBE_TEXT)
Record = Task | Response | Drop | CheckResult | Origin | ResponseCandidate
T = TypeVar("T", Task, Response)


def _made(made: Usage | None) -> tuple[object, ...]:
    if made is None:
        return (None, None, None, None)
    return (made.model, made.prompt_tokens, made.completion_tokens, made.attempts)


def insert_statements(record: Record, *, unverified: bool) -> Iterator[Statement]:
    """Yield what inserts a record; a response is kept as well unless it is `unverified`."""
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
            yield insert_kept(r)
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


def with_model(record: T, columns: Sequence[Any]) -> T:
    """Return a task or response with the model that answered."""
    (model,) = _ANSWERED.validate(columns)
    if model is None or record.made is None:
        return record
    return replace(record, made=replace(record.made, answered=model))


def insert_kept(response: Response) -> Statement:
    """Return what makes a response a row of the training set."""
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


class RoundVerdicts:
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


def row_from(columns: Sequence[Any], *, verdicts: RoundVerdicts) -> Row:
    """Decode a row of the training set; the columns are those of `RunStore.rows`."""
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
    """Add what the row of a data set had in addition to task and response."""
    if not isinstance(facts, str):
        raise ValueError("facts of an origin are no text")
    found = json_object("origin of a row", facts)
    turns, context, lineage = (found.get(name) for name in ("turns", "context", "lineage"))
    is_valid = isinstance(turns, list) and all(isinstance(one, str) for one in turns)
    if not (is_valid and isinstance(context, str) and isinstance(lineage, dict)):
        raise ValueError("origin of a row has other fields than turns, context and lineage")
    return replace(row, turns=tuple(turns or ()), context=context, lineage=lineage)
