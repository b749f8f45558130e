"""Formats and prints run results: the funnel, the summary, and example tasks side by side."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from evolcoder.app.progress import duration, print_note
from evolcoder.cli import output
from evolcoder.cli.layout import folded_items, labelled, print_folded, terminal_width
from evolcoder.config.load import Config
from evolcoder.records import Row, Stage
from evolcoder.report.money import BookedPrices
from evolcoder.sandbox.base import layers_text, missing_from
from evolcoder.storage.run_store import STYLE_META, RunStore, StyleFacts
from evolcoder.storage.stats import (
    FunnelLine,
    agreement_counts,
    funnel,
    protections,
    why_empty,
)
from evolcoder.storage.workdir import Paid, Workdir
from evolcoder.terminal import padded, shell_path, wrapped
from evolcoder.visible import visible

DETAILS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
"""Names of the tokens with a price of their own, in the order of the store."""
N_PAIRS = 3
MAX_LINES = 14
"""Lines of a task that are shown; longer tasks are truncated."""


def print_run(
    store: RunStore, paths: Sequence[Path], config: Config, *, begun: float, as_json: bool
) -> None:
    """Print the result of a run: funnel, some examples, usage and paths.

    `begun` is when the command began, by `time.monotonic`.
    """
    target = config.budget.target
    missing = shortfall(funnel(store), target)
    if as_json:
        nothing = why_empty(store) or None
        found = {**summary(store, paths), "shortfall": missing, "kept_nothing": nothing}
        output.print_json(found, indent=2)
        return
    print(funnel_table(funnel(store)))
    if missing is not None:
        print_folded(missing, 0)
    for row in islice(store.rows(min_round=1), N_PAIRS):
        print()
        print(_pair(row))
    print()
    lines = (*style_lines(store), *agreement_lines(store), *billing_lines(store, config))
    for line in (*lines, *sandbox_lines(store), time_line(begun)):
        print_folded(line)
    print(labelled("run", str(store.folder)))
    for path in paths:
        print(labelled("export", str(path)))
    print(labelled("next", f"evolcoder inspect {shell_path(store.folder)}"))


def print_why_empty(store: RunStore) -> bool:
    """Say on stderr that a run kept no row, and why; return whether it is so."""
    if note := why_empty(store):
        print_note(note)
    return bool(note)


def time_line(begun: float) -> str:
    """Describe how long a command has taken since a `time.monotonic`."""
    return labelled("time", duration(time.monotonic() - begun))


def billing_lines(store: Workdir, config: Config | None = None) -> list[str]:
    """Describe what was paid for, and apart from it what may have been billed.

    With a config, also in dollars, where it or the price table knows the model's price.
    """
    details, lines = store.call_details_by_model(), []
    prices = BookedPrices(store, config) if config else None
    for model, (n, sent, received) in store.calls_by_model().items():
        cached, cache_writes, reasoning = details.get(model, (0, 0, 0))
        usd = prices and prices.usd(
            model, sent=sent, received=received, cached=cached, cache_writes=cache_writes,
            reasoning=reasoning,
        )  # fmt: skip
        cost = f", ${usd:,.4f}" if usd else ""
        of_sent = f" ({cached:,} cached)" if cached else ""
        of_received = f" ({reasoning:,} reasoning)" if reasoning else ""
        counts = f"{n} requests, {sent:,} tokens sent{of_sent}, {received:,} received{of_received}"
        lines.append(labelled("model", f"{model}: {counts}{cost}"))
    for model, (n, sent, received) in store.possible_calls_by_model().items():
        lines.append(
            labelled(
                "model",
                f"{model}: {n} requests sent and not answered, possibly billed: at most "
                f"{sent:,} tokens sent, {received:,} received",
            )
        )
    return lines


def paid(store: Workdir) -> dict[str, dict[str, int]]:
    """Return what was paid for, by model, as plain data."""
    details = store.call_details_by_model()
    return {
        model: {
            **_plain_calls(calls),
            **dict(zip(DETAILS, details.get(model, (0, 0, 0)), strict=True)),
        }
        for model, calls in store.calls_by_model().items()
    }


def possibly_billed(store: Workdir) -> dict[str, dict[str, int]]:
    """Return the bounds of requests without an answer, by model, as plain data."""
    return {model: _plain_calls(calls) for model, calls in store.possible_calls_by_model().items()}


def _plain_calls(calls: Paid) -> dict[str, int]:
    return dict(zip(("requests", "prompt_tokens", "completion_tokens"), calls, strict=True))


def sandbox_lines(store: RunStore) -> list[str]:
    """Describe the active sandbox layers, one line per stage."""
    return [
        labelled("sandbox", f"{stage}: {layers_text(layers)}")
        for stage, layers in protections(store).items()
    ]


def style_lines(store: RunStore) -> list[str]:
    """Describe the style of evolution and how it was decided; empty for a run that stored none."""
    fact = store.meta(STYLE_META, StyleFacts)
    return [] if fact is None else [labelled("style", f"{fact['style']}: {fact['why']}")]


def agreement_lines(store: RunStore) -> list[str]:
    """Describe how several answers to each task agreed; empty where one was asked for."""
    found = agreement_counts(store)
    if found is None:
        return []
    why = ", ".join(f"{reason} {n}" for reason, n in found.unverified.items())
    n_unverified = sum(found.unverified.values())
    rest = f"{n_unverified} unverified{f' ({why})' if why else ''}"
    counts = f"{found.asked:,} to {found.tasks:,} tasks, in {found.clusters:,} clusters"
    return [labelled("answers", f"{counts}: {found.agreed:,} tasks agreed, {rest}")]


def shortfall(lines: Iterable[FunnelLine], target: int | None) -> str | None:
    """Describe how far cleaning left the run below its target; None if the target is met."""
    cleaned = [line for line in lines if line.stage is Stage.CLEAN and line.round > 0]
    n_gone = sum(line.n_dropped for line in cleaned)
    n_left = sum(line.kept for line in cleaned)
    if target is None or n_gone == 0 or n_left >= target:
        return None
    return (
        f"budget.target={target} counts rows before cleaning, which dropped {n_gone:,} of them: "
        f"{n_left:,} are left; for more rows, raise the target and run again"
    )


def summary(store: RunStore, paths: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the result of a run as plain data."""
    return {
        "run": str(store.folder),
        "funnel": [as_plain(line) for line in funnel(store)],
        "style": store.meta(STYLE_META, StyleFacts),
        "agreement": None if (found := agreement_counts(store)) is None else asdict(found),
        "paid": paid(store),
        "possibly_billed": possibly_billed(store),
        "answered": [
            {"asked": asked, "model": model, "records": n}
            for asked, model, n in store.answers_by_model()
        ],
        "sandbox": {
            stage: {"layers": layers, "missing": missing_from(layers)}
            for stage, layers in protections(store).items()
        },
        "exports": [str(path) for path in paths],
    }


