"""DS-1000 with its libraries, if `make ds1000` has installed them."""

import asyncio
from pathlib import Path

import pytest

from driver import Driver
from evolcoder.bench.ds1000 import ds1000, installed, known_failures, warm_modules
from evolcoder.bench.fetch import DataFolder
from evolcoder.grading.harness import grade_harness, library_limits
from evolcoder.sandbox.pool import PoolSandbox

LIBRARIES = Path(__file__).resolve().parents[2] / ".ds1000"
SOME = {
    "Pandas": (112, 157),
    "Numpy": (353, 377),
    "Matplotlib": (515, 615, 636, 662),
    "Tensorflow": (666, 706),
    "Scipy": (722, 741),
    "Sklearn": (846, 908, 915),
    "Pytorch": (936, 960),
}
"""Some problems of each library: tensors, sparse matrices, figures, files, texts."""


@pytest.fixture(scope="module")
def problems(shared, tmp_path_factory):
    return ds1000(DataFolder(shared, tmp_path_factory.mktemp("cache"))).problems()


@pytest.fixture(scope="module")
def sandbox_with_libraries():
    if not (LIBRARIES / ".ready").is_file():
        pytest.skip("`make ds1000` has not been run")
    with asyncio.Runner() as runner:
        start = PoolSandbox.start(workers=1, packages=[LIBRARIES], warm=warm_modules([LIBRARIES]))
        pool = runner.run(start)
        yield Driver(runner, pool)
        runner.run(pool.aclose())


def judged(sandbox_with_libraries, problem, source):
    limits = library_limits(problem.checks.library)
    return sandbox_with_libraries.grade(grade_harness, source, problem.checks, limits=limits)


@pytest.mark.published
@pytest.mark.parametrize("library", SOME)
def test_references_of_a_library_pass_and_stubs_fail(sandbox_with_libraries, problems, library):
    """References pass and stubs do not."""
    for number in SOME[library]:
        problem = problems[number]
        assert problem.checks.library == library
        verdict = judged(sandbox_with_libraries, problem, problem.reference)
        assert verdict.passed, (problem.id, verdict)
        assert not judged(sandbox_with_libraries, problem, problem.stub).passed, problem.id


@pytest.mark.published
def test_known_failures_do_fail(sandbox_with_libraries, problems):
    """Every stored known failure really fails."""
    known = known_failures(installed([LIBRARIES]))
    problem = next(problem for problem in problems if problem.id in known)
    verdict = judged(sandbox_with_libraries, problem, problem.reference)
    assert not verdict.passed
    assert "URLError" in verdict.detail


YES = """
class Yes:
    def __getattr__(self, name): return self
    def __call__(self, *args, **named): return self
    def __getitem__(self, key): return self
    def __eq__(self, other): return True
    def __contains__(self, item): return True
    def __len__(self): return 1
    def __iter__(self): return iter([self])
    def __bool__(self): return True
plt.gca = plt.gcf = Yes()
"""
FORGERIES = {
    "a figure that says yes": YES,
    "a copied picture": "import shutil; plt.savefig = lambda *_, **__: shutil.copy('ans.png', 'output.png')",
    "a linked picture": "import os; plt.savefig = lambda *_, **__: os.symlink('ans.png', 'output.png')",
    "another comparison": "import sys; sys._getframe(1).f_globals['exec_test'] = lambda *_: 1",
    "another reader": "import PIL.Image, numpy; PIL.Image.open = lambda *_, **__: numpy.zeros((3, 3))",
}


@pytest.mark.published
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_figure_cannot_be_forged(sandbox_with_libraries, problems, forgery):
    """Expected images are out of reach, and an object whose `__eq__` is always true fails."""
    for number in (515, 615, 631, 636):
        verdict = judged(sandbox_with_libraries, problems[number], FORGERIES[forgery])
        assert not verdict.passed, (number, verdict)
