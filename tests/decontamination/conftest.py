"""Tests here run programs."""

from driver import sandbox  # noqa: F401 - a fixture
