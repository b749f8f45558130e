"""A failed check's number in a sealed program's output is parsed as a small number or ignored."""

import pytest

from evolcoder.sandbox.language import Seal, SealWords


@pytest.mark.parametrize(
    ("said", "number"),
    [("t1 3 failed", 3), ("t1 0 failed", 0), (f"t1 {'9' * 10} failed", -1),
     (f"t1 {'9' * 9000} failed", -1), ("t0 3 failed", None), ("", None)],
    ids=range(6),
)  # fmt: skip
def test_a_number_of_any_length_is_read(said, number):
    """A program that knows its token may write more digits than Python converts."""
    assert Seal().failed_check(SealWords("t0", "t1", "t2"), f"before\n{said}\nbehind") == number
