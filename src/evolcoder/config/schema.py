"""Config sections of a run; `config.load` combines them into `Config`.

The string under each field is its documentation. Sections are frozen, refuse unknown keys and check
each value on its own; checks that need files or other sections are done where they are used.

>>> EvolverConfig(temperature=0.2).top_p
0.9
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    field_serializer,
    model_serializer,
    model_validator,
)

from evolcoder.credentials import is_secret_field, is_secret_header, without_logins
from evolcoder.records import CONFIGURED_CHECKS, Check

TASK_PLACEHOLDER = "{task}"
"""Placeholder that the template of a heuristic must contain."""
MAX_IN_FLIGHT = 4096
"""Upper bound of concurrent requests; no server known to us gets faster above it."""


ModelSpec = Annotated[str, PlainSerializer(without_logins)]
"""A model spec; credentials in its URL are removed when it is serialised."""
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/@:?#\[\]]+)(?::\d{1,5})?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DATA_SET = re.compile(r"\w[\w.-]{0,95}")


VerifyReason = Literal[
    "does_not_parse",
    "does_not_compile",
    "does_not_run",
    "output_misstated",
    "tests_failed",
    "no_sound_tests",
    "bait_works",
    "bait_is_answer",
    "bound_missed",
]
"""Drop reasons that verification may use."""


HIDDEN = "[secret]"
"""Stored in place of a secret."""
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = frozenset(
    {
        "host", "connection", "content-length", "content-type", "transfer-encoding", "te",
        "accept-encoding", "expect", "upgrade",
    }
)  # fmt: skip
OWN_PARAMETERS = {
    "model": "it is the name in the spec",
    "messages": "it is the prompt",
    "prompt": "it is the prompt",
    "temperature": "set the key `temperature`",
    "top_p": "set the key `top_p`",
    "max_tokens": "set the key `max_tokens`",
    "max_completion_tokens": "set the key `max_tokens`",
    "seed": "it is derived from the run's `seed`; `traffic.seeds` says whether it is sent",
    "n": "one answer is read",
    "stream": "whole answers are read",
}
"""Fields of a request that `extra_body` cannot set, and why."""


def references(value: str) -> list[str]:
    """Return the environment variables that a header's value names as `${NAME}`."""
    return _REFERENCE.findall(value)


def fill_references(value: str, variables: Mapping[str, str]) -> str:
    """Replace the names of environment variables in a header's value."""
    return _REFERENCE.sub(lambda found: variables[found[1]], value)


