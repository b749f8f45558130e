"""A value that takes long to compute: made again in a thread when what it is made of has changed.

A page shows the last value, or says that there is none yet; it never waits longer than `WAIT_S`. At
most a twentieth of the time is spent on a value that is asked for all the time.

>>> funnel = Latest(lambda: slow_funnel(folder))   # doctest: +SKIP
>>> funnel.get(signature)
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from evolcoder.errors import EvolcoderError, RunFolderError

WAIT_S = 0.1
"""Seconds that a page waits for a first value."""
PAUSE = 20
"""Times the seconds that the last value took before it is made again."""
T = TypeVar("T")


def unreadable(error: OSError) -> str:
    """Say which file cannot be read, and why."""
    return f"{error.filename or 'a file'}: cannot be read: {error.strerror or error}"


class Latest(Generic[T]):
    """The last value of a slow computation."""

    def __init__(self, compute: Callable[[], T]) -> None:
        self._compute = compute
        self._lock = threading.Lock()
        self._is_running = False
        self._made_of: Hashable = None
        self._not_before = 0.0
        self._value: T | None = None
        self._failure: EvolcoderError | sqlite3.Error | None = None
        self._ended = threading.Event()

    def get(self, made_of: Hashable, *, wait_s: float | None = None) -> T | None:
        """Return the last value, or None if there is none yet; raise what its computation raised.

        Another `made_of` than that of the last value has it computed again. A first value is waited
        for `wait_s` seconds, WAIT_S if that is None.
        """
        with self._lock:
            is_due = made_of != self._made_of and time.monotonic() >= self._not_before
            if is_due and not self._is_running:
                self._is_running = True
                self._ended.clear()
                threading.Thread(target=self._run, args=(made_of,), daemon=True).start()
        if self._value is None:
            self._ended.wait(WAIT_S if wait_s is None else wait_s)
        if self._failure is not None:
            raise self._failure
        return self._value

    @property
    def known(self) -> T | None:
        """The last value, if there is one; computes nothing."""
        return self._value

    def _run(self, made_of: Hashable) -> None:
        started = time.monotonic()
        value, failure = self._value, None
        try:
            value = self._compute()
        except (EvolcoderError, sqlite3.Error) as error:
            failure = error
        except OSError as error:
            failure = RunFolderError(unreadable(error))
        now = time.monotonic()
        with self._lock:
            self._value, self._failure, self._made_of = value, failure, made_of
            self._not_before = now + PAUSE * (now - started)
            self._is_running = False
        self._ended.set()
