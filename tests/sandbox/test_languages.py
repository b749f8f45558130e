"""Every installed language runs correct programs, fails wrong ones, and is sealed."""

import re
from pathlib import Path

import pytest

from driver import held, usable
from evolcoder.errors import SandboxRefusedError
from evolcoder.grading.call_harness.registry import HARNESSES
from evolcoder.sandbox.base import Kind, Limits, Program, Separation, Status
from evolcoder.sandbox.inside.protocol import unpack_message
from evolcoder.sandbox.job import JobSpec, make_job
from evolcoder.sandbox.pool import LEVELS
from evolcoder.sandbox.toolchains import LANGUAGES, Toolchain, find, fingerprint
from groups import by_language

ROOMY = Limits(cpu_s=10, wall_s=30, memory_mb=1024, compile_s=90)
SUMS = {"php": "$a + $b", "perl": "$a + $b", "bash": "$1 + $2", "racket": "(+ a b)"}
BROKEN = {"bash": "if", "lua": "end end", "r": ")", "racket": ")", "ruby": "end end"}
COMPILED = {name for name, language in LANGUAGES.items() if language.compiler}


def _samples():
    text = Path(__file__).with_name("languages.txt").read_text(encoding="utf-8")
    for row in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, body = row.partition("\n")
        yield name, re.split(r"^--- \w+\n", body, flags=re.MULTILINE)


SAMPLES = dict(_samples())


@pytest.fixture(scope="module", params=LEVELS)
def polyglot(request):
    yield from held(request.param, languages=list(usable(request.param, SAMPLES)))


def verdict(polyglot, language, *, total=None, early=False, apart=False):
    source, test, ending = SAMPLES[language]
    polyglot.needs(language, source, test)
    prompt = source.partition("EARLY")[0].rstrip() + "\n"
    source = source.replace("EARLY", ending.strip() if early else "")
    source = source.replace("SUM", total or SUMS.get(language, "a + b"))
    if apart:
        return polyglot.grade_called(language, source, test, prompt=prompt, limits=ROOMY)
    return polyglot.grade_sealed(language, source, test, limits=ROOMY)


def test_every_language_has_a_sample():
    """Adding a language requires a sample here."""
    assert set(SAMPLES) == set(LANGUAGES)


@pytest.mark.parametrize("language", by_language(SAMPLES))
def test_a_right_program_passes(polyglot, language):
    """The seal confirms every check, and the verdict records the weaker separation."""
    found = verdict(polyglot, language)
    assert found.kind is Kind.PASSED, (found, found.execution.stdout, found.execution.stderr)
    assert found.separation is Separation.TOKEN


@pytest.mark.parametrize("language", by_language(SAMPLES))
def test_what_is_called_missing_is(polyglot, language):
    """A sample that runs without its declared requirement was skipped needlessly."""
    source, test, _ = SAMPLES[language]
    if language in polyglot.sandbox._tools and polyglot.lacking(language, source, test):
        source = source.replace("EARLY", "").replace("SUM", SUMS.get(language, "a + b"))
        assert not polyglot.grade_sealed(language, source, test, limits=ROOMY).passed


@pytest.mark.parametrize("language", by_language(HARNESSES))
def test_a_right_program_passes_by_calls(polyglot, language):
    """The comparison runs outside, the verdict records it, and every check has an outcome."""
    found = verdict(polyglot, language, apart=True)
    assert found.kind is Kind.PASSED, (found, found.execution.stdout, found.execution.stderr)
    assert (found.separation, found.outcomes) == (Separation.PARENT, (True, True))


@pytest.mark.parametrize("language", by_language(HARNESSES))
def test_a_wrong_program_fails_by_calls(polyglot, language):
    """The first failed check is reported with its number, expected and actual values."""
    found = verdict(polyglot, language, total="3", apart=True)
    assert (found.kind, found.check, found.outcomes) == (Kind.FAILED, 1, (True, False)), found
    assert ("3" in found.got, "4" in found.expected) == (True, True)


@pytest.mark.parametrize("language", by_language(HARNESSES))
def test_ending_early_by_calls_does_not_pass(polyglot, language):
    """Exit code 0 without a line for every call counts as forged."""
    found = verdict(polyglot, language, early=True, apart=True)
    assert found.kind is Kind.FORGED, (found, found.execution.stdout, found.execution.stderr)


@pytest.mark.parametrize("language", by_language(SAMPLES))
def test_a_wrong_program_fails(polyglot, language):
    """A wrong sum never passes."""
    assert not verdict(polyglot, language, total="7").passed


