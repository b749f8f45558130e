"""The folders and files that a viewer shows, opened for each request and never written to.

A folder is opened anew for each request, so that what a run writes meanwhile is seen, a folder
that was replaced is noticed, and no connection of ours delays a writer's checkpoint. Contents are
checked at the first opening of a file. Where only a copy can be read (a folder of an earlier
version, or a log in a folder without write access), the copy is kept until the file changes.

>>> with source.open_run() as store:   # doctest: +SKIP
...     store.n_kept()
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Literal, TypeVar

from evolcoder.errors import RunFolderError
from evolcoder.evaluation.store import DB_NAME as EVAL_DB
from evolcoder.evaluation.store import EvalStore
from evolcoder.ids import content_id
from evolcoder.report import cleaning, loop
from evolcoder.report.cleaning import CERTIFICATE
from evolcoder.storage.run_store import DB_NAME as RUN_DB
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.workdir import Workdir

MAX_DEPTH = 3
"""Folders below a given one in which runs and evaluations are looked for."""
KEY_CHARS = 10
Store = TypeVar("Store", bound=Workdir)
Signature = tuple[int, ...]
"""Inode, size and time of the last change of a database and its log."""


def stamp(facts: os.stat_result) -> Signature:
    """Return what changes with every write to a file."""
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def stamp_of(path: Path) -> Signature:
    """Return the stamp of a file; zeros if it is not there."""
    try:
        return stamp(path.stat())
    except OSError:
        return 0, 0, 0


class Source(Generic[Store]):
    """A run or an evaluation."""

    def __init__(self, folder: Path, kind: type[Store]) -> None:
        self.folder = folder
        self.key = content_id("view", os.path.realpath(folder))[:KEY_CHARS]
        """Its name in addresses: the same whenever the folder is shown."""
        self.name = folder.resolve().name or str(folder)
        self.path = folder / kind.DB_NAME
        self._kind = kind
        self._lock = threading.Lock()
        self._checked: int | None = None
        self._copy: tuple[Signature, Store] | None = None

    @property
    def kind(self) -> Literal["run", "evaluation"]:
        """What it is."""
        return "run" if self._kind is RunStore else "evaluation"

    def signature(self) -> Signature:
        """Return what changes with every write; RunFolderError if the folder is gone."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        try:
            return (*stamp(self.path.stat()), *stamp_of(wal))
        except OSError as error:
            raise RunFolderError(f"{self.path}: cannot be read: {error.strerror}") from error

    @contextmanager
    def open(self) -> Iterator[Store]:
        """Open the folder for reading, for the length of one request."""
        signature = self.signature()
        if self._copy is not None:
            with self._lock:
                if self._copy is not None and self._copy[0] == signature:
                    yield self._copy[1]
                    return
                self._forget_copy()
        store = self._kind.read(self.folder, is_checked=self._checked == signature[0])
        self._checked = signature[0]
        if not store.db.is_copy:
            with store:
                yield store
            return
        with self._lock:
            self._forget_copy()
            self._copy = signature, store
            yield store

    def close(self) -> None:
        """Delete a copy that was kept."""
        with self._lock:
            self._forget_copy()

    def _forget_copy(self) -> None:
        if self._copy is not None:
            self._copy[1].close()
            self._copy = None


class ReportSource:
    """A loop's folder or a cleaned file, of which a report is shown."""

    def __init__(self, path: Path, kind: Literal["loop", "cleaned"]) -> None:
        self.path = path
        self.kind = kind
        self.folder = path if kind == "loop" else path.parent
        self.key = content_id("view", os.path.realpath(path))[:KEY_CHARS]
        """Its name in addresses: the same whenever it is shown."""
        self.name = cleaning.stem_of(path) if kind == "cleaned" else path.resolve().name
        self.name = self.name or str(path)

    def signature(self) -> Signature:
        """Return what changes with every write; zeros for files that are not there."""
        return tuple(part for path in self._files() for part in stamp_of(path))

    def _files(self) -> tuple[Path, ...]:
        if self.kind == "loop":
            return loop.files_of(self.path)
        return cleaning.certificate_path(self.path), cleaning.drops_path(self.path)


AnySource = Source[RunStore] | Source[EvalStore] | ReportSource


def find_sources(paths: Sequence[Path]) -> list[AnySource]:
    """Return the runs, evaluations, loops and cleaned files in folders, in the order given.

    Raises RunFolderError for a path that has none.
    """
    found: dict[str, AnySource] = {}
    for path in paths:
        before = len(found)
        is_new = False
        for one in _given(path):
            is_new = True
            found.setdefault(one.key, one)
        if not is_new and len(found) == before:
            raise RunFolderError(f"{path}: {_why_none(path)}")
    return list(found.values())


def _given(path: Path) -> Iterator[AnySource]:
    """Yield what is at a path: a cleaned file, given by its path or its certificate's, or more."""
    if not path.is_file():
        yield from _under(path, MAX_DEPTH)
    elif (certificate := cleaning.certificate_path(path)).is_file():
        yield ReportSource(certificate, "cleaned")


def _under(folder: Path, depth: int) -> Iterator[AnySource]:
    if (folder / RUN_DB).is_file():
        yield Source(folder, RunStore)
        return
    if (folder / EVAL_DB).is_file():
        yield Source(folder, EvalStore)
        return
    is_loop = loop.is_loop(folder)
    if is_loop:
        yield ReportSource(folder, "loop")
    for certificate in _certificates_in(folder):
        yield ReportSource(certificate, "cleaned")
    if depth:
        for inner in _folders_in(folder):
            if not (is_loop and inner == loop.results_folder(folder)):
                yield from _under(inner, depth - 1)


def _certificates_in(folder: Path) -> list[Path]:
    """Return the certificates of cleaned files in a folder; none if it cannot be read."""
    return [one for one in _in(folder) if one.name.endswith(CERTIFICATE) and one.is_file()]


def _folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, without links; none if it cannot be read."""
    return [one for one in _in(folder) if one.is_dir() and not one.is_symlink()]


def _in(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _why_none(path: Path) -> str:
    if not path.exists():
        return "there is no such folder"
    if not path.is_dir():
        return (
            "is a file without a certificate of a cleaning next to it; name the folder of a run, "
            "an evaluation or a loop, or a file that evolcoder clean wrote"
        )
    return (
        "holds no run, evaluation, loop or cleaned file; evolcoder run, eval, loop and clean make "
        "them"
    )
