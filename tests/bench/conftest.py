"""Where the real data is, for the tests that read it."""

from functools import cache

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named


@pytest.fixture(scope="session")
def shelf(shared, tmp_path_factory):
    """The real benchmarks, read in place."""
    return DataFolder(shared, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def named(shelf):
    """Read a real benchmark by name, once for all tests."""
    return cache(lambda name: bench_named(name, shelf))
