"""What another machine says of its trainings is kept, once and whole."""

import json

import pytest

from evolcoder.errors import BenchError
from evolcoder.loop.store import LoopStore
from evolcoder.loop.travel import note

FIRST = {"arm": "seed", "seed": 0, "seconds": 61.5, "outcome": {"folder": "/there", "n_steps": 3}}
SECOND = {"arm": "round-1", "seed": 1, "seconds": 9.0, "failed": "é"}
WHOLE, LAST = (json.dumps(one, ensure_ascii=False).encode() for one in (FIRST, SECOND))


@pytest.fixture
def noted(tmp_path):
    """Write what another machine says, and return the names and seconds that are kept of it."""

    def note_text(text):
        (tmp_path / "trainings.jsonl").write_bytes(text)
        with LoopStore.create(tmp_path / "loop") as store:
            note(store, tmp_path)
            return kept(store)

    return note_text


def kept(store):
    assert not any("/there" in step.detail for step in store.steps())
    return [(step.name, step.seconds) for step in store.steps()]


def test_a_training_is_noted_once_and_without_its_place(noted, tmp_path):
    """Taken in again, with the rest of the lines, it is not counted twice; no file is no training."""
    with LoopStore.create(tmp_path / "loop") as store:
        note(store, tmp_path)
        assert store.steps() == []
    moved = WHOLE.replace(b"/there", b"/elsewhere")
    assert noted(b"\n".join([WHOLE, moved, b""])) == [("seed, seed 0", 61.5)]
    both = [("seed, seed 0", 61.5), ("round-1, seed 1", 9.0)]
    assert noted(b"\n".join([WHOLE, moved, LAST, LAST, b""])) == both


@pytest.mark.parametrize("n_bytes", [1, len(LAST) - 3, len(LAST) - 1])
def test_a_last_line_that_a_kill_has_cut_is_left_out(noted, n_bytes):
    """Also amid a letter of several bytes; what was written before it is kept."""
    assert noted(WHOLE + b"\n" + LAST[:n_bytes]) == [("seed, seed 0", 61.5)]


@pytest.mark.parametrize(
    "text",
    [
        LAST[:9] + WHOLE + b"\n" + LAST + b"\n",
        b'{"arm": "seed", "seed": 0}\n' + WHOLE,
        b"[]\n" + WHOLE,
        b'{"arm": "seed", "seed": 0, "seconds": null}\n',
        b'{"arm": "seed", "seed": 0, "seconds": "long"}\n',
    ],
    ids=["cut", "no-seconds", "no-object", "null", "no-number"],
)
def test_another_broken_line_is_named_and_nothing_is_noted(noted, tmp_path, text):
    """A line that no kill can have left says where it stands."""
    with pytest.raises(BenchError) as caught:
        noted(text)
    assert str(caught.value).startswith(f"{tmp_path / 'trainings.jsonl'} line 1: no training: ")
    with LoopStore.read(tmp_path / "loop") as store:
        assert kept(store) == []
