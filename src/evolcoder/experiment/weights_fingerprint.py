"""Which weights a folder holds, told by a look into its files and not by where it lies.

Promises: the same files give the same id under another path, and two fine-tunes of one model give
two, without all of it being read. What is not here, such as a Hub id, is known by its name.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evolcoder.ids import content_id

DECIDING = frozenset({".safetensors", ".bin", ".gguf"})
"""Endings of files that hold weights."""
BESIDE = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
"""Files that decide an answer beside them."""
LOOKS = 256
BLOCK = 16_384
"""So many blocks of so many bytes are read of a file, spread over it: some in every layer."""


def weights_id(path: str) -> str:
    """Hash what decides the answers of a model."""
    folder = Path(path)
    found = [_seen(file) for file in _files(folder)]
    return content_id("weights", found or path)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    elif folder.is_dir():
        for file in sorted(folder.iterdir()):
            if file.suffix in DECIDING or file.name in BESIDE:
                yield file


def _seen(file: Path) -> list[Any]:
    """Return a file's size and the hash of some of its blocks."""
    size = file.stat().st_size
    digest = hashlib.sha256()
    with file.open("rb") as data:
        for look in range(LOOKS):
            data.seek(look * max(0, size - BLOCK) // (LOOKS - 1), os.SEEK_SET)
            digest.update(data.read(BLOCK))
            if size <= BLOCK:
                break
    return [size, digest.hexdigest()]
