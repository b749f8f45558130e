"""Ids and seeded randomness depend only on content."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from evolcoder.ids import canonical_json, content_id, rng_for, seed_for

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON)
def test_canonical_json_does_not_depend_on_key_order(value):
    """Reversing every dictionary does not change the bytes."""

    def reversed_keys(data):
        if isinstance(data, dict):
            return {key: reversed_keys(data[key]) for key in reversed(list(data))}
        return [reversed_keys(item) for item in data] if isinstance(data, list) else data

    assert canonical_json(reversed_keys(value)) == canonical_json(value)


def test_ids_are_the_same_in_every_process():
    """Hash randomisation does not affect ids or seeds."""
    code = (
        "from evolcoder.ids import *; print(content_id('t', ['ä', 1]), rng_for(1, 'a').random(),"
        " seed_for(7, 'x', 3))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    expected = f"{content_id('t', ['ä', 1])} {rng_for(1, 'a').random()} {seed_for(7, 'x', 3)}\n"
    assert runs == {expected}


def test_unlike_things_have_unlike_ids():
    """The kind and every name of a path are part of the hash."""
    assert content_id("task", "x") != content_id("response", "x")
    assert rng_for(1, "a", "b").random() != rng_for(1, "ab").random()
    assert 0 <= seed_for(1, "a") < 2**31
