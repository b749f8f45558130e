"""The options of an evaluation, as `evolcoder eval` has them, and their validation.

No file is read and no model is asked, so mistakes are reported before a benchmark is downloaded.

>>> check_options(EvaluationOptions(bench="humaneval+", model="scripted:x"))   # doctest: +SKIP
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from evolcoder.app import models
from evolcoder.bench.base import PromptForm
from evolcoder.bench.prompts import EVALUATION_TEMPLATES, template_named
from evolcoder.bench.registry import is_known
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.credentials import without_logins
from evolcoder.engine.registry import digest_of
from evolcoder.errors import BenchError, ConfigError
from evolcoder.sandbox.pool import LEVELS

SAMPLE_FORMS = {
    "answers": PromptForm.ANSWER,
    "continuations": PromptForm.CONTINUATION,
    "completions": PromptForm.COMPLETION,
    "programs": PromptForm.PROGRAM,
}
"""Value of `--samples-are` -> form: answers of a chat model, from which the program is extracted;
text of a base model, which is cut where the function ends; both of the latter are run as they are.
"""
MAX_TEMPERATURE = 2.0
"""Highest sampling temperature that servers take."""
FLAGS = {
    "max_usd": "budget.max_usd",
    "max_tokens_paid": "budget.max_tokens",
    "cache": "cache",
    "batch": "traffic.batch",
    "cluster": "cluster.address",
}
"""Option -> config key that it sets."""
ASKING = (
    "n", "temperature", "top_p", "max_tokens", "template", "system", "seed", "ending", "max_usd",
    "max_tokens_paid", "batch", "cache",
)  # fmt: skip
"""Options that only asking a model uses."""
GRADING_KEYS = ("cluster.",)
"""How config keys begin that grading a file of samples uses; all others concern a model."""


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """The options of an evaluation, named as those of `evolcoder eval`."""

    bench: str | None = None
    """Names of benchmarks, separated by commas."""
    model: str | None = None
    """Spec of the evaluated model."""
    samples: Path | None = None
    """File of samples to grade instead of a model's."""
    samples_are: str | None = None
    """What the samples' texts are, a key of SAMPLE_FORMS; None: as their fields say."""
    n: int = 1
    """Samples per problem."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy."""
    top_p: float = 0.95
    """Nucleus sampling threshold."""
    max_tokens: int = 1024
    """Maximum completion tokens."""
    template: str = "chat"
    """Name of the prompt template."""
    system: str = ""
    """System message of the chat template."""
    seed: int = 0
    """Random seed."""
    ending: str = ""
    """How prompts end: empty for as they are, or a name of `prompts.ENDINGS`."""
    out: Path | None = None
    """The evaluation's folder; None: one named by a hash of benchmarks and sample settings."""
    data_dir: Path | None = None
    """Folder of benchmark data; None downloads it."""
    packages: Sequence[Path] = ()
    """Folders of Python packages that programs may import."""
    sandbox: str = "strict"
    """Minimum sandbox isolation."""
    workers: int | None = None
    """Programs run concurrently; None: number of processors plus one."""
    limit: int | None = None
    """Use only the first problems of each benchmark, this many; the score is partial."""
    partial: bool = False
    """Score although problems are missing or faulty."""
    no_grade: bool = False
    """Generate samples without grading them."""
    no_ask: bool = False
    """Grade existing samples without generating more."""
    max_usd: float | None = None
    """Maximum cost in US dollars."""
    max_tokens_paid: int | None = None
    """Maximum tokens paid for."""
    cache: str | None = None
    """Path of the shared completion cache."""
    batch: bool | None = None
    """Generate samples through the provider's batch endpoint; None: as the config says."""
    cluster: str | None = None
    """Address of a Ray cluster whose nodes run the programs."""
    set: Sequence[str] = ()
    """Config overrides, each `key=value`."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "EvaluationOptions":
        """Select the options among a command's arguments; others and None are ignored."""
        return cls(
            **{
                one.name: values[one.name]
                for one in fields(cls)
                if values.get(one.name) is not None
            }
        )


ParseOptions = Callable[[Sequence[str]], EvaluationOptions]
"""Parses command-line options of `evolcoder eval`."""


def check_benches(args: EvaluationOptions) -> None:
    """Raise ConfigError if no benchmark is named, or a number is none of samples or problems."""
    if not args.bench:
        raise ConfigError("--bench is missing; name a benchmark such as humaneval+")
    if not bench_names(args):
        raise ConfigError(f"--bench {args.bench}: name a benchmark such as humaneval+")
    if args.n < 1 or (args.limit is not None and args.limit < 1):
        raise ConfigError("--n and --limit must be at least 1")


