"""Where the real data is, for the tests that read it."""

from functools import cache

import pytest

from evolcoder.bench.catalogue import bench_named
from evolcoder.bench.fetch import Shelf


@pytest.fixture(scope="session")
def shelf(shared, tmp_path_factory):
    """The real benchmarks, read in place."""
    return Shelf(shared, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def named(shelf):
    """Read a real benchmark by name, once for all tests."""
    return cache(lambda name: bench_named(name, shelf))
