"""`evolcoder inspect`: a run's funnel, or everything that is known about one record."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolcoder.cli import harder, output, show
from evolcoder.errors import UserError
from evolcoder.records import RowVerdict
from evolcoder.storage.lineage import Step, lineage
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import funnel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("id", nargs="?", help="a task's or response's id, or its first letters")
    parser.add_argument("--drops", action="store_true", help="list every drop")
    parser.add_argument(
        "--harder",
        action="store_true",
        help="compare children with parents, by heuristic and round",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    with RunStore.read(args.run) as store:
        if args.id:
            _show_lineage(store, args.id, as_json=args.json)
        elif args.harder:
            harder.show(store, as_json=args.json)
        elif args.drops:
            _show_drops(store, as_json=args.json)
        elif args.json:
            output.print_json(show.summary(store), indent=2)
        else:
            print(show.funnel_table(funnel(store)))
    return 0


def _show_drops(store: RunStore, *, as_json: bool) -> None:
    for drop in store.drops():
        if as_json:
            output.print_json(asdict(drop))
        else:
            where = f"round {drop.round} {drop.stage}: {drop.reason} ({drop.heuristic or 'seed'})"
            print(f"{where}\n  found  {drop.detail}\n  seen   {drop.seen!r}")


def _show_lineage(store: RunStore, id: str, *, as_json: bool) -> None:
    steps = lineage(store, id)
    if not steps:
        raise UserError(f"{store.folder}: no record has an id that begins with {id!r}")
    if as_json:
        output.print_json([asdict(step) for step in steps], indent=2)
        return
    for step in steps:
        print(_text(step))


def _text(step: Step) -> str:
    task, answer = step.task, step.response
    by = f", {task.heuristic} by {task.made.model}" if task.made else ""
    parts = [f"== round {task.round}{by}  [{task.id}]", task.instruction]
    if answer is not None:
        who = f"answer by {answer.made.model}" if answer.made else "answer that came with the seed"
        parts += [f"-- {who}  [{answer.id}]", answer.text]
    parts += [_verdict_text(verdict) for verdict in step.verdicts]
    parts += [_drop_text(asdict(drop)) for drop in step.drops]
    return "\n".join(parts) + "\n"


def _verdict_text(verdict: RowVerdict) -> str:
    score = "" if verdict.score is None else f" {verdict.score:.2f}"
    detail = ", ".join(f"{name} {value}" for name, value in verdict.detail.items())
    return f"-- {verdict.check}: {verdict.kind}{score}{f' ({detail})' if detail else ''}"


def _drop_text(drop: dict[str, Any]) -> str:
    return (
        f"-- dropped in round {drop['round']}, {drop['stage']}: {drop['reason']}: {drop['detail']}"
    )
