r"""The style `rewrite`: heuristics that ask for the whole new task, as the paper's method does.

Names, weights, contents and the choice among heuristics are those of the style `append`, so lineage
and reports do not depend on the style. A rewritten task may lose what its parent had; this module
splits it from its distractor, restores code that is missing altogether, and has the rules that only
whole texts need. The prompts are written for this project.

>>> split_distractor("Sort it.\n\nA draft:\n```python\nx = sorted(y)\n```", parent="Sort.").prose
'Sort it.'
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evolcoder.evolution.candidate import CandidateTask, RuleViolation
from evolcoder.evolution.heuristics import (
    BUILT_IN,
    ExampleForm,
    Heuristic,
    TaskContents,
    WorkedExample,
)
from evolcoder.evolution.prompts import HINTS, WHOLE_TASK_HINTS
from evolcoder.fences import code_lines, without_code
from evolcoder.natural_language import STOPS
from evolcoder.programming_language import CodeBlock, code_blocks
from evolcoder.records import Reason
from evolcoder.text import words

_KEEP = (
    "Keep all that it asks for, its data and its code, and the programming language. Reply with "
    "the whole task and nothing else, and do not solve it.\n\nTask: {task}"
)
_TEMPLATES = {
    "constrain": (
        f"Write this programming task anew, with one or two concrete requirements more that make "
        f"it harder. {_KEEP}"
    ),
    "deepen": (
        f"This programming task takes only a step or two. Write it anew, so that its result is "
        f"needed to work out something harder, which is asked for as well. {_KEEP}"
    ),
    "misdirect": (
        f"Write this programming task anew with a stricter demand, and let it end with a short "
        f"code block that looks like a solution and does not meet that demand. Do not say what is "
        f"wrong with the code. {_KEEP}"
    ),
    "complexity": (
        f"Write this programming task anew, so that it demands a time or space complexity, written "
        f"as O(...), that a simple solution misses and a clever one reaches. {_KEEP}"
    ),
}
"""Templates by heuristic; `specialise` asks for whole tasks in both styles."""
_EXAMPLES = {
    "constrain": (
        WorkedExample(
            "Write a Python function that returns the sum of a list of numbers.",
            "Write a Python function that returns the sum of a list of numbers, skips entries "
            "that are not numbers, and raises a ValueError if nothing is left to add.",
        ),
        WorkedExample(
            "Create a SQL query that lists all open orders.\n"
            "orders(id, customer, status, placed_on)",
            "Create a SQL query that lists all open orders that have a customer, the oldest "
            "first. The status may be written in any case.\n"
            "orders(id, customer, status, placed_on)",
        ),
        WorkedExample(
            "Explain what a closure is in JavaScript.",
            "Explain what a closure is in JavaScript by a loop in which a variable is captured "
            "wrongly, and compare two ways to avoid that.",
        ),
    ),
    "deepen": (
        WorkedExample(
            "Create a Java method that finds the largest number in an array.\nint[] a = {4, 9, 2};",
            "Create a Java method that finds the largest number in every row of a matrix and "
            "ranks the rows by it. Of rows that are equal in this, the one with the smaller "
            "average comes first.\n"
            "int[][] a = {{4, 9, 2}, {9, 1, 1}};",
        ),
        WorkedExample(
            "Explain what a primary key is.",
            "Explain what a primary key is. Then take a table of enrolments whose key is the "
            "student's name, say what goes wrong when two students share a name, and work out "
            "which key would be better.",
        ),
        WorkedExample(
            "Write a function to count the words in a sentence.",
            "Write a function to count the words in a sentence, and with its help return each "
            "sentence of a paragraph that has more words than the one before it. "
            "Abbreviations such as e.g. must not end a sentence.",
        ),
    ),
    "misdirect": (
        WorkedExample(
            "Write a Python function that counts the vowels in a string.\n'hello'",
            "Write a Python function that counts the vowels in a string. It must also count "
            "capital vowels, and vowels with an accent such as \u00e9 like plain ones.\n"
            "'hello'\n\n"
            "This draft may be of use:\n"
            "```python\ndef count_vowels(text):\n"
            '    return sum(1 for c in text if c in "aeiou")\n```',
        ),
        WorkedExample(
            "Make all links on a page red with CSS.",
            "Make all links on a page red with CSS, but leave those of the navigation bar as "
            "they are, and turn those that were visited grey.\n\n"
            "Somebody has begun like this:\n"
            "```css\na { color: red; }\n```",
        ),
    ),
    "complexity": (
        WorkedExample(
            "Write a Python function that checks whether two numbers in a list add up to a target.",
            "Write a Python function that checks in O(n) time whether two numbers in a list of "
            "n numbers add up to a target. It may use O(n) extra space.",
        ),
        WorkedExample(
            "Create a C program to rotate an array by k places.\nint a[] = {1, 2, 3, 4};",
            "Create a C program to rotate an array of n elements by k places that takes O(n) "
            "time and O(1) extra space, whatever k is.\n"
            "int a[] = {1, 2, 3, 4};",
        ),
        WorkedExample(
            "Find the first position of a value in a sorted array.",
            "Find the first position of a value in a sorted array in O(log n) time, also where "
            "the value stands there many times.",
        ),
    ),
}


def _rewritten(heuristic: Heuristic) -> Heuristic:
    if (template := _TEMPLATES.get(heuristic.name)) is None:
        return heuristic
    examples = _EXAMPLES[heuristic.name]
    return replace(heuristic, template=template, examples=examples, form=ExampleForm.TASK)


REWRITING: tuple[Heuristic, ...] = tuple(map(_rewritten, BUILT_IN))
"""The built-in heuristics of the style `rewrite`."""


@dataclass(frozen=True, slots=True)
class SplitTask:
    """A whole task, with its distractor apart."""

    prose: str
    """The task without the distractor."""
    distractor: CodeBlock | None
    """The last code block that its parent does not show."""


def split_distractor(text: str, parent: str) -> SplitTask:
    """Take the last code block that a parent does not show out of a rewritten task.

    All other code stays where it is. The distractor will end the task, introduced by a sentence of
    ours: one that announced it in the answer is left out, so that it does not count as a demand.
    """
    foreign = [block for block in code_blocks(text) if block.code.strip() not in parent]
    if not foreign:
        return SplitTask(text, None)
    distractor = foreign[-1]
    at = text.rindex(distractor.code)
    before = text[:at].rstrip("\n").rpartition("\n")[0].rstrip()
    after = text[at + len(distractor.code) :].lstrip("\n").partition("\n")[2].strip()
    if before.endswith((":", "：")):
        before = _without_last_sentence(before)
    return SplitTask("\n\n".join(filter(None, (before, after))), distractor)


def _without_last_sentence(text: str) -> str:
    """Remove the sentence that ends in a colon; only the colon if there is no other."""
    end = max((found.end() for found in _SENTENCE_END.finditer(text)), default=0)
    return text[:end].rstrip() or text.rstrip(" :：")


def restore_code(text: str, parent: str, attached: str) -> str:
    """Append the code of a parent to a rewritten task that shows none of it and no other code.

    `attached` is the part of the parent after its prose, which is appended if the code has no
    fences, and also where it is only data if the new task begins with all that the parent asks.
    """
    lines = _code(parent)
    if attached and text and "\n" not in text and _repeats_request(text, parent):
        new = set(words(text)) - set(words(_request(parent)))
        if new.isdisjoint(words(attached)):
            return f"{text}\n{attached}"
    if len(lines) <= MAX_DATA_LINES or not text or _code(text) or set(lines) & _lines(text):
        return text
    blocks = [f"```{b.language or ''}\n{b.code.rstrip()}\n```" for b in code_blocks(parent)]
    return "\n\n".join([text, *(blocks or [attached])])


MAX_DATA_LINES = 2
"""A parent's code of at most so many lines is data, such as a list, which may be replaced."""
MIN_LENGTH = 0.75
"""Least length of a rewritten task relative to its parent, in words."""


