"""What an evaluation came to: scores with intervals, or why there are none, and what was seen.

Promises: everything is computed from the stored verdicts, so that the same folder gives the same
result again. A score of part of a benchmark is withheld unless it was asked for; problems whose
controls failed here are no part of any score.

>>> result_of(store, bench, faults={}, partial=False)   # doctest: +SKIP
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from evolcoder.bench.base import Bench, ExtractedProgram
from evolcoder.bench.scores import (
    BASE,
    Outcomes,
    Score,
    base_by_problem,
    by_problem,
    grouped,
    has_base,
    score,
    withhold,
)
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.sample_errors import UNJUDGED
from evolcoder.sandbox.base import Separation

KS = (1, 10, 100)
"""The k of pass@k, as far as there are samples for it."""


@dataclass(frozen=True, slots=True)
class GroupScore:
    """A score of some of the problems, or of some of the checks."""

    kind: str
    """What the problems have in common, such as `library`; or `base`."""
    name: str
    """Which of its values."""
    score: Score
    """The score."""


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """What one benchmark gave."""

    bench: str
    """Name of the benchmark."""
    scores: tuple[Score, ...]
    """pass@k over the whole benchmark; empty if it is withheld."""
    groups: tuple[GroupScore, ...]
    """pass@1 of parts."""
    withheld: str
    """Why there is no score; empty if there is one."""
    notes: tuple[str, ...]
    """What a reader of the score should know, a line each."""
    kinds: tuple[tuple[str, int], ...]
    """Samples by kind of verdict, most first; those that could not be judged are a kind here."""
    odd: tuple[tuple[str, int], ...]
    """Samples whose program was not where it was asked for, by where it was."""
    n_samples: int
    """Samples with a verdict."""
    separations: tuple[tuple[str, int], ...]
    """Samples by what kept candidates from their verdicts."""
    sealed: tuple[str, ...]
    """Problems whose test ran in the candidate's own process, where only a seal vouches for it."""
    n_tested: int
    """Problems that any program was run on."""
    layers: tuple[str, ...]
    """Protections that were active for every program."""
    missing: tuple[str, ...]
    """Protections that were not, for one program at least."""

    def with_notes(self, more: Iterable[str]) -> "BenchmarkResult":
        """Add notes in front."""
        return replace(self, notes=(*more, *self.notes))

    def as_plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return asdict(self)


def result_of(
    store: EvalStore,
    bench: Bench,
    *,
    faults: Mapping[str, str],
    excused: Mapping[str, str] = MappingProxyType({}),
    partial: bool,
) -> BenchmarkResult:
    """Compute the result of one benchmark out of its verdicts.

    `faults` are problems whose controls failed, which withholds the score; `excused` are those
    that are known to, which the score leaves out and names.
    """
    out = {*faults, *excused}
    judged = [one for one in store.verdicts(bench.name) if one.problem not in out]
    wanted = [problem.id for problem in bench.problems() if problem.id not in out]
    outcomes = _outcomes(judged, wanted)
    failures = store.failures(bench.name)
    held = withhold(
        bench.name,
        wanted=[p.id for p in bench.problems() if p.id not in excused],
        outcomes=outcomes,
        unjudged=[problem for problem, _ in failures] + list(faults),
    )
    why = held.why if held and not (partial and outcomes) else ""
    uneven = _uneven(outcomes)
    why = why or (uneven if not partial else "")
    notes = [*_notes(excused, faults, failures), *_note_of_unjudged(judged)]
    notes += [held.why] if held and not why else []
    sealed, tested = _sealed(judged)
    return BenchmarkResult(
        bench=bench.name,
        scores=() if why else tuple(_scores(bench.name, outcomes)),
        groups=() if why else tuple(_groups(bench, judged, outcomes)),
        withheld=why,
        notes=tuple(notes),
        kinds=_counted(UNJUDGED if one.is_unjudged else one.facts["kind"] for one in judged),
        odd=_counted(one.found for one in judged if ExtractedProgram(one.found).is_odd),
        n_samples=len(judged),
        separations=_counted(one.facts.get("separation", "not run") for one in judged),
        sealed=tuple(problem for problem in wanted if problem in sealed),
        n_tested=len(tested),
        layers=_common(judged),
        missing=tuple(sorted({name for one in judged for name in one.facts.get("missing", ())})),
    )


def outcomes_of(store: EvalStore, bench: str) -> dict[str, list[bool]]:
    """Return whether each sample of each problem passed."""
    return by_problem(store.verdicts(bench))


def _outcomes(judged: Iterable[StoredVerdict], wanted: Iterable[str]) -> dict[str, list[bool]]:
    """Sort outcomes by problem, in the data set's order."""
    found = by_problem(judged)
    return {problem: found[problem] for problem in wanted if problem in found}


def _uneven(outcomes: Outcomes) -> str:
    sizes = {len(samples) for samples in outcomes.values()}
    if len(sizes) < 2:
        return ""
    return f"problems have from {min(sizes)} to {max(sizes)} samples"


def _scores(bench: str, outcomes: Outcomes) -> Iterable[Score]:
    least = min(map(len, outcomes.values()))
    return (score(outcomes, bench=bench, k=k) for k in KS if k <= least)


def _groups(
    bench: Bench, judged: Sequence[StoredVerdict], outcomes: Outcomes
) -> Iterable[GroupScore]:
    if has_base(judged):
        base = base_by_problem(judged)
        yield GroupScore(BASE, "original tests", score(base, bench=bench.name, k=1))
    for (kind, name), part in grouped(bench.problems(), outcomes).items():
        if len(part) < len(outcomes):
            yield GroupScore(kind, name, score(part, bench=f"{bench.name}/{name}", k=1))


def _notes(
    excused: Mapping[str, str], faults: Mapping[str, str], failures: list[tuple[str, str]]
) -> Iterable[str]:
    for why in dict.fromkeys(excused.values()):
        problems = [problem for problem, said in excused.items() if said == why]
        yield f"{len(problems)} problems are left out, {why}: {', '.join(problems)}"
    for problem, fault in faults.items():
        yield f"{problem} is left out: {fault}"
    if failures:
        problem, what = failures[0]
        yield f"{len(failures)} samples could not be judged, such as {problem}: {what}"


def _sealed(judged: Iterable[StoredVerdict]) -> tuple[set[str], set[str]]:
    """Return the problems with a verdict by seal, and all with a verdict of a run."""
    kept = [(one.problem, one.facts["separation"]) for one in judged if "separation" in one.facts]
    sealed = {problem for problem, separation in kept if separation == Separation.TOKEN}
    return sealed, {problem for problem, _ in kept}


def _note_of_unjudged(judged: Iterable[StoredVerdict]) -> Iterable[str]:
    found = [one for one in judged if one.is_unjudged]
    if found:
        one = found[0]
        such = f"such as {one.problem}, sample {one.number}: {one.facts['detail']}"
        yield f"{len(found)} samples {UNJUDGED} and count as not passed, {such}"


def _counted(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(values).most_common())


def _common(judged: Iterable[StoredVerdict]) -> tuple[str, ...]:
    """Return the layers that every program that ran was held by, in their order."""
    found = [one.facts["layers"] for one in judged if "layers" in one.facts]
    shared = set(found[0]).intersection(*found) if found else set()
    return tuple(layer for layer in found[0] if layer in shared) if found else ()
