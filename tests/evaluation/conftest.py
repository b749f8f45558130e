"""Tests here run programs of a small benchmark of their own."""

import pytest

from driver import sandbox  # noqa: F401 - a fixture
from evolcoder.grading.reference_checks import ReferenceChecks


@pytest.fixture
def controls(sandbox, tmp_path):  # noqa: F811 - the fixture
    """The controls of this test alone."""
    kept = ReferenceChecks(tmp_path / "controls.db", sandbox.sandbox, "")
    yield kept
    kept.close()
