"""Untrusted YAML takes time, memory and stack in proportion to its text."""

import tracemalloc

import pytest
import yaml

from evolcoder.config.bounded_yaml import parse_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
REFUSED = {
    "brackets 50,000 deep": ("a: " + "[" * 50_000 + "]" * 50_000, "nested more than 100 deep"),
    "braces without end": ("{" * 50_000, "nested more than 100 deep"),
    "indents without end": ("".join(f"{' ' * n}a:\n" for n in range(200)), "nested more than"),
    "a list in a list": ("- " * 1000 + "x", "nested more than 100 deep"),
    "a billion laughs": (LAUGHS, "more than 50,000 values"),
    "an alias in itself": ("&a [*a]", "has no anchor before it"),
    "an alias of nothing": ("[*b]", "has no anchor before it"),
    "a text that aliases repeat": (
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 1000)}]", "more than 50,000 values"
    ),
    "too many values": ("[" + "1," * 60_000 + "]", "more than 50,000 values"),
    "a tag of Python": ("!!python/object/apply:os.system [true]", "could not determine"),
    "a NUL byte": ("a: \0", "special characters are not allowed"),
    "two documents": ("a: 1\n---\nb: 2\n", "expected a single document"),
    "cut off": ('a: "x', "unexpected end of stream"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_or_oversized_documents_are_refused(name):
    """Excess depth, size and aliases, tags and odd bytes raise YAML errors, never RecursionError."""
    text, why = REFUSED[name]
    with pytest.raises((yaml.YAMLError, ValueError), match=why):
        parse_yaml(text)


def test_a_refused_document_takes_little_memory():
    """Memory stays small although the document expands to a billion values."""
    tracemalloc.start()
    try:
        with pytest.raises(yaml.YAMLError):
            parse_yaml(LAUGHS)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: [1, 2]", {"a": [1, 2]}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("x: &x {a: 1}\ny: {<<: *x, b: 2}", {"x": {"a": 1}, "y": {"a": 1, "b": 2}}),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\ud83d"', "\ud83d"),
        ("[" * 100 + "]" * 100, None),
    ],
)
def test_plain_documents_are_read(text, value):
    """What stays within the bounds is read as YAML reads it, the deepest that is allowed too."""
    found = parse_yaml(text)
    if text.startswith("[["):
        assert str(found) == text
    else:
        assert found == value
