"""Engine that sends requests in batches, through the batch endpoint of a server, at half price.

Requests in flight are collected until none has come for `traffic.batch_quiet_s`, planned in a
ledger on disk (`ledger`), and submitted as one batch per 10,000 requests. A process killed at
any instant finds its batches again, so no request that may be answered is sent twice. Requests that
a batch leaves unanswered (expired, cancelled, server errors) are sent again in a new batch, up to
`TRIES` times; a parameter that the model rejects is left out then, as in `engine.openai`.

The engine belongs to one event loop and one model.

>>> engine = BatchEngine(OpenAIBatches(http), ledger, endpoint, "gpt-4o", TrafficConfig())
... # doctest: +SKIP
>>> await engine.start()   # doctest: +SKIP
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace

import orjson

from evolcoder.config.load import TrafficConfig
from evolcoder.engine import openai_schema
from evolcoder.engine.base import Completion, Request, request_key
from evolcoder.engine.batch.ledger import Batch, BatchLedger, Result
from evolcoder.engine.batch.service import BatchService, BatchState
from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.http_errors import (
    classify_error_with_status_200,
    classify_response,
    error_of,
)
from evolcoder.engine.retry import RequestFault, RetryClass
from evolcoder.engine.transport import HttpAnswer
from evolcoder.errors import EngineError, EvolcoderError, Fault, ModelError
from evolcoder.safe_repr import error_text

TRIES = 3
"""Batches in which a request is sent before it is given up."""
MAX_POLL_S = 60.0
"""Maximum seconds between two requests for the status of a batch."""
MAX_BYTES = 48 << 20
"""Maximum size of a batch's requests; providers take 100 MB and more."""
MAX_LOOKS = 5
"""Times that a batch or a part of its results must be missing until it counts as gone: providers
show what was stored with some delay."""
MAX_LIMITED = 20
"""Batches in a row that the server may refuse because too much is enqueued; each is half as large
as the one before."""
_FINAL = frozenset({RetryClass.FATAL, RetryClass.REJECTED})
_TURNS = 3
"""Turns of the event loop in which coroutines that are ready may add their requests."""


