"""Prints progress and notes on stderr: a live line on a terminal, otherwise a line now and then.

A thread shows it, so that work which blocks the event loop is shown too. What is shown is
estimated: a time left assumes that what is in flight is half done.

>>> async with show_progress(pipeline.tally, budget, engines):   # doctest: +SKIP
...     await pipeline.run()
>>> with shown(lambda: "reading rows"):   # doctest: +SKIP
...     read()
"""

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TextIO

from evolcoder.engine import redact
from evolcoder.engine.base import Engine
from evolcoder.engine.budget import Budget, Spending
from evolcoder.pipeline import RoundCounts
from evolcoder.records import Stage
from evolcoder.terminal import cell_width, folded_for, folded_to_width
from evolcoder.visible import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress

PLAIN_S = 10.0
"""Interval between the first plain lines, in seconds."""
MAX_PLAIN_S = 120.0
"""Interval between later ones: a twentieth of the time so far, up to this."""
STALE_S = 2.0
"""A time left stands at least this long."""
SPEED_S = 30.0
"""Time over which a speed is measured, in seconds."""
SEPARATOR = " · "
"""Between the parts of a line; a narrow terminal breaks it there."""
MB = 1_000_000
_DOING = {Stage.EVOLVE: "evolving", Stage.RESPOND: "answering", Stage.VERIFY: "verifying"}


@dataclass(frozen=True, slots=True)
class Work:
    """How far a piece of work is."""

    name: str
    """Its name; with another name, the clock of the time left starts again."""
    done: int
    """Items finished in this session."""
    left: int
    """Items not finished."""
    in_flight: int = 0
    """Of these, those being worked on."""
    slots: int | None = None
    """How many of those in flight a model in this process works on; the others wait for it."""


def remaining_s(work: Work, elapsed_s: float) -> float | None:
    """Estimate the seconds left; None before the first item is done and after the last.

    What is in flight counts as half done, so that the first of many concurrent items does not make
    the others look as if they came one after another.
    """
    if not work.done or not work.left:
        return None
    half = min(work.in_flight, work.slots or work.left, work.left) / 2
    return elapsed_s * (work.left - half) / (work.done + half)


class _Clock:
    """Formats the time since the start, and the time left.

    No time left is shown once nothing has been done for longer than it.
    """

    def __init__(self, work: Callable[[], Work] | None) -> None:
        self._work = work
        self._start = self._work_start = self._last_done = time.monotonic()
        self._name, self._n_done = "", 0

    def stop_estimating(self) -> None:
        """Format the time so far only."""
        self._work = None

    def text(self) -> str:
        now = time.monotonic()
        elapsed = duration(now - self._start)
        if self._work is None:
            return elapsed
        work = self._work()
        if work.name != self._name:
            self._name, self._work_start, self._last_done = work.name, now, now
        if work.done != self._n_done:
            self._n_done, self._last_done = work.done, now
        left = remaining_s(work, now - self._work_start)
        if left is None or now - self._last_done > max(left, STALE_S):
            return elapsed
        return f"{elapsed}, about {duration(left)} left"


@contextlib.contextmanager
def shown(
    text: Callable[[], str], work: Callable[[], Work] | None = None, *, if_long: bool = False
) -> Iterator[None]:
    """Show the current result of `text` and the time during the block, and the last at the end.

    `text` and `work` are called by a thread. With `if_long`, what ends before the first plain line
    is due is not shown without a terminal.
    """
    clock, last = _Clock(work), ""

    def line() -> str:
        nonlocal last
        with contextlib.suppress(RuntimeError):  # a counter changed while it was read
            last = SEPARATOR.join(filter(None, (text(), clock.text())))
        return last

    if sys.stderr.isatty():
        with _on_terminal(line):
            yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_print_now_and_then, args=(line, ended), daemon=True)
    thread.start()
    try:
        yield
    except Exception:
        _stop(thread, ended)
        if last:  # of a failure before the first line, the error tells enough
            print_line(line())
        raise
    except BaseException:  # interrupted: what is left is not in flight any more
        _stop(thread, ended)
        clock.stop_estimating()
        print_line(line())
        raise
    _stop(thread, ended)
    if last or not if_long:
        print_line(line())


