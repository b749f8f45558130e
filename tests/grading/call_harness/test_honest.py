"""A correct program's own definitions and output do not interfere with the harness."""

import re
from pathlib import Path

import pytest

from driver import held, usable
from evolcoder.sandbox.base import Kind, Limits, Separation
from groups import by_language

HERE = Path(__file__).parent
ROOMY = Limits(cpu_s=20, wall_s=60, compile_s=240)


def sections(path):
    text = path.read_text(encoding="utf-8")
    _, *parts = re.split(r"^=== (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


PROGRAMS = [
    (language, program)
    for language, body in sections(HERE / "honest.txt").items()
    for program in re.split(r"^---\n", body, flags=re.MULTILINE)
]
SAMPLES = {
    language: re.split(r"^--- \w+\n", body, flags=re.MULTILINE)
    for language, body in sections(HERE.parents[1] / "sandbox" / "languages.txt").items()
}


@pytest.fixture(scope="module")
def polyglot():
    languages = list(usable("strict", dict.fromkeys(language for language, _ in PROGRAMS)))
    yield from held("strict", languages=languages)


@pytest.mark.parametrize(("language", "program"), by_language(PROGRAMS, lambda pair: pair[0]))
def test_a_right_program_passes_whatever_it_defines(polyglot, language, program):
    """By calls, with comparison in this process."""
    polyglot.needs(language, program)
    source, test, _ = SAMPLES[language]
    prompt = source.partition("EARLY")[0].rstrip() + "\n"
    found = polyglot.grade_called(language, program, test, prompt=prompt, limits=ROOMY)
    told = (found, found.execution.stderr.decode("utf-8", "replace"))
    assert (found.kind, found.separation) == (Kind.PASSED, Separation.PARENT), told


ENDINGS = {
    "bash": "exit 0",
    "cpp": 'throw std::runtime_error("oh");',
    "csharp": 'throw new Exception("oh");',
    "d": 'throw new Exception("oh");',
    "go": 'panic("oh")',
    "java": 'if (a > 0) throw new RuntimeException("oh");',
    "javascript": 'throw new Error("oh");',
    "julia": 'error("oh")',
    "lua": 'error("oh")',
    "perl": 'die "oh";',
    "php": 'throw new Exception("oh");',
    "r": 'stop("oh")',
    "racket": '(error "oh")',
    "ruby": 'raise "oh"',
    "rust": 'panic!("oh");',
    "scala": 'throw new Exception("oh")',
    "typescript": 'throw new Error("oh");',
    "swift": 'fatalError("oh")',
}


@pytest.mark.parametrize("language", by_language(ENDINGS))
def test_a_call_that_raises_is_reported_with_its_number(polyglot, language):
    """Lines before it count, its message is shown, and the verdict is an error."""
    polyglot.needs(language)
    source, test, _ = SAMPLES[language]
    prompt = source.partition("EARLY")[0].rstrip() + "\n"
    program = source.replace("EARLY", ENDINGS[language])
    program = program.replace("SUM", {"perl": "$a", "bash": "$1", "php": "$a"}.get(language, "a"))
    found = polyglot.grade_called(language, program, test, prompt=prompt, limits=ROOMY)
    if language == "bash":
        assert (found.kind, found.outcomes) == (Kind.FORGED, ())
    else:
        assert (found.kind, found.check, found.outcomes) == (Kind.ERROR, 0, ()), found
        assert b"oh" in found.execution.stderr
