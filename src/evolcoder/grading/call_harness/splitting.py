r"""Splits a test into comparisons, each of a call with a value; a test of another form gives None.

Brackets and operators within strings and comments are ignored; each language defines the syntax of
these. Uses no other grammar. Takes linear time and never raises. There are three forms:

A sequence of assertions (`AssertForm`):

>>> call_end("f(g(1), ')') == 2", 0, C_LITERAL)
12

Calls and values that are passed to an assertion function, `assertEquals(call, value)`:

>>> C_LIKE.split_at('f("a,b", (1, 2)), 3')
['f("a,b", (1, 2))', '3']

Conditions: `f(1) == 2`, `!f(1)`, `abs(f(1) - 2) < 1e-6`. A rule describes the text around the
candidate's call, and the comparison that it amounts to:

>>> negated = Rule(before="!", after=r"\s*", call="!CALL", expected="true")
>>> Conditions((negated,)).split("int main() {", ["!f(1)"]).comparisons
(Comparison(call='!f(1)', expected='true', relation=''),)
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

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


_GAP = re.compile(r"(?:\s|//[^\n]*(?:\n|$)|/\*[\s\S]*?\*/)*")
"""White space and comments of C++, Java, JavaScript and Rust."""
_LITERALS = re.compile(r"[\s\[\]{},:.+!\w-]+")
"""Text of values that consist of literals, without strings."""
_NO_LITERAL = re.compile(r"(?<![\w.])(?!(?:true|false|vec)\b)[^\W\d]|!(?!\s*\[)")
"""Text that a value made of literals does not contain."""
_WORDS = re.compile("CALL|VALUE|WITHIN|TYPE")


class Rule(NamedTuple):
    """Parses one kind of condition into a comparison.

    In the templates `call` and `expected`, CALL is the candidate's call, TYPE is the name of a
    type, and VALUE and WITHIN are the regex groups of that name.
    """

    before: str
    """Regex of the text before the call."""
    after: str
    """Regex of the text after the call. Group `value`, here or in `before`, is the value."""
    call: str = "CALL"
    """Template of the expression that is serialised; it must not contain an expected value."""
    expected: str = "VALUE"
    """Template of the expected expression."""
    relation: str = ""
    """Relation of the comparison."""


class ParsedCondition(NamedTuple):
    """A parsed condition."""

    name: str
    """Name of the candidate's function."""
    comparison: Comparison
    """The comparison that the condition amounts to."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Parses the conditions of a language's tests."""

    rules: tuple[Rule, ...]
    """Rules, tried in order."""
    literal: re.Pattern[str] = C_LITERAL
    """A string, character or comment."""
    binds_less: str = r"&&|\|\||[?&|^,;]|[=!]=|\b(?:and|or|xor|bitand|bitor|not_eq)\b"
    """Operators that may not occur in a value outside of brackets."""
    names: str = r"\w+"
    """Regex of possible names of candidates; excludes functions that compute with their results."""

    def split(self, head: str, texts: Sequence[str], type_name: str = "") -> SplitTest | None:
        """Parse all conditions; None if one cannot be parsed or there are several functions.

        `type_name` replaces TYPE in templates.
        """
        found = [one for text in texts if (one := self._parse(text, type_name))]
        if not 0 < len(found) == len(texts) or len({one.name for one in found}) > 1:
            return None
        return SplitTest(head, tuple(one.comparison for one in found))

    def mentions(self, text: str, name: str) -> bool:
        """Whether a name occurs in a text outside of strings."""
        bare = self.literal.sub('""', text)
        return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", bare) is not None

    def _parse(self, text: str, type_name: str) -> ParsedCondition | None:
        for rule in self.rules:
            before = re.match(rule.before, text)
            end = call_end(text, before.end(), self.literal) if before else None
            after = re.compile(rule.after, re.DOTALL).fullmatch(text, end) if end else None
            if before is None or after is None:
                continue
            call = text[before.end() : end]
            name = call.partition("(")[0].strip()
            words = before.groupdict() | after.groupdict() | {"call": call, "type": type_name}
            if re.fullmatch(self.names, name) and self._is_value(words.get("value"), name):
                call, expected = (_fill(one, words) for one in (rule.call, rule.expected))
                return ParsedCondition(name, Comparison(call, expected, rule.relation))
            return None
        return None

    def _is_value(self, value: str | None, name: str) -> bool:
        form = AssertForm("", "", literal=self.literal, binds_less=self.binds_less)
        return value is None or form.is_value(value, name)


