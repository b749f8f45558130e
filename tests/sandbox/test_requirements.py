"""Missing requirements are found by running programs, and named with their packages.

The case: the tools are installed, but a library for programs or tests is not. A library is removed
by a probe that cannot load it, so the tests work on complete and on bare machines.
"""

import asyncio
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bash_bench import bash_with, part
from driver import held
from evolcoder.errors import SandboxError
from evolcoder.sandbox import requirements as module
from evolcoder.sandbox.base import Limits, Program, Sealed
from evolcoder.sandbox.language import Requirement
from evolcoder.sandbox.requirements import (
    PROBES,
    CheckedSandbox,
    MissingRequirement,
    Requirements,
    invalid_source,
)
from evolcoder.sandbox.toolchains import LANGUAGES, parse_offers
from groups import by_language

NEEDING = {
    "bash": ("echo '1 + 1' | bc", "x=$(rev <<< abc)"),
    "cpp": ("#include<bits/stdc++.h>\n#include<assert.h>\n",),
    "java": ("import org.javatuples.*;", "org.javatuples.Pair<Long, Long> x;"),
    "javascript": ("const assert = require('node:assert');",),
    "julia": ("end\n\nusing Test\n",),
    "lua": ("lu = require('luaunit')",),
    "perl": ("use Test::Deep;",),
    "php": ("<?php echo mb_strlen($x);", "<?php ctype_alpha ($x);", "<?php iconv('a', 'b', $x);"),
    "racket": ("(require rackunit)",),
    "ruby": ("require 'test/unit'", 'require "test/unit/assertions"'),
    "typescript": ("const assert = require('node:assert');",),
}
"""Sources that cannot do without a part that others can do without."""
PLAIN = {
    "bash": 'abc() { echo "bc"; }\n# rev\n[[ $(abc) = bc ]]',
    "java": "import java.util.*; // javatuples are not used\nclass A { }",
    "php": "<?php echo strlen($x); // not mb",
    "ruby": "puts 'test'",
}


class Counting:
    """A sandbox that counts its programs and may fail."""

    def __init__(self, sandbox=None, n_failures=0):
        self.sandbox = sandbox
        self.n_failures = n_failures
        self.programs = []

    async def run(self, program, limits):
        self.programs.append(program)
        await asyncio.sleep(0)
        if self.n_failures:
            self.n_failures -= 1
            raise SandboxError("a worker ended")
        return await self.sandbox.run(program, limits)

    async def aclose(self):
        pass


@pytest.fixture(scope="module")
def bash():
    yield from held("strict", languages=["bash"])


def without(monkeypatch, language, **changes):
    """Give a language one requirement that no machine meets."""
    one = Requirement("no such part", invalid_source(language), "some-package")
    changed = replace(LANGUAGES[language], requirements=(replace(one, **changes),))
    monkeypatch.setitem(LANGUAGES, language, changed)


def names_of(requirement):
    return {name for way in parse_offers(requirement.package) for name in way.names}


def missing(driver, language):
    return driver.runner.run(Requirements(driver.sandbox).missing(language))


def test_every_language_declares_what_its_tests_need():
    """A language without requirements would be considered complete."""
    assert [name for name, language in LANGUAGES.items() if not language.requirements] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_required_is_what_is_installed(language):
    """Every package besides the tools' own belongs to a requirement, and vice versa."""
    required = {name for one in LANGUAGES[language].requirements for name in names_of(one)}
    ways = {name: parse_offers(one.package) for name, one in LANGUAGES.items()}
    assert required <= {name for every in ways.values() for way in every for name in way.names}
    assert {name for way in ways[language] for name in way.names[1:]} <= required


@pytest.mark.parametrize(
    "language", by_language(["bash", "c", "java", "javascript", "perl", "rust"])
)
def test_a_missing_part_is_named_with_its_package(polyglot, monkeypatch, language):
    """If one probe fails and the tools work, only its requirement is missing."""
    polyglot.needs(language)
    without(monkeypatch, language)
    (found,) = missing(polyglot, language)
    assert str(found) == f"{language}: no such part not found; install some-package"
    assert found.reason == "needs no such part (install some-package)"
    assert not found.stops_all


