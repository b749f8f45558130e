"""`evolcoder verify`: checks every row of a data set or of a run; writes the verdicts.

The result for a data set is a run folder: the same command resumes an interrupted verification,
`inspect` shows a row with its verdicts, and `export` writes the kept rows in any format. A run is
verified in its own folder, which has the kept rows and the verdicts then.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

from evolcoder.app import export, models, verify
from evolcoder.app.evolve import default_folder
from evolcoder.app.progress import print_note
from evolcoder.cli import output, show, usage
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.cli.layout import labelled, print_folded
from evolcoder.config import load as configs
from evolcoder.config.load import Config
from evolcoder.errors import BudgetReached, ConfigError
from evolcoder.records import Check
from evolcoder.sandbox.pool import LEVELS
from evolcoder.seeds.rows import COLUMNS_HELP, columns_from
from evolcoder.storage.run_store import CONFIG_NAME, DB_NAME, RunStore
from evolcoder.storage.stats import funnel
from evolcoder.terminal import shell_path
from evolcoder.verification import pipeline
from evolcoder.visible import visible

FLAGS = {
    "sandbox": "verify.sandbox",
    "cluster": "cluster.address",
    "model": "evolver.model",
    "tester": "verify.tester",
    "seed": "seed",
    "cache": "cache",
    "batch": "traffic.batch",
    "max_usd": "budget.max_usd",
    "max_tokens_paid": "budget.max_tokens",
}
"""Flag -> the config key that it sets."""
RUN_KEYS = frozenset({"verify.checks", *FLAGS.values()})
"""Keys that flags may set when a run is verified."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("data", help="data set (a file in any seed format, a folder or a Hub id), or a run folder")
    add("--columns", action="append", metavar="NAME=COLUMN,...", help=COLUMNS_HELP)
    add("--out", type=Path, metavar="DIR",
        help="result folder; an existing verification is resumed")  # fmt: skip
    add("--checks", metavar="NAME,...", help=f"checks to run: {', '.join(Check)} (default: runs)")
    add("--model", metavar="SPEC", help=f"model that writes tests: {models.SPEC_FORMS}")
    add("--tester", metavar="SPEC",
        help="model that writes tests, and inputs for `bound` (default: as --model)")  # fmt: skip
    add("--config", type=Path, metavar="FILE",
        help="YAML config file, with the same keys as for a run")  # fmt: skip
    add("--batch", action="store_const", const=True,
        help="send prompts through the provider's batch endpoint, at half price")  # fmt: skip
    add("--sandbox", choices=LEVELS,
        help="minimum sandbox isolation; fail if unavailable (default: strict)")  # fmt: skip
    usage.add_workers(add, " (default: cores + 1)")
    usage.add_cluster(add)
    add("--max-usd", type=float, metavar="X", help="budget in USD, by the price table")
    usage.add_paid_tokens(add)
    add("--seed", type=int, metavar="N", help="random seed")
    add("--cache", metavar="FILE", help="completion cache, shared between runs")
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="set a config key (repeatable)")  # fmt: skip
    add("--retry-rejected", action="store_true",
        help="check rows again whose checks a model server rejected or failed at, at which the "
        "sandbox or a check failed, or that lacked the tools of a language")  # fmt: skip
    add("--json", action="store_true", help="print the result as JSON")


def main(args: argparse.Namespace) -> int:
    """Verify a data set or a run, or resume its verification."""
    begun = time.monotonic()
    if (Path(args.data) / DB_NAME).exists():
        return _verify_run(args, Path(args.data), begun)
    config = configs.load(args.config, [*_from_flags(args), *args.set])
    if verify.needs_model(config.verify) and not (args.model or args.config):
        checks = ", ".join(sorted(verify.MODEL_CHECKS & set(config.verify.checks)))
        raise ConfigError(f"--checks {checks}: needs a model; name it with --model")
    folder = args.out or default_folder(config, "verified-")
    limit = run_cancellable(
        verify.verify_rows(
            config,
            folder,
            workers=args.workers,
            retry_rejected=args.retry_rejected,
            has_named_model=args.model is not None,
        )
    )
    return _report(config, folder, limit, begun=begun, as_json=args.json)


