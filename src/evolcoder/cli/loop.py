"""`evolcoder loop`: evolve, fine-tune, score on dev, decide, and report every arm with intervals.

The same command goes on wherever it was ended. Where there are two machines, one trains and asks
(`--no-grade`, or what `--pack` wrote) and the other grades and decides.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolcoder.app import models as session
from evolcoder.app import provenance, regrade
from evolcoder.app.servers import ModelServers
from evolcoder.app.steps import EvalSteps, RunSteps, TrainSteps
from evolcoder.bench.prompts import template_named
from evolcoder.cli import output
from evolcoder.cli.eval import parsed
from evolcoder.config import load as configs
from evolcoder.engine import redact
from evolcoder.engine.endpoint import LOGINS, KeyRing, logins_as_json
from evolcoder.errors import ConfigError, StepFailed
from evolcoder.experiment import remote_bundle, results, timings
from evolcoder.experiment.config import LoopConfig, fill, variant
from evolcoder.experiment.interfaces import LoopServices
from evolcoder.experiment.runner import Loop, LoopOutcome
from evolcoder.experiment.store import LoopStore, StoredStep
from evolcoder.input_files import read_bytes
from evolcoder.records import Row
from evolcoder.sandbox.pool import LEVELS
from evolcoder.text import without_logins

LEVEL_KEYS = ("run.verify.sandbox", "ask.sandbox")
"""Keys that --sandbox sets: where answers of the run and of the students are run."""
PLACES: dict[str, Any] = {"folders": True, "ask": {"data_dir"}}
"""Keys that say where things lie, which nobody else can use."""
MOST_TOKENIZER_MB = 256
"""Largest tokenizer file."""
_PIECES = re.compile(r"\w+|[^\w\s]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("config", type=Path, help="a YAML file: run, student, arms, dev, tests, stop")
    add("--out", type=Path, metavar="DIR", help="the loop's folder; an existing one goes on")
    add("--sandbox", choices=LEVELS, help="least protection under which programs are run")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key")
    add("--no-grade", action="store_true", help="train and ask only; grade and decide later")
    add("--pack", type=Path, metavar="DIR", help="write what another machine needs, and stop")
    add("--take", type=Path, metavar="DIR", help="take in the samples that it brought back")
    add("--as-it-is", action="store_true", help="make nothing: report the models that were asked")
    add("--results", type=Path, metavar="DIR", help="where results go (results in the folder)")
    add("--regrade", action="store_true", help="grade stored results again, and say what differs")
    add("--no-figures", action="store_true", help="write tables only; no matplotlib is needed")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Go through the loop, or through a part of it."""
    levels = [f"{key}={args.sandbox}" for key in LEVEL_KEYS if args.sandbox]
    config = configs.load_as(LoopConfig, args.config, [*levels, *args.set])
    folder = args.out or Path("runs") / f"loop-{args.config.stem}"
    target = args.results or folder / "results"
    _hand_logins_on(config)
    if args.regrade:
        return _regrade(target, config, as_json=args.json)
    tokens = _tokens(config)
    with LoopStore.create(folder) as store:
        scorer = EvalSteps(folder, config.ask, config.serve, parsed, servers=config.run.servers)
        parts = LoopServices(
            RunSteps(folder, config.serve),
            TrainSteps(folder, config),
            ModelServers(folder, config.serve),
            scorer,
        )
        loop = Loop(store, config, parts, tokens=tokens, say=_say)
        if args.pack:
            return _pack(loop, config, scorer, args.pack)
        if args.take:
            _take(loop, config, scorer, args.take)
            remote_bundle.store_trainings(store, args.take)
        outcome = loop.run(grade=not args.no_grade, make=not args.as_it_is)
        if args.no_grade:
            print(
                f"asked {len(outcome.trainings)} models; the same command without --no-grade grades"
            )
            return 0
        if not outcome.trainings:
            raise StepFailed(f"{folder}: no model was asked yet, so there is nothing to report")
        _keep(target, config, loop, store, outcome)
        steps = store.steps()
    paths = results.write_tables(target, figures=not args.no_figures)
    _show(target, outcome, paths, steps, as_json=args.json)
    return 0


def _hand_logins_on(config: LoopConfig) -> None:
    """Give the steps what URLs hold of logins, which no file and no command line of theirs does."""
    specs = [*session.model_specs(config.run), fill(config.serve.spec, port=config.serve.port)]
    for name in config.runs:
        specs += session.model_specs(variant(config, name))
    redact.register_secrets(KeyRing(config.run.servers, specs=specs).secrets())
    if found := logins_as_json(specs):
        os.environ[LOGINS] = found


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # in one piece, since threads say things too
    sys.stderr.flush()