@dataclass(frozen=True, slots=True)
class BodyForm:
    """Tests that are one function of assertions and variables initialised with literals."""

    head: str
    """Regex of everything before the first statement."""
    begin: str
    """Template (of `re.Match.expand`) for the part of the head that calls need."""
    opening: str
    """Regex of an assertion's start, up to its opening parenthesis; conditions include it."""
    tail: str
    """Regex of everything after the last statement; NAME is the head's group `name`."""
    conditions: Conditions = field(repr=False)
    """Parses an assertion without its closing parenthesis."""
    variable: str = r"(?!)"
    """Regex of a declaration up to its value, with the group `name`."""
    ending: str = r"\s*;"
    """Regex of a statement's end."""
    block: str = ""
    """Template of an expression that runs the declaration DECLARED and evaluates to VALUE; empty if
    the language has none."""

    def split(self, test: str) -> SplitTest | None:
        """Split a test; None if it has other statements."""
        head = re.match(self.head, test)
        if head is None:
            return None
        texts, variables, place = self._statements(test, head.end())
        groups = head.groupdict()
        tail = self.tail.replace("NAME", re.escape(groups.get("name") or ""))
        names = [one["name"] for one in variables]
        if not re.compile(tail).fullmatch(test, place) or len(set(names)) < len(names):
            return None
        found = self.conditions.split(head.expand(self.begin), texts, groups.get("type") or "")
        for one in variables:
            found = self._with_variable(found, one) if found else None
        return found

    def _statements(self, test: str, place: int) -> tuple[list[str], list[re.Match[str]], int]:
        """Return conditions, declarations, and the end of the statements."""
        texts, variables = list[str](), list[re.Match[str]]()
        while True:
            place = _skip_gap(test, place)
            if (end := self._assertion_end(test, place)) is not None:
                texts.append(test[place:end].rpartition(")")[0])
            elif (declared := self._declaration(test, place)) is not None:
                variables.append(declared)
                end = declared.end()
            else:
                return texts, variables, place
            place = end

    def _with_variable(self, split: SplitTest, variable: re.Match[str]) -> SplitTest | None:
        """Declare a variable before the calls, or inside the values if only they use it.

        A call may change its arguments, so a variable that calls and values use makes it None.
        """
        name, text = variable["name"], f"{variable[0].rstrip(';')};"
        in_values = any(self.conditions.mentions(one.expected, name) for one in split.comparisons)
        if not in_values:
            return SplitTest(f"{split.head}    {text}\n", split.comparisons)
        if not self.block or any(
            self.conditions.mentions(one.call, name) for one in split.comparisons
        ):
            return None
        block = self.block.replace("DECLARED", text)
        return SplitTest(
            split.head,
            tuple(
                one._replace(expected=block.replace("VALUE", one.expected))
                if self.conditions.mentions(one.expected, name)
                else one
                for one in split.comparisons
            ),
        )

    def _assertion_end(self, test: str, place: int) -> int | None:
        """Return the end of the assertion that begins at `place`."""
        opened = re.compile(self.opening).match(test, place)
        close = closing_bracket(test, opened.end() - 1, self.conditions.literal) if opened else None
        ended = None if close is None else re.compile(self.ending).match(test, close + 1)
        return ended.end() if ended else None

    def _declaration(self, test: str, place: int) -> re.Match[str] | None:
        """Match a declaration at `place` whose value consists of literals."""
        form = rf"{self.variable}(?P<literals>[^;]*?){self.ending}"
        found = re.compile(form).match(test, place)
        bare = self.conditions.literal.sub("", found["literals"]) if found else ""
        is_plain = _LITERALS.fullmatch(bare) and not _NO_LITERAL.search(bare)
        return found if found and bare.strip() and is_plain else None


def _skip_gap(text: str, place: int) -> int:
    found = _GAP.match(text, place)
    return found.end() if found else place


def _fill(template: str, words: Mapping[str, str | None]) -> str:
    return _WORDS.sub(lambda word: words.get(word[0].lower()) or "", template)
