r"""Reads chats: turns in the notations of published data.

Reading never fails: what is not a turn is left out. The turns keep their order, and a turn says
what it needs besides text. No I/O.

| notation | example |
| --- | --- |
| role and content, from and value | `{"role": "user", "content": "Sort it."}` |
| a type in place of a role | `{"type": "human", "content": "Sort it."}` |
| content in parts | `{"content": [{"type": "text", "text": "Sort it."}]}` |
| alternating texts, pairs | `["Sort it.", "Done."]`, `[["Sort it.", "Done."]]` |
| columns of turns | `{"role": ["user"], "content": ["Sort it."]}` |
| turns in JSON, Python's notation or as numpy prints them | `"[{'role': 'user'}\n {...}]"` |

>>> [turn.text for turn in turns_of([["Sort it.", "Done."]])]
['Sort it.', 'Done.']
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from tokenize import STRING, TokenError, generate_tokens
from typing import Any, Literal, cast

from evolcoder.code.python_ast import literal_of
from evolcoder.fences import without_code
from evolcoder.reasoning import THINKING_FIELDS, THINKING_PARTS
from evolcoder.text import clean

Speaker = Literal["system", "user", "assistant", "tool"]

USERS = frozenset(
    """user human prompter prompt questioner question instruction instruct customer client
    问""".split()
)
ASSISTANTS = frozenset(
    """assistant gpt chatgpt bing bard model ai bot chatbot llm claude answer response 答""".split()
)
SYSTEMS = frozenset({"system", "developer", "system_prompt"})
CALLS = frozenset({"functioncall", "toolcall", "toolcalls", "call", "customtoolcall"})
"""Speakers whose turn is a call of a tool, without `_`, `-` and blanks."""
TOOLS = frozenset(
    """tool tools function observation functionresponse toolresponse toolresult functionresult
    functioncalloutput customtoolcalloutput ipython environment""".split()
)
"""Speakers whose turn is the result of a tool, likewise."""
NAMES = ("role", "from", "speaker", "sender", "author")
"""Keys of a turn with its speaker."""
TEXTS = (
    "content",
    "value",
    "text",
    "message",
    "parts",
    "output",
    "utterance",
    "body",
    "msg",
    "data",
)
"""Keys of a turn with its text."""
_KEYS_OF_TURNS = frozenset({*NAMES, *TEXTS, "type"})
EXCHANGES = (
    ("user", "assistant"), ("human", "assistant"), ("instruction", "output"), ("input", "output"),
    ("prompt", "response"), ("question", "answer"), ("query", "response"),
)  # fmt: skip
"""Keys of an item that is a question with its answer."""
_KEYS = frozenset({"system", "user", "human", "assistant", "gpt", "chatgpt", "ai", "bot"})
"""Speakers whose name is the key of their text."""
MEDIA = frozenset({"image", "audio", "video", "file"})
"""Beginnings of the types of parts that are no text, after `input_` or `output_`."""
TOOL_CALLS = frozenset({"tool_use", "tool_call", "function_call", "functionCall"})
"""Types of the parts of a content that call a tool."""
NEEDS_TOOLS, NEEDS_IMAGE = "needs tools", "needs an image"
MAX_REPLIES = 1000
"""Longest branch of a tree of replies."""
MAX_LITERAL = 1 << 20
"""Longest text that is read as a list of turns."""
_NO_LOSS = ("train", "training", "trainable", "loss")
"""Keys of a turn that say, if false, that it is not learnt; `weight` does if it is 0."""
_ARRAY = re.compile(r"\s*(?:np\.|numpy\.)?array\((.*?)(?:,\s*dtype=\w+)?\)\s*", re.DOTALL)
_NAMED = re.compile(r"\s*(\w+):\s+")
"""Speaker at the beginning of a turn that is a text."""
_TEXT_BREAK = re.compile(r"""(['"])\s+(?=['"])""")
"""Between texts of an array as numpy prints it."""
_ITEM_BREAK = re.compile(r"\}\s*\n\s*\{")
"""Between items of an array as numpy prints it; line breaks in texts are escaped there."""
_CALL = re.compile(
    r"(?<!`)(?:<(?:tool_call|functioncall|function_call|tool_code)>|\[TOOL_CALLS\]"
    r"|<function=\w+>\s*<parameter=)",
    re.IGNORECASE,
)
_MEDIA_MARK = re.compile(r"\A\s*<(image|video|audio)>|<(image|video|audio)>\s*\Z")
"""Placeholder of an image in a turn; in the middle of a text it is more likely a tag of XML."""


_MEDIA_TAG = re.compile(r"(?<!`)<(img|image|audio|video)>[^<>\s]{3,500}</\1>")
"""An image by its address, in the notation of Qwen-VL."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a chat."""

    speaker: Speaker
    """Who speaks."""
    text: str
    """What is said; may be empty."""
    thoughts: str = ""
    """The speaker's thinking that stands apart; empty if there is none."""
    needs: str = ""
    """What the turn needs besides its text: `needs tools` or `needs an image`; or empty."""
    extra: str = ""
    """Tool calls, or results of tools and other parts that are no text, as JSON; or a hash of the
    images; empty if there are none."""
    is_excluded: bool = False
    """Whether the file says that a model must not learn to say this, such as by `weight: 0`."""


def turns_of(value: object) -> list[Turn]:
    """Read the turns of a chat in any notation; empty if it is none."""
    value = parsed_list(value)
    if isinstance(value, Mapping):
        return _turns_of_object(value)
    if not isinstance(value, list | tuple):
        return []
    if value and all(isinstance(one, str) for one in value):
        return _turns_of_texts(value)
    if value and all(_is_pair(one) for one in value):
        return _pairs(value)
    if value and all(isinstance(one, list) for one in value):  # a list of turns for each question
        value = [turn for one in value for turn in one]
    return [turn for one in value for turn in (_exchanged(one) or _turn(one))]


def _turns_of_object(value: Mapping[str, object]) -> list[Turn]:
    """Read a tree of replies, columns of turns, or turns under a key, as chat programs export."""
    if isinstance(value.get("replies"), list):
        return _branch(value)
    if rows := rows_of_columns(value):
        return [turn for row in rows for turn in _turn(row)]
    if value and all(str(key).isdecimal() for key in value):
        return turns_of([*value.values()])
    inner = next((value[key] for key in ("messages", "turns") if key in value), None)
    return turns_of(inner) if isinstance(inner, list | tuple) else []


def _turns_of_texts(texts: Sequence[str]) -> list[Turn]:
    """Read texts that are turns in JSON each, or begin with their speakers, or else take turns."""
    items = [parsed_list(one) for one in texts]
    if all(isinstance(one, Mapping) and _turn(one) for one in items):
        return [turn for one in items for turn in _turn(one)]
    named = [_NAMED.match(one) for one in texts]
    speakers = [speaker_of(name[1]) if name else None for name in named]
    if all(speakers):
        pairs = zip(texts, named, speakers, strict=True)
        return [Turn(one, clean(text[name.end() :])) for text, name, one in pairs if name and one]
    return _alternating(texts)


def rows_of_columns(value: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return turns that are stored as one list for each of their keys; empty if they are not."""
    name = next((key for key in NAMES if isinstance(value.get(key), list)), None)
    columns = {key: one for key, one in value.items() if isinstance(one, list)}
    if name is None or len({len(one) for one in columns.values()}) != 1 or len(columns) < 2:
        return []
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _branch(node: Mapping[str, object]) -> list[Turn]:
    """Read a tree of replies along those of the best rank."""
    turns = list[Turn]()
    while len(turns) < MAX_REPLIES:
        turns += _turn(node)
        replies = node.get("replies")
        nodes = (
            [one for one in replies if isinstance(one, Mapping)]
            if isinstance(replies, list)
            else []
        )
        if not nodes:
            break
        ranks = [one.get("rank") for one in nodes]
        numbers = [one if isinstance(one, int | float) else len(nodes) for one in ranks]
        node = nodes[numbers.index(min(numbers))]
    return turns


def turns_in_field(value: object) -> list[Turn]:
    """Read the turns of a field that may hold a plain text; empty if it does.

    A text may be a list in JSON itself, so it is a chat only if all its turns name their speakers.
    """
    if not isinstance(value, str):
        return turns_of(value) or _turn(value)
    found = parsed_list(value)
    if isinstance(found, Mapping):
        found = next((found[key] for key in ("messages", "turns") if key in found), None)
    is_chat = isinstance(found, list) and all(map(_turn, found))
    return turns_of(found) if is_chat else []


def parsed_list(value: object) -> object:
    """Parse a text that is a list or an object in JSON or in Python's notation, as CSV files have.

    Other values are returned unchanged.
    """
    if not isinstance(value, str) or len(value) > MAX_LITERAL:
        return value
    if (array := _ARRAY.fullmatch(value)) is not None:
        found = _parsed_array(array[1])
        return value if found is None else found
    if value.lstrip()[:1] not in {"[", "{"}:
        return value
    for parse in (json.loads, _parsed_array, literal_of):
        try:
            found = parse(value.strip())
        except (ValueError, RecursionError):
            continue
        if found is not None:
            return found if isinstance(found, list | dict) else value
    return value


def _parsed_array(text: str) -> list[object] | None:
    """Parse a list of objects or texts as numpy prints it, without commas; None if it is none.

    Python joins two texts without a comma, so each is read by itself.
    """
    if not text.lstrip().startswith("["):
        return None
    try:
        found = literal_of(_ITEM_BREAK.sub("},{", text).strip())
        if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
            found = _parsed_texts(text)
    except (ValueError, SyntaxError, TokenError):
        return None
    is_list = isinstance(found, list) and all(isinstance(one, dict | str) for one in found)
    return found if is_list else None


def _parsed_texts(text: str) -> list[object]:
    """Read each text of a list by itself."""
    if not _TEXT_BREAK.search(text):
        return [*literal_of(text.strip())]
    tokens = generate_tokens(StringIO(text.strip()).readline)
    return [literal_of(one.string) for one in tokens if one.type == STRING]


def plain_text(value: object) -> str:
    """Return a value as text: numbers and lists as JSON, nothing for null and NaN."""
    if isinstance(value, str):
        return clean(value)
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN
        return ""
    if isinstance(value, bytes | bytearray) or value in ([], {}, ()):
        return ""
    try:
        return clean(json.dumps(value, ensure_ascii=False, default=str))
    except (ValueError, TypeError, RecursionError, OverflowError):
        return ""


def canonical(value: object) -> str:
    """Return tools or their calls as text that is compared: keys in order, without random ids."""
    try:
        return plain_text(_ordered(value))
    except RecursionError:
        return plain_text(value)


def _ordered(value: object) -> object:
    if isinstance(value, Mapping):
        names = sorted((name for name in value if name not in _IDS), key=str)
        return {name: _ordered(value[name]) for name in names}
    return [*map(_ordered, value)] if isinstance(value, list | tuple) else value


_IDS = frozenset({"id", "tool_call_id", "tool_use_id", "call_id"})
"""Keys with a random name of a call."""


def digest_of(value: object) -> str:
    """Return a hash of a value, such as an image, that is compared and not shown."""
    try:
        return hashlib.blake2b(repr(value).encode("utf-8", "replace"), digest_size=16).hexdigest()
    except (ValueError, RecursionError):
        return ""


def media_in(text: str) -> bool:
    """Whether a text begins or ends with the placeholder of an image, audio or video, or names one.

    Code may have such elements, so what is fenced or quoted is none.
    """
    if _MEDIA_MARK.search(text) is not None:
        return True
    return _MEDIA_TAG.search(text) is not None and bool(_MEDIA_TAG.search(without_code(text)))


def calls_tool(text: str) -> bool:
    """Whether a text contains the call of a tool, in the notation of a chat template.

    Code may be about such calls, so what is fenced or quoted is none.
    """
    return _CALL.search(text) is not None and _CALL.search(without_code(text)) is not None


def holds_calls(text: str) -> bool:
    """Whether a text is one or more calls of tools in JSON, with names and arguments."""
    found = parsed_list(text)
    calls = found if isinstance(found, list) else [found]
    return bool(calls) and all(map(_is_call, calls))


def _is_call(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    inner = value.get("function")
    call = inner if isinstance(inner, Mapping) else value
    return isinstance(call.get("name"), str) and not {"arguments", "parameters"}.isdisjoint(call)


def _alternating(texts: Sequence[str]) -> list[Turn]:
    speakers: tuple[Speaker, Speaker] = ("user", "assistant")
    return [Turn(speakers[n % 2], clean(text)) for n, text in enumerate(texts)]


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(one, str) or one is None for one in value)
    )


def _pairs(pairs: Iterable[Sequence[str | None]]) -> list[Turn]:
    """Read pairs of (speaker, text) or of (question, answer)."""
    pairs = list(pairs)
    speakers = [speaker_of(first) for first, _ in pairs]
    if all(speakers):
        return [
            Turn(speaker, clean(text or ""))
            for speaker, (_, text) in zip(speakers, pairs, strict=True)
            if speaker is not None
        ]
    return [turn for pair in pairs for turn in _alternating([one or "" for one in pair])]


def _exchanged(value: object) -> list[Turn]:
    """Read a question and its answer that are one item, or texts under the names of speakers.

    Empty if the item is neither.
    """
    if not isinstance(value, Mapping) or any(key in value for key in NAMES):
        return []
    for asked, answered in EXCHANGES:
        if isinstance(value.get(asked), str) and answered in value:
            text = _stripped(value.get("system"))
            system = [Turn("system", text)] if text else []
            return [*system, *_alternating([str(value[asked]), plain_text(value[answered])])]
    said = {key: text for key, text in value.items() if isinstance(text, str)}
    if not said or any(str(key).lower() not in _KEYS for key in said):
        return []
    return _pairs([[str(key), text] for key, text in said.items()])


def _turn(value: object) -> list[Turn]:
    """Read one turn; empty if it has no known speaker."""
    if not isinstance(value, Mapping):
        return []
    if _KEYS_OF_TURNS.isdisjoint(value):  # which may be capitalised
        value = cast("Mapping[Any, Any]", {str(key).lower(): one for key, one in value.items()})
    name = _name_in(value)
    speaker, is_call = speaker_of(name), _folded(name) in CALLS
    if is_call:
        speaker = "assistant"
    if speaker is None:
        return []
    content = next((value[key] for key in TEXTS if value.get(key)), "")
    if isinstance(content, Mapping):
        content = next(
            (content[key] for key in ("parts", "text", "content") if content.get(key)), ""
        )
    text, calls = _joined(content), value.get("tool_calls") or value.get("function_call")
    has_media = _has_media(content) or _has_part(content, MEDIA)
    needs = NEEDS_IMAGE if has_media or media_in(text) else ""
    if _has_part(content, TOOL_CALLS):
        calls = calls or content
    elif is_call and not text:  # the item is the call itself
        calls = calls or dict(value)
    if speaker == "assistant" and (is_call or calls or calls_tool(text)):
        needs = NEEDS_TOOLS
    extra = canonical(calls or _other_parts(content))
    if needs == NEEDS_IMAGE and not calls:
        extra = digest_of(content)
    is_excluded = speaker == "assistant" and _is_excluded(value)
    return [Turn(speaker, text, _thoughts(value), needs, extra, is_excluded)]


def _is_excluded(turn: Mapping[object, object]) -> bool:
    """Whether a turn says that it is not learnt, as OpenAI's, axolotl's and ms-swift's files do."""
    weights = (turn.get(key) for key in ("weight", "loss_weight"))
    has_no_weight = any(isinstance(one, int | float) and not one for one in weights)
    return has_no_weight or any(turn.get(key) is False for key in _NO_LOSS)


def _name_in(turn: Mapping[object, object]) -> object:
    """Return the name of a turn's speaker, or its type if it has none."""
    name = next((turn[key] for key in NAMES if turn.get(key) is not None), None)
    if name is None and turn.get("type") != "function":  # the declaration of a tool
        return turn.get("type")
    return name.get("role") if isinstance(name, Mapping) else name  # exports of ChatGPT


def _folded(name: object) -> str:
    return re.sub(r"[\s_-]", "", name.lower()) if isinstance(name, str) else ""


def speaker_of(name: object) -> Speaker | None:
    """Return the speaker of a turn by the name that its file has; None if it is unknown."""
    plain = name.strip().strip(":").lower() if isinstance(name, str) else ""
    if plain in USERS:
        return "user"
    if plain in ASSISTANTS or re.match(r"(?:chat)?gpt[-_ .\d]", plain):
        return "assistant"
    if plain in SYSTEMS:
        return "system"
    return "tool" if _folded(name) in TOOLS else None


def _joined(content: object) -> str:
    """Join the text parts of a turn."""
    if not isinstance(content, list | tuple):
        return clean(content) if isinstance(content, str) else ""
    texts = [part if isinstance(part, str) else _part_text(part) for part in content]
    return "\n".join(clean(text) for text in texts if isinstance(text, str))


def _part_text(part: object) -> object:
    if not isinstance(part, Mapping) or str(part.get("type"))[:100] in THINKING_PARTS:
        return None
    found = next((part[key] for key in ("text", "value", "content") if part.get(key)), None)
    if isinstance(found, Mapping):  # {"type": "text", "text": {"value": ...}}
        found = found.get("value")
    return found


def _other_parts(content: object) -> list[object]:
    """Return the parts of a turn that are no text and no thinking, such as results of tools."""
    if not isinstance(content, list | tuple):
        return [] if isinstance(content, str) else [content]
    return [
        part
        for part in content
        if isinstance(part, Mapping)
        and str(part.get("type"))[:100] not in THINKING_PARTS
        and not isinstance(_part_text(part), str)
    ]


def _has_media(content: object) -> bool:
    kinds = [
        str(part.get("type"))[:100].removeprefix("input_").removeprefix("output_")
        for part in (content if isinstance(content, list | tuple) else ())
        if isinstance(part, Mapping)
    ]
    return any(kind.partition("_")[0] in MEDIA for kind in kinds)


def _has_part(content: object, names: Collection[str]) -> bool:
    """Whether a content has a part of one of these types, or with one of these keys and no type."""
    parts = content if isinstance(content, list | tuple) else ()
    return any(
        str(part.get("type"))[:100] in names
        or ("type" not in part and any(part.get(name) for name in names))
        for part in parts
        if isinstance(part, Mapping)
    )


def _thoughts(turn: Mapping[str, object]) -> str:
    """Return a turn's thinking that stands in a field of its own or in parts of the content."""
    fields = (turn.get(field) for field in THINKING_FIELDS)
    given = next((text for value in fields if (text := _stripped(value))), "")
    content = turn.get("content")
    if given or not isinstance(content, list):
        return given
    texts = [
        _stripped(part.get(field))
        for part in content
        if isinstance(part, Mapping) and str(part.get("type"))[:100] in THINKING_PARTS
        for field in ("text", "thinking", "reasoning", "content", "summary", "value")
    ]
    return "\n\n".join(filter(None, texts))


def _stripped(value: object) -> str:
    return clean(value).strip() if isinstance(value, str) else ""
