"""Another machine's trainings are stored once, and its files are bounded."""

import gzip
import json
import os

import pytest

from evolcoder.errors import BenchError
from evolcoder.experiment import remote_bundle
from evolcoder.experiment.remote_bundle import read_samples, sample_files, store_trainings
from evolcoder.experiment.store import LoopStore

FIRST = {"arm": "seed", "seed": 0, "seconds": 61.5, "outcome": {"folder": "/there", "n_steps": 3}}
SECOND = {"arm": "round-1", "seed": 1, "seconds": 9.0, "failed": "é"}
WHOLE, LAST = (json.dumps(one, ensure_ascii=False).encode() for one in (FIRST, SECOND))


@pytest.fixture
def noted(tmp_path):
    """Write another machine's trainings, and return the stored names and seconds."""

    def note_text(text):
        (tmp_path / "trainings.jsonl").write_bytes(text)
        with LoopStore.create(tmp_path / "loop") as store:
            store_trainings(store, tmp_path)
            return kept(store)

    return note_text


def kept(store):
    assert not any("/there" in step.detail for step in store.steps())
    return [(step.name, step.seconds) for step in store.steps()]


def test_a_training_is_noted_once_and_without_its_place(noted, tmp_path):
    """Read again with further lines, a training is stored once; a missing file is no training."""
    with LoopStore.create(tmp_path / "loop") as store:
        store_trainings(store, tmp_path)
        assert store.steps() == []
    moved = WHOLE.replace(b"/there", b"/elsewhere")
    assert noted(b"\n".join([WHOLE, moved, b""])) == [("seed, seed 0", 61.5)]
    both = [("seed, seed 0", 61.5), ("round-1, seed 1", 9.0)]
    assert noted(b"\n".join([WHOLE, moved, LAST, LAST, b""])) == both


@pytest.mark.parametrize("n_bytes", [1, len(LAST) - 3, len(LAST) - 1])
def test_a_last_line_that_a_kill_has_cut_is_left_out(noted, n_bytes):
    """A truncated line is ignored, also within a multi-byte character; earlier lines are stored."""
    assert noted(WHOLE + b"\n" + LAST[:n_bytes]) == [("seed, seed 0", 61.5)]


@pytest.mark.parametrize(
    "text",
    [
        LAST[:9] + WHOLE + b"\n" + LAST + b"\n",
        b'{"arm": "seed", "seed": 0}\n' + WHOLE,
        b"[]\n" + WHOLE,
        b'{"arm": "seed", "seed": 0, "seconds": null}\n',
        b'{"arm": "seed", "seed": 0, "seconds": "long"}\n',
        b'{"arm": "seed", "seed": 0, "seconds": NaN}\n',
        b'{"arm": "seed", "seed": 0, "seconds": -1}\n',
        b'{"arm": "seed", "seed": 0, "seconds": 1, "outcome": []}\n',
        b"[" * 100_000 + b"\n",
    ],
    ids=[
        "cut",
        "no-seconds",
        "no-object",
        "null",
        "no-number",
        "no end",
        "below zero",
        "no outcome",
        "deep",
    ],
)
def test_another_broken_line_is_named_and_nothing_is_noted(noted, tmp_path, text):
    """An invalid line that is not truncated is an error with its line number."""
    with pytest.raises(BenchError) as caught:
        noted(text)
    assert str(caught.value).startswith(f"{tmp_path / 'trainings.jsonl'} line 1: no training: ")
    with LoopStore.read(tmp_path / "loop") as store:
        assert kept(store) == []


SAMPLE = {"bench": "b", "problem": "p", "number": 0, "text": "x = 1", "finish": "stop"}


def lines(*samples):
    return "".join(json.dumps(sample) + "\n" for sample in samples).encode()


