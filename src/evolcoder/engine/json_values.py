"""Reads values of JSON that a server sent: one of another type than wanted counts as missing.

>>> object_of([1]), text_of(None), count_of(-1)
({}, '', 0)
"""

import json
from collections.abc import Iterator
from typing import Any

import orjson


def parse(body: bytes) -> Any:  # noqa: ANN401 - JSON is any plain data
    """Parse JSON leniently; ValueError if invalid."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # The standard parser accepts what orjson does not and some servers send: truncated
        # characters, lone surrogates, NaN, a byte order mark, UTF-16.
        try:
            return json.loads(body.decode(json.detect_encoding(body), "replace"))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse an object; empty if the body is none."""
    try:
        return object_of(parse(body))
    except ValueError:
        return {}


def parse_lines(body: bytes) -> Iterator[dict[str, Any]]:
    """Parse JSON lines; lines that are no object are skipped."""
    for line in body.split(b"\n"):
        if line.strip():
            try:
                found = parse(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found


def object_of(value: object) -> dict[str, Any]:
    """Return an object; empty if the value is none."""
    return value if isinstance(value, dict) else {}


def objects_of(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; none if the value is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def count_of(value: object) -> int:
    """Return a count; 0 if the value is none."""
    return value if isinstance(value, int) and value >= 0 else 0


def text_of(value: object) -> str:
    """Return a string; empty if the value is none."""
    return value if isinstance(value, str) else ""
