"""The config of a loop: one YAML file with the run, the student, the arms and the stopping rule.

Sections are frozen and refuse unknown keys. A loop folder accepts a changed config: artifacts are
named by what decides them, so those that still fit are reused.

>>> LoopConfig(student={"path": "models/small"}).stop.patience
1
>>> str(merge(2)), str(merge(0))
('merge-0..2', 'seed')
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
    model_validator,
)

from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.config.schema import MAX_IN_FLIGHT, ModelSpec, Section
from evolcoder.credentials import without_logins
from evolcoder.errors import ConfigError
from evolcoder.evolution.heuristics import resolve
from evolcoder.experiment.arms import MAIN, SEED, Arm
from evolcoder.experiment.stop import StopRule

T = TypeVar("T", str, tuple[str, ...])
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


def fill(text: str, **values: object) -> str:
    """Replace the placeholders {name} of a text; other braces stay unchanged."""
    return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), text)


def _without_logins(runs: dict[str, Any]) -> Any:  # noqa: ANN401 - plain data
    """Remove the logins of URLs before runs are stored."""
    return json.loads(without_logins(json.dumps(runs)))


def _no_null(value: object) -> object:
    return {} if value is None else value


def _placeholders(*names: str) -> AfterValidator:
    """Refuse unknown placeholders."""

    def check(value: T) -> T:
        for text in [value] if isinstance(value, str) else value:
            if unknown := set(_PLACEHOLDER.findall(text)) - set(names):
                known = " ".join(f"{{{name}}}" for name in names)
                raise ValueError(f"unknown placeholder {{{min(unknown)}}}; known are {known}")
        return value

    return AfterValidator(check)


TRAINING = _placeholders("python", "data", "base", "out", "seed", "epochs", "batch")
SERVING = _placeholders("python", "model", "name", "port", "gpus", "front_ends")


class StudentConfig(Section):
    """The model that is trained."""

    path: str
    """Folder of its weights, or the name that the training command accepts."""
    name: str | None = None
    """Identifies its weights in result names (default: its path); change it with the weights."""
    tokenizer: str | None = None
    """Its tokenizer.json, to count tokens; left out, words and signs are counted."""


class TrainConfig(Section):
    """How the student is fine-tuned, each time from its original weights."""

    command: Annotated[tuple[str, ...], TRAINING] = (
        "{python}", "-m", "evolcoder.cli.main", "train", "{data}",
        "--base", "{base}", "--out", "{out}", "--set", "seed={seed}",
        "--set", "epochs={epochs}", "--set", "batch_rows={batch}",
    )  # fmt: skip
    """The command, with the placeholders {data} {base} {out} {seed} {epochs} {batch}. It must write
    the model to {out}."""
    options: Annotated[tuple[str, ...], TRAINING] = ()
    """Options appended to the command, such as --preset small."""
    steps: Annotated[tuple[str, ...], _placeholders("python", "steps")] = ("--set", "steps={steps}")
    """Options that set the optimiser steps of step-matched arms, with the placeholder {steps}."""
    batch: int = Field(64, ge=1)
    """Rows per optimiser step; overrides a preset. Your own command gets it as {batch}."""
    epochs: float = Field(2.0, gt=0.0)
    """Passes over the rows; overrides a preset. Your own command gets it as {epochs}."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Training seeds; every arm is trained once with each."""
    beside: bool = False
    """Train in the background, one model at a time, while round 1 is made and finished models are
    sampled: for a GPU with memory for a server and a training. Limit the server in serve.options,
    vLLM by --gpu-memory-utilization and --kv-cache-memory-bytes: by default it measures free memory
    and takes what the training needs."""
    keep: Literal["all", "best"] = "all"
    """Keep the weights of all models, or of the best merge only; samples are always kept."""
    timeout_s: float | None = Field(None, gt=0.0)
    """Maximum time of one training; left out, unlimited."""

    @property
    def how(self) -> tuple[str, ...]:
        """Return the parts that decide a model, besides its rows, steps and seed."""
        values = {"epochs": self.epochs, "batch": self.batch}
        return tuple(fill(word, **values) for word in (*self.command, *self.options))


