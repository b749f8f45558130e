"""The browser of the tests here."""

from browsing import axe, browser  # noqa: F401 - fixtures
