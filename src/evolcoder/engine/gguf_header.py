"""Reads the beginning of a GGUF file: whether the model has a chat template, and its size.

Reads key by key, without the tensors' values; the vocabulary of a usual model takes a tenth of a
second.

>>> has_chat_template(Path("base.gguf"))   # doctest: +SKIP
False
"""

import mmap
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import TypeVar

MAGIC = b"GGUF"
CHAT_TEMPLATE = "tokenizer.chat_template"
"""Key of the template; further templates of a model append a name."""
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Type of a value -> its bytes: integers, floats and booleans."""
_STRING, _ARRAY = 8, 9
_HEADER_BYTES = 24
_TENSOR_BYTES = 12
"""Type and offset of a tensor, after its name and shape."""
_MAX_DEPTH = 4
_MAX_DIMENSIONS = 8
T = TypeVar("T")


def has_chat_template(path: Path) -> bool | None:
    """Return whether a model has a chat template; None if the file's metadata cannot be read."""
    return _read(path, _has_template)


def n_parameters(path: Path) -> int | None:
    """Return the number of a model's parameters, from the shapes of its tensors; None as above.

    A file that is one of several parts of a model has those of its own part.
    """
    return _read(path, _count_parameters)


def _read(path: Path, read: Callable[[mmap.mmap], T | None]) -> T | None:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return read(data)
    except (OSError, ValueError, OverflowError, struct.error, IndexError):
        return None


def _has_template(data: mmap.mmap) -> bool | None:
    if data[: len(MAGIC)] != MAGIC:
        return None
    version, _, n_keys = struct.unpack_from("<IQQ", data, len(MAGIC))
    if version not in {2, 3}:
        return None
    at = _HEADER_BYTES
    for _ in range(n_keys):
        key_end = _string_end(data, at)
        key = data[at + 8 : key_end].decode("utf-8", "replace")
        (kind,) = struct.unpack_from("<I", data, key_end)
        at = _value_end(data, key_end + 4, kind)
        if key.startswith(CHAT_TEMPLATE) and data[key_end + 12 : at].strip():
            return True
    return False


def _count_parameters(data: mmap.mmap) -> int | None:
    if data[: len(MAGIC)] != MAGIC:
        return None
    version, n_tensors, n_keys = struct.unpack_from("<IQQ", data, len(MAGIC))
    if version not in {2, 3}:
        return None
    at = _HEADER_BYTES
    for _ in range(n_keys):
        key_end = _string_end(data, at)
        (kind,) = struct.unpack_from("<I", data, key_end)
        at = _value_end(data, key_end + 4, kind)
    n = 0
    for _ in range(n_tensors):
        at = _string_end(data, at)
        (n_dimensions,) = struct.unpack_from("<I", data, at)
        if n_dimensions > _MAX_DIMENSIONS:
            raise ValueError(f"a tensor of {n_dimensions} dimensions")
        n += prod(struct.unpack_from(f"<{n_dimensions}Q", data, at + 4))
        at += 4 + 8 * n_dimensions + _TENSOR_BYTES
    return n


def _value_end(data: mmap.mmap, at: int, kind: int, depth: int = 0) -> int:
    """Return the position after a value; ValueError for an unknown type."""
    if kind == _STRING:
        return _string_end(data, at)
    if kind in _SIZES:
        return at + _SIZES[kind]
    if kind != _ARRAY or depth == _MAX_DEPTH:
        raise ValueError(f"unknown type {kind}")
    item, n_items = struct.unpack_from("<IQ", data, at)
    at += 12
    if item in _SIZES:
        return at + int(n_items) * _SIZES[item]
    for _ in range(n_items):
        at = _value_end(data, at, item, depth + 1)
    return at


def _string_end(data: mmap.mmap, at: int) -> int:
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + int(length)
    if end > len(data):
        raise ValueError("the file ends within its metadata")
    return end
