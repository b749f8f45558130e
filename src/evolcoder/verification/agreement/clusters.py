"""Groups answers to a task by what they did on the same inputs, and chooses among the groups.

Nothing runs here: the same observations give the same choice, whatever the order in which the
answers came. `choose` describes the rules.

>>> same_value([0.1 + 0.2, "a"], [0.3, "a"])
True
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evolcoder.records import JSON, ResponseCandidate
from evolcoder.safe_repr import safe_repr
from evolcoder.text import one_line
from evolcoder.verification.agreement.inputs import InputOrigin, Probe

AGREED, UNVERIFIED = "agreed", "unverified"
"""Findings. Values are stored; never rename one."""
WHY: Mapping[str, str] = {
    "one_answer": "fewer than two answers are usable",
    "no_callable": "the answers share no function, class or program that can be run",
    "library": "the answers need a library that the sandbox lacks",
    "language": "functions in this language cannot be called here",
    "no_inputs": "no input is known on which most answers return or print anything",
    "differ": "too few answers behave alike",
    "fail_tests": "the answers that agree pass none of the tests that others pass",
    "fail_examples": "the answers that agree contradict all examples of the task",
    "sandbox": "the sandbox failed",
    "unjudged": "the comparison failed",
}
"""Why answers are unverified. Keys are stored; never rename one."""
MAX_STORED_CHARS = 8000
"""Longest losing answer stored with the finding."""
MAX_LOSERS = 3
"""Most losing clusters of which an answer is stored with the finding."""
_NOTHING: tuple[Any, ...] = (None, "", [])
"""Values of calls that return nothing, of programs that print nothing, and of scripts."""
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
_NOT_APPLICABLE = frozenset({"NameError", "AttributeError", "TypeError", "UnboundLocalError"})
"""Exceptions of another answer's example usage that show another interface, not a mistake."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one answer did on one input."""

    kind: str
    """`value`, `failed`, `refuse`, `raise`, `output`, `timeout`, `memory`, `died` or `forged`."""
    value: Any = None
    """What it returned, printed or compared; the exception."""
    changed: Any = None
    """The arguments, if it changed one."""
    printed: str = ""
    """What it printed."""
    is_stable: bool = True
    """Whether it did the same a second time."""

    @property
    def is_decided(self) -> bool:
        """Whether it accepted the input, or refused it with an exception of its own."""
        return self.is_result or self.kind == "refuse"

    @property
    def is_result(self) -> bool:
        """Whether it accepted the input."""
        return self.kind in {"value", "failed"}

    @property
    def shows_something(self) -> bool:
        """Whether it accepted the input and did anything that can be seen."""
        is_silent = self.changed is None and not self.printed.strip()
        says_nothing = self.value in _NOTHING or is_opaque(self.value)
        return self.is_result and not (says_nothing and is_silent)


@dataclass(frozen=True, slots=True)
class ObservedAnswer:
    """An answer with what it did."""

    answer: ResponseCandidate
    """The answer."""
    body: str
    """Its program, for a repair."""
    observed: tuple[Observation, ...]
    """One per input."""


@dataclass(frozen=True, slots=True)
class ObservedAnswers:
    """All answers to a task with what each did on the inputs."""

    probes: tuple[Probe, ...]
    """All inputs."""
    candidates: tuple[ObservedAnswer, ...]
    """The candidates."""
    name: str
    """What the inputs call; empty for whole programs of other languages."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer that agreement chose, with its finding."""

    kind: str
    """AGREED or UNVERIFIED."""
    chosen: ResponseCandidate
    """The chosen answer, or the first usable one."""
    answers: tuple[ResponseCandidate, ...]
    """All answers, with cluster, tests passed and whether chosen."""
    score: float | None
    """Share of the answers asked for that agree; None if unverified."""
    detail: Mapping[str, JSON]
    """Evidence: numbers, clusters, losing answers."""


def is_opaque(value: object) -> bool:
    """Whether a value is shown by its type alone, as a function is: any two look alike.

    >>> is_opaque(("odd", "function")), is_opaque([1, ("odd", "function")])
    (True, False)
    """
    match value:
        case ("odd", str()):
            return True
        case ("object", str(), dict(parts)) | dict(parts) if parts:
            return all(map(is_opaque, parts.values()))
        case list(parts) | tuple(parts) if parts:
            return all(map(is_opaque, parts))
    return False


