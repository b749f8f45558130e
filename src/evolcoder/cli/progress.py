"""Shows how a run goes, on stderr: a live line on a terminal, a plain line now and then elsewhere.

>>> async with shown(rounds.tally, meter):   # doctest: +SKIP
...     await rounds.run()
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

from evolcoder.engine.meter import Meter
from evolcoder.rounds import Tally

LIVE_S = 0.5
PLAIN_S = 10.0
MB = 1_000_000


@contextlib.asynccontextmanager
async def shown(tally: Tally, meter: Meter) -> AsyncIterator[None]:
    """Show progress for as long as the block runs, and once more at its end."""
    live = sys.stderr.isatty()
    line = _Line(tally, meter)
    task = asyncio.create_task(_tick(line, live=live))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        _write(line.text(), live=live, last=True)


class _Line:
    """The state of a run in one line; speeds are over the time since the start."""

    def __init__(self, tally: Tally, meter: Meter) -> None:
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


def download_bar(label: str, done: int, total: int) -> None:
    """Show how far a download is; a Progress of `engine.models`."""
    if sys.stderr.isatty():
        _write(f"{label}: {done / MB:,.0f} of {total / MB:,.0f} MB", live=True, last=done >= total)
    elif done * 10 // total != (done - (1 << 20)) * 10 // total:
        _write(f"{label}: {100 * done // total} % of {total / MB:,.0f} MB", live=False, last=False)


async def _tick(line: _Line, *, live: bool) -> None:
    while True:
        await asyncio.sleep(LIVE_S if live else PLAIN_S)
        _write(line.text(), live=live, last=False)


def _write(text: str, *, live: bool, last: bool) -> None:
    if live:
        end = "\n" if last else ""
        sys.stderr.write(f"\r\x1b[2K{text}{end}")
    else:
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
