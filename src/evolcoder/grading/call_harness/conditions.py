r"""Take a test apart that wants conditions to hold: `f(1) == 2`, `!f(1)`, `abs(f(1) - 2) < 1e-6`.

A rule says what stands around the candidate's call, and what is then compared with what. Never
raises; takes time that grows with the text's length alone; what no rule reads gives None.

>>> negated = Rule(before="!", after=r"\s*", call="!CALL", expected="true")
>>> Conditions((negated,)).split("int main() {", ["!f(1)"]).comparisons
(Comparison(call='!f(1)', expected='true', relation=''),)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evolcoder.grading.call_harness.base import Comparison, SplitTest
from evolcoder.grading.call_harness.scan import C_LITERAL, TestForm, call_end, closing

_GAP = re.compile(r"(?:\s|//[^\n]*(?:\n|$)|/\*[\s\S]*?\*/)*")
"""White space and comments of C++, Java, JavaScript and Rust."""
_LITERALS = re.compile(r"[\s\[\]{},:.+!\w-]+")
"""What values of literals are made of, once strings are left out."""
_NO_LITERAL = re.compile(r"(?<![\w.])(?!(?:true|false|vec)\b)[^\W\d]|!(?!\s*\[)")
"""What shows that a value is not made of literals alone."""
_WORDS = re.compile("CALL|VALUE|WITHIN|TYPE")


class Rule(NamedTuple):
    """How one kind of condition is read, and what becomes of it.

    CALL in `call` is the candidate's call, and other words in capitals in `expected` are the groups
    of that name.
    """

    before: str
    """Regex of what stands before the call."""
    after: str
    """Regex of all that stands behind it; the group `value`, here or before, is compared with."""
    call: str = "CALL"
    """What is serialised; no value that is expected may be part of it."""
    expected: str = "VALUE"
    """What it is compared with."""
    relation: str = ""
    """How."""


class Read(NamedTuple):
    """A condition that has been read."""

    name: str
    """What the candidate is called."""
    comparison: Comparison
    """What is left to be compared."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions that tests of a language consist of."""

    rules: tuple[Rule, ...]
    """Tried in order."""
    literal: re.Pattern[str] = C_LITERAL
    """A string, character or comment."""
    binds_less: str = r"&&|\|\||[?&|^,;]|[=!]=|\b(?:and|or|xor|bitand|bitor|not_eq)\b"
    """What makes a value more than one operand where it stands in no bracket."""
    names: str = r"\w+"
    """Regex of what a candidate may be called, and nothing that computes with its results."""

    def split(self, head: str, texts: Sequence[str], type_name: str = "") -> SplitTest | None:
        """Read all conditions; one that cannot be read, or a second function, makes it None.

        The name of a type, if a test has one, stands for TYPE.
        """
        found = [one for text in texts if (one := self._read(text, type_name))]
        if not 0 < len(found) == len(texts) or len({one.name for one in found}) > 1:
            return None
        return SplitTest(head, tuple(one.comparison for one in found))

    def mentions(self, text: str, name: str) -> bool:
        """Tell whether a name stands in a text outside of strings."""
        bare = self.literal.sub('""', text)
        return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", bare) is not None

    def _read(self, text: str, type_name: str) -> Read | None:
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
                call, expected = (_filled(one, words) for one in (rule.call, rule.expected))
                return Read(name, Comparison(call, expected, rule.relation))
            return None
        return None

    def _is_value(self, value: str | None, name: str) -> bool:
        form = TestForm("", "", literal=self.literal, binds_less=self.binds_less)
        return value is None or form.is_value(value, name)


@dataclass(frozen=True, slots=True)
class BodyForm:
    """Tests that are one function of assertions and of variables made from literals."""

    head: str
    """Regex of all that stands before the first statement."""
    begin: str
    """Template of `re.Match.expand` for what of it is needed by the calls."""
    opening: str
    """Regex that begins an assertion, up to its opening parenthesis; conditions include it."""
    tail: str
    """Regex of all that stands behind the last statement; NAME is the head's group `name`."""
    conditions: Conditions = field(repr=False)
    """Reads an assertion without its closing parenthesis."""
    variable: str = r"(?!)"
    """Regex of a declaration up to its value, with the group `name`."""
    ending: str = r"\s*;"
    """What ends a statement."""
    block: str = ""
    """An expression that declares a variable, DECLARED, and is VALUE; empty where there is none."""

    def split(self, test: str) -> SplitTest | None:
        """Take a test apart; other statements make it None."""
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
            found = self._declared(found, one) if found else None
        return found

    def _statements(self, test: str, place: int) -> tuple[list[str], list[re.Match[str]], int]:
        """Return conditions, declarations, and where the statements end."""
        texts, variables = list[str](), list[re.Match[str]]()
        while True:
            place = _after_gap(test, place)
            if (end := self._assertion(test, place)) is not None:
                texts.append(test[place:end].rpartition(")")[0])
            elif (declared := self._declaration(test, place)) is not None:
                variables.append(declared)
                end = declared.end()
            else:
                return texts, variables, place
            place = end

    def _declared(self, split: SplitTest, variable: re.Match[str]) -> SplitTest | None:
        """Put a variable before the calls, or into the values where they alone mention it.

        What calls are given may be changed by them, so that no value can be compared with it.
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

    def _assertion(self, test: str, place: int) -> int | None:
        """Return where the assertion ends that begins at a place."""
        opened = re.compile(self.opening).match(test, place)
        close = closing(test, opened.end() - 1, self.conditions.literal) if opened else None
        ended = None if close is None else re.compile(self.ending).match(test, close + 1)
        return ended.end() if ended else None

    def _declaration(self, test: str, place: int) -> re.Match[str] | None:
        """Find a variable that is declared at a place, with a value of literals alone."""
        form = rf"{self.variable}(?P<literals>[^;]*?){self.ending}"
        found = re.compile(form).match(test, place)
        bare = self.conditions.literal.sub("", found["literals"]) if found else ""
        is_plain = _LITERALS.fullmatch(bare) and not _NO_LITERAL.search(bare)
        return found if found and bare.strip() and is_plain else None


def _after_gap(text: str, place: int) -> int:
    found = _GAP.match(text, place)
    return found.end() if found else place


def _filled(template: str, words: Mapping[str, str | None]) -> str:
    return _WORDS.sub(lambda word: words.get(word[0].lower()) or "", template)
