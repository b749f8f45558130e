"""The run database: an append-only record of every task, response, verdict and drop of a run.

Records are durable in the order added. A run killed at any time resumes without loss, a second
writing process is refused, and in = kept + dropped. Records read from a damaged or foreign database
are validated. Completions are stored in the cache (`engine/cache.py`), not here.

>>> with RunStore.create(Path("runs/x"), config) as store:   # doctest: +SKIP
...     store.add_task(task)
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import NonNegativeInt

from evolcoder.config.load import Config, differing_keys
from evolcoder.errors import RunFolderError
from evolcoder.records import (
    NO_PURPOSE,
    CallPurpose,
    Check,
    CheckResult,
    Drop,
    Origin,
    Response,
    ResponseCandidate,
    Row,
    Task,
    TokenCounts,
)
from evolcoder.storage import atomic
from evolcoder.storage.database import COUNT, MAYBE_TEXT, TEXT, Columns, Database, Statement
from evolcoder.storage.run_config import (
    LATER_SECTIONS,
    allow_more_answers,
    comparable,
    describe_changes,
    style_of,
    values_of,
    with_known_verification,
)
from evolcoder.storage.run_tables import (
    MIGRATIONS,
    SPAN_S,
    Record,
    RoundVerdicts,
    T,
    answer_from,
    drop_from,
    insert_kept,
    insert_statements,
    row_from,
    task_from,
    verdict_from,
    with_model,
)
from evolcoder.storage.sqlite_files import translate_errors
from evolcoder.storage.workdir import LOCK_NAME, PROVENANCE_META, FolderFacts, Workdir

_ROUND = Columns(round=COUNT)
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
_PURPOSE = {"stage": MAYBE_TEXT, "heuristic": MAYBE_TEXT, "model": TEXT}
_CALLS_FOR = Columns(**_PURPOSE, requests=COUNT, sent=COUNT, received=COUNT)
_DETAILS_FOR = Columns(**_PURPOSE, cached=COUNT, cache_writes=COUNT, reasoning=COUNT)
_CALLS_BY_PURPOSE = """
    SELECT stage, heuristic, model, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens)
    FROM calls GROUP BY heuristic, stage, model ORDER BY heuristic, stage, model
"""
_DETAILS_BY_PURPOSE = """
    SELECT stage, heuristic, model, SUM(cached_tokens), SUM(cache_write_tokens),
        SUM(reasoning_tokens)
    FROM call_details GROUP BY heuristic, stage, model
"""
_ADD_TO_SPAN = """
    INSERT INTO throughput VALUES (?, ?, 1, ?, ?) ON CONFLICT (session, begun) DO UPDATE
    SET requests = requests + 1, sent = sent + excluded.sent,
        received = received + excluded.received
"""
_SPANS = "SELECT session, begun, requests, sent, received FROM throughput ORDER BY session, begun"
_SPAN = Columns(session=COUNT, begun=COUNT, requests=COUNT, sent=COUNT, received=COUNT)
STYLE_META = "style"
"""Meta key of the style of evolution: StyleFacts."""
MODEL_KEYS = ("evolver.", "responder.", "judge.", "verify.tester")
"""Beginnings of the config keys that say which model is asked, and how."""
_N_ANSWERS = """
    SELECT (SELECT COUNT(*) FROM tasks WHERE round > 0)
    + (SELECT COUNT(*) FROM responses WHERE model IS NOT NULL)
    + (SELECT COUNT(*) FROM verdicts
        WHERE (check_name IN ('tests', 'difficulty') AND kind != 'not_run')
            OR (check_name = 'bound' AND json_valid(detail)
                AND json_extract(detail, '$.generator') IS NOT NULL))
