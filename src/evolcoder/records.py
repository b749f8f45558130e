"""The records that flow through every stage; each is immutable, and its id is its content.

A stage turns one record into another or into a `Drop`; nothing leaves without a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from evolcoder.ids import content_id

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""Plain data, as it goes into a database or a report."""


class Stage(StrEnum):
    """Where a record stood when it was kept or dropped."""

    SEEDS = "seeds"
    EVOLVE = "evolve"
    RESPOND = "respond"
    VERIFY = "verify"
    CLEAN = "clean"


class Check(StrEnum):
    """What one check of a row looks at. Values are stored and reported; never rename one."""

    RUNS = "runs"
    TESTS = "tests"
    BAIT = "bait"
    BOUND = "bound"
    DIFFICULTY = "difficulty"
    SHAPE = "shape"


class Reason(StrEnum):
    """Why a record was dropped. Values are stored and reported; never rename one."""

    DUPLICATE = "duplicate"
    NO_INSTRUCTION = "no_instruction"
    REJECTED = "rejected"
    EMPTY = "empty"
    TRUNCATED = "truncated"
    LOOPING = "looping"
    TOO_LONG = "too_long"
    PROMPT_COPIED = "prompt_copied"
    EQUAL_TO_PARENT = "equal_to_parent"
    JUDGED_EQUAL = "judged_equal"
    SOLVED = "solved"
    NOT_A_TASK = "not_a_task"
    SEVERAL_TASKS = "several_tasks"
    UNRELATED = "unrelated"
    CONTRADICTS = "contradicts"
    MISSING_INPUT = "missing_input"
    BOILERPLATE = "boilerplate"
    NO_BAIT = "no_bait"
    NO_BOUND = "no_bound"
    WRONG_LANGUAGE = "wrong_language"
    REFUSAL = "refusal"
    APOLOGY = "apology"
    ONLY_STOP_WORDS = "only_stop_words"
    NO_CODE = "no_code"
    DOES_NOT_PARSE = "does_not_parse"
    DOES_NOT_COMPILE = "does_not_compile"
    DOES_NOT_RUN = "does_not_run"
    TESTS_FAILED = "tests_failed"
    NO_SOUND_TESTS = "no_sound_tests"
    BAIT_WORKS = "bait_works"
    BAIT_IS_ANSWER = "bait_is_answer"
    BOUND_MISSED = "bound_missed"
    DUPLICATE_EXACT = "duplicate_exact"
    DUPLICATE_NEAR = "duplicate_near"
    DUPLICATE_MEANING = "duplicate_meaning"
    LEAK = "leak"
    UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Usage:
    """What it took to make a record, all attempts counted, cached or not."""

    model: str
    """Identity of the model: a server and name, or a file and its digest."""
    prompt_tokens: int
    """Tokens sent."""
    completion_tokens: int
    """Tokens received, reasoning included."""
    attempts: int
    """Requests that it took."""


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction with its lineage; a seed is a task of round 0."""

    id: str
    """Content hash of instruction, parent, heuristic, round and language."""
    instruction: str
    """The task as the responder will read it."""
    round: int
    """The round that made it; 0 for a seed."""
    ordinal: int
    """Place of the lineage's seed among the seeds; orders every export."""
    root: str
    """Id of the seed that the lineage began with; its own id for a seed."""
    parent: str | None
    """Id of the task that it was evolved from."""
    heuristic: str | None
    """Name of the heuristic that made it harder."""
    language: str | None
    """Programming language that the task names, if it names one."""
    made: Usage | None
    """What the evolution took; None for a seed."""

    @classmethod
    def seed(cls, instruction: str, *, ordinal: int, language: str | None) -> "Task":
        """Make the first task of a lineage."""
        new = _task_id(instruction, None, None, 0, language)
        return cls(new, instruction, 0, ordinal, new, None, None, language, None)

    def child(
        self, instruction: str, *, round: int, heuristic: str, language: str | None, made: Usage
    ) -> "Task":
        """Make the task that this one was evolved into."""
        new = _task_id(instruction, self.id, heuristic, round, language)
        return Task(
            new,
            instruction,
            round,
            self.ordinal,
            self.root,
            self.id,
            heuristic,
            language,
            made,
        )


def _task_id(
    instruction: str, parent: str | None, heuristic: str | None, round: int, language: str | None
) -> str:
    return content_id("task", [instruction, parent, heuristic, round, language])


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered to a task, or the answer that came with a seed."""

    id: str
    """Content hash of the task's id, text and model."""
    task: str
    """Id of the task."""
    round: int
    """Round of the task."""
    ordinal: int
    """Ordinal of the task."""
    text: str
    """The answer, without reasoning."""
    reasoning: str
    """A thinking model's reasoning, kept apart; empty if there was none."""
    made: Usage | None
    """What the answer took; None where it came with the seed."""

    @classmethod
    def to(cls, task: Task, text: str, *, reasoning: str = "", made: Usage | None) -> "Response":
        """Make the response to a task."""
        new = content_id("response", [task.id, text, made.model if made else None])
        return cls(new, task.id, task.round, task.ordinal, text, reasoning, made)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check of one row found; stored, also where it drops nothing."""

    task: str
    """Id of the task."""
    response: str
    """Id of the response that was looked at."""
    round: int
    """Round of the task."""
    ordinal: int
    """Ordinal of the lineage."""
    check: Check
    """The check."""
    kind: str
    """The finding, out of the closed list of its check."""
    score: float | None
    """What was measured, where the check measures: strength of tests, pass rate, exponent."""
    detail: Mapping[str, JSON]
    """The evidence, small."""

    @classmethod
    def of(
        cls,
        response: Response,
        check: Check,
        kind: str,
        *,
        score: float | None = None,
        detail: Mapping[str, JSON] | None = None,
    ) -> "CheckResult":
        """Say what a check found of a response."""
        r = response
        return cls(r.task, r.id, r.round, r.ordinal, check, kind, score, detail or {})


@dataclass(frozen=True, slots=True)
class Drop:
    """A record that left, with all that is needed to see why."""

    stage: Stage
    """The stage that dropped it."""
    reason: Reason
    """Why, out of a closed list."""
    subject: str
    """Id of the task that went into the stage (the parent, when an evolution failed)."""
    round: int
    """The round that was being made."""
    ordinal: int
    """Ordinal of the lineage; for a seeds row that never became a task, its row number."""
    heuristic: str | None
    """The heuristic in use, if one was."""
    seen: str
    """The text that was judged, shortened."""
    detail: str
    """What was found, such as the matching words or the reason of every candidate."""
    made: Usage | None
    """What it had cost by then."""


SEEN_CHARS = 4000
"""Longest text kept with a drop."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the training set: a task, its kept response, and the lineage in words."""

    task: Task
    response: Response
    parent_instruction: str | None
    """The parent's text, to show how the task changed."""
    verdicts: tuple[CheckResult, ...] = ()
    """What checks found of it, in their order; empty where none was done."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """What a derived row holds beside task and answer, such as the answer that was rejected."""
