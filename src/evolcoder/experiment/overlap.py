"""A dev set decides when to stop, so none of its problems may be among those that are reported.

Promises: problems are the same if their ids are, or their words with case, blanks and punctuation
taken away. MBPP+ holds problems of all of MBPP's splits, so it shares 147 of mbpp-dev's 464.

>>> shared({"Mbpp/601": "Add."}, {"Mbpp/601": "Add two numbers."})
('Mbpp/601',)
"""

import re
from collections.abc import Mapping

from evolcoder.bench.scores import Outcomes
from evolcoder.errors import ConfigError

_NO_WORDS = re.compile(r"[\W_]+")


def shared(dev: Mapping[str, str], test: Mapping[str, str]) -> tuple[str, ...]:
    """Return the problems of the dev set that a test has too, by id or by words."""
    ids, texts = set(test), {_plain(text) for text in test.values()}
    return tuple(id for id, text in dev.items() if id in ids or _plain(text) in texts)


def dev_problems(
    name: str,
    dev: Mapping[str, str],
    tests: Mapping[str, Mapping[str, str]],
    *,
    leave_out: bool,
) -> frozenset[str]:
    """Return the problems that may decide, or refuse: a run is not reported on its dev set."""
    found = {test: shared(dev, problems) for test, problems in tests.items()}
    found = {test: problems for test, problems in found.items() if problems}
    left = frozenset(dev).difference(*found.values())
    if found and not leave_out:
        counts = ", ".join(f"{len(problems)} with {test}" for test, problems in found.items())
        raise ConfigError(
            f"dev.bench: {name} shares problems with what is reported ({counts}); "
            f"dev.leave_out_tests=true decides on the other {len(left)}"
        )
    if not left:
        raise ConfigError(f"dev.bench: all of {name} is among the reported tests; name another")
    return left


def only(outcomes: Outcomes, problems: frozenset[str]) -> Outcomes:
    """Keep the outcomes of some problems."""
    return {problem: found for problem, found in outcomes.items() if problem in problems}


def _plain(text: str) -> str:
    return _NO_WORDS.sub("", text.lower())