def _verify_run(args: argparse.Namespace, folder: Path, begun: float) -> int:
    """Verify the rows that a run kept, in its folder."""
    for flag, given in (
        ("--out", args.out),
        ("--config", args.config),
        ("--columns", args.columns),
    ):
        if given is not None:
            raise ConfigError(f"{flag}: not for runs, which are verified in their own folder")
    own = configs.load(folder / CONFIG_NAME)
    flags = [one for one in _from_flags(args) if one.partition("=")[0] in RUN_KEYS]
    if args.checks is None:
        flags.append(f"verify.checks={json.dumps([*own.verify.checks] or ['runs'])}")
    # Where a run was made is no property of its rows: that cluster may be gone.
    config = configs.load(folder / CONFIG_NAME, ["cluster.address=null", *flags, *args.set])
    limit = run_cancellable(
        verify.verify_run(
            config,
            folder,
            workers=args.workers,
            retry_rejected=args.retry_rejected,
            has_named_model=args.model is not None,
        )
    )
    return _report(config, folder, limit, begun=begun, as_json=args.json)


def _report(
    config: Config, folder: Path, limit: BudgetReached | None, *, begun: float, as_json: bool
) -> int:
    """Write exports and verdicts, print the result, and return the exit code."""
    with RunStore.read(folder) as store:
        written = export.write(store, config)
        paths = [*(one.path for one in written), verify.write_verdicts(store)]
        for note in export.notes(store, config, written):
            print_note(note)
        _show(store, paths, config, begun=begun, as_json=as_json)
        if note := pipeline.unasked_note(store):
            print_note(note)
        # A data set whose every answer is wrong was verified; one without an answer was not.
        has_checked_none = show.print_why_empty(store) and not pipeline.count_findings(store)
        is_unasked = pipeline.has_unasked_check(store)
    if limit is not None:
        raise limit
    return 1 if has_checked_none or is_unasked else 0


def _from_flags(args: argparse.Namespace) -> Iterator[str]:
    yield f"seeds.path={json.dumps(args.data)}"
    yield from ("budget.rounds=0", "verify.when=always", "verify.seeds=true")
    if args.checks is not None:
        yield f"verify.checks={json.dumps(_known_checks(args.checks.split(',')))}"
    elif args.config is None:
        yield "verify.checks=[runs]"  # a data set does not say which code of a task is bait
    if args.columns:
        yield f"seeds.columns={json.dumps(columns_from(args.columns))}"
    given = {**vars(args), "max_tokens_paid": usage.paid_tokens(args)}
    for flag, key in FLAGS.items():
        if given[flag] is not None:
            yield f"{key}={json.dumps(given[flag])}"


def _known_checks(names: list[str]) -> list[str]:
    for name in names:
        if name not in list(Check):
            raise ConfigError(
                f"--checks {name}: unknown check; known checks are {', '.join(Check)}"
            )
    return names


def _show(
    store: RunStore, paths: list[Path], config: Config, *, begun: float, as_json: bool
) -> None:
    counts = pipeline.count_findings(store)
    if as_json:
        found: dict[str, dict[str, int]] = {}
        for (check, kind), n in counts.items():
            found.setdefault(check, {})[kind] = n
        reasons: dict[str, dict[str, dict[str, int]]] = {}
        for (check, kind, why), n in pipeline.count_reasons(store).items():
            reasons.setdefault(check, {}).setdefault(kind, {})[why] = n
        share = pipeline.bound_share(store)
        bounds = {"judged": share[0], "asked": share[1]} if share else None
        seconds = round(time.monotonic() - begun, 1)
        result = {"verdicts": found, "reasons": reasons, "bounds": bounds, "seconds": seconds}
        output.print_json({**show.summary(store, paths), **result}, indent=2)
        return
    print(show.funnel_table(funnel(store)))
    print(f"\n{'check':<12}{'finding':<20}{'rows':>8}")
    for (check, kind), n in sorted(counts.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"{check:<12}{kind:<20}{n:>8}")
        whys = pipeline.count_reasons(store).items()
        for why, n_why in [(key[2], m) for key, m in whys if key[:2] == (check, kind)]:
            print(f"{'':<12}  {visible(why):<18}{n_why:>8}")
    if share := pipeline.bound_share(store):
        print(f"\n{share[0]} of {share[1]} rows that ask for a bound have a verdict on it")
    print()
    lines = (*show.billing_lines(store, config), *show.sandbox_lines(store))
    for line in (*lines, show.time_line(begun)):
        print_folded(line)
    if note := pipeline.unjudged_note(store):
        print_folded(labelled("note", note))
    for path in paths:
        print(labelled("wrote", str(path)))
    print(labelled("next", f"evolcoder inspect {shell_path(store.folder)} ID"))