N_HINT_WORDS = 5
"""Consecutive words shared with a hint that count as copied."""
_HINT_RUNS = frozenset(
    " ".join(run)
    for hint in (*HINTS.values(), *WHOLE_TASK_HINTS.values())
    for split in (words(hint),)
    for at in range(len(split) - N_HINT_WORDS + 1)
    if "time" not in (run := split[at : at + N_HINT_WORDS])
)
"""Runs without those about bounds, which there are few ways to word."""
_HINT_MARKS = frozenset((run[0], run[2], run[-1]) for run in map(str.split, _HINT_RUNS))
_SENTENCE_END = re.compile(rf"[.?!;](?=\s)|[{''.join(c for c in STOPS if not c.isascii())}]|\n")
_MEANS = re.compile(r",? by (?:simply |first )?\w{2,20}ing\b[^.\n]{0,60}", re.IGNORECASE)


def breaks_code(candidate: CandidateTask) -> RuleViolation | None:
    """Find a rewritten task that does not show the code of its parent whole."""
    lines = _code(candidate.before.text)
    if candidate.added is not None or len(lines) <= MAX_DATA_LINES:
        return None
    shown = _lines(candidate.after.text)
    kept = sum(line in shown for line in lines)
    if kept < len(lines):
        detail = f"keeps {kept} of {len(lines)} lines of the code"
        return RuleViolation(Reason.MISSING_INPUT, detail)
    text = [line for line in candidate.after.text.splitlines() if line.strip()]
    for block in code_blocks(candidate.before.text):
        if not _shows(text, [line for line in block.code.splitlines() if line.strip()]):
            return RuleViolation(Reason.MISSING_INPUT, "changes the order or indent of the code")
    return None


