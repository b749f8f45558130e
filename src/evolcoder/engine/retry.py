"""Classifies failed requests and decides whether and when to retry.

This is the only retry layer. Delays grow exponentially with full jitter, on top of the server's
Retry-After. A request is given up

- at once if the server rejects it (whose fault that is, `evidence` decides);
- after `traffic.max_tries` failures of the server;
- after `traffic.max_retry_s` seconds in any case. While the server is unreachable (connection
  refused, or gateway errors), overloaded, or rate-limits us, only this bound applies, so a server
  may be restarted during a run.

An engine awaits each try of a request through `metered`, and calls `renew_reservation` before the
next one. `MeteredEngine` charges the tries by a `TryMeter`, which `metering` puts into the context,
so that engines do not depend on budgets. Without one, tries are not charged.
"""

import asyncio
import datetime as dt
import email.utils
import math
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, TypeVar

from evolcoder.config.load import TrafficConfig
from evolcoder.errors import Fault

T = TypeVar("T")
BACKOFF_S = 0.5
"""Upper bound of the first delay; it doubles with every attempt."""
MAX_BACKOFF_S = 20.0
"""Maximum of that bound, so that a recovered server is noticed soon."""
MAX_RETRY_AFTER_S = 120.0
"""Maximum Retry-After that is honoured; some servers ask for a day."""


_EPOCH_S = 1e9
"""Larger numbers are moments, not durations."""
_UNIT_S = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_IN_MESSAGE = re.compile(
    r"(?:try again|retry|wait)(?: again)? (?:in|after|for) (?:about )?"
    r"((?:\d+(?:\.\d+)?(?:ms|s|m|h))+|\d+(?:\.\d+)?)(?=[\s.,;:]|$)",
    re.IGNORECASE,
)
"""A delay in an error message, such as `try again in 1.5s`."""


class RetryClass(Enum):
    """How a failed request may be retried."""

    FATAL = auto()
    """Never; no request can succeed until the user fixes the set-up."""
    REJECTED = auto()
    """Never; the server rejected this request, or all (see `evidence`)."""
    ONCE = auto()
    """Once, in case the failure was random."""
    SERVER_ERROR = auto()
    """Up to `max_tries`; the server failed."""
    UNAVAILABLE = auto()
    """Until `max_retry_s`; the server is unreachable or asks to wait."""


@dataclass(frozen=True, slots=True)
class RequestFault:
    """A failed attempt of a request."""

    what: str
    """What happened, in a few words."""
    got: str
    """The server's message; may be empty."""
    retry_class: RetryClass
    """How it may be retried."""
    wait_s: float = 0.0
    """Seconds that the server asks to wait."""
    overload: bool = False
    """Whether sending fewer concurrent requests would help."""
    hint: Fault | None = None
    """Whose fault the server's words name; None if they name none."""
    advice: str = ""
    """What is wrong and what to do if the set-up is at fault; may be empty."""
    possibly_billed: bool = False
    """Whether the server may have billed it: it was sent, then timed out or was disconnected."""
    timed_out: bool = False
    """Whether no answer came in time: it may still have waited for its turn."""
    cut: bool = False
    """Whether the server refused or closed the connection: it may have died."""

    @property
    def is_retried(self) -> bool:
        """Whether the same request may succeed later."""
        return self.retry_class in {RetryClass.SERVER_ERROR, RetryClass.UNAVAILABLE}


class RetryState:
    """Retry state of one request; created at its first failure."""

    def __init__(self, traffic: TrafficConfig, *, now: float, backoff_s: float) -> None:
        self.n_tries = 0
        self._max_tries = {
            RetryClass.FATAL: 1,
            RetryClass.REJECTED: 1,
            RetryClass.ONCE: 2,
            RetryClass.SERVER_ERROR: traffic.max_tries,
            RetryClass.UNAVAILABLE: math.inf,
        }
        self._n_failures: Counter[RetryClass] = Counter()
        self._deadline = now + traffic.max_retry_s
        self._backoff_s = backoff_s

    def wait_s(self, fault: RequestFault, now: float) -> float | None:
        """Return the delay in seconds before the next attempt, or None to give up."""
        max_delay = min(MAX_BACKOFF_S, self._backoff_s * 2.0 ** min(self.n_tries, 30))
        self.n_tries += 1
        self._n_failures[fault.retry_class] += 1
        if self._n_failures[fault.retry_class] >= self._max_tries[fault.retry_class]:
            return None
        wait_s = fault.wait_s + random.uniform(0.0, max_delay)
        return wait_s if now + wait_s <= self._deadline else None