def as_plain(line: FunnelLine) -> dict[str, Any]:
    """Return a funnel line as plain data, with its count of waiting records."""
    return {**asdict(line), "waiting": line.waiting}


def funnel_table(lines: Iterable[FunnelLine]) -> str:
    """Format a funnel as a table."""
    head = (
        f"{'round':>5}  {'stage':<8}{'in':>8}{'kept':>8}{'dropped':>9}{'waiting':>9}  why dropped"
    )
    rows = [head]
    for line in lines:
        why = (f"{reason} {n}" for reason, n in line.dropped.items())
        counts = f"{line.entered:>8}{line.kept:>8}{line.n_dropped:>9}{line.waiting:>9}"
        row = f"{line.round:>5}  {line.stage:<8}{counts}  "
        rows.append(folded_items(row, why).rstrip())
    return "\n".join(rows)


def _pair(row: Row) -> str:
    """Format a parent and its child in two columns."""
    width = (terminal_width() - 3) // 2
    left = _wrapped(row.parent_instruction or "", width)
    right = _wrapped(row.task.instruction, width)
    title = f"round {row.task.round}, {row.task.heuristic}"
    rule = f"{'-- before ':-<{width}}-+-{f' {title} ':-<{width}}"
    body = (f"{padded(a, width)} | {b}".rstrip() for a, b in zip_longest(left, right, fillvalue=""))
    return "\n".join([rule, *body])


def _wrapped(text: str, width: int) -> list[str]:
    lines = [part for line in visible(text).splitlines() for part in wrapped(line, width) or [""]]
    return lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 1], "…"]
