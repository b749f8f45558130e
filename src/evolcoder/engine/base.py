"""The contract of model engines: a request yields a completion or raises.

An `Engine` answers equal requests with equivalent completions, though not with equal bytes: wrap it
in a cache for that. A refusal or an empty answer is a completion and is judged later. A failed
request raises `EngineError`; `ModelError` means that no request can succeed.

An answer is whole if the model ended it or called a tool, truncated if a limit of tokens ended it,
and broken off otherwise: the server aborted or filtered it, or failed. A finish reason that is not
known here means broken off, since half an answer must not pass for a whole one.

>>> normalize_finish("end_turn"), normalize_finish("MAX_TOKENS"), normalize_finish("abort")
('stop', 'length', 'abort')
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from evolcoder import reasoning as thinking
from evolcoder.ids import content_id, seed_for
from evolcoder.text import clean, first_turn

RAW = "raw"
"""Role of a text that is continued as it is, without a chat template."""
WHOLE_TRIES = 3
"""Maximum requests for one answer, as long as answers break off."""
STOP = "stop"
LENGTH = "length"
TOOL_CALLS = "tool_calls"
MISSING = "missing"
"""The server gave neither a finish reason nor an answer."""

_WORDS = {
    STOP: """stop eos eostoken eosfound eogtoken endturn endofturn endoftext endofsequence endtoken
        stopsequence stopsequences stopstring stopstringfound stoptoken stopword matchedstop
        complete completed finish finished done natural finishreasonstop""",
    LENGTH: """length limit maxtokens maxtoken maxlength maxoutputtokens maxnewtokens
        maxcompletiontokens maxtokensreached maxpredictedtokensreached modellength tokenlimit
        contextlength contextlengthexceeded contextlengthreached contextwindowexceeded
        modelcontextwindowexceeded finishreasonmaxtokens""",
    TOOL_CALLS: "toolcalls toolcall tooluse functioncall functioncalls",
}
"""Ours -> the words of OpenAI, Azure, Anthropic, Cohere, DeepSeek, Gemini, llama.cpp, LM Studio,
Mistral, Ollama, OpenRouter, SGLang, TGI, Together and vLLM, as letters only."""
_OURS = {word: ours for ours, words in _WORDS.items() for word in words.split()}
_NO_LETTERS = re.compile(r"[^a-z]")


def normalize_finish(word: str) -> str:
    """Return `stop`, `length` or `tool_calls` for a server's word, or an unknown word unchanged.

    Case and characters other than letters are ignored.
    """
    if word in _WORDS:
        return word
    return _OURS.get(_NO_LETTERS.sub("", word.lower()), word)


def broke_off(word: str) -> bool:
    """Whether something other than the model or a limit of tokens ended an answer."""
    return normalize_finish(word) not in _WORDS


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    """`system`, `user` or `assistant`; or RAW, as the only message."""
    content: str
    """Its text."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. All are sent with every request: the defaults of servers differ."""

    temperature: float
    """0 is greedy."""
    top_p: float
    """Nucleus sampling bound in (0, 1]."""
    max_tokens: int
    """Maximum tokens of the answer."""

    @property
    def has_neutral_top_p(self) -> bool:
        """Whether `top_p` changes nothing: it is 1, or the most likely token is taken anyway."""
        return self.top_p == 1.0 or self.temperature == 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that determines the answer except the engine's identity."""

    model: str
    """Name of the model on the server."""
    messages: tuple[Message, ...]
    """The chat so far; a system message comes first."""
    sampling: Sampling
    """Sampling parameters."""
    seed: int
    """31-bit sampling seed."""
    extra_body: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Further fields of the request's body, as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Further headers that decide the answer. The engine sends them; secrets are not among them."""

    @property
    def is_raw(self) -> bool:
        """Whether this is a text to continue instead of a chat."""
        return self.messages[-1].role == RAW


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer of a model."""

    text: str
    """The answer without reasoning."""
    reasoning: str
    """Reasoning of a thinking model; empty if none."""
    finish: str
    """`stop`, `tool_calls`, `length` (truncated at max_tokens), or the server's word."""
    prompt_tokens: int
    """Tokens of the prompt."""
    completion_tokens: int
    """Tokens generated, including reasoning."""
    cached_tokens: int = 0
    """Prompt tokens that the provider read from its cache."""
    cache_write_tokens: int = 0
    """Prompt tokens that the provider wrote to its cache."""
    reasoning_tokens: int = 0
    """Generated tokens that the server says are reasoning."""
    model: str = ""
    """Name of the model that answered, as the server says; empty if it does not say."""
    requests: int = 1
    """Number of requests; above 1 if earlier answers broke off, whose tokens are included."""

    @classmethod
    def of(
        cls, text: str, reasoning: str, finish: str | None, *, sent: int, received: int
    ) -> "Completion":
        """Build a completion from a model's text, whose thinking is split off.

        `reasoning` is what the server split off. Without a finish reason, a text counts as whole:
        some servers omit the word for whole answers. Nothing at all does not. The special token
        that ends the model's turn is removed, with what follows it.
        """
        parts = thinking.split(clean(text), opened=not reasoning)
        thought = clean(reasoning)
        if parts.reasoning:
            found = dict.fromkeys(part.strip() for part in (thought, parts.reasoning))
            thought = "\n\n".join(filter(None, found))
        if finish is None:
            finish = STOP if parts.answer.strip() else MISSING
        answer, has_next_turn = first_turn(parts.answer)
        finish = STOP if has_next_turn else clean(normalize_finish(finish))
        return cls(answer, thought, finish, sent, received)

    @property
    def is_truncated(self) -> bool:
        """Whether a limit of tokens ended it."""
        return normalize_finish(self.finish) == LENGTH

    @property
    def broke_off(self) -> bool:
        """Whether something other than the model or a limit of tokens ended it."""
        return broke_off(self.finish)

    @property
    def only_thought(self) -> str:
        """Message for a completion of thinking without an answer; empty for any other."""
        if self.text.strip() or not self.reasoning.strip():
            return ""
        return f"only thought came: {len(self.reasoning)} characters, and no answer"


