r"""Splits a model's text into thinking and answer, in every notation that models use.

Notations, in any letter case: paired tags (`<think>`, `<thinking>`, `<thought>`, `<reasoning>`,
`<seed:think>`, `[THINK]`, `◁think▷`, `<|begin_of_thought|>`, `<|START_THINKING|>`, Gemma's
`<|channel>thought`, MedGemma's `<unused94>thought`, `<|thought_start|>`, openPangu's `[unused16]`,
`<start_working_out>`), also with attributes, blanks or entities; harmony channels with markers
(`<|channel|>analysis<|message|>`), or without those that a server removed
(`analysis...assistantfinal...`); Solar's `<|think|>`, which ends at its `<|content|>`; and, at the
beginning, Granite's sentences (`Here is my thought process: ... Here is my response: ...`),
Ollama's lines (`Thinking...`), HyperCLOVA's turn `/think`, and `<details>` whose summary names
thinking. Markers of the answer, such as `<|begin_of_solution|>`, are removed.

A text may have several blocks; a fenced program between two of them, with another one after the
last, is a draft and belongs to the thinking. A block without its closing tag extends to the end;
text before a closing tag without its opening one is thinking that the prompt opened. A tag in
fenced code, inline code or a quoted string is text. The indentation of the answer's first line is
kept. Time is linear in the length. Nothing is judged. No I/O.

>>> split("<think>Use a loop.</think>\n    return x")
Parts(reasoning='Use a loop.', answer='    return x')
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

NAMES = (
    "think", "thinking", "thought", "thoughts", "reasoning", "seed:think", "longcat_think",
    "analysis", "antthinking", "inner_monologue", "scratchpad", "reflection", "cot", "reason",
    "internal_monologue", "internal_thoughts", "thought_process", "thinking_process",
    "reasoning_process", "chain_of_thought", "思考",
)  # fmt: skip
"""Names of tags in angle brackets around thinking."""
WRAPPERS = ("answer", "response", "output", "solution", "final_answer")
"""Names of tags that may wrap the whole answer after thinking; they are removed."""
THINKING_FIELDS = (
    "reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details",
)  # fmt: skip
"""Fields of a message with thinking apart: DeepSeek, older vLLM, llama.cpp; Ollama, OpenRouter,
newer vLLM; others."""
THINKING_PARTS = frozenset(
    {"thinking", "reasoning", "thought", "reasoning_text", "reasoning_content", "redacted_thinking"}
)
"""Types of the parts of a content that hold thinking."""
_NAMES = "|".join([*NAMES, r"think_\w{1,60}"])
_ATTRIBUTES = r"(?:\s[\w:-]{1,40}=(?:\"[^\"<>\n]{0,100}\"|'[^'<>\n]{0,100}'|[\w.]{1,40})){0,5} ?"
_BAR = "[|｜]"
"""DeepSeek's special tokens have a full-width bar."""
_BAR_NAMES = "(?:reasoning_)?(?:thought|thinking|think)|reasoning"
"""Names of tokens with bars around thinking."""
_TAG = re.compile(
    rf"(?P<header><{_BAR}start{_BAR}>[^<\n]{{0,100}}(?:<{_BAR}channel{_BAR}>[^<\n]{{0,200}})?"
    rf"(?:<{_BAR}constrain{_BAR}>[^<\n]{{0,100}})?<{_BAR}message{_BAR}>"
    rf"|<{_BAR}channel{_BAR}>[^<\n]{{0,200}}"
    rf"(?:<{_BAR}constrain{_BAR}>[^<\n]{{0,100}})?<{_BAR}message{_BAR}>"
    rf"|\A\s*(?:assistant)?(?:analysis|commentary|final)?<{_BAR}message{_BAR}>)"
    rf"|(?P<final_content>(?:<{_BAR}end{_BAR}>\s*)?"
    rf"<{_BAR}begin{_BAR}>assistant\s*<{_BAR}content{_BAR}>)"
    rf"|(?P<end><{_BAR}(?:end|return|call){_BAR}>)"
    rf"|(?P<stripped>\A\s*(?:assistant)?analysis|assistant(?:analysis|commentary|final))"
    rf"|< ?(?P<open>{_NAMES}){_ATTRIBUTES}>|< ?/ ?(?P<close>{_NAMES}) ?>"
    r"|&lt;(?P<open_escaped>think|thinking)&gt;|&lt;/(?P<close_escaped>think|thinking)&gt;"
    r"|<start_(?P<open_work>working_out)>|<end_(?P<close_work>working_out)>"
    r"|(?<![\w\])])\[(?P<open_pangu>unused)16\]|\[(?P<close_pangu>unused)17\]"
    r"|(?<![\w\])])\[(?P<open_bracket>THINK)\](?!\()|\[/(?P<close_bracket>THINK)\]"
    r"|◁(?P<open_kimi>think)▷|◁/(?P<close_kimi>think)▷"
    rf"|<{_BAR}open{_BAR}>(?P<open_k3>think)<{_BAR}sep{_BAR}>"
    rf"|<{_BAR}close{_BAR}>(?P<close_k3>think)<{_BAR}sep{_BAR}>"
    rf"|(?:<{_BAR}begin{_BAR}>assistant\s*)?"
    rf"<{_BAR}(?:(?:begin_of|start)_)?(?P<open_bar>{_BAR_NAMES})(?:_(?:start|begin))?{_BAR}>"
    rf"|<{_BAR}(?:end_(?:of_)?|/)(?P<close_bar>{_BAR_NAMES}){_BAR}>"
    rf"|<{_BAR}(?P<close_bar_end>{_BAR_NAMES})_end{_BAR}>"
    rf"|<{_BAR}(?P<open_inner>inner)_prefix{_BAR}>|<{_BAR}(?P<close_inner>inner)_suffix{_BAR}>"
    r"|<(?P<open_medgemma>unused)94>(?:thought)?|<(?P<close_medgemma>unused)95>"
    r"|<\|(?P<open_gemma>channel)>(?:thought|thinking|analysis)?|<(?P<close_gemma>channel)\|>"
    rf"|(?P<mark><{_BAR}(?:(?:begin|end)_of_solution|(?:start|end)_(?:response|text)){_BAR}>"
    rf"|<{_BAR}(?:open|close){_BAR}>response<{_BAR}sep{_BAR}>|\[END FINAL RESPONSE\])"
    r"|(?P<final>\[BEGIN FINAL RESPONSE\])",
    re.IGNORECASE,
)
_PREFIXED = ("think", "thought")
_OTHER_NAMES = [name for name in NAMES if not name.startswith(_PREFIXED)]
_MAY_HOLD = tuple(
    [f"{before}{name}" for before in ("<", "/", "< ", "/ ", "<|", "｜", "_") for name in _PREFIXED]
    + [f"{name}>" for name in _OTHER_NAMES]
    + [f"<{name} " for name in _OTHER_NAMES]
    + ["think]", "think▷", "think<", "channel", "message", "assistantfinal", "_solution", "inner_"]
    + ["_response|>", "final response]", "<unused9", "[unused1", "<|reasoning", "_working_out>"]
    + ["think&gt;", "thinking&gt;", "<|content|>"]
)
"""Each tag contains one of these; searching for them first is ten times as fast."""
_MAY_HOLD_ALONE = (
    "think]", "think▷", "think&gt;", "thinking&gt;", "final response]", "assistantfinal",
    "[unused1",
)  # fmt: skip
"""Those of tags without an angle bracket."""
_CHANNEL = re.compile(rf"<{_BAR}channel{_BAR}>\s*(\w+)|\A\s*(?:assistant)?(\w+)", re.IGNORECASE)
_AT_BEGINNING = tuple(
    re.compile(rf"\s*{begin}(?P<thought>.*?){end}(?:(?:[ \t]*\r?\n)+|[ \t]*)", re.I | re.DOTALL)
    for begin, end in (
        ("Here(?:['’]s| is) my thought process:", "Here(?:['’]s| is) my response:"),
        (r"Thinking\.\.\.[ \t]*\r?\n", r"\n[ \t]*\.\.\.[ \t]*done thinking\."),
        (
            (
                r"<details(?: type=\"reasoning\"[^>\n]{0,200}>"
                r"(?:\s*<summary>[^<\n]{0,200}</summary>)?"
                r"|[^>\n]{0,200}>\s*<summary>[^<\n]{0,40}\b(?:think|thought|reasoning)"
                r"[^<\n]{0,40}</summary>)"
            ),
            "</details>",
        ),
        (
            r"(?:<\|im_start\|>)?(?:assistant)?/think[ \t]*\r?\n",
            r"(?:<\|im_end\|>\s*<\|im_start\|>assistant|\Z)",
        ),
    )
)
"""Notations of thinking with which a text begins: Granite's, Ollama's, Open WebUI's, HyperCLOVA's.
"""
_FIRST_WORDS = (
    "analysis", "assistantanalysis", "here is my thought", "here's my thought",
    "here’s my thought", "thinking...", "<details", "/think", "assistant/think",
    "<|im_start|>assistant/think",
)  # fmt: skip
"""Words with which a text begins that may hold thinking without a tag."""
_DELIMITER = re.compile(r"""\\.|`+|~{3,}|\"{3}|'{3}|["'“”„«»]""")
_FENCED = re.compile(r"^[ \t]{0,20}(?:`{3}|~{3})", re.MULTILINE)
_BLANKS = re.compile(r"[ \t\r]{1,200}")
_WRAPPED = re.compile(rf"\s*<({'|'.join(WRAPPERS)})>", re.IGNORECASE)
_CLOSING_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "«": "»"}
_TRIPLE = ('"""', "'''")
MIN_FENCE = 3
"""Least length of a fence."""
LONGEST_FENCE = 8
"""Fences are told apart up to this length."""
_LANGUAGE = re.compile(r"^[ \t]{0,20}(?:`{3}|~{3})[ \t]*(\w+)", re.MULTILINE)
_ITEM = re.compile(r"(?:[ \t]{0,20}(?:>|[-*+]|\d{1,9}[.)])(?=[ \t]|$)){1,5}[ \t]{0,20}")
"""Markers of lists and block quotes before a fence."""
_SENTENCE = re.compile(r"[A-Z][\w'’]*,? +[A-Za-z]")
_SPACE = re.compile(r"\s*")
REMEMBERED_CHARS = 20_000
"""Longest text of which it is remembered whether it may hold thinking."""
_LOOK_BACK = 200
"""Characters before a tag that are read to see whether it begins its line."""


