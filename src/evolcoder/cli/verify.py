"""`evolcoder verify`: checks every row of a data set, and writes what is left and every verdict.

The folder is a run's: the same command goes on after an interruption, `inspect` shows a row with
its verdicts, and `export` writes what was kept in any format.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from evolcoder.app import export, models, provenance, verify
from evolcoder.app.progress import shown_text
from evolcoder.cli import output, show
from evolcoder.cli.cancellation import until_told
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.errors import BudgetReached, ConfigError, RunFolderError
from evolcoder.records import Check
from evolcoder.sandbox.pool import LEVELS
from evolcoder.seeds.read import read_seeds
from evolcoder.storage import atomic
from evolcoder.storage.database import COUNT, TEXT, Columns
from evolcoder.storage.run_store import DB_NAME, LineageStep, RunStore, steps
from evolcoder.storage.stats import SEEDS_META, funnel
from evolcoder.verify import pipeline
from evolcoder.verify.dataset import RowVerifier, VerifyProgress, answered
from evolcoder.verify.pipeline import Verifier

VERDICTS = "verdicts.jsonl"
_COUNTED = Columns(check_name=TEXT, kind=TEXT, n=COUNT)
FLAGS = {
    "sandbox": "verify.sandbox",
    "model": "evolver.model",
    "seed": "seed",
    "cache": "cache",
    "max_usd": "budget.max_usd",
    "max_tokens": "budget.max_tokens",
}
"""Flag -> the config key that it sets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("data", help="a file in any format that `run` takes seeds in, or a Hub data set id")
    add("--out", type=Path, metavar="DIR", help="folder of the result; an existing one is resumed")
    add("--checks", metavar="NAME,...", help=f"of {', '.join(Check)} (runs)")
    add("--model", metavar="SPEC", help=f"who writes tests: {models.FORMS}")
    add("--config", type=Path, metavar="FILE", help="a YAML file with the same keys as a run's")
    add("--sandbox", choices=LEVELS, help="least protection under which programs run (strict)")
    add("--workers", type=int, metavar="N", help="programs at a time (cores and one more)")
    add("--max-usd", type=float, metavar="X", help="most money, by the price table")
    add("--max-tokens", type=int, metavar="N", help="most tokens paid for")
    add("--seed", type=int, metavar="N", help="root of all randomness")
    add("--cache", metavar="FILE", help="completion cache that runs share")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Verify a data set, or go on with it."""
    config = configs.load(args.config, [*_from_flags(args), *args.set])
    if verify.needs_model(config.verify) and not (args.model or args.config):
        asking = ", ".join(sorted(verify.ASKING & set(config.verify.checks)))
        raise ConfigError(f"--checks {asking}: a model writes these; name it with --model")
    folder = args.out or Path("runs") / f"verified-{config.fingerprint[:8]}"
    limit = until_told(_run(config, folder, args.workers))
    with RunStore.read(folder) as store:
        paths = [*export.write(store, config), _write_verdicts(store)]
        _show(store, paths, as_json=args.json)
    if limit is not None:
        raise limit
    return 0


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    yield f"seeds.path={json.dumps(args.data)}"
    yield from ("budget.rounds=0", "verify.when=always", "verify.seeds=true")
    if args.checks is not None:
        yield f"verify.checks={json.dumps(_known(args.checks.split(',')))}"
    given = vars(args)
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"


def _known(names: list[str]) -> list[str]:
    for name in names:
        if name not in list(Check):
            raise ConfigError(f"--checks {name}: known checks are {', '.join(Check)}")
    return names


async def _run(config: Config, folder: Path, workers: int | None) -> BudgetReached | None:
    """Open everything and check all rows; return the limit that ended it early."""
    fresh = None if (folder / DB_NAME).exists() else read_seeds(config.seeds)
    async with AsyncExitStack() as stack:
        held = await verify.hold(config.verify, stack, workers=workers)
        opened = await _opened(config, stack)
        store = stack.enter_context(RunStore.create(folder, config))
        languages = verify.settle(store, config, held)
        if store.meta(SEEDS_META) is None:
            seeds = fresh or read_seeds(config.seeds)
            store.add_seeds(answered(seeds), waits=True)
            store.set_meta(SEEDS_META, asdict(seeds.report()))
        provenance.record_verification(store, config)
        ask = _askers(config, store, opened, stack)
        checks = verify.checks_of(config, held, languages, ask)
        verifier = Verifier(store, checks, config.verify.drop)
        in_flight = 2 * (workers or len(os.sched_getaffinity(0)) + 1)
        rows = RowVerifier(store, verifier, in_flight=in_flight)
        try:
            async with shown_text(lambda: _line(rows.progress)):
                await rows.run()
        except BudgetReached as reached:
            store.add_event("budget", str(reached))
            return reached
        return None


async def _opened(config: Config, stack: AsyncExitStack) -> dict[str, models.OpenedModels]:
    """Open the models that checks ask, by spec; none if there are no such checks."""
    by_spec: dict[str, models.OpenedModels] = {}
    if not verify.needs_model(config.verify):
        return by_spec
    for spec in (config.evolver.model, config.verify.tester):
        if spec is not None and spec not in by_spec:
            by_spec[spec] = await models.open_one(spec, config)
            stack.push_async_callback(by_spec[spec].engine.aclose)
    return by_spec


def _askers(
    config: Config,
    store: RunStore,
    by_spec: dict[str, models.OpenedModels],
    stack: AsyncExitStack,
) -> verify.VerifierModels | None:
    """Bind the models that were opened to their parts."""
    if not by_spec:
        return None
    prices = models.prices_of(config, by_spec.values())
    purse = models.ModelFactory(config, models.open_meter(config, store, prices), prices, stack)
    answers = by_spec[config.evolver.model]
    writes = by_spec[config.verify.tester or config.evolver.model]
    return verify.VerifierModels(
        models.role_of(config.responder, writes, purse),
        models.role_of(config.responder, answers, purse),
        None,
    )


def _line(progress: VerifyProgress) -> str:
    said = f"{progress.done}/{progress.total} checked"
    why = ", ".join(f"{reason} {n}" for reason, n in progress.drops.most_common(3))
    return f"{said} · dropped {progress.drops.total()} ({why})" if why else said


def _write_verdicts(store: RunStore) -> Path:
    """Write a line for every row: what was found, and what became of it."""
    path = store.folder / VERDICTS
    with atomic.open_binary(path, inside=store.folder, error=RunFolderError) as file:
        for step in steps(store):
            file.write(orjson.dumps(_told(step)) + b"\n")
    return path


def _told(step: LineageStep) -> dict[str, Any]:
    drop = step.drops[0] if step.drops else None
    return {
        "row": step.task.ordinal,
        "id": step.task.id,
        "kept": drop is None and step.response is not None,
        "reason": drop.reason.value if drop else "",
        "instruction": step.task.instruction,
        "verdicts": [
            {"check": v.check.value, "kind": v.kind, "score": v.score, "detail": v.detail}
            for v in step.verdicts
        ],
    }


def _show(store: RunStore, paths: list[Path], *, as_json: bool) -> None:
    counts = pipeline.counted(store)
    if as_json:
        found: dict[str, dict[str, int]] = {}
        for (check, kind), n in counts.items():
            found.setdefault(check, {})[kind] = n
        output.print_json({**show.summary(store, paths), "verdicts": found}, indent=2)
        return
    print(show.funnel_table(funnel(store)))
    print(f"\n{'check':<12}{'finding':<20}{'rows':>8}")
    for (check, kind), n in sorted(counts.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"{check:<12}{kind:<20}{n:>8}")
    print()
    for line in show.protection_lines(store):
        print(line)
    if note := pipeline.note_of_unjudged(store):
        print(f"note    {note}")
    for path in paths:
        print(f"written {path}")
    print(f"look    evolcoder inspect {store.folder} ID")