def shortens(candidate: CandidateTask) -> RuleViolation | None:
    """Find a rewritten task that is shorter than its parent."""
    n, before = len(candidate.after.words), len(candidate.before.words)
    if candidate.added is not None or n >= MIN_LENGTH * before:
        return None
    return RuleViolation(Reason.SHORTENED, f"{n} words, its parent {before}")


def copies_a_hint(candidate: CandidateTask) -> RuleViolation | None:
    """Find words of a hint, which small models repeat as a requirement of the task."""
    split = candidate.after.words
    if _HINT_MARKS.isdisjoint(zip(split, split[2:], split[N_HINT_WORDS - 1 :], strict=False)):
        return None
    for at in range(len(split) - N_HINT_WORDS + 1):
        run = " ".join(split[at : at + N_HINT_WORDS])
        if run in _HINT_RUNS and run not in candidate.before.padded_words:
            return RuleViolation(Reason.PROMPT_COPIED, run)
    return None


def prescribes_means(candidate: CandidateTask) -> RuleViolation | None:
    """Find a rewritten task that is its parent with the way to solve it: `by iterating over …`."""
    parent, text = candidate.before.text, candidate.after.text
    asks_for_more = candidate.heuristic.holds is TaskContents.NOTHING
    if candidate.added is not None or not asks_for_more or not _repeats_request(text, parent):
        return None
    found = _MEANS.match(text, len(_request(parent)))
    return RuleViolation(Reason.SOLVED, f"prescribes the means:{found[0]}") if found else None


def _request(task: str) -> str:
    """Return the first line of a task without its last mark."""
    return task.partition("\n")[0].rstrip(" .?!:;")


def _repeats_request(text: str, parent: str) -> bool:
    return text.lower().startswith(_request(parent).lower())


def _code(text: str) -> list[str]:
    """Return the lines of code of a text, in fences and outside, stripped."""
    fenced = [line.strip() for block in code_blocks(text) for line in block.code.splitlines()]
    return [line for line in fenced if line] + code_lines(without_code(text))


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines()}


def _shows(text: Sequence[str], code: Sequence[str]) -> bool:
    """Whether lines of code follow one another in a text, at any common indent."""
    wanted = _dedented(code)
    return any(
        _dedented(text[at : at + len(code)]) == wanted for at in range(len(text) - len(code) + 1)
    )


def _dedented(lines: Sequence[str]) -> list[str]:
    margin = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return [line[margin:].rstrip() for line in lines]
