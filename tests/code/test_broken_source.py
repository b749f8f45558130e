"""Text that is Python in part gives what parses of it."""

from evolcoder.code.broken_source import defining_parts


def test_a_text_without_a_line_at_its_margin_defines_nothing():
    """Neither an empty text nor one that is indented as a whole has a top-level statement."""
    assert [defining_parts(text, {"x"}) for text in ("", "  x = 1", "\n\tx = (")] == [""] * 3
    assert defining_parts("It (\nx = 1\nthen (", {"x"}) == "x = 1"
