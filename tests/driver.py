"""A sandbox for tests that run programs, as a fixture for the conftest of their folder."""

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

from evolcoder.errors import SandboxRefusedError
from evolcoder.sandbox.base import Limits, Program
from evolcoder.sandbox.pool import PoolSandbox

QUICK = Limits(cpu_s=2, wall_s=5, memory_mb=256, processes=32, output_kb=64, file_mb=16)


class Driver:
    """Lets a test that knows no coroutines use a sandbox."""

    def __init__(self, runner, sandbox):
        self.runner = runner
        self.sandbox = sandbox

    def run(self, program, limits=QUICK):
        if isinstance(program, str):
            program = Program("python", program)
        return self.runner.run(self.sandbox.run(program, limits))

    def grade(self, grader, *args, limits=QUICK):
        return self.runner.run(grader(self.sandbox, *args, limits))


@pytest.fixture(scope="session")
def sandbox():
    with asyncio.Runner() as runner:
        try:
            pool = runner.run(PoolSandbox.start(workers=1))
        except SandboxRefusedError as error:
            pytest.skip(str(error))
        yield Driver(runner, pool)
        runner.run(pool.aclose())


def with_packages(*names):
    """A sandbox whose programs may import what is installed here, with some of it loaded."""
    specs = {name: find_spec(name) for name in names}
    found = [name for name, spec in specs.items() if spec is not None]
    folders = {Path(specs[name].origin).parents[1] for name in found}
    with asyncio.Runner() as runner:
        try:
            pool = runner.run(PoolSandbox.start(workers=1, packages=sorted(folders), warm=found))
        except SandboxRefusedError as error:
            pytest.skip(str(error))
        yield Driver(runner, pool)
        runner.run(pool.aclose())