@contextlib.asynccontextmanager
async def show_text(
    text: Callable[[], str], work: Callable[[], Work] | None = None
) -> AsyncIterator[None]:
    """Do what `shown` does, for `async with`."""
    with shown(text, work):
        yield


@contextlib.asynccontextmanager
async def show_progress(
    counts: RoundCounts,
    budget: Budget,
    engines: Sequence[Engine],
    waits: Callable[[], str] = str,
    *,
    workers: int = 0,
) -> AsyncIterator[None]:
    """Show a run's progress during the block, and its final state at the end.

    `waits` says what the run waits for, such as a batch. `workers` is how many answers are verified
    at a time; others wait for them.
    """
    tokens = TokenSpeed(budget, engines)

    slots = slots_of(engines)
    work = partial(_work_of, counts, slots, workers)
    with shown(lambda: _run_text(counts, budget, tokens, waits()), work):
        yield


def _work_of(counts: RoundCounts, slots: int | None, workers: int) -> Work:
    """Return how far a round is; answers that wait for one of `workers` are not worked on."""
    done, left = counts.done - counts.stored, counts.pool - counts.done
    waiting = max(0, counts.active[Stage.VERIFY] - workers) if workers else 0
    return Work(f"round {counts.round}", done, left, counts.in_flight - waiting, slots)


def slots_of(engines: Iterable[Engine]) -> int | None:
    """Return how many answers models in this process make at a time; None without such a model."""
    found = [engine.slots for engine in engines if hasattr(engine, "slots")]
    return min(found, default=None)


class TokenSpeed:
    """Formats tokens received so far and the current speed.

    An engine that streams counts tokens as they come (`n_streamed`); from others, an answer's
    tokens come with the whole answer. Servers are asked to stream only for a live display.
    """

    def __init__(self, budget: Budget, engines: Iterable[Engine]) -> None:
        self._budget = budget
        each = {id(engine): engine for engine in engines}  # roles may share one
        if sys.stderr.isatty():
            for engine in each.values():
                if hasattr(engine, "streams"):
                    engine.streams = True
        self._engines = [engine for engine in each.values() if hasattr(engine, "n_streamed")]
        self._seen = deque([(time.monotonic(), self._n())])

    def text(self) -> str:
        """Return such as `reading 4 prompts, 1,204 tokens, 38/s`; empty if there is nothing.

        Also why a server is asked again.
        """
        now, n = time.monotonic(), self._n()
        self._seen.append((now, n))
        while len(self._seen) > 2 and now - self._seen[0][0] > SPEED_S:
            self._seen.popleft()
        began, before = self._seen[0]
        reading = sum(int(getattr(engine, "n_reading", 0)) for engine in self._engines)
        parts = [f"reading {reading} prompts"] if reading else []
        if n:
            parts.append(f"{n:,} tokens, {(n - before) / max(now - began, 1e-9):,.0f}/s")
        troubles = (getattr(engine, "trouble", "") for engine in self._engines)
        parts += [f"asking again after: {trouble}" for trouble in filter(None, troubles)]
        return ", ".join(parts)

    def cost_text(self) -> str:
        """Return what was spent, such as $0.12; empty if nothing was."""
        return f"${self._budget.spent.usd:.2f}" if self._budget.spent.usd else ""

    def _n(self) -> int:
        streamed = sum(int(getattr(engine, "n_streamed", 0)) for engine in self._engines)
        return max(streamed, self._budget.completion_tokens)


def _run_text(counts: RoundCounts, budget: Budget, tokens: TokenSpeed, waits: str) -> str:
    """Format a run's progress, without its time."""
    parts = [
        f"round {counts.round}: {counts.done}/{counts.pool} done, {counts.kept} kept",
        ", ".join(f"{doing} {n}" for stage, doing in _DOING.items() if (n := counts.active[stage])),
        tokens.text(),
        waits,
    ]
    parts.append(tokens.cost_text())
    if budget.possible.tokens:
        parts.append(f"possibly billed: {_spending_text(budget.possible)}")
    if counts.drops:
        reasons = ", ".join(f"{reason} {n}" for reason, n in counts.drops.most_common(3))
        parts.append(f"dropped {counts.drops.total()} ({reasons})")
    return SEPARATOR.join(filter(None, parts))