class Section(BaseModel):
    """Base class of sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


ColumnName = Literal[
    "instruction", "input", "response", "system", "history", "messages", "chosen", "label", "tools"
]
"""What the columns of a data set may be mapped to."""


class SeedsConfig(Section):
    """Where seed tasks (round 0) come from."""

    path: str = "bundled"
    """A file (.json, .jsonl, .parquet, .csv, .tsv, or .txt with one task a line; each optionally
    with .gz, .bz2, .xz or .zst), the folder of a data set, a Hub data set id, or `bundled`."""
    format: Literal[
        "auto", "alpaca", "output", "response", "self-instruct", "messages", "sharegpt", "chat",
        "oss-instruct", "question-answer", "trl", "preference", "benchmark", "text",
    ] = "auto"  # fmt: skip
    """Row format; `auto` detects that of each row from the field names, and it is reported."""
    columns: dict[ColumnName, str] = Field(default_factory=dict)
    """By name (`instruction`, `input`, `response`, `system`, `history`, `messages`, `chosen`,
    `label`, `tools`): the column that holds it, or a path in one such as `turns.0.text`. Other
    columns are read only if none of `instruction`, `input`, `messages` and `chosen` is named."""
    split: str = "train"
    """Split of a Hub data set, or of the folder of a data set."""
    subset: str | None = None
    """Subset (configuration) of a Hub data set, or of a folder, that has several."""
    revision: str | None = None
    """Branch, tag or commit of a Hub data set; default: its main branch."""
    max_chars: int = Field(20_000, ge=1)
    """Maximum characters of an instruction or a response; rows with a longer one are dropped."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Use only the first N usable seeds."""

    @model_serializer(mode="wrap")
    def _leave_out_columns(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Store no empty map: configs without it keep the fingerprint of earlier versions."""
        data: dict[str, Any] = plain(self)
        if not data.get("columns", True):
            del data["columns"]
        return data


def _is_header(name: str) -> str:
    if not _HEADER.fullmatch(name):
        raise ValueError("is not the name of a header")
    if name.lower() in _OWN_HEADERS:
        raise ValueError("is a header that evolcoder sets itself")
    return name


def _is_header_value(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("contains characters not allowed in a header")
    return value


def _is_extra(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in body:
        if name in OWN_PARAMETERS:
            raise ValueError(f"{name} cannot be replaced: {OWN_PARAMETERS[name]}")
    for path, value in _strings(body):
        if is_secret_field(path.rpartition(".")[2], value):
            raise ValueError(
                f"{path} holds a key, which would be stored; send it as a header, with "
                "`extra_headers` and ${NAME}, or name its variable in `servers`"
            )
    return body


def _strings(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the strings in a JSON value, each with the dotted names that lead to it."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, path)


class ModelConfig(Section):
    """A model and its sampling parameters. Every parameter is sent with every request."""

    model: ModelSpec = "qwen2.5-coder-0.5b"
    """A known name, `FILE.gguf`, `openai:NAME`, `anthropic:NAME`, `URL#NAME` or `scripted:FILE`."""
    temperature: float = Field(1.0, ge=0.0, le=2.0)
    """Sampling temperature."""
    top_p: float = Field(0.9, gt=0.0, le=1.0)
    """Nucleus sampling: cumulative probability of the tokens to sample from."""
    max_tokens: int = Field(1024, ge=1)
    """Maximum tokens of a response; a truncated response is dropped."""
    system: str = ""
    """System message; empty: none is sent."""
    n_ctx: int = Field(4096, ge=256)
    """Context length of each slot of an in-process model, in tokens."""
    extra_body: Annotated[dict[str, JsonValue], AfterValidator(_is_extra)] = Field(
        default_factory=dict
    )
    """Further fields of every request to this model, such as `reasoning_effort` or
    `chat_template_kwargs`. A responder without a `model` of its own adds to the evolver's."""
    extra_headers: dict[
        Annotated[str, AfterValidator(_is_header)],
        Annotated[str, AfterValidator(_is_header_value)],
    ] = Field(default_factory=dict, repr=False)
    """Further headers of every request to this model. `${NAME}` stands for an environment variable;
    values of headers that hold secrets are sent and neither stored nor shown."""

    @field_serializer("extra_headers")
    def _hide_secrets(self, headers: dict[str, str]) -> dict[str, str]:
        return {
            name: HIDDEN if is_secret_header(name, value) and not references(value) else value
            for name, value in headers.items()
        }

    @model_serializer(mode="wrap")
    def _leave_out_empty(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Store no empty extras: configs without them keep the fingerprint of earlier versions."""
        data: dict[str, Any] = plain(self)
        for name in ("extra_body", "extra_headers"):
            if not data.get(name, True):
                del data[name]
        return data


class EvolverConfig(ModelConfig):
    """The model that evolves tasks."""

    temperature: float = Field(0.6, ge=0.0, le=2.0)
    """Sampling temperature; above this value small models drift off the task."""
    max_tokens: int = Field(640, ge=1)
    """Maximum tokens of an evolution; a truncated one is dropped."""


class ResponderConfig(ModelConfig):
    """The model that answers tasks."""

    model: ModelSpec | None = None  # type: ignore[assignment]
    """A model spec; default: the evolver's model."""
    max_tokens: int = Field(2048, ge=1)
    """Maximum tokens of a response; a truncated response is dropped."""


class JudgeConfig(ModelConfig):
    """The optional model that judges whether an evolution is equivalent to its parent."""

    model: ModelSpec | None = None  # type: ignore[assignment]
    """A model spec; default: no judge."""
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    """Sampling temperature."""
    max_tokens: int = Field(16, ge=1)
    """Maximum tokens of a judgement."""


class ExampleConfig(Section):
    """A worked example of a heuristic, sent to the evolver as an earlier turn of the chat."""

    task: str
    """The task before evolution."""
    answer: str
    """The expected answer of the evolver."""


class HeuristicConfig(Section):
    """An override of a built-in heuristic, or a heuristic of the user."""

    weight: float | None = Field(None, ge=0.0)
    """Relative probability of being picked; 0 disables the heuristic."""
    template: str | None = None
    """Prompt to the evolver; must contain {task}. It also replaces the built-in examples."""
    examples: tuple[ExampleConfig, ...] | None = None
    """Worked examples, formatted with the template; default: those of the built-in heuristic."""
    answer: Literal["task", "addition"] | None = None
    """What the template asks for: the whole new `task`, or an `addition` appended to the parent."""
    must_hold: Literal["nothing", "bait", "bound"] | None = None
    """What an evolution must contain: `bait` (a piece of wrong code) or a `bound` such as O(n)."""
    suits: Literal["any", "code", "algorithm"] | None = None
    """Tasks it applies to: `any`, `code` (all but explanations) or `algorithm` (cost grows with
    input size)."""
    origin: str = "user"
    """Author of the heuristic, recorded in the run."""

    @model_validator(mode="after")
    def _has_placeholder(self) -> "HeuristicConfig":
        if self.template is not None and TASK_PLACEHOLDER not in self.template:
            raise ValueError(f"template has no {TASK_PLACEHOLDER} placeholder")
        return self


class EvolveConfig(Section):
    """How tasks are evolved."""

    style: Literal["auto", "append", "rewrite"] = "auto"
    """What the built-in heuristics ask for: sentences to `append`, or to `rewrite` the whole task;
    `auto` rewrites with models of 7B and up, and measures models of unknown size on ten seeds."""
    heuristics: dict[str, HeuristicConfig] = Field(default_factory=dict)
    """By name: reweight or replace a built-in heuristic, or add one."""
    only_these: bool = False
    """Use only the heuristics listed here, without the other built-in ones."""
    candidates: int = Field(3, ge=1, le=16)
    """Maximum evolution attempts per task and round; the first usable one is kept."""
    max_failures: int | None = Field(None, ge=1)
    """Failed rounds after which a task is no longer evolved; default: no limit."""


class EliminateConfig(Section):
    """Elimination rules for evolutions and responses."""

    min_new_words: int = Field(3, ge=0)
    """Minimum content words in an evolution that its parent does not contain."""
    doubtful_words: int = Field(5, ge=0)
    """With fewer new content words than this, another candidate is tried first, and the judge, if
    any, is asked."""
    max_overlap: float = Field(0.9, gt=0.0, le=1.0)
    """Maximum word overlap (Jaccard index) between a task and its parent."""
    min_kept: float = Field(0.25, ge=0.0, le=1.0)
    """Minimum share of the content words of the parent's prose that a rewritten task keeps."""
    max_growth: float = Field(3.0, gt=1.0)
    """Maximum length of a task relative to its parent, in words; 60 words are always allowed on
    top."""
    max_words: int = Field(400, ge=10)
    """Maximum length of a task in words."""
    apology_words: int = Field(80, ge=1)
    """A response that apologises is dropped if it has fewer words than this."""


class RespondConfig(Section):
    """How tasks are answered."""

    tries: int = Field(1, ge=1, le=16)
    """Maximum response attempts per task; the first usable one is kept."""
    reanswer_seeds: bool = False
    """Generate responses for the seeds too, replacing the ones in the data set."""
    candidates: int = Field(1, ge=1, le=64)
    """Answers asked for per task. Above 1 they are run on the same inputs, and one of the largest
    group that behaves alike, weighted by tests passed, becomes the response. May be raised when a
    run is resumed."""
    temperatures: tuple[Annotated[float, Field(ge=0.0, le=2.0)], ...] = (0.2, 0.4, 0.6, 0.8)
    """Sampling temperatures of the answers after the first, in turn; the first has the
    responder's."""
    agreeing: int = Field(2, ge=2, le=64)
    """Answers that must behave alike for a row to count as agreed; otherwise it is unverified."""
    words: Literal["keep", "drop"] = "keep"
    """What happens to the words around the code of an agreed answer, which nothing has checked:
    `drop` keeps the only code block of an answer to a task that asks for code and no words. The
    whole answer stays among the answers to the task."""
    unverified: Literal["keep", "drop"] = "keep"
    """What happens to a row whose answers could not be seen to agree: `keep` it with the first
    usable answer, or `drop` it."""

    @model_serializer(mode="wrap")
    def _leave_out_unset(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Store no settings of several answers where one is asked for, as earlier versions."""
        data: dict[str, Any] = plain(self)
        if data.get("candidates", 1) == 1:
            for name in ("candidates", "temperatures", "agreeing", "words", "unverified"):
                data.pop(name, None)
        return data


SandboxLevel = Literal["strict", "processes"]
"""The isolation levels of `sandbox/pool.py`, repeated here to avoid importing it."""


def _is_configured(check: Check) -> Check:
    if check not in CONFIGURED_CHECKS:
        raise ValueError(f"{check} is made where respond.candidates is above 1")
    return check


class VerifyConfig(Section):
    """Which checks are run on rows, and which findings drop a row."""

    when: Literal["possible", "always", "never"] = "possible"
    """`possible` verifies rows if this machine can run the sandbox and reports it otherwise;
    `always` makes a missing sandbox an error; `never` skips verification."""
    sandbox: SandboxLevel = "strict"
    """Minimum isolation of programs: `strict` (bubblewrap) or `processes` (Landlock)."""
    checks: tuple[Annotated[Check, AfterValidator(_is_configured)], ...] = (Check.RUNS, Check.BAIT)
    """Checks to run; a check that uses the results of others runs after them."""
    drop: tuple[VerifyReason, ...] = (
        "does_not_parse",
        "does_not_compile",
        "bait_works",
        "bait_is_answer",
    )
    """Findings that drop a row; other findings are only stored."""
    seeds: bool = False
    """Also verify the responses that came with the seeds."""
    tester: ModelSpec | None = None
    """Checks `tests` and `bound`: spec of the model that writes tests, and inputs of growing size;
    default: the responder."""
    candidates: int = Field(3, ge=1, le=64)
    """Check `tests`: responses compared with the row's own by the test sets that they pass."""
    check_sets: int = Field(3, ge=1, le=64)
    """Check `tests`: test sets generated per task, without access to its response."""
    mutants: int = Field(12, ge=1, le=200)
    """Check `tests`: mutants of the response that a test set must distinguish from it."""
    samples: int = Field(5, ge=1, le=200)
    """Check `difficulty`: responses sampled to estimate a pass rate."""
    cpu_s: float = Field(5.0, gt=0.0)
    """CPU seconds per program."""
    wall_s: float = Field(10.0, gt=0.0)
    """Wall-clock seconds per program."""
    memory_mb: int = Field(1024, ge=64)
    """Memory per program in MB."""


Detector = Literal["ngrams", "substring", "neighbours", "execution"]
LeakDrop = Literal[
    "any", "ngrams", "substring", "neighbours", "judge", "execution", "execution-any", "none"
]


class CleanConfig(Section):
    """Deduplication and decontamination, done after the last round of a run."""

    exact: bool = True
    """Drop rows whose text equals another row's, ignoring case and white space."""
    near: Annotated[float, Field(gt=0.0, le=1.0)] | None = 0.8
    """Minimum Jaccard similarity of word 3-grams at which a row is dropped as a near-duplicate;
    null: off."""
    meaning: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Minimum cosine similarity of embeddings at which a row is dropped as a semantic duplicate;
    null: off."""
    compare: Literal["task", "row"] = "task"
    """Text that is compared: the `task`, or the whole `row` (task and response)."""
    embedder: str = "auto"
    """Embedding model for `meaning`: a known name, a folder or a Hub id; `auto` uses gte-large if
    available, else the packaged all-MiniLM-L6-v2."""
    beside: tuple[str, ...] = ()
    """Other data sets; rows that duplicate one of theirs are dropped."""
    against: tuple[str, ...] = ()
    """Names of benchmarks to decontaminate against; empty: no decontamination."""
    data_dir: str | None = None
    """Folder with the benchmark files; default: they are downloaded."""
    detectors: tuple[Detector, ...] = ("ngrams", "substring", "neighbours", "execution")
    """Contamination detectors; the LLM judge is available only in `evolcoder clean RUN --judge
    SPEC`."""
    drop: tuple[LeakDrop, ...] = ("any",)
    """Detectors that may drop a row: `any`, a list of them, or `none`; `execution-any` also drops
    on passes of checks that are too weak to be evidence."""


class BudgetConfig(Section):
    """Limits of a run. Raising a limit resumes a stopped run."""

    rounds: int = Field(1, ge=0, le=100)
    """Rounds of evolution; with `target`, as many as it needs."""
    target: int | None = Field(None, ge=1)
    """Stop at exactly N accepted evolved rows, seeds not counted, over as many rounds as needed."""
    max_candidates: int | None = Field(None, ge=1)
    """Maximum evolutions started to reach `target`; default: four times the target."""
    max_usd: float | None = Field(None, ge=0.0)
    """Maximum cost in US dollars over the life of the run, by the price table."""
    max_tokens: int | None = Field(None, ge=1)
    """Maximum tokens sent and received over the life of the run, cached completions excluded."""
    max_hours: float | None = Field(None, gt=0.0)
    """Maximum hours of one invocation."""


class TrafficConfig(Section):
    """Rate limits, timeouts and retries of model servers, and threads of in-process models."""

    concurrency: int = Field(64, ge=1, le=MAX_IN_FLIGHT)
    """Maximum requests in flight; halved on HTTP 429 and 503, then raised again."""
    seeds: bool = True
    """Send a seed with each request. vLLM samples seeded requests one at a time, so it is faster
    without at hundreds of requests in flight; only cached completions are reproducible then."""
    requests_per_minute: int | None = Field(None, ge=1)
    """Maximum requests per minute; default: no limit."""
    tokens_per_minute: int | None = Field(None, ge=1)
    """Maximum tokens per minute, prompt and `max_tokens` together; default: no limit."""
    batch: bool = False
    """Send requests through the server's batch endpoint, at `prices.MODEL.batch` of the price."""
    batch_quiet_s: float = Field(5.0, ge=0.0)
    """A batch is sent when no new request has come for this many seconds."""
    batch_poll_s: float = Field(5.0, gt=0.0)
    """Seconds until a batch's status is asked for; grows by half each time, up to 60."""
    timeout_s: float = Field(300.0, gt=0.0)
    """Maximum seconds to wait for one completion, from its last token if it is streamed; while the
    server answers others, up to twelve times as long, since it then waits in the server's queue."""
    max_tries: int = Field(8, ge=1)
    """Maximum attempts per request; waiting for an unreachable server does not count."""
    max_retry_s: float = Field(600.0, gt=0.0)
    """Maximum seconds to retry one request, including waits for an unreachable server."""
    slots: int = Field(8, ge=1, le=256)
    """Parallel sequences of an in-process model."""
    threads: int | None = Field(None, ge=1)
    """Threads of an in-process model; default: one per available core."""


def _is_host(name: str) -> str:
    if not _HOST.fullmatch(name):
        raise ValueError("write it as HOST or HOST:PORT, without http:// and path")
    return name


def _is_variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError("write the name of the environment variable, not the key itself")
    return name


Host = Annotated[str, AfterValidator(_is_host)]
"""HOST (any port) or HOST:PORT."""


class ServerConfig(Section):
    """Settings of one model server other than its URL."""

    key_variable: Annotated[str, AfterValidator(_is_variable)]
    """Environment variable with the server's API key, which is sent to this host only."""


_LOCAL_CLUSTER = re.compile(r"local:(?:[1-9]|1[0-6])")
_HOST_AND_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/@:?#\[\]]+):\d{1,5}")


def _is_cluster(address: str) -> str:
    if address == "auto" or _LOCAL_CLUSTER.fullmatch(address):
        return address
    if address.startswith("local:"):
        raise ValueError("write the number of simulated nodes as local:1 to local:16")
    if not _HOST_AND_PORT.fullmatch(address) or not 0 < int(address.rpartition(":")[2]) < 1 << 16:
        raise ValueError("write it as auto, HOST:PORT or local:N")
    return address


PerModel = int | dict[str, int]
"""A number for each model, or by model where they differ."""


def _per_model(least: int, *, with_null: bool = False) -> BeforeValidator:
    """Check a number, or one by model; two types in a union would be two errors."""

    def check(value: object) -> object:
        given = value.items() if isinstance(value, Mapping) else [("all", value)]
        if value is None and with_null:
            return value
        if not given or not all(
            isinstance(name, str) and name and type(number) is int and number >= least
            for name, number in given
        ):
            raise ValueError(f"write a number of at least {least}, or one for each model by its id")
        return value

    return BeforeValidator(check)


_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][\w.-]*(?:\[[\w.,-]+\])?(?:(?:[=~!<>]=|[<>])\d[\w.!+*]*(?:,(?=[=~!<>])|$))*"
)


def _are_requirements(packages: tuple[str, ...]) -> tuple[str, ...]:
    for package in packages:
        if not _REQUIREMENT.fullmatch(package):
            raise ValueError(f"{package!r} is no package; write each as NAME or NAME>=VERSION")
    return packages


class ClusterConfig(Section):
    """A Ray cluster that runs programs and model servers, for more than one machine."""

    address: Annotated[str, AfterValidator(_is_cluster)] | None = None
    """`auto` (the cluster that this machine is a node of), HOST:PORT, or `local:N` (N simulated
    nodes on this machine); default: no cluster."""
    sandboxes_per_node: int | None = Field(None, ge=1)
    """Programs that each node runs concurrently; default: one more than its processors."""
    packages: Annotated[tuple[str, ...], AfterValidator(_are_requirements)] = ()
    """Packages that a node must have, such as `vllm>=0.12`; one that lacks any is left out."""
    replicas: Annotated[PerModel | None, _per_model(1, with_null=True)] = None
    """Servers of each `vllm:` model, as a number or by model id (`{ORG/MODEL: 2}`); default: the
    cluster's GPUs shared out among the models."""
    gpus_per_replica: Annotated[PerModel, _per_model(0)] = 1
    """GPUs of one server, on one node, as a number or by model id."""
    serve_command: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "{python}", "-m", "vllm.entrypoints.cli.main", "serve", "{model}",
        "--served-model-name", "{model}", "--host", "{host}", "--port", "{port}",
        "--tensor-parallel-size", "{gpus}", "--generation-config", "vllm", "--disable-log-stats",
        "--disable-uvicorn-access-log", "--uvicorn-log-level", "warning",
    )  # fmt: skip
    """Command of a server, with the placeholders {python} {model} {host} {port} {gpus}."""
    serve_options: tuple[str, ...] = ()
    """Options appended to the command, such as --max-model-len 4096."""
    ready_s: float = Field(900.0, gt=0.0)
    """Maximum wait until a server answers; loading a large model takes minutes."""
    stop_s: float = Field(30.0, gt=0.0)
    """Time that a server has to end before it is killed."""
    restarts: int = Field(3, ge=0)
    """Times that a server is started again after it died, before its replica is left out."""

    def replicas_of(self, model: str) -> int | None:
        """Return the servers of a model; None: as many as there are GPUs for."""
        return self.replicas.get(model) if isinstance(self.replicas, dict) else self.replicas

    def gpus_of(self, model: str) -> int:
        """Return the GPUs of one server of a model."""
        gpus = self.gpus_per_replica
        return gpus.get(model, 1) if isinstance(gpus, dict) else gpus


