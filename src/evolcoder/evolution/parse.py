r"""What comes back from the evolver, made into a task: wrapping off, tails cut, data put back.

Promises: words are taken away or taken over from the parent, and never invented. What was cut is
never needed to read the task. Does not judge what is left; `eliminate` does.

>>> whole = BUILT_IN[1]  # doctest: +SKIP
>>> parse("Sure! A harder task:\n\nSort the list.\n\n### Solution\nUse sort().", "", whole).text
'Sort the list.'
"""

import re
from dataclasses import dataclass

from evolcoder.evolution.heuristics import ExampleForm, Heuristic, TaskContents
from evolcoder.text import CodeBlock, code_blocks, words

_SPECIAL = re.compile(r"<\|[^|>\n]*\|>")
_NEW_TASK = re.compile(r"^[#>*_ \t]*new task\b[*_ ]*:[*_ ]*", re.IGNORECASE | re.MULTILINE)
_LABEL = re.compile(
    r"\A(?P<mark>[#>*_]*)[ \t]*(?:(?:the|my|a|your)\s+)?(?:(?:new|harder|updated|modified|revised"
    r"|rewritten|changed|evolved|challenging|more difficult|more challenging|stricter|added"
    r"|additional)\s+)*(?:\w{1,20}ing\s+)?(?:task|problem|question|instruction|version|challenge"
    r"|prompt|demand|requirement|constraint)s?(?: \d+)?"
    r"(?:[*_]+\s*:|:\s*[*_]*|(?(mark)[*_]*\s*\n))\s*",
    re.IGNORECASE,
)
_PREAMBLE = re.compile(
    r"\A(?:(?:sure|certainly|of course|okay|ok|absolutely|great)\b[!.,]?\s+(?:[^\n:]{0,200}:\s)?"
    r"|(?:here(?:'s| is| are)|below is|the following is|to make (?:this|the|it))\b[^\n]{0,200}:"
    r"\s*\n\s*|[^\n:]{0,60}\b(?:harder|new) (?:task|problem|version)\b[^\n:]{0,60}:\s*\n\s*)",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"^(?:[ \t]*[-*_]{3,}[ \t]*$"
    r"|[#>*_ \t]*(?:(?:possible|sample|example|suggested|expected|correct|python|the|my|a|your) +)*"
    r"(?:solution|answer|explanation|implementation|approach|hint|note|steps|reasoning|analysis"
    r"|response|code|output|original task|old task|why|mistake|wrong code|needs|common|rarer"
    r"|(?:(?:original|old|new|harder) )?(?:task|problem|demand)(?: \d+)?)s?\b[*_ ]*(?::|\n|\Z)"
    r"|[ \t]*(?:here(?:'s| is) (?:the|a|an|how|one)|to solve (?:this|the)"
    r"|this (?:new |version of the |modified |revised )?(?:task|problem|version|requirement|code"
    r"|function) (?:is|now|adds|requires|makes|will|can|should|ensures|asks|uses|checks|takes"
    r"|fails|only))\b)",
    re.IGNORECASE | re.MULTILINE,
)
_DEMAND = re.compile(
    r"^[#>*_ \t]*(?:stricter |new )?demand\b[*_ ]*:[*_ ]*", re.IGNORECASE | re.MULTILINE
)
_SENTENCES = re.compile(
    r"\n\s{0,4}^(?=[^\n]*\b(?:must|should|returns?|your?|function|given|implement|write|program|class"
    r"|method|takes?|if)\b)[A-Z][^\n{}\[\]=<>`]{10,}[.?!]$",
    re.MULTILINE,
)
_QUOTES = {'"': '"', "“": "”", "'": "'", "`": "`"}
_REFERS = re.compile(
    r"\b(?:following|below|given|provided|this|these|above)\b(?:\s+[\w'-]+){0,3}?\s+(?:code|list"
    r"|array|string|text|function|query|snippet|program|table|data|dataset|dictionary|tuple|class"
    r"|sentence|document|structure|numbers|values|equations?|matrix|object|html|statement|lists"
    r"|arrays|strings|words|select)\b|\b(?:below|as follows|the following)\b",
    re.IGNORECASE,
)

_POINTERS = ("this", "these", "given", "following", "provided", "below", "above", "as follows")
"""One of these is in every match of `_REFERS`; to look for them takes a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """An evolver's answer, taken apart."""

    text: str
    """The new task, without a bait."""
    addition: str | None
    """What was put behind the parent's prose, if the task was made so."""
    bait: CodeBlock | None
    """The piece of wrong code that came as a part of its own."""
    tail: str
    """What was cut off behind the task."""


