"""Several OpenAI-compatible servers of one model as one engine.

A request goes to the server with the fewest outstanding tokens; among servers with nearly as few,
to the one that had requests with the same beginning, whose cache may hold it. A server that refuses
or closes connections is left out, and its requests are sent once more, each to another server. It
is asked again after a pause. Retries are those of `retry`; limits of `traffic` hold per server.

Guarantees: a request that was answered is not sent again. Without any server left, requests wait as
for a single one that is unreachable.
Not guaranteed: that a request is computed once. A server may die after it computed an answer.

>>> ServerPool([OpenAIEngine(url, ...) for url in urls], traffic, note=print)   # doctest: +SKIP
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from evolcoder.config.load import TrafficConfig
from evolcoder.engine import openai_schema
from evolcoder.engine.base import Completion, Request
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.retry import BACKOFF_S, RequestFault, renew_reservation, retried
from evolcoder.errors import ModelError

PREFIX_CHARS = 2048
"""Characters of a chat that count as its beginning."""
SLACK_REQUESTS = 4
"""A server that knows the beginning is preferred while it has at most so many requests' tokens more
than the least busy one."""
PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
"""Pause before a server that was left out is asked again; it doubles up to the maximum."""


@dataclass(slots=True, eq=False)
class _Server:
    """A server and its load."""

    engine: OpenAIEngine
    """Its client."""
    outstanding: int = 0
    """Tokens of the requests that it has, prompts and longest answers together."""
    n_requests: int = 0
    """Number of these requests."""
    is_up: bool = True
    """Whether requests are sent to it."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it has no requests."""


