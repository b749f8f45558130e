r"""Finds where a model's text ends: at a special token, or at the next turn that it writes itself.

Guarantees: nothing is run; linear time; a text without such tokens is returned unchanged. A token
in a string, a comment or an index is text. A few tokens of base models look like placeholders or
tags of HTML, so `glued_tokens` lists every token and the caller decides which one ends the code.

>>> without_end("return 1<|endoftext|>import os")
('return 1', True)
"""

import re
from collections.abc import Iterator
from itertools import islice

from evolcoder.programming_language import code_blocks

MAX_OPENINGS = 20
"""Most tokens of calls that are removed; each is looked for in quotes."""
MAX_TOKENS = 5
"""Most tokens at which a text is cut in turn."""
_BAR = "[|｜]"
_NAME = r"[^\s<>|｜]{1,40}"
_OPENS = (
    rf"<{_BAR}/?(?:(?:begin|start)[_▁]of[_▁](?!text|sentence|turn|role)\w+|python_(?:tag|start)"
    rf"|(?!fim)[\w▁]+[_▁]begin|[\w▁]*[_▁]?sep|message|channel|constrain|recipient|START_RESPONSE"
    rf"|CHATBOT_TOKEN){_BAR}>"
)
"""Tokens at which something begins that belongs to the answer, such as a call of a tool."""
_OPENING = re.compile(_OPENS, re.IGNORECASE)
_END_OF_TEXT = re.compile(
    rf"<{_BAR}{_NAME}{_BAR}>"
    r"|</s>|<(?:eos|EOT|end_of_turn|start_of_turn|end_of_utterance|eo[dm]|file_sep|empty_output"
    r"|gh_stars|fim_(?:prefix|middle|suffix|pad)|issue_(?:start|comment|closed)"
    r"|commit_(?:before|msg|after)|jupyter_\w{1,20})>"
    r"|<\[[^\s<>\[\]]{1,40}\]>"  # of Seed-Coder
    r"|\[(?:/INST|EOS|INST|\|endofturn\|)\]",
    re.IGNORECASE,
)
"""Tokens at which a model ends its turn or another begins."""
_GLUED = re.compile(
    rf"<{_BAR}?/?[A-Za-z<][^\s<>=()\"']{{0,40}}>{{1,2}}|\[/?[A-Z]{{3,10}}\]|<0x[0-9A-F]{{2}}>"
)
"""What may be a token: it ends code only if that does not parse otherwise."""
_LEADING = re.compile(
    rf"\A(?:\s*(?:<{_BAR}{_NAME}{_BAR}>|<s>|<bos>|<role>|</role>|<(?:start_of_turn|fim_middle|MID)>"
    rf"|\[\|assistant\|\])(?:(?:assistant|model|bot|ASSISTANT)\b)?)+",
    re.IGNORECASE,
)
"""Tokens at the beginning of a text, with the name of the speaker."""
_ECHO = re.compile(
    r"\A\s*(?:<s>\s*)?(?:\[INST\].*?\[/INST\]"
    r"|<\|im_start\|>(?:system|user)\b.*?<\|im_start\|>assistant\b"
    r"|<start_of_turn>user\b.*?<start_of_turn>model\b"
    r"|<\|start_header_id\|>(?:system|user)<.*?<\|start_header_id\|>assistant<\|end_header_id\|>"
    r"|<\|(?:system|user)\|>.*?<\|assistant\|>)",
    re.DOTALL,
)
"""The prompt, which a server returned with the answer."""
_LAST = re.compile(r"\[(EOS|PAD|INST|DONE|END|STOP|SEP|UNK)\]\s*\Z")
"""A token at the text's end that may also be an index."""
_FILE_MARK = re.compile(r"<(?:repo_?name|filename)>")
"""Tokens between files, which are placeholders in the words of a chat model."""
_INDEXES = frozenset({"[INST]", "[EOS]"})
_OPERATORS = frozenset("=+(,[{:*")
_IS_INDEX = re.compile(r"[^\n]*(?:[\w\])]|\breturn |\bin )\Z")
_COMMENTED = re.compile(r"(?:^|[\s+|])(?:#|//|--|;;|\*)(?:\s|$)")
_LONG_TEXTS = (('"' * 3, '"' * 3), ("'" * 3, "'" * 3), ("/*", "*/"))
"""Marks around docstrings and long comments."""
_TURN = re.compile(
    r"^(?:\*\*|#{1,3} )?(?:Human|User|USER|Instruction)(?:\*\*)?:.*\n(?:.*\n){0,40}?"
    r"(?:\*\*|#{1,3} )?(?:Assistant|ASSISTANT|Response|AI)(?:\*\*)?:",
    re.MULTILINE,
)
"""Another turn of a chat, which a model writes itself."""


