"""Classifies failed requests and decides whether and when to retry.

This is the only retry layer. Delays grow exponentially with full jitter, on top of the server's
Retry-After. A request is given up

- at once if the server rejects it;
- after `traffic.max_tries` failures of the server;
- after `traffic.max_retry_s` seconds in any case. While the server is unreachable (connection
  refused, or gateway errors) or rate-limits us (429), only this bound applies, so a server may be
  restarted during a run.
"""

import email.utils
import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto

from evolcoder.config.load import TrafficConfig

BACKOFF_S = 0.5
"""Upper bound of the first delay; it doubles with every attempt."""
MAX_BACKOFF_S = 20.0
"""Maximum of that bound, so that a recovered server is noticed soon."""
MAX_RETRY_AFTER_S = 120.0
"""Maximum Retry-After that is honoured; some servers ask for a day."""


class RetryClass(Enum):
    """How a failed request may be retried."""

    FATAL = auto()
    """Never; no request can succeed until the user fixes the setup."""
    REJECTED = auto()
    """Never; the server rejected the content of this request."""
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
    """Retry-After in seconds."""
    overload: bool = False
    """Whether sending fewer concurrent requests would help."""
    possibly_billed: bool = False
    """Whether the request was sent and the server may have worked on it."""


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


def retry_after_s(header: str | None) -> float:
    """Parse Retry-After (seconds or an HTTP date) as seconds from now; 0.0 if invalid."""
    if not header:
        return 0.0
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else 0.0
