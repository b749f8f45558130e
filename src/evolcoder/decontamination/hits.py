"""Texts of benchmark problems, contamination hits on them, and the rules by which hits drop rows.

Every problem gives one text with its prompt, solution and tests, as far as they exist:

    items = benchmark_texts("humaneval", bench.problems())

A hit names the row, the problem and the matching excerpt, so it can be reviewed without rerunning
anything. Its mark says whether it is evidence of a leak: a pass of a trivial problem (plain) or of
weak tests alone is not, and drops a row only under `execution-any`; with a hit of the same problem
by its text it is. Results do not depend on order. No I/O.

>>> hit = Hit("row-1", "humaneval", "HumanEval/0", Detector.NGRAMS, RowField.ANSWER,
...           TextSpan.SOLUTION, "return sorted ( v0 )", 12.5)
>>> dropped([hit], DropRule.JUDGE)
frozenset()
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from evolcoder.bench.base import (
    AssertChecks,
    CallChecks,
    Checks,
    HarnessChecks,
    Problem,
    ProgramChecks,
    UnittestChecks,
)
from evolcoder.decontamination.execution.agreement import is_plain
from evolcoder.decontamination.execution.search import PassedProblem

MAX_CALLS = 20
"""Maximum number of calls that are written out as a problem's tests."""
MAX_CALL_CHARS = 400
"""Maximum length of such a call; longer inputs are not quoted in practice."""
MIN_WORDS = 3
"""If there are fewer words before the first example call, the whole prompt is used."""
_DOCSTRING = re.compile(r"(?:\"{3}|'{3})(.+?)(?:\"{3}|'{3})", re.DOTALL)
_CALL = re.compile(r"^[^\S\n]*(?:assert\b|>>>)", re.MULTILINE)
_COMMENT = re.compile(
    r"^[ \t]*(?://+!?|#+(?!include|lang|!)|--+|;+|%+|/?\*+(?!/))(.*)$", re.MULTILINE
)


