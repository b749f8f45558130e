"""Tests here run programs, at every level."""

from driver import at_every_level  # noqa: F401 - fixtures
