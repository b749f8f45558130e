"""The immutable records that flow through all stages, identified by content hashes.

A stage turns a record into another record or a `Drop`; every removal has a recorded reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from evolcoder.ids import content_id

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""Plain data, as stored in a database or a report."""


class Stage(StrEnum):
    """Stage at which a record was kept or dropped."""

    SEEDS = "seeds"
    EVOLVE = "evolve"
    RESPOND = "respond"
    VERIFY = "verify"
    CLEAN = "clean"


class Check(StrEnum):
    """Kind of check on a row. Values are stored and reported; never rename one."""

    RUNS = "runs"
    TESTS = "tests"
    BAIT = "bait"
    BOUND = "bound"
    DIFFICULTY = "difficulty"
    SHAPE = "shape"
    AGREEMENT = "agreement"
    """How several answers to the task agreed; made where `respond.candidates` is above 1."""


CONFIGURED_CHECKS = tuple(check for check in Check if check is not Check.AGREEMENT)
"""The checks that `verify.checks` may name."""


class Reason(StrEnum):
    """Reason of a drop. Values are stored and reported; never rename one."""

    DUPLICATE = "duplicate"
    """A seed with the same task and answer came before."""
    NO_INSTRUCTION = "no_instruction"
    """The row has no task."""
    NEEDS_TOOLS = "needs_tools"
    """No text answers the row: its chat calls a tool."""
    NEEDS_IMAGE = "needs_image"
    """The row's task shows an image."""
    LABELLED_BAD = "labelled_bad"
    """The data set's label says that its response is bad."""
    REJECTED = "rejected"
    """The server refused the request, and accepted others."""
    FAILED = "failed"
    """The server failed at the request after the last retry, and answered others."""
    EMPTY = "empty"
    """There is no text: no answer, or nothing that evolves the task."""
    ONLY_THOUGHT = "only_thought"
    """The answer has reasoning and nothing else."""
    TRUNCATED = "truncated"
    """The answer was cut off at its maximum of tokens."""
    INCOMPLETE = "incomplete"
    """The answer broke off for another reason; the evidence has the server's word."""
    LOOPING = "looping"
    """The text repeats itself."""
    TOO_LONG = "too_long"
    """The text is longer than the config allows."""
    PROMPT_COPIED = "prompt_copied"
    """The evolved task repeats words of the prompt or of an example."""
    EQUAL_TO_PARENT = "equal_to_parent"
    """The evolved task says nothing new."""
    JUDGED_EQUAL = "judged_equal"
    """The judge model finds the evolved task equal to its parent."""
    SOLVED = "solved"
    """The evolved task contains its solution."""
    NOT_A_TASK = "not_a_task"
    """The text is an answer, a remark or an explanation, and no task."""
    SEVERAL_TASKS = "several_tasks"
    """The text holds several tasks."""
    UNRELATED = "unrelated"
    """The evolved task is about something else than its parent."""
    SHORTENED = "shortened"
    """A rewritten task is shorter than its parent."""
    CONTRADICTS = "contradicts"
    """The evolved task contradicts itself or its parent."""
    MISSING_INPUT = "missing_input"
    """The task refers to data or code that it does not show."""
    BOILERPLATE = "boilerplate"
    """The text has headings, long lists or frames that a task does not need."""
    NO_BAIT = "no_bait"
    """`misdirect` gave no wrong code."""
    NO_BOUND = "no_bound"
    """`complexity` gave no bound on time or space."""
    NO_OPENING = "no_opening"
    """No beginning of a sentence fits the task, which a model below 7B needs; it was not asked."""
    WRONG_LANGUAGE = "wrong_language"
    """The text is in another programming or natural language than the task asks for."""
    REFUSAL = "refusal"
    """The model refused."""
    APOLOGY = "apology"
    """The answer is an apology."""
    ONLY_STOP_WORDS = "only_stop_words"
    """The text has no word that carries meaning."""
    NO_CODE = "no_code"
    """The task asks for code and the answer has none."""
    DOES_NOT_PARSE = "does_not_parse"
    """The program is not valid in its language."""
    DOES_NOT_COMPILE = "does_not_compile"
    """The compiler refuses the program."""
    DOES_NOT_RUN = "does_not_run"
    """The program ends in an error on its own example."""
    OUTPUT_MISSTATED = "output_misstated"
    """The program prints something else than the response says."""
    TESTS_FAILED = "tests_failed"
    """The program fails a sound test."""
    NO_SOUND_TESTS = "no_sound_tests"
    """No generated test could be validated."""
    BAIT_WORKS = "bait_works"
    """The wrong code of `misdirect` is right."""
    BAIT_IS_ANSWER = "bait_is_answer"
    """The answer is the wrong code of `misdirect`."""
    BOUND_MISSED = "bound_missed"
    """The program takes more operations than the task allows."""
    UNVERIFIED = "unverified"
    """Several answers were asked for, and no two of them were seen to agree."""
    DUPLICATE_EXACT = "duplicate_exact"
    """Another kept row is equal."""
    DUPLICATE_NEAR = "duplicate_near"
    """Another kept row has nearly the same words."""
    DUPLICATE_MEANING = "duplicate_meaning"
    """Another kept row means the same, by the embedding."""
    LEAK = "leak"
    """The row contains a problem of a benchmark; the evidence lists every finding."""
    UNJUDGED = "unjudged"
    """The check itself failed at this row; the next run tries it again."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Cost of making a record over all attempts, cached or not."""

    model: str
    """Identity of the model: server and name, or a file and its digest."""
    prompt_tokens: int
    """Tokens sent."""
    completion_tokens: int
    """Tokens received, reasoning included."""
    attempts: int
    """Number of requests."""
    answered: str = ""
    """Names of the models that answered, as their server says; empty if it does not say."""

    @property
    def asked(self) -> str:
        """Name of the model that was asked for."""
        return self.model.partition("#")[2] or self.model


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens of one request, or of several."""

    prompt: int = 0
    """Tokens of the prompt, cached ones included."""
    received: int = 0
    """Tokens generated, reasoning included."""
    cached: int = 0
    """Prompt tokens that the provider read from its cache."""
    cache_writes: int = 0
    """Prompt tokens that the provider wrote to its cache; none of them is in `cached`."""
    reasoning: int = 0
    """Received tokens that are reasoning, as far as the provider says so."""


@dataclass(frozen=True, slots=True)
class CallPurpose:
    """What a request to a model is made for, so that its cost is known by heuristic."""

    stage: Stage | None = None
    """The stage that makes it; None outside of all stages."""
    heuristic: str | None = None
    """Heuristic of the candidate that it is made for; None for seeds."""


NO_PURPOSE = CallPurpose()
"""Of requests outside of all stages."""
SEED_GROUP = "(seed)"
"""Stands for seeds where rows are grouped by heuristic: `seed` may be a heuristic of the user."""


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction with its lineage; a seed is a task of round 0."""

    id: str
    """Content hash of instruction, parent, heuristic, round and language."""
    instruction: str
    """The task text as the responder reads it."""
    round: int
    """Round that made it; 0 for a seed."""
    ordinal: int
    """Position of the lineage's seed among the seeds; exports are ordered by it."""
    root: str
    """Id of the lineage's seed; its own id for a seed."""
    parent: str | None
    """Id of the task from which it was evolved."""
    heuristic: str | None
    """Name of the heuristic that evolved it."""
    language: str | None
    """Programming language that the task names, if any."""
    made: Usage | None
    """Cost of the evolution; None for a seed."""

    @classmethod
    def seed(cls, instruction: str, *, ordinal: int, language: str | None, copy: int = 0) -> "Task":
        """Make the first task of a lineage; `copy` tells tasks of one text apart."""
        new = _task_id(instruction, None, None, 0, language)
        if copy:
            new = content_id("task", [instruction, None, None, 0, language, copy])
        return cls(new, instruction, 0, ordinal, new, None, None, language, None)

    def child(
        self, instruction: str, *, round: int, heuristic: str, language: str | None, made: Usage
    ) -> "Task":
        """Make the task evolved from this one."""
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
    """A model's answer to a task, or the answer that came with a seed."""

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
    """A thinking model's reasoning; empty if there was none."""
    made: Usage | None
    """Cost of the answer; None if it came with the seed."""

    @classmethod
    def to(cls, task: Task, text: str, *, reasoning: str = "", made: Usage | None) -> "Response":
        """Make the response to a task."""
        new = content_id("response", [task.id, text, made.model if made else None])
        return cls(new, task.id, task.round, task.ordinal, text, reasoning, made)


