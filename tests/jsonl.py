"""JSON lines files of tests."""

import json
from collections.abc import Iterable
from pathlib import Path


def write_jsonl(path: Path, rows: Iterable[object]) -> Path:
    """Write one row per line; return the path."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[object]:
    """Read the rows of all lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