class Parts(NamedTuple):
    """A text without its notation."""

    reasoning: str
    """Thinking, blocks separated by an empty line; empty if there is none."""
    answer: str
    """The answer; the text unchanged if it holds no thinking."""


def split(text: str, *, opened: bool = True) -> Parts:
    """Split a text into thinking and answer.

    `opened`: whether the prompt may have opened thinking, so that text before a closing tag without
    its opening one is thinking.
    """
    if not may_hold(text):
        return Parts("", text)
    for notation in _AT_BEGINNING:
        if found := notation.match(text):
            return Parts(found["thought"].strip(), text[found.end() :])
    return _Splitter(text, opened=opened).split()


def may_hold(text: str) -> bool:
    """Whether a text may hold thinking; False is certain."""
    # The engine, the cache and the stages ask in turn of one answer.
    return _remembered(text) if len(text) <= REMEMBERED_CHARS else _may_hold(text)


def _may_hold(text: str) -> bool:
    lowered = text.lower()
    # Each answer passes here: a loop takes half as long as `any` of a generator.
    for part in _MAY_HOLD if "<" in lowered else _MAY_HOLD_ALONE:
        if part in lowered:
            return True
    return lowered.lstrip().startswith(_FIRST_WORDS)


_remembered = lru_cache(maxsize=64)(_may_hold)


