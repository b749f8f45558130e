"""Content-addressed completion cache on disk, shared by runs and processes.

A completion is committed within about 20 ms, so a killed run finds it again. Processes may share
the file, and equal requests in flight are sent once. The key covers model, messages, sampling
parameters, seed and extras, and a file's digest, but not the address of a server. Completions that
earlier versions stored under the address of a server are found by requests to that address.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from evolcoder.engine.base import (
    LENGTH,
    STOP,
    Completion,
    Engine,
    Request,
    key_identity,
    request_key,
)
from evolcoder.errors import ModelError
from evolcoder.reasoning import may_hold
from evolcoder.storage import atomic
from evolcoder.storage.database import COUNT, TEXT, Columns, Database

MIGRATIONS: Sequence[str] = (
    """CREATE TABLE completions (
        key TEXT PRIMARY KEY, text TEXT NOT NULL, reasoning TEXT NOT NULL, finish TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    )""",
    """
    ALTER TABLE completions ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE completions ADD COLUMN cache_write_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE completions ADD COLUMN reasoning_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE completions ADD COLUMN model TEXT NOT NULL DEFAULT ''
    """,
)

GRACE_S = 30.0
"""Maximum seconds for which a command that fails waits for its requests in flight: they are paid
for. An interrupted command does not wait."""
RECENT = 1024
"""Completions kept in memory, which include those not committed yet."""

_COLUMNS = {
    "text": TEXT,
    "reasoning": TEXT,
    "finish": TEXT,
    "prompt_tokens": COUNT,
    "completion_tokens": COUNT,
    "cached_tokens": COUNT,
    "cache_write_tokens": COUNT,
    "reasoning_tokens": COUNT,
    "model": TEXT,
}
"""The columns after `key`, in the order of the fields of a Completion."""
_COMPLETION = Columns(**_COLUMNS)
_INSERT = f"INSERT OR REPLACE INTO completions VALUES (?{', ?' * len(_COLUMNS)})"
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM completions WHERE key=?"
REMEDY = "delete it to start a new one; requests made again are paid for again"


class CompletionCache:
    """The cache file; several engines may share it."""

    def __init__(self, path: Path, before_commit: Callable[[], None] | None = None) -> None:
        """`before_commit` is called before completions are committed, to book them first.

        Otherwise a process that is killed in between would find them and never book them.
        """
        atomic.make_folder(path.parent, error=ModelError)
        self._db = Database(path, MIGRATIONS, remedy=REMEDY, before_commit=before_commit)
        self._recent: dict[str, Completion] = {}
        self.had_rows = self._db.number("SELECT EXISTS (SELECT 1 FROM completions)") > 0
        """Whether the file had completions when it was opened, maybe of an earlier version."""

    def get(self, key: str) -> Completion | None:
        """Return the cached completion, or None."""
        if (recent := self._recent.get(key)) is not None:
            return recent
        return next(self._db.each(_completion_from, _SELECT, (key,)), None)

    def put(self, key: str, completion: Completion) -> None:
        """Queue a completion for the next commit."""
        self._recent[key] = completion
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        self._db.write(_INSERT, (key, *_columns_of(completion)))

    def flush(self) -> None:
        """Wait until everything queued is committed."""
        self._db.flush()

    def close(self) -> None:
        """Commit and close the file."""
        self._db.close()


_columns_of = attrgetter(*_COLUMNS)


def _completion_from(columns: Sequence[Any]) -> Completion:
    return Completion(*_COMPLETION.validate(columns))


class CachedEngine:
    """Asks `inner` only for completions that are not cached.

    A request that is sent is finished into the cache, also if its caller is cancelled; `drain`
    bounds the time that this takes.
    """

    def __init__(self, inner: Engine, cache: CompletionCache) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner
        self._cache = cache
        self._in_flight: dict[str, asyncio.Task[Completion]] = {}

    @property
    def n_in_flight(self) -> int:
        """Requests in flight, equal ones counted once."""
        return len(self._in_flight)

    async def complete(self, request: Request) -> Completion:
        """Return the cached completion, wait for an equal request in flight, or ask."""
        key = request_key(self.key_identity, request)
        pending = self._in_flight.get(key)
        if pending is None:
            stored = self._cache.get(key)
            if stored is None:
                stored = self._stored_by_address(request)
                if stored is not None and not stored.broke_off:
                    self._cache.put(key, stored)
            if stored is not None and not stored.broke_off:
                return _split(stored)
            pending = asyncio.create_task(self._ask(key, request))
            self._in_flight[key] = pending
            pending.add_done_callback(partial(self._finish, key))
        return await asyncio.shield(pending)

    async def drain(self, grace_s: float) -> None:
        """Wait at most `grace_s` for the requests in flight, then cancel those that are left."""
        tasks = list(self._in_flight.values())
        try:
            if tasks and grace_s > 0:
                await asyncio.wait(tasks, timeout=grace_s)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Cancel what is in flight and close the wrapped engine; the cache stays open."""
        await self.drain(0.0)
        await self._inner.aclose()

    def _stored_by_address(self, request: Request) -> Completion | None:
        """Return what an earlier version stored for this address; it knew no extras."""
        if not self._cache.had_rows or self.key_identity == self.identity:
            return None
        if request.extra_body or request.headers:
            return None
        return self._cache.get(request_key(self.identity, request))

    async def _ask(self, key: str, request: Request) -> Completion:
        completion = _split(await self._inner.complete(request))
        # One that broke off would do so again from here: the next run asks for it.
        if not completion.broke_off:
            self._cache.put(key, completion)
        return completion

    def _finish(self, key: str, task: asyncio.Task[Completion]) -> None:
        """Forget a finished request; its error is seen, since its callers may be cancelled."""
        del self._in_flight[key]
        if not task.cancelled():
            task.exception()


def _split(stored: Completion) -> Completion:
    """Split off thinking in the text: of a user's engine, or as earlier versions stored it."""
    is_plain = stored.text.isascii() and "\0" not in stored.text and stored.finish in {STOP, LENGTH}
    if is_plain and not may_hold(stored.text):
        return stored
    found = Completion.of(
        stored.text,
        stored.reasoning,
        stored.finish,
        sent=stored.prompt_tokens,
        received=stored.completion_tokens,
    )
    return replace(stored, text=found.text, reasoning=found.reasoning, finish=found.finish)
