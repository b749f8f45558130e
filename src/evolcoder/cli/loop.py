"""`evolcoder loop`: evolves, fine-tunes, scores on dev, decides, and reports arms with intervals.

The same command resumes an interrupted loop. With two machines, one trains and generates samples
(`--no-grade`, or the bundle that `--pack` wrote), and the other grades and decides (`--take`).
"""

import argparse
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from evolcoder.app import models, provenance, regrade
from evolcoder.app.progress import print_line, print_note, shown
from evolcoder.app.servers import ModelServers, check_servers
from evolcoder.app.steps import EvalSteps, RunSteps, TrainSteps, fill_command
from evolcoder.app.train import check_loop_training
from evolcoder.bench.prompts import template_named
from evolcoder.cli import output, train
from evolcoder.cli.eval import parse_options
from evolcoder.config import load as configs
from evolcoder.credentials import without_logins
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
from evolcoder.serving.process import log_tail
from evolcoder.storage import atomic
from evolcoder.text import natural_key
from evolcoder.training.base import TrustSettings
from evolcoder.training.recipe import Recipe

OUR_TRAINING = ("{python}", "-m", "evolcoder.cli.main", "train")
"""How a command that trains with `evolcoder train` begins."""
LEVEL_KEYS = ("run.verify.sandbox", "ask.sandbox")
"""Config keys that --sandbox sets: for answers of the run and for samples of the students."""
LOCAL_PATHS: dict[str, Any] = {"folders": True, "ask": {"data_dir"}}
"""Config keys with paths of this machine, which the results omit."""
PARTS = {
    "--pack": "only writes a bundle for another machine",
    "--regrade": "only grades the stored results again",
    "--take": "imports the samples that another machine made of a bundle",
    "--no-grade": "leaves grading for later",
    "--as-it-is": "only grades and reports what has samples",
}
"""Flag -> the part of a loop that it asks for."""
TOGETHER = {("--take", "--no-grade"), ("--take", "--as-it-is")}
"""Parts that can be done by one command."""
MAX_TOKENIZER_MB = 256
"""Maximum size of a tokenizer file."""
_WORDS_AND_PUNCTUATION = re.compile(r"\w+|[^\w\s]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("config", type=Path, help="YAML file with run, student, arms, dev, tests, stop")
    add("--out", type=Path, metavar="DIR", help="loop folder; an existing loop is resumed")
    add("--sandbox", choices=LEVELS, help="minimum sandbox isolation; fail if unavailable")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="set a config key (repeatable)")  # fmt: skip
    add("--no-grade", action="store_true",
        help="train and generate samples only; grade and decide later")  # fmt: skip
    add("--pack", type=Path, metavar="DIR",
        help="write a job bundle for another machine, then exit")  # fmt: skip
    add("--take", type=Path, metavar="DIR",
        help="import the samples that the other machine generated")  # fmt: skip
    add("--as-it-is", action="store_true",
        help="train and generate nothing; report the models that have samples")  # fmt: skip
    add("--results", type=Path, metavar="DIR",
        help="results folder (default: results in the loop folder)")  # fmt: skip
    add("--regrade", action="store_true",
        help="grade the stored results again, and report verdicts that differ")  # fmt: skip
    add("--no-figures", action="store_true", help="write tables only; needs no matplotlib")
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the loop, or a part of it."""
    levels = [f"{key}={args.sandbox}" for key in LEVEL_KEYS if args.sandbox]
    _check_parts(args)
    config = configs.load_as(LoopConfig, args.config, [*levels, *args.set])
    folder = args.out or Path("runs") / f"loop-{args.config.stem}"
    target = args.results or folder / "results"
    _pass_logins_to_steps(config)
    if args.regrade:
        return _regrade(target, config, as_json=args.json)
    tokens = _token_counter(config)
    with _writable(folder):
        notes = [] if args.pack or args.take or args.as_it_is else _check(config, folder)
    with LoopStore.create(folder) as store:
        for note in notes:
            print_note(note)
        scorer = EvalSteps(
            folder, config.ask, config.serve, parse_options, servers=config.run.servers
        )
        services = LoopServices(
            RunSteps(folder, config.serve),
            TrainSteps(folder, config),
            ModelServers(folder, config.serve),
            scorer,
        )
        loop = Loop(store, config, services, tokens=tokens, say=_print_progress)
        if args.pack:
            return _write_bundle(loop, config, scorer, args.pack)
        if args.take:
            _import_samples(loop, config, scorer, args.take)
            remote_bundle.store_trainings(store, args.take)
        with shown(partial(_newest_line, folder / "log")):
            outcome = loop.run(grade=not args.no_grade, make=not args.as_it_is)
        if args.no_grade:
            print(
                f"{len(outcome.trainings)} models have samples; "
                "to grade them, run the same command without --no-grade"
            )
            return _end(outcome)
        if not outcome.trainings:
            _end(outcome)
            raise StepFailed(f"{folder}: nothing to report: no model has samples yet")
        _write_results(target, config, loop, store, outcome)
        steps = store.steps()
    paths = results.write_tables(target, figures=not args.no_figures)
    _print_report(target, outcome, paths, steps, as_json=args.json)
    return _end(outcome)


def _end(outcome: LoopOutcome) -> int:
    """Return the exit code; StepFailed, after everything is reported, if a training failed."""
    if outcome.failed:
        which = "1 model is" if len(outcome.failed) == 1 else f"{len(outcome.failed)} models are"
        raise StepFailed(
            f"{which} missing, since the training failed; the same command tries again: "
            f"{'; '.join(outcome.failed)}"
        )
    return 0


def _check_parts(args: argparse.Namespace) -> None:
    """Raise ConfigError for flags that ask for different parts of a loop at once."""
    given = [flag for flag in PARTS if getattr(args, flag.removeprefix("--").replace("-", "_"))]
    for first, second in combinations(given, 2):
        if (first, second) not in TOGETHER:
            raise ConfigError(
                f"{first} and {second}: {first} {PARTS[first]}, {second} {PARTS[second]}; "
                "give one of them"
            )


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Raise UserError first if a folder cannot be made; leave none behind on an error within."""
    is_new = not folder.exists()
    atomic.make_folder(folder)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # it holds something
                folder.rmdir()
        raise