@dataclass(frozen=True, slots=True)
class ResponseCandidate:
    """One of several answers to a task, of which agreement chooses the response."""

    task: str
    """Id of the task."""
    round: int
    """Round of the task."""
    ordinal: int
    """Ordinal of the task."""
    number: int
    """Its number among the answers to the task; 0 is the one that a single answer would be."""
    text: str
    """The answer, without reasoning."""
    reasoning: str
    """A thinking model's reasoning; empty if there was none."""
    defect: str
    """Reason for which it cannot be a response; empty if there is none."""
    detail: str
    """Evidence of the defect."""
    temperature: float
    """Sampling temperature that it was asked with."""
    seed: int
    """Sampling seed of its first request."""
    made: Usage
    """Cost of this answer alone."""
    cluster: int | None = None
    """Number of its cluster of equal behaviour; None if it was not compared."""
    tests_passed: int | None = None
    """Sound tests that it passes; None if it was not compared."""
    is_chosen: bool = False
    """Whether it became the response."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check of one row; stored even if it drops nothing."""

    task: str
    """Id of the task."""
    response: str
    """Id of the checked response."""
    round: int
    """Round of the task."""
    ordinal: int
    """Ordinal of the lineage."""
    check: Check
    """The check."""
    kind: str
    """The finding, one of the check's fixed values."""
    score: float | None
    """The measured value, if the check measures one: strength of tests, pass rate, exponent."""
    detail: Mapping[str, JSON]
    """Short evidence."""

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
        """Make the result of a check of a response."""
        r = response
        return cls(r.task, r.id, r.round, r.ordinal, check, kind, score, detail or {})


