"""Prints progress and notes on stderr: a live line on a terminal, otherwise periodic plain lines.

>>> async with show_progress(pipeline.tally, budget):   # doctest: +SKIP
...     await pipeline.run()
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TextIO

from evolcoder.engine.budget import Budget, Spending
from evolcoder.pipeline import RoundCounts
from evolcoder.text import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress

PLAIN_S = 10.0
"""Interval between plain lines, in seconds."""
MB = 1_000_000


@contextlib.asynccontextmanager
async def show_progress(
    counts: RoundCounts, budget: Budget, waits: Callable[[], str] = str
) -> AsyncIterator[None]:
    """Show a run's progress during the block, and its final state at the end.

    `waits` says what the run waits for, such as a batch.
    """
    async with show_text(_ProgressLine(counts, budget, waits).text):
        yield


@contextlib.asynccontextmanager
async def show_text(text: Callable[[], str]) -> AsyncIterator[None]:
    """Show the current result of `text` during the block, and its last one at the end."""
    if sys.stderr.isatty():
        with _live(text):
            yield
        return
    task = asyncio.create_task(_print_periodically(text))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        print_line(text())


def _live(text: Callable[[], str]) -> "Live":
    from rich.console import Console  # noqa: PLC0415 - slow import, terminals only
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    return Live(
        console=Console(file=raw_stderr()),
        refresh_per_second=2,
        get_renderable=lambda: Text(visible(text())),
        redirect_stdout=False,  # both streams already escape control characters
        redirect_stderr=False,
    )


class _ProgressLine:
    """Formats a run's progress as one line; tokens/s is the mean since the start."""

    def __init__(self, counts: RoundCounts, budget: Budget, waits: Callable[[], str]) -> None:
        self._waits = waits
        self._counts = counts
        self._budget = budget
        self._start = time.monotonic()
        self._round = -1
        self._round_start = self._start

    def text(self) -> str:
        counts, budget = self._counts, self._budget
        now = time.monotonic()
        if counts.round != self._round:
            self._round, self._round_start = counts.round, now
        speed = budget.completion_tokens / max(now - self._start, 1e-9)
        parts = [
            f"round {counts.round}: {counts.done}/{counts.pool} done, {counts.kept} kept",
            f"{budget.in_flight} in flight",
            f"{speed:,.0f} tokens/s",
        ]
        if waits := self._waits():
            parts.append(waits)
        if counts.verifying:
            parts.append(f"{counts.verifying} being verified")
        if budget.spent.usd:
            parts.append(f"${budget.spent.usd:.2f}")
        if budget.possible.tokens:
            parts.append(f"possibly billed: {_spending_text(budget.possible)}")
        if counts.drops:
            reasons = ", ".join(f"{reason} {n}" for reason, n in counts.drops.most_common(3))
            parts.append(f"dropped {counts.drops.total()} ({reasons})")
        if (remaining := self._remaining_s(now)) is not None:
            parts.append(f"{_duration(remaining)} left in this round")
        return " · ".join(parts)

    def _remaining_s(self, now: float) -> float | None:
        """Extrapolate the seconds left in this round; None before the first task and at the end."""
        if not 0 < self._counts.done < self._counts.pool:
            return None
        each = (now - self._round_start) / self._counts.done
        return each * (self._counts.pool - self._counts.done)


def _spending_text(spent: Spending) -> str:
    return f"${spent.usd:.2f}" if spent.usd else f"{spent.tokens:,} tokens"


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
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def _print_periodically(text: Callable[[], str]) -> None:
    while True:
        await asyncio.sleep(PLAIN_S)
        print_line(text())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
