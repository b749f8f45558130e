"""Completions on disk by content, shared by runs and processes: what was paid for is asked once.

Promises: a completion is committed within about 20 ms of its arrival, so that a killed run finds
it again; two processes may share the file; two equal requests in flight become one. Keys cover the
engine's identity, the model, every message, the sampling and the seed.
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
"""Completions kept at hand: those that wait for their commit are among them."""

_INSERT = "INSERT OR IGNORE INTO completions VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = (
    "SELECT text, reasoning, finish, prompt_tokens, completion_tokens FROM completions WHERE key=?"
)


_COMPLETION = Columns(
    text=TEXT, reasoning=TEXT, finish=TEXT, prompt_tokens=COUNT, completion_tokens=COUNT
)
REMEDY = "delete it, and it is made anew: what is asked again is paid for again"


class CompletionCache:
    """The file of completions; several engines may share one."""

    def __init__(self, path: Path) -> None:
        atomic.make_folder(path.parent, error=ModelError)
        self._db = Database(path, MIGRATIONS, remedy=REMEDY)
        self._recent: dict[str, Completion] = {}

    def get(self, key: str) -> Completion | None:
        """Look a completion up."""
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
        """Wait until all that was put is committed."""
        self._db.flush()

    def close(self) -> None:
        """Commit and let go of the file."""
        self._db.close()


def _completion_from(columns: Sequence[Any]) -> Completion:
    return Completion(*_COMPLETION.checked(columns))


class CachedEngine:
    """An engine that asks `inner` only for what the cache does not hold."""

    def __init__(self, inner: Engine, cache: CompletionCache) -> None:
        self.identity = inner.identity
        self._inner = inner
        self._cache = cache
        self._in_flight: dict[str, asyncio.Future[Completion]] = {}

    async def complete(self, request: Request) -> Completion:
        """Return the stored completion, join an equal request in flight, or ask."""
        key = request_key(self.identity, request)
        while (pending := self._in_flight.get(key)) is not None:
            await asyncio.wait([pending])
            # Cancelled with whoever asked: then it is for one of those who joined to ask.
            if not pending.cancelled():
                return pending.result()
        if (stored := self._cache.get(key)) is not None:
            return stored
        return await self._ask(key, request)

    async def aclose(self) -> None:
        """Close the engine underneath; the cache belongs to whoever opened it."""
        await self._inner.aclose()

    async def _ask(self, key: str, request: Request) -> Completion:
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = future
        try:
            completion = await self._inner.complete(request)
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
