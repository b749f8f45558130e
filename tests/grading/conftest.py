"""Fixtures for tests that run programs in the sandbox."""

from driver import at_every_level, sandbox  # noqa: F401 - fixtures
