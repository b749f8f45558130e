"""Shows how a run goes, on stderr: a live line on a terminal, a plain line now and then elsewhere.

>>> async with shown(rounds.tally, meter):   # doctest: +SKIP
...     await rounds.run()
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TextIO

from evolcoder.engine.budget import Budget
from evolcoder.pipeline import RoundCounts
from evolcoder.text import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress

PLAIN_S = 10.0
"""Seconds between two lines where there is no terminal."""
MB = 1_000_000


@contextlib.asynccontextmanager
async def shown(tally: RoundCounts, meter: Budget) -> AsyncIterator[None]:
    """Show a run's progress for as long as the block runs, and once more at its end."""
    async with shown_text(_Line(tally, meter).text):
        yield


@contextlib.asynccontextmanager
async def shown_text(text: Callable[[], str]) -> AsyncIterator[None]:
    """Show what `text` says now for as long as the block runs, and once more at its end."""
    if sys.stderr.isatty():
        with _live(text):
            yield
        return
    task = asyncio.create_task(_say_now_and_then(text))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        _say(text())


def _live(text: Callable[[], str]) -> "Live":
    from rich.console import Console  # noqa: PLC0415 - only terminals need it
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    return Live(
        console=Console(file=terminal()),
        refresh_per_second=2,
        get_renderable=lambda: Text(visible(text())),
        redirect_stdout=False,  # both pass through `visible` as they are
        redirect_stderr=False,
    )


class _Line:
    """The state of a run in one line; speeds are over the time since the start."""

    def __init__(self, tally: RoundCounts, meter: Budget) -> None:
        self._tally = tally
        self._meter = meter
        self._start = time.monotonic()
        self._round = -1
        self._round_start = self._start

    def text(self) -> str:
        tally, meter = self._tally, self._meter
        now = time.monotonic()
        if tally.round != self._round:
            self._round, self._round_start = tally.round, now
        speed = meter.completion_tokens / max(now - self._start, 1e-9)
        parts = [
            f"round {tally.round}: {tally.done}/{tally.pool} done, {tally.kept} kept",
            f"{meter.in_flight} in flight",
            f"{speed:,.0f} tokens/s",
        ]
        if tally.verifying:
            parts.append(f"{tally.verifying} being verified")
        if meter.spent.usd:
            parts.append(f"${meter.spent.usd:.2f}")
        if tally.drops:
            worst = ", ".join(f"{reason} {n}" for reason, n in tally.drops.most_common(3))
            parts.append(f"dropped {tally.drops.total()} ({worst})")
        if (left := self._left_s(now)) is not None:
            parts.append(f"{_duration(left)} left in this round")
        return " · ".join(parts)

    def _left_s(self, now: float) -> float | None:
        """Guess the seconds that this round still takes, or None when there is no basis."""
        if not 0 < self._tally.done < self._tally.pool:
            return None
        each = (now - self._round_start) / self._tally.done
        return each * (self._tally.pool - self._tally.done)


class Download:
    """Shows how far a download is; a Progress of `engine.models`."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._percent = -1

    def __call__(self, label: str, done: int, total: int) -> None:
        """Show a bar on a terminal, and every tenth part on a line elsewhere."""
        if sys.stderr.isatty():
            self._draw(label, done, total)
        elif 10 * done // total != self._percent:
            self._percent = 10 * done // total
            _say(f"{label}: {10 * self._percent} % of {total / MB:,.0f} MB")

    def _draw(self, label: str, done: int, total: int) -> None:
        if self._bar is None:
            from rich import progress  # noqa: PLC0415 - only terminals need it
            from rich.console import Console  # noqa: PLC0415

            name = progress.TextColumn("{task.description}", markup=False)
            columns = (name, progress.BarColumn())
            sizes = (progress.DownloadColumn(), progress.TransferSpeedColumn())
            console = Console(file=terminal())
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


def terminal() -> TextIO:
    """Return standard error as it is, for who draws on it; outside text goes through `visible`."""
    stream: TextIO = getattr(sys.stderr, "unfiltered", sys.stderr)
    return stream


def note(text: str) -> None:
    """Print a note in one line on standard error."""
    line(f"evolcoder: {' '.join(text.split())}")


def line(text: str) -> None:
    """Print a line on standard error."""
    print(text, file=sys.stderr, flush=True)


async def _say_now_and_then(text: Callable[[], str]) -> None:
    while True:
        await asyncio.sleep(PLAIN_S)
        _say(text())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
