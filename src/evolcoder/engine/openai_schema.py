"""Serialises chat-completions requests and parses completions and error bodies.

Handles the differences between OpenAI-compatible servers. No I/O, no retries.

>>> payload(Request("m", (Message("user", "hi"),), Sampling(0.0, 1.0, 9), 1))   # doctest: +SKIP
b'{"model":"m","messages":[{"role":"user","content":"hi"}],"temperature":0.0,...}'
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from evolcoder.engine.base import Completion, Request, split_reasoning
from evolcoder.engine.usage import read_usage
from evolcoder.text import clean, one_line

SUBSTITUTES = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "top_p": None,
    "seed": None,
}
"""Parameters that some models reject -> the replacement, if there is one."""
FINISHES = {"max_tokens": "length", "model_length": "length", "eos": "stop", "eos_token": "stop"}
"""Server-specific finish reasons -> ours."""
REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Fields with reasoning: DeepSeek, older vLLM, llama.cpp; Ollama, newer vLLM."""
CHARACTERS_PER_TOKEN = 3
"""A conservative estimate; English and code have about four."""
MAX_MESSAGE_CHARS = 300
"""Maximum characters of a server's message in an error."""
MAX_ERROR_CHARS = 4000
"""Maximum characters of an error message that are parsed."""
MAX_MODEL_CHARS = 300
"""Maximum characters of the name of the model that answered."""
_NOT_SUPPORTED = (
    r"(?:unsupported|unrecogni[sz]ed|unknown|unexpected|extra_forbidden|extra inputs|cannot both be"
    r"|not (?:permitted|allowed|supported)|(?:does not|doesn't) support)"
)
_REJECTIONS = {
    name: re.compile(
        rf"\b{name}\b.{{0,60}}{_NOT_SUPPORTED}|{_NOT_SUPPORTED}.{{0,60}}\b{name}\b",
        re.IGNORECASE | re.DOTALL,
    )
    for name in SUBSTITUTES
}


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """A parsed error body."""

    message: str
    """The server's message on one line, truncated."""
    code: str
    """Its error code, if any."""
    parameter: str | None
    """The sampling parameter that the server rejects, if that is the error."""


def payload(request: Request, refused: frozenset[str] = frozenset()) -> bytes:
    """Serialise a request with all sampling parameters except the refused ones.

    The config refuses extras that would replace a field of ours.
    """
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": request.model,
        **_prompt_fields(request),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": request.seed,
        **request.extra_body,
    }
    for name in refused:
        value = body.pop(name)
        if substitute := SUBSTITUTES[name]:
            body[substitute] = value
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        # orjson rejects lone surrogates.
        return clean(json.dumps(body, ensure_ascii=False)).encode()


def _prompt_fields(request: Request) -> dict[str, Any]:
    if request.is_raw:
        return {"prompt": request.messages[-1].content}
    return {"messages": [{"role": m.role, "content": m.content} for m in request.messages]}


def parse_completion(body: bytes, request: Request) -> Completion:
    """Parse a completion; ValueError if the body is none.

    Missing token counts are estimated from the number of characters.
    """
    data = parse(body)
    try:
        choice = data["choices"][0]
        message = {"content": choice["text"]} if request.is_raw else choice["message"]
        text = _text(message.get("content")) or _text(message.get("refusal"))
        reasoning = next((t for f in REASONING_FIELDS if (t := _text(message.get(f)))), "")
        finish = str(choice.get("finish_reason") or "stop")
        usage = read_usage(data)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a completion: {error!r}") from error
    if not reasoning:
        reasoning, text = split_reasoning(text)
    # A server that counts no token of a text has not counted.
    return Completion(
        clean(text),
        clean(reasoning),
        FINISHES.get(finish, clean(finish)),
        usage.prompt or estimate_tokens(count_prompt_characters(request)),
        usage.received or estimate_tokens(len(text) + len(reasoning)),
        usage.cached,
        usage.cache_writes,
        usage.reasoning,
        _model_name(data),
    )


def parse_error(body: bytes) -> ErrorBody:
    """Parse an error body of any form."""
    try:
        data = parse(body)
    except ValueError:
        data = body.decode("utf-8", "replace")
    inner = data.get("error", data) if isinstance(data, dict) else data
    fields = inner if isinstance(inner, dict) else {}
    detail = fields.get("message") or fields.get("detail") or inner
    message = (detail if isinstance(detail, str) else json.dumps(detail))[:MAX_ERROR_CHARS]
    parameter = _refused_parameter(message, str(fields.get("param")), str(fields.get("code")))
    return ErrorBody(
        one_line(clean(message), MAX_MESSAGE_CHARS), str(fields.get("code") or ""), parameter
    )


def estimate_tokens(n_characters: int) -> int:
    """Estimate the number of tokens."""
    return -(-n_characters // CHARACTERS_PER_TOKEN)


def count_prompt_characters(request: Request) -> int:
    """Count the characters of all messages."""
    return sum(len(message.content) for message in request.messages)


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is any plain data
    """Parse JSON leniently; ValueError if invalid."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # The standard parser accepts what orjson does not and some servers send: truncated
        # characters, lone surrogates, NaN.
        try:
            return json.loads(body.decode("utf-8", "replace"))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def _text(value: object) -> str:
    """Return text given as a string, null, or a list of content parts."""
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise TypeError(f"text is {type(value).__name__}")
    parts = (part.get("text") for part in value if isinstance(part, dict))
    return "".join(part for part in parts if isinstance(part, str))


def _model_name(data: dict[str, Any]) -> str:
    """Return the name of the model that answered on one line, or an empty string."""
    name = data.get("model") or data.get("modelVersion")
    return one_line(clean(name), MAX_MODEL_CHARS) if isinstance(name, str) else ""


def _refused_parameter(message: str, named: str, code: str) -> str | None:
    """Return the parameter that the model does not support; an invalid value does not count."""
    if named in SUBSTITUTES and code.startswith("unsupported"):
        return named
    # Take the last: in "temperature and top_p cannot both be given", top_p is dispensable.
    refused = [name for name, refuses in _REJECTIONS.items() if refuses.search(message)]
    return refused[-1] if refused else None