def _check(config: LoopConfig, folder: Path) -> list[str]:
    """Raise an error for what would stop the loop after hours: servers, student, packages, disk.

    Return notes on what is not as asked for, or may not suffice.
    """
    notes = [check_servers(config.serve)]
    words = list(config.train.command)
    if words[: len(OUR_TRAINING)] == list(OUR_TRAINING):
        trainings = [_training(config, folder, seed) for seed in config.train.seeds]
        given, recipe = trainings[0]
        trust = TrustSettings(
            pickled_weights=given.allow_pickled_weights, remote_code=given.allow_remote_code
        )
        note = check_loop_training(config, folder, recipe=recipe, n_gpus=given.gpus, trust=trust)
        notes.append(note)
    elif shutil.which(program := fill_command(words[:1])[0]) is None:
        raise ConfigError(f"train.command: there is no program {program}")
    return list(filter(None, notes))


def _training(config: LoopConfig, folder: Path, seed: int) -> tuple[argparse.Namespace, Recipe]:
    """Return the options and the recipe of a training with a seed; raises ConfigError."""
    options = fill_command(
        [*config.train.command[len(OUR_TRAINING) :], *config.train.options],
        data="rows.jsonl", base=config.student.path, out=folder / "model",
        seed=seed, epochs=config.train.epochs, batch=config.train.batch,
    )  # fmt: skip
    given = train.parse_options(options)
    return given, train.recipe_from(given)


def _newest_line(log: Path) -> str:
    """Return the step whose log was written last, and the log's last line."""
    with suppress(OSError):
        newest = max(log.glob("*.txt"), key=lambda path: path.stat().st_mtime, default=None)
        if newest is not None:
            kind, _, name = newest.stem.partition("-")
            return f"{kind} {name[:12]}: {log_tail(newest).removeprefix('evolcoder: ')}"
    return "starting"


def _pass_logins_to_steps(config: LoopConfig) -> None:
    """Pass logins of model URLs to the steps in the environment, not in files or arguments."""
    specs = [*models.model_specs(config.run), fill(config.serve.spec, port=config.serve.port)]
    for name in config.runs:
        specs += models.model_specs(variant(config, name))
    redact.register_secrets(KeyRing(config.run.servers, specs=specs).secrets())
    if found := logins_as_json(specs):
        os.environ[LOGINS] = found


def _print_progress(line: str) -> None:
    print_line(line)


def _token_counter(config: LoopConfig) -> Callable[[Row], int]:
    """Return a counter of answer tokens: the student's tokenizer, or else words and punctuation."""
    path = config.student.tokenizer
    if path is None:
        return lambda row: len(_WORDS_AND_PUNCTUATION.findall(row.response.text))
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - optional and heavy
    except ImportError as error:
        raise ConfigError(
            "student.tokenizer: needs tokenizers, which is not installed; "
            "run `pip install tokenizers`, or omit the key to count words"
        ) from error
    try:
        data = read_bytes(Path(path), max_mb=MAX_TOKENIZER_MB, error=ConfigError)
        tokenizer = Tokenizer.from_buffer(data)
    except Exception as error:  # tokenizers raises plain Exception
        raise ConfigError(
            f"student.tokenizer: {path} cannot be read: {error}; "
            f"name a tokenizer.json, or omit the key to count words"
        ) from error
    return lambda row: len(tokenizer.encode(row.response.text).ids)


