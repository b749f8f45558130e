"""Take a test apart that is a run of assertions, each of a call and a value; strings left out.

Promises: time that grows with the text's length alone; a test of another form gives None.

>>> call_end("f(g(1), ')') == 2", 0, C_LITERAL)
12
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evolcoder.grading.call_harness.base import Comparison, SplitTest

C_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\]){1,10}\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
"""A string, character or comment of C++, Java and their like."""
SCRIPT_LITERAL = re.compile(
    r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/', re.DOTALL
)
"""A string or comment of JavaScript and PHP."""
_CALLED = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)*\s*(?=\()")
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_CHARACTER = re.compile(r"[()\[\]{}]")


def closing(text: str, at: int, literal: re.Pattern[str]) -> int | None:
    """Return where the bracket at a place closes; None where the brackets do not match."""
    tokens = re.compile(f"(?P<literal>{literal.pattern})|{_CHARACTER.pattern}", literal.flags)
    stack: list[str] = []
    for token in tokens.finditer(text, at):
        if token["literal"] is not None:
            continue
        character = token[0]
        if character not in _BRACKETS:
            stack.append(character)
        elif not stack or stack.pop() != _BRACKETS[character]:
            return None
        if not stack:
            return token.start()
    return None


def outside(text: str, literal: re.Pattern[str]) -> str | None:
    """Return what of a text stands in no bracket and no literal; None if brackets do not match."""
    found, at = [], 0
    tokens = re.compile(f"(?P<literal>{literal.pattern})|{_CHARACTER.pattern}", literal.flags)
    while (token := tokens.search(text, at)) is not None:
        found.append(text[at : token.start()])
        close = token.end() - 1 if token["literal"] else closing(text, token.start(), literal)
        if close is None:
            return None
        at = close + 1
    return " ".join((*found, text[at:]))


def call_end(text: str, at: int, literal: re.Pattern[str]) -> int | None:
    """Return where the call that begins at a place ends; None where none begins there."""
    called = _CALLED.match(text, at)
    end = closing(text, called.end(), literal) if called else None
    return None if end is None else end + 1


@dataclass(frozen=True, slots=True)
class TestForm:
    """What the tests of a language look like, in regexes."""

    head: str
    """All that stands before the first assertion."""
    opening: str
    """What begins an assertion, up to its opening parenthesis."""
    relations: Mapping[str, str] = field(default_factory=dict)
    """Relation -> what stands between call and value; one that ends with an opening parenthesis
    is closed behind the value."""
    ending: str = r"\s*;[ \t]*\n?"
    """What follows an assertion's closing parenthesis."""
    tail: str = ""
    """All that stands behind the last assertion."""
    literal: re.Pattern[str] = C_LITERAL
    """A string, character or comment."""
    binds_less: str = r"&&|\|\||[?&|^,;]|[=!]="
    """What makes a condition more than a call and a value where it stands in no bracket."""

    def split(self, test: str) -> SplitTest | None:
        """Take a test apart; other statements, and calls of several functions, make it None."""
        found = list(self._assertions(test))
        if not found:
            return None
        head, tail = test[: found[0][0]], test[found[-1][2] :]
        comparisons = [one for _, text, _ in found if (one := self._comparison(text))]
        fits = re.fullmatch(self.head, head) and re.fullmatch(self.tail, tail)
        called = {one.call.partition("(")[0].strip() for one in comparisons}
        if not fits or len(comparisons) < len(found) or len(called) > 1:
            return None
        return SplitTest(head, tuple(comparisons))

    def _assertions(self, test: str) -> Iterator[tuple[int, str, int]]:
        """Yield where each assertion begins, what is between its parentheses, and its end."""
        begin, end = re.compile(self.opening), re.compile(self.ending)
        opened = begin.search(test)
        while opened is not None:
            close = closing(test, opened.end() - 1, self.literal)
            ended = None if close is None else end.match(test, close + 1)
            if close is None or ended is None:
                return
            yield opened.start(), test[opened.end() : close], ended.end()
            opened = begin.match(test, ended.end())

    def _comparison(self, text: str) -> Comparison | None:
        """Read what an assertion compares; the value must not call the candidate as well."""
        begin = len(text) - len(text.lstrip())
        end = call_end(text, begin, self.literal)
        if end is None:
            return None
        call, name = text[begin:end], text[begin : text.index("(", begin)].strip()
        for relation, between in self.relations.items():
            found = re.compile(between).match(text, end)
            expected = text[found.end() :].strip() if found else ""
            if found and found[0].endswith("("):
                close = closing(text, found.end() - 1, self.literal)
                if close is None or text[close + 1 :].strip():
                    return None
                expected = text[found.end() : close].strip()
            if expected:
                is_value = self.is_value(expected, name)
                return Comparison(call, expected, relation) if is_value else None
        return None

    def is_value(self, text: str, name: str) -> bool:
        """Tell whether a text is one operand, and does not call the candidate."""
        bare = outside(text, self.literal)
        calls = re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text)
        return bare is not None and not re.search(self.binds_less, bare) and not calls
