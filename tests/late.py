"""Modules that take seconds to import, imported when a test first uses them.

Every worker collects every file, so an import at the top of one costs all of them.
"""

import importlib


class Late:
    """Stands for a module and imports it at the first use of an attribute."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)


torch = Late("torch")
transformers = Late("transformers")
