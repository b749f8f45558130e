"""Tests here run programs, at every level."""

from driver import at_every_level as sandbox  # noqa: F401 - a fixture
