"""Flags and notes that people put on the rows of a run, in a file next to its database.

The file is appended to, one JSON object a line, under a lock: several viewers may write at once,
and the last line about a row counts. The run database is not touched. Lines that are not ours, such
as one that a full disk cut off, are counted and left where they are.

>>> annotate(folder, "3f2a", Annotation(is_flagged=True, note="wrong unit"))   # doctest: +SKIP
>>> read_annotations(folder).by_id["3f2a"].note   # doctest: +SKIP
'wrong unit'
"""

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evolcoder.errors import RunFolderError
from evolcoder.input_files import read_bytes
from evolcoder.storage import atomic

ANNOTATIONS_NAME = "annotations.jsonl"
"""Name of the file in the run's folder."""
Mark = Literal["flagged", "not flagged", "noted"]
"""What rows are chosen by: a flag, its absence, or a note."""
MAX_NOTE = 4_000
"""Most characters of a note."""
MAX_MB = 256
"""Largest file that is read."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a person put on a row."""

    is_flagged: bool = False
    """Whether the row is flagged."""
    note: str = ""
    """A remark; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Annotations:
    """The annotations of a run."""

    by_id: Mapping[str, Annotation]
    """By id of the task; rows whose flag and note were taken back are left out."""
    n_unreadable: int
    """Lines that are no annotation."""

    @property
    def flagged(self) -> frozenset[str]:
        """Ids of the tasks that are flagged."""
        return frozenset(id for id, one in self.by_id.items() if one.is_flagged)

    @property
    def noted(self) -> frozenset[str]:
        """Ids of the tasks that have a note."""
        return frozenset(id for id, one in self.by_id.items() if one.note)


def read_annotations(folder: Path) -> Annotations:
    """Read what was put on the rows of a run; RunFolderError if the file cannot be read."""
    path = folder / ANNOTATIONS_NAME
    if not os.path.lexists(path):
        return Annotations({}, 0)
    atomic.check_inside(path, inside=folder, error=RunFolderError)
    lines = read_bytes(path, max_mb=MAX_MB, error=RunFolderError).splitlines()
    found: dict[str, Annotation] = {}
    n_unreadable = 0
    for line in filter(bytes.strip, lines):
        one = _decoded(line)
        if one is None:
            n_unreadable += 1
        else:
            found[one[0]] = one[1]
    kept = {id: one for id, one in found.items() if one.is_flagged or one.note}
    return Annotations(kept, n_unreadable)


def _decoded(line: bytes) -> tuple[str, Annotation] | None:
    """Return the row's id and its annotation; None for a line of another form."""
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(plain, dict):
        return None
    id, flag, note = (plain.get(name) for name in ("row", "flag", "note"))
    if isinstance(id, str) and isinstance(flag, bool) and isinstance(note, str):
        return id, Annotation(flag, note)
    return None


def annotate(folder: Path, id: str, annotation: Annotation) -> None:
    """Store what is put on a row, in place of what was; RunFolderError if it cannot be written."""
    plain = {
        "row": id,
        "flag": annotation.is_flagged,
        "note": annotation.note[:MAX_NOTE],
        "time": round(time.time(), 3),
    }
    path = folder / ANNOTATIONS_NAME
    line = f"{json.dumps(plain)}\n".encode()
    with atomic.open_to_append(path, inside=folder, error=RunFolderError) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line if _ends_a_line(path) else b"\n" + line)
            file.flush()
            os.fsync(file.fileno())
        except OSError as failure:
            raise RunFolderError(atomic.explain_failure(path, failure)) from failure


def _ends_a_line(path: Path) -> bool:
    """Whether the file is empty or its last line is complete."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
