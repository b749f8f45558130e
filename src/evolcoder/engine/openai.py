"""Any OpenAI-compatible server: OpenAI, vLLM, llama.cpp, Ollama, SGLang.

Promises: every sampling value is sent; a failure that may pass is tried again, here and nowhere
else (`retry.py`), at the pace that the server takes (`pace.py`); no key is in any answer, error
or repr that leaves. Does not promise that a server honours the seed. One engine, one event loop.

A model that takes no `max_tokens`, `temperature`, `top_p` or `seed` says so in its first error;
from then on that model is asked without it, or with the newer name. `not_sent` tells.

>>> OpenAIEngine("http://127.0.0.1:8000/v1", api_key=None, traffic=TrafficConfig())
OpenAIEngine('http://127.0.0.1:8000/v1')
"""

import asyncio
import random
from dataclasses import replace

from evolcoder.config.load import TrafficConfig
from evolcoder.engine import openai_schema
from evolcoder.engine.base import Completion, Request
from evolcoder.engine.endpoint import Endpoint, Key
from evolcoder.engine.http_errors import fault_of, fault_of_listing
from evolcoder.engine.rate_limit import RateLimiter
from evolcoder.engine.retry import BACKOFF_S, RequestFault, RetryClass, RetryState
from evolcoder.engine.transport import HttpAnswer, Transport
from evolcoder.errors import EngineError, EvolcoderError, ModelError

PROBE_TRIES = 3
"""Tries of a probe: who waits for it wants to hear of a mistake soon."""
PROBE_S = 10.0
"""Longest wait for one answer to a probe."""
_ALL_SENT: frozenset[str] = frozenset()


class OpenAIEngine:
    """Asks one server."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: Key | str | None,
        traffic: TrafficConfig,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        self._address = Endpoint.of(base_url, api_key=api_key)
        self.identity = self._address.identity
        self._pace = RateLimiter(traffic)
        self._traffic = traffic
        self._backoff_s = backoff_s
        self._wire = Transport(self._address, timeout_s=traffic.timeout_s)
        self._refused: dict[str, frozenset[str]] = {}
        self._unsent = _ALL_SENT if traffic.seeds else frozenset({"seed"})

    def __repr__(self) -> str:
        return f"OpenAIEngine({self.identity!r})"

    @property
    def in_flight(self) -> int:
        """Requests that the server works on now."""
        return self._pace.in_flight

    @property
    def limit(self) -> int:
        """Most requests in flight, as the server takes them at present."""
        return self._pace.limit

    @property
    def not_sent(self) -> dict[str, tuple[str, ...]]:
        """Parameters that models refused and that are no longer sent, by model."""
        return {model: tuple(sorted(names)) for model, names in self._refused.items()}

    async def complete(self, request: Request) -> Completion:
        """Answer one request, through whatever passes within the bounds of `retry.py`."""
        outcome = await self._take_turn(request)
        if isinstance(outcome, Completion):
            return outcome
        clock = asyncio.get_running_loop().time
        patience = RetryState(self._traffic, now=clock(), backoff_s=self._backoff_s)
        while isinstance(outcome, RequestFault):
            wait_s = patience.wait_s(outcome, clock())
            if wait_s is None:
                raise self._error(outcome, request.model, patience.n_tries)
            await asyncio.sleep(wait_s)
            outcome = await self._take_turn(request, again=True)
        return outcome

    async def probe(self, model: str) -> None:
        """Ask what models there are; ModelError if server, key or model will not do.

        A server that does not list its models is taken at its word.
        """
        n_tries = 0
        while (fault := await self._probe_once(model)) is not None:
            n_tries += 1
            if fault.worth is RetryClass.FATAL:
                raise self._error(fault, model, n_tries)
            if n_tries == PROBE_TRIES:
                what = f"cannot be asked ({_words(fault)}); start the server or mend the URL"
                raise ModelError(self._address.redact(f"{self.identity} {what}"))
            await asyncio.sleep(random.uniform(0.0, self._backoff_s * 2.0**n_tries))

    async def aclose(self) -> None:
        """Close all connections. Closing twice is allowed."""
        await self._wire.aclose()

    async def _probe_once(self, model: str) -> RequestFault | None:
        url = self._address.models_url
        outcome = await self._wire.exchange("GET", url, timeout_s=PROBE_S)
        if isinstance(outcome, RequestFault):
            return outcome
        rejected = self._address.rejected
        return fault_of_listing(self._masked(outcome), model=model, rejected=rejected)

    async def _take_turn(
        self, request: Request, *, again: bool = False
    ) -> Completion | RequestFault:
        """Ask when the pace allows it, and tell the pace how it went."""
        prompt_tokens = openai_schema.rough_tokens(openai_schema.prompt_characters(request))
        expected = prompt_tokens + request.sampling.max_tokens
        era = await self._pace.enter(expected, again=again)
        try:
            outcome = await self._ask(request)
            if isinstance(outcome, Completion):
                used = outcome.prompt_tokens + outcome.completion_tokens
                self._pace.succeeded(expected, used)
            elif outcome.overload:
                self._pace.refused(era, outcome.wait_s)
            return outcome
        finally:
            self._pace.leave()

    async def _ask(self, request: Request) -> Completion | RequestFault:
        """Ask once, and once more for every parameter that the model turns out to refuse."""
        while True:
            unsent = self._refused.get(request.model, self._unsent)
            body = openai_schema.payload(request, unsent)
            url = self._address.raw_url if request.is_raw else self._address.chat_url
            answer = await self._wire.exchange("POST", url, body)
            if isinstance(answer, RequestFault):
                return answer
            if answer.status == 200:
                return self._read(answer, request)
            answer = self._masked(answer)
            refused = (
                openai_schema.complaint(answer.body).parameter
                if answer.status in {400, 422}
                else None
            )
            if refused is None or refused in unsent:
                rejected = self._address.rejected
                return fault_of(answer, model=request.model, rejected=rejected)
            # Others may have learnt more while this one was on its way.
            known = self._refused.get(request.model, self._unsent)
            self._refused[request.model] = known | {refused}

    def _read(self, answer: HttpAnswer, request: Request) -> Completion | RequestFault:
        """Read a completion; a key that the model or the server put in it is kept by nobody."""
        try:
            said = openai_schema.completion(answer.body, request)
        except ValueError:
            got = openai_schema.complaint(self._masked(answer).body).message
            return RequestFault("an answer that is no completion", got, RetryClass.TRIES)
        masked = self._address.masked
        return replace(
            said, text=masked(said.text), reasoning=masked(said.reasoning),
            finish=masked(said.finish),
        )  # fmt: skip

    def _masked(self, answer: HttpAnswer) -> HttpAnswer:
        """Take keys out before anything is cut short: half a key is not found any more."""
        text = self._address.masked(answer.body.decode("utf-8", "replace"))
        return replace(answer, body=text.encode())

    def _error(self, fault: RequestFault, model: str, n_tries: int) -> EvolcoderError:
        redact = self._address.redact
        if fault.worth is RetryClass.FATAL:
            said = f": {fault.got}" if fault.got else ""
            return ModelError(redact(f"{self.identity} {fault.what}{said}"))
        tries = f", {n_tries} tries" if n_tries > 1 else ""
        return EngineError(
            f"{fault.what}{tries}",
            asked=f"{model} at {self.identity}",
            got=redact(fault.got),
            retryable=fault.worth in {RetryClass.TRIES, RetryClass.TIME},
        )


def _words(fault: RequestFault) -> str:
    return f"{fault.what}: {fault.got}" if fault.got else fault.what
