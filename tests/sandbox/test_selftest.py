"""The self-test finds what works and attributes every failure correctly."""

import asyncio
from dataclasses import replace

import pytest

from bash_bench import bash_with, part
from evolcoder.errors import SandboxError
from evolcoder.sandbox import selftest
from evolcoder.sandbox.requirements import PROBES
from evolcoder.sandbox.selftest import SelftestState, check, find_tools
from evolcoder.sandbox.toolchains import LANGUAGES


class Failing:
    """A sandbox that cannot run anything."""

    async def run(self, program, limits):
        raise SandboxError("a worker ended: it left no message")

    async def aclose(self):
        pass


@pytest.fixture
def path(tmp_path, monkeypatch):
    """An initially empty PATH; bubblewrap comes from the Python package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_every_language_has_probes():
    """Every language has a printing and an endless program."""
    assert set(PROBES) == {"python", *LANGUAGES}


def test_a_failing_sandbox_is_never_the_languages_failure():
    """A sandbox failure is reported as such, not as the language's."""
    found = asyncio.run(selftest._check_one(Failing(), find_tools("python")))
    assert (found.state, found.run_s) == (SelftestState.SANDBOX_FAILED, None)
    assert "a worker ended" in found.detail


def test_a_language_that_takes_too_long_is_given_up(monkeypatch):
    """Each language has a time limit, and other findings are kept."""
    monkeypatch.setattr(selftest, "LONGEST_S", 0.05)
    found = asyncio.run(check(("python",), level="strict"))
    assert found.of("python").state is SelftestState.TOO_SLOW
    assert found.refused == ""


def test_tools_that_do_not_work_are_found_out(path):
    """A `ruby` that only exits with code 1 is installed but does not work."""
    (path / "ruby").symlink_to("/usr/bin/false")
    found = asyncio.run(check(("ruby", "perl"), level="strict"))
    assert found.of("ruby").state is SelftestState.FAILS
    assert "a program that prints 42 ended as finished with exit code 1" in found.of("ruby").detail
    assert found.of("perl").state is SelftestState.MISSING


def test_what_tests_need_is_run_and_named(monkeypatch):
    """A language that lacks a library for benchmark tests is incomplete."""
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=False)))
    found = asyncio.run(check(("bash",), level="strict")).of("bash")
    assert (found.state, found.lacks) == (SelftestState.INCOMPLETE, ("part",))
    assert found.detail == "part not found; install bash-part"
    assert found.ended_s is not None
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=True)))
    found = asyncio.run(check(("bash",), level="strict")).of("bash")
    assert (found.state, found.lacks, found.detail) == (SelftestState.WORKS, (), "")


def test_a_part_that_no_program_can_do_without_is_named(monkeypatch):
    """A compiler without its C library fails, and the detail begins with the reason."""
    said = "echo 'stdio.h: No such file' >&2; exit 1"
    headers = replace(part(is_here=False), program=said, error_pattern="stdio")
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(headers))
    monkeypatch.setitem(PROBES, "bash", (said, "while :; do :; done"))
    found = asyncio.run(check(("bash",), level="strict")).of("bash")
    assert (found.state, found.lacks) == (SelftestState.FAILS, ("part",))
    assert found.detail == (
        "part not found; install bash-part; "
        "a program that prints 42 ended as finished with exit code 1: stdio.h: No such file"
    )


def test_a_time_limit_that_does_not_act_is_found_out(monkeypatch):
    """An endless program that ends shows that the time limit was not tested."""
    monkeypatch.setitem(PROBES, "python", ("print(42)", "pass"))
    found = asyncio.run(check(("python",), level="strict")).of("python")
    assert found.state is SelftestState.FAILS
    assert found.detail.startswith("a program without end ended as finished")
