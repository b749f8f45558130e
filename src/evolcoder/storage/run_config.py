"""Compares the config that a run was made with to the one that it is resumed with.

What may change is allowed by name: places and credentials of models, checks that are added, more
answers to each task, and a style that the run has chosen itself. All else is the run's.

>>> style_of({"evolve": {"style": "rewrite"}}), style_of({})
('rewrite', 'append')
"""

import json
from collections.abc import Mapping
from typing import Any

from evolcoder.config.load import Config, without_addresses
from evolcoder.credentials import without_logins
from evolcoder.records import Check
from evolcoder.text import json_text, one_line

LATER_SECTIONS = frozenset({"verify"})
"""Config sections added after the first version; they are missing from older runs."""


def style_of(config: Mapping[str, Any]) -> str:
    """Return the style in a stored config; earlier versions appended and stored none."""
    evolve = config.get("evolve")
    given = evolve.get("style", "append") if isinstance(evolve, Mapping) else "append"
    return str(given)


def values_of(
    key: str, before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[object, object] | None:
    """Return both values of a dotted key, unless they may hold a secret."""
    if "extra_headers" in key or "extra_body" in key:
        return None
    return _value(before, key), _value(now, key)


def _value(config: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - plain data
    """Return the value under a dotted key, whose parts may contain dots; None if there is none."""
    found: Any = config
    names = key.split(".")
    while names and isinstance(found, Mapping):
        n = next((n for n in range(len(names), 0, -1) if ".".join(names[:n]) in found), None)
        if n is None:
            return None
        found, names = found[".".join(names[:n])], names[n:]
    return found


def with_known_verification(
    known: Mapping[str, Any], config: Config, fingerprinted: dict[str, Any]
) -> tuple[Config, dict[str, Any]]:
    """Add the checks that a run has to a config: checks may be added to a run, and none leaves.

    Checks and drops that were not given are the run's: the defaults were others earlier.
    """
    section = known.get("verify", {})
    checks, given = section.get("checks", ()), config.verify.model_fields_set
    if "verify" not in fingerprinted or not isinstance(checks, list):
        return config, fingerprinted
    added = config.verify.checks if "checks" in given else ()
    both = [check for check in Check if check in {*checks, *added}]
    is_given = "drop" in given or "drop" not in section
    drop = config.verify.drop if is_given else tuple(section["drop"])
    section["checks"] = plain = [check.value for check in both]
    changed = config.model_copy(
        update={"verify": config.verify.model_copy(update={"checks": tuple(both), "drop": drop})}
    )
    verify = {**fingerprinted["verify"], "checks": plain, "drop": list(drop)}
    return changed, {**fingerprinted, "verify": verify}


def allow_more_answers(known: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Let a config ask for more answers to a task than the run did; see `pending.reopen_answers`.

    How several are asked for and judged is kept once several are.
    """
    before, now = known.get("respond"), given["respond"]
    if not isinstance(before, dict):
        return
    n_before, n_now = before.get("candidates", 1), now.get("candidates", 1)
    if n_before == 1 < n_now:
        known["respond"] = {**now, **before}
    elif isinstance(n_before, int) and n_before < n_now:
        known["respond"] = {**before, "candidates": n_now}


def comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Remove credentials from URLs and addresses from models: earlier versions stored them."""
    plain: dict[str, Any] = json.loads(without_logins(json.dumps(config)))
    return without_addresses(plain)


def describe_changes(settings: Mapping[str, tuple[object, object] | None]) -> str:
    """Name settings, then the value that each had and the one given now, unless it is None.

    >>> describe_changes({"epochs": (2.0, None), "rows": None})
    'epochs, rows (epochs: there 2.0, now null)'
    """
    values = []
    for name, pair in settings.items():
        if pair is not None:
            there, now = (one_line(without_logins(json_text(value)), 60) for value in pair)
            values.append(f"{name}: there {there}, now {now}")
    names = ", ".join(settings)
    return f"{names} ({'; '.join(values)})" if values else names
