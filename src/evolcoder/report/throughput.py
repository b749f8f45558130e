"""Collects a run's throughput over time: requests and tokens as the answers of servers arrived.

The time is the run's own: the time of its processes, one after another, without what lies between
them. A time of a process in which no answer arrived counts as such, and has a throughput of zero.
Answers from the cache are no throughput. Memory is bounded, whatever the times.

>>> throughput_section(store.throughput(), n_requests)   # doctest: +SKIP
ReportSection(name='throughput', ...)
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from evolcoder.report.content import Chart, ReportSection, ReportTable, Series
from evolcoder.storage.run_store import ThroughputSpan
from evolcoder.storage.run_tables import SPAN_S

MIN_SPANS, MAX_POINTS = 6, 60
"""Fewest spans of a run that has a figure, and most points of the figure."""
CAPTION = (
    "Requests per minute and tokens per second that servers answered, over the run's own "
    "time{steps}; answers from the cache are not in it."
)
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_WIDTHS = (10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, _DAY)
"""Seconds that a point of the figure may stand for; above a day, whole days."""


@dataclass(slots=True)
class _OwnTime:
    """Counts over the time in which a run's processes were at work."""

    seconds: int = 0
    """All of it."""
    paused: int = 0
    """Seconds between the processes."""
    n_pauses: int = 0
    """Number of times between processes, of at least a second."""
    spans: list[tuple[int, ThroughputSpan]] = field(default_factory=list)
    """When each span began in this time, and its counts."""

    @property
    def requests(self) -> int:
        """Requests of all spans."""
        return sum(span.requests for _, span in self.spans)


@dataclass(frozen=True, slots=True)
class _Point:
    """Sums over one point of the figure."""

    begin: int
    """Seconds of the run's own time at which it begins."""
    end: int
    """Where it ends."""
    requests: int
    sent: int
    received: int

    def per_second(self, n: int) -> float:
        """Return the rate of a count of this point."""
        return n / (self.end - self.begin)


def throughput_section(spans: Iterable[ThroughputSpan], n_requests: int) -> ReportSection:
    """Show the throughput over time of a run with so many recorded requests, cached ones aside."""
    own = _own_time(spans)
    notes = tuple(_notes(own, n_requests))
    if own.seconds < MIN_SPANS * SPAN_S:
        return ReportSection("throughput", "Throughput", CAPTION.format(steps=""), notes=notes)
    points = _points(own)
    rows = tuple(
        (one.begin, one.end, one.requests, round(one.per_second(one.requests) * _MINUTE, 3),
         round(one.per_second(one.sent), 3), round(one.per_second(one.received), 3))
        for one in points
    )  # fmt: skip
    columns = ("from s", "to s", "requests", "requests/min", "sent/s", "received/s")
    return ReportSection(
        "throughput",
        "Throughput",
        CAPTION.format(steps=f" in steps of {_length(points[0].end)}"),
        ReportTable(columns, rows, ("from s", "to s")),
        _chart(points),
        notes=notes,
    )


def _own_time(spans: Iterable[ThroughputSpan]) -> _OwnTime:
    """Put the processes of a run one after another."""
    own, last_end = _OwnTime(), None
    for _, group in groupby(spans, key=attrgetter("session")):
        found = list(group)
        begin, end = found[0].begun, found[-1].begun + SPAN_S
        own.spans += [(own.seconds + span.begun - begin, span) for span in found]
        own.seconds += end - begin
        if last_end is not None and begin > last_end:
            own.paused += begin - last_end
            own.n_pauses += 1
        last_end = end
    return own


def _points(own: _OwnTime) -> list[_Point]:
    """Sum the spans over at most `MAX_POINTS` equal parts of the time."""
    days = -(-own.seconds // (MAX_POINTS * _DAY)) * _DAY
    width = next((one for one in _WIDTHS if own.seconds <= one * MAX_POINTS), days)
    requests, sent, received = Counter[int](), Counter[int](), Counter[int]()
    for begin, span in own.spans:
        at = begin // width
        requests[at] += span.requests
        sent[at] += span.sent
        received[at] += span.received
    return [
        _Point(at * width, min((at + 1) * width, own.seconds), requests[at], sent[at], received[at])
        for at in range(-(-own.seconds // width))
    ]


def _chart(points: Sequence[_Point]) -> Chart:
    width = points[0].end
    names = tuple(_clock(one.begin, has_seconds=width < _MINUTE) for one in points)
    unit = "minutes:seconds" if width < _MINUTE else "hours:minutes"
    tokens = "tokens per second"
    requests = tuple(one.per_second(one.requests) * _MINUTE for one in points)
    sent, received = (
        tuple(one.per_second(n) for one, n in zip(points, counts, strict=True))
        for counts in ([one.sent for one in points], [one.received for one in points])
    )
    series = (
        Series("requests", requests),
        Series("tokens sent", sent, axis=tokens),
        Series("tokens received", received, axis=tokens),
    )
    return Chart("lines", names, series, "requests per minute", across=f"time of the run, {unit}")


def _clock(seconds: int, *, has_seconds: bool) -> str:
    """Write a time as minutes and seconds, or as hours and minutes."""
    high, low = divmod(seconds if has_seconds else seconds // _MINUTE, 60)
    return f"{high:,}:{low:02d}"


def _notes(own: _OwnTime, n_requests: int) -> Iterator[str]:
    n_unknown = n_requests - own.requests
    if not n_requests:
        yield "no request of this run was answered, or all answers came from the cache"
    elif n_unknown > 0:
        yield (
            f"the times of {n_unknown:,} of {n_requests:,} requests are not stored: earlier "
            "versions stored none"
        )
    if own.seconds < MIN_SPANS * SPAN_S:
        if own.spans:
            yield (
                f"the run was too short for a figure over time: its answers arrived within "
                f"{own.seconds:,} s, and a figure takes {MIN_SPANS * SPAN_S:,} s"
            )
        return
    yield (
        f"the first and the last {SPAN_S} s of a session count as whole ones, so their rates are "
        "lower bounds"
    )
    if own.n_pauses:
        pauses = "a pause" if own.n_pauses == 1 else f"{own.n_pauses:,} pauses"
        yield f"{pauses} between sessions, {_length(own.paused)} in all, left out"


def _length(seconds: int) -> str:
    """Write a length of time in its largest unit."""
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{round(seconds / unit, 1):,g} {name}"
    return f"{seconds:,} s"
