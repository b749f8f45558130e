"""Parses YAML with bounds.

Plain data only, at most `MAX_DEPTH` deep and `MAX_VALUES` values with aliases expanded. Time and
memory are linear in the text, aliases ("billion laughs") and nesting included.

>>> parse_yaml("a: [1, 2]")
{'a': [1, 2]}
"""

from pathlib import Path
from typing import Any

import yaml

from evolcoder.errors import ConfigError
from evolcoder.input_files import not_utf8, read_bytes

MAX_MB = 4
"""Largest YAML file that is read."""
MAX_DEPTH = 100
MAX_VALUES = 50_000
"""Keys and values of a document, with aliases expanded."""
_VALUE_CHARS = 256
"""A string counts as one more value per this many characters."""


def parse_yaml(text: str) -> Any:  # noqa: ANN401 - YAML is any plain data
    """Parse one document; yaml.YAMLError or ValueError if it is invalid or exceeds a bound."""
    counter = _SizeCounter()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):  # events hold no nested objects
        counter.count(event)
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


class _Loader(yaml.SafeLoader):
    """Joins escaped surrogate pairs, which JSON writes for an emoji, into one character."""


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    text: str = loader.construct_yaml_str(node)
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


_Loader.add_constructor("tag:yaml.org,2002:str", _text)


class _SizeCounter:
    """Tracks the depth and the number of values of a document from its parse events."""

    def __init__(self) -> None:
        self._n_values = 0
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []  # anchor, and the number of values before it

    def count(self, event: Any) -> None:  # noqa: ANN401 - yaml's events have no stubs
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._sizes:
                raise yaml.YAMLError(f"alias *{event.anchor} has no anchor before it")
            self._n_values += self._sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append((event.anchor, self._n_values))
            self._n_values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end(*self._open.pop())
        elif isinstance(event, yaml.ScalarEvent):
            before = self._n_values
            self._n_values += 1 + len(event.value) // _VALUE_CHARS
            self._end(event.anchor, before)
        if len(self._open) > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep")
        if self._n_values > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES:,} values, with aliases expanded")

    def _end(self, anchor: str | None, before: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = self._n_values - before


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file that holds a mapping; an empty file is an empty one. Raises ConfigError."""
    read = read_bytes(path, max_mb=MAX_MB, error=ConfigError)
    try:
        data = parse_yaml(read.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not YAML: {not_utf8(read, error)}") from error
    except (yaml.YAMLError, ValueError) as error:  # an invalid date is a ValueError
        first = str(error).splitlines()
        raise ConfigError(
            f"{path}: not YAML: {' '.join(part.strip() for part in first)}"
        ) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path}: must be a mapping of keys to values, not a {type(data).__name__}"
        )
    return data
