"""Lines are equal exactly if the language's own test says that the values are.

Every value that a candidate may return is compared with every value that a test may expect, by one
program in the language itself and by the harness.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from driver import held, usable
from evolcoder.grading.call_harness.base import Comparison, SplitTest
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.sandbox.base import Limits, Program, Script, Status
from groups import by_language

ROOMY = Limits(cpu_s=30, wall_s=90, compile_s=240)


@dataclass(frozen=True)
class Relations:
    """The section of relations.txt for a language."""

    parts: dict

    @property
    def wanted(self):
        return self.parts["both"].splitlines()

    @property
    def returned(self):
        return self.parts["got"].splitlines() + self.wanted

    def naive(self):
        pairs = [
            self.parts.get("pair", "").replace("GOT", got).replace("WANT", want)
            for got in self.returned
            for want in self.wanted
        ]
        program = self.parts["program"].replace("PAIRS", "".join(pairs))
        program = program.replace("GOTS", ",\n".join(self.returned))
        return program.replace("WANTS", ",\n".join(self.wanted))

    def candidate(self):
        cases = [
            self.parts["case"].replace("NUMBER", str(number)).replace("GOT", got)
            for number, got in enumerate(self.returned)
        ]
        return self.parts["candidate"].replace("VALUES", "".join(cases))

    def test(self, values):
        relation = self.parts.get("relation", "").strip()
        calls = [self.parts["call"].strip().replace("NUMBER", str(n)) for n in range(len(values))]
        pairs = zip(calls, values, strict=True)
        comparisons = tuple(Comparison(call, value, relation) for call, value in pairs)
        return SplitTest(self.parts["head"].strip(), comparisons)


def read():
    text = Path(__file__).with_name("relations.txt").read_text(encoding="utf-8")
    _, *sections = re.split(r"^=== (\w+)\n", text, flags=re.MULTILINE)
    for language, body in zip(sections[::2], sections[1::2], strict=True):
        _, *parts = re.split(r"^--- (\w+)\n", body, flags=re.MULTILINE)
        yield language, Relations(dict(zip(parts[::2], parts[1::2], strict=True)))


RELATIONS = dict(read())


@pytest.fixture(scope="module")
def polyglot():
    yield from held("strict", languages=list(usable("strict", RELATIONS)))


def answers(polyglot, language, source):
    execution = polyglot.run(Program(language, source, Script(hidden=True)), ROOMY)
    ended = (execution.status, execution.exit_code)
    assert ended == (Status.FINISHED, 0), execution.stderr.decode("utf-8", "replace")
    return execution.answers


@pytest.mark.parametrize("language", by_language(RELATIONS))
def test_lines_are_equal_if_the_language_says_so(polyglot, language):
    """For every pair of values, a result and an expected one."""
    polyglot.needs(language, RELATIONS[language].naive())
    harness, relations = HARNESSES[language], RELATIONS[language]
    calling = harness.calling_program(relations.candidate(), relations.test(relations.returned))
    prompt = relations.parts.get("prompt", "")
    expecting = harness.expected_program(prompt, relations.test(relations.wanted))
    got = answers(polyglot, language, calling).split(b"\n")[:-1]
    want = answers(polyglot, language, expecting).split(b"\n")[:-1]
    assert (len(got), len(want)) == (len(relations.returned), len(relations.wanted))
    own = iter(answers(polyglot, language, relations.naive()).decode())
    wrong = [
        f"{value} and {wanted} are {'' if holds == '1' else 'not '}equal: {line} {other}"
        for value, line in zip(relations.returned, got, strict=True)
        for wanted, other in zip(relations.wanted, want, strict=True)
        if harness.same(line, other) != ((holds := next(own)) == "1")
    ]
    assert wrong == []
