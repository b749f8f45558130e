"""Content hashes and seeded randomness: equal input gives equal ids and equal random choices."""

import hashlib
import json
import random

# Plain data has no cycles, and checking for them takes a third of the time.
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False
)
ID_BYTES = 16
"""128 bits: no collision is expected below 10**18 records."""


def canonical_json(value: object) -> bytes:
    """Serialise plain data canonically: equal values give equal bytes."""
    return _ENCODER.encode(value).encode("ascii")


def content_id(kind: str, value: object) -> str:
    """Hash plain data to a hex id; `kind` separates the ids of different kinds of data."""
    digest = hashlib.sha256(kind.encode() + b"\0" + canonical_json(value))
    return digest.hexdigest()[: 2 * ID_BYTES]


def seed_for(seed: int, *names: str | int) -> int:
    """Derive a 31-bit seed from a root seed and a path of names."""
    return int(content_id("rng", [seed, *names])[:8], 16) >> 1


def rng_for(seed: int, *names: str | int) -> random.Random:
    """Derive an independent generator from a root seed and a path of names."""
    return random.Random(int(content_id("rng", [seed, *names]), 16))