class ServerPool:
    """Engine that shares requests out among servers; belongs to one event loop."""

    def __init__(
        self,
        servers: Sequence[OpenAIEngine],
        traffic: TrafficConfig,
        note: Callable[[str], None],
        *,
        identity: str = "",
        backoff_s: float = BACKOFF_S,
    ) -> None:
        """`identity`: what stands for the servers in records; default: their URLs."""
        self.identity = identity or ",".join(server.identity for server in servers)
        self.key_identity = servers[0].key_identity
        self._servers = [_Server(server) for server in servers]
        self._traffic = traffic
        self._note = note
        self._backoff_s = backoff_s
        self._streams = False
        self._n_streamed_before = 0
        """Tokens of servers that were removed."""
        self._revivals: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"ServerPool({self.identity!r})"

    @property
    def billions(self) -> dict[str, float]:
        """Billions of parameters, of the models of which a server states them."""
        return {name: n for server in self._servers for name, n in server.engine.billions.items()}

    @property
    def n_servers(self) -> int:
        """Servers, those that are left out included."""
        return len(self._servers)

    @property
    def n_streamed(self) -> int:
        """Tokens received so far from servers that stream."""
        return self._n_streamed_before + sum(one.engine.n_streamed for one in self._servers)

    @property
    def trouble(self) -> str:
        """Why the last try at a server failed; empty if none did."""
        return next(filter(None, (one.engine.trouble for one in self._servers)), "")

    @property
    def streams(self) -> bool:
        """Whether a display shows tokens as they arrive."""
        return self._streams

    @streams.setter
    def streams(self, is_wanted: bool) -> None:
        self._streams = is_wanted
        for one in self._servers:
            one.engine.streams = is_wanted

    @property
    def outstanding(self) -> dict[str, int]:
        """Outstanding tokens by server, of those that are not left out."""
        return {one.engine.identity: one.outstanding for one in self._servers if one.is_up}

    async def complete(self, request: Request) -> Completion:
        """Answer one request, by any server."""
        last = [self._servers[0]]
        return await retried(
            partial(self._attempt, request, last),
            self._traffic,
            backoff_s=self._backoff_s,
            error=lambda fault, n_tries: last[0].engine.error(fault, request.model, n_tries),
        )

    async def probe(self, model: str) -> None:
        """Check all servers and keys; raises ModelError if no server answers or one rejects us.

        Servers that do not answer yet are left out, and asked again later.
        """
        found = await asyncio.gather(*(_probe(one.engine, model) for one in self._servers))
        refused = [error for error in found if error is not None]
        if len(refused) == len(self._servers):
            raise refused[0]
        for server, error in zip(self._servers, found, strict=True):
            if error is not None:
                if "cannot be reached" not in str(error):
                    raise error
                self._leave_out(server, model)

    def add(self, server: OpenAIEngine) -> None:
        """Send requests to one more server."""
        server.streams = self._streams
        self._servers.append(_Server(server))

    async def cut_off(self, server: OpenAIEngine) -> None:
        """Send no more requests to a server that has ended; those that it has go to another.

        Without another they are tried again until there is one, as with a server that is
        unreachable.
        """
        for found in self._servers:
            if found.engine is server:
                found.is_up = False
        await server.cut_off()

    async def remove(self, server: OpenAIEngine, grace_s: float) -> None:
        """Send no more requests to a server, wait for those that it has, and close its client.

        After `grace_s` seconds its requests are cut off, and go to another server.
        """
        found = next((one for one in self._servers if one.engine is server), None)
        if found is None:
            return
        self._servers.remove(found)
        self._n_streamed_before += server.n_streamed
        found.is_up = False
        if found.n_requests:
            found.idle.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(found.idle.wait(), grace_s)
        await server.cut_off()
        if found.n_requests:
            found.idle.clear()
            await found.idle.wait()

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        for task in self._revivals:
            task.cancel()
        await asyncio.gather(*self._revivals, return_exceptions=True)
        await asyncio.gather(*(one.engine.aclose() for one in self._servers))

    async def _attempt(
        self, request: Request, last: list[_Server], *, is_retry: bool
    ) -> Completion | RequestFault:
        """Try a server, and if it has died meanwhile, another one."""
        last[0] = first = self._choose(request)
        outcome = await self._ask(first, request, is_retry=is_retry)
        if not (isinstance(outcome, RequestFault) and outcome.cut):
            return outcome
        self._leave_out(first, request.model)
        if not any(one.is_up for one in self._servers if one is not first):
            return outcome
        await renew_reservation()
        last[0] = second = self._choose(request, without=first)
        outcome = await self._ask(second, request, is_retry=True)
        if isinstance(outcome, RequestFault) and outcome.cut:
            self._leave_out(second, request.model)
        return outcome

    async def _ask(
        self, server: _Server, request: Request, *, is_retry: bool
    ) -> Completion | RequestFault:
        n_tokens = _tokens_of(request)
        server.outstanding += n_tokens
        server.n_requests += 1
        try:
            return await server.engine.attempt(request, is_retry=is_retry)
        finally:
            server.outstanding -= n_tokens
            server.n_requests -= 1
            if not server.n_requests:
                server.idle.set()

    def _choose(self, request: Request, without: _Server | None = None) -> _Server:
        """Return the server to ask; one that is left out only if there is no other."""
        others = [one for one in self._servers if one is not without]
        up = [one for one in others if one.is_up] or others or self._servers
        least = min(one.outstanding for one in up)
        prefix = "".join(message.content for message in request.messages)[:PREFIX_CHARS]
        preferred = max(up, key=lambda one: _affinity(prefix, one.engine.identity))
        if preferred.outstanding <= least + SLACK_REQUESTS * _tokens_of(request):
            return preferred
        return min(up, key=lambda one: one.outstanding)

    def _leave_out(self, server: _Server, model: str) -> None:
        """Send no requests to a server until it answers again."""
        if not server.is_up or server not in self._servers:
            return
        server.is_up = False
        n_left = sum(one.is_up for one in self._servers)
        self._note(f"{server.engine.identity} does not answer; {n_left} servers are left")
        task = asyncio.create_task(self._revive(server, model))
        self._revivals.add(task)
        task.add_done_callback(self._revivals.discard)

    async def _revive(self, server: _Server, model: str) -> None:
        """Ask a server for its models after each pause, until it answers."""
        pause_s = PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
            if server not in self._servers or server.engine.is_cut_off:
                return
            if await server.engine.answers(model):
                server.is_up = True
                self._note(f"{server.engine.identity} answers again")
                return


async def _probe(server: OpenAIEngine, model: str) -> ModelError | None:
    try:
        await server.probe(model)
    except ModelError as error:
        return error
    return None


def _tokens_of(request: Request) -> int:
    """Return the most tokens that a request takes."""
    n_characters = openai_schema.count_prompt_characters(request)
    return openai_schema.estimate_tokens(n_characters) + request.sampling.max_tokens


def _affinity(prefix: str, identity: str) -> bytes:
    """Return the rank of a server for a beginning (rendezvous hashing)."""
    key = f"{identity}\n{prefix}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(key, digest_size=8).digest()
