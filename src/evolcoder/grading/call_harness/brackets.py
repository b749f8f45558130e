r"""Splits tests that pass calls and values to an assertion function: `assertEquals(call, value)`.

Each language defines the syntax of its strings, characters and comments; brackets and separators
inside of them are ignored. Uses no other grammar. Never raises.

>>> C_LIKE.split_at('f("a,b", (1, 2)), 3')
['f("a,b", (1, 2))', '3']
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from evolcoder.grading.call_harness.base import Comparison, SplitTest
from evolcoder.grading.call_harness.scan import closing_bracket

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_STRING = r'"(?:\\.|[^"\\])*"'
_QUOTED = r"'(?:\\.|[^'\\])*'"


class Group(NamedTuple):
    """A bracketed text."""

    inner: str
    """The text between the brackets."""
    ending: re.Match[str]
    """Match of the text after the closing bracket."""


class Brackets:
    """Matches brackets in the source code of one language."""

    __slots__ = ("literal",)

    def __init__(self, literal: str) -> None:
        """Compile `literal`, a regex of one string, character or comment."""
        self.literal = re.compile(literal, re.DOTALL)

    def split_at(self, source: str, separator: str = ",") -> list[str]:
        """Split at a separator (a regex) outside of brackets; empty if brackets do not match."""
        tokens = rf"(?P<literal>{self.literal.pattern})|[()\[\]{{}}]|(?P<separator>{separator})"
        found, stack, start = [], list[str](), 0
        for match in re.finditer(tokens, source, re.DOTALL):
            if match["literal"] is not None or (match["separator"] is not None and stack):
                continue
            if match["separator"] is not None:
                found.append(source[start : match.start()].strip())
                start = match.end()
            elif match[0] in _CLOSING:
                stack.append(_CLOSING[match[0]])
            elif not stack or stack.pop() != match[0]:
                return []
        return [] if stack else [*found, source[start:].strip()]

    def groups(self, source: str, opening: str, ending: str) -> tuple[list[Group], str]:
        """Parse consecutive bracketed texts from the start of `source`.

        `opening` is a regex that ends with the opening bracket; `ending` is a regex of the text
        after the closing one. Returns the groups, and the text after the last.
        """
        found, place = list[Group](), 0
        opens, ends = re.compile(opening), re.compile(ending)
        while (opened := opens.match(source, place)) is not None:
            closed = closing_bracket(source, opened.end() - 1, self.literal)
            ended = None if closed is None else ends.match(source, closed + 1)
            if closed is None or ended is None:
                break
            found.append(Group(source[opened.end() : closed], ended))
            place = ended.end()
        return found, source[place:]

    def is_call(self, source: str, beginning: str) -> bool:
        """Whether a text is exactly one call that starts with `beginning`, a regex.

        Code that computes something from the result could contain an expected value.
        """
        found = re.match(beginning, source)
        place = source.find("(")
        return found is not None and closing_bracket(source, place, self.literal) == len(source) - 1

    def calls_candidate(self, value: str) -> bool:
        """Whether an expected value calls the candidate."""
        return re.search(r"\bcandidate\b", self.literal.sub("", value)) is not None


@dataclass(frozen=True, slots=True)
class ArgumentForm:
    """The form of a language's tests, as regexes."""

    head: str
    """Everything before the first check. Group `kept` is the part that calls need; group `name` is
    the name of the test."""
    opening: str
    """Start of a check, up to its opening parenthesis."""
    call: str
    """Start of the call."""
    brackets: Brackets
    """Bracket matcher of the language."""
    ending: str = r"\s*"
    """Text after the closing parenthesis."""
    tail: str = ""
    """Everything after the last check; NAME is replaced by the test's name."""
    separator: str = ","
    """Separator of arguments."""
    places: tuple[int, int] = (0, 1)
    """Indices of the call and the value among the arguments."""
    others: tuple[tuple[int, str], ...] = ()
    """Index and regex of each other argument; the last one is the relation."""

    def split(self, test: str) -> SplitTest | None:
        """Split a test; None if it has other statements."""
        head = re.match(self.head, test, re.DOTALL)
        if head is None:
            return None
        checks, tail = self.brackets.groups(test[head.end() :], self.opening, self.ending)
        found = [one for check in checks if (one := self._comparison(check.inner))]
        name = re.escape(head.groupdict().get("name") or "")
        fits = re.fullmatch(self.tail.replace("NAME", name), tail)
        return (
            SplitTest(head["kept"], tuple(found))
            if fits and 0 < len(found) == len(checks)
            else None
        )

    def _comparison(self, text: str) -> Comparison | None:
        parts = self.brackets.split_at(text, self.separator)
        if len(parts) != len(self.places) + len(self.others):
            return None
        call, value = (parts[place] for place in self.places)
        others = [parts[place] for place, _ in self.others]
        fits = self.brackets.is_call(call, self.call) and all(
            re.fullmatch(form, parts[place]) for place, form in self.others
        )
        if not fits or self.brackets.calls_candidate(value):
            return None
        return Comparison(call, value, others[-1] if others else "")


_SLASHES = r"//[^\n]*|/\*.*?\*/"
C_LIKE = Brackets(f"{_SLASHES}|{_STRING}|'(?:\\\\[^']*|[^'\\\\])'|`[^`]*`")
"""C#, D, Go, Scala, Swift; single quotes enclose one character."""
JULIA = Brackets(rf'"{{3}}.*?"{{3}}|{_STRING}|#[^\n]*|\'(?:\\[^\']*|[^\'\\])\'')
LISP = Brackets(rf"#\\(?:\w+|.)|{_STRING}|;[^\n]*|#\|.*?\|#|\|[^|]*\|")
"""Racket."""
LUA = Brackets(
    rf"--\[(?P<n>=*)\[.*?\](?P=n)\]|--[^\n]*|\[(?P<m>=*)\[.*?\](?P=m)\]|{_STRING}|{_QUOTED}"
)
SCRIPT = Brackets(f"#[^\\n]*|{_STRING}|{_QUOTED}")
"""Perl, R, Ruby."""
SHELL = Brackets(rf"{_STRING}|'[^']*'|\\.")
"""Bash; a substitution inside a string is part of the string."""
