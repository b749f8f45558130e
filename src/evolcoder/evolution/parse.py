r"""Parses the evolver's answer into a task: removes wrapping and tails, restores the parent's data.

Text is only removed or copied from the parent, never invented, and a removed tail is never part of
the task. The result is not judged here; `rules` does that.

>>> from evolcoder.evolution.heuristics import BUILT_IN
>>> answer = "Sure! A harder task:\n\nSort the list.\n\n### Solution\nUse sort()."
>>> parse(answer, "", BUILT_IN[1]).text
'Sort the list.'
"""

import re
from dataclasses import dataclass

from evolcoder.evolution.heuristics import ExampleForm, Heuristic, TaskContents
from evolcoder.evolution.rewriting import restore_code, split_distractor
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

_REFERENCE_WORDS = (
    "this", "these", "given", "following", "provided", "below", "above", "as follows",
)  # fmt: skip
"""Every match of `_REFERS` contains one of these; searching for them first is ten times faster."""


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """The parts of an evolver's answer."""

    text: str
    """The new task, without a distractor."""
    addition: str | None
    """Text added after the parent's prose, if the task was made by addition."""
    distractor: CodeBlock | None
    """The distractor code."""
    tail: str
    """Text removed after the task."""


def parse(answer: str, parent: str, heuristic: Heuristic) -> ParsedAnswer:
    """Extract the new task from an answer in the form that the heuristic requests."""
    text, distractor = _SPECIAL.sub("", answer).strip(), None
    if heuristic.holds is TaskContents.BAIT:
        text, distractor = _split_distractor(text, parent, heuristic.form)
    if "new task" in text.lower() and (label := _NEW_TASK.search(text)):
        text = text[label.end() :]
    text, tail = _without_tail(_unwrapped(text), parent)
    text = _unquoted(text)
    if not text:
        return ParsedAnswer("", None, distractor, tail)
    if heuristic.form is ExampleForm.ADDITION and not _repeats(text, parent):
        return ParsedAnswer(append_addition(parent, text), text, distractor, tail)
    text = restore_attachment(text[:1].upper() + text[1:], parent)
    return ParsedAnswer(restore_code(text, parent, attachment(parent)), None, distractor, tail)


def attachment(parent: str) -> str:
    """Return the data or code of a task: all text after its prose."""
    return _prose_and_data(parent)[1].strip()


def prose(parent: str) -> str:
    """Return the text before a task's data or code."""
    return _prose_and_data(parent)[0]


def find_reference(text: str) -> str:
    """Return the phrase by which a task refers to attached data or code, or ''."""
    lowered = text.lower()
    if not any(word in lowered for word in _REFERENCE_WORDS):
        return ""
    found = _REFERS.search(text)
    return found[0] if found else ""


def restore_attachment(text: str, parent: str) -> str:
    """Append the parent's data to a task that refers to it and does not contain it.

    A task of several lines is assumed to contain its own data. Words that the parent's prose
    contains as well do not count as its data.
    """
    data = attachment(parent)
    if not data or not text or "\n" in text or not find_reference(text):
        return text
    data_words = set(words(data)).difference(words(prose(parent)))
    n_found = len(data_words.intersection(words(text)))
    return text if not data_words or n_found * 2 > len(data_words) else f"{text}\n{data}"


def append_addition(parent: str, addition: str) -> str:
    """Insert sentences after a parent's prose and before its data."""
    before, data = _prose_and_data(parent)
    if before.endswith(":"):
        return f"{parent.rstrip()}\n\n{addition}"
    stop = "" if before.endswith((".", "?", "!", ";")) else "."
    return f"{before}{stop} {addition}{data}"


def _prose_and_data(parent: str) -> tuple[str, str]:
    """Split after the first line and any lines after it that are whole sentences."""
    end = len(parent.partition("\n")[0])
    for line in _SENTENCES.finditer(parent, end):
        if line.start() != end:
            break
        end = line.end()
    return parent[:end].rstrip(), parent[end:]


def _repeats(text: str, parent: str) -> bool:
    """Whether a text repeats the parent's task: the same opening and most words of its prose."""
    if _opening(text) != _opening(parent):
        return False
    prose_words = set(words(prose(parent)))
    return len(prose_words & set(words(text))) * 2 > len(prose_words)


def _opening(text: str) -> list[str]:
    return words(text[:80])[:4]


def _unwrapped(text: str) -> str:
    """Remove greetings, labels, and a fence or quotes around the whole text."""
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


def _split_distractor(text: str, parent: str, form: ExampleForm) -> tuple[str, CodeBlock | None]:
    """Split into prose and distractor: the first code block that the parent does not contain.

    A whole task keeps all its other text and code.
    """
    if form is ExampleForm.TASK and not _DEMAND.search(text):
        split = split_distractor(text, parent)
        return split.prose, split.distractor
    blocks = [block for block in code_blocks(text) if block.code.strip() not in parent]
    distractor = blocks[0] if blocks else None
    if label := _DEMAND.search(text):
        return text[label.end() :].partition("```")[0], distractor
    if distractor is None:
        return text, None
    at = text.index(distractor.code)
    before, after = (
        text[:at].rpartition("```")[0],
        text[at + len(distractor.code) :].partition("```")[2],
    )
    return (after.strip() or before.strip()), distractor


def _without_tail(text: str, parent: str) -> tuple[str, str]:
    """Split off a solution, comment or second task, if there is a task before it."""
    if "\n" not in text:
        return text, ""
    for found in _TAIL.finditer(text):
        head = text[: found.start()].strip()
        if head and found[0].strip() not in parent:
            return head, text[found.start() :]
    return text, ""