def parse(answer: str, parent: str, heuristic: Heuristic) -> Parsed:
    """Take the new task out of an answer, in the form that the heuristic asks for."""
    text, bait = _SPECIAL.sub("", answer).strip(), None
    if heuristic.holds is TaskContents.BAIT:
        text, bait = _split_bait(text, parent)
    if "new task" in text.lower() and (label := _NEW_TASK.search(text)):
        text = text[label.end() :]
    text, tail = _without_tail(_unwrapped(text), parent)
    text = _unquoted(text)
    if not text:
        return Parsed("", None, bait, tail)
    if heuristic.form is ExampleForm.ADDITION and not _repeats(text, parent):
        return Parsed(appended(parent, text), text, bait, tail)
    return Parsed(with_attachment(text[:1].upper() + text[1:], parent), None, bait, tail)


def attachment(parent: str) -> str:
    """Return the data or code that a task brings along: all behind its prose."""
    return _prose_and_data(parent)[1].strip()


def prose(parent: str) -> str:
    """Return what stands before a task's data or code."""
    return _prose_and_data(parent)[0]


def refers(text: str) -> str:
    """Return the words by which a task points at something shown with it, or ''."""
    lowered = text.lower()
    if not any(word in lowered for word in _POINTERS):
        return ""
    found = _REFERS.search(text)
    return found[0] if found else ""


def with_attachment(text: str, parent: str) -> str:
    """Put the parent's data back where a task speaks of it and does not hold it.

    A task of several lines is taken to have brought its own. Words that the parent's prose says
    too are no sign of its data.
    """
    data = attachment(parent)
    if not data or not text or "\n" in text or not refers(text):
        return text
    own = set(words(data)).difference(words(prose(parent)))
    n_held = len(own.intersection(words(text)))
    return text if not own or n_held * 2 > len(own) else f"{text}\n{data}"


def appended(parent: str, addition: str) -> str:
    """Put sentences behind a parent's prose and before its data."""
    told, data = _prose_and_data(parent)
    if told.endswith(":"):
        return f"{parent.rstrip()}\n\n{addition}"
    stop = "" if told.endswith((".", "?", "!", ";")) else "."
    return f"{told}{stop} {addition}{data}"


def _prose_and_data(parent: str) -> tuple[str, str]:
    """Split behind the first line, and behind whole sentences in the lines that follow it."""
    end = len(parent.partition("\n")[0])
    for line in _SENTENCES.finditer(parent, end):
        if line.start() != end:
            break
        end = line.end()
    return parent[:end].rstrip(), parent[end:]


def _repeats(text: str, parent: str) -> bool:
    """Whether a text is the parent's task again: its opening, and most words of its prose."""
    if _opening(text) != _opening(parent):
        return False
    told = set(words(prose(parent)))
    return len(told & set(words(text))) * 2 > len(told)


def _opening(text: str) -> list[str]:
    return words(text[:80])[:4]


def _unwrapped(text: str) -> str:
    """Take away greetings and labels, and a fence or quotes around the whole."""
    for _ in range(3):
        before = text
        text = _PREAMBLE.sub("", text, count=1)
        text = _LABEL.sub("", text, count=1)
        if text == before:
            break
    if text.startswith("```") and text.endswith("```") and text.count("```") == 2:
        block = code_blocks(text)
        if block and block[0].language is None:
            text = block[0].code
    return _unquoted(text)


def _unquoted(text: str) -> str:
    text = text.strip()
    close = _QUOTES.get(text[:1])
    if close and len(text) > 2 and text.endswith(close) and text[:1] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def _split_bait(text: str, parent: str) -> tuple[str, CodeBlock | None]:
    """Take the first fence that the parent does not hold as the bait, and the rest as prose."""
    blocks = [block for block in code_blocks(text) if block.code.strip() not in parent]
    bait = blocks[0] if blocks else None
    if label := _DEMAND.search(text):
        return text[label.end() :].partition("```")[0], bait
    if bait is None:
        return text, None
    at = text.index(bait.code)
    before, after = text[:at].rpartition("```")[0], text[at + len(bait.code) :].partition("```")[2]
    return (after.strip() or before.strip()), bait


def _without_tail(text: str, parent: str) -> tuple[str, str]:
    """Cut where a solution, a comment or another task begins, if a task stands before it."""
    if "\n" not in text:
        return text, ""
    for found in _TAIL.finditer(text):
        head = text[: found.start()].strip()
        if head and found[0].strip() not in parent:
            return head, text[found.start() :]
    return text, ""
