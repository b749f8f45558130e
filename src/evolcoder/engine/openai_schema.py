"""The chat-completions wire: a request as JSON, JSON as a completion, an error body as a complaint.

Servers that call themselves compatible differ in small things; all of that is settled here. Nothing
in this module asks, waits or retries.

>>> payload(Request("m", (Message("user", "hi"),), Sampling(0.0, 1.0, 9), 1))   # doctest: +SKIP
b'{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.0,...}'
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from evolcoder.engine.base import Completion, Request, split_reasoning
from evolcoder.text import clean, one_line

SUBSTITUTES = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "top_p": None,
    "seed": None,
}
"""Parameters that some models refuse -> the one that they take in its place, if there is one."""
FINISHES = {"max_tokens": "length", "model_length": "length", "eos": "stop", "eos_token": "stop"}
"""Names that servers have for the two ways to finish."""
REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Where servers put what a model thought: DeepSeek, older vLLM, llama.cpp; Ollama, newer vLLM."""
CHARACTERS_PER_TOKEN = 3
"""For estimates, on the safe side: English and code have about four."""
WIDTH = 300
"""Characters of a server's words that are worth showing."""
MAX_SAID = 4000
"""Characters of an error body that are read at all."""
_MAX_TOKENS = 2**31
_NO = (
    r"(?:unsupported|unrecogni[sz]ed|unknown|unexpected|extra_forbidden|extra inputs|cannot both be"
    r"|not (?:permitted|allowed|supported)|(?:does not|doesn't) support)"
)
_REFUSES = {
    name: re.compile(
        rf"\b{name}\b.{{0,60}}{_NO}|{_NO}.{{0,60}}\b{name}\b", re.IGNORECASE | re.DOTALL
    )
    for name in SUBSTITUTES
}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error body says."""

    message: str
    """The server's words on one line, shortened."""
    code: str
    """Its short name for the trouble, if it has one."""
    parameter: str | None
    """The sampling parameter that it does not take, if that is the trouble."""


def payload(request: Request, refused: frozenset[str] = frozenset()) -> bytes:
    """Write a request; every sampling value is sent but for those that the model refused."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": request.model,
        **_asked(request),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": request.seed,
    }
    for name in refused:
        value = body.pop(name)
        if substitute := SUBSTITUTES[name]:
            body[substitute] = value
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        # A lone surrogate, which no encoder takes.
        return clean(json.dumps(body, ensure_ascii=False)).encode()


def _asked(request: Request) -> dict[str, Any]:
    if request.is_raw:
        return {"prompt": request.messages[-1].content}
    return {"messages": [{"role": m.role, "content": m.content} for m in request.messages]}


def completion(body: bytes, request: Request) -> Completion:
    """Read a completion; ValueError if it is none.

    Where the server gives no usage, tokens are estimated from the number of characters.
    """
    data = parse(body)
    try:
        choice = data["choices"][0]
        message = {"content": choice["text"]} if request.is_raw else choice["message"]
        text = _text(message.get("content")) or _text(message.get("refusal"))
        reasoning = next((t for f in REASONING_FIELDS if (t := _text(message.get(f)))), "")
        finish = str(choice.get("finish_reason") or "stop")
        usage = data.get("usage") or {}
        sent, received = usage.get("prompt_tokens"), usage.get("completion_tokens")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"no completion in it: {error!r}") from error
    if not reasoning:
        reasoning, text = split_reasoning(text)
    return Completion(
        clean(text),
        clean(reasoning),
        FINISHES.get(finish, clean(finish)),
        _count(sent, prompt_characters(request)),
        _count(received, len(text) + len(reasoning)),
    )


def complaint(body: bytes) -> ErrorBody:
    """Read an error body, whatever its form."""
    try:
        data = parse(body)
    except ValueError:
        data = body.decode("utf-8", "replace")
    inner = data.get("error", data) if isinstance(data, dict) else data
    fields = inner if isinstance(inner, dict) else {}
    words = fields.get("message") or fields.get("detail") or inner
    said = (words if isinstance(words, str) else json.dumps(words))[:MAX_SAID]
    parameter = _refused_parameter(said, str(fields.get("param")), str(fields.get("code")))
    return ErrorBody(one_line(clean(said), WIDTH), str(fields.get("code") or ""), parameter)


def rough_tokens(n_characters: int) -> int:
    """Estimate tokens."""
    return -(-n_characters // CHARACTERS_PER_TOKEN)


def prompt_characters(request: Request) -> int:
    """Count what is sent."""
    return sum(len(message.content) for message in request.messages)


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is any plain data
    """Read JSON, forgiving what servers get wrong in strings; ValueError if it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # The standard parser takes what some servers send and orjson does not: a character cut in
        # half, a lone surrogate, NaN.
        try:
            return json.loads(body.decode("utf-8", "replace"))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def _text(value: object) -> str:
    """Read text that is a string, null, or a list of parts of which some are text."""
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise TypeError(f"text is {type(value).__name__}")
    parts = (part.get("text") for part in value if isinstance(part, dict))
    return "".join(part for part in parts if isinstance(part, str))


def _count(given: object, n_characters: int) -> int:
    usable = isinstance(given, int) and 0 <= given < _MAX_TOKENS
    return int(given) if usable else rough_tokens(n_characters)  # type: ignore[call-overload]


def _refused_parameter(said: str, named: str, code: str) -> str | None:
    """Name the parameter that a model does not take; one whose value is wrong is not meant."""
    if named in SUBSTITUTES and code.startswith("unsupported"):
        return named
    # The last: of "temperature and top_p cannot both be given" it is top_p that can be spared.
    refused = [name for name, refuses in _REFUSES.items() if refuses.search(said)]
    return refused[-1] if refused else None
