"""Tests here run programs."""

from driver import polyglot, sandbox  # noqa: F401 - fixtures
