r"""Take a test apart that hands calls and values to a function: `assertEquals(call, value)`.

A language says what its strings, characters and comments look like; brackets and separators inside
of them do not count. Never raises, and knows no grammar beyond that.

>>> C_LIKE.parts('f("a,b", (1, 2)), 3')
['f("a,b", (1, 2))', '3']
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from evolcoder.grading.call_harness.base import Comparison, SplitTest
from evolcoder.grading.call_harness.scan import closing

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_STRING = r'"(?:\\.|[^"\\])*"'
_QUOTED = r"'(?:\\.|[^'\\])*'"


class Group(NamedTuple):
    """What stands in brackets, and what follows them."""

    inner: str
    """The text between the brackets."""
    ending: re.Match[str]
    """What was found behind the closing bracket."""


class Brackets:
    """Reads the source text of one language."""

    __slots__ = ("literal",)

    def __init__(self, literal: str) -> None:
        """Take a regex of one string, character or comment."""
        self.literal = re.compile(literal, re.DOTALL)

    def parts(self, source: str, separator: str = ",") -> list[str]:
        """Cut a text at a separator (a regex) outside of brackets; empty if they do not match."""
        words = rf"(?P<literal>{self.literal.pattern})|[()\[\]{{}}]|(?P<cut>{separator})"
        found, stack, start = [], list[str](), 0
        for match in re.finditer(words, source, re.DOTALL):
            if match["literal"] is not None or (match["cut"] is not None and stack):
                continue
            if match["cut"] is not None:
                found.append(source[start : match.start()].strip())
                start = match.end()
            elif match[0] in _CLOSING:
                stack.append(_CLOSING[match[0]])
            elif not stack or stack.pop() != match[0]:
                return []
        return [] if stack else [*found, source[start:].strip()]

    def groups(self, source: str, opening: str, ending: str) -> tuple[list[Group], str]:
        """Read one bracket group after another from the start of a text.

        `opening` is a regex that ends with the opening bracket, `ending` one of what follows the
        closing one. Returns the groups, and the text behind the last.
        """
        found, place = list[Group](), 0
        opens, ends = re.compile(opening), re.compile(ending)
        while (opened := opens.match(source, place)) is not None:
            closed = closing(source, opened.end() - 1, self.literal)
            ended = None if closed is None else ends.match(source, closed + 1)
            if closed is None or ended is None:
                break
            found.append(Group(source[opened.end() : closed], ended))
            place = ended.end()
        return found, source[place:]

    def is_call(self, source: str, beginning: str) -> bool:
        """Tell whether a text begins so, with an opening parenthesis, and ends where that closes.

        What else would be computed of a result could hold an expected value.
        """
        found = re.match(beginning, source)
        place = source.find("(")
        return found is not None and closing(source, place, self.literal) == len(source) - 1

    def calls_candidate(self, value: str) -> bool:
        """Tell whether a value that is expected calls the candidate itself."""
        return re.search(r"\bcandidate\b", self.literal.sub("", value)) is not None


@dataclass(frozen=True, slots=True)
class ArgumentForm:
    """What such tests of a language look like, in regexes."""

    head: str
    """All that stands before the first check; the group `kept` is what calls need of it, and the
    group `name` what the test is called in `tail`."""
    opening: str
    """What begins a check, up to its opening parenthesis."""
    call: str
    """What the call begins with."""
    brackets: Brackets
    """Reads the language."""
    ending: str = r"\s*"
    """What follows the closing parenthesis."""
    tail: str = ""
    """All that stands behind the last check; NAME stands for the test's name."""
    separator: str = ","
    """What stands between the arguments."""
    places: tuple[int, int] = (0, 1)
    """Which of the arguments is the call, and which the value."""
    others: tuple[tuple[int, str], ...] = ()
    """Places of all others, and what they are; the one that comes last is the relation."""

    def split(self, test: str) -> SplitTest | None:
        """Take a test apart; other statements among the checks make it None."""
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
        parts = self.brackets.parts(text, self.separator)
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
"""C#, D, Go, Scala, Swift; single quotes hold one character."""
JULIA = Brackets(rf'"{{3}}.*?"{{3}}|{_STRING}|#[^\n]*|\'(?:\\[^\']*|[^\'\\])\'')
LISP = Brackets(rf"#\\(?:\w+|.)|{_STRING}|;[^\n]*|#\|.*?\|#|\|[^|]*\|")
"""Racket."""
LUA = Brackets(
    rf"--\[(?P<n>=*)\[.*?\](?P=n)\]|--[^\n]*|\[(?P<m>=*)\[.*?\](?P=m)\]|{_STRING}|{_QUOTED}"
)
SCRIPT = Brackets(f"#[^\\n]*|{_STRING}|{_QUOTED}")
"""Perl, R, Ruby."""
SHELL = Brackets(rf"{_STRING}|'[^']*'|\\.")
"""Bash; what is substituted inside of a string counts as part of the string."""
