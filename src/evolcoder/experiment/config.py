"""The knobs of a loop: one YAML file holds the run, the student, the arms and when to stop.

Promises: a section is frozen and takes no key that it does not know. A loop's folder takes a
changed config: what it holds is named by what decides it, so what still fits is found again.

>>> LoopConfig(student={"path": "models/small"}).stop.patience
1

The runs and the arms that a loop's config stands for.

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
from evolcoder.config.schema import MOST_IN_FLIGHT, ModelSpec, Section
from evolcoder.errors import ConfigError
from evolcoder.evolution.heuristics import resolve
from evolcoder.experiment.arms import MAIN, SEED, Arm
from evolcoder.experiment.stop import StopRule
from evolcoder.text import without_logins

T = TypeVar("T", str, tuple[str, ...])
_PLACE = re.compile(r"\{(\w+)\}")


def fill(text: str, **values: object) -> str:
    """Fill the places {name} of a text in; other braces stay as they are."""
    return _PLACE.sub(lambda found: str(values.get(found[1], found[0])), text)


def _bare(runs: dict[str, Any]) -> Any:  # noqa: ANN401 - plain data
    """Return runs as they are written down: without the logins of URLs."""
    return json.loads(without_logins(json.dumps(runs)))


def _no_null(value: object) -> object:
    return {} if value is None else value


def _with_places(*names: str) -> AfterValidator:
    """Refuse places that nothing is put into."""

    def check(value: T) -> T:
        for text in [value] if isinstance(value, str) else value:
            if unknown := set(_PLACE.findall(text)) - set(names):
                known = " ".join(f"{{{name}}}" for name in names)
                raise ValueError(f"nothing is known for {{{min(unknown)}}}; there are {known}")
        return value

    return AfterValidator(check)


TRAINING = _with_places("python", "data", "base", "out", "seed", "epochs", "batch")
SERVING = _with_places("python", "model", "name", "port", "gpus", "front_ends")


class StudentConfig(Section):
    """The model that is trained."""

    path: str
    """Folder of its weights, or what the training command knows it by."""
    name: str | None = None
    """What stands for it in names of results; left out, its path. Other weights, other name."""
    tokenizer: str | None = None
    """Its tokenizer.json, to count tokens by; left out, words and signs are counted."""


class TrainConfig(Section):
    """How the student is fine-tuned, every time from its own weights."""

    command: Annotated[tuple[str, ...], TRAINING] = (
        "{python}", "-m", "evolcoder.cli.main", "train", "{data}",
        "--base", "{base}", "--out", "{out}", "--set", "seed={seed}",
        "--set", "epochs={epochs}", "--set", "batch_rows={batch}",
    )  # fmt: skip
    """The command; {data} {base} {out} {seed} {epochs} {batch} are filled in. It must leave the
    model in {out}."""
    options: Annotated[tuple[str, ...], TRAINING] = ()
    """What follows the command, such as --preset small."""
    steps: Annotated[tuple[str, ...], _with_places("python", "steps")] = ("--set", "steps={steps}")
    """What sets the optimiser's steps, for step-matched arms; {steps} is filled in."""
    batch: int = Field(64, ge=1)
    """Rows per optimiser step, whatever a preset says; a command of your own is told by {batch}."""
    epochs: float = Field(2.0, gt=0.0)
    """Passes over the rows, whatever a preset says; a command of your own is told by {epochs}."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Training seeds; every arm is trained once with each."""
    beside: bool = False
    """Train while round 1 is made and while models that are there are asked, one at a time: for a
    GPU with room for a server and a training. Give the server its share in serve.options, of vLLM
    by --gpu-memory-utilization and --kv-cache-memory-bytes: left to measure what is free, it takes
    what the training needs for its own."""
    keep: Literal["all", "best"] = "all"
    """Whether the weights of all models stay, or of the best merge alone; samples always do."""
    timeout_s: float | None = Field(None, gt=0.0)
    """Longest time of one training; left out, it may take as long as it likes."""

    @property
    def how(self) -> tuple[str, ...]:
        """Return what of it decides a model beside its rows, steps and seed."""
        values = {"epochs": self.epochs, "batch": self.batch}
        return tuple(fill(word, **values) for word in (*self.command, *self.options))