class BatchEngine:
    """Answers requests by batches; safe for concurrent use by coroutines of one event loop."""

    def __init__(
        self,
        service: BatchService,
        ledger: BatchLedger,
        endpoint: Endpoint,
        model: str,
        traffic: TrafficConfig,
        *,
        note: Callable[[str], None] | None = None,
    ) -> None:
        """`note` shows a line to the user."""
        self.identity = endpoint.identity
        self.key_identity = endpoint.query
        self._service, self._ledger = service, ledger
        self._endpoint, self._model, self._traffic = endpoint, model, traffic
        self._note = note
        self._unsent = frozenset[str]() if traffic.seeds else frozenset({"seed"})
        self._refused = ledger.refused(self.identity, model)
        self._sent_without: dict[str, frozenset[str]] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._queue: dict[str, Request] = {}
        self._last_arrival = 0.0
        self._collector: asyncio.Task[None] | None = None
        self._following: dict[str, asyncio.Task[None]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._states: dict[str, tuple[Batch, BatchState | None]] = {}
        self._max_requests = service.max_requests
        self._n_limited = 0
        self._one_at_a_time = asyncio.Lock()

    def __repr__(self) -> str:
        return f"BatchEngine({self.identity!r})"

    @property
    def not_sent(self) -> dict[str, tuple[str, ...]]:
        """Parameters that the model rejected and that are no longer sent, by model."""
        return {self._model: tuple(sorted(self._refused))} if self._refused else {}

    @property
    def progress(self) -> str:
        """What the engine waits for, as a short text; empty if it waits for nothing."""
        parts = [f"{len(self._queue)} requests wait for their batch"] if self._queue else []
        for batch, state in self._states.values():
            if state is None:
                parts.append("batch being sent")
            else:
                n_requests = state.n_requests or batch.size
                parts.append(f"batch {state.status} {state.n_done}/{n_requests}")
        return ", ".join(parts)

    async def start(self) -> None:
        """Check the server, and find the batches that an earlier process left.

        Raises ModelError if the server has no batch endpoint.
        """
        await self._service.check()
        for batch in self._ledger.open_batches(self.identity, self._model):
            self._follow(batch)

    async def complete(self, request: Request) -> Completion:
        """Answer one request, which may take as long as the provider's batches do."""
        key = request_key(self.identity, request)
        n_failures = 0
        placed = self._ledger.where(key)
        while True:
            if placed is None or placed[1] is None:
                await self._next_result(key, request, placed[0] if placed else None)
                placed = self._ledger.where(key)
                continue
            outcome = self._read(placed[1], request)
            if isinstance(outcome, Completion):
                # The cache does not keep an answer that broke off, and neither does the ledger.
                (self._ledger.forget if outcome.broke_off else self._ledger.take)(key)
                self._sent_without.pop(key, None)
                return outcome
            self._ledger.forget(key)
            if not self._learn(key, placed[1]):
                n_failures += 1
                if outcome.retry_class in _FINAL or n_failures == TRIES:
                    tries = f"{n_failures} batches" if n_failures > 1 else ""
                    raise error_of(outcome, self._endpoint, self._model, tries=tries)
            placed = None

    async def aclose(self) -> None:
        """Stop waiting; submitted batches continue at the provider."""
        tasks = [*self._sending, *self._following.values()]
        tasks += [self._collector] if self._collector else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for future in self._waiting.values():
            future.cancel()
        if self._states and self._note is not None:
            batches = [batch for batch, _ in self._states.values()]
            n_requests = sum(batch.size for batch in batches)
            go_on = "go on" if all(batch.id for batch in batches) else "may go on"
            names = ", ".join(batch.id or batch.tag for batch in batches[:3])
            self._note(
                f"{n_requests} requests {go_on} at {self.identity} (batch {names}); "
                f"the same command picks them up"
            )
        self._states.clear()
        await self._service.aclose()
        self._ledger.close()

    async def _next_result(self, key: str, request: Request, tag: str | None) -> None:
        """Wait for the end of a batch with the request: the submitted one `tag`, or a new one."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
            if tag is None:
                self._enqueue(key, request)
            else:
                self._follow_tag(tag, [key])
        await asyncio.shield(future)

    def _enqueue(self, key: str, request: Request) -> None:
        self._queue[key] = request
        self._last_arrival = asyncio.get_running_loop().time()
        if self._collector is None or self._collector.done():
            self._collector = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        """Submit the queued requests whenever no new one has come for a while."""
        clock, quiet_s = asyncio.get_running_loop().time, self._traffic.batch_quiet_s
        while self._queue:
            while len(self._queue) < self._max_requests:
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
                left_s = self._last_arrival + quiet_s - clock()
                if left_s <= 0:
                    break
                await asyncio.sleep(left_s)
            queue, self._queue = self._queue, {}
            for is_raw in (False, True):
                asked = {k: request for k, request in queue.items() if request.is_raw is is_raw}
                for bodies in self._chunks(asked):
                    self._spawn(bodies, is_raw=is_raw)

    def _chunks(self, asked: dict[str, Request]) -> Iterator[dict[str, bytes]]:
        """Serialise requests in parts that a batch can hold."""
        chunk: dict[str, bytes] = {}
        size = 0
        unsent = self._unsent | self._refused
        for key, request in asked.items():
            try:
                body = self._service.body(request, unsent)
            except ModelError as error:
                self._resolve([key], error)
                continue
            except (TypeError, ValueError) as error:
                what = f"the request cannot be written as JSON: {error_text(error)}"
                self._resolve([key], ModelError(f"{self.identity}: {what}"))
                continue
            if chunk and (len(chunk) >= self._max_requests or size + len(body) > MAX_BYTES):
                yield chunk
                chunk, size = {}, 0
            chunk[key] = body
            size += len(body)
            self._sent_without[key] = unsent
        if chunk:
            yield chunk

    async def _send(self, bodies: dict[str, bytes], *, is_raw: bool) -> None:
        """Submit one batch and wait until it is over."""
        if self._max_requests < self._service.max_requests:
            async with self._one_at_a_time:
                await self._submit_and_wait(bodies, is_raw=is_raw)
        else:
            await self._submit_and_wait(bodies, is_raw=is_raw)

    async def _submit_and_wait(self, bodies: dict[str, bytes], *, is_raw: bool) -> None:
        async with self._ledger.submitting():
            batch = self._ledger.plan(self.identity, self._model, [*bodies])
            mine = self._ledger.lines(batch)
            if mine:
                batch = await self._submit(batch, mine, bodies, is_raw=is_raw)
            else:
                self._ledger.discard(batch)
        self._wait_for_others(bodies.keys() - set(mine.values()))
        if mine:
            bodies.clear()
            await asyncio.shield(self._follow(batch))

    async def _submit(
        self, batch: Batch, mine: dict[int, str], bodies: dict[str, bytes], *, is_raw: bool
    ) -> Batch:
        self._states[batch.tag] = (batch, None)
        lines = [(line, bodies[key]) for line, key in sorted(mine.items())]
        try:
            id = await self._service.submit(batch, lines, self._ledger, is_raw=is_raw)
        except ModelError:
            self._states.pop(batch.tag, None)
            self._ledger.discard(batch)
            raise
        except EngineError:
            self._states.pop(batch.tag, None)  # it may be out: the next start looks for it
            raise
        self._ledger.set_id(batch, id)
        return replace(batch, id=id)

    def _wait_for_others(self, keys: Iterable[str]) -> None:
        """Wait for requests that another process has in a batch, or already has the result of."""
        for key in keys:
            placed = self._ledger.where(key)
            if placed is not None and placed[1] is None:
                self._follow_tag(placed[0], [key])
            else:
                self._resolve([key])

    def _follow_tag(self, tag: str, keys: list[str]) -> None:
        if tag in self._following:
            return
        batch = self._ledger.batch(tag)
        if batch is None:  # it ended in the meantime
            self._resolve(keys)
        else:
            self._follow(batch)

    def _follow(self, batch: Batch) -> asyncio.Task[None]:
        """Start to wait for a batch, unless something waits for it already."""
        if batch.tag not in self._following:
            keys = list(self._ledger.lines(batch).values())
            self._states[batch.tag] = (batch, None)
            task = asyncio.create_task(
                self._guarded(keys, lambda: self._wait_for_batch(batch, keys))
            )
            self._following[batch.tag] = task
            task.add_done_callback(lambda _: self._following.pop(batch.tag, None))
        return self._following[batch.tag]

    def _spawn(self, bodies: dict[str, bytes], *, is_raw: bool) -> None:
        task = asyncio.create_task(
            self._guarded(list(bodies), lambda: self._send(bodies, is_raw=is_raw))
        )
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _guarded(self, keys: list[str], work: Callable[[], Awaitable[None]]) -> None:
        """Run `work`; its error is raised by the requests that wait for it."""
        try:
            await work()
        except EvolcoderError as error:
            self._resolve(keys, error)
        except Exception as error:  # noqa: BLE001 - no request may wait for ever
            what = f"the batch could not be processed: {error_text(error)}"
            asked = f"a batch at {self.identity}"
            moment = EngineError(what, asked=asked, retryable=True, hint=Fault.MOMENT)
            self._resolve(keys, moment)

    async def _wait_for_batch(self, batch: Batch, keys: list[str]) -> None:
        """Poll a batch until it is over, and store its results."""
        found = batch if batch.id is not None else await self._find(batch)
        if found is not None and found.id is not None:
            state = await self._poll(found, found.id)
            await self._store(found, state)
        self._states.pop(batch.tag, None)
        self._resolve(keys)

    async def _find(self, batch: Batch) -> Batch | None:
        """Find a batch whose submission was interrupted; discard it if it was not submitted."""
        async with self._ledger.submitting():
            pass  # its process has ended, or has finished submitting
        known = self._ledger.batch(batch.tag)
        if known is None or known.id is not None:
            return known
        id = await self._service.find(known, self._ledger)
        if id is None:
            await asyncio.sleep(self._traffic.batch_poll_s)  # the list may lag behind
            id = await self._service.find(known, self._ledger)
        if id is None:
            self._ledger.discard(batch)
            return None
        self._ledger.set_id(batch, id)
        return replace(known, id=id)

    async def _poll(self, batch: Batch, id: str) -> BatchState | None:
        wait_s = self._traffic.batch_poll_s
        n_missing = 0
        while True:
            state = await self._service.state(id)
            if state is not None and state.is_over:
                return state
            if state is None:
                n_missing += 1
                if n_missing == MAX_LOOKS:
                    return None
            else:
                n_missing = 0
                self._states[batch.tag] = (batch, state)
            await asyncio.sleep(wait_s)
            wait_s = min(1.5 * wait_s, MAX_POLL_S)

    async def _store(self, batch: Batch, state: BatchState | None) -> None:
        """Store the results of a batch that is over."""
        if state is None:
            missing = "the provider no longer has the batch"
            self._ledger.finish(batch, (), _unanswered(missing))
            return
        results, state = await self._results(batch, state)
        if state.refusal and not results:
            self._ledger.discard(batch)
            await self._handle_refusal(batch, state)
            return
        self._n_limited = 0
        self._ledger.finish(batch, results, _unanswered(f"the batch is {state.status}"))

    async def _results(
        self, batch: Batch, state: BatchState
    ) -> tuple[list[tuple[int, Result]], BatchState]:
        """Download the results; a batch that the provider refused may have some too."""
        results: list[tuple[int, Result]] = []
        for _ in range(MAX_LOOKS):
            results = await self._service.results(batch, state)
            n_expected = state.n_done if state.n_requests else batch.size
            if len(results) >= n_expected or batch.id is None or state.refusal:
                break
            # The files of a batch may appear some time after its status says that it is over.
            await asyncio.sleep(self._traffic.batch_poll_s)
            state = await self._service.state(batch.id) or state
        return results, state

    async def _handle_refusal(self, batch: Batch, state: BatchState) -> None:
        """Make later batches smaller if too much was enqueued; else raise the server's message."""
        self._states.pop(batch.tag, None)
        if not state.is_limit:
            raise ModelError(f"{self.identity} refuses the batch: {state.refusal}")
        self._n_limited += 1
        if self._n_limited >= MAX_LIMITED:
            raise EngineError(
                "too much is enqueued at the provider",
                asked=f"a batch at {self.identity}",
                got=state.refusal,
                retryable=True,
                hint=Fault.MOMENT,
            )
        self._max_requests = max(1, min(self._max_requests, -(-batch.size // 2)))
        await asyncio.sleep(self._traffic.batch_poll_s)

    def _resolve(self, keys: Iterable[str], error: EvolcoderError | None = None) -> None:
        """Wake the requests that wait for a result, or raise an error in them."""
        for key in keys:
            future = self._waiting.pop(key, None)
            if future is None or future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # it may have no waiter left

    def _read(self, result: Result, request: Request) -> Completion | RequestFault:
        """Parse a result and remove keys that the model or the server put into it."""
        status, body = result
        if status == 0:
            words = openai_schema.parse_error(body.encode()).message
            return RequestFault("no answer in the batch", words, RetryClass.SERVER_ERROR)
        answer = HttpAnswer(status=status, body=body.encode())
        if status != 200:
            rejected = self._endpoint.rejected
            return classify_response(answer, model=request.model, rejected=rejected)
        try:
            parsed = openai_schema.parse_completion(answer.body, request)
        except ValueError:
            if openai_schema.is_error(answer.body):
                return classify_error_with_status_200(answer, model=request.model)
            got = openai_schema.parse_error(answer.body).message
            return RequestFault("an invalid completion", got, RetryClass.SERVER_ERROR)
        masked = self._endpoint.masked
        return replace(
            parsed,
            text=masked(parsed.text),
            reasoning=masked(parsed.reasoning),
            finish=masked(parsed.finish),
            model=masked(parsed.model),
        )

    def _learn(self, key: str, result: Result) -> bool:
        """Return whether the model rejected a parameter, which is left out from now on."""
        status, body = result
        if status not in {400, 422}:
            return False
        name = openai_schema.parse_error(body.encode()).parameter
        if name is None or name in self._sent_without.get(key, frozenset()):
            return False
        if name not in self._refused:
            self._refused |= {name}
            self._ledger.add_refused(self.identity, self._model, name)
        return True


def _unanswered(why: str) -> Result:
    return 0, orjson.dumps({"error": {"message": why}}).decode()
