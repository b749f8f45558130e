"""What went wrong with one request, and whether, when and how often it is worth another try.

The only retries of the whole program. Waits grow exponentially with full jitter, and come on top of
what the server asks for in Retry-After. A request is given up

- at once, when the server rejects it: another try would be rejected too;
- after `traffic.max_tries` tries that the server failed at;
- after `traffic.max_retry_s` seconds in any case. While the server is away (nobody listens, a proxy
  says that nobody does) or asks to wait (429), this alone counts, so that a server may be
  restarted in the middle of a run.
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
"""Longest first wait; the longest wait doubles with every try."""
MAX_BACKOFF_S = 20.0
"""The longest wait stays at this, so that a server that returns is soon noticed."""
MAX_RETRY_AFTER_S = 120.0
"""Longest wait that a server may ask for; some ask for a day."""


class RetryClass(Enum):
    """What another try is worth."""

    FATAL = auto()
    """No request can succeed until the user mends something."""
    NOTHING = auto()
    """This request was rejected for what it holds."""
    ONCE = auto()
    """One more try, in case it was an accident."""
    TRIES = auto()
    """The server failed; it may do better."""
    TIME = auto()
    """The server is away or asks to wait."""


@dataclass(frozen=True, slots=True)
class RequestFault:
    """One try that brought no completion."""

    what: str
    """What happened, in a few words."""
    got: str
    """What the server said, if it said something."""
    worth: RetryClass
    """What another try is worth."""
    wait_s: float = 0.0
    """Seconds that the server asks to wait."""
    overload: bool = False
    """Whether fewer requests at once would help."""


class RetryState:
    """How much one request has left; made at its first fault."""

    def __init__(self, traffic: TrafficConfig, *, now: float, backoff_s: float) -> None:
        self.n_tries = 0
        self._bounds = {
            RetryClass.FATAL: 1,
            RetryClass.NOTHING: 1,
            RetryClass.ONCE: 2,
            RetryClass.TRIES: traffic.max_tries,
            RetryClass.TIME: math.inf,
        }
        self._seen: Counter[RetryClass] = Counter()
        self._until = now + traffic.max_retry_s
        self._backoff_s = backoff_s

    def wait_s(self, fault: RequestFault, now: float) -> float | None:
        """Return how long to wait before the next try, or None to give up."""
        longest = min(MAX_BACKOFF_S, self._backoff_s * 2.0 ** min(self.n_tries, 30))
        self.n_tries += 1
        self._seen[fault.worth] += 1
        if self._seen[fault.worth] >= self._bounds[fault.worth]:
            return None
        wait_s = fault.wait_s + random.uniform(0.0, longest)
        return wait_s if now + wait_s <= self._until else None


def retry_after_s(header: str | None) -> float:
    """Read Retry-After, seconds or an HTTP date, as seconds from now; nonsense is no wait."""
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
