"""A sandbox for tests that run programs, as a fixture for the conftest of their folder."""

import asyncio
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from evolcoder.errors import SandboxRefusedError
from evolcoder.grading.problem_checks import GENEROUS
from evolcoder.grading.sealed import ProgramTest, expected_lines, grade_program, split_test
from evolcoder.sandbox.base import Limits, Program
from evolcoder.sandbox.pool import LEVELS, PoolSandbox
from evolcoder.sandbox.requirements import Requirements
from evolcoder.sandbox.toolchains import LANGUAGES, find

QUICK = Limits(cpu_s=2, wall_s=5, memory_mb=256, processes=32, output_kb=64, file_mb=16)


class Driver:
    """Lets a test that knows no coroutines use a sandbox."""

    def __init__(self, runner, sandbox, level="strict"):
        self.runner = runner
        self.sandbox = sandbox
        self.level = level
        self.requirements = Requirements(sandbox)

    def run(self, program, limits=QUICK):
        if isinstance(program, str):
            program = Program("python", program)
        return self.runner.run(self.sandbox.run(program, limits))

    def needs(self, language, *sources):
        """Skip a test whose language is not here, or lacks what its programs and tests need."""
        if reason := self.lacking(language, *sources):
            pytest.skip(reason)

    def lacking(self, language, *sources):
        """Say what is missing for a language and its sources, by name; '' if nothing is."""
        if language == "python":
            return ""
        try:
            list(LEVELS[self.level].launchers(find(language).folders, ()))
        except SandboxRefusedError as error:
            return str(error)
        lack = self.runner.run(self.requirements.first_missing(language, "", *sources))
        return str(lack or "")

    def grade(self, grader, *args, limits=QUICK):
        return self.runner.run(grader(self.sandbox, *args, limits))

    def grade_sealed(self, language, source, test, limits=QUICK):
        """Grade with candidate and test in one process."""
        return self.grade(grade_program, source, ProgramTest(language, test), limits=limits)

    def grade_called(self, language, source, test, *, prompt, limits=QUICK):
        """Grade with the comparison outside; the test must allow it."""
        made = self.runner.run(program_test(self.sandbox, language, prompt, test))
        assert made.split is not None
        return self.grade(grade_program, source, made, limits=limits)


async def program_test(sandbox, language, prompt, test):
    """Make a test ready as controls do."""
    split = split_test(language, test)
    lines = await expected_lines(sandbox, language, prompt, split, GENEROUS) if split else ()
    return ProgramTest.of(language, test, lines)


def usable(level, languages):
    """Those languages whose tools are here and can be used at a level."""
    for name in languages:
        try:
            list(LEVELS[level].launchers(find(name).folders, ()))
        except SandboxRefusedError:
            continue
        yield name


def lacking(language, *sources, level="strict"):
    """Say what this machine has not of what a language and its sources need; '' if it has all."""
    with contextmanager(held)(level, languages=list(usable(level, [language]))) as driver:
        return driver.lacking(language, *sources)


def held(level, **options):
    """A started sandbox of a level, as the body of a fixture."""
    with asyncio.Runner() as runner:
        try:
            pool = runner.run(PoolSandbox.start(workers=1, level=level, **options))
        except SandboxRefusedError as error:
            pytest.skip(str(error))
        yield Driver(runner, pool, level)
        runner.run(pool.aclose())


def with_packages(level, *names):
    """A sandbox whose programs may import what is installed here, with some of it loaded."""
    specs = {name: find_spec(name) for name in names}
    found = [name for name, spec in specs.items() if spec is not None]
    folders = {Path(specs[name].origin).parents[1] for name in found}
    yield from held(level, packages=sorted(folders), warm=found)


@pytest.fixture(scope="session")
def sandbox():
    yield from held("strict")


@pytest.fixture(scope="session", params=LEVELS)
def at_every_level(request):
    yield from held(request.param)


@pytest.fixture(scope="session", params=[name for name in LEVELS if name != "strict"])
def at_weaker_levels(request):
    yield from held(request.param)


@pytest.fixture(scope="module")
def polyglot():
    """A sandbox with every language whose tools are here."""
    yield from held("strict", languages=list(usable("strict", LANGUAGES)))


@pytest.fixture(scope="module", params=LEVELS)
def sandbox_with_pandas(request):
    """A sandbox of each level whose programs may import numpy and pandas."""
    yield from with_packages(request.param, "numpy", "pandas")
