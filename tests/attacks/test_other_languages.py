"""Exit codes and tokens cannot be forged in the languages that models write most."""

import re
from pathlib import Path

import pytest

from driver import held, usable
from evolcoder.sandbox.base import Limits, Program
from evolcoder.sandbox.pool import LEVELS
from groups import in_cpp

HERE = Path(__file__).parent
ROOMY = Limits(cpu_s=10, wall_s=30, compile_s=90)


def sections(path):
    text = path.read_text(encoding="utf-8")
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        yield name, body


SAMPLES = dict(sections(HERE.parent / "sandbox" / "languages.txt"))


def rows():
    for language, body in sections(HERE / "other_languages.txt"):
        for line in re.sub(r"\n#", "\0#", body).splitlines():
            yield language, line.replace("\0", "\n")


ROWS = list(rows())


@pytest.fixture(scope="module", params=LEVELS)
def polyglot(request):
    languages = dict.fromkeys(name for name, _ in ROWS)
    yield from held(request.param, languages=list(usable(request.param, languages)))


at_strict = pytest.mark.parametrize("polyglot", ["strict"], indirect=True)
"""Where naive graders judge: to see that an attack is one, one level is enough."""


def forged(polyglot, language, statement):
    candidate, test, _ = re.split(r"^--- \w+\n", SAMPLES[language], flags=re.MULTILINE)
    polyglot.needs(language, candidate, test)
    top = statement.removeprefix("TOP ") + "\n" if statement.startswith("TOP ") else ""
    candidate = candidate.replace("EARLY", "" if top else statement).replace("SUM", "7")
    return top + candidate, test


@at_strict
@pytest.mark.parametrize(("language", "statement"), in_cpp(ROWS))
def test_exit_code_0_can_be_had_for_a_wrong_program(polyglot, language, statement):
    """Every row deceives a grader that looks at the exit code."""
    source = "\n".join(forged(polyglot, language, statement))
    execution = polyglot.run(Program(language, source), ROOMY)
    assert execution.exit_code == 0, (execution.stdout, execution.stderr)


@pytest.mark.parametrize(("language", "statement"), in_cpp(ROWS))
def test_the_seal_is_not_forged(polyglot, language, statement):
    """No row passes where a token and a count of checks have to come."""
    verdict = polyglot.grade_sealed(language, *forged(polyglot, language, statement), limits=ROOMY)
    assert not verdict.passed, (verdict, verdict.execution.answers)
