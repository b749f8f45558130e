"""Fixtures for tests that run programs of a small benchmark."""

import pytest

from driver import sandbox  # noqa: F401 - a fixture
from evolcoder.grading.problem_checks import ReferenceChecks


@pytest.fixture
def controls(sandbox, tmp_path):  # noqa: F811 - the fixture
    """The reference checks of one test."""
    kept = ReferenceChecks(tmp_path / "controls.db", sandbox.sandbox, "")
    yield kept
    kept.close()