class _Kind(Enum):
    """What a tag does."""

    OPEN = auto()
    """Begins thinking."""
    CLOSE = auto()
    """Ends thinking."""
    FINAL = auto()
    """Ends thinking and begins the answer."""
    MARK = auto()
    """Delimits the answer; removed."""


@dataclass(frozen=True, slots=True)
class _Tag:
    kind: _Kind
    family: str
    """Notation; a closing tag closes its own notation only."""
    start: int
    end: int


_HARMONY, _STRIPPED = "harmony", "stripped"


def _tags(text: str) -> Iterator[_Tag]:
    """Find all tags, quoted ones included."""
    for found in _TAG.finditer(text):
        if found.lastgroup == "open" and _is_type(found):
            continue
        kind, family = _meaning(found)
        yield _Tag(kind, family, found.start(), found.end())


def _is_type(found: re.Match[str]) -> bool:
    """Whether a tag is the parameter of a type, as in `List<Thought>`."""
    before = found.string[max(0, found.start() - 1) : found.start()]
    return found["open"].istitle() and (before.isalnum() or before == "_")


def _meaning(found: re.Match[str]) -> tuple[_Kind, str]:
    group = str(found.lastgroup)
    if group == "header":
        return (_Kind.FINAL if _is_final(found[0]) else _Kind.OPEN), _HARMONY
    if group == "end":
        return _Kind.CLOSE, _HARMONY
    if group == "stripped":
        is_final = found[0].lower().endswith("final")
        return (_Kind.FINAL if is_final else _Kind.OPEN), _STRIPPED
    if group == "mark":
        return _Kind.MARK, group
    if group.startswith("final"):
        return _Kind.FINAL, "final"
    opens = group.startswith("open")
    family = f"{group.split('_')[1] if '_' in group else ''} {found[group].lower()}"
    return (_Kind.OPEN if opens else _Kind.CLOSE), family


