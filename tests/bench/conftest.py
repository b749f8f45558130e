"""Where the real data is, for the tests that read it."""

from functools import cache
from pathlib import Path

import pytest

from evolcoder.bench.catalogue import bench_named
from evolcoder.bench.fetch import Shelf

DATA = Path(__file__).parents[2].parent / "shared/data"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """The real benchmarks, read in place."""
    if not DATA.is_dir():
        pytest.skip("the benchmarks' data is not here")
    return Shelf(DATA, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def named(shelf):
    """Read a real benchmark by name, once for all tests."""
    return cache(lambda name: bench_named(name, shelf))