class Price(Section):
    """Price of a model in US dollars per million tokens."""

    input: float = Field(ge=0.0)
    """Price of prompt tokens."""
    output: float = Field(ge=0.0)
    """Price of completion tokens."""
    cached_input: float | None = Field(None, ge=0.0)
    """Price of prompt tokens read from the provider's cache; default: `input`."""
    cache_write: float | None = Field(None, ge=0.0)
    """Price of prompt tokens written to the provider's cache; default: `input`."""
    reasoning: float | None = Field(None, ge=0.0)
    """Price of reasoning tokens; default: `output`."""
    batch: float = Field(0.5, ge=0.0)
    """Factor of all prices for requests in a batch."""


ExportFormat = Literal[
    "alpaca", "messages", "sharegpt", "trl", "parquet", "preference", "infill", "repair"
]


def _data_set_name(name: str) -> str:
    if not _DATA_SET.fullmatch(name):
        raise ValueError(
            "must have letters, digits, _, . and - only, at most 96, and no . or - at its beginning"
        )
    return name


class ExportConfig(Section):
    """Files written when a run ends."""

    formats: tuple[ExportFormat, ...] = ("alpaca", "messages")
    """Formats written to `export/`."""
    include_seeds: bool = True
    """Export the seeds along with the evolved rows (the paper's merge)."""
    license: str = "unknown"
    """Licence in the data set card, as a Hub identifier; the user is responsible for it."""
    name: Annotated[str, AfterValidator(_data_set_name)] = "evolcoder"
    """Name of the data set in LLaMA-Factory's `dataset_info.json` and in the card."""
    validation: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the lineages whose rows are written to a validation file."""
    failing: bool = False
    """Also export rows whose program ended in an error, or printed something else than the response
    says."""
    fim: Literal["qwen", "starcoder", "deepseek", "codellama"] = "qwen"
    """Model family whose fill-in-the-middle tokens the format `infill` uses."""
