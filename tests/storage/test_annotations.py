"""Flags and notes in a file that several viewers append to."""

import threading

import pytest

from evolcoder.errors import RunFolderError
from evolcoder.storage.annotations import (
    ANNOTATIONS_NAME,
    Annotation,
    annotate,
    read_annotations,
)


def test_the_last_line_about_a_row_counts(tmp_path):
    """Flag and note are replaced together; taken back, the row has no annotation."""
    annotate(tmp_path, "a", Annotation(is_flagged=True))
    annotate(tmp_path, "a", Annotation(note="wrong\nunit \u202e"))
    annotate(tmp_path, "b", Annotation(is_flagged=True, note="x"))
    found = read_annotations(tmp_path)
    assert found.by_id == {"a": Annotation(note="wrong\nunit \u202e"), "b": Annotation(True, "x")}
    assert found.flagged == {"b"}
    annotate(tmp_path, "b", Annotation())
    assert read_annotations(tmp_path).by_id.keys() == {"a"}


def test_lines_of_others_are_counted_and_left(tmp_path):
    """A line that was cut off takes no later one with it."""
    path = tmp_path / ANNOTATIONS_NAME
    cut = b'[1]\n{"row": 1, "flag": true, "note": ""}\n\xff\n{"row": "a", "fl'
    path.write_bytes(cut)
    annotate(tmp_path, "b", Annotation(is_flagged=True))
    found = read_annotations(tmp_path)
    assert (found.flagged, found.n_unreadable) == ({"b"}, 4)
    assert path.read_bytes().startswith(cut)


def test_writers_at_once_lose_nothing(tmp_path):
    """Lines of several writers do not mix."""

    def write(n):
        for at in range(20):
            annotate(tmp_path, f"{n}-{at}", Annotation(note="x" * 3_000))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    found = read_annotations(tmp_path)
    assert (len(found.by_id), found.n_unreadable) == (80, 0)


def test_a_link_out_of_the_run_is_refused(tmp_path):
    """A run of other people makes us write nowhere else."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ANNOTATIONS_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="a link leads out"):
        annotate(tmp_path / "run", "a", Annotation(is_flagged=True))
    assert not (tmp_path / "elsewhere").exists()
