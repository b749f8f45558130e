"""Reassembles a completion that is streamed as server-sent events.

The result is the body that the server would have sent whole, so that everything else reads one form
only. Lines end with LF, CR or CRLF; comments, pings, other fields and choices but the first are
left out. A stream is complete after a finish reason or `[DONE]`; an error event ends it.

>>> stream = CompletionStream()
>>> stream.feed(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}')
0
>>> stream.close()
>>> stream.body
b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any

from evolcoder.engine.base import Request
from evolcoder.engine.json_values import object_of, parse
from evolcoder.engine.openai_schema import dumps
from evolcoder.reasoning import THINKING_FIELDS

DONE = "[DONE]"
_TEXTS = frozenset({"content", "refusal", *THINKING_FIELDS})
"""Fields of a message that come piece by piece."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_FIRST_LINE = re.compile(rb"\s*(?:data|event|id|retry)?:")
"""How a body of events begins, and no JSON does."""


class CompletionStream:
    """A completion that is being received."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._event = ""
        self._data: list[str] = []
        self._whole: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._error: object = None
        self._is_done = False
        self.has_begun = False
        """Whether anything came."""
        self.n_events = 0
        """Events with text so far; most servers send one for each token."""

    @property
    def is_complete(self) -> bool:
        """Whether the server sent all of it, or an error."""
        ended = self._is_done or self._error is not None
        return ended or bool(self._choice.get("finish_reason"))

    @property
    def has_usage(self) -> bool:
        """Whether the server counted tokens in any form."""
        return any(self._whole.get(name) for name in ("usage", "x_groq", "usageMetadata"))

    @property
    def body(self) -> bytes:
        """The body that the server would have sent without streaming."""
        if self._error is not None:
            return dumps({"error": self._error})
        if not self._choice and not self._message:
            return dumps(self._whole)
        choice = dict(self._choice)
        if self._message:
            choice = {"message": self._message, **choice}
        return dumps({**self._whole, "choices": [choice]})

    def feed(self, part: bytes) -> int:
        """Take bytes as they come; return how many events with text were in them."""
        self.has_begun = True
        before = self.n_events
        self._take(self._decoder.decode(part), final=False)
        return self.n_events - before

    def close(self) -> None:
        """Process a last line without its line end, which some servers omit."""
        self._take(self._decoder.decode(b"", final=True), final=True)
        self._dispatch()

    def _take(self, text: str, *, final: bool) -> None:
        for line in self._lines(text, final=final):
            if not line:
                self._dispatch()
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "event":
                self._event = value
            elif name == "error":  # older llama.cpp
                self._event, self._data = "error", [value]

    def _lines(self, text: str, *, final: bool) -> Iterator[str]:
        """Yield whole lines; a CR at the end may be half of a CRLF, and waits for more."""
        text = self._rest + text
        at = 0
        for found in _LINE_END.finditer(text):
            if found[0] == "\r" and found.end() == len(text) and not final:
                break
            yield text[at : found.start()]
            at = found.end()
        self._rest = text[at:]
        if final and self._rest:
            yield self._rest
            self._rest = ""

    def _dispatch(self) -> None:
        """Take an event: its lines of data are one text."""
        event, text = self._event, "\n".join(self._data)
        self._event, self._data = "", []
        if not text.strip() or self._error is not None:
            return
        if text.strip() == DONE:
            self._is_done = True
            return
        try:
            chunk = parse(text.encode("utf-8", "surrogatepass"))
        except ValueError:
            self._error = {"message": f"an event that is no JSON: {text[:200]}"}
            return
        if not isinstance(chunk, dict):
            return
        is_error = bool(chunk.get("error")) or event == "error" or chunk.get("object") == "error"
        if is_error and not chunk.get("choices"):
            self._error = chunk.get("error") or chunk
            return
        self._merge(chunk)

    def _merge(self, chunk: dict[str, Any]) -> None:
        for name, value in chunk.items():
            if name != "choices" and value is not None:
                self._whole[name] = value
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                self._merge_choice(choice)

    def _merge_choice(self, choice: dict[str, Any]) -> None:
        has_text = False
        if isinstance(whole := choice.get("message"), dict):
            self._message = whole  # from a server that does not send pieces, or repeats the whole
        delta = choice.get("delta")
        for name, value in object_of(delta).items():
            is_text = name in _TEXTS
            has_text |= is_text and bool(value)
            self._message[name] = _joined(self._message.get(name), value) if is_text else value
        if "text" in choice:
            has_text |= bool(choice["text"])
            self._choice["text"] = _joined(self._choice.get("text"), choice["text"])
        if choice.get("finish_reason") is not None:
            self._choice["finish_reason"] = choice["finish_reason"]
        self.n_events += has_text


def whole_body(body: bytes) -> bytes | None:
    """Return the body that a server should have sent in place of events; None if it is none.

    Some servers stream unasked. ValueError if the stream is not complete.
    """
    if not _FIRST_LINE.match(body):
        return None
    stream = CompletionStream()
    stream.feed(body)
    stream.close()
    if not stream.is_complete:
        raise ValueError("an incomplete stream")
    return stream.body


def _joined(before: object, value: object) -> object:
    """Add a piece of a field: texts and lists grow, other values replace."""
    if value is None:
        return before
    if isinstance(before, str) and isinstance(value, str):
        return before + value
    if isinstance(before, list | str) and isinstance(value, list | str) and before:
        return [*_parts(before), *_parts(value)]
    return value


def _parts(value: list[Any] | str) -> list[Any]:
    """Return the parts of a content that some events give as text."""
    return value if isinstance(value, list) else [{"type": "text", "text": value}]


class StreamedModels:
    """Decides which models of a server are asked to stream.

    One request tries it; meanwhile the others are not streamed. Streaming serves a display only, so
    the first stream that is incomplete or lacks token counts ends it for the model, unless the
    server answers that model's requests in no other way.
    """

    def __init__(self) -> None:
        self.is_wanted = False
        """Whether a display shows tokens as they arrive."""
        self._works: dict[str, bool] = {}
        """Model -> whether it streams; False also while the first request tries."""
        self._required: set[str] = set()
        """Models that only stream."""

    def begin(self, request: Request) -> CompletionStream | None:
        """Return a stream for a request to fill; None if the request is not to be streamed."""
        if self.is_required(request.model):
            return CompletionStream()
        if not self.is_wanted or "stream" in request.extra_body:
            return None
        is_first = request.model not in self._works
        works = self._works.setdefault(request.model, False)
        return CompletionStream() if is_first or works else None

    def require(self, model: str) -> None:
        """Stream all answers of a model from now on."""
        self._required.add(model)

    def is_required(self, model: str) -> bool:
        """Whether the server answers a model's requests in no other way."""
        return model in self._required

    def ended(self, request: Request, *, works: bool | None) -> None:
        """Record whether a stream was valid; None if that is unknown."""
        if works is not None:
            self._works[request.model] = works
        elif not self._works.get(request.model):
            self._works.pop(request.model, None)
