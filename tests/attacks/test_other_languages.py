"""Exit codes and tokens cannot be forged in the languages that models write most."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from driver import held, program_test, usable
from evolcoder.grading.sealed import grade_program
from evolcoder.sandbox.base import Limits, Program, Separation
from evolcoder.sandbox.pool import LEVELS
from groups import by_language, in_cpp

HERE = Path(__file__).parent
ROOMY = Limits(cpu_s=10, wall_s=30, compile_s=90)


def sections(path):
    text = path.read_text(encoding="utf-8")
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        yield name, body


SUMS = {"bash": "$1 + $2", "perl": "$a + $b", "php": "$a + $b", "racket": "(+ a b)"}
SAMPLES = dict(sections(HERE.parent / "sandbox" / "languages.txt"))


TRANSFORMED = {
    "csharp": (
        "Main(string[] args) {",
        "Main(string[] args) { System.Diagnostics.Trace.Listeners.Add(LISTENER);".replace(
            "LISTENER", "new System.Diagnostics.ConsoleTraceListener(true)"
        ),
    )
}
"""Text of a test -> what graders put in its place: C#'s assertions only speak to listeners."""
COMPLAINTS = {"csharp": rb"Fail:", "racket": rb"(?m)^(?:FAILURE|ERROR)"}
"""What graders look for on standard error where a failed check does not change the exit code."""


@dataclass(frozen=True)
class Row:
    language: str
    statement: str

    def __str__(self):
        return f"{self.language}-{self.statement}"

    def forged(self):
        """The program that is wrong, and the test."""
        candidate, test, _ = re.split(r"^--- \w+\n", SAMPLES[self.language], flags=re.MULTILINE)
        place, _, text = self.statement.partition(" ")
        if place == "TOP":
            candidate = f"{text}\n{candidate}"
        if place == "SUM":
            candidate = candidate.replace("SUM", text)
        if place == "END":
            candidate += text.replace("\\n", "\n") + "\n"
        early = "" if place in {"TOP", "SUM", "END"} else self.statement
        return candidate.replace("EARLY", early).replace("SUM", "7"), test


def right_program(language):
    return Row(language, "").forged()[0].replace("7", SUMS.get(language, "a + b"))


def rows(name):
    for language, body in sections(HERE / name):
        for line in re.sub(r"\n#", "\0#", body).splitlines():
            yield Row(language, line.replace("\0", "\n"))


ROWS = list(rows("other_languages.txt"))
CRASHES = list(rows("crashes.txt"))


@pytest.fixture(scope="module", params=LEVELS)
def polyglot(request):
    languages = dict.fromkeys(row.language for row in ROWS)
    yield from held(request.param, languages=list(usable(request.param, languages)))


at_strict = pytest.mark.parametrize("polyglot", ["strict"], indirect=True)
"""Where naive graders judge: to see that an attack is one, one level is enough."""


def naively_passed(polyglot, row, source=None):
    """What a grader says that looks at the exit code, and where that says nothing, at stderr."""
    candidate, test = row.forged()
    test = test.replace(*TRANSFORMED.get(row.language, ("", "")))
    program = Program(row.language, f"{source or candidate}\n{test}")
    execution = polyglot.run(program, ROOMY)
    complains = re.search(COMPLAINTS.get(row.language, rb"(?!)"), execution.stderr)
    return execution.exit_code == 0 and not complains, execution.stderr


@at_strict
@pytest.mark.parametrize("row", in_cpp(ROWS), ids=str)
def test_a_wrong_program_deceives_a_naive_grader(polyglot, row):
    """Every row passes where candidate and test are one program whose exit code is believed."""
    polyglot.needs(row.language, *row.forged())
    passed, told = naively_passed(polyglot, row)
    assert passed, told


@at_strict
@pytest.mark.parametrize("language", by_language(dict.fromkeys(row.language for row in ROWS)))
def test_a_naive_grader_of_a_language_is_no_fool(polyglot, language):
    """Without a trick it refuses what is wrong and accepts what is right."""
    plain = Row(language, "")
    polyglot.needs(language, *plain.forged())
    assert not naively_passed(polyglot, plain)[0]
    assert naively_passed(polyglot, plain, right_program(language))[0]


@pytest.mark.parametrize("row", in_cpp(ROWS), ids=str)
def test_the_seal_is_not_forged(polyglot, row):
    """No row passes where a token and a count of checks have to come."""
    polyglot.needs(row.language, *row.forged())
    verdict = polyglot.grade_sealed(row.language, *row.forged(), limits=ROOMY)
    assert not verdict.passed, (verdict, verdict.execution.answers)


@pytest.fixture(scope="module")
def called(polyglot):
    """Grades sources of a language by calls; what its sample's test expects is serialised once."""

    @cache
    def made(language):
        source, test, _ = re.split(r"^--- \w+\n", SAMPLES[language], flags=re.MULTILINE)
        prompt = source.partition("EARLY")[0].rstrip() + "\n"
        return polyglot.runner.run(program_test(polyglot.sandbox, language, prompt, test))

    return lambda language, source: polyglot.grade(
        grade_program, source, made(language), limits=ROOMY
    )


@pytest.mark.parametrize("row", in_cpp(ROWS), ids=str)
def test_calls_are_not_forged(polyglot, called, row):
    """No row passes where what is expected never enters the candidate's process."""
    polyglot.needs(row.language, row.forged()[0])
    verdict = called(row.language, row.forged()[0])
    assert verdict.separation is Separation.PARENT
    assert not verdict.passed, (verdict, verdict.execution.answers)


@at_strict
@pytest.mark.attacks
@pytest.mark.parametrize("row", CRASHES, ids=str)
def test_a_crash_is_a_verdict(polyglot, called, row):
    """It is no pass, and the next program is judged."""
    polyglot.needs(row.language, row.forged()[0])
    assert not called(row.language, row.forged()[0]).passed
    assert called(row.language, right_program(row.language)).passed
