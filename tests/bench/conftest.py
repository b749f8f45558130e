"""Fixtures for tests that read the real benchmark data."""

from functools import cache

import pytest

from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named


@pytest.fixture(scope="session")
def data_folder(shared, tmp_path_factory):
    """The folder of the real benchmark data."""
    return DataFolder(shared, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def named(data_folder):
    """Read a real benchmark by name, once for all tests."""
    return cache(lambda name: bench_named(name, data_folder))
