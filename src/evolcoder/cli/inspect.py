"""`evolcoder inspect`: a run's funnel, or everything that is known about one record.

`evolcoder inspect RUN --harder`: children beside their parents, by heuristic and round.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolcoder.cli import output, show
from evolcoder.errors import UserError
from evolcoder.records import Check, CheckResult, Row
from evolcoder.storage.run_store import LineageStep, RunStore, lineage
from evolcoder.storage.stats import funnel
from evolcoder.verification.compare import ChildAndParent, ComparisonRow, harder
from evolcoder.verification.metrics import n_tokens, python_program, shape_of

HEAD = f"{'measure':<14}{'heuristic':<14}{'round':>5}{'pairs':>7}{'parent':>9}{'child':>9}"
HEAD += f"{'change':>9}{'95 %':>20}{'higher':>8}"


def show_harder(store: RunStore, *, as_json: bool) -> None:
    """Print the table of what is counted now and of what verification measured."""
    lines = harder(_pairs(store))
    if as_json:
        output.print_json([asdict(line) for line in lines], indent=1)
        return
    if not lines:
        print("no evolved row was kept, so there is nothing to compare")
        return
    print(HEAD)
    for line in lines:
        print(_compared_text(line))


def _pairs(store: RunStore) -> Iterator[ChildAndParent]:
    """Pair every kept row with the row of the task that it was evolved from."""
    measured: dict[str, dict[str, float]] = {}
    for row in store.rows():
        task = row.task
        measured[task.id] = measures_of(row)
        if task.heuristic is not None:
            parent = measured.get(task.parent or "")
            if parent is None:
                # Its answer is no row; the length of the task is known all the same.
                parent = {"task_tokens": float(n_tokens(row.parent_instruction or ""))}
            yield ChildAndParent(task.heuristic, task.round, parent, measured[task.id])


def measures_of(row: Row) -> dict[str, float]:
    """Return all that can be compared of a row: what is counted, and what checks measured."""
    shape = shape_of(row.task, row.response, program=python_program(row.response.text))
    found = shape.numbers()
    for verdict in row.verdicts:
        constraints = verdict.detail.get("constraints")
        if verdict.check is Check.SHAPE and isinstance(constraints, int | float):
            found["constraints"] = float(constraints)
        if verdict.check is Check.DIFFICULTY and verdict.score is not None:
            found["pass_rate"] = verdict.score
    return found


def _compared_text(line: ComparisonRow) -> str:
    within = f"{line.low:+.2f} to {line.high:+.2f}"
    return (
        f"{line.measure:<14}{line.heuristic[:13]:<14}{line.round or 'all':>5}{line.n:>7}"
        f"{line.parent:>9.2f}{line.child:>9.2f}{line.difference:>+9.2f}{within:>20}"
        f"{line.share_higher:>8.0%}"
    )


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
            show_harder(store, as_json=args.json)
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


def _text(step: LineageStep) -> str:
    task, answer = step.task, step.response
    by = f", {task.heuristic} by {task.made.model}" if task.made else ""
    parts = [f"== round {task.round}{by}  [{task.id}]", task.instruction]
    if answer is not None:
        who = f"answer by {answer.made.model}" if answer.made else "answer that came with the seed"
        parts += [f"-- {who}  [{answer.id}]", answer.text]
    parts += [_verdict_text(verdict) for verdict in step.verdicts]
    parts += [_drop_text(asdict(drop)) for drop in step.drops]
    return "\n".join(parts) + "\n"


def _verdict_text(verdict: CheckResult) -> str:
    score = "" if verdict.score is None else f" {verdict.score:.2f}"
    detail = ", ".join(f"{name} {value}" for name, value in verdict.detail.items())
    return f"-- {verdict.check}: {verdict.kind}{score}{f' ({detail})' if detail else ''}"


def _drop_text(drop: dict[str, Any]) -> str:
    return (
        f"-- dropped in round {drop['round']}, {drop['stage']}: {drop['reason']}: {drop['detail']}"
    )
