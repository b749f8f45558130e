r"""Parses the evolver's answer into a task: removes wrapping and tails, restores the parent's data.

Text is only removed or copied from the parent, never invented, and a removed tail is never part of
the task. The result is not judged here; `rules` does that. The parent's code stays whole: sentences
are added before it, into the docstring of a function to complete, or after the whole task.

>>> from evolcoder.evolution.heuristics import BUILT_IN
>>> answer = "Sure! A harder task:\n\nSort the list.\n\n### Solution\nUse sort()."
>>> parse(answer, "", BUILT_IN[1]).text
'Sort the list.'
"""

import re
from dataclasses import dataclass

from evolcoder.evolution.heuristics import ExampleForm, Heuristic, TaskContents
from evolcoder.evolution.rewriting import restore_code, split_distractor
from evolcoder.fences import code_lines
from evolcoder.natural_language import STOPS, ends_sentence, join_sentences
from evolcoder.programming_language import CodeBlock, code_blocks
from evolcoder.text import words

_SPECIAL = re.compile(r"<\|[^|>\n]*\|>")
_NEW_TASK = re.compile(
    r"^[#>*_ \t]*(?:new task\b|新任务|新任務|新しい課題|새 과제|новая задача|neue aufgabe"
    r"|nouvelle tâche|nueva tarea|nova tarefa|nuovo compito"
    r"|المهمة الجديدة|नया कार्य)[*_ ]*[:：][*_ ]*",
    re.IGNORECASE | re.MULTILINE,
)
_LABEL_ELSEWHERE = re.compile(
    r"\A[#>*_ \t]*(?:新?(?:任务|任務|要求|需求|约束|附加要求)|(?:新しい|追加の?)?(?:課題|要件|要求)"
    r"|과제|요구 ?사항|추가 요구 ?사항|задача|задание|(?:дополнительн\w+ )?требовани[ея]"
    r"|(?:zusätzliche )?(?:aufgabe|anforderung(?:en)?)|tâche|exigences?"
    r"|tarea|tarefa|compito|requisit[io]s?|المهمة|المطلوب|कार्य|माँग)[*_ ]*[:：][*_ ]*\s*",
    re.IGNORECASE,
)
_TAIL_ELSEWHERE = re.compile(
    r"^[#>*_ \t]*(?:解答|答案|参考答案|解决方案|解释|说明|代码|示例代码|回答|解説|コード|コード例"
    r"|решение|ответ|пояснение|объяснение|код|lösung|antwort|erklärung|solución|respuesta"
    r"|soluzione|risposta|spiegazione|codice|explicación|código|réponse|explication|solução|resposta|explicação|풀이|해답|설명|코드"
    r"|الحل|الإجابة|الشرح|समाधान|उत्तर|व्याख्या)[*_ ]*(?:[:：]|$)",
    re.IGNORECASE | re.MULTILINE,
)
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
    r"^[#>*_ \t]*(?:(?:stricter |new )?demand\b|要求|要件|요구 ?사항|требование|anforderung"
    r"|exigence|requisito|exigência|المطلوب|माँग)[*_ ]*[:：][*_ ]*",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCES = re.compile(
    r"\n\s{0,4}^(?=[^\n]*\b(?:must|should|returns?|your?|function|given|implement|write|program|class"
    r"|method|takes?|if)\b)[A-Z][^\n{}\[\]=<>`]{10,}[.?!]$",
    re.MULTILINE,
)
_FOLLOWS = re.compile(
    r"以下|下面|下列|上述|次の|следующ|ниже|приведённ|приведенн|siguiente|folgende|suivant|seguinte|abaixo|seguent"
    r"|다음|التالي|निम्न|κάτω|הבא|ต่อไปนี้",
    re.IGNORECASE,
)
"""Words of other languages by which a task refers to attached data or code."""
_PROGRAM_LINE = re.compile(
    r"^[ \t]*+(?:(?:`{3,}|~{3,})|</?code>|>>> |(?:async )?def \w+ ?\(|class \w+[^.?!\n]*[:{][ \t]*$"
    r"|import (?:static )?[\w.*]+(?: as \w+)?(?:, ?[\w.]+)*;?[ \t]*$|import \($"
    r"|from [\w.]+ import |\#include\b|\#!/|<\?php"
    r"|<!DOCTYPE|<(?:html|head|body|div|script|style|table|form|svg|ul|ol|p|a|h\d)\b[^>\n]*>"
    r"|using [\w.:]+( [\w.:]+)?;|package [\w.]+;?[ \t]*$"
    r"|(?:public|private|protected|static) .*[{;(]"
    r"|(?:fn|func|function|fun|sub|void|int|double|float|bool|char|string|String) \w+ ?\([^.?!\n]*$"
    r"|(?:const|let|var) \w+ ?=|@\w+(?:\(.*\))?[ \t]*$"
    r"|\w+(?:\.\w+)* ?= ?[^\s=][^\n(]*\([^\n]*\)"
    r"|(?:for|while|if) ?\(.*\) ?\{?[ \t]*$|(?:for|while|if|with) [^.?!\n]+:[ \t]*$"
    r"|SELECT\b.*|CREATE TABLE\b|INSERT INTO\b|\#* ?(?:BEGIN|END) SOLUTION"
    r"|[^.?!\n{]*\)[ \w:>-]{0,40}\{[ \t]*$|[.\#]?[\w-]+ \{[^\n]*$)",
    re.MULTILINE,
)
"""A line that begins or shows a program, rather than data."""
_PART_OF_CODE = re.compile(r"[ \t]*+(?:(?:#|//|/\*|\*|--|;;)[ !]?\S[^\n]*|[^\n]*[;{}])\s*\Z")
"""A comment or statement, as it may precede what is certainly a program."""
_SHORT_LABEL = re.compile(r"\n[ \t]*[\w*# ]{1,20}[:：][ \t*]*\Z")
_EXAMPLES = re.compile(
    r"^[ \t]*(?:>>>|(?:examples?|for example|args|arguments|parameters|params|returns?|raises"
    r"|notes?|input|output|sample)\b[^\n.]{0,30}:[ \t]*$|(?:for example|e\.g\.|:param|@param)\b)",
    re.IGNORECASE | re.MULTILINE,
)
"""Where the description ends in a docstring."""
_STUB_END = re.compile(r"(?:\s*(?:pass|\.\.\.|#[^\n]*|(?<!`)`{3,}(?!`)|(?<!~)~{3,}(?!~)))*\s*\Z")
_MAX_STUB_END = 400
_CODE_MARKS = re.compile(r"[=;{}<>]|\w\(")
_QUOTES = {
    '"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "'": "'", "`": "`"
}  # fmt: skip
_REFERS = re.compile(
    r"\b(?:following|below|given|provided|this|these|above)\b(?:\s+[\w'-]+){0,3}?\s+(?:code|list"
    r"|array|string|text|function|query|snippet|program|table|data|dataset|dictionary|tuple|class"
    r"|sentence|document|structure|numbers|values|equations?|matrix|object|html|statement|lists"
    r"|arrays|strings|words|select)\b|\b(?:as follows|the following)\b"
    r"|\bbelow\b(?!,? (?:\d|an?\b|the (?:\w+ )?(?:limit|threshold|mean|average)|zero|absolute))",
    re.IGNORECASE,
)