@dataclass(frozen=True, slots=True)
class Drop:
    """A dropped record, with all details of why."""

    stage: Stage
    """The stage that dropped it."""
    reason: Reason
    """Reason, from a fixed list."""
    subject: str
    """Id of the stage's input task (the parent, if an evolution failed)."""
    round: int
    """The round in progress."""
    ordinal: int
    """Ordinal of the lineage; for a seeds row that never became a task, its row number."""
    heuristic: str | None
    """The heuristic used, if any."""
    seen: str
    """The judged text, shortened."""
    detail: str
    """Evidence, such as the matching words or the reason of every candidate."""
    made: Usage | None
    """Cost up to the drop."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a data set's row has in addition to its task and response."""

    ordinal: int
    """Ordinal of the seed that was read from it."""
    turns: tuple[str, ...]
    """All turns of a chat that is more than task and response; else empty."""
    context: str
    """What else makes it another row: system turns, tools, images, a label."""
    lineage: Mapping[str, str | int | float]
    """Its lineage columns."""


SEEN_CHARS = 4000
"""Longest text kept with a drop."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the training set: a task, its kept response, and its lineage."""

    task: Task
    response: Response
    parent_instruction: str | None
    """The parent's text, which shows how the task changed."""
    verdicts: tuple[CheckResult, ...] = ()
    """Check results in order; empty without checks."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Further fields of a derived row, such as the rejected answer."""
    turns: tuple[str, ...] = ()
    """All turns of a chat that is more than task and response; empty otherwise. Cleaning compares
    them."""
    context: str = ""
    """What else makes the row another one than its texts: system turns, tools, images, a label."""
    lineage: Mapping[str, JSON] = field(default_factory=dict)
    """Lineage columns that the row of a verified data set came with; they are exported as they
    were."""
    further: str = ""
    """Thoughts, rejected and further answers of a data set's row; leaks are looked for in them."""