"""
_FORGET_MODELS = (
    # Rows of a data set without a response are no model's doing.
    """DELETE FROM drops WHERE stage IN ('evolve', 'respond') AND NOT (
        model IS NULL AND reason IN ('empty', 'only_thought', 'labelled_bad'))""",
    "DELETE FROM rounds",
    f"DELETE FROM meta WHERE key IN ('{PROVENANCE_META}', '{STYLE_META}')",
)
"""Deletes what models decided, so that other models are asked; what was paid is kept."""
_FORGET_OUTCOME = (
    "DELETE FROM reopened WHERE round = ? AND ordinal = ?",
    "DELETE FROM kept WHERE round = ? AND ordinal = ?",
    "DELETE FROM drops WHERE round = ? AND ordinal = ? AND stage IN ('respond', 'verify')",
    "DELETE FROM responses WHERE round = ? AND ordinal = ?",
    f"DELETE FROM verdicts WHERE round = ? AND ordinal = ? AND check_name = '{Check.AGREEMENT}'",
)
"""Removes how the answers to a task ended, for the transaction that stores how they end now."""
_VERDICTS = "SELECT * FROM verdicts WHERE round = ? ORDER BY ordinal, rowid"
DB_NAME = "run.db"
CONFIG_NAME = "config.yaml"


class StyleFacts(FolderFacts):
    """The fact under STYLE_META: the style that a run keeps, and how it was decided."""

    style: Literal["append", "rewrite"]
    why: str
    probe: dict[str, dict[str, NonNegativeInt]]
    """By style, numbers of a measurement; empty if there was none."""


@dataclass(frozen=True, slots=True)
class CallsFor:
    """The recorded completions of one model that were made for one purpose."""

    stage: str | None
    """The stage that made them; empty outside of all stages, None if it is not known."""
    heuristic: str | None
    """The heuristic whose candidates they were made for; empty for seeds, None if not known."""
    model: str
    """Name of the model in the price table."""
    requests: int
    """Their number."""
    sent: int
    """Prompt tokens."""
    received: int
    """Completion tokens."""
    cached: int
    """Prompt tokens that the provider read from its cache."""
    cache_writes: int
    """Prompt tokens that the provider wrote to its cache."""
    reasoning: int
    """Completion tokens that are reasoning."""


@dataclass(frozen=True, slots=True)
class ThroughputSpan:
    """The completions that one process recorded within `SPAN_S` seconds: at least one.

    What came from the cache is not among them.
    """

    session: int
    """Which process: the begin of its first span."""
    begun: int
    """Begin of the span as Unix time in seconds, a multiple of `SPAN_S`."""
    requests: int
    """Completions that arrived."""
    sent: int
    """Their prompt tokens."""
    received: int
    """Their completion tokens."""


class RunStore(Workdir):
    """An open run folder, for one writer or for readers."""

    DB_NAME = DB_NAME
    KIND = "run"
    MIGRATIONS = MIGRATIONS
    STORES_PURPOSES = True
    REMEDY = (
        "restore it from a copy, or delete the folder and run the same command again: "
        "cached completions are not paid for again"
    )

    def __init__(self, folder: Path, db: Database, lock: int | None) -> None:
        super().__init__(folder, db, lock)
        self._new_outcomes: dict[tuple[int, int], list[Statement]] = {}
        """By round and ordinal of a reopened row, what is stored once its new outcome is known."""
        self._session: int | None = None
        """Begin of the first span in which this process recorded a completion."""

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
            for statement in insert_statements(record, unverified=unverified)
        )

    def add(self, record: Record, *, unverified: bool = False) -> None:
        """Queue one record; it is durable within about 20 ms.

        An `unverified` response becomes a row only through `keep`. A verdict on the new response of
        a reopened row is stored with its outcome.
        """
        statements = insert_statements(record, unverified=unverified)
        if isinstance(record, CheckResult):
            waiting = self._new_outcomes.get((record.round, record.ordinal))
            if waiting is not None:
                waiting.extend(statements)
                return
        for statement in statements:
            self.db.write(*statement)

    def keep(self, response: Response) -> None:
        """Accept an unverified response as a row of the training set."""
        self._end(response, insert_kept(response))

    def drop_kept(self, drop: Drop) -> None:
        """Store the drop of a response, which is then no row of the training set."""
        forget = "DELETE FROM kept WHERE round=? AND ordinal=?"
        self._end(
            drop, (forget, (drop.round, drop.ordinal)), *insert_statements(drop, unverified=True)
        )

    def _end(self, record: Response | Drop, *outcome: Statement) -> None:
        """Store a row's outcome; that of a reopened row in one transaction with its records."""
        place = (record.round, record.ordinal)
        before = self._new_outcomes.pop(place, None)
        if before is not None:
            self._replace_outcome(place, [*before, *outcome])
            return
        for statement in outcome:
            self.db.write(*statement)

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
        chosen among fewer answers, are deleted. A reopened row keeps its outcome until `keep` or
        `drop_kept` replaces it: all this, and the verdicts that follow, wait for that transaction.
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
            *insert_statements(verdict, unverified=True),
            *insert_statements(response, unverified=True),
        ]
        if self._is_reopened(place):
            self._new_outcomes[place] = statements
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
            self._replace_outcome(place, insert_statements(drop, unverified=True))
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
        found = self.db.each(partial(with_model, record), query, (record.id,))
        return next(found, record)

    def answers_by_model(self) -> list[tuple[str, str, int]]:
        """Count tasks and responses by the model asked for and the model that answered."""
        query = "SELECT asked, model, COUNT(*) FROM answered GROUP BY asked, model"
        rows = self.db.each(_COUNTED_ANSWERS.validate, f"{query} ORDER BY asked, model")
        return [(asked, model, n) for asked, model, n in rows]

    def calls_by_purpose(self) -> list[CallsFor]:
        """Sum the recorded completions by what they were made for and by model."""
        rows = self.db.each(_DETAILS_FOR.validate, _DETAILS_BY_PURPOSE)
        details = {tuple(row[:3]): row[3:] for row in rows}
        rows = self.db.each(_CALLS_FOR.validate, _CALLS_BY_PURPOSE)
        return [CallsFor(*row, *details.get(tuple(row[:3]), (0, 0, 0))) for row in rows]

    def add_call(self, model: str, counts: TokenCounts, purpose: CallPurpose = NO_PURPOSE) -> None:
        """Record a completion that was paid for, also in the throughput of the time it came."""
        super().add_call(model, counts, purpose)
        begun = int(time.time()) // SPAN_S * SPAN_S
        if self._session is None:
            self._session = begun
        self.db.write(_ADD_TO_SPAN, (self._session, begun, counts.prompt, counts.received))

    def throughput(self) -> Iterator[ThroughputSpan]:
        """Yield the spans in which completions were recorded, by process and time.

        There are none of what versions before this table recorded.
        """
        for row in self.db.each(_SPAN.validate, _SPANS):
            yield ThroughputSpan(*row)

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
        found = (
            statement for drop in drops for statement in insert_statements(drop, unverified=False)
        )
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
            decode = partial(row_from, verdicts=self._verdicts_of(round))
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

    def _verdicts_of(self, round: int) -> "RoundVerdicts":
        every = self.db.each(verdict_from, _VERDICTS, (round,))
        return RoundVerdicts(groupby(every, key=attrgetter("ordinal")))

    def drops(self) -> Iterator[Drop]:
        """Yield every drop, by round, stage and seed."""
        query = "SELECT * FROM drops ORDER BY round, stage, ordinal"
        yield from self.db.each(drop_from, query)

    def style(self) -> str | None:
        """Return the style of evolution that the run keeps; None if it is still to be decided."""
        if (decided := self.meta(STYLE_META, StyleFacts)) is not None:
            return str(decided["style"])
        known = self.meta("config", FolderFacts)
        style = "auto" if known is None else style_of(known)
        return None if style == "auto" else style

    def _keep_style(self, known: dict[str, Any], given: dict[str, Any]) -> None:
        """Let a config that does not contradict the run's style keep what the run has stored."""
        style, kept, evolve = given["evolve"]["style"], self.style(), known.get("evolve")
        if not isinstance(evolve, dict):
            return
        if kept is not None and style in ("auto", kept):
            given["evolve"]["style"] = evolve["style"] = style_of(known)
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
            config, fingerprinted = with_known_verification(known, config, fingerprinted)
            allow_more_answers(known, fingerprinted)
            self._keep_style(known, fingerprinted)
            before, now = comparable(known), comparable(fingerprinted)
            differing = {key: values_of(key, before, now) for key in differing_keys(before, now)}
            is_model = all(key.startswith(MODEL_KEYS) for key in differing)
            if differing and is_model and not self._has_answers():
                self.replaced = tuple(differing)
                self.db.write_all((query, ()) for query in _FORGET_MODELS)
            elif differing:
                raise RunFolderError(
                    f"{self.folder}: this run was created with different values of "
                    f"{describe_changes(differing)}; restore them or use another --out"
                )
        self.set_meta("config", fingerprinted)
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        path = self.folder / CONFIG_NAME
        atomic.write_text(path, text, inside=self.folder, error=RunFolderError)
        self.db.flush()

    def _has_answers(self) -> bool:
        """Whether an answer of a model was accepted, or decided on a row."""
        return self.db.number(_N_ANSWERS) > 0