def _write_bundle(loop: Loop, config: LoopConfig, scorer: EvalSteps, folder: Path) -> int:
    planned, skipped = loop.plan(config.run.budget.rounds)
    asked = {name: (scorer.bench(name), scorer.select_problems(name)) for name in loop.benches}
    prompts = remote_bundle.prompts(asked, template_named(config.ask.template))
    settings = _without_secrets(config.model_dump(mode="json", include={"student", "train", "ask"}))
    for path in remote_bundle.pack(folder, planned, prompts, settings):
        print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")
    n_keys = len({training.key for training, _ in planned})
    missing = f"; rounds missing for {', '.join(skipped)}" if skipped else ""
    print(f"{n_keys} models to train{missing}")
    return 0


def _import_samples(loop: Loop, config: LoopConfig, scorer: EvalSteps, folder: Path) -> None:
    """Add samples from another machine to the evaluations of this loop."""
    planned, _ = loop.plan(config.run.budget.rounds, make=False)
    known = {training.key: training for training, _ in planned}
    files = remote_bundle.sample_files(folder)
    unknown = sorted(files.keys() - known)
    if unknown or not files:
        what = f"no model of this config has {unknown[0]}.jsonl.gz" if files else "no samples"
        raise ConfigError(f"--take {folder}: {what}; use the config that --pack was run with")
    for key, path in files.items():
        spec = fill(config.serve.spec, model=key, name=key, port=config.serve.port)
        scorer.import_samples(
            loop.evaluation_folder(known[key]), spec, loop.benches, remote_bundle.read_samples(path)
        )
    _print_progress(f"imported the samples of {len(files)} of {len(known)} models")


def _write_results(
    target: Path, config: LoopConfig, loop: Loop, store: LoopStore, outcome: LoopOutcome
) -> None:
    """Write what cannot be recomputed to the results, without paths of this machine."""
    facts: dict[str, Any] = {
        "config": _without_secrets(config.model_dump(mode="json", exclude=LOCAL_PATHS)),
        "decision": asdict(outcome.decision) if outcome.decision else None,
        "n_dev": outcome.n_dev,
        "skipped": [*outcome.skipped, *outcome.failed],
        "trainings": [asdict(one) for one in outcome.trainings],
        "steps": [asdict(step) for step in store.steps()],
        "versions": provenance.versions(),
    }
    folders = {one.key: loop.evaluation_folder(one) for one in outcome.trainings}
    samples = {bench: list(regrade.stored_samples(folders, bench)) for bench in loop.benches}
    results.write(target, facts, samples)


def _without_secrets(config: dict[str, Any]) -> Any:  # noqa: ANN401 - plain data
    """Mask secrets in a config that leaves this machine; a custom command may contain one."""
    return json.loads(redact.masked(without_logins(json.dumps(config))))


def _print_report(
    target: Path, outcome: LoopOutcome, paths: list[Path], steps: list[StoredStep], *, as_json: bool
) -> None:
    decision = outcome.decision
    if as_json:
        plain = {
            "results": str(target), "decision": asdict(decision) if decision else None,
            "steps": [asdict(step) for step in steps],
        }  # fmt: skip
        output.print_json(plain, indent=1)
        return
    if decision:
        for one in decision.judgements:
            print(f"dev, {outcome.n_dev} problems: {one.reason}")
        ended = "ended" if decision.stop else "did not end"
        print(f"Evol Stop {ended} evolution: the best round is {decision.best}\n")
    print((target / "tables.md").read_text(encoding="utf-8"))
    print(f"Steps of all sessions:\n\n{timings.table(steps)}\n")
    for arm in outcome.skipped:
        print(f"skipped: {arm}")
    for path in paths:
        print(f"wrote {path}")


def _regrade(folder: Path, config: LoopConfig, *, as_json: bool) -> int:
    """Grade all results again and report verdicts that differ; exit code 1 if any does."""
    plain: dict[str, object] = {}
    n_differing = 0
    for bench in results.benches(folder):
        before, after = (
            list(results.samples(folder, bench)),
            regrade.regrade_samples(folder, bench, config, parse_options),
        )
        pairs = zip(before, after, strict=True)
        differing = [
            old.problem
            for old, new in pairs
            if regrade.table_outcome(old) != regrade.table_outcome(new)
        ]
        n_differing += len(differing)
        plain[bench] = {"samples": len(before), "differing": differing}
        if not as_json:
            named = f": {', '.join(sorted(set(differing), key=natural_key))}" if differing else ""
            print(f"{bench:<18}{len(before):>7} samples, {len(differing)} verdicts differ{named}")
    if as_json:
        output.print_json(plain, indent=1)
    return 1 if n_differing else 0
