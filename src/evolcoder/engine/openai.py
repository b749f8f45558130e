"""Engine for OpenAI-compatible servers: OpenAI, vLLM, llama.cpp, Ollama, SGLang.

Every sampling parameter is sent. Transient failures are retried here and nowhere else (`retry`),
within the rate limits (`rate_limit`). No key appears in an answer, error or repr. Whether the seed
is honoured depends on the server. An engine belongs to one event loop.

A rejected request is an error of that request here; `evidence` finds out whether the set-up is at
fault. If a model rejects `max_tokens`, `temperature`, `top_p` or `seed`, the request is sent again
without it or under its newer name, as are all later requests to that model; see `not_sent`. So is
`top_p`, where it changes nothing, if a model rejects its value.

With `streams`, answers are asked for token by token and put together again (`event_stream`), which
gives the same completions; a server that does not stream as it should is asked for whole answers,
and one that only streams is asked to stream.

>>> OpenAIEngine("http://127.0.0.1:8000/v1", api_key=None, traffic=TrafficConfig())
OpenAIEngine('http://127.0.0.1:8000/v1')
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from yarl import URL

from evolcoder.config.load import TrafficConfig
from evolcoder.engine import openai_schema
from evolcoder.engine.base import Completion, Request
from evolcoder.engine.endpoint import Endpoint, Key
from evolcoder.engine.event_stream import CompletionStream, StreamedModels, whole_body
from evolcoder.engine.http_errors import (
    NO_CHAT_THERE,
    classify_error_with_status_200,
    classify_model_list,
    classify_response,
    error_of,
    stated_billions,
    suggestion,
    unlisted_names,
)
from evolcoder.engine.rate_limit import RateLimiter
from evolcoder.engine.retry import (
    BACKOFF_S,
    RequestFault,
    RetryClass,
    metered,
    retried,
)
from evolcoder.engine.transport import HttpAnswer, Transport
from evolcoder.errors import EvolcoderError, ModelError
from evolcoder.text import one_line

PROBE_TRIES = 3
"""Attempts of a probe: few, to report mistakes early."""
PROBE_S = 10.0
"""Timeout of one attempt of a probe."""
TIMED_OUT = frozenset({408, 499, 504, 524, 598})
"""Statuses of servers and gateways that gave up waiting for the model."""
NO_STREAM = frozenset({400, 404, 405, 406, 415, 422, 501})
"""Statuses with which a server may refuse to stream."""
MAX_TROUBLE_CHARS = 100
"""Maximum characters of the reason of a failed try, for a display."""
_ALL_SENT: frozenset[str] = frozenset()


class OpenAIEngine:
    """Client of one server."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: Key | str | None,
        traffic: TrafficConfig,
        backoff_s: float = BACKOFF_S,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._endpoint = Endpoint.of(base_url, api_key=api_key, extra_headers=extra_headers)
        self.identity = self._endpoint.identity
        self.key_identity = self._endpoint.query
        self._rate_limiter = RateLimiter(traffic)
        self.is_cut_off = False
        """Whether its server has ended, so that nothing is sent to it any more."""
        self._traffic = traffic
        self._backoff_s = backoff_s
        self._transport = Transport(self._endpoint, timeout_s=traffic.timeout_s)
        self._refused: dict[str, frozenset[str]] = {}
        self._no_neutral_top_p: set[str] = set()
        """Models that reject a `top_p` that changes nothing."""
        self._unlisted: dict[str, tuple[str, ...]] = {}
        """Models that are not listed and have answered nothing yet -> the listed names."""
        self.billions: dict[str, float] = {}
        """Billions of parameters, of the models of which the server states them."""
        self._first = asyncio.Lock()
        self._streamed = StreamedModels()
        self.n_streamed = 0
        """Tokens received so far from models that stream, those of unfinished answers included."""
        self.trouble = ""
        """Why the last try failed, on one line; empty if it was answered."""
        self._unsent = _ALL_SENT if traffic.seeds else frozenset({"seed"})

    def __repr__(self) -> str:
        return f"OpenAIEngine({self.identity!r})"

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return self._rate_limiter.in_flight

    @property
    def limit(self) -> int:
        """Current limit of requests in flight, adapted to the server."""
        return self._rate_limiter.limit

    @property
    def streams(self) -> bool:
        """Whether a display shows tokens as they arrive."""
        return self._streamed.is_wanted

    @streams.setter
    def streams(self, is_wanted: bool) -> None:
        self._streamed.is_wanted = is_wanted

    @property
    def not_sent(self) -> dict[str, tuple[str, ...]]:
        """Parameters that models rejected and that are no longer sent, by model."""
        return {model: tuple(sorted(names)) for model, names in self._refused.items()}

    async def complete(self, request: Request) -> Completion:
        """Answer one request, retrying transient failures within the bounds of `retry`.

        The first request to a model that the server does not list is sent alone.
        """
        if request.model in self._unlisted:
            async with self._first:
                if request.model in self._unlisted:
                    completion = await self._complete(request)
                    del self._unlisted[request.model]
                    return completion
        return await self._complete(request)

    async def _complete(self, request: Request) -> Completion:
        return await retried(
            partial(self.attempt, request),
            self._traffic,
            backoff_s=self._backoff_s,
            error=lambda fault, n_tries: self.error(fault, request.model, n_tries),
        )

    async def probe(self, model: str) -> None:
        """Check server and key with a request for the model list; raises ModelError.

        The list is a hint: whether a model is there, the first completion request decides.
        """
        n_tries = 0
        while (fault := await self._request_models(model)) is not None:
            n_tries += 1
            if fault.retry_class is RetryClass.FATAL:
                raise self.error(fault, model, n_tries)
            if n_tries == PROBE_TRIES:
                advice = "start the server or correct the URL"
                if fault.what.startswith("HTTP"):
                    advice = "wait until it is ready, or correct the URL"
                what = f"cannot be reached ({_describe(fault)}); {advice}"
                raise ModelError(self._endpoint.redact(f"{self.identity} {what}"))
            await asyncio.sleep(random.uniform(0.0, self._backoff_s * 2.0**n_tries))

    async def answers(self, model: str) -> bool:
        """Return whether the server answers a request for its model list."""
        return await self._request_models(model) is None

    async def aclose(self) -> None:
        """Close all connections; idempotent."""
        await self._transport.aclose()

    async def cut_off(self) -> None:
        """Cut off all requests, sent or waiting, since the server has ended; idempotent.

        A server whose machine is gone closes no connection itself. Later requests are cut off too.
        """
        self.is_cut_off = True
        self._rate_limiter.admit_all()
        await self._transport.aclose()

    async def _request_models(self, model: str) -> RequestFault | None:
        url = self._endpoint.models_url
        outcome = await self._transport.exchange("GET", url, timeout_s=PROBE_S)
        if isinstance(outcome, RequestFault):
            return outcome
        answer = self._masked(outcome)
        if names := unlisted_names(answer, model):
            self._unlisted[model] = names
        if (billions := stated_billions(answer, model)) is not None:
            self.billions[model] = billions
        return classify_model_list(answer, rejected=self._endpoint.rejected)

    async def attempt(self, request: Request, *, is_retry: bool) -> Completion | RequestFault:
        """Send the request once the rate limiter admits it, and report the outcome to it."""
        prompt_tokens = openai_schema.estimate_tokens(
            openai_schema.count_prompt_characters(request)
        )
        expected = prompt_tokens + request.sampling.max_tokens
        epoch = await self._rate_limiter.acquire(expected, is_retry=is_retry)
        clock, limiter = asyncio.get_running_loop().time, self._rate_limiter
        sent = clock()
        try:
            if self.is_cut_off:
                return RequestFault("the server has ended", "", RetryClass.UNAVAILABLE, cut=True)
            outcome = await metered(self._send(request))
            self.trouble = ""
            if isinstance(outcome, RequestFault) and outcome.is_retried:
                self.trouble = self._endpoint.redact(
                    one_line(_describe(outcome), MAX_TROUBLE_CHARS)
                )
            if isinstance(outcome, Completion):
                used = outcome.prompt_tokens + outcome.completion_tokens
                is_slow = clock() - sent > self._traffic.timeout_s
                limiter.record_success(expected, used, is_slow=is_slow)
            elif outcome.timed_out:
                limiter.record_timeout(epoch, clock() - sent)
            elif outcome.overload:
                limiter.record_overload(epoch, outcome.wait_s)
            return outcome
        finally:
            limiter.release()

    async def _send(self, request: Request) -> Completion | RequestFault:
        """Send the request, and again without each parameter that the model rejects."""
        while True:
            unsent = self._refused.get(request.model, self._unsent)
            if request.model in self._no_neutral_top_p and request.sampling.has_neutral_top_p:
                unsent |= {"top_p"}
            stream = self._streamed.begin(request)
            body = openai_schema.payload(request, unsent, is_streamed=stream is not None)
            url = self._endpoint.raw_url if request.is_raw else self._endpoint.chat_url
            if stream is None:
                answer = await self._transport.exchange("POST", url, body, waits_for_others=True)
            else:
                answer = await self._streamed_answer(request, url, body, stream)
            if isinstance(answer, RequestFault):
                return answer
            if answer.is_success:
                return self._parse(answer, request, stream)
            answer = self._masked(answer)
            error = openai_schema.parse_error(answer.body)
            is_bad_request = answer.status in {400, 422}
            refused = error.parameter if is_bad_request else None
            if stream is None and is_bad_request and error.wants_stream:
                self._streamed.require(request.model)
                continue
            may_be_whole = stream is not None and not self._streamed.is_required(request.model)
            if may_be_whole and answer.status in NO_STREAM and refused is None:
                self._streamed.ended(request, works=False)
                continue  # asked for whole, it answers, or says what is wrong
            is_neutral = request.sampling.has_neutral_top_p and "top_p" not in unsent
            if is_bad_request and refused is None and error.names_top_p and is_neutral:
                self._no_neutral_top_p.add(request.model)
                continue
            if refused is None or refused in unsent:
                rejected = self._endpoint.rejected
                fault = classify_response(answer, model=request.model, rejected=rejected)
                is_late = answer.status in TIMED_OUT
                return replace(fault, possibly_billed=is_late, timed_out=is_late)
            # Concurrent requests may have added other parameters in the meantime.
            known = self._refused.get(request.model, self._unsent)
            self._refused[request.model] = known | {refused}

    async def _streamed_answer(
        self, request: Request, url: URL, body: bytes, stream: CompletionStream
    ) -> HttpAnswer | RequestFault:
        """Send a request for a stream; return its response as if it had come whole."""

        def take(part: bytes) -> bool:
            n = stream.feed(part)
            self.n_streamed += n
            return n > 0

        works: bool | None = None
        try:
            answer = await self._transport.exchange(
                "POST", url, body, on_event_bytes=take, waits_for_others=True
            )
            if isinstance(answer, RequestFault):
                works = False if stream.has_begun else None
                # All of it may have come, and only the end of the connection is missing.
                return HttpAnswer(200, stream.body) if stream.is_complete else answer
            if not stream.has_begun:
                works = False if answer.is_success else None
                return answer
            stream.close()
            works = stream.is_complete and stream.has_usage
            if stream.is_complete:
                return replace(answer, body=stream.body)
            what = "an incomplete response"
            return RequestFault(what, "", RetryClass.SERVER_ERROR, possibly_billed=True)
        finally:
            self._streamed.ended(request, works=works)

    def _parse(
        self, answer: HttpAnswer, request: Request, stream: CompletionStream | None
    ) -> Completion | RequestFault:
        """Parse a completion and remove keys that the model or the server put into it."""
        try:
            body = whole_body(answer.body)
            parsed = openai_schema.parse_completion(body or answer.body, request)
        except ValueError:
            answer = self._masked(answer)
            if openai_schema.is_error(answer.body):
                fault = classify_error_with_status_200(answer, model=request.model)
                has_text = stream is not None and stream.n_events > 0
                return replace(fault, possibly_billed=True) if has_text else fault
            got = openai_schema.parse_error(answer.body).message
            is_page = answer.body.lstrip().startswith(b"<")
            return RequestFault(
                "a page in place of a completion" if is_page else "an invalid completion",
                got,
                RetryClass.SERVER_ERROR,
                advice=NO_CHAT_THERE if is_page else "",
                possibly_billed=True,
            )
        if self.streams:  # an event may hold several tokens, or none; whole answers have no event
            n_counted = stream.n_events if stream is not None else 0
            self.n_streamed += parsed.completion_tokens - n_counted
        shown = (parsed.text, parsed.reasoning, parsed.finish, parsed.model)
        masked = tuple(map(self._endpoint.masked, shown))
        if masked == shown:
            return parsed
        text, reasoning, finish, model = masked
        return replace(parsed, text=text, reasoning=reasoning, finish=finish, model=model)

    def _masked(self, answer: HttpAnswer) -> HttpAnswer:
        """Remove keys before truncation: a truncated key would no longer be found."""
        text = self._endpoint.masked(answer.body.decode("utf-8", "replace"))
        return replace(answer, body=text.encode())

    def error(self, fault: RequestFault, model: str, n_tries: int) -> EvolcoderError:
        """Return the error of a request that is given up."""
        advice = fault.advice
        if names := self._unlisted.get(model):
            has_none = f"does not list {model!r}; {suggestion(model, names)}"
            advice = f"{advice}; it {has_none}" if advice else has_none
        tries = f"{n_tries} tries" if n_tries > 1 else ""
        return error_of(fault, self._endpoint, model, tries=tries, advice=advice)


def _describe(fault: RequestFault) -> str:
    return f"{fault.what}: {fault.got}" if fault.got else fault.what