def is_same(first: Observation, second: Observation) -> bool:
    """Whether two answers did the same on an input."""
    if first.is_result and second.is_result:
        if first.value in _NOTHING and first.value == second.value:
            both = first.kind == second.kind and same_text(first.printed, second.printed)
            return both and same_value(first.changed, second.changed)
        return same_value(first.value, second.value) and same_value(first.changed, second.changed)
    kinds = {first.kind, second.kind}
    return first.value == second.value and (len(kinds) == 1 or kinds == {"raise", "refuse"})


def same_value(first: Any, second: Any) -> bool:  # noqa: ANN401 - plain data
    """Whether two results are equal as Python compares them, with tolerance for floats."""
    if isinstance(first, float | complex) or isinstance(second, float | complex):
        return _close(first, second)
    if isinstance(first, list | tuple):
        return (
            type(first) is type(second)
            and len(first) == len(second)
            and all(map(same_value, first, second))
        )
    if isinstance(first, set) and isinstance(second, set):
        if first == second or len(first) != len(second):
            return first == second
        return all(map(same_value, sorted(first, key=repr), sorted(second, key=repr)))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            same_value(value, second[key]) for key, value in first.items()
        )
    return bool(first == second)


def _close(first: Any, second: Any) -> bool:  # noqa: ANN401 - plain data
    numbers = (int, float, complex)
    if not isinstance(first, numbers) or not isinstance(second, numbers):
        return False
    try:
        if isinstance(first, complex) or isinstance(second, complex):
            return abs(first - second) <= _ABSOLUTE + _RELATIVE * abs(second)
        both_nan = math.isnan(first) and math.isnan(second)
        return both_nan or math.isclose(first, second, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    except OverflowError:
        return False


_BLANKS = re.compile(r"\s+")


def same_text(first: str, second: str) -> bool:
    """Whether two outputs are equal, with tolerance for blanks and for floats."""
    if first == second:
        return True
    parts = _BLANKS.split(first.strip()), _BLANKS.split(second.strip())
    return len(parts[0]) == len(parts[1]) and all(map(_same_word, *parts))


def _same_word(first: str, second: str) -> bool:
    if first == second:
        return True
    try:
        return "." in first + second and _close(float(first), float(second))
    except ValueError:
        return False


def counted(comparison: ObservedAnswers) -> list[int]:
    """Return the indices of the inputs that count: half of the answers accept or refuse them."""
    found = []
    for number in range(len(comparison.probes)):
        column = [one.observed[number] for one in comparison.candidates]
        if 2 * sum(one.is_decided for one in column) >= len(column):
            found.append(number)
    return found


def clusters_of(comparison: ObservedAnswers, numbers: Sequence[int]) -> list[list[int]]:
    """Group the candidates that behave alike, by their indices, each with its earliest first."""
    found: list[list[int]] = []
    for place, candidate in enumerate(comparison.candidates):
        if not all(candidate.observed[number].is_stable for number in numbers):
            continue
        for members in found:
            if _agree(comparison, members[0], place, numbers):
                members.append(place)
                break
        else:
            found.append([place])
    return found


def _agree(comparison: ObservedAnswers, first: int, second: int, numbers: Sequence[int]) -> bool:
    """Whether two candidates behave alike wherever both can be asked."""
    a, b = (comparison.candidates[place].observed for place in (first, second))
    is_asked = [number for number in numbers if _applies(comparison, number, a, b)]
    return bool(is_asked) and all(is_same(a[number], b[number]) for number in is_asked)


def _applies(
    comparison: ObservedAnswers,
    number: int,
    first: Sequence[Observation],
    second: Sequence[Observation],
) -> bool:
    probe = comparison.probes[number]
    return not any(is_elsewhere(probe, one) for one in (first[number], second[number]))


def is_elsewhere(probe: Probe, seen: Observation) -> bool:
    """Whether a script that is no test uses an interface that an answer does not have."""
    is_usage = bool(probe.script) and not probe.test
    return is_usage and seen.kind == "raise" and seen.value in _NOT_APPLICABLE


def sound_tests(comparison: ObservedAnswers) -> list[int]:
    """Return the indices of the tests that at least two answers pass, in both of their runs."""
    return [
        number
        for number, probe in enumerate(comparison.probes)
        if probe.test and sum(_passes(one.observed[number]) for one in comparison.candidates) >= 2
    ]


def _passes(seen: Observation) -> bool:
    return seen.kind == "value" and seen.is_stable


def choose(
    answers: Sequence[ResponseCandidate], found: ObservedAnswers | str, agreeing: int
) -> Choice:
    """Choose an answer of the cluster with the highest score; see the module."""
    if isinstance(found, str):
        return unverified(answers, found)
    numbers = counted(found)
    clusters, tests = clusters_of(found, numbers), sound_tests(found)
    passed = [sum(_passes(one.observed[number]) for number in tests) for one in found.candidates]
    labelled = _labelled(answers, found, clusters, passed)
    informative = [
        number
        for number in numbers
        if sum(one.observed[number].shows_something for one in found.candidates) >= 2
    ]
    facts: dict[str, JSON] = {
        "inputs": len(informative),
        "tests": len(tests),
        "clusters": [
            {
                "answers": [found.candidates[place].answer.number for place in members],
                "tests_passed": passed[members[0]],
            }
            for members in clusters
        ],
        "unstable": len(found.candidates) - sum(map(len, clusters)),
    }
    if not informative:
        return unverified(labelled, "no_inputs", facts)
    ranked = sorted(
        (members for members in clusters if _shows(found, members, informative)),
        key=lambda members: (-_score(members, passed, tests), -len(members), members[0]),
    )
    large = [members for members in ranked if len(members) >= agreeing]
    if not large:
        return unverified(labelled, "differ", facts)
    best = large[0]
    if tests and not passed[best[0]]:
        return unverified(labelled, "fail_tests", facts)
    if not passed[best[0]] and _contradicts_examples(found, found.candidates[best[0]]):
        return unverified(labelled, "fail_examples", facts)
    detail = {**facts, **_losers(found, clusters, best, tests, numbers)}
    return _agreed(labelled, found, best, passed[best[0]], detail)


_ROUNDED = re.compile(r"==.*\d\.\d", re.DOTALL)
"""A result that a task may show with fewer digits."""


def _contradicts_examples(comparison: ObservedAnswers, candidate: ObservedAnswer) -> bool:
    """Whether a task shows results of calls, and an answer returns others for all of them."""
    shown = [
        seen.kind
        for probe, seen in zip(comparison.probes, candidate.observed, strict=True)
        if probe.origin is InputOrigin.TASK and probe.test and not _ROUNDED.search(probe.test)
    ]
    return bool(shown) and set(shown) == {"failed"}


def _score(members: Sequence[int], passed: Sequence[int], tests: Sequence[int]) -> int:
    return len(members) * (passed[members[0]] if tests else 1)


def _shows(comparison: ObservedAnswers, members: Sequence[int], numbers: Sequence[int]) -> bool:
    observed = comparison.candidates[members[0]].observed
    return any(observed[number].shows_something for number in numbers)


def _labelled(
    answers: Sequence[ResponseCandidate],
    found: ObservedAnswers,
    clusters: Sequence[Sequence[int]],
    passed: Sequence[int],
) -> list[ResponseCandidate]:
    """Return the answers with their clusters and the tests that they pass."""
    cluster = {place: number for number, members in enumerate(clusters) for place in members}
    known = {
        one.answer.number: (cluster.get(place), passed[place])
        for place, one in enumerate(found.candidates)
    }
    return [
        replace(answer, cluster=of[0], tests_passed=of[1])
        if (of := known.get(answer.number))
        else replace(answer, cluster=None, tests_passed=None)
        for answer in answers
    ]


def _agreed(
    answers: Sequence[ResponseCandidate],
    found: ObservedAnswers,
    best: Sequence[int],
    n_passed: int,
    detail: Mapping[str, JSON],
) -> Choice:
    number = found.candidates[best[0]].answer.number
    marked = _marked(answers, number)
    chosen = next(one for one in marked if one.is_chosen)
    facts = {"agreeing": len(best), "tests_passed": n_passed, **_asked(answers), **detail}
    return Choice(AGREED, chosen, marked, round(len(best) / len(answers), 4), facts)


def with_chosen(choice: Choice, number: int) -> Choice:
    """Return a choice with another of its answers."""
    if number == choice.chosen.number:
        return choice
    marked = _marked(choice.answers, number)
    return replace(choice, chosen=next(one for one in marked if one.is_chosen), answers=marked)


def unverified(
    answers: Sequence[ResponseCandidate], why: str, facts: Mapping[str, JSON] | None = None
) -> Choice:
    """Take the first usable answer, with the reason why no agreement was seen."""
    first = next(answer for answer in answers if not answer.defect)
    detail = {"why": why, "said": WHY[why], **_asked(answers), **(facts or {})}
    marked = _marked(answers, first.number)
    chosen = next(one for one in marked if one.is_chosen)
    return Choice(UNVERIFIED, chosen, marked, None, detail)


def _marked(answers: Sequence[ResponseCandidate], number: int) -> tuple[ResponseCandidate, ...]:
    return tuple(replace(one, is_chosen=one.number == number) for one in answers)


def _asked(answers: Sequence[ResponseCandidate]) -> dict[str, JSON]:
    n_usable = sum(not answer.defect for answer in answers)
    n_refused = sum(answer.defect in {"rejected", "failed"} for answer in answers)
    return {"asked": len(answers), "usable": n_usable, "refused": n_refused}


def _losers(
    found: ObservedAnswers,
    clusters: Sequence[Sequence[int]],
    best: Sequence[int],
    tests: Sequence[int],
    numbers: Sequence[int],
) -> dict[str, JSON]:
    """Return an answer of each of the largest losing clusters, and one with a check that it fails.

    They are what preference pairs and repairs are made of.
    """
    others = sorted((one for one in clusters if one is not best), key=lambda one: (-len(one), one))
    winner = found.candidates[best[0]]
    losers: list[JSON] = []
    fault: dict[str, JSON] = {}
    for members in others:
        loser = found.candidates[members[0]]
        evidence = _evidence(found, winner, loser, tests, numbers)
        if evidence is None or len(loser.answer.text) > MAX_STORED_CHARS:
            continue
        check, said = evidence
        losers.append({"answer": loser.answer.number, "said": said, "text": loser.answer.text})
        if check and not fault and len(loser.body) + len(winner.body) <= MAX_STORED_CHARS:
            fault = {
                "mutation": "answer",
                "broken": loser.body,
                "failing": check,
                "mended": winner.body,
            }
        if len(losers) == MAX_LOSERS:
            break
    return {**({"worse": losers} if losers else {}), **({"fault": fault} if fault else {})}


def _evidence(
    found: ObservedAnswers,
    winner: ObservedAnswer,
    loser: ObservedAnswer,
    tests: Sequence[int],
    numbers: Sequence[int],
) -> tuple[str, str] | None:
    """Return a check that the winner passes and the loser fails, if it can be written, and words.

    None if the loser was not seen to do anything else.
    """
    for number in tests:
        test = found.probes[number].test
        if _passes(winner.observed[number]) and not _passes(loser.observed[number]):
            return (test if found.name else ""), f"fails {one_line(test, 200)}"
    for number in numbers:
        mine, theirs, probe = winner.observed[number], loser.observed[number], found.probes[number]
        if is_same(mine, theirs) or not _applies(found, number, winner.observed, loser.observed):
            continue
        shown = ", ".join(safe_repr(one, 200) for one in probe.arguments)
        said = f"on ({shown}): {shown_as(theirs)} instead of {shown_as(mine)}"
        return _check_of(found.name, probe, mine), one_line(said, 400)
    return None


def shown_as(seen: Observation) -> str:
    """Say what an answer did on an input."""
    if not seen.is_result:
        return f"{seen.kind} {seen.value or ''}".strip()
    if seen.changed is not None:
        changed = safe_repr(seen.changed, 90)
        return f"{safe_repr(seen.value, 60)}, with its arguments changed to {changed}"
    value = seen.printed if seen.value in _NOTHING and seen.printed else seen.value
    match value:
        case (str(kind), list(items)) if kind in {"iterator", "view", "deque", "range"}:
            return f"{kind} of {safe_repr(items, 100)}"
    return safe_repr(value, 120)


_LITERAL_CHARS = 300


def _check_of(name: str, probe: Probe, mine: Observation) -> str:
    """Write what the winner returned as a test; empty if it is no short literal."""
    value = mine.value
    if not name or probe.script or mine.kind != "value" or mine.changed is not None:
        return ""
    if isinstance(value, float) or not _is_literal(value):
        return ""
    test = f"assert {name}({', '.join(map(repr, probe.arguments))}) == {value!r}"
    return test if len(test) <= _LITERAL_CHARS else ""


_TAGS = frozenset(
    "text object odd array iterator view deque range set dict deep digest long".split()
)
"""First items of the tuples by which the observer stands for what is no plain data."""


def _is_literal(value: object) -> bool:
    """Whether an observed value is what the program returned, and can be written as a literal."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_literal(key) and _is_literal(one) for key, one in value.items())
    if isinstance(value, tuple) and value and value[0] in _TAGS:
        return False
    if isinstance(value, list | set | tuple):
        return all(map(_is_literal, value))
    return value is None or isinstance(value, bool | int | str)
