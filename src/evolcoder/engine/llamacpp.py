"""Runs a GGUF model in this process through xllamacpp, without a separate server.

Up to `traffic.slots` requests are decoded in one batch. Cancellation takes effect within one token,
so Ctrl-C responds at once. Output is not bit-reproducible: llama.cpp's sums depend on the batch.
xllamacpp listens on a loopback port, protected by a random key. A model without a chat template
only continues raw text: llama.cpp would show it a chat in a form that it has never seen. Whether
it has one is read from the file's metadata, key by key, which takes a tenth of a second for the
vocabulary of a usual model.

>>> engine = LlamaCppEngine.load(Path("m.gguf"), digest, n_ctx=4096, traffic=traffic)
... # doctest: +SKIP
"""

import asyncio
import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Completion, Request
from evolcoder.engine.gguf_header import has_chat_template
from evolcoder.errors import EngineError, ModelError
from evolcoder.text import clean

PROMPT_CACHE_MB = 256
"""Memory for cached prompt states."""
NO_CHAT = (
    "{path}: has no chat template, so it looks like a base model, which cannot answer a chat; use "
    "a GGUF of an instruct model, or evaluate this one with evolcoder eval --template completion"
)


class LlamaCppEngine:
    """Answers with an in-process model."""

    def __init__(
        self,
        server: Any,  # noqa: ANN401
        digest: str,
        slots: int,
        *,
        no_chat: str = "",
    ) -> None:
        """`no_chat` says why the model cannot answer chats; empty if it can."""
        self.identity = f"gguf:{digest[:16]}"
        self._no_chat = no_chat
        self._server = server
        self.n_streamed = 0
        """Tokens decoded so far, those of unfinished answers included."""
        self.n_reading = 0
        """Answers whose first token has not come: the model reads their prompts."""
        self.slots = slots
        """Answers decoded at a time."""
        self._closing = threading.Event()
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="llamacpp")

    @classmethod
    def load(
        cls, path: Path, digest: str, *, n_ctx: int, traffic: TrafficConfig
    ) -> "LlamaCppEngine":
        """Load a model; `n_ctx` is the context of each slot in tokens."""
        try:
            import xllamacpp  # noqa: PLC0415 - heavy, and an optional dependency
        except ImportError as error:
            raise ModelError(
                f"{path.name}: needs xllamacpp; install it with pip install 'evolcoder[local]'"
            ) from error
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_parallel = traffic.slots
        params.n_ctx = n_ctx * traffic.slots
        params.cpuparams.n_threads = traffic.threads or len(os.sched_getaffinity(0))
        params.cache_ram_mib = PROMPT_CACHE_MB
        params.api_keys = [secrets.token_hex(16)]
        params.verbosity = -1
        params.endpoint_metrics = True
        try:
            server = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelError(f"{path}: llama.cpp cannot load it: {error}") from error
        # Returns once the server loop runs; destroying a server before that hangs forever.
        server.handle_metrics()
        no_chat = NO_CHAT.format(path=path) if has_chat_template(path) is False else ""
        return cls(server, digest, traffic.slots, no_chat=no_chat)

    async def complete(self, request: Request) -> Completion:
        """Decode one answer in a free slot; ModelError for a chat without a chat template."""
        if self._no_chat and not request.is_raw:
            raise ModelError(self._no_chat)
        cancelled = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._decode, request, cancelled)
        finally:
            cancelled.set()

    async def aclose(self) -> None:
        """Stop decoding and free the model."""
        self._closing.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._server = None

    def _decode(self, request: Request, cancelled: threading.Event) -> Completion:
        answer = _Answer()

        def on_chunk(chunk: dict[str, Any]) -> bool:
            before = answer.n_tokens
            answer.take(chunk)
            # For display, so a count that is lost between threads does no harm.
            self.n_streamed += answer.n_tokens - before
            self.n_reading -= answer.n_tokens > 0 and before == 0
            return cancelled.is_set() or self._closing.is_set()

        if not (self._closing.is_set() or cancelled.is_set()):
            server = self._server
            ask = server.handle_completions if request.is_raw else server.handle_chat_completions
            self.n_reading += 1
            try:
                ask(_body(request), on_chunk)
            finally:
                self.n_reading -= answer.n_tokens == 0
        return answer.completion(self.identity)


class _Answer:
    """Assembles an answer from streamed chunks."""

    def __init__(self) -> None:
        self.n_tokens = 0
        """Chunks with text, each of which holds a token."""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._finish = ""
        self._usage: dict[str, int] = {}
        self._error: dict[str, Any] | None = None

    def take(self, chunk: dict[str, Any]) -> None:
        self._error = self._error or chunk.get("error")
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta") or {}
            self._text.append(delta.get("content") or choice.get("text") or "")
            self._reasoning.append(delta.get("reasoning_content") or "")
            self.n_tokens += bool(self._text[-1] or self._reasoning[-1])
            self._finish = choice["finish_reason"] or self._finish

    def completion(self, asked: str) -> Completion:
        if self._error is not None:
            message = str(self._error.get("message"))
            rejected = self._error.get("code") == 400
            raise EngineError("rejected", asked=asked, got=message, retryable=not rejected)
        if not self._finish:
            raise EngineError("the answer was cut off", asked=asked, retryable=True)
        return Completion.of(
            "".join(self._text),
            "".join(self._reasoning),
            self._finish,
            sent=self._usage.get("prompt_tokens", 0),
            received=self._usage.get("completion_tokens", 0),
        )


def _asked(request: Request) -> dict[str, Any]:
    if request.is_raw:
        return {"prompt": clean(request.messages[-1].content)}
    return {"messages": [{"role": m.role, "content": clean(m.content)} for m in request.messages]}


def _body(request: Request) -> dict[str, Any]:
    return {
        **_asked(request),
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "max_tokens": request.sampling.max_tokens,
        "seed": request.seed,
        "cache_prompt": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        **request.extra_body,
    }