def bench_names(args: EvaluationOptions) -> list[str]:
    """Return the names of `--bench`, each once."""
    found = [name.strip() for name in (args.bench or "").split(",")]
    return list(dict.fromkeys(filter(None, found)))


def check_model(args: EvaluationOptions) -> None:
    """Raise ModelError for a model that cannot be opened, before benchmarks are downloaded.

    An unknown benchmark is reported first, when it is read.
    """
    if args.model and not args.no_ask and all(map(is_known, bench_names(args))):
        models.check_spec(args.model)


def check_options(args: EvaluationOptions) -> None:
    """Raise ConfigError or BenchError for mistakes that can be found without a benchmark."""
    check_benches(args)
    if bool(args.model) == bool(args.samples):
        raise ConfigError("give either --model SPEC or --samples FILE")
    _check_numbers(args)
    if args.samples:
        defaults = EvaluationOptions()
        values = {name: getattr(args, name) for name in (*ASKING, "set")}
        check_no_asking(
            {name: one for name, one in values.items() if one != getattr(defaults, name)}
        )
    if args.sandbox not in LEVELS:
        known = ", ".join(LEVELS)
        raise ConfigError(f"--sandbox {args.sandbox}: unknown; known levels are {known}")
    for flag, folder in [
        ("--data-dir", args.data_dir),
        *(("--packages", p) for p in args.packages),
    ]:
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"{flag} {folder}: no such folder")
    if args.out is not None and os.path.lexists(args.out) and not args.out.is_dir():
        raise ConfigError(f"--out {args.out}: is a file, not a folder; use another path")
    if args.samples is not None and not args.samples.exists():
        raise BenchError(f"--samples {args.samples}: file not found")
    if args.samples_are is not None and (
        args.samples is None or args.samples_are not in SAMPLE_FORMS
    ):
        known = ", ".join(SAMPLE_FORMS)
        raise ConfigError(f"--samples-are {args.samples_are}: needs --samples, and one of {known}")
    template_named(args.template, EVALUATION_TEMPLATES)
    if args.n > 1 and args.temperature == 0 and args.model:
        raise ConfigError(f"--n {args.n}: greedy samples are identical; set --temperature")


def is_for_grading(setting: str) -> bool:
    """Whether a KEY=VALUE of `--set` has an effect where no model is asked."""
    return setting.startswith(GRADING_KEYS)


def check_no_asking(given: Mapping[str, Any]) -> None:
    """Raise ConfigError if options given with `--samples` concern a model, which is not asked."""
    keys = [one for one in given.get("set") or () if not is_for_grading(one)]
    found = [f"--{name.replace('_', '-')}" for name in ASKING if given.get(name) is not None]
    found += [f"--set {one.partition('=')[0]}" for one in keys]  # a value may be a secret
    if found:
        raise ConfigError(
            f"{', '.join(found)}: not with --samples, which asks no model and grades every sample "
            f"of the file; leave {'it' if len(found) == 1 else 'them'} out"
        )


def _check_numbers(args: EvaluationOptions) -> None:
    """Raise ConfigError for a sampling parameter that no server takes; nan is none."""
    wanted = {
        "temperature": (0 <= args.temperature <= MAX_TEMPERATURE, f"0 to {MAX_TEMPERATURE:g}"),
        "top_p": (0 < args.top_p <= 1, "above 0, up to 1"),
        "max_tokens": (args.max_tokens >= 1, "at least 1"),
        "seed": (args.seed >= 0, "at least 0"),
        "workers": (args.workers is None or args.workers >= 1, "at least 1"),
    }
    for name, (is_right, range_text) in wanted.items():
        if not is_right:
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag} {getattr(args, name)}: must be {range_text}")


def config_of(args: EvaluationOptions) -> Config:
    """Return the config that the options stand for."""
    overrides = [
        f"{key}={json.dumps(getattr(args, flag))}"
        for flag, key in FLAGS.items()
        if getattr(args, flag) is not None
    ]
    return configs.load(None, [*overrides, *args.set])


def sample_settings(args: EvaluationOptions) -> dict[str, object]:
    """Return the options that determine the samples in an evaluation's folder."""
    if args.samples:
        path: Path = args.samples
        file: dict[str, object] = {
            "samples": digest_of(path) if path.is_file() else str(path.resolve())
        }
        return file | ({"samples_are": args.samples_are} if args.samples_are else {})
    names = ("model", "temperature", "top_p", "max_tokens", "template", "system", "seed")
    settings = {name: getattr(args, name) for name in names}
    settings |= {"ending": args.ending} if args.ending else {}
    return {**settings, "model": without_logins(args.model)} if args.model else settings