_REFERENCE_WORDS = (
    "this", "these", "given", "following", "provided", "below", "above", "as follows",
)  # fmt: skip
"""Every match of `_REFERS` contains one of these; searching for them first is ten times faster."""


MIN_SENTENCE_CHARS, MIN_SENTENCE_WORDS = 8, 3
"""Fewest characters and words of a further line that is taken for a sentence."""


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
    if label := _NEW_TASK.search(text):
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
    data = split_program(parent)[1].strip() or attachment(parent)
    if not data or not text or "\n" in text:
        return text
    if not (find_reference(text) or (not text.isascii() and _FOLLOWS.search(text))):
        return text
    head, code = split_program(parent)
    shown = head if code else prose(parent)
    data_words = set(words(data)).difference(words(shown))
    n_found = len(data_words.intersection(words(text)))
    return text if not data_words or n_found * 2 > len(data_words) else f"{text}\n{data}"


def append_addition(parent: str, addition: str) -> str:
    """Insert sentences into a task: after its prose, and never within its data or code."""
    head, code = split_program(parent)
    if not code:
        return _append_to_prose(parent, addition)
    if not head or head.endswith((":", "：")):
        # A line that introduces the code stays with it.
        earlier = head.rpartition("\n")[0].rstrip()
        if earlier and ends_sentence(earlier):
            return f"{join_sentences(earlier, addition)}{parent[len(earlier) :]}"
        return _add_around_code(parent, head, code, addition)
    end = _last_sentence(head)
    if head[:end].endswith((":", "：")):
        return f"{head}\n\n{addition}{_gap(parent, head)}{code}"
    return f"{join_sentences(head[:end], addition)}{head[end:]}{_gap(parent, head)}{code}"


def split_program(task: str) -> tuple[str, str]:
    """Split a task into the text before its program and the rest; '' if it shows none."""
    found = _PROGRAM_LINE.search(task)
    if found is None:
        return task.rstrip(), ""
    head = _without_code_lines(task[: found.start()].rstrip())
    # A label such as `A:` belongs to the code, unless it is all that the task says.
    if label := _SHORT_LABEL.search(head):
        head = head[: label.start()].rstrip()
    return head, task[len(head) :].lstrip("\n")


def _without_code_lines(head: str) -> str:
    """Remove comments and statements at the end of the text before a program."""
    while "\n" in head and _PART_OF_CODE.match(head, head.rfind("\n") + 1):
        head = head[: head.rfind("\n")].rstrip()
    return head


def _gap(task: str, head: str) -> str:
    """Return the line breaks between the text of a task and its program."""
    rest = task[len(head) :]
    return rest[: len(rest) - len(rest.lstrip("\n"))] or "\n"


