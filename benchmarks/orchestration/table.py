"""Formats passes as Markdown: one table of medians for each latency."""

import os
import platform
from collections.abc import Callable, Sequence
from statistics import median

from harness.table import markdown
from orchestration.clients import CLIENTS
from orchestration.measure import Pass

Figure = Callable[[Pass], float]

COLUMNS: tuple[tuple[str, Figure, str], ...] = (
    ("requests", lambda one: one.done, ",.0f"),
    ("wall s", lambda one: one.wall_s, ".1f"),
    ("requests/s", lambda one: one.per_second, ",.0f"),
    ("while driving", lambda one: one.per_second_driving, ",.0f"),
    ("CPU ms each", lambda one: one.cpu_ms_each, ".2f"),
    ("per CPU-second", lambda one: one.per_cpu_second, ",.0f"),
    ("first request s", lambda one: one.first_request_s, ".2f"),
    ("peak MB", lambda one: one.peak_mb, ",.0f"),
    ("in flight", lambda one: one.in_flight, ".0f"),
    ("prompt chars", lambda one: one.prompt_chars, ",.0f"),
    ("answer chars", lambda one: one.answer_chars, ",.0f"),
    ("server CPU s", lambda one: one.server_cpu_s, ".1f"),
)

LEGEND = (
    "Medians. Requests are completed ones, and stored ones where the client stores. Requests/s "
    "and CPU are over the whole command, start-up and export included; driving is from the first "
    "request to the last answer. CPU is the process tree's, peak MB its largest process's."
)


def heading(n_requests: int, in_flight: int, n_passes: int) -> str:
    """Say what was run on what."""
    return (
        f"{n_requests:,} requests, at most {in_flight} in flight, {n_passes} passes, "
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}. "
        f"{LEGEND}"
    )


def measures(passes: Sequence[Pass], latency_s: float) -> str:
    """Make the table of one latency."""
    here = [one for one in passes if one.latency_s == latency_s]
    names = dict.fromkeys(one.client for one in here)
    rows = [[CLIENTS[name].label, *_cells(of(here, name, latency_s))] for name in names]
    head = [f"latency {latency_s:g} s", *(title for title, _, _ in COLUMNS)]
    failed = dict.fromkeys(
        f"- {CLIENTS[one.client].title}: {one.failure}" for one in here if one.failure
    )
    return "\n".join([markdown(head, rows), *([""] if failed else []), *failed])


def of(passes: Sequence[Pass], name: str, latency_s: float) -> list[Pass]:
    """Return one client's passes that can be trusted, in order."""
    return [
        one
        for one in passes
        if one.client == name and one.latency_s == latency_s and not one.failure
    ]


def _cells(passes: Sequence[Pass]) -> list[str]:
    if not passes:
        return ["failed", *([""] * (len(COLUMNS) - 1))]
    return [format(median(map(figure, passes)), spec) for _, figure, spec in COLUMNS]
