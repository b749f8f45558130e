"""The knobs, section by section, with a sentence under each; `config` puts them together.

Promises: a section is frozen, takes no key that it does not know, and holds what can be checked of
a value alone. Reads no file.

>>> EvolverConfig(temperature=0.2).top_p
0.9
"""

import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from evolcoder.records import Check
from evolcoder.text import without_logins

TASK_PLACEHOLDER = "{task}"
"""What a heuristic's template must hold."""
MOST_IN_FLIGHT = 4096
"""More requests at once help no server that we know."""


ModelSpec = Annotated[str, PlainSerializer(without_logins)]
"""A model spec; written down, it is without the login that its URL may hold."""
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/@:?#\[\]]+)(?::\d{1,5})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


VerifyReason = Literal[
    "does_not_parse",
    "does_not_compile",
    "does_not_run",
    "tests_failed",
    "no_sound_tests",
    "bait_works",
    "bait_is_answer",
    "bound_missed",
]
"""Reasons for which verification may drop a row."""


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SeedsConfig(Section):
    """Where the tasks of round 0 come from."""

    path: str = "bundled"
    """A file (.json, .jsonl, .parquet, each also .gz), a Hub data set id, or `bundled`."""
    format: Literal[
        "auto",
        "alpaca",
        "output",
        "response",
        "messages",
        "sharegpt",
        "oss-instruct",
        "trl",
        "preference",
    ] = "auto"
    """The rows' format; `auto` recognises it from the fields and reports it."""
    split: str = "train"
    """The split to read of a Hub data set."""
    subset: str | None = None
    """The subset (configuration) of a Hub data set, where it has several."""
    revision: str | None = None
    """Branch, tag or commit of a Hub data set; left out, its main branch."""
    max_chars: int = Field(20_000, ge=1)
    """Longest instruction or answer in characters; a row with a longer one is dropped."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Take only the first so many usable seeds."""


class ModelConfig(Section):
    """A model and how to sample from it. Every value is sent with every request."""

    model: ModelSpec = "qwen2.5-coder-0.5b"
    """A known name, FILE.gguf, openai:NAME, URL#NAME, or scripted:FILE."""
    temperature: float = Field(1.0, ge=0.0, le=2.0)
    """Sampling temperature."""
    top_p: float = Field(0.9, gt=0.0, le=1.0)
    """Nucleus sampling bound."""
    max_tokens: int = Field(1024, ge=1)
    """Longest answer in tokens; an answer cut off there is dropped."""
    system: str = ""
    """System message; empty sends none."""
    n_ctx: int = Field(4096, ge=256)
    """Context of each slot of a model in this process, in tokens."""


class EvolverConfig(ModelConfig):
    """The model that makes tasks harder."""

    temperature: float = Field(0.6, ge=0.0, le=2.0)
    """Sampling temperature; a small model wanders off the task above it."""
    max_tokens: int = Field(640, ge=1)
    """Longest evolution in tokens; one cut off there is dropped."""


class ResponderConfig(ModelConfig):
    """The model that answers tasks; `model` left out means the evolver's."""

    model: ModelSpec | None = None  # type: ignore[assignment]
    """A model spec; left out, the evolver's model answers."""
    max_tokens: int = Field(2048, ge=1)
    """Longest answer in tokens; an answer cut off there is dropped."""


class JudgeConfig(ModelConfig):
    """The optional model that is asked whether an evolution equals its parent."""

    model: ModelSpec | None = None  # type: ignore[assignment]
    """A model spec; left out, no judge is asked."""
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    """Sampling temperature."""
    max_tokens: int = Field(16, ge=1)
    """Longest verdict in tokens."""


class ExampleConfig(Section):
    """A worked example of a heuristic, shown to the evolver as an earlier turn of the chat."""

    task: str
    """A task before."""
    answer: str
    """What the evolver should answer to it."""