def _spending_text(spent: Spending) -> str:
    return f"${spent.usd:.2f}" if spent.usd else f"{spent.tokens:,} tokens"


_live_now: "Live | None" = None
"""What a terminal shows now; lines are printed above it."""


@contextlib.contextmanager
def _on_terminal(line: Callable[[], str]) -> Iterator[None]:
    global _live_now  # noqa: PLW0603 - there is one terminal
    with _live(line) as live:
        live.console.show_cursor()  # a stop by Ctrl-Z or SIGKILL would leave it hidden
        before, _live_now = _live_now, live
        try:
            yield
        finally:
            _live_now = before


def _live(line: Callable[[], str]) -> "Live":
    from rich.console import Console  # noqa: PLC0415 - slow import, terminals only
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=raw_stderr())
    return Live(
        console=console,
        refresh_per_second=2,
        get_renderable=lambda: Text(fitted(visible(line()), console.width)),
        redirect_stdout=False,  # both streams already escape control characters
        redirect_stderr=False,
    )


def fitted(line: str, width: int) -> str:
    """Break a line between its parts.

    No row takes more than `width` cells of the terminal, as far as its parts allow.
    """
    rows: list[str] = []
    for part in line.split(SEPARATOR):
        if rows and cell_width(rows[-1] + SEPARATOR + part) <= width:
            rows[-1] += SEPARATOR + part
        else:
            rows.append(part)
    return "\n".join(rows)


class Download:
    """Shows the progress of a download; implements `engine.registry.Progress`."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tenths = -1

    def __call__(self, label: str, done: int, total: int) -> None:
        """Update the bar on a terminal; otherwise print a line for every 10 %."""
        if sys.stderr.isatty():
            self._draw(label, done, total)
        elif 10 * done // total != self._tenths:
            self._tenths = 10 * done // total
            print_line(f"{label}: {10 * self._tenths} % of {total / MB:,.0f} MB")

    def _draw(self, label: str, done: int, total: int) -> None:
        if self._bar is None:
            from rich import progress  # noqa: PLC0415 - slow import, terminals only
            from rich.console import Console  # noqa: PLC0415

            name = progress.TextColumn("{task.description}", markup=False)
            columns = (name, progress.BarColumn())
            sizes = (progress.DownloadColumn(), progress.TransferSpeedColumn())
            console = Console(file=raw_stderr())
            self._bar = progress.Progress(
                *columns, *sizes, console=console, redirect_stdout=False, redirect_stderr=False
            )
            self._bar.add_task("")
            self._bar.start()
            console.show_cursor()  # as above
        self._bar.update(
            self._bar.task_ids[0], description=visible(label, lines=False), completed=done,
            total=total,
        )  # fmt: skip
        if done >= total:
            self._bar.stop()


def raw_stderr() -> TextIO:
    """Return stderr without the filter that escapes control characters, for rich.

    Callers must pass untrusted text through `visible`.
    """
    stream: TextIO = getattr(sys.stderr, "unfiltered", sys.stderr)
    return stream


def print_note(text: str) -> None:
    """Print a note as one line on stderr."""
    print_line(f"evolcoder: {' '.join(text.split())}")


def print_line(text: str) -> None:
    """Print a line on stderr, in one write, so that lines of threads do not mix."""
    if _live_now is not None:
        from rich.text import Text  # noqa: PLC0415 - slow import, terminals only

        shown = folded_to_width(visible(redact.masked(text)), _live_now.console.width)
        _live_now.console.print(Text(shown), soft_wrap=True)
        return
    sys.stderr.write(f"{folded_for(visible(text), sys.stderr)}\n")
    sys.stderr.flush()


def _stop(thread: threading.Thread, ended: threading.Event) -> None:
    ended.set()
    thread.join()


def _print_now_and_then(line: Callable[[], str], ended: threading.Event) -> None:
    start = time.monotonic()
    while not ended.wait(min(MAX_PLAIN_S, max(PLAIN_S, (time.monotonic() - start) / 20))):
        print_line(line())


def duration(seconds: float) -> str:
    """Format seconds, such as 1m05s."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
