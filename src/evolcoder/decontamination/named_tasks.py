r"""Finds leaks by the name of a problem's function together with some of its words or its tests.

The sentence of a short task of which three words are changed has no ten words in a row, and names
alone, such as `is_prime`, are common. Both together tell: a row that calls or defines the function
of a problem by its name, which has at least two parts, and whose task says `MIN_COVERAGE` of what
is left of the problem's words without the name in one sentence, or that shows `MIN_CHECKS` of its
tests with their results. Names of more than `MAX_OWNERS` problems of a benchmark say nothing.

    for match in NamedTasks(items).find(read(row.task), read(row.answer)): ...
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evolcoder.code.normalize import NormalizedText, words_of
from evolcoder.decontamination.hits import BenchmarkText, RowField, TextSpan
from evolcoder.decontamination.ngrams import Vocabulary

MIN_COVERAGE = 0.35
"""Minimum share of the information of a problem's words, but those of the name, in a sentence."""
MIN_BITS = 9.0
"""Minimum information of these words, without those of the name."""
MIN_CHECKS = 2
"""Minimum tests of a problem that a row shows, each with its result."""
MIN_CHECK_CHARS = 8
"""Minimum characters of a test without the name: `(2)==4` is chance."""
MAX_OWNERS = 2
"""Maximum problems of a benchmark whose functions share a name."""
_NAME = re.compile(r"\b[A-Za-z]\w*(?=\s*\()|(?<=`)[A-Za-z]\w*(?=`)")
_HAS_PARTS = re.compile(r"[A-Za-z]+\d*_+[A-Za-z\d]|[a-z][A-Z][a-z]")
_CHECK = re.compile(r"^\s*assert\s+(\w+\(.*\)\s*==\s*[^,\n]+?)\s*(?:,\s*[\"'].*)?$", re.MULTILINE)
_CANDIDATE = re.compile(r"\bcandidate(?=\()")


@dataclass(frozen=True, slots=True)
class NamedMatch:
    """A problem whose function a row names."""

    item: int
    """Its index."""
    part: RowField
    """Where its words or tests are."""
    side: TextSpan
    """What was found: its prompt, or its tests."""
    seen: str
    """The name, with what else was found."""
    score: float
    """Share of its words, or number of its tests."""


class NamedTasks:
    """The problems by the names of their functions."""

    def __init__(self, items: Sequence[BenchmarkText]) -> None:
        self._items = items
        self._vocabulary = Vocabulary(items)
        owners: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for at, item in enumerate(items):
            for name in item.entry_points:
                if _HAS_PARTS.match(name):
                    owners[item.benchmark, name].append(at)
        self._owners: defaultdict[str, list[int]] = defaultdict(list)
        for (_, name), found in owners.items():
            self._owners[name] += found if len(found) <= MAX_OWNERS else []

    def find(self, task: NormalizedText, answer: NormalizedText) -> Iterator[NamedMatch]:
        """Yield the problems that a row names, and of which it has enough else."""
        parts = {RowField.TASK: task, RowField.ANSWER: answer}
        names = {name for text in parts.values() for name in _NAME.findall(text.prose)}
        known = sorted(names & self._owners.keys())
        shown = {part: _compact(text.prose) for part, text in parts.items() if known}
        phrases = task.phrases() if known else frozenset[tuple[str, ...]]()
        for at, name in [(at, one) for one in known for at in self._owners[one]]:
            checks = self._checks(at, name)
            for part, text in shown.items():
                n_shown = sum(check in text for check in checks)
                if n_shown >= MIN_CHECKS:
                    seen = f"{name} with {n_shown} of its tests"
                    yield NamedMatch(at, part, TextSpan.TESTS, seen, n_shown)
            said, share, bits = self._best(at, name, phrases)
            if share >= MIN_COVERAGE and bits >= MIN_BITS:
                seen = f"{name} with the words {' '.join(said)}"
                yield NamedMatch(at, RowField.TASK, TextSpan.PROMPT, seen, share)

    def _checks(self, at: int, name: str) -> set[str]:
        """Return the tests of a problem that compare a call of its function."""
        tests = _CANDIDATE.sub(name, self._items[at].tests)
        found = {_compact(check) for check in _CHECK.findall(tests) if check.startswith(name)}
        return {check for check in found if len(check) >= len(name) + MIN_CHECK_CHARS}

    def _best(
        self, at: int, name: str, phrases: frozenset[tuple[str, ...]]
    ) -> tuple[tuple[str, ...], float, float]:
        """Return the sentence that says most of a task but its name, with its share and bits."""
        own = set(words_of(name))
        found: tuple[tuple[str, ...], float, float] = ((), 0.0, 0.0)
        for form in self._vocabulary.forms(at):
            wanted = form.keys() - own
            whole = sum(form[word] for word in wanted)
            for words in phrases:
                bits = sum(form[word] for word in sorted(wanted.intersection(words)))
                if whole and (bits, words) > (found[2], found[0]):
                    found = words, bits / whole, bits
        return found


def _compact(text: str) -> str:
    return "".join(text.split()).replace("'", '"')
