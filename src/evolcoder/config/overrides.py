"""Overrides of config keys, written `section.key=value`.

>>> data = {}
>>> apply_override(data, "budget.rounds=2")
>>> data
{'budget': {'rounds': 2}}
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from evolcoder.config.bounded_yaml import parse_yaml
from evolcoder.errors import ConfigError

NAMED_SECTIONS = ("servers", "prices", "heuristics")
"""Sections whose keys are names chosen by the user."""
_PART = re.compile(
    r"""\[?(["'])(?P<quoted>.*?)\1\]?(?=[.=\[]|$)|(?P<plain>(?:[^.=](?:(?!\[["'])[^.=])*)?)"""
)
"""A part of a dotted key: quoted, quoted in brackets, or plain."""


def override(key: str, value: object) -> str:
    """Write a key and its value as an override; ConfigError if the value is not plain data."""
    try:
        return f"{key}={json.dumps(value)}"
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{key}: a {type(value).__name__} is no value of a config; give plain data ({error})"
        ) from error


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set the key of an override in plain data; ConfigError if it is none."""
    parts, text = _read_key(override)
    if text is None or not any(key for key, _ in parts):
        raise ConfigError(f"--set {override}: write it as key.subkey=value")
    try:
        value = parse_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {override[:200]}: the value is not YAML") from error
    *path, last = _join_names(parts, is_section=isinstance(value, Mapping))
    for key in path:
        inner = data.setdefault(key, {})
        if inner is None:  # an empty section of a file
            inner = data[key] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {key} is not a section")
        data = inner
    data[last] = value


def _read_key(override: str) -> tuple[list[tuple[str, bool]], str | None]:
    """Read the dotted key of an override: its parts, whether each is quoted, and the value."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while part := _PART.match(override, at):
        quoted = part["quoted"]
        parts.append((part["plain"], False) if quoted is None else (quoted, True))
        at = part.end()
        if override[at : at + 1] == "=":
            return parts, override[at + 1 :]
        if at == len(override):
            break
        at += override[at] == "."
    return parts, None


def _join_names(parts: list[tuple[str, bool]], *, is_section: bool) -> list[str]:
    """Join the parts of a name of a host, model or heuristic, which may contain dots.

    A quoted part is one key, so that names may contain anything: `prices."a.b=c".input`.
    """
    keys = [key for key, _ in parts]
    for at, key in enumerate(keys):
        end = len(keys) if is_section else len(keys) - 1
        if key in NAMED_SECTIONS and at + 1 < end:
            if any(quoted for _, quoted in parts[at + 1 :]):
                return keys
            return [*keys[: at + 1], ".".join(keys[at + 1 : end]), *keys[end:]]
    return keys
