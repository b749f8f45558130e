r"""Reads chats that are written as one text, with the tokens or headings of a chat template.

Guarantees: a text without them is no chat, and no word of a turn is changed. No I/O.

>>> turns_in_text("### Human: Sort it.\n### Assistant: Done.")[1].speaker
'assistant'
"""

import re
from collections.abc import Iterator
from itertools import zip_longest

from evolcoder.seeds.chats import (
    NEEDS_IMAGE,
    NEEDS_TOOLS,
    Speaker,
    Turn,
    calls_tool,
    media_in,
    speaker_of,
)
from evolcoder.text import clean

_END = (
    r"(?:<\|(?:im_end|eot_id|eom_id|eot|end|endoftext|end_of_text|end_of_turn|EOT|return|END_OF_TURN_TOKEN)\|>"
    r"|<end_of_turn>|<｜end▁of▁sentence｜>|\[\|endofturn\|\]|<extra_id_1>\s*\Z|</s>)"
)
_LAST = re.compile(rf"(?<!\s)(?:\s*+{_END})++\s*\Z")
_ANALYSIS = re.compile(
    r"<\|start\|>assistant<\|channel\|>analysis<\|message\|>(.*?)(?:<\|end\|>|\Z)", re.DOTALL
)
"""A turn of thinking in the notation of gpt-oss."""
_MARKED = (
    re.compile(r"<\|start\|>(\w+)(?:<\|channel\|>[^<]*)?<\|message\|>"),
    re.compile(r"<\|start_of_role\|>(\w+)<\|end_of_role\|>"),
    re.compile(r"<\|START_OF_TURN_TOKEN\|><\|(\w+?)_TOKEN\|>"),
    re.compile(r"<｜(User|Assistant)｜>"),
    re.compile(r"<\|im_start\|>[ ]*(\w+)[ ]*(?:\n|<\|im_sep\|>)"),
    re.compile(r"<\|im_(?:system|user|assistant)\|>(\w+)<\|im_middle\|>"),
    re.compile(
        r"<\|(?:start_header_id|header_start)\|>\s*(\w+)\s*<\|(?:end_header_id|header_end)\|>\s*"
    ),
    re.compile(r"<start_of_turn>[ ]*(\w+)[ ]*\n"),
    re.compile(r"<extra_id_[01]>(System|User|Assistant)\n"),
    re.compile(r"\[\|(system|user|assistant)\|\]"),
    re.compile(r"<\|(system|user|assistant|prompter|model|prompt|answer)\|>\s*"),
)
"""Beginnings of a turn in templates with special tokens: gpt-oss; Granite; Command R; DeepSeek;
ChatML and Phi-4; Kimi; Llama 3 and 4; Gemma; Nemotron; EXAONE; Zephyr, Phi-3 and H2O."""
_HEADED = (
    re.compile(r"^#{2,3}[ ]*(Instruction|Response)s?[ \t]*(?:\n|\Z)", re.MULTILINE),
    re.compile(r"^#{2,3}[ ]*(Instruction|Input|Response|Output)s?:[ \t]*\n?", re.MULTILINE),
    re.compile(r"#{2,3}[ ]*(Human|User|Assistant|System):[ \t]*\n?"),
    re.compile(r"^(?:#{2,3}[ ]*)?(Question|Answer):[ \t]*\n?", re.MULTILINE),
    re.compile(r"^@@ (Instruction|Response)[ \t]*\n", re.MULTILINE),
    re.compile(r"^(Human|Assistant|System):[ \t]*\n?", re.MULTILINE),
    re.compile(r"(?:^|(?<=</s>)|(?<=[ \n]))(USER|ASSISTANT|SYSTEM):[ \t]*\n?"),
    re.compile(
        r"(?:^|<\|end_of_turn\|>|<｜end▁of▁sentence｜>)"
        r"(?:GPT4 Correct |Code )?(User|Assistant|System):[ \t]*\n?",
        re.MULTILINE,
    ),
    re.compile(r"^(Human|AI|System):[ \t]*\n?", re.MULTILINE),
    re.compile(r"^(User|Bot|System):[ \t]*\n?", re.MULTILINE),
    re.compile(r"^(Instruct|Output):[ \t]*\n?", re.MULTILINE),
    re.compile(r"^(?:\[Round \d+\]\s*)?(问|答)[：:][ \t]*\n?", re.MULTILINE),
    re.compile(r"^<(human|bot|user|assistant)>:[ \t]*\n?", re.MULTILINE),
    re.compile(r"^(Q|A):[ \t]*\n?", re.MULTILINE),
)
"""Headings of turns: Alpaca without and with colons; Guanaco; Magicoder; Anthropic's; Vicuna;
plain, OpenChat and DeepSeek-V2; LangChain; Phi-2; ChatGLM. A chat has two or more."""
_START = re.compile(r"\s*(?:<s>|<bos>|<\|begin_of_text\|>|<BOS_TOKEN>|<｜begin▁of▁sentence｜>)?\s*")
_INST = re.compile(r"\[INST\](.*?)\[/INST\]", re.DOTALL)
_SYSTEM_PROMPT = re.compile(r"\[SYSTEM_PROMPT\](.*?)\[/SYSTEM_PROMPT\]", re.DOTALL)
_SYS = re.compile(r"<<SYS>>(.*?)<</SYS>>", re.DOTALL)


