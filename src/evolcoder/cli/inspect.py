"""`evolcoder inspect`: shows the funnel of a run, its drops, or the lineage of one record.

`evolcoder inspect RUN --harder` compares children with their parents, by heuristic and round.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolcoder.cli import output, show
from evolcoder.errors import UserError
from evolcoder.records import Check, CheckResult, Row, Usage
from evolcoder.storage.run_store import LineageStep, RunStore, lineage
from evolcoder.storage.stats import funnel
from evolcoder.verification.metrics import (
    ChildAndParent,
    ComparisonRow,
    compare_with_parents,
    n_tokens,
    python_program,
    row_metrics,
)

HEAD = f"{'measure':<14}{'heuristic':<14}{'round':>5}{'pairs':>7}{'parent':>9}{'child':>9}"
HEAD += f"{'change':>9}{'95 %':>20}{'higher':>8}"


def show_harder(store: RunStore, *, as_json: bool) -> None:
    """Print a table of children and parents by metric: computed now, or stored by verification."""
    lines = compare_with_parents(_pairs(store))
    if as_json:
        output.print_json([asdict(line) for line in lines], indent=1)
        return
    if not lines:
        print("nothing to compare: no evolved row was kept")
        return
    print(HEAD)
    for line in lines:
        print(_comparison_text(line))


def _pairs(store: RunStore) -> Iterator[ChildAndParent]:
    """Pair every evolved row with the row of its parent task."""
    measured: dict[str, dict[str, float]] = {}
    for row in store.rows():
        task = row.task
        measured[task.id] = measures_of(row)
        if task.heuristic is not None:
            parent = measured.get(task.parent or "")
            if parent is None:
                # The parent has no row; only the length of its task is known.
                parent = {"task_tokens": float(n_tokens(row.parent_instruction or ""))}
            yield ChildAndParent(task.heuristic, task.round, parent, measured[task.id])


def measures_of(row: Row) -> dict[str, float]:
    """Return the metrics of a row: computed from its text, and measured by its checks."""
    metrics = row_metrics(row.task, row.response, program=python_program(row.response.text))
    found = metrics.numbers()
    for verdict in row.verdicts:
        constraints = verdict.detail.get("constraints")
        if verdict.check is Check.SHAPE and isinstance(constraints, int | float):
            found["constraints"] = float(constraints)
        if verdict.check is Check.DIFFICULTY and verdict.score is not None:
            found["pass_rate"] = verdict.score
    return found


def _comparison_text(line: ComparisonRow) -> str:
    interval = f"{line.low:+.2f} to {line.high:+.2f}"
    return (
        f"{line.measure:<14}{line.heuristic[:13]:<14}{line.round or 'all':>5}{line.n:>7}"
        f"{line.parent:>9.2f}{line.child:>9.2f}{line.difference:>+9.2f}{interval:>20}"
        f"{line.share_higher:>8.0%}"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("id", nargs="?", help="id of a task or response, or a prefix of it")
    parser.add_argument("--drops", action="store_true", help="list all drops")
    parser.add_argument(
        "--harder",
        action="store_true",
        help="compare children with parents, by heuristic and round",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print one view of a run."""
    with RunStore.read(args.run) as store:
        if args.id:
            _show_lineage(store, args.id, as_json=args.json)
        elif args.harder:
            show_harder(store, as_json=args.json)
        elif args.drops:
            _show_drops(store, as_json=args.json)
        elif args.json:
            output.print_json(show.summary(store), indent=2)
        else:
            print(show.funnel_table(funnel(store)))
            for line in (*show.style_lines(store), *show.billing_lines(store)):
                print(line)
    return 0


def _show_drops(store: RunStore, *, as_json: bool) -> None:
    for drop in store.drops():
        if as_json:
            output.print_json(asdict(drop))
        else:
            where = f"round {drop.round} {drop.stage}: {drop.reason} ({drop.heuristic or 'seed'})"
            print(f"{where}\n  detail  {drop.detail}\n  text    {drop.seen!r}")


def _show_lineage(store: RunStore, id: str, *, as_json: bool) -> None:
    steps = lineage(store, id)
    if not steps:
        raise UserError(f"{store.folder}: no record has an id that starts with {id!r}")
    if as_json:
        output.print_json([asdict(step) for step in steps], indent=2)
        return
    for step in steps:
        print(_step_text(step))


def _step_text(step: LineageStep) -> str:
    task, answer = step.task, step.response
    by = f", {task.heuristic} by {_maker(task.made)}" if task.made else ""
    parts = [f"== round {task.round}{by}  [{task.id}]", task.instruction]
    if answer is not None:
        who = f"answer by {_maker(answer.made)}" if answer.made else "answer from the seed data"
        parts += [f"-- {who}  [{answer.id}]", answer.text]
    parts += [_verdict_text(verdict) for verdict in step.verdicts]
    parts += [_drop_text(asdict(drop)) for drop in step.drops]
    return "\n".join(parts) + "\n"


def _maker(made: Usage) -> str:
    """Name the model that was asked for, and the one that answered under another name."""
    other = made.answered and made.answered != made.asked
    return f"{made.model} (answered: {made.answered})" if other else made.model


def _verdict_text(verdict: CheckResult) -> str:
    score = "" if verdict.score is None else f" {verdict.score:.2f}"
    detail = ", ".join(f"{name} {value}" for name, value in verdict.detail.items())
    return f"-- {verdict.check}: {verdict.kind}{score}{f' ({detail})' if detail else ''}"


def _drop_text(drop: dict[str, Any]) -> str:
    return (
        f"-- dropped in round {drop['round']}, {drop['stage']}: {drop['reason']}: {drop['detail']}"
    )