def server_wait_s(headers: Mapping[str, str], message: str = "") -> float:
    """Return the seconds that a server asks to wait; 0.0 if it does not say.

    `headers` have lower-case names. Sources, in this order: `retry-after-ms`, `retry-after`, the
    rate limit headers, and a delay in the error message.
    """
    try:
        seconds = float(headers.get("retry-after-ms", "")) / 1000
    except ValueError:
        seconds = retry_after_s(headers.get("retry-after")) or _reset_s(headers)
    if not seconds and (found := _IN_MESSAGE.search(message)):
        seconds = _seconds(found[1])
    return _bounded(seconds)


def retry_after_s(header: str | None) -> float:
    """Parse a time to wait as seconds from now; 0.0 if invalid.

    Accepts seconds, a duration such as `6m0s`, a date, and seconds or milliseconds of the epoch.
    """
    return _bounded(_seconds(header or ""))


def _reset_s(headers: Mapping[str, str]) -> float:
    """Return the seconds until the rate limits that are used up are reset.

    If the headers name no limit as used up, the shortest reset counts.
    """
    resets = [
        (_remaining(headers, name), _seconds(value))
        for name, value in headers.items()
        if "ratelimit" in name and "reset" in name
    ]
    used_up = [seconds for left, seconds in resets if left is not None and left <= 0]
    others = [seconds for _, seconds in resets if seconds > 0]
    return max(used_up) if used_up else min(others, default=0.0)


def _remaining(headers: Mapping[str, str], reset: str) -> float | None:
    """Return the allowance that is left of the limit that a reset header belongs to."""
    name = reset.replace("reset-after", "reset").replace("reset", "remaining")
    try:
        return float(headers[name])
    except (KeyError, ValueError):
        return None


def _seconds(text: str) -> float:
    text = text.strip()
    try:
        return _from_epoch(float(text))
    except ValueError:
        pass
    if _DURATION.fullmatch(text):
        return sum(float(n) * _UNIT_S[unit] for n, unit in _PART.findall(text))
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        pass
    try:
        return dt.datetime.fromisoformat(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


def _from_epoch(number: float) -> float:
    """Convert a moment, given in seconds or milliseconds of the epoch, to seconds from now."""
    if number >= _EPOCH_S * 1000:
        number /= 1000
    return number - time.time() if number >= _EPOCH_S else number


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else 0.0


class TryMeter(Protocol):
    """Charges the tries of one request."""

    def try_sent(self) -> None:
        """Count one try as in flight."""
        ...

    def try_ended(self, *, unanswered: bool) -> None:
        """End one try; book it as possibly billed if it was not answered."""
        ...

    async def renew(self) -> None:
        """Reserve the cost of another try; may wait, or raise BudgetReached."""
        ...


_meter: ContextVar[TryMeter | None] = ContextVar("meter", default=None)


class metering:  # noqa: N801 - used like a function; each request passes here
    """Charge the tries made in a block to a meter."""

    __slots__ = ("_meter", "_token")

    def __init__(self, meter: TryMeter) -> None:
        self._meter = meter

    def __enter__(self) -> None:
        self._token = _meter.set(self._meter)

    def __exit__(self, *_: object) -> None:
        _meter.reset(self._token)


async def metered(attempt: Awaitable[T | RequestFault]) -> T | RequestFault:
    """Await one try; it counts as unanswered if its fault says so, or if it is cancelled."""
    meter = _meter.get()
    if meter is None:
        return await attempt
    meter.try_sent()
    unanswered = True
    try:
        outcome = await attempt
        unanswered = isinstance(outcome, RequestFault) and outcome.possibly_billed
    finally:
        meter.try_ended(unanswered=unanswered)
    return outcome


async def retried(
    attempt: Callable[..., Awaitable[T | RequestFault]],
    traffic: TrafficConfig,
    *,
    backoff_s: float,
    error: Callable[[RequestFault, int], Exception],
) -> T:
    """Attempt a request until it succeeds or is given up.

    `attempt` gets `is_retry`, whether it is another try; `error` makes the exception to raise
    of the last fault and the number of tries.
    """
    outcome = await attempt(is_retry=False)
    if not isinstance(outcome, RequestFault):
        return outcome
    clock = asyncio.get_running_loop().time
    retries = RetryState(traffic, now=clock(), backoff_s=backoff_s)
    while isinstance(outcome, RequestFault):
        wait_s = retries.wait_s(outcome, clock())
        if wait_s is None:
            raise error(outcome, retries.n_tries)
        await asyncio.sleep(wait_s)
        await renew_reservation()
        outcome = await attempt(is_retry=True)
    return outcome


async def renew_reservation() -> None:
    """Reserve the cost of another try."""
    if (meter := _meter.get()) is not None:
        await meter.renew()