class HeuristicConfig(Section):
    """A change to a built-in heuristic, or a heuristic of the user's."""

    weight: float | None = Field(None, ge=0.0)
    """Relative chance of being picked; 0 turns it off."""
    template: str | None = None
    """What the evolver is asked; must hold {task}. Replaces the built-in examples too."""
    examples: tuple[ExampleConfig, ...] | None = None
    """Worked examples, put through the template; a built-in's own are kept if left out."""
    answer: Literal["task", "addition"] | None = None
    """What the template asks for: the whole new task, or sentences to stand behind the old one."""
    must_hold: Literal["nothing", "bait", "bound"] | None = None
    """What an evolution must hold: a piece of wrong code, or a bound such as O(n)."""
    suits: Literal["any", "code", "algorithm"] | None = None
    """Tasks that it is picked for: all, all but explanations, or work that grows with its input."""
    origin: str = "user"
    """Who wrote it."""

    @model_validator(mode="after")
    def _has_placeholder(self) -> "HeuristicConfig":
        if self.template is not None and TASK_PLACEHOLDER not in self.template:
            raise ValueError(f"template has no {TASK_PLACEHOLDER} placeholder")
        return self


class EvolveConfig(Section):
    """How a task becomes a harder one."""

    heuristics: dict[str, HeuristicConfig] = Field(default_factory=dict)
    """By name: reweight or replace a built-in one, or add one."""
    only_these: bool = False
    """Use the heuristics named here alone, not the built-in ones beside them."""
    candidates: int = Field(3, ge=1, le=16)
    """Evolutions tried for one task in one round until one is usable."""
    max_failures: int | None = Field(None, ge=1)
    """Rounds in which a task may fail before it rests; left out, it is tried every round."""


class EliminateConfig(Section):
    """When an evolution or an answer is not good enough to keep."""

    min_new_words: int = Field(3, ge=0)
    """Telling words that a harder task must hold and its parent does not."""
    doubtful_words: int = Field(5, ge=0)
    """Below so many, another candidate is tried first, and the judge, if there is one, is asked."""
    max_overlap: float = Field(0.9, gt=0.0, le=1.0)
    """Largest share of common words (Jaccard) between a task and its parent."""
    min_kept: float = Field(0.25, ge=0.0, le=1.0)
    """Share of the telling words of its parent's prose that a rewritten task must keep."""
    max_growth: float = Field(3.0, gt=1.0)
    """A task may be so many times as long as its parent, counted in words, plus 60 words."""
    max_words: int = Field(400, ge=10)
    """Longest task in words."""
    apology_words: int = Field(80, ge=1)
    """An answer that apologises is dropped if it is shorter than this."""


class RespondConfig(Section):
    """How tasks are answered."""

    tries: int = Field(1, ge=1, le=16)
    """Answers tried for one task until one is usable."""
    reanswer_seeds: bool = False
    """Answer the seeds with the responder too, in place of the answers that they came with."""


SandboxLevel = Literal["strict", "processes"]
"""The levels of `sandbox/pool.py`, named here so that a run need not load it to know them."""


class VerifyConfig(Section):
    """What is checked of a row, and which findings drop it."""

    when: Literal["possible", "always", "never"] = "possible"
    """`possible` checks rows where this machine can hold programs, and says so where it cannot."""
    sandbox: SandboxLevel = "strict"
    """Least protection under which programs run."""
    checks: tuple[Check, ...] = (Check.RUNS,)
    """Checks to do; those that use what others find come behind them."""
    drop: tuple[VerifyReason, ...] = ("does_not_parse", "does_not_compile")
    """Findings that drop a row; the others are stored and drop nothing."""
    seeds: bool = False
    """Check the answers that came with the seeds as well."""
    tester: ModelSpec | None = None
    """TESTS: a model spec that writes the tests; left out, the responder does."""
    candidates: int = Field(3, ge=1, le=64)
    """TESTS: answers that are compared with the row's own by which check sets they pass."""
    check_sets: int = Field(3, ge=1, le=64)
    """TESTS: check sets that are written for a task, without a look at its answer."""
    mutants: int = Field(12, ge=1, le=200)
    """TESTS: broken versions of the answer that a check set must tell from it."""
    samples: int = Field(5, ge=1, le=200)
    """DIFFICULTY: answers that are drawn for a pass rate."""
    cpu_s: float = Field(5.0, gt=0.0)
    """Processor seconds of one program."""
    wall_s: float = Field(10.0, gt=0.0)
    """Seconds by the clock of one program."""
    memory_mb: int = Field(1024, ge=64)
    """Memory of one program."""


Detector = Literal["ngrams", "substring", "neighbours", "execution"]
LeakDrop = Literal[
    "any", "ngrams", "substring", "neighbours", "judge", "execution", "execution-any", "none"
]


