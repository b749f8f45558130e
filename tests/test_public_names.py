"""The public face is what `__all__` says, sorted and importable."""

import evolcoder


def test_all_is_sorted_and_real():
    """Every public name exists, once, in order."""
    assert evolcoder.__all__ == sorted(set(evolcoder.__all__))
    assert all(hasattr(evolcoder, name) for name in evolcoder.__all__)