class ServeConfig(Section):
    """How a folder of weights becomes a model that answers, and how hard it is asked."""

    command: Annotated[tuple[str, ...], SERVING] = (
        "{python}", "-m", "vllm.entrypoints.cli.main", "serve", "{model}",
        "--served-model-name", "{name}", "--host", "127.0.0.1", "--port", "{port}",
        "--data-parallel-size", "{gpus}", "--api-server-count", "{front_ends}",
        "--generation-config", "vllm", "--disable-log-stats", "--disable-uvicorn-access-log",
        "--uvicorn-log-level", "warning",
    )  # fmt: skip
    """The server's command; {model} {name} {port} {gpus} {front_ends} are filled in. Empty: nothing
    is started."""
    options: Annotated[tuple[str, ...], SERVING] = ()
    """What follows the command, such as --gpu-memory-utilization 0.8. Samples that are there stay
    when it changes: take another folder for what changes answers, such as --quantization."""
    gpus: int = Field(1, ge=1)
    """GPUs of this machine that each hold the whole model, with requests spread over them."""
    front_ends: int = Field(4, ge=1)
    """Processes of the server that read requests and put answers together; one per GPU at least."""
    swap_weights: bool = False
    """Serve all students with one vLLM, which sleeps while the GPU trains and then takes the next
    one's weights; saves a start of a minute for each. It has the first port, and one front end."""
    concurrency: int = Field(1280, ge=1, le=MOST_IN_FLIGHT)
    """Most requests in flight to each GPU of a server that we start; more than it computes at once
    (1,024 on a large GPU), so that a place that falls free is filled at once."""
    seeds: bool = False
    """Send a seed with each request to a server that we start; vLLM draws such requests one by one,
    which with a thousand at once takes longer than the model, and gives no equal bytes."""
    spec: Annotated[ModelSpec, SERVING] = "http://127.0.0.1:{port}/v1#{name}"
    """The model spec that it answers under."""
    port: int = Field(8791, ge=1, le=65535)
    """Its port on loopback; further servers of one step take the next ones."""
    ready_s: float = Field(600.0, gt=0.0)
    """Longest wait until it answers."""
    stop_s: float = Field(30.0, gt=0.0)
    """How long it may take to end before it is killed."""

    @field_validator("swap_weights")
    @classmethod
    def _is_for_one_gpu(cls, swap: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - pydantic's
        if swap and info.data.get("gpus", 1) > 1:
            raise ValueError("is for one GPU; leave it out with gpus over 1")
        return swap

    @property
    def traffic(self) -> tuple[str, ...]:
        """Return the `--set` options of a command that asks servers that we start."""
        if not self.command:
            return ()
        most = min(MOST_IN_FLIGHT, self.concurrency * self.gpus)
        sets = (f"traffic.concurrency={most}", f"traffic.seeds={json.dumps(self.seeds)}")
        return tuple(word for one in sets for word in ("--set", one))


class AskConfig(Section):
    """How a trained student is asked."""

    template: str = "wizardcoder"
    """The prompt, the same that training uses."""
    n: int = Field(1, ge=1)
    """Samples of each problem."""
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    """0 for greedy."""
    top_p: float = Field(0.95, gt=0.0, le=1.0)
    """Nucleus bound."""
    max_tokens: int = Field(512, ge=1)
    """Longest answer in tokens."""
    limit: int | None = Field(None, ge=1)
    """The first so many problems of each benchmark only, for trying things out."""
    data_dir: str | None = None
    """Read benchmark data here and fetch nothing."""
    sandbox: Literal["strict", "processes"] = "strict"
    """Least protection under which answers are graded."""
    grade_beside: bool = False
    """Grade a model while the next one is trained and asked: for machines whose GPU does that, with
    processors to spare; where the processor trains, both would be slower."""
    grade_at_once: int = Field(1, ge=1)
    """So many models are graded at once where they are graded beside: one slow program keeps one
    processor for minutes, while the others have nothing to do. A program that is run once more
    alone is then alone among its own model's."""
    options: tuple[str, ...] = ()
    """Further options of `evolcoder eval`, such as --workers 4."""


class DevConfig(Section):
    """What decides whether a round helped."""

    bench: str | None = "mbpp-dev"
    """The benchmark; null: nothing decides, all rounds are made."""
    leave_out_tests: bool = False
    """Take problems that a reported test has out of the dev set, in place of refusing."""


class StopConfig(Section):
    """Evol Stop."""

    level: float = Field(0.05, gt=0.0, lt=1.0)
    """Largest p-value at which a difference counts as proven."""
    patience: int = Field(1, ge=1)
    """So many rounds in a row that count against it end evolution."""
    strict: bool = False
    """Whether a tie or a dip within noise counts too, as in the paper."""
    go_on: bool = False
    """Make all rounds nevertheless, for an experiment, and say where it would have stopped."""

    @property
    def rule(self) -> StopRule:
        """Return the rule as the decision takes it."""
        return StopRule(self.level, self.patience, self.strict)


class LoopConfig(Section):
    """A loop, whole."""

    run: Annotated[Config, BeforeValidator(_no_null)] = Config()
    """The run that evolves; all keys of `evolcoder run`. `vllm:DIR` as a model is served here."""
    runs: Annotated[dict[str, dict[str, Any]], PlainSerializer(_bare)] = Field(default_factory=dict)
    """Further runs by name: what differs from `run`, such as another evolver."""
    folders: dict[str, str] = Field(default_factory=dict)
    """Run folders made elsewhere, by name (`main`, `main-reanswered`): read, never written."""
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
    """Arms that are trained with the first seed alone."""
    min_verified: float = Field(0.0, ge=0.0, le=1.0)
    """Least strength of the tests that a +verified row has passed."""

    @field_validator("arms", "arms_once")
    @classmethod
    def _are_arms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(Arm.read(name)) for name in names))

    @model_validator(mode="after")
    def _has_the_runs_of_its_arms(self) -> "LoopConfig":
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
    """Return the arm of the seeds and all rounds so far."""
    return Arm.read(f"merge-0..{round}" if round else SEED)


def variant(config: LoopConfig, name: str) -> Config:
    """Return the config of a run: the main one, or the main one with what its name changes."""
    if name == MAIN:
        return config.run
    if name not in config.runs:
        known = ", ".join([MAIN, *config.runs])
        raise ConfigError(f"arms: there is no run {name!r}; known are {known}")
    merged = _merged(config.run.model_dump(mode="json"), config.runs[name])
    return configs.check(merged, where=f"runs.{name}")


def rerun(config: Config) -> Config:
    """Return the config of a run that only answers the seeds again."""
    respond = config.respond.model_copy(update={"reanswer_seeds": True})
    return config.model_copy(update={"respond": respond})


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another, section by section."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged
