"""Fixtures for tests that run programs in the sandbox."""

from driver import at_every_level, polyglot, sandbox, sandbox_with_pandas  # noqa: F401 - fixtures
