"""A JSON stream keeps one value in memory, and every error names the line."""

import json
import tracemalloc
from io import BytesIO, RawIOBase

import pytest

from evolcoder import input_files
from evolcoder.input_files import NotJSONError, iter_values

ODD = [{"a": [1, "x, ]}"]}, -1.5e-300, True, None, "\ud83d", "\x00\u202e", {"a": {"a": {}}}, []]


class Dripping(RawIOBase):
    """Gives one byte at a time, like a slow pipe."""

    def __init__(self, data):
        self._left = BytesIO(data)

    def readable(self):
        return True

    def read(self, size=-1):
        return self._left.read(min(size, 1) if size >= 0 else -1)


class Endless(RawIOBase):
    """Gives a beginning, then the same bytes without end."""

    def __init__(self, head, piece, most=1 << 32):
        self._left = head
        self._piece = piece
        self._most = most

    def readable(self):
        return True

    def read(self, size=-1):
        assert size > 0, "what has no end was asked for whole"
        while len(self._left) < size and self._most > 0:
            self._left += self._piece * (1 << 16)
            self._most -= len(self._piece) << 16
        found, self._left = self._left[:size], self._left[size:]
        return found

    def readline(self, size=-1):
        return self.read(size)


def read(data):
    return [value for _, value in iter_values(BytesIO(data))]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_and_lines_give_the_same_values(mark, indent):
    """With or without a byte order mark, on one or many lines, with any text."""
    array = mark + json.dumps(ODD, indent=indent).encode()
    lines = mark + b"\r\n\n".join(json.dumps(one).encode() for one in ODD)
    assert read(array) == read(lines) == ODD


def test_where_a_file_is_cut_into_pieces_does_not_matter():
    """Escapes, numbers and multi-byte letters across read boundaries are parsed correctly."""
    wanted = [*ODD, "\u00e4\U0001f600", 12345678901234567890]
    data = json.dumps(wanted, ensure_ascii=False).encode("utf-8", "surrogatepass")
    data = data.replace("\ud83d".encode("utf-8", "surrogatepass"), b"\\ud83d")
    assert list(input_files.iter_array(Dripping(data))) == wanted


REFUSED = {
    "deep lists": (b"[" * 200_000, "line 1 cannot be read"),
    "deep objects": (b'{"a":' * 200_000, "begins on line 1 cannot be read"),
    "a deep second row": (b"[1,\n" + b"[" * 200_000, "line 2 cannot be read"),
    "a number of a million digits": (b"[" + b"9" * 1_000_000 + b"]", "line 1 cannot be read"),
    "a number in a line": (b"1\n" + b"9" * 1_000_000, "begins on line 2 cannot be read"),
    "an array cut off": (b'[{"a": 1},\n{"a": ', "line 2 is not JSON"),
    "an array without its end": (b"[1, 2", "line 1 is not JSON"),
    "a line cut off": (b'{"a": 1}\n{"a": ', "line 2 is not JSON"),
    "a comma too many": (b"[1,\n]", "line 2 is not JSON"),
    "no comma": (b"[1\n2]", "line 2 is not JSON"),
    "more behind the end": (b"[1]\nx", "line 2 is not JSON .Extra data 'x'"),
    "NUL bytes": (b"\0" * 100, "line 1 is not JSON"),
    "a NUL byte in an array": (b"[1,\n\0]", "line 2 is not JSON"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "line 1 is not UTF-8 .*, but UTF-16"),
    "a lone surrogate": (b'["a",\n"\xed\xa0\x80"]', "line 2 is not UTF-8"),
    "a lone surrogate in a line": (b'"a"\n"\xed\xa0\x80"', "line 2 is not UTF-8"),
    "a letter cut off": (b'["\xc3', "is not UTF-8"),
    "a control character": (b'["\x01"]', "line 1 is not JSON"),
    "blanks without end": (b"\n" * (2 << 20), "million blanks"),
    "a mark in the middle": (b"1\n\xef\xbb\xbf2", "line 2 is not JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_json_says_on_which_line(name):
    """Depth, long numbers, truncation, invalid bytes and blanks raise a one-line error."""
    data, why = REFUSED[name]
    with pytest.raises(NotJSONError, match=why) as raised:
        read(data)
    assert len(str(raised.value)) < 300
    assert "\n" not in str(raised.value)


def test_of_a_name_that_comes_twice_the_last_counts():
    """Duplicate keys are treated as in `json`."""
    assert read(b'{"a": 1, "a": 2}') == [{"a": 2}]


@pytest.mark.parametrize("head", [b'["', b'"', b'[{"a": "'])
def test_a_value_without_end_is_refused_in_bounded_memory(monkeypatch, head):
    """An endless text is refused at the maximum length of a value."""
    monkeypatch.setattr(input_files, "MAX_MB", 4)
    tracemalloc.start()
    try:
        with pytest.raises(NotJSONError, match="longer than 4 MB"):
            list(iter_values(Endless(head, b"x")))
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("head", "piece"), [(b"[[", b"[],"), (b"[", b"{},")])
def test_parts_are_bounded_and_rows_are_not(monkeypatch, head, piece):
    """One value of very many empty lists is refused; many small values are read."""
    monkeypatch.setattr(input_files, "MAX_PARTS", 100_000)
    found = input_files.iter_array(Endless(head, piece))
    if head == b"[":
        assert [next(found) for _ in range(300_000)][-1] == {}
    else:
        with pytest.raises(NotJSONError, match="more than 100,000 parts"):
            next(found)
