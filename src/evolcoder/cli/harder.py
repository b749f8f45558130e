"""`evolcoder inspect RUN --harder`: children beside their parents, by heuristic and round."""

from collections.abc import Iterator
from dataclasses import asdict

from evolcoder.cli import output
from evolcoder.records import Check, Row
from evolcoder.storage.run_store import RunStore
from evolcoder.verify.compare import Line, Pair, harder
from evolcoder.verify.metric_checks import python_program
from evolcoder.verify.metrics import n_tokens, shape_of

HEAD = f"{'measure':<14}{'heuristic':<14}{'round':>5}{'pairs':>7}{'parent':>9}{'child':>9}"
HEAD += f"{'change':>9}{'95 %':>20}{'higher':>8}"


def show(store: RunStore, *, as_json: bool) -> None:
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
        print(_text(line))


def _pairs(store: RunStore) -> Iterator[Pair]:
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
            yield Pair(task.heuristic, task.round, parent, measured[task.id])


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


def _text(line: Line) -> str:
    within = f"{line.low:+.2f} to {line.high:+.2f}"
    return (
        f"{line.measure:<14}{line.heuristic[:13]:<14}{line.round or 'all':>5}{line.n:>7}"
        f"{line.parent:>9.2f}{line.child:>9.2f}{line.difference:>+9.2f}{within:>20}"
        f"{line.share_higher:>8.0%}"
    )
