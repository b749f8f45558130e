r"""Matching brackets and separators in source text of other languages.

A language says what its strings, characters and comments look like; brackets and separators inside
of them do not count. Never raises. Knows no grammar beyond that: what the pieces mean is the
caller's to check.

>>> C_LIKE.parts('f("a,b", (1, 2)), 3')
['f("a,b", (1, 2))', '3']
"""

import re
from typing import NamedTuple

_CLOSING = {"(": ")", "[": "]", "{": "}"}
_STRING = r'"(?:\\.|[^"\\])*"'
_QUOTED = r"'(?:\\.|[^'\\])*'"
_SLASHES = r"//[^\n]*|/\*.*?\*/"


class Group(NamedTuple):
    """What stands in brackets, and what follows them."""

    inner: str
    """The text between the brackets."""
    ending: re.Match[str]
    """What was found behind the closing bracket."""


class Brackets:
    """Reads the source text of one language."""

    __slots__ = ("_token",)

    def __init__(self, opaque: str) -> None:
        """Take a regex of one string, character or comment."""
        self._token = re.compile(rf"(?P<opaque>{opaque})|[()\[\]{{}}]", re.DOTALL)

    def closing(self, source: str, opening: int) -> int | None:
        """Return the place of the bracket that closes the one at `opening`."""
        stack: list[str] = []
        for token in self._token.finditer(source, opening):
            if token["opaque"] is not None:
                continue
            if token[0] in _CLOSING:
                stack.append(_CLOSING[token[0]])
            elif not stack or stack.pop() != token[0]:
                return None
            if not stack:
                return token.start()
        return None

    def parts(self, source: str, separator: str = ",") -> list[str]:
        """Cut a text at a separator (a regex) outside of brackets; empty if they do not match."""
        token = re.compile(f"{self._token.pattern}|(?P<cut>{separator})", re.DOTALL)
        found, stack, start = [], list[str](), 0
        for match in token.finditer(source):
            if match["opaque"] is not None:
                continue
            if match["cut"] is not None:
                if not stack:
                    found.append(source[start : match.start()].strip())
                    start = match.end()
            elif match[0] in _CLOSING:
                stack.append(_CLOSING[match[0]])
            elif not stack or stack.pop() != match[0]:
                return []
        return [] if stack else [*found, source[start:].strip()]

    def compared(self, assertion: str, methods: tuple[str, ...]) -> tuple[str, str, str] | None:
        """Read `NAME(…) == VALUE` or `NAME(…).METHOD(VALUE)`: the call, the value and `==` or METHOD.

        None for everything else.
        """
        opened = re.match(r"\w+\(", assertion)
        closed = self.closing(assertion, opened.end() - 1) if opened else None
        if closed is None:
            return None
        call, rest = assertion[: closed + 1], assertion[closed + 1 :]
        if operator := re.match(r"\s*==(?!=)", rest):
            values = self.parts(rest[operator.end() :], r"[=!<>]=|&&|\|\||[<>?]")
            return (call, values[0], "==") if len(values) == 1 else None
        method = re.fullmatch(r"\.(\w+)\((.*)\)", rest, re.DOTALL)
        if method is None or method[1] not in methods or len(self.parts(method[2])) != 1:
            return None
        return call, method[2], method[1]

    def groups(self, source: str, opening: str, ending: str) -> tuple[list[Group], str]:
        """Read one bracket group after another from the start of a text.

        `opening` is a regex that ends with the opening bracket, `ending` one of what follows the
        closing one. Returns the groups, and the text behind the last.
        """
        found, place = list[Group](), 0
        opens, ends = re.compile(opening), re.compile(ending)
        while (opened := opens.match(source, place)) is not None:
            closed = self.closing(source, opened.end() - 1)
            ended = None if closed is None else ends.match(source, closed + 1)
            if closed is None or ended is None:
                break
            found.append(Group(source[opened.end() : closed], ended))
            place = ended.end()
        return found, source[place:]


C_LIKE = Brackets(f"{_SLASHES}|{_STRING}|'(?:\\\\[^']*|[^'\\\\])'|`[^`]*`")
"""C#, D, Go, Scala, Swift; single quotes hold one character."""
SHELL = Brackets(rf"{_STRING}|'[^']*'|\\.")
"""Bash; what is substituted inside of a string counts as part of the string."""
LUA = Brackets(
    rf"--\[(?P<n>=*)\[.*?\](?P=n)\]|--[^\n]*|\[(?P<m>=*)\[.*?\](?P=m)\]|{_STRING}|{_QUOTED}"
)
LISP = Brackets(rf"#\\(?:\w+|.)|{_STRING}|;[^\n]*|#\|.*?\|#|\|[^|]*\|")
"""Racket."""
JULIA = Brackets(rf'"{{3}}.*?"{{3}}|{_STRING}|#[^\n]*|\'(?:\\[^\']*|[^\'\\])\'')
SCRIPT = Brackets(f"#[^\\n]*|{_STRING}|{_QUOTED}")
"""Ruby, Perl, R."""
