"""Tests here run programs."""

from driver import at_every_level, at_weaker_levels, sandbox  # noqa: F401 - fixtures