_BLOCK_COMMENT = re.compile(r"/\*+(?!/)(.*?)(?:\*/|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class BenchmarkText:
    """One problem of a benchmark as plain text."""

    benchmark: str
    """Command-line name of the benchmark."""
    id: str
    """Id of the problem."""
    language: str
    """Canonical name of the programming language."""
    entry_points: tuple[str, ...]
    """Functions that its tests call; empty if it asks for none."""
    prompt: str
    """The prompt."""
    solution: str
    """The canonical solution; empty if there is none."""
    tests: str
    """Source of the tests."""
    request: str = ""
    """What the problem asks for in words, if the prompt does not say it."""

    @property
    def wording(self) -> str:
        """The prose of the request, or else of the prompt, up to the first example call."""
        return _before_calls(self.request) if self.request else self._prompted()

    @property
    def wordings(self) -> tuple[str, ...]:
        """The prose of the request, if there is one, and of the prompt."""
        return tuple(dict.fromkeys((self.wording, self._prompted())))

    def _prompted(self) -> str:
        """Return the prose of the prompt: its docstring or comment, if there is any."""
        found = _DOCSTRING.findall(self.prompt)
        text = found[-1] if found else self.prompt
        if not found and self.language != "python":
            text = self._comment() or text
        return _before_calls(text)

    def _comment(self) -> str:
        """Return the comments of lines or of blocks, the longer; empty if both are short."""
        texts = ("\n".join(kind.findall(self.prompt)) for kind in (_COMMENT, _BLOCK_COMMENT))
        found = max(texts, key=lambda text: len(text.split()))
        return found if len(found.split()) >= MIN_WORDS else ""


def _before_calls(text: str) -> str:
    prose = _CALL.split(text, maxsplit=1)[0].strip()
    return prose if len(prose.split()) >= MIN_WORDS else text.strip()


def benchmark_texts(benchmark: str, problems: Iterable[Problem]) -> tuple[BenchmarkText, ...]:
    """Convert the problems of a benchmark."""
    return tuple(_item(benchmark, problem) for problem in problems)


def _item(benchmark: str, problem: Problem) -> BenchmarkText:
    language, names, tests = _test_facts(problem.checks)
    solution = problem.reference or ""
    texts = (problem.prompt, solution, tests, problem.wording)
    return BenchmarkText(benchmark, problem.id, language, names, *texts)


def _test_facts(checks: Checks) -> tuple[str, tuple[str, ...], str]:
    match checks:
        case AssertChecks(test_source=source, entry_points=names):
            return "python", names, source
        case CallChecks(entry_point=name, inputs=inputs):
            calls = (f"{name}({', '.join(map(repr, given))})" for given in inputs[:MAX_CALLS])
            return "python", (name,), "\n".join(c for c in calls if len(c) <= MAX_CALL_CHARS)
        case ProgramChecks(language=language, tests=tests, entry_point=name):
            return language, (name,), tests
        case HarnessChecks(harness=harness):
            return "python", (), harness
        case UnittestChecks(test=source, entry_point=name):
            return "python", (name,), source


SEEN_CHARS = 500
"""Maximum length of `Hit.seen`."""


class Detector(StrEnum):
    """Contamination detectors. Values are stored and reported; never rename one."""

    NGRAMS = "ngrams"
    SUBSTRING = "substring"
    NEIGHBOURS = "neighbours"
    JUDGE = "judge"
    EXECUTION = "execution"


class RowField(StrEnum):
    """The matching part of a row."""

    TASK = "task"
    ANSWER = "answer"


class TextSpan(StrEnum):
    """The matching part of a problem."""

    PROMPT = "prompt"
    SOLUTION = "solution"
    TESTS = "tests"


class SpanMark(StrEnum):
    """Whether a hit is evidence of a leak. Values are stored and reported; never rename one.

    Only passes of tests can be inconclusive: `plain` problems are solved by people who never saw
    them, and `weak` tests accept programs that are not solutions. All other hits are `tells`.
    """

    CONCLUSIVE = "tells"
    WEAK = "weak"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Hit:
    """A detector's finding that a row contains a problem of a benchmark."""

    row: str
    """Id of the row."""
    benchmark: str
    """Command-line name of the benchmark."""
    item: str
    """Id of the problem."""
    detector: Detector
    """The detector."""
    part: RowField
    """The matching part of the row."""
    side: TextSpan
    """The matching part of the problem."""
    seen: str
    """The matching text as compared, or the judgement with its reason; truncated."""
    score: float
    """Similarity in the detector's unit: share of the problem's side found (n-grams), words or, of
    code, bits of the longest common run (substring), cosine (neighbours), 1 (judge), agreement on
    further inputs (execution)."""
    mark: SpanMark = SpanMark.CONCLUSIVE
    """Whether it is evidence of a leak."""


class DropRule(StrEnum):
    """Which hits drop a row, as in `--drop`: any detector's, one detector's, or none.

    Inconclusive hits drop a row only under `execution-any`, which counts every pass.
    """

    ANY = "any"
    NGRAMS = "ngrams"
    SUBSTRING = "substring"
    NEIGHBOURS = "neighbours"
    JUDGE = "judge"
    EXECUTION = "execution"
    EXECUTION_ANY = "execution-any"
    NONE = "none"


def drops_row(hit: Hit, drop: DropRule) -> bool:
    """Whether a hit drops its row under a rule."""
    if drop is DropRule.EXECUTION_ANY:
        return hit.detector is Detector.EXECUTION
    return hit.mark is SpanMark.CONCLUSIVE and (
        drop is DropRule.ANY or hit.detector.value == drop.value
    )


def dropped(hits: Iterable[Hit], *drops: DropRule) -> frozenset[str]:
    """Return the ids of the rows that at least one of the rules drops."""
    return frozenset(hit.row for hit in hits if any(drops_row(hit, drop) for drop in drops))


CONFIRMED = "; its text was found too"
"""Added to the description of a weak or plain pass that another detector confirms."""


def confirmed(hits: Iterable[Hit]) -> list[Hit]:
    """Mark weak and plain passes as evidence where the text of the same problem was found too."""
    found = list(hits)
    by_text = {(hit.row, hit.item) for hit in found if hit.detector is not Detector.EXECUTION}
    return [
        replace(hit, mark=SpanMark.CONCLUSIVE, seen=hit.seen + CONFIRMED)
        if hit.mark is not SpanMark.CONCLUSIVE and (hit.row, hit.item) in by_text
        else hit
        for hit in found
    ]


def sort_hits(hits: Iterable[Hit]) -> list[Hit]:
    """Return the distinct hits in canonical order."""
    return sorted(set(hits), key=_place)


def _place(hit: Hit) -> tuple[str, ...]:
    where = (hit.row, hit.benchmark, hit.item, hit.detector, hit.part, hit.side)
    return (*where, hit.seen, repr(hit.score), hit.mark)


def execution_hits(row: str, passes: Iterable[PassedProblem]) -> list[Hit]:
    """Convert the problems that a row's response passes to hits, inconclusive ones included."""
    return [
        Hit(
            row,
            one.bench,
            one.problem,
            Detector.EXECUTION,
            RowField.ANSWER,
            TextSpan.TESTS,
            describe_pass(one),
            one.agreement,
            mark_of(one),
        )
        for one in passes
    ]


def mark_of(one: PassedProblem) -> SpanMark:
    """Return whether a pass is evidence of a leak, or why not."""
    if one.is_evidence:
        return SpanMark.CONCLUSIVE
    return SpanMark.PLAIN if is_plain(one.size) else SpanMark.WEAK


def describe_pass(one: PassedProblem) -> str:
    """Describe a pass in one line."""
    notes = [
        f"`{one.function}` passes the tests{_argument_mapping(one)}",
        f"agrees with the reference on further inputs to {one.agreement:.2f}",
    ]
    mark = mark_of(one)
    if mark is SpanMark.PLAIN:
        notes.append(f"plain: the reference has {one.size} symbols")
    elif mark is SpanMark.WEAK:
        notes.append("weak: the tests accept programs that are not solutions")
    return "; ".join(notes)


def _argument_mapping(one: PassedProblem) -> str:
    """Describe the argument mapping, unless it is the identity."""
    if one.view is None or list(one.view) == list(range(len(one.view))):
        return ""
    named = (f"argument {n + 1}" if n >= 0 else f"length of argument {~n + 1}" for n in one.view)
    return f" given {', '.join(named)}"
