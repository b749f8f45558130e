"""Adversarial lines of the answer channel, which are expensive to decode or compare."""

PRIME = 2**61 - 1
"""All multiples of it have hash 0."""


def _value(packed):
    return b'["l","value",' + packed + b"]"


def _many(tag, members):
    return _value(b'["' + tag + b'",' + b",".join(members) + b"]")


def _colliding(size):
    return [b"%d" % (n * PRIME) for n in range(size // 21)]


LINES = {
    "colliding integers in a list": lambda size: _many(b"l", _colliding(size)),
    "colliding members of a set": lambda size: _many(b"s", _colliding(size)),
    "colliding keys of a dict": lambda size: _many(
        b"d", [*_colliding(size // 3 * 2), *[b"0"] * (size // 3 * 2 // 21)]
    ),
    "colliding tuples": lambda size: _many(b"s", [b'["t",%s]' % n for n in _colliding(size)]),
    "colliding frozensets": lambda size: _many(b"z", [b'["z",%s]' % n for n in _colliding(size)]),
    "one probe sequence": lambda size: _many(
        b"s", [b"%d" % (n << 40 | 1) for n in range(size // 15)]
    ),
    "equal floats and integers": lambda size: _many(
        b"s", [b"%d.0,%d" % (n * PRIME, n * PRIME + 1) for n in range(size // 44)]
    ),
    "deep nesting": lambda size: _value(b'["l",' * (size // 6) + b"1" + b"]" * (size // 6)),
    "nested as deep as it may be": lambda size: _many(
        b"l", [b'["l",' * 100 + b"1" + b"]" * 100] * (size // 601)
    ),
    "empty lists": lambda size: _many(b"l", [b'["l"]'] * (size // 6)),
    "empty dicts": lambda size: _many(b"l", [b'["d"]'] * (size // 6)),
    "one long integer": lambda size: _value(b"9" * size),
    "integers as long as they may be": lambda size: _many(b"l", [b"9" * 4300] * (size // 4301)),
    "one integer in hex": lambda size: _value(b'["i","' + b"f" * size + b'"]'),
    "many integers in hex": lambda size: _many(b"l", [b'["i","0xfff"]'] * (size // 14)),
    "floats": lambda size: _many(b"l", [b"0.1234567890123456"] * (size // 19)),
    "long floats": lambda size: _value(b"0." + b"1" * size),
    "escapes": lambda size: _value(b'"' + b"\\u1234" * (size // 6) + b'"'),
    "not a number": lambda size: _many(b"l", [b'["f","nan"]'] * (size // 12)),
    "keys": lambda size: _many(b"d", [b'"k%d"' % n for n in range(size // 10 // 2 * 2)]),
    "a text": lambda size: _value(b'"' + b"x" * size + b'"'),
    "a long error": lambda size: b'["l","raise","ValueError","' + b"x" * size + b'"]',
    "no data": lambda size: b"[" * size,
    "an object": lambda size: b"{" + b",".join([b'"%d":1' % n for n in range(size // 9)]) + b"}",
}
"""Name -> function that builds a line of about the given size."""
