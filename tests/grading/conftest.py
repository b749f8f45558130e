"""Tests here run programs."""

from driver import at_every_level, sandbox  # noqa: F401 - fixtures