def _tokens(config: LoopConfig) -> Callable[[Row], int]:
    """Count an answer's tokens by the student's tokenizer, or its words and signs."""
    path = config.student.tokenizer
    if path is None:
        return lambda row: len(_PIECES.findall(row.response.text))
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - heavy, and only some need it
    except ImportError as error:
        raise ConfigError(
            "student.tokenizer: needs tokenizers, which is not installed; "
            "run: pip install tokenizers, or leave the key out to count words"
        ) from error
    try:
        data = read_bytes(Path(path), max_mb=MOST_TOKENIZER_MB, error=ConfigError)
        tokenizer = Tokenizer.from_buffer(data)
    except Exception as error:  # the package raises nothing narrower
        raise ConfigError(
            f"student.tokenizer: {path} cannot be read: {error}; "
            f"name a tokenizer.json, or leave the key out to count words"
        ) from error
    return lambda row: len(tokenizer.encode(row.response.text).ids)


def _pack(loop: Loop, config: LoopConfig, scorer: EvalSteps, folder: Path) -> int:
    planned, skipped = loop.plan(config.run.budget.rounds)
    asked = {name: (scorer.bench(name), scorer.select_problems(name)) for name in loop.benches}
    said = remote_bundle.prompts(asked, template_named(config.ask.template))
    how = _without_keys(config.model_dump(mode="json", include={"student", "train", "ask"}))
    for path in remote_bundle.pack(folder, planned, said, how):
        print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")
    n_keys = len({training.key for training, _ in planned})
    print(f"{n_keys} models to make" + (f"; no rounds for {', '.join(skipped)}" if skipped else ""))
    return 0


def _take(loop: Loop, config: LoopConfig, scorer: EvalSteps, folder: Path) -> None:
    """Put samples that were made elsewhere where this loop looks for them."""
    planned, _ = loop.plan(config.run.budget.rounds, make=False)
    known = {training.key: training for training, _ in planned}
    files = remote_bundle.sample_files(folder)
    strangers = sorted(files.keys() - known)
    if strangers or not files:
        what = f"{strangers[0]}.jsonl.gz is of no model of this config" if files else "no samples"
        raise ConfigError(f"--take {folder}: {what}; was it packed with the same one?")
    for key, path in files.items():
        spec = fill(config.serve.spec, model=key, name=key, port=config.serve.port)
        scorer.import_samples(
            loop.evaluation_folder(known[key]), spec, loop.benches, remote_bundle.read_samples(path)
        )
    _say(f"took in the samples of {len(files)} models of {len(known)}")


def _keep(
    target: Path, config: LoopConfig, loop: Loop, store: LoopStore, outcome: LoopOutcome
) -> None:
    """Write what cannot be computed again into the results, and no place on this machine."""
    facts: dict[str, Any] = {
        "config": _without_keys(config.model_dump(mode="json", exclude=PLACES)),
        "decision": asdict(outcome.decision) if outcome.decision else None,
        "n_dev": outcome.n_dev,
        "skipped": list(outcome.skipped),
        "trainings": [asdict(one) for one in outcome.trainings],
        "steps": [asdict(step) for step in store.steps()],
        "versions": provenance.versions(),
    }
    models = {one.key: loop.evaluation_folder(one) for one in outcome.trainings}
    samples = {bench: list(regrade.stored_samples(models, bench)) for bench in loop.benches}
    results.write(target, facts, samples)


def _without_keys(config: dict[str, Any]) -> Any:  # noqa: ANN401 - plain data
    """Take keys out of what leaves this machine; a command of the user's may hold one."""
    return json.loads(redact.masked(without_logins(json.dumps(config))))


def _show(
    target: Path, outcome: LoopOutcome, paths: list[Path], steps: list[StoredStep], *, as_json: bool
) -> None:
    decision = outcome.decision
    if as_json:
        told = {
            "results": str(target), "decision": asdict(decision) if decision else None,
            "steps": [asdict(step) for step in steps],
        }  # fmt: skip
        output.print_json(told, indent=1)
        return
    if decision:
        for one in decision.judgements:
            print(f"dev, {outcome.n_dev} problems: {one.reason}")
        print(f"Evol Stop {'ended evolution' if decision.stop else 'found no end'}: the best "
              f"is round {decision.best}\n")  # fmt: skip
    print((target / "tables.md").read_text(encoding="utf-8"))
    print(f"Steps, over all sessions:\n\n{timings.table(steps)}\n")
    for arm in outcome.skipped:
        print(f"not made: {arm}")
    for path in paths:
        print(f"wrote {path}")


def _regrade(folder: Path, config: LoopConfig, *, as_json: bool) -> int:
    """Grade all results again and say which verdicts are other ones; exit code 1 if any is."""
    told: dict[str, object] = {}
    n_differing = 0
    for bench in results.benches(folder):
        before, after = (
            list(results.samples(folder, bench)),
            regrade.regrade_samples(folder, bench, config, parsed),
        )
        pairs = zip(before, after, strict=True)
        differing = [
            old.problem
            for old, new in pairs
            if regrade.table_outcome(old) != regrade.table_outcome(new)
        ]
        n_differing += len(differing)
        told[bench] = {"samples": len(before), "differing": differing}
        if not as_json:
            named = f": {', '.join(sorted(set(differing)))}" if differing else ""
            print(f"{bench:<18}{len(before):>7} samples, {len(differing)} verdicts differ{named}")
    if as_json:
        output.print_json(told, indent=1)
    return 1 if n_differing else 0
