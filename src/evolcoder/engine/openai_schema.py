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

from evolcoder.engine.base import Completion, Request
from evolcoder.engine.json_values import object_of, parse
from evolcoder.engine.prices import read_usage
from evolcoder.reasoning import THINKING_FIELDS, THINKING_PARTS
from evolcoder.text import clean, late_pattern, one_line, remembered

SUBSTITUTES = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "top_p": None,
    "seed": None,
}
"""Parameters that some models reject -> the replacement, if there is one."""
CHARACTERS_PER_TOKEN = 3
"""A conservative estimate; English and code have about four."""
MAX_MESSAGE_CHARS = 300
"""Maximum characters of a server's message in an error."""
MAX_ERROR_CHARS = 4000
"""Maximum characters of an error message that are parsed."""
MIN_ECHO_CHARS = 20
"""A shorter prompt at the beginning of an answer is not taken for an echo of it."""
MAX_MODEL_CHARS = 300
"""Maximum characters of the name of the model that answered."""
MAX_PAGE_CHARS = 20_000
"""Maximum characters of a page that are searched for a message."""
MAX_ERROR_DEPTH, MAX_ERROR_PARTS, MAX_KIND_CHARS = 6, 32, 80
"""Bounds on what is read of an error body."""
_KIND_FIELDS = frozenset({"code", "type", "status", "reason", "error_type", "error_code"})
_STATUS = re.compile(r"[45]\d\d")
_HIDDEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
MAX_PART_DEPTH = 3
"""Most levels of parts within parts that are read."""
_PART_FIELDS = ("text", "thinking", "reasoning", "content", "summary")
_NOT_SUPPORTED = (
    r"(?:unsupported|unrecogni[sz]ed|unknown|unexpected|extra_forbidden|extra inputs|cannot both be"
    r"|not (?:permitted|allowed|supported)|(?:does not|doesn't) support)"
)
_WANTS_STREAM = late_pattern(
    r"\bnon-?stream|\bstream(?:ing)?\b.{0,40}\b(?:true|mode|required|enabled?)\b"
    r"|\b(?:only|must|requires?|needs?)\b.{0,30}\bstream",
    re.IGNORECASE,
)
"""Words of a server that gives only streamed answers, to a request that asked for a whole one."""
_REJECTIONS = {
    name: late_pattern(
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
    kinds: frozenset[str] = frozenset()
    """Every code, type, status and reason in it, in lower case."""
    retryable: bool = False
    """Whether it says so in a field of that name."""

    @property
    def wants_stream(self) -> bool:
        """Whether it says that only streamed answers are given."""
        return _WANTS_STREAM.search(self.message) is not None

    @property
    def names_top_p(self) -> bool:
        """Whether it is about the value of `top_p`."""
        return re.search(r"\btop_p\b", self.message) is not None

    @property
    def status(self) -> int | None:
        """The HTTP status among its codes, if any: proxies send an error with status 200."""
        return next((int(kind) for kind in sorted(self.kinds) if _STATUS.fullmatch(kind)), None)


def payload(
    request: Request, refused: frozenset[str] = frozenset(), *, is_streamed: bool = False
) -> bytes:
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
        **(_STREAMED if is_streamed else {}),
        **request.extra_body,
    }
    for name in refused:
        value = body.pop(name)
        if substitute := SUBSTITUTES[name]:
            body[substitute] = value
    return dumps(body)


def dumps(value: object) -> bytes:
    """Serialise plain data, also with lone surrogates and large integers, which orjson rejects."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return clean(json.dumps(value, ensure_ascii=False)).encode()


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
        text = _without_echo(text, request)
        reasoning = _reasoning(message)
        finish = _finish(choice.get("finish_reason"))
        usage = read_usage(data)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"not a completion: {error!r}") from error
    # A server that counts no token of a text has not counted.
    completion = Completion.of(
        text,
        reasoning,
        finish,
        sent=usage.prompt or estimate_tokens(count_prompt_characters(request)),
        received=usage.received or estimate_tokens(len(text) + len(reasoning)),
    )
    c = completion
    return Completion(
        c.text,
        c.reasoning,
        c.finish,
        c.prompt_tokens,
        c.completion_tokens,
        usage.cached,
        usage.cache_writes,
        usage.reasoning,
        _model_name(data),
    )


def parse_error(body: bytes) -> ErrorBody:
    """Parse an error body of any form: an object, a list of objects, a text or a page."""
    try:
        data = parse(body)
    except ValueError:
        data = _page_text(body.decode("utf-8", "replace"))
    data = data[0] if isinstance(data, list) and data else data
    inner = (data.get("error") or data) if isinstance(data, dict) else data
    fields = object_of(inner)
    detail = fields.get("message") or fields.get("detail") or fields.get("msg") or inner
    message = (detail if isinstance(detail, str) else json.dumps(detail))[:MAX_ERROR_CHARS]
    parameter = _refused_parameter(message, str(fields.get("param")), str(fields.get("code")))
    kinds, retryable = _error_kinds(data)
    return ErrorBody(
        one_line(clean(message), MAX_MESSAGE_CHARS),
        str(fields.get("code") or ""),
        parameter,
        kinds,
        retryable,
    )


def is_error(body: bytes) -> bool:
    """Whether the body is an object with an `error` and no choices."""
    try:
        data = parse(body)
    except ValueError:
        return False
    return isinstance(data, dict) and bool(data.get("error")) and not data.get("choices")


def _page_text(text: str) -> str:
    """Return the visible text of a page; other texts are returned as they are."""
    text = text.strip()[:MAX_PAGE_CHARS]
    if not text.startswith("<"):
        return text
    return " ".join(_TAG.sub(" ", _HIDDEN.sub(" ", text)).split())


def _error_kinds(data: object) -> tuple[frozenset[str], bool]:
    """Collect codes, types, statuses and reasons of an error, and whether it is retryable."""
    kinds: set[str] = set()
    retryable = False
    left = [(data, 0)]
    while left:
        one, depth = left.pop()
        if isinstance(one, list):
            left += [(item, depth + 1) for item in one[:MAX_ERROR_PARTS] if depth < MAX_ERROR_DEPTH]
        if not isinstance(one, dict):
            continue
        for name, value in list(one.items())[:MAX_ERROR_PARTS]:
            if isinstance(value, dict | list):
                left += [(value, depth + 1)] if depth < MAX_ERROR_DEPTH else []
            elif name == "retryable":
                retryable |= value is True
            elif name in _KIND_FIELDS and isinstance(value, str | int):
                kinds.add(str(value)[:MAX_KIND_CHARS].lower())
    return frozenset(kinds), retryable


def estimate_tokens(n_characters: int) -> int:
    """Estimate the number of tokens."""
    return -(-n_characters // CHARACTERS_PER_TOKEN)


def count_prompt_characters(request: Request) -> int:
    """Count the characters of all messages."""
    return sum(len(message.content) for message in request.messages)


def _text(value: object) -> str:
    """Return text given as a string, null, or a list of content parts."""
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise TypeError(f"text is {type(value).__name__}")
    parts = [part for part in value if isinstance(part, dict)]
    texts = [part.get("text") for part in parts if part.get("type") not in THINKING_PARTS]
    return "".join(text for text in texts if isinstance(text, str))


def _without_echo(text: str, request: Request) -> str:
    """Remove the prompt from the beginning of a chat's answer: some servers return it too."""
    prompt = request.messages[-1].content.strip()
    begins = not request.is_raw and len(prompt) >= MIN_ECHO_CHARS and text.startswith(prompt)
    rest = text[len(prompt) :] if begins else ""
    return rest.lstrip() if rest[:1] == "\n" and rest.strip() else text


def _reasoning(message: dict[str, Any]) -> str:
    """Return the thinking that a server split off: in a field, or in parts of the content."""
    found = ""
    for field in THINKING_FIELDS:
        if field in message and (found := _thoughts(message[field])):
            break
    content = message.get("content")
    if found or not isinstance(content, list):
        return found
    return "".join(
        _thoughts(part)
        for part in content
        if isinstance(part, dict) and part.get("type") in THINKING_PARTS
    )


def _thoughts(value: object, depth: int = 0) -> str:
    """Return all text of a value: a string, a part, or a list of these; never fails."""
    if isinstance(value, str):
        return value
    if depth == MAX_PART_DEPTH:
        return ""
    if isinstance(value, dict):
        fields = (_thoughts(value.get(field), depth + 1) for field in _PART_FIELDS)
        return next(filter(None, fields), "")
    return "".join(_thoughts(one, depth + 1) for one in value) if isinstance(value, list) else ""


def _finish(value: object) -> str | None:
    """Return the word of a finish reason; SGLang has an object with a type."""
    if isinstance(value, dict):
        value = value.get("type")
    return str(value) if value else None


def _model_name(data: dict[str, Any]) -> str:
    """Return the name of the model that answered on one line, or an empty string."""
    name = data.get("model") or data.get("modelVersion")
    return _shown_name(name) if isinstance(name, str) else ""


@remembered
def _shown_name(name: str) -> str:
    return one_line(clean(name), MAX_MODEL_CHARS)


def _refused_parameter(message: str, named: str, code: str) -> str | None:
    """Return the parameter that the model does not support; an invalid value does not count."""
    if named in SUBSTITUTES and code.startswith("unsupported"):
        return named
    # Take the last: in "temperature and top_p cannot both be given", top_p is dispensable.
    refused = [name for name, refuses in _REJECTIONS.items() if refuses.search(message)]
    return refused[-1] if refused else None