class ServeConfig(Section):
    """The model server, and the load on it."""

    command: Annotated[tuple[str, ...], SERVING] = (
        "{python}", "-m", "vllm.entrypoints.cli.main", "serve", "{model}",
        "--served-model-name", "{name}", "--host", "127.0.0.1", "--port", "{port}",
        "--data-parallel-size", "{gpus}", "--api-server-count", "{front_ends}",
        "--generation-config", "vllm", "--disable-log-stats", "--disable-uvicorn-access-log",
        "--uvicorn-log-level", "warning",
    )  # fmt: skip
    """The server's command, with the placeholders {model} {name} {port} {gpus} {front_ends}. If
    empty, no server is started."""
    options: Annotated[tuple[str, ...], SERVING] = ()
    """Options appended to the command, such as --gpu-memory-utilization 0.8. Existing samples stay
    when this changes: use another folder for options that change answers (--quantization)."""
    gpus: int = Field(1, ge=1)
    """GPUs of this machine that each hold the whole model and share the requests."""
    front_ends: int = Field(4, ge=1)
    """Front-end processes of the server, at least one per GPU."""
    replicas: int = Field(1, ge=1)
    """Servers of each model on the same GPUs, which share its requests; students whose weights are
    swapped have one. Two may be faster where a server's own work takes longer than the model, as
    with a small one on a large GPU. Each needs its memory: limit it in `options`, vLLM as in
    `train.beside`."""
    swap_weights: bool = False
    """Serve all students with one vLLM, which sleeps while the GPU trains and then loads the next
    weights; saves a start of a minute for each. It uses the first port, and one front end."""
    concurrency: int = Field(1280, ge=1, le=MAX_IN_FLIGHT)
    """Maximum requests in flight per GPU of a server that evolcoder starts; more than it computes
    concurrently (1,024 on a large GPU), so that a free slot is filled at once."""
    ahead: bool = False
    """With `swap_weights`: start the students' server while round 1 is made, for a GPU with memory
    for two servers and, with `train.beside`, a training. It begins with the student's weights. The
    servers of a run's models stay until the loop ends, too."""
    seeds: bool = False
    """Send a seed with each request to a server that evolcoder starts; vLLM samples such requests
    one by one, which takes longer than the model with a thousand in flight, and gives no equal
    bytes."""
    spec: Annotated[ModelSpec, SERVING] = "http://127.0.0.1:{port}/v1#{name}"
    """The model spec of the server."""
    port: int = Field(8791, ge=1, le=65535)
    """Its loopback port; further servers of one step use the following ones."""
    ready_s: float = Field(600.0, gt=0.0)
    """Maximum wait until it answers."""
    stop_s: float = Field(30.0, gt=0.0)
    """Time to end before it is killed."""

    @field_validator("swap_weights")
    @classmethod
    def _is_for_one_gpu(cls, swap: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's
        if swap and info.data.get("gpus", 1) > 1:
            raise ValueError("works with one GPU only; remove it, or set gpus to 1")
        return swap

    @field_validator("ahead")
    @classmethod
    def _swaps(cls, ahead: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's
        if ahead and not info.data.get("swap_weights", True):
            raise ValueError("needs swap_weights: true")
        return ahead

    @property
    def traffic(self) -> tuple[str, ...]:
        """Return the `--set` options of a command that queries servers that evolcoder starts."""
        if not self.command:
            return ()
        most = min(MAX_IN_FLIGHT, self.concurrency * self.gpus)
        sets = (f"traffic.concurrency={most}", f"traffic.seeds={json.dumps(self.seeds)}")
        return tuple(word for one in sets for word in ("--set", one))


class AskConfig(Section):
    """How a trained student is sampled."""

    template: str = "wizardcoder"
    """The prompt, the same as in training."""
    n: int = Field(1, ge=1)
    """Samples per problem."""
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    """0 for greedy."""
    top_p: float = Field(0.95, gt=0.0, le=1.0)
    """Nucleus sampling bound."""
    max_tokens: int = Field(512, ge=1)
    """Maximum length of an answer in tokens."""
    limit: int | None = Field(None, ge=1)
    """Use only the first so many problems of each benchmark, to try a config."""
    data_dir: str | None = None
    """Read benchmark data here and fetch nothing."""
    sandbox: Literal["strict", "processes"] = "strict"
    """Minimum sandbox isolation for grading."""
    grade_beside: bool = False
    """Grade a model in the background while the next one is trained and sampled: for machines whose
    GPU does that, with free processors; if the processor trains, both would be slower."""
    grade_at_once: int = Field(1, ge=1)
    """Models graded concurrently in the background: one slow program occupies one processor for
    minutes, while the others idle. A program that is run once more alone is then alone only among
    those of its own model."""
    options: tuple[str, ...] = ()
    """Further options of `evolcoder eval`, such as --workers 4."""


class DevConfig(Section):
    """The dev set, which decides whether a round helped."""

    bench: str | None = "mbpp-dev"
    """The benchmark, or several separated by commas, whose problems are pooled; null: no decision,
    all rounds are made."""
    leave_out_tests: bool = False
    """Remove problems of reported benchmarks from the dev set, instead of refusing."""

    @property
    def benches(self) -> tuple[str, ...]:
        """Return the names of the benchmarks."""
        names = (name.strip() for name in (self.bench or "").split(","))
        return tuple(dict.fromkeys(filter(None, names)))


class StopConfig(Section):
    """Evol Stop."""

    level: float = Field(0.05, gt=0.0, lt=1.0)
    """Largest p-value at which a difference counts as proven."""
    patience: int = Field(1, ge=1)
    """Rounds in a row without help that end evolution."""
    strict: bool = False
    """Count a tie or a loss within noise as no help, as in the paper."""
    go_on: bool = False
    """Make all rounds nevertheless, for an experiment, and report where it would have stopped."""

    @property
    def rule(self) -> StopRule:
        """Return these values as a `StopRule`."""
        return StopRule(self.level, self.patience, self.strict)


class LoopConfig(Section):
    """The config of a loop."""

    run: Annotated[Config, BeforeValidator(_no_null)] = Config()
    """The run that evolves; all keys of `evolcoder run`. `vllm:DIR` as a model is served here."""
    runs: Annotated[dict[str, dict[str, Any]], PlainSerializer(_without_logins)] = Field(
        default_factory=dict
    )
    """Further runs by name: keys that differ from `run`, such as another evolver."""
    folders: dict[str, str] = Field(default_factory=dict)
    """Run folders made elsewhere, by name (`main`, `main-reanswered`): read only."""
    student: StudentConfig
    """The model that is trained."""
    train: Annotated[TrainConfig, BeforeValidator(_no_null)] = TrainConfig()
    serve: Annotated[ServeConfig, BeforeValidator(_no_null)] = ServeConfig()
    ask: Annotated[AskConfig, BeforeValidator(_no_null)] = AskConfig()
    dev: Annotated[DevConfig, BeforeValidator(_no_null)] = DevConfig()
    tests: tuple[str, ...] = Field(("humaneval+",), min_length=1)
    """Benchmarks that are reported."""
    stop: Annotated[StopConfig, BeforeValidator(_no_null)] = StopConfig()
    arms: tuple[str, ...] = ("student", "seed", "seed-reanswered")
    """Arms that are trained with every seed, besides the merges of all rounds."""
    arms_once: tuple[str, ...] = ()
    """Arms that are trained with the first seed only."""
    min_verified: float = Field(0.0, ge=0.0, le=1.0)
    """Minimum strength of the tests that a +verified row has passed."""

    @field_validator("arms", "arms_once")
    @classmethod
    def _are_arms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(Arm.read(name)) for name in names))

    @model_validator(mode="after")
    def _knows_runs_and_heuristics(self) -> "LoopConfig":
        ours = (MAIN, *self.runs)
        for arm in map(Arm.read, (*self.arms, *self.arms_once)):
            needed = [arm.run, *([f"{arm.run}-reanswered"] if arm.is_reanswered else [])]
            if arm.run not in ours and (lacking := set(needed) - self.folders.keys()):
                known = ", ".join([*ours, *self.folders])
                raise ValueError(f"arm {arm}: there is no run {min(lacking)!r}; known are {known}")
            if arm.run in ours and (odd := set(arm.without) - self._heuristics()):
                known = ", ".join(sorted(self._heuristics()))
                raise ValueError(f"arm {arm}: no heuristic is called {min(odd)}; known are {known}")
        return self

    def _heuristics(self) -> set[str]:
        """Return the names of all heuristics of all runs."""
        added = [run.get("evolve") or {} for run in self.runs.values()]
        theirs = {name for one in added for name in one.get("heuristics") or {}}
        return theirs | {one.name for one in resolve(self.run.evolve)}


def merge(round: int) -> Arm:
    """Return the arm of the seeds and the rounds up to this one."""
    return Arm.read(f"merge-0..{round}" if round else SEED)


def variant(config: LoopConfig, name: str) -> Config:
    """Return the config of a run: the main one, with the changes under this name."""
    if name == MAIN:
        return config.run
    if name not in config.runs:
        known = ", ".join([MAIN, *config.runs])
        raise ConfigError(f"arms: there is no run {name!r}; known are {known}")
    merged = _merged(config.run.model_dump(mode="json"), config.runs[name])
    return configs.validate(merged, where=f"runs.{name}")


def rerun(config: Config) -> Config:
    """Return the config of a run that only re-answers the seeds."""
    respond = config.respond.model_copy(update={"reanswer_seeds": True})
    return config.model_copy(update={"respond": respond})


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge one mapping into another, recursively."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged
