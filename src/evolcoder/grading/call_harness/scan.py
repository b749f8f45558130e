"""Splits tests that are a sequence of assertions, each of which compares a call with a value.

Brackets and operators within strings and comments are ignored. Guarantees: linear time; a test of
another form gives None.

>>> call_end("f(g(1), ')') == 2", 0, C_LITERAL)
12
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evolcoder.grading.call_harness.base import Comparison, SplitTest

C_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\]){1,10}\'|//[^\n]*|/\*.*?\*/', re.DOTALL)
"""A string, character or comment of C++, Java and similar languages."""
SCRIPT_LITERAL = re.compile(
    r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/', re.DOTALL
)
"""A string or comment of JavaScript and PHP."""
_CALLED = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)*\s*(?=\()")
_BRACKETS = {")": "(", "]": "[", "}": "{"}
_CHARACTER = re.compile(r"[()\[\]{}]")


def closing_bracket(text: str, at: int, literal: re.Pattern[str]) -> int | None:
    """Return the index of the bracket that closes the one at `at`; None if they do not match."""
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


def without_brackets(text: str, literal: re.Pattern[str]) -> str | None:
    """Return a text without brackets' contents and literals; None if brackets do not match."""
    found, at = [], 0
    tokens = re.compile(f"(?P<literal>{literal.pattern})|{_CHARACTER.pattern}", literal.flags)
    while (token := tokens.search(text, at)) is not None:
        found.append(text[at : token.start()])
        close = (
            token.end() - 1 if token["literal"] else closing_bracket(text, token.start(), literal)
        )
        if close is None:
            return None
        at = close + 1
    return " ".join((*found, text[at:]))


def call_end(text: str, at: int, literal: re.Pattern[str]) -> int | None:
    """Return the end of the call that begins at `at`; None if there is no call."""
    called = _CALLED.match(text, at)
    end = closing_bracket(text, called.end(), literal) if called else None
    return None if end is None else end + 1


@dataclass(frozen=True, slots=True)
class AssertForm:
    """The form of a language's tests, as regexes."""

    head: str
    """Everything before the first assertion."""
    opening: str
    """Start of an assertion, up to its opening parenthesis."""
    relations: Mapping[str, str] = field(default_factory=dict)
    """Relation -> text between call and value. If it ends with an opening parenthesis, the value
    ends at the closing one."""
    ending: str = r"\s*;[ \t]*\n?"
    """Text after an assertion's closing parenthesis."""
    tail: str = ""
    """Everything after the last assertion."""
    literal: re.Pattern[str] = C_LITERAL
    """A string, character or comment."""
    binds_less: str = r"&&|\|\||[?&|^,;]|[=!]="
    """Operators of lower precedence than the comparison; outside of brackets, none may occur in a
    value."""

    def split(self, test: str) -> SplitTest | None:
        """Split a test; None if it has other statements or calls more than one function."""
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
        """Yield the start of each assertion, the text between its parentheses, and its end."""
        begin, end = re.compile(self.opening), re.compile(self.ending)
        opened = begin.search(test)
        while opened is not None:
            close = closing_bracket(test, opened.end() - 1, self.literal)
            ended = None if close is None else end.match(test, close + 1)
            if close is None or ended is None:
                return
            yield opened.start(), test[opened.end() : close], ended.end()
            opened = begin.match(test, ended.end())

    def _comparison(self, text: str) -> Comparison | None:
        """Parse an assertion; None if it has another form or the value calls the candidate."""
        begin = len(text) - len(text.lstrip())
        end = call_end(text, begin, self.literal)
        if end is None:
            return None
        call, name = text[begin:end], text[begin : text.index("(", begin)].strip()
        for relation, between in self.relations.items():
            found = re.compile(between).match(text, end)
            expected = text[found.end() :].strip() if found else ""
            if found and found[0].endswith("("):
                close = closing_bracket(text, found.end() - 1, self.literal)
                if close is None or text[close + 1 :].strip():
                    return None
                expected = text[found.end() : close].strip()
            if expected:
                is_value = self.is_value(expected, name)
                return Comparison(call, expected, relation) if is_value else None
        return None

    def is_value(self, text: str, name: str) -> bool:
        """Whether a text is one operand and does not call the candidate."""
        bare = without_brackets(text, self.literal)
        calls = re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text)
        return bare is not None and not re.search(self.binds_less, bare) and not calls