def _last_sentence(head: str) -> int:
    """Return where the last line that ends like a sentence ends; text after it is data."""
    end, in_code = len(head), set(code_lines(head)) if "\n" in head else set()
    while end > 0:
        start = head.rfind("\n", 0, end) + 1
        line = head[start:end].rstrip()
        is_sentence = ends_sentence(line) and not line.endswith(";") and line.strip() not in in_code
        if start == 0 or (is_sentence and not line.lstrip().startswith(("#", "//", "--"))):
            return start + len(line)
        end = start - 1
    return len(head)


def _add_around_code(parent: str, head: str, code: str, addition: str) -> str:
    """Add to a task that begins with code, or whose prose ends with a colon before it."""
    if (inside := _add_to_docstring(parent, addition)) is not None:
        return inside
    if _ends_with_prose(code):
        return f"{parent.rstrip()}\n\n{addition}"
    if not head:
        return f"{addition}\n\n{parent}"
    return f"{join_sentences(head[:-1], addition)}{_gap(parent, head)}{code}"


def _ends_with_prose(code: str) -> bool:
    """Whether a sentence follows the last block of a program."""
    after = code.rpartition("\n")[2]
    if "```" in code:
        after = "" if code.count("```") % 2 else code.rpartition("```")[2].strip()
    is_sentence = len(words(after)) >= MIN_SENTENCE_WORDS and after[:1].isalpha()
    return is_sentence and ends_sentence(after) and _PROGRAM_LINE.search(after) is None


def docstring(task: str) -> str:
    """Return the docstring of the function to complete at the end of a task; '' without one."""
    place = _docstring_place(task)
    return task[place[0] + 3 : place[1] - 3].strip() if place else ""


def _docstring_place(task: str) -> tuple[int, int] | None:
    """Return where the docstring of the function to complete begins and ends, with its quotes."""
    from_end = max(0, len(task) - _MAX_STUB_END)
    found = _STUB_END.search(task, max(from_end, task.rfind('"""') + 3, task.rfind("'''") + 3))
    end = found.start() if found else len(task)
    quotes = task[end - 3 : end]
    start = task.rfind(quotes, 0, end - 3)
    if quotes not in {'"""', "'''"} or start < 0:
        return None
    begins_body = task[:start].rstrip(" \t\nrRuU").endswith((":", "{"))
    return (start, end) if begins_body else None


def _add_to_docstring(task: str, addition: str) -> str | None:
    """Add to the docstring of the function to complete at the end of a task; None without one."""
    place = _docstring_place(task)
    if place is None or "\\" in addition or task[place[0] : place[0] + 3] in addition:
        return None
    start, end = place
    description = task[start + 3 : end - 3]
    line = task.rfind("\n", 0, start) + 1
    indent = task[line:start][: len(task[line:start]) - len(task[line:start].lstrip())]
    added = "".join(f"\n{indent}{part.strip()}" for part in addition.splitlines() if part.strip())
    examples = _EXAMPLES.search(description)
    at = examples.start() if examples and description[: examples.start()].strip() else None
    before = description[:at].rstrip()
    rest = f"\n{indent}" if at is None else description[len(before) :]
    return f"{task[: start + 3]}{before}{added}{rest}{task[end - 3 :]}"


def _append_to_prose(parent: str, addition: str) -> str:
    before, data = _prose_and_data(parent)
    if before.endswith((":", "：")):
        return f"{parent.rstrip()}\n\n{addition}"
    if not ends_sentence(before) and before.endswith((")", "}", "]", ">")):
        shown = re.split(r"[:：]\s", before)[-1]
        if shown != before and _CODE_MARKS.search(shown):
            return f"{before}\n\n{addition}{data}"  # code in the line of the prose
    return f"{join_sentences(before, addition)}{data}"


def _prose_and_data(parent: str) -> tuple[str, str]:
    """Split after the first line and any lines after it that are whole sentences."""
    first = parent.partition("\n")[0]
    end = len(first)
    for line in _SENTENCES.finditer(parent, end):
        if line.start() != end:
            break
        end = line.end()
    if not first.isascii() and end == len(first) and not _FOLLOWS.search(first):
        end = _further_sentences(parent, end)
    return parent[:end].rstrip(), parent[end:]


def _further_sentences(parent: str, end: int) -> int:
    """Return the end of the lines after the first that are sentences, in other languages."""
    at = end
    for line in parent[end:].splitlines(keepends=True):
        bare, at = line.strip(), at + len(line)
        if bare and (bare.isascii() or bare[-1] not in STOPS or len(bare) < MIN_SENTENCE_CHARS):
            break
        if bare:
            end = at - len(line) + len(line.rstrip())
    return end


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
        text = _LABEL_ELSEWHERE.sub("", text, count=1)
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
    for found in (*_TAIL.finditer(text), *_TAIL_ELSEWHERE.finditer(text)):
        head = text[: found.start()].strip()
        if head and found[0].strip() not in parent:
            return head, text[found.start() :]
    return text, ""