class CleanConfig(Section):
    """Which rows are doubles of others or leak benchmarks, once a run's rounds are done."""

    exact: bool = True
    """Drop rows whose text is another's, case and white space aside."""
    near: Annotated[float, Field(gt=0.0, le=1.0)] | None = 0.8
    """Drop rows that share this much of their runs of three words with another; null: keep them."""
    meaning: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Drop rows whose embedding has at least this cosine with another's; null: keep them."""
    compare: Literal["task", "row"] = "task"
    """What is compared: tasks, or tasks with their answers."""
    embedder: str = "auto"
    """For `meaning`: a known name, a folder or a Hub id; `auto` is gte-large where it can be had,
    else the packaged all-MiniLM-L6-v2."""
    beside: tuple[str, ...] = ()
    """Other data sets, whose rows ours must not repeat."""
    against: tuple[str, ...] = ()
    """Benchmarks that rows must not leak, by their names; none: nobody looks."""
    data_dir: str | None = None
    """Where their files lie; left out, they are fetched."""
    detectors: tuple[Detector, ...] = ("ngrams", "substring", "neighbours", "execution")
    """Who looks for leaks; a judge only by `evolcoder clean RUN --judge SPEC`."""
    drop: tuple[LeakDrop, ...] = ("any",)
    """Whose word drops a row: `any` detector's, that of some, `execution-any` for passes that tell
    nothing too, or `none`."""


class BudgetConfig(Section):
    """How far a run goes. Raising a limit resumes the run."""

    rounds: int = Field(1, ge=0, le=100)
    """Rounds of evolution; with a target, the run goes on for as many as it needs."""
    target: int | None = Field(None, ge=1)
    """Stop when exactly so many evolved rows are accepted; seeds come on top."""
    max_candidates: int | None = Field(None, ge=1)
    """Most evolutions begun for a target; left out, four times the target."""
    max_usd: float | None = Field(None, ge=0.0)
    """Most money that may be spent, by the price table, over the life of the run."""
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens that may be paid for, sent and received, over the life of the run."""
    max_hours: float | None = Field(None, gt=0.0)
    """Longest time that one invocation may take."""


class TrafficConfig(Section):
    """How fast a model server is driven."""

    concurrency: int = Field(64, ge=1, le=MOST_IN_FLIGHT)
    """Most requests in flight; halved on 429 and 503 and grown again."""
    seeds: bool = True
    """Send each request's seed. vLLM draws seeded requests one by one: with hundreds in flight it
    is faster without, and what can be had again is then what the cache holds."""
    requests_per_minute: int | None = Field(None, ge=1)
    """Bound on requests, if the server has one."""
    tokens_per_minute: int | None = Field(None, ge=1)
    """Bound on tokens sent and asked for, if the server has one."""
    timeout_s: float = Field(300.0, gt=0.0)
    """Longest wait for one answer."""
    max_tries: int = Field(8, ge=1)
    """Tries per request that the server fails at; waiting for one that is away uses up none."""
    max_retry_s: float = Field(600.0, gt=0.0)
    """Longest time that one request is retried, waiting for a server that is away included."""
    slots: int = Field(8, ge=1, le=256)
    """Parallel sequences of a model in this process."""
    threads: int | None = Field(None, ge=1)
    """Threads of a model in this process; left out, one per core that this process may use."""


def _is_host(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise ValueError("write it as HOST or HOST:PORT, without http:// and path")
    return name


def _is_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("name the variable that holds the key, and not the key")
    return name


Host = Annotated[str, AfterValidator(_is_host)]
"""HOST, for all of its ports, or HOST:PORT."""


class ServerConfig(Section):
    """What one model server needs beside its URL."""

    key_variable: Annotated[str, AfterValidator(_is_variable)]
    """The environment variable that holds its key, which goes to this host alone."""


class Price(Section):
    """Price of a model in US dollars per million tokens."""

    input: float = Field(ge=0.0)
    """Tokens sent."""
    output: float = Field(ge=0.0)
    """Tokens received."""


ExportFormat = Literal[
    "alpaca", "messages", "sharegpt", "trl", "parquet", "preference", "infill", "repair"
]


class ExportConfig(Section):
    """What is written when a run ends."""

    formats: tuple[ExportFormat, ...] = ("alpaca", "messages")
    """Formats to write under `export/`."""
    include_seeds: bool = True
    """Export the seeds with the evolved rows (the paper's merge)."""
    license: str = "unknown"
    """Licence that the data set card names, as the Hub writes it; yours to know."""
