"""YAML with bounds: plain data only, of bounded depth and size once its aliases are expanded.

Promises: time and memory grow with the text and never with what its aliases stand for ("billion
laughs"); no depth of nesting ends in a RecursionError. Faults are yaml.YAMLError or ValueError.

>>> load("a: [1, 2]")
{'a': [1, 2]}
"""

from typing import Any

import yaml

MOST_MB = 4
"""Longest file that is read as YAML."""
MOST_DEPTH = 100
MOST_VALUES = 50_000
"""Keys and values of a document, each alias counted as all that it stands for."""
_PIECE_CHARS = 256
"""A longer text counts as several values."""


def load(text: str) -> Any:  # noqa: ANN401 - YAML is any plain data
    """Read one document."""
    counter = _Counter()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):  # events hold no nested objects
        counter.count(event)
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


class _Loader(yaml.SafeLoader):
    """Reads the two halves that JSON makes of an emoji as the one character that they are."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_yaml_str(node)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


_Loader.add_constructor("tag:yaml.org,2002:str", _text)


class _Counter:
    """Counts a document's depth and its values as its events come."""

    def __init__(self) -> None:
        self._n_values = 0
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []  # anchor, and the values before it

    def count(self, event: Any) -> None:  # noqa: ANN401 - yaml's events have no stubs
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._sizes:
                raise yaml.YAMLError(f"the alias *{event.anchor} stands for nothing before it")
            self._n_values += self._sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._n_values))
            self._n_values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(*self._open.pop())
        elif isinstance(event, yaml.ScalarEvent):
            before = self._n_values
            self._n_values += 1 + len(event.value) // _PIECE_CHARS
            self._end(event.anchor, before)
        if len(self._open) > MOST_DEPTH:
            raise yaml.YAMLError(f"nested more than {MOST_DEPTH} deep")
        if self._n_values > MOST_VALUES:
            raise yaml.YAMLError(f"more than {MOST_VALUES:,} values, with aliases expanded")

    def _end(self, anchor: str | None, before: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = self._n_values - before