def test_tools_that_run_nothing_are_distinguished_from_a_missing_library(bash, monkeypatch):
    """If no program runs, only the tools' error output identifies a requirement."""
    failing = "echo 'stdio.h: No such file' >&2; exit 1"
    monkeypatch.setitem(PROBES, "bash", (failing, "while :; do :; done"))
    without(monkeypatch, "bash", program=failing, error_pattern=r"stdio\.h: No such")
    (named,) = missing(bash, "bash")
    assert (named.name, named.stops_all, named.tool_message) == (
        "no such part",
        True,
        "stdio.h: No such file",
    )
    without(monkeypatch, "bash", program=failing, error_pattern="other words")
    (unnamed,) = missing(bash, "bash")
    assert (
        str(unnamed)
        == "bash: its tools do not work here (stdio.h: No such file); see evolcoder doctor"
    )
    assert unnamed.concerns("echo 1")


@pytest.mark.parametrize("program", ["while :; do :; done", "sleep 60", "yes"])
def test_what_could_not_be_found_out_is_no_lack(bash, monkeypatch, program):
    """A probe that times out or is ended is inconclusive."""
    monkeypatch.setattr(module, "PROBE_LIMITS", Limits(cpu_s=0.2, wall_s=0.5))
    without(monkeypatch, "bash", program=program)
    assert missing(bash, "bash") == ()


def test_a_probe_may_say_more_than_its_answer(bash, monkeypatch):
    """Other output before the answer does not make a requirement missing."""
    without(monkeypatch, "bash", program="echo 'priorities may not be set'; echo 42")
    assert missing(bash, "bash") == ()


def test_a_failing_sandbox_is_no_lack_and_is_asked_again(bash, monkeypatch):
    """The sandbox's failure is raised, and inconclusive results are not cached."""
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=False)))
    requirements = Requirements(Counting(bash.sandbox, n_failures=1))
    with pytest.raises(SandboxError, match="a worker ended"):
        bash.runner.run(requirements.missing("bash"))
    assert [lack.name for lack in bash.runner.run(requirements.missing("bash"))] == ["part"]


def test_a_language_is_asked_once_and_only_if_something_of_it_is_run(bash, monkeypatch):
    """Concurrent programs start one probe; Python and unused languages start none."""
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=True)))
    counting = Counting(bash.sandbox)

    async def ask():
        requirements = Requirements(counting)
        await requirements.first_missing("python", "import no_such_part")
        assert counting.programs == []
        return await asyncio.gather(*(requirements.first_missing("bash", "x") for _ in range(20)))

    assert set(bash.runner.run(ask())) == {None}
    assert len(counting.programs) == 1


@pytest.mark.parametrize("language", NEEDING)
def test_sources_that_need_a_requirement_are_recognised(language):
    """Requirements are recognised in prompts, tests and programs of MultiPL-E and of models."""
    optional = [
        MissingRequirement(language, one, stops_all=False, tool_message="")
        for one in LANGUAGES[language].requirements
        if one.used_by
    ]
    for source in NEEDING[language]:
        assert sum(lack.concerns(source) for lack in optional) == 1, source
    assert not any(lack.concerns(PLAIN.get(language, "nothing")) for lack in optional)


@pytest.mark.parametrize(
    "program",
    [Program("bash", "# PART\necho 1"), Program("bash", "echo 1", Sealed("# PART\n[[ 1 = 1 ]]"))],
    ids=["source", "test"],
)
def test_what_needs_a_missing_part_is_not_run(bash, monkeypatch, program):
    """It is a sandbox failure that says what to install, never the program's failure."""
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=False)))
    checked = CheckedSandbox(bash.sandbox)
    with pytest.raises(SandboxError, match="bash: part not found; install bash-part"):
        bash.runner.run(checked.run(program, Limits()))
    assert bash.runner.run(checked.run(Program("bash", "echo 1"), Limits())).stdout == b"1\n"
    assert (
        bash.runner.run(checked.run(Program("python", "# PART\nprint(1)"), Limits())).exit_code == 0
    )


def test_a_skip_names_what_is_missing(bash, monkeypatch):
    """Tests that need a missing part are skipped with the reason; others run."""
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(part(is_here=False)))
    with contextmanager(held)("strict", languages=["bash"]) as driver:
        driver.needs("bash", "echo 1")
        with pytest.raises(pytest.skip.Exception, match="part not found; install bash-part"):
            driver.needs("bash", "# PART")
        monkeypatch.setenv("PATH", "")
        with pytest.raises(pytest.skip.Exception, match="bash not found; install bash"):
            driver.needs("bash")
