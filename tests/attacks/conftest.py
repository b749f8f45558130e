"""Tests here run programs."""

from driver import at_every_level, at_weaker_levels, sandbox, sandbox_with_pandas  # noqa: F401 - fixtures

SAMPLED = {"test_other_languages.py", "test_own_process.py"}
"""Files whose attacks aim at the harness of a language, which is the same at every level."""


def pytest_collection_modifyitems(config, items):
    """Below `strict` keep one attack of each language and test; `--all-levels` keeps all.

    An attack compiles for seconds. `make bench-attacks` runs all of them at every level.
    """
    if config.getoption("--all-levels"):
        return
    seen, left_out = set(), []
    for item in items:
        if item.path.name not in SAMPLED or item.get_closest_marker("levels") is None:
            continue
        key = (item.path, item.originalname, language_of(item.callspec.params))
        if key in seen:
            left_out.append(item)
        seen.add(key)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        dropped = set(left_out)
        items[:] = [item for item in items if item not in dropped]


def language_of(params):
    """Return the language of a test's attack."""
    attack = params.get("row") or params.get("attack")
    return attack.language if attack is not None else params.get("language")
