"""Tests here run programs."""

import pytest

from driver import held, sandbox, usable  # noqa: F401 - fixtures
from evolcoder.sandbox.toolchains import LANGUAGES


@pytest.fixture(scope="session")
def every_language():
    """A sandbox with every language whose tools are here."""
    yield from held("strict", languages=list(usable("strict", LANGUAGES)))
