"""Content-addressed completion cache on disk, shared by runs and processes.

A completion is committed within about 20 ms, so a killed run finds it again. Processes may share
the file, and equal requests in flight are sent once. The key covers the engine's identity, model,
messages, sampling parameters and seed.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evolcoder.engine.base import Completion, Engine, Request, request_key
from evolcoder.errors import ModelError
from evolcoder.storage import atomic
from evolcoder.storage.database import COUNT, TEXT, Columns, Database

MIGRATIONS: Sequence[str] = (
    """CREATE TABLE completions (
        key TEXT PRIMARY KEY, text TEXT NOT NULL, reasoning TEXT NOT NULL, finish TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    )""",
)

RECENT = 1024
"""Completions kept in memory, which include those not committed yet."""

_INSERT = "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = (
    "SELECT text, reasoning, finish, prompt_tokens, completion_tokens FROM completions WHERE key=?"
)


_COMPLETION = Columns(
    text=TEXT, reasoning=TEXT, finish=TEXT, prompt_tokens=COUNT, completion_tokens=COUNT
)
REMEDY = "delete it to start a new one; requests made again are paid for again"


class CompletionCache:
    """The cache file; several engines may share it."""

    def __init__(self, path: Path) -> None:
        atomic.make_folder(path.parent, error=ModelError)
        self._db = Database(path, MIGRATIONS, remedy=REMEDY)
        self._recent: dict[str, Completion] = {}

    def get(self, key: str) -> Completion | None:
        """Return the cached completion, or None."""
        if (recent := self._recent.get(key)) is not None:
            return recent
        return next(self._db.each(_completion_from, _SELECT, (key,)), None)

    def put(self, key: str, completion: Completion) -> None:
        """Queue a completion for the next commit."""
        c = completion
        self._recent[key] = c
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        self._db.write(
            _INSERT, (key, c.text, c.reasoning, c.finish, c.prompt_tokens, c.completion_tokens)
        )

    def flush(self) -> None:
        """Wait until everything queued is committed."""
        self._db.flush()

    def close(self) -> None:
        """Commit and close the file."""
        self._db.close()


def _completion_from(columns: Sequence[Any]) -> Completion:
    return Completion(*_COMPLETION.validate(columns))


class CachedEngine:
    """Asks `inner` only for completions that are not cached."""

    def __init__(self, inner: Engine, cache: CompletionCache) -> None:
        self.identity = inner.identity
        self._inner = inner
        self._cache = cache
        self._in_flight: dict[str, asyncio.Future[Completion]] = {}

    async def complete(self, request: Request) -> Completion:
        """Return the cached completion, wait for an equal request in flight, or ask."""
        key = request_key(self.identity, request)
        while (pending := self._in_flight.get(key)) is not None:
            await asyncio.wait([pending])
            # If the requester was cancelled, one of the waiting callers asks instead.
            if not pending.cancelled():
                return pending.result()
        stored = self._cache.get(key)
        if stored is not None and not stored.broke_off:
            # Earlier versions stored some notations of thinking as part of the text.
            return Completion.of(
                stored.text, stored.reasoning, stored.finish,
                sent=stored.prompt_tokens, received=stored.completion_tokens,
            )  # fmt: skip
        return await self._ask(key, request)

    async def aclose(self) -> None:
        """Close the wrapped engine; the cache is closed by its owner."""
        await self._inner.aclose()

    async def _ask(self, key: str, request: Request) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = future
        try:
            completion = await self._inner.complete(request)
            # One that broke off would do so again from here: the next run asks for it.
            if not completion.broke_off:
                self._cache.put(key, completion)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()
            raise
        else:
            future.set_result(completion)
            return completion
        finally:
            del self._in_flight[key]