def _is_final(header: str) -> bool:
    """Whether a harmony header begins the answer: its channel is `final`, or it names none."""
    lowered = header.lower()
    if "start" in lowered and "channel" not in lowered:
        return "assistant" in lowered
    found = _CHANNEL.search(lowered)
    return found is None or (found[1] or found[2]) == "final"


class _Splitter:
    """One pass over the tags of a text."""

    def __init__(self, text: str, *, opened: bool) -> None:
        self._text = text
        self._opened = opened
        self._tags = list(_tags(text))
        self._quotes = _Quotes(text)
        self._start = 0
        """Where the current piece of the answer begins."""
        self._text_from = self._n_blank = _end_of_space(text, 0)
        """Where its first character that is no space is; and the same of the whole text."""
        self._thoughts: list[str] = []
        self._n_pieces_before: list[int] = []
        """For each thought, the number of pieces before it."""
        self._pieces: list[str] = []
        self._nested = 0
        """Opening tags within thinking, whose closing tags may still follow."""
        self._without_close: set[str] = set()
        """Notations without a further closing tag outside quotes."""
        self._is_text_until: dict[str, int] = defaultdict(int)
        """Notation -> position before which an opening tag within a line is text."""
        self._is_harmony = False
        self._has_final = False
        last = [tag.end for tag in self._tags if tag.kind is _Kind.FINAL]
        self._last_final = max(last, default=0)

    def split(self) -> Parts:
        at = 0
        while at < len(self._tags):
            tag = self._tags[at]
            if tag.start < self._start or self._quotes.cover(tag.start):
                at += 1
            else:
                at = self._take(at, tag)
        if not self._thoughts and not self._pieces:
            return self._split_at_first_close()
        pieces = [*self._pieces, self._text[self._start :]]
        thoughts, pieces = self._without_drafts(pieces)
        answer = without_blank_lines("".join(pieces))
        reasoning = "\n\n".join(filter(None, (thought.strip() for thought in thoughts)))
        return Parts(reasoning, _unwrapped(answer) if self._thoughts else answer)

    def _split_at_first_close(self) -> Parts:
        """Split where all tags seem quoted, as after a fence in the thinking that stays open.

        The first closing tag ends thinking that the prompt opened if, read from there, every fence
        and every docstring is closed.
        """
        ends = (tag for tag in self._tags if tag.kind in {_Kind.OPEN, _Kind.CLOSE})
        tag = next(ends, None)
        if (
            not self._opened
            or tag is None
            or tag.kind is _Kind.OPEN
            or tag.family == _HARMONY
            or not self._begins_line(tag)
            or not self._quotes.are_closed(tag.end)
        ):
            return Parts("", self._text)
        answer = without_blank_lines(self._text[tag.end :])
        return Parts(self._text[: tag.start].strip(), _unwrapped(answer))

    def _without_drafts(self, pieces: list[str]) -> tuple[list[str], list[str]]:
        """Return thoughts and pieces; a program before thinking is part of it if one follows."""
        pairs = list(zip(self._thoughts, self._n_pieces_before, strict=True))
        n_before = max((n for thought, n in pairs if thought.strip()), default=0)
        before, after = pieces[:n_before], pieces[n_before:]
        if not (_FENCED.search("".join(before)) and _FENCED.search("".join(after))):
            return self._thoughts, pieces
        written = [set(_LANGUAGE.findall("".join(part).lower())) for part in (before, after)]
        if written[0] - written[1]:  # the later program is another file, not a new version
            return self._thoughts, pieces
        thoughts, done = [], 0
        for thought, n in pairs:
            thoughts += [*pieces[done:n], thought]
            done = n
        return [*thoughts, *pieces[done:n_before]], after

    def _think(self, thought: str) -> None:
        self._thoughts.append(thought)
        self._n_pieces_before.append(len(self._pieces))

    def _take(self, at: int, tag: _Tag) -> int:
        """Process a tag outside of thinking; return the index of the next one."""
        if tag.kind is _Kind.OPEN:
            return self._open(at, tag)
        # With nothing before it, only the tag goes.
        is_leading = tag.kind is _Kind.CLOSE and tag.start <= self._text_from
        if (is_leading and tag.family != _HARMONY) or self._ends_thinking_of_prompt(at, tag):
            self._think(self._text[self._start : tag.start])
            self._remove(tag)
        elif self._delimits_answer(tag):
            piece = self._text[self._start : tag.start]
            self._pieces.append("" if _is_role(piece) else piece)
            self._remove(tag)
        return at + 1

    def _delimits_answer(self, tag: _Tag) -> bool:
        """Whether a tag is a marker; `<|end|>` alone also ends the answers of other models."""
        if tag.kind is _Kind.MARK or (tag.family == _HARMONY and self._is_harmony):
            return True
        if tag.kind is not _Kind.FINAL:
            return False
        is_first = bool(self._thoughts) and tag.start <= self._text_from
        return tag.family != _STRIPPED or is_first

    def _remove(self, tag: _Tag) -> None:
        self._is_harmony = self._is_harmony or tag.family == _HARMONY
        self._has_final = self._has_final or tag.kind is _Kind.FINAL
        self._resume(tag.end)

    def _open(self, at: int, tag: _Tag) -> int:
        end = self._end_of_thinking(at, tag)
        if end is None:
            return at + 1
        self._is_harmony = self._is_harmony or tag.family == _HARMONY
        piece = self._text[self._start : tag.start]
        piece = piece.rstrip(" \t") if self._begins_line(tag) else piece
        self._pieces.append("" if tag.family == _HARMONY and _is_role(piece) else piece)
        if end == len(self._tags):
            self._think(self._text[tag.end :])
            self._resume(len(self._text))
            return end
        close = self._tags[end]
        self._think(self._text[tag.end : close.start])
        if close.kind is _Kind.OPEN:
            self._resume(close.start)
            return end
        self._has_final = self._has_final or close.kind is _Kind.FINAL
        self._resume(close.end)
        return end + 1

    def _end_of_thinking(self, at: int, tag: _Tag) -> int | None:
        """Return the index of the tag that ends a block, the number of tags if none does.

        None if the opening tag is text: one within a line needs its closing tag.
        """
        begins = self._begins_line(tag)
        if tag.family == _STRIPPED and not self._is_stripped(tag):
            return None
        if not begins and tag.start < self._is_text_until[tag.family]:
            return None
        if tag.family not in self._without_close:
            saved = self._quotes.state()
            self._quotes.restart(tag.end)
            found = self._unquoted_close(at, tag, begins=begins)
            if found is not None:
                return found
            self._quotes.restore(saved)
        if not begins:
            return None
        # All closing tags seem quoted, as after a fence in the thinking that was never closed.
        later = range(at + 1, len(self._tags))
        return next((n for n in later if _closes(tag, self._tags[n])), len(self._tags))

    def _unquoted_close(self, at: int, tag: _Tag, *, begins: bool) -> int | None:
        nested = 0
        for n in range(at + 1, len(self._tags)):
            other = self._tags[n]
            if other.start < tag.end or self._quotes.cover(other.start):
                continue
            if _closes(tag, other):
                self._nested += nested
                return n
            if other.kind is _Kind.OPEN and other.family == tag.family:
                if not begins and self._begins_line(other):
                    self._is_text_until[tag.family] = other.start
                    return None
                nested += 1
        self._without_close.add(tag.family)
        return None

    def _ends_thinking_of_prompt(self, at: int, tag: _Tag) -> bool:
        """Whether a tag ends thinking whose opening tag is not in the text."""
        if not self._opened or tag.kind is _Kind.MARK or self._has_final:
            return False
        if tag.family == _STRIPPED:
            before = self._text[max(0, tag.start - 1) : tag.start]
            is_plain = self._text[tag.start : tag.end].islower()
            return is_plain and not (before.isalnum() or before == "_") and not self._thoughts
        if tag.family == _HARMONY and tag.kind is _Kind.CLOSE:
            follows = self._tags[at + 1] if at + 1 < len(self._tags) else None
            return (
                follows is not None
                and follows.family == _HARMONY
                and not self._text[tag.end : follows.start].strip()
                and not self._thoughts
            )
        if tag.kind is _Kind.FINAL:
            piece = self._text[self._start : tag.start]
            return bool(piece.strip()) and not _is_role(piece)
        if self._nested:
            self._nested -= 1
            return True
        return not self._thoughts and not any(piece.strip() for piece in self._pieces)

    def _is_stripped(self, tag: _Tag) -> bool:
        """Whether `analysis` is the name of a channel: `assistantfinal` or a capital follows it."""
        if tag.start > self._n_blank and not self._has_final:
            return False
        word = self._text[tag.start : tag.end].strip()
        begins_sentence = _SENTENCE.match(self._text, tag.end) is not None
        return tag.end < self._last_final or (word.islower() and begins_sentence)

    def _begins_line(self, tag: _Tag) -> bool:
        return begins_line(self._text, tag.start, self._start)

    def _resume(self, at: int) -> None:
        self._start = at
        self._text_from = _end_of_space(self._text, at)
        self._quotes.restart(at)


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def begins_line(text: str, at: int, start: int) -> bool:
    """Whether only blanks stand before a position on its line, or after `start`."""
    low = max(at - _LOOK_BACK, start)
    before = text[low:at].rstrip(" \t\r")
    return before.endswith("\n") or (not before and low == start)