def test_samples_come_back_as_they_were_sent(tmp_path):
    """The samples of a model are in a file of its key."""
    sent = [{**SAMPLE, "number": n, "text": f"é{n}"} for n in range(3)]
    (tmp_path / "k.jsonl.gz").write_bytes(gzip.compress(lines(*sent)))
    (tmp_path / "notes.txt").touch()
    files = sample_files(tmp_path)
    assert list(files) == ["k"]
    found = read_samples(files["k"])
    assert [(one["number"], one["text"]) for one in found] == [(0, "é0"), (1, "é1"), (2, "é2")]


NO_SAMPLES = {
    "no gzip": lines(SAMPLE),
    "cut off": gzip.compress(lines(*[{**SAMPLE, "number": n} for n in range(99)]))[:-20],
    "nothing packed": b"",
    "no JSON": gzip.compress(b"{text: 1}\n"),
    "a list": gzip.compress(b"[1, 2]\n"),
    "not UTF-8": gzip.compress(b'{"text": "\xff"}\n'),
    "deep": gzip.compress(b"[" * 100_000),
    "a sample twice": gzip.compress(lines(SAMPLE, {**SAMPLE, "text": "other"})),
    "a number below zero": gzip.compress(lines({**SAMPLE, "number": -1})),
    "a number beyond all": gzip.compress(lines({**SAMPLE, "number": 1 << 70})),
    "a number in words": gzip.compress(lines({**SAMPLE, "number": "0"})),
    "a number that is true": gzip.compress(lines({**SAMPLE, "number": True})),
    **{
        f"no {name}": gzip.compress(lines({k: v for k, v in SAMPLE.items() if k != name}))
        for name in remote_bundle.SAMPLE_KEYS
    },
    "a text that is a list": gzip.compress(lines({**SAMPLE, "text": ["x"]})),
}


@pytest.mark.parametrize("case", NO_SAMPLES)
def test_what_is_no_file_of_samples_is_one_line(tmp_path, case):
    """The error names the file, and the line if there are lines."""
    path = tmp_path / "k.jsonl.gz"
    path.write_bytes(NO_SAMPLES[case])
    if case == "nothing packed":
        assert read_samples(path) == []
        return
    with pytest.raises(BenchError, match=r"k\.jsonl\.gz: no samples of a model: ") as caught:
        read_samples(path)
    assert "\n" not in str(caught.value)


BOMBS = {
    "one line": lambda: [b'{"text": "', *[b"x" * (1 << 20)] * 200],
    "one text after another": lambda: [
        lines({**SAMPLE, "number": n, "text": "x" * (1 << 20)}) for n in range(40)
    ],
    "one sample after another": lambda: [
        lines(*({**SAMPLE, "number": n} for n in range(start, start + 100)))
        for start in range(0, 2000, 100)
    ],
    "blanks": lambda: [b"\n" * (1 << 20)] * 40,
    "empty lists": lambda: [b"[", *[b"[]," * (1 << 18)] * 40],
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, case, monkeypatch):
    """Unpacked data is bounded: lines, texts, samples and parts of one value."""
    monkeypatch.setattr(remote_bundle, "MAX_MB", 16)
    monkeypatch.setattr(remote_bundle, "MAX_SAMPLES", 1000)
    path = tmp_path / "k.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for piece in BOMBS[case]():
            file.write(piece)
    with pytest.raises(BenchError, match="no samples of a model"):
        read_samples(path)


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder"])
@pytest.mark.parametrize("name", ["k.jsonl.gz", "trainings.jsonl"])
def test_what_is_no_file_is_neither_followed_nor_waited_for(tmp_path, kind, name):
    """A link in another machine's folder is refused."""
    folder = tmp_path / "back"
    folder.mkdir()
    makes = {
        "a link": lambda path: path.symlink_to("/etc/passwd"),
        "a pipe": os.mkfifo,
        "a folder": lambda path: path.mkdir(),
    }
    makes[kind](folder / name)
    with LoopStore.create(tmp_path / "loop") as store, pytest.raises(BenchError, match=kind):
        store_trainings(store, folder)
        for path in sample_files(folder).values():
            read_samples(path)
