"""The contract with models: a request goes in, a completion comes out, anything else raises.

Promises: an implementation of `Engine` answers the same request with a completion that means the
same; a refusal or an empty answer is a completion, judged later. Failure is an `EngineError`, or a
`ModelError` when no request can succeed. Does not promise the same bytes twice: put a cache on top.
"""

from dataclasses import dataclass
from typing import Protocol

from evolcoder.ids import content_id

RAW = "raw"
"""Role of a text that a model continues as it is, without a chat template around it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    """`system`, `user` or `assistant`; or RAW, alone in its chat."""
    content: str
    """What was said."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw an answer. Every value is sent: servers have defaults of their own."""

    temperature: float
    """0 for greedy."""
    top_p: float
    """Nucleus bound in (0, 1]."""
    max_tokens: int
    """Longest answer in tokens."""


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that decides the answer, but for the engine's identity."""

    model: str
    """The name that the server knows the model by."""
    messages: tuple[Message, ...]
    """The chat so far, system message first if there is one."""
    sampling: Sampling
    """How to draw the answer."""
    seed: int
    """31-bit seed of the draw."""

    @property
    def is_raw(self) -> bool:
        """Whether a text is to be continued, and no chat to be answered."""
        return self.messages[-1].role == RAW


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered."""

    text: str
    """The answer, reasoning taken out."""
    reasoning: str
    """A thinking model's reasoning; empty if there was none."""
    finish: str
    """`stop`, or `length` when it was cut off at max_tokens; servers may add words of theirs."""
    prompt_tokens: int
    """Tokens sent."""
    completion_tokens: int
    """Tokens received, reasoning included."""


class Engine(Protocol):
    """Answers requests; safe to call from many coroutines of one event loop."""

    identity: str
    """What decides answers beside the request: the server, or the digest of a file."""

    async def complete(self, request: Request) -> Completion:
        """Answer one request, or raise EngineError or ModelError."""
        ...

    async def aclose(self) -> None:
        """Let go of connections, threads and memory. The engine is not used again."""
        ...


@dataclass(frozen=True, slots=True)
class Role:
    """An engine with the model and sampling that one part of the story uses it with."""

    engine: Engine
    """Who answers."""
    model: str
    """The model's name on that engine."""
    sampling: Sampling
    """How to draw."""
    system: str = ""
    """System message; empty sends none."""

    @property
    def identity(self) -> str:
        """Name of model and engine, as stored with every record that the role made."""
        return f"{self.engine.identity}#{self.model}"

    async def ask(self, messages: tuple[Message, ...], *, seed: int) -> Completion:
        """Complete a chat; the role's system message goes first."""
        if self.system:
            messages = (Message("system", self.system), *messages)
        return await self.engine.complete(Request(self.model, messages, self.sampling, seed))


def request_key(identity: str, request: Request) -> str:
    """Hash of all that decides an answer: the key under which it is cached."""
    drawn = request.sampling
    chat = [(message.role, message.content) for message in request.messages]
    how = (drawn.temperature, drawn.top_p, drawn.max_tokens, request.seed)
    return content_id("request", (identity, request.model, chat, how))


def split_reasoning(text: str) -> tuple[str, str]:
    """Split an answer into (reasoning, answer) where a model thinks aloud in <think> tags.

    An opening tag that never closes is reasoning to the end, and the answer is empty: the model
    was cut off while it thought. A closing tag alone ends reasoning whose opening was in the
    prompt.
    """
    before, close, after = text.partition("</think>")
    if close:
        return before.replace("<think>", "", 1).strip(), after.lstrip()
    head, opened, thought = text.partition("<think>")
    return (thought.strip(), head.strip()) if opened and not head.strip() else ("", text)