def _closes(tag: _Tag, other: _Tag) -> bool:
    if other.kind is _Kind.FINAL and other.family == "final":
        return True
    if tag.family != other.family:
        return False
    return other.kind is not _Kind.OPEN or tag.family == _HARMONY


def _is_role(text: str) -> bool:
    return text.strip().lower() == "assistant"


def without_blank_lines(text: str) -> str:
    """Remove blank lines at the beginning, but not the indentation of the first line."""
    n_blank = len(text) - len(text.lstrip())
    return "" if n_blank == len(text) else text[text.rfind("\n", 0, n_blank) + 1 :]


def _unwrapped(answer: str) -> str:
    """Remove a tag around the whole answer."""
    opening = _WRAPPED.match(answer)
    if opening is None:
        return answer
    inner, closing = answer[opening.end() :], f"</{opening[1].lower()}>"
    body = inner.rstrip()
    if not body.lower().endswith(closing) or answer.lower().count(closing) > 1:
        return answer
    return without_blank_lines(body[: -len(closing)]).rstrip()


class _Quotes:
    """Tells whether positions are in fenced code, inline code or quoted strings.

    Reads delimiters forward from where it was restarted; positions must not decrease in between.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = list(_DELIMITER.finditer(text))
        self._line_ends = [newline.start() for newline in re.finditer("\n", text)]
        self._places: dict[str, list[int]] = defaultdict(list)
        """Delimiter -> indices in `_found` where it may close a part; `"```"` and `"~~~"` with the
        least length of a fence that closes there, at most LONGEST_FENCE."""
        self._ticks: list[int] = []
        """Positions of back quotes."""
        for n, found in enumerate(self._found):
            self._add_place(n, found)
        self.restart(0)

    def restart(self, at: int) -> None:
        """Begin at a position, outside of all quotes."""
        self._from = at
        self._until = at
        self._next = bisect_left(self._found, at, key=re.Match.start)

    def state(self) -> tuple[int, int, int]:
        """Return the state, for `restore`."""
        return self._from, self._until, self._next

    def restore(self, state: tuple[int, int, int]) -> None:
        """Return to a state."""
        self._from, self._until, self._next = state

    def cover(self, at: int) -> bool:
        """Whether a position is quoted."""
        while at >= self._until and self._next < len(self._found):
            opening = self._found[self._next]
            if opening.start() >= at:
                break
            closing = self._closing(opening)
            if closing is None:
                self._next += 1
            elif closing == len(self._found):
                self._until, self._next = len(self._text) + 1, closing
            else:
                self._until, self._next = self._found[closing].end(), closing + 1
        return at < self._until

    def are_closed(self, at: int) -> bool:
        """Whether every fence and triple quote after a position is closed; begins there."""
        self.restart(at)
        while self._next < len(self._found):
            opening = self._found[self._next]
            closing = self._closing(opening)
            if closing == len(self._found) or (closing is None and opening[0] in _TRIPLE):
                return False
            self._next = self._next + 1 if closing is None else closing + 1
        return True

    def _add_place(self, n: int, found: re.Match[str]) -> None:
        quote = found[0]
        if quote[0] == "`":
            self._ticks.append(found.start())
        if quote[0] in "`~" and len(quote) >= MIN_FENCE and self._closes_fence(found):
            for length in range(MIN_FENCE, min(len(quote), LONGEST_FENCE) + 1):
                self._places[f"{quote[0]} {length}"].append(n)
        if quote != "'" or self._may_close(found):
            self._places[quote].append(n)

    def _closing(self, opening: re.Match[str]) -> int | None:
        """Return the index of the delimiter that closes a part, beyond all if the text ends first.

        None if the delimiter opens nothing.
        """
        quote = opening[0]
        if self._opens_fence(opening):
            length = min(len(quote), LONGEST_FENCE)
            return self._next_place(f"{quote[0]} {length}", len(self._text), len(self._found))
        if quote in _TRIPLE:
            return self._next_place(quote, len(self._text), None)
        wanted = quote if quote[0] == "`" else _CLOSING_QUOTES.get(quote)
        if wanted is None or (quote == "'" and not self._may_open(opening)):
            return None
        return self._next_place(wanted, self._line_end(opening.start()), None)

    def _next_place(self, wanted: str, before: int, otherwise: int | None) -> int | None:
        places = self._places[wanted]
        place = bisect_right(places, self._next)
        if place == len(places) or self._found[places[place]].start() > before:
            return otherwise
        return places[place]

    def _opens_fence(self, found: re.Match[str]) -> bool:
        quote = found[0]
        if quote[0] not in "`~" or len(quote) < MIN_FENCE:
            return False
        if not self._begins_item(found.start()):
            return False
        # Back quotes later on the line: this is inline code.
        later = bisect_right(self._ticks, found.start())
        end = self._line_end(found.start())
        return quote[0] == "~" or later == len(self._ticks) or self._ticks[later] > end

    def _begins_item(self, at: int) -> bool:
        """Whether a position begins its line, or an item of a list or a block quote."""
        if begins_line(self._text, at, self._from):
            return True
        low = max(self._text.rfind("\n", max(0, at - _LOOK_BACK), at) + 1, self._from)
        return at - low <= _LOOK_BACK and _ITEM.fullmatch(self._text, low, at) is not None

    def _closes_fence(self, found: re.Match[str]) -> bool:
        """Whether only blanks stand before a fence, and only blanks or a tag after it."""
        rest = _BLANKS.match(self._text, found.end())
        end = rest.end() if rest else found.end()
        ends_line = self._text[end : end + 1] in {"", "\n"}
        return begins_line(self._text, found.start(), 0) and (
            ends_line or _TAG.match(self._text, end) is not None
        )

    def _line_end(self, at: int) -> int:
        place = bisect_left(self._line_ends, at)
        return self._line_ends[place] if place < len(self._line_ends) else len(self._text)

    def _may_open(self, quote: re.Match[str]) -> bool:
        """Whether a single quote may open: an apostrophe follows a letter."""
        before = self._text[max(0, quote.start() - 1) : quote.start()]
        after = self._text[quote.end() : quote.end() + 1]
        return not before.isalnum() and not after.isspace()

    def _may_close(self, quote: re.Match[str]) -> bool:
        before = self._text[max(0, quote.start() - 1) : quote.start()]
        after = self._text[quote.end() : quote.end() + 1]
        return not before.isspace() and not after.isalnum()