def without_end(text: str, *, is_base: bool = False) -> tuple[str, bool]:
    """Cut a text at the first token that ends it, except at its beginning.

    `is_base`: whether it is a base model's, which has tokens between files.

    A token in a string, a comment or a docstring is text, and so is a name in brackets that code
    goes on from: `vocabulary[EOS]`.
    """
    if "<" not in text and "[" not in text:
        return text, False
    for found in _END_OF_TEXT.finditer(text):
        if _OPENING.fullmatch(found[0]):
            continue
        if text[: found.start()].strip() and not _is_quoted(text, found):
            return text[: found.start()], True
    mark = _FILE_MARK.search(text) if is_base else None
    if mark and text[: mark.start()].strip() and not _is_quoted(text, mark):
        return text[: mark.start()], True
    last = _LAST.search(text)
    if last and len(re.findall(rf"\b{last[1]}\b", text)) == 1:
        return text[: last.start()], True
    return text, False


def without_start(text: str) -> str:
    """Remove an echo of the prompt and the tokens at a text's beginning, and those of calls."""
    if "<" not in text and "[" not in text:
        return text
    text = _ECHO.sub("", text, count=1)
    text = _LEADING.sub("", text, count=1)
    return _OPENING.sub(
        lambda found: found[0] if _is_quoted(text, found) else "\n", text, count=MAX_OPENINGS
    )


def glued_tokens(text: str) -> Iterator[int]:
    """Yield where the first tokens of a text begin, whatever their names."""
    yield from islice((found.start() for found in _GLUED.finditer(text)), MAX_TOKENS)


def one_turn(text: str) -> tuple[str, bool]:
    """Cut an answer with a closed block where the model writes the user's next turn itself."""
    found = _TURN.search(text)
    if found is None:
        return text, False
    blocks = code_blocks(text[: found.start()])
    if not blocks or not all(block.closed for block in blocks):
        return text, False
    return text[: found.start()], True


def _is_quoted(text: str, found: re.Match[str]) -> bool:
    """Whether a token stands in a string, a comment or an index rather than ends the text."""
    begin, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.end())
    before, after = text[begin : found.start()], text[found.end() : end if end >= 0 else None]
    if any(before.count(quote) % 2 and quote in after for quote in "\"'`"):
        return True
    if found[0] in _INDEXES and (before.strip()[-1:] in _OPERATORS or _IS_INDEX.match(before)):
        return True
    if not text[found.end() :].strip():
        return False
    is_comment = _COMMENTED.search(before) is not None and before[-1:].isspace()
    return is_comment or any(_is_between(text, found, *marks) for marks in _LONG_TEXTS)


def _is_between(text: str, found: re.Match[str], opening: str, closing: str) -> bool:
    """Whether a token is between two marks of its block, such as those of a docstring."""
    begin = text.rfind("\n```", 0, found.start()) + 1
    before = text[begin : found.start()]
    if opening == closing:
        return before.count(opening) % 2 == 1 and closing in text[found.end() :]
    return before.rfind(opening) > before.rfind(closing) and closing in text[found.end() :]
