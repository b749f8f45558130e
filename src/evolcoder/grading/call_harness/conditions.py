r"""Splits tests that assert conditions: `f(1) == 2`, `!f(1)`, `abs(f(1) - 2) < 1e-6`.

A rule describes the text around the candidate's call, and the comparison that it amounts to. Never
raises; takes linear time. A condition that matches no rule makes the result None.

>>> negated = Rule(before="!", after=r"\s*", call="!CALL", expected="true")
>>> Conditions((negated,)).split("int main() {", ["!f(1)"]).comparisons
(Comparison(call='!f(1)', expected='true', relation=''),)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evolcoder.grading.call_harness.base import Comparison, SplitTest
from evolcoder.grading.call_harness.scan import C_LITERAL, AssertForm, call_end, closing_bracket

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
