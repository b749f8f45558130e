"""`evolcoder inspect`: shows a run or an evaluation, its records page by page, or one record.

A folder alone shows counts and a page of ids; with an id (or a prefix), the lineage of a record or
the samples of a problem. `--drops` lists what was dropped (of an evaluation: what did not pass).
`--harder` compares children with their parents, by heuristic and round.
"""

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evolcoder.cli import output, show
from evolcoder.cli.layout import MIN_TEXT, folded, folded_items, print_folded, terminal_width
from evolcoder.errors import ConfigError, UserError
from evolcoder.evaluation.store import DB_NAME as EVAL_DB
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.records import Drop, ResponseCandidate, Usage
from evolcoder.report.outcome_text import drop_text, verdict_text
from evolcoder.storage.database import COUNT, MAYBE_TEXT, TEXT, Columns
from evolcoder.storage.lineage import LineageStep, lineage
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import funnel
from evolcoder.terminal import cell_width, one_row, shell_path
from evolcoder.text import natural_key
from evolcoder.visible import visible

if TYPE_CHECKING:
    from evolcoder.verification.metrics import ChildAndParent, ComparisonRow

HEAD = f"{'measure':<14}{'heuristic':<14}{'round':>5}{'pairs':>7}{'parent':>9}{'child':>9}"
HEAD += f"{'change':>9}{'95 %':>20}{'higher':>8}"
PAGE = 20
"""Records on a page, if `--limit` does not say."""
MAX_PAGE = 1_000_000_000
"""Largest number of a page or of records on it, which SQLite can hold multiplied."""
ID_CHARS = 12
"""Characters of an id that are shown; `inspect RUN ID` takes any prefix."""
DROP_INDENT = 10
"""Where the texts of a drop begin."""
SEEN_LINES, SEEN_CELLS = 3, 400
"""Lines of a dropped text that are shown, and how much of each and of the evidence."""
OF_TASKS = frozenset({"task_tokens", "constraints"})
"""Measures that do not depend on who answered."""
_RECORD = Columns(
    id=TEXT, round=COUNT, ordinal=COUNT, heuristic=MAYBE_TEXT, instruction=TEXT, fate=TEXT
)
_RECORDS = """
    SELECT t.id, t.round, t.ordinal, t.heuristic, t.instruction, COALESCE(
        (SELECT d.stage || ': ' || d.reason FROM drops d WHERE d.subject = t.id
         AND d.round = t.round AND d.ordinal = t.ordinal AND d.stage <> 'evolve' LIMIT 1),
        CASE WHEN k.round IS NULL THEN 'waiting' ELSE 'kept' END)
    FROM tasks t LEFT JOIN kept k ON k.round = t.round AND k.ordinal = t.ordinal
    ORDER BY t.round, t.ordinal LIMIT ? OFFSET ?
"""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """Which of many records to show."""

    number: int
    """The page, counted from 1."""
    size: int | None
    """Records on a page; None: all."""

    @property
    def start(self) -> int:
        """Records on the pages before."""
        return (self.number - 1) * (self.size or 0)

    def of(self, records: Iterable[T]) -> list[T]:
        """Return the records of this page."""
        return list(islice(records, self.start, self.size and self.start + self.size))

    def footer(self, n: int, what: str) -> str:
        """Say which of `n` records were shown, and how to see more."""
        last = min(n, self.start + (self.size or n))
        if n and self.start >= n:
            return f"there are {n:,} {what}, and no page {self.number} of {self.size}"
        more = f"; --page {self.number + 1} shows more" if last < n else ""
        return f"{what} {self.start + 1:,} to {last:,} of {n:,}{more}" if n else f"no {what}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("run", type=Path, help="folder of a run or an evaluation")
    add("id", nargs="?", help="id of a task or response, or a prefix of it; of a problem")
    add("--drops", action="store_true",
        help="list the drops; of an evaluation, the samples that did not pass")  # fmt: skip
    add(
        "--harder",
        action="store_true",
        help="compare children with parents, by heuristic and round",
    )
    add("--page", type=int, metavar="N", help="page of the list (default: 1)")
    add("--limit", type=int, metavar="M",
        help=f"records on a page (default: {PAGE}; of JSON lists, all)")  # fmt: skip
    add("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print one view of a run or an evaluation."""
    page = _page(args)
    views = [name for name, is_asked in (("an ID", args.id), ("--drops", args.drops),
                                         ("--harder", args.harder)) if is_asked]  # fmt: skip
    if len(views) > 1:
        raise ConfigError(f"{' and '.join(views)}: each shows something else; give one of them")
    if os.path.lexists(args.run / EVAL_DB):
        _show_evaluation(args, page)
        return 0
    with RunStore.read(args.run) as store:
        if args.id:
            _show_lineage(store, args.id, as_json=args.json)
        elif args.harder:
            show_harder(store, as_json=args.json)
        elif args.drops:
            _show_drops(store, page, as_json=args.json)
        else:
            _show_run(store, page, as_json=args.json)
    return 0


def _page(args: argparse.Namespace) -> Page:
    for flag in ("page", "limit"):
        given = getattr(args, flag)
        if given is not None and given < 1:
            raise ConfigError(f"--{flag} {given}: must be at least 1")
        if given is not None and given > MAX_PAGE:
            raise ConfigError(f"--{flag} {given}: must be at most {MAX_PAGE:,}")
    is_whole = args.json and args.drops and args.page is None
    return Page(args.page or 1, args.limit or (None if is_whole else PAGE))


def _show_run(store: RunStore, page: Page, *, as_json: bool) -> None:
    """Print the counts of a run and a page of its tasks."""
    n = store.db.number("SELECT COUNT(*) FROM tasks")
    records = store.db.each(_RECORD.validate, _RECORDS, (page.size, page.start))
    if as_json:
        names = ("id", "round", "seed", "heuristic", "instruction", "fate")
        found = [dict(zip(names, record, strict=True)) for record in records]
        output.print_json({**show.summary(store), "n_records": n, "records": found}, indent=2)
        return
    print(show.funnel_table(funnel(store)))
    for line in (
        *show.style_lines(store), *show.agreement_lines(store), *show.billing_lines(store)
    ):  # fmt: skip
        print_folded(line)
    print(f"\n{'id':<{ID_CHARS}}{'round':>6}{'seed':>6}  {'heuristic':<12}{'outcome':<21}task")
    for id, round, ordinal, heuristic, instruction, fate in records:
        head = f"{id[:ID_CHARS]:<{ID_CHARS}}{round:>6}{ordinal:>6}  "
        _print_row(f"{head}{(heuristic or '-')[:11]:<12}{fate[:20]:<21}", instruction)
    command = f"evolcoder inspect {shell_path(store.folder)} ID shows one"
    print(folded_items("", [page.footer(n, "tasks"), command], comma=";"))


def _print_row(head: str, text: str) -> None:
    """Print a row that ends with the beginning of a text, within the width of the terminal."""
    width = max(MIN_TEXT, terminal_width() - len(head))
    print(f"{head}{one_row(visible(text), width)}".rstrip())


def _show_drops(store: RunStore, page: Page, *, as_json: bool) -> None:
    drops = page.of(store.drops())
    if as_json:
        for drop in drops:
            output.print_json(asdict(drop))
        return
    for drop in drops:
        print("\n".join(folded(line, DROP_INDENT) for line in _drop_lines(drop)))
    n = store.db.number("SELECT COUNT(*) FROM drops")
    print(page.footer(n, "drops"))


def _drop_lines(drop: Drop) -> Iterator[str]:
    """Describe a drop: id and seed of its task, the reason, and the beginning of its text."""
    where = f"round {drop.round} {drop.stage}: {drop.reason} ({drop.heuristic or 'seed'})"
    yield f"{drop.subject[:ID_CHARS]}  seed {drop.ordinal}  {where}"
    yield f"  detail  {_cut(visible(drop.detail))}"
    lines = [line for line in visible(drop.seen).splitlines() if line.strip()] or ["(no text)"]
    for at, line in enumerate(lines[:SEEN_LINES]):
        more = " …" if at == SEEN_LINES - 1 and len(lines) > SEEN_LINES else ""
        yield f"  {'' if at else 'text':<7} {_cut(line)}{more}"


def _cut(line: str) -> str:
    return line if cell_width(line) <= SEEN_CELLS else one_row(line, SEEN_CELLS)


def show_harder(store: RunStore, *, as_json: bool) -> None:
    """Print a table of children and parents by metric: computed now, or stored by verification."""
    from evolcoder.verification.metrics import compare_with_parents  # noqa: PLC0415 - slow

    pairs = list(_pairs(store))
    lines = compare_with_parents(pairs)
    if as_json:
        output.print_json([asdict(line) for line in lines], indent=1)
        return
    if not lines:
        print("nothing to compare: no evolved row was kept")
        return
    print(HEAD)
    for line in lines:
        print(_comparison_text(line))
    n_task_only = sum(pair.parent.keys() <= OF_TASKS for pair in pairs)
    if n_task_only:
        print_folded(
            f"{n_task_only} of {len(pairs)} pairs are compared by their tasks alone: the answer to "
            "the parent is the seed file's or was dropped; with respond.reanswer_seeds=true the "
            "same model answers both",
            0,
        )


def _pairs(store: RunStore) -> Iterator["ChildAndParent"]:
    """Pair every evolved row with the row of its parent task.

    Answers are compared only if a model of this run answered the parent too: those that came with
    the seeds were written by others, so a difference would be that of the writers.
    """
    from evolcoder.verification.metrics import (  # noqa: PLC0415 - slow
        ChildAndParent,
        measures_of,
        n_tokens,
    )

    measured: dict[str, dict[str, float]] = {}
    for row in store.rows():
        task = row.task
        found = measures_of(row)
        is_answered_here = row.response.made is not None
        measured[task.id] = {
            name: value for name, value in found.items() if is_answered_here or name in OF_TASKS
        }
        if task.heuristic is not None:
            parent = measured.get(task.parent or "")
            if parent is None:
                # The parent has no row; only the length of its task is known.
                parent = {"task_tokens": float(n_tokens(row.parent_instruction or ""))}
            yield ChildAndParent(task.heuristic, task.round, parent, found)


def _comparison_text(line: "ComparisonRow") -> str:
    interval = f"{line.low:+.2f} to {line.high:+.2f}"
    return (
        f"{line.measure:<14}{line.heuristic[:13]:<14}{line.round or 'all':>5}{line.n:>7}"
        f"{line.parent:>9.2f}{line.child:>9.2f}{line.difference:>+9.2f}{interval:>20}"
        f"{line.share_higher:>8.0%}"
    )


def _show_lineage(store: RunStore, id: str, *, as_json: bool) -> None:
    steps = lineage(store, id)
    if not steps:
        raise UserError(
            f"{store.folder}: no record has an id that starts with {id!r}; "
            f"evolcoder inspect {shell_path(store.folder)} lists the ids"
        )
    if as_json:
        output.print_json([asdict(step) for step in steps], indent=2)
        return
    for step in steps:
        print(_step_text(step))


def _step_text(step: LineageStep) -> str:
    task, answer = step.task, step.response
    by = f", {task.heuristic} by {_maker(task.made)}" if task.made else ""
    head = f"== round {task.round}{by}"
    parts = [folded_items("", [head, f"[{task.id}]"], comma=" "), task.instruction]
    if answer is not None:
        who = f"answer by {_maker(answer.made)}" if answer.made else "answer from the seed data"
        parts += [folded_items("", [f"-- {who}", f"[{answer.id}]"], comma=" "), answer.text]
    parts += [_answer_text(one) for one in step.answers if not one.is_chosen]
    parts += [f"-- {verdict_text(one)}" for one in step.verdicts]
    parts += [f"-- {drop_text(one)}" for one in step.drops]
    return "\n".join(parts) + "\n"


def _answer_text(answer: ResponseCandidate) -> str:
    """Describe one of several answers that was not chosen."""
    cluster = "not compared" if answer.cluster is None else f"cluster {answer.cluster}"
    tests = f", passes {answer.tests_passed} sound tests" if answer.tests_passed else ""
    found = f"{answer.defect}: {answer.detail}" if answer.defect else f"{cluster}{tests}"
    head = f"-- answer {answer.number}, temperature {answer.temperature:g}: {found}"
    return f"{head}\n{answer.text}" if answer.text else head


def _maker(made: Usage) -> str:
    """Name the model that was asked for, and the one that answered under another name."""
    other = made.answered and made.answered != made.asked
    return f"{made.model} (answered: {made.answered})" if other else made.model


def _show_evaluation(args: argparse.Namespace, page: Page) -> None:
    """Print one view of an evaluation."""
    if args.harder:
        raise ConfigError(f"--harder {args.run}: is an evaluation; it compares the tasks of a run")
    with EvalStore.read(args.run) as store:
        verdicts = [
            (bench, one)
            for bench in store.benches()
            for one in sorted(store.verdicts(bench), key=_place)
        ]
        if args.id:
            _show_problem(store, args.id, verdicts, as_json=args.json)
            return
        listed = [one for one in verdicts if not (args.drops and one[1].passed)]
        if args.json:
            plain = [{"bench": bench, **asdict(one)} for bench, one in page.of(listed)]
            facts = {"folder": str(store.folder), "settings": _settings(store)}
            output.print_json({**facts, "n_verdicts": len(listed), "verdicts": plain}, indent=1)
            return
        _print_evaluation(store, verdicts)
        print(f"\n{'problem':<22}{'sample':>6}  outcome")
        for _, one in page.of(listed):
            print(f"{one.problem:<22}{one.number:>6}  {_outcome(one)}")
        what = "samples that did not pass" if args.drops else "samples"
        command = f"evolcoder inspect {shell_path(store.folder)} PROBLEM"
        parts = [page.footer(len(listed), what), f"{command} shows one"]
        print(folded_items("", parts, comma=";"))


def _place(one: StoredVerdict) -> tuple[object, int]:
    return natural_key(one.problem), one.number


def _settings(store: EvalStore) -> Mapping[str, Any]:
    found: Mapping[str, Any] = store.meta("settings") or {}
    return found


def _print_evaluation(store: EvalStore, verdicts: Sequence[tuple[str, StoredVerdict]]) -> None:
    """Print what was evaluated, and counts by benchmark."""
    settings = _settings(store)
    source = f"samples of model {settings['model']}" if "model" in settings else "samples of a file"
    print(f"{source}\n\n{'benchmark':<18}{'samples':>8}{'passed':>8}  outcomes")
    for bench in dict.fromkeys(bench for bench, _ in verdicts):
        mine = [one for name, one in verdicts if name == bench]
        kinds = Counter(str(one.facts["kind"]) for one in mine).most_common()
        head = f"{bench:<18}{len(mine):>8}{sum(one.passed for one in mine):>8}  "
        print(folded_items(head, (f"{kind} {n}" for kind, n in kinds)))
    for line in show.billing_lines(store):
        print_folded(line)


def _outcome(one: StoredVerdict) -> str:
    return "passed" if one.passed else str(one.facts["kind"])


def _show_problem(
    store: EvalStore,
    id: str,
    verdicts: Sequence[tuple[str, StoredVerdict]],
    *,
    as_json: bool,
) -> None:
    """Print the samples of a problem with their verdicts."""
    names = {
        (bench, problem) for bench in store.sampled_benches() for problem in store.problems(bench)
    }
    chosen = _matching(id, names)
    if not chosen:
        raise UserError(
            f"{store.folder}: no problem is called {id!r}; "
            f"evolcoder inspect {shell_path(store.folder)} lists them"
        )
    judged = {(bench, one.problem, one.number): one for bench, one in verdicts}
    plain = []
    for bench, problem in chosen:
        for number, sample in sorted(store.samples(bench, problem).items()):
            one = judged.get((bench, problem, number))
            facts = {"bench": bench, "problem": problem, "number": number, "text": sample.text}
            plain.append({**facts, "verdict": asdict(one) if one else None})
            if not as_json:
                said = "no verdict" if one is None else _outcome(one)
                print(f"== {bench} {problem}, sample {number}: {said}\n{sample.text}")
                details = {} if one is None else {k: v for k, v in one.facts.items() if v}
                told = [f"{k} {v}" for k, v in details.items() if k not in {"layers", "missing"}]
                print_folded(f"-- {', '.join(told)}", 3)
                print()
    if as_json:
        output.print_json(plain, indent=1)


def _matching(id: str, names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the problems with this id, or else those whose id starts with it."""
    known = sorted(names, key=lambda one: (one[0], natural_key(one[1])))
    rules: tuple[Callable[[str], bool], ...] = (id.__eq__, lambda name: name.startswith(id))
    for fits in rules:
        if found := [one for one in known if fits(one[1])]:
            return found
    return []