@pytest.mark.parametrize("language", by_language(SAMPLES))
def test_ending_early_with_exit_code_0_does_not_pass(polyglot, language):
    """Exit code 0 without the token counts as forged; Lua's test library makes it an error."""
    found = verdict(polyglot, language, early=True)
    wanted = Kind.ERROR if language == "lua" else Kind.FORGED
    assert found.kind is wanted, (found, found.execution.stdout, found.execution.stderr)


@pytest.mark.parametrize("language", by_language(SAMPLES))
def test_what_does_not_compile_does_not_pass(polyglot, language):
    """Invalid source is a compile error with a compiler and an error otherwise.

    A shell continues after it and answers wrongly.
    """
    found = verdict(polyglot, language, total=BROKEN.get(language, "((("))
    wanted = Kind.COMPILE_ERROR if language in COMPILED else Kind.ERROR
    wanted = Kind.FAILED if language == "bash" else wanted
    assert found.kind is wanted, (found, found.execution.stdout, found.execution.stderr)


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("java", "class Problem {\n  class Cell { }\n  static void main(String[] a) { }\n}"),
        ("java", "class Problem {\n  // a class (or two)\n  static void main(String[] a) { }\n}"),
        (
            "java",
            "class Other { }\npublic final class Problem { static void main(String[] a) { } }",
        ),
        ("java", "class Problem { static void main(String[] a) { } }\nclass Other { }"),
        ("scala", "object Other { }\nobject Problem { def main(a: Array[String]) = { } }"),
        ("scala", "// an object of sums\nobject Problem { def main(a: Array[String]) = { } }"),
    ],
)
def test_the_class_that_has_main_is_found(language, source):
    """Nested and other classes and comments do not mislead the search."""
    assert LANGUAGES[language].resolve_command(("MAIN",), source) == ("Problem",)


@pytest.mark.toolchains
def test_compiling_takes_none_of_the_programs_time(polyglot):
    """Compile time is reported separately and does not count against the program's limits."""
    polyglot.needs("cpp")
    limits = Limits(cpu_s=0.5, wall_s=0.5, compile_s=60)
    source = '#include <regex>\n#include <iostream>\nint main() { std::cout << "ok"; }'
    execution = polyglot.run(Program("cpp", source), limits)
    assert (execution.status, execution.stdout) == (Status.FINISHED, b"ok")
    assert execution.compile_s > execution.wall_s


def test_a_compiler_that_does_not_end_is_a_compile_error(polyglot):
    """The compiler has its own time limit."""
    polyglot.needs("cpp")
    execution = polyglot.run(Program("cpp", '#include "/dev/zero"\n'), Limits(compile_s=1))
    assert execution.status is Status.COMPILE_ERROR


def test_what_a_languages_own_tools_write_is_beyond_a_programs_limits():
    """Files of Julia's code and Go's library fit within the file limit and its memory."""
    for name, least in (("julia", 128), ("go", 256), ("rust", 1)):
        toolchain = Toolchain(LANGUAGES[name], (), ("run",), (), ())
        order = JobSpec.of(Program(name, ""), Limits(memory_mb=100, file_mb=1), toolchain)
        limits, _ = unpack_message(make_job(order).message)
        assert unpack_message(limits)["run"]["bound"] == (100 + least) << 20


@pytest.mark.toolchains
def test_a_go_program_with_a_main_function_is_run_by_it(polyglot):
    """`go test` would compile it, run nothing and exit with code 0."""
    polyglot.needs("go")
    source = 'package main\nimport "fmt"\nfunc main() { fmt.Print("ok") }'
    execution = polyglot.run(Program("go", source), ROOMY)
    assert (execution.status, execution.stdout) == (Status.FINISHED, b"ok"), execution.stderr


def test_other_tools_have_another_fingerprint(tmp_path, monkeypatch):
    """The fingerprint changes with the compiler and is empty without one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert fingerprint("cpp") == fingerprint("no language") == ""
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    before = fingerprint("cpp")
    compiler.write_text("#!/bin/sh\nexit 1\n")
    assert "" != before != fingerprint("cpp")


@pytest.mark.parametrize("says", ["exit 1", "echo", "echo relative", "echo /none"])
def test_a_rustup_without_a_toolchain_is_no_compiler(tmp_path, monkeypatch, says):
    """It never becomes the current folder, which programs could read; others still run."""
    rustup = tmp_path / "rustup"
    rustup.write_text(f"#!/bin/sh\n{says}\n")
    rustup.chmod(0o755)
    (tmp_path / "rustc").symlink_to(rustup)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxRefusedError, match="rustup's and finds no toolchain"):
        find("rust")