IN_PROCESS = ("gguf:", "hf:")
"""Prefixes of the identities of engines whose models run in this process."""


class Engine(Protocol):
    """Answers requests; safe for concurrent use by coroutines of one event loop."""

    identity: str
    """What determines answers besides the request: server URL or file digest."""

    async def complete(self, request: Request) -> Completion:
        """Answer one request; raises EngineError or ModelError."""
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory. The engine cannot be used afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Role:
    """An engine with the model and the sampling parameters for one purpose, such as evolving."""

    engine: Engine
    """The engine to ask."""
    model: str
    """Name of the model on that engine."""
    sampling: Sampling
    """Sampling parameters."""
    system: str = ""
    """System message; empty: none is sent."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request's body, as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of every request, without secrets."""
    billions: float | None = None
    """Billions of parameters of the model, if its file or server states them."""

    @property
    def identity(self) -> str:
        """`ENGINE#MODEL`, stored with every record that this role produced."""
        return f"{self.engine.identity}#{self.model}"

    async def ask(
        self, messages: tuple[Message, ...], *, seed: int, tries: int = WHOLE_TRIES
    ) -> Completion:
        """Complete a chat, with the system message, if any, in front.

        Asks again, with other seeds, while the answer breaks off; returns the last answer.
        """
        if self.system:
            messages = (Message("system", self.system), *messages)
        answer = await self._complete(messages, seed)
        while answer.broke_off and answer.requests < tries:
            before, again = answer, seed_for(seed, "again", answer.requests)
            answer = await self._complete(messages, again)
            answer = replace(
                answer,
                prompt_tokens=before.prompt_tokens + answer.prompt_tokens,
                completion_tokens=before.completion_tokens + answer.completion_tokens,
                requests=before.requests + 1,
            )
        return answer

    async def _complete(self, messages: tuple[Message, ...], seed: int) -> Completion:
        request = Request(self.model, messages, self.sampling, seed, self.extra_body, self.headers)
        return await self.engine.complete(request)


def key_identity(engine: Engine) -> str:
    """Return the part of an identity that cache keys include, which is no address.

    Of a server it has the public parameters of the URL only, because the same model on another host
    or port gives equivalent answers.
    """
    found: str = getattr(engine, "key_identity", engine.identity)
    return found


def request_key(identity: str, request: Request) -> str:
    """Cache key of a request: hash of everything that determines the answer."""
    drawn = request.sampling
    chat = [(message.role, message.content) for message in request.messages]
    how = (drawn.temperature, drawn.top_p, drawn.max_tokens, request.seed)
    key = (identity, request.model, chat, how)
    if request.extra_body or request.headers:
        return content_id("request", (*key, dict(request.extra_body), dict(request.headers)))
    return content_id("request", key)
