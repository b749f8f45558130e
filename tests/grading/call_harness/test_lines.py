"""Forged lines are compared as cheaply as honest ones, and never raise."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolcoder.grading.call_harness.registry import HARNESSES
from groups import sampled

TOKENS = [
    *("", " ", "\u2260", "?", "NA", "NaN", "Inf", "NULL", "names", "dim", "dimnames", "l2", "b1", "d0"),
    *("d2", "d999999999", "d-1", "1", "-1", "1.5", "1e5", "1e9999", "-", ".", "1/0", "1/3", "0.3333"),
    *("+inf.0", "-inf.0", "+nan.0", "9" * 500, "0.001", "(", ")", "{", "}", '"a"', "\x00", "\xff", "é"),
]  # fmt: skip
LINES = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from(TOKENS), max_size=12).map(lambda found: " ".join(found).encode()),
)
GREW_FOR_TWICE_AS_MUCH = 4.0
"""Twice in theory, and as much again for a busy machine."""


@pytest.mark.parametrize("language", sampled(HARNESSES, 4))
@given(got=LINES, expected=LINES)
def test_no_line_raises(language, got, expected):
    """Neither line has to be well-formed."""
    assert HARNESSES[language].same(got, expected) in {True, False}


@pytest.mark.parametrize("language", sampled(HARNESSES, 4))
@given(line=LINES)
def test_other_bytes_before_or_after_make_another_line(language, line):
    """A line with another prefix or suffix is different."""
    assert not HARNESSES[language].same(b"% " + line, line)


HOSTILE = {
    "digits": lambda n: b"1" * n,
    "numbers": lambda n: b"1 " * (n // 2),
    "near numbers": lambda n: b"1.00000000001 " * (n // 14),
    "fractions": lambda n: (b"7" * 399 + b"/" + b"3" * 399 + b" ") * (n // 800),
    "one vector": lambda n: b"d%d " % (n // 4) + b"1.5 " * (n // 4),
    "many vectors": lambda n: b"d1 2 " * (n // 5),
    "brackets": lambda n: b"( " * (n // 2),
    "quotes": lambda n: b'"' * n,
    "backslashes": lambda n: b"\\" * n,
    "spaces": lambda n: b" " * n,
    "nested lists": lambda n: b"[" * (n // 2) + b"]" * (n // 2),
    "objects": lambda n: b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6),
    "one object": lambda n: b"{%s}" % b",".join(b'"%d":1' % at for at in range(n // 9)),
    "nested types": lambda n: b"tuple<" * (n // 7) + b">" * (n // 7) + b" 1",
    "a number of a type": lambda n: b"i64 " + b"1" * n,
    "a small number": lambda n: b"f64 0." + b"0" * n + b"1",
    "a large exponent": lambda n: b"double 1e" + b"9" * n,
    "short floats": lambda n: b"1.5f32, " * (n // 8),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize(
    "language", sampled(["java", "cpp", "csharp", "javascript", "r", "racket", "rust"], 4)
)
def test_a_line_twice_as_long_costs_twice_as_much(language, kind):
    """For any content, and whether the expected line is similar or short."""
    same, made = HARNESSES[language].same, HOSTILE[kind]

    def cost(size):
        line, head = made(size), b"0.001 " if language == "racket" else b""
        wanted = head + line.replace(b"1.5", b"1.6").replace(b"7", b"8")
        begun = time.process_time()
        same(line, wanted)
        same(line, head + b"1")
        return time.process_time() - begun

    small = min(cost(100_000) for _ in range(3))
    large = min(cost(200_000) for _ in range(3))
    assert large < GREW_FOR_TWICE_AS_MUCH * small + 0.01


def test_a_reference_that_csharp_compares_equals_nothing():
    """A list in a test is another object than the result, even if the line claims otherwise."""
    same = HARNESSES["csharp"].same
    for text in ("\u2260", "( T \u2260 )"):
        assert not same(text.encode(), text.encode())
    assert same(b'"a"', b'"a"')


@pytest.mark.parametrize(
    "kind", ["bool", "i64", "u8", "f32", "f64", "f128", "optional<bool>", "near"]
)
@pytest.mark.parametrize(
    "word", ["0", "1", "2", "true", "false", "yes", "", "1e0", "nan", "inf", "0x1"]
)
@pytest.mark.parametrize("wanted", ["i64", "u64", "f64", "bool"])
def test_no_line_of_cpp_equals_two_numbers(kind, word, wanted):
    """A program may write any line, also one that no value has."""
    values = ("false", "true") if wanted == "bool" else ("0", "1", "2")
    lines = [f"{wanted} {value}".encode() for value in values]
    assert sum(HARNESSES["cpp"].same(f"{kind} {word}".encode(), line) for line in lines) <= 1
