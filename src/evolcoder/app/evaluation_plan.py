"""What the user asked `evolcoder eval` to do, with everything that can be wrong looked at."""

import argparse
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from evolcoder.bench.base import Bench
from evolcoder.bench.fetch import Shelf
from evolcoder.bench.prompts import Template, template_named
from evolcoder.bench.registry import bench_named
from evolcoder.bench.samples import Reading, read_samples
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.engine.base import Sampling
from evolcoder.engine.registry import cache_folder, digest_of
from evolcoder.errors import BenchError, ConfigError
from evolcoder.evaluation.store import DB_NAME
from evolcoder.ids import content_id
from evolcoder.text import without_logins

FLAGS = {"max_usd": "budget.max_usd", "max_tokens_paid": "budget.max_tokens", "cache": "cache"}
"""Flag -> the config key that it sets."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation, with all that the user said checked."""

    benches: tuple[Bench, ...]
    """What is evaluated."""
    readings: dict[str, Reading]
    """Samples read from a file, by bench; empty where a model is asked."""
    template: Template
    """How problems are put to a model."""
    sampling: Sampling
    """How answers are drawn."""
    config: Config
    """Traffic, budget, prices and cache."""
    folder: Path
    """Where it is kept."""
    settings: dict[str, object]
    """What decides the samples."""


def benches_of(args: argparse.Namespace) -> tuple[Bench, ...]:
    """Read the benchmarks that are named, or say in one line what is wrong."""
    if not args.bench:
        raise ConfigError("--bench is missing; name a benchmark such as humaneval+")
    if args.n < 1 or (args.limit is not None and args.limit < 1):
        raise ConfigError("--n and --limit are at least 1")
    shelf = Shelf(args.data_dir, cache_folder() / "benchmarks")
    if "ds1000" in args.bench:
        _check_packages(args)
    names = dict.fromkeys(name.strip() for name in args.bench.split(",") if name.strip())
    return tuple(bench_named(name, shelf) for name in names)


def plan_of(args: argparse.Namespace) -> Plan:
    """Check the flags and read the benchmarks, or say in one line what is wrong."""
    benches = benches_of(args)
    if bool(args.model) == bool(args.samples):
        raise ConfigError("give either --model SPEC or --samples FILE")
    if args.n > 1 and args.temperature == 0 and args.model:
        raise ConfigError(f"--n {args.n}: greedy samples are all alike; give a --temperature")
    readings = {bench.name: _reading(args.samples, bench) for bench in benches if args.samples}
    given = [f"{FLAGS[flag]}={json.dumps(vars(args)[flag])}" for flag in FLAGS if vars(args)[flag]]
    settings = settings_of(args)
    named = [*(bench.name for bench in benches), settings]
    folder = args.out or Path("runs") / f"eval-{content_id('eval', named)[:8]}"
    if args.no_ask:
        _check_there_is_something(args, folder)
    return Plan(
        benches,
        readings,
        template_named(args.template),
        Sampling(args.temperature, args.top_p, args.max_tokens),
        configs.load(None, [*given, *args.set]),
        folder,
        settings,
    )


def _check_packages(args: argparse.Namespace) -> None:
    """Refuse DS-1000 without its libraries, which no program could import."""
    if args.no_grade or any((path / "numpy").is_dir() for path in args.packages):
        return
    needs = files("evolcoder") / "data" / "ds1000-requirements.txt"
    raise ConfigError(
        "ds1000 needs its libraries in a folder: `make ds1000` in a clone, or "
        f"pip install --target .ds1000 -r {needs}; then give --packages .ds1000"
    )


def _check_there_is_something(args: argparse.Namespace, folder: Path) -> None:
    """Refuse to ask for nothing where that leaves nothing to do."""
    if args.no_grade or args.samples:
        raise ConfigError(
            "--no-ask grades what --model has said already: "
            "it goes neither with --no-grade nor with --samples"
        )
    if not (folder / DB_NAME).exists():
        raise ConfigError(f"--no-ask: {folder} holds no evaluation, so there is nothing to grade")


def settings_of(args: argparse.Namespace) -> dict[str, object]:
    """Return what flags decide of the samples that an evaluation's folder holds."""
    if args.samples:
        path: Path = args.samples
        return {"samples": digest_of(path) if path.is_file() else str(path.resolve())}
    kept = ("model", "temperature", "top_p", "max_tokens", "template", "system", "seed")
    settings = {name: vars(args)[name] for name in kept}
    return {**settings, "model": without_logins(args.model)} if args.model else settings


def _reading(path: Path, bench: Bench) -> Reading:
    if not path.exists():
        raise BenchError(f"--samples {path}: there is no such file")
    return read_samples(path, bench.problems())