def turns_in_text(text: str) -> list[Turn]:
    """Read a chat that is one text with a template's tokens or headings; empty if it is none."""
    text = _ANALYSIS.sub("", text)
    if "[INST]" in text:
        return list(_instructed(text))
    for marks in _MARKED:
        if marks.search(text):
            return list(_cut_at(marks, text))
    text = text[start.end() :] if (start := _START.match(text)) else text
    for marks in _HEADED:
        turns = list(_cut_at(marks, text))
        if [turn.speaker for turn in turns if turn.speaker != "system"][:2] == [
            "user",
            "assistant",
        ]:
            return turns
    return []


def without_end(text: str) -> str:
    """Remove the tokens that end a text, which some files keep; `</s>` may close an element."""
    found = _LAST.search(text)
    if found is None or ("</s>" in found[0] and "<s>" in text):
        return text
    return text[: found.start()]


def is_templated(text: str) -> bool:
    """Whether a text begins with the special tokens of a chat template."""
    start = _START.match(text)
    at = start.end() if start else 0
    return text.startswith("[INST]", at) or any(marks.match(text, at) for marks in _MARKED)


def _cut_at(marks: re.Pattern[str], text: str) -> Iterator[Turn]:
    """Yield the turns that begin at these marks; `Input` continues the turn before."""
    found = list(marks.finditer(text))
    said: list[tuple[Speaker, str]] = []
    for mark, following in zip_longest(found, found[1:]):
        part = text[mark.end() : following.start() if following else len(text)]
        part = re.split(_END, part, maxsplit=1)[0].strip("\n")
        if mark[1] == "Input" and said:
            said[-1] = said[-1][0], f"{said[-1][1].strip()}\n\n{part.strip()}"
            continue
        name = {"Output": "assistant", "Q": "user", "A": "assistant"}.get(mark[1], mark[1])
        if (speaker := speaker_of(name)) is not None:
            said.append((speaker, part))
    for speaker, words in said:
        needs = NEEDS_TOOLS if speaker == "assistant" and calls_tool(words) else ""
        yield Turn(speaker, clean(words), "", NEEDS_IMAGE if media_in(words) else needs)


def _last_end(text: str, mark: str) -> int:
    """Return where the last mark ends; each mark that opens below would be followed to the end."""
    return text.rfind(mark) + len(mark)


def _instructed(text: str) -> Iterator[Turn]:
    """Yield the turns of Llama 2's and Mistral's notation."""
    if system := _SYSTEM_PROMPT.search(text, 0, _last_end(text, "[/SYSTEM_PROMPT]")):
        yield Turn("system", clean(system[1].strip()))
    found = list(_INST.finditer(text, 0, _last_end(text, "[/INST]")))
    for asked, following in zip_longest(found, found[1:]):
        words, end = asked[1], _last_end(asked[1], "<</SYS>>")
        if system := _SYS.search(words, 0, end):
            yield Turn("system", clean(system[1].strip()))
            words = _SYS.sub("", words[:end]) + words[end:]
        yield Turn("user", clean(words.strip()), "", NEEDS_IMAGE if media_in(words) else "")
        answer = text[asked.end() : following.start() if following else len(text)]
        yield Turn("assistant", clean(answer.replace("<s>", "").split("</s>")[0].strip()))
