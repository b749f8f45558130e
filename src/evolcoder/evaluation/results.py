"""Computes the result of an evaluation from its stored verdicts: scores with intervals, and notes.

Guarantees: the result depends only on what is stored, so the same folder gives the same result. The
score of a part of a benchmark is withheld unless `partial` is set; problems whose controls failed
on this machine are in no score.

>>> result_of(store, bench, faults={}, partial=False)   # doctest: +SKIP
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from evolcoder import reasoning
from evolcoder.bench.base import Bench, ExtractedProgram, PromptForm, Sample
from evolcoder.bench.end_of_text import without_end
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
from evolcoder.engine.base import LENGTH, normalize_finish
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.programming_language import language_of_code
from evolcoder.sample_errors import UNJUDGED
from evolcoder.sandbox.base import Kind, Separation
from evolcoder.text import one_line

MAX_ODD_SHARE = 0.2
"""Share of samples without the requested format above which a note says why."""
READ_SAMPLES = 50
"""Samples that are read to find out why."""
MOST_PACKAGES = 5
"""Missing packages that a note names."""
_MISSING_MODULE = re.compile(r"No module named ['\"]([\w.]+)")
KS = (1, 10, 100)
"""Values of k for pass@k; those above the number of samples are skipped."""


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The score of a group of problems, or of the original benchmark's checks."""

    kind: str
    """Property that defines the group, such as `library`; or `base`."""
    name: str
    """Value of the property."""
    score: Score
    """pass@1 of the group."""


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The result of one benchmark."""

    bench: str
    """Name of the benchmark."""
    scores: tuple[Score, ...]
    """pass@k over the whole benchmark; empty if withheld."""
    groups: tuple[GroupScore, ...]
    """pass@1 of each group."""
    withheld: str
    """Why the score is withheld; empty if it is not."""
    notes: tuple[str, ...]
    """What a reader of the score should know, one line each."""
    kinds: tuple[tuple[str, int], ...]
    """Samples by kind of verdict, most frequent first; unjudged samples are a kind of their own."""
    odd: tuple[tuple[str, int], ...]
    """Samples that did not have the requested format, by where the program was found."""
    chosen: tuple[tuple[str, int], ...]
    """Samples by the rule that chose the program among an answer's blocks; see `ChosenBy`."""
    n_cut_off: int
    """Samples that the limit of tokens cut off; they are graded as they came."""
    n_samples: int
    """Samples with a verdict."""
    separations: tuple[tuple[str, int], ...]
    """Samples by how candidates were separated from their tests."""
    sealed: tuple[str, ...]
    """Problems whose test ran in the candidate's process, protected only by a random token."""
    n_tested: int
    """Problems on which at least one program was run."""
    layers: tuple[str, ...]
    """Sandbox layers that were active for every program."""
    missing: tuple[str, ...]
    """Sandbox layers that were inactive for at least one program."""

    def with_notes(self, more: Iterable[str]) -> "BenchmarkResult":
        """Return a copy with more notes in front."""
        return replace(self, notes=(*more, *self.notes))

    def as_plain(self) -> dict[str, Any]:
        """Return the result as plain data for JSON."""
        return asdict(self)


def result_of(
    store: EvalStore,
    bench: Bench,
    *,
    faults: Mapping[str, str],
    known_failures: Mapping[str, str] = MappingProxyType({}),
    partial: bool,
    n_asked: int | None = None,
) -> BenchmarkResult:
    """Compute the result of one benchmark from its stored verdicts.

    `faults` maps problems whose controls failed to the reason; they withhold the score unless
    `partial`. `known_failures` maps problems that cannot be graded here to the reason; the score
    excludes them, with a note. `n_asked`: the evaluation is of the first so many problems.
    """
    excluded = {*faults, *known_failures}
    judged = [one for one in store.verdicts(bench.name) if one.problem not in excluded]
    wanted = [problem.id for problem in bench.problems() if problem.id not in excluded]
    outcomes = _outcomes(judged, wanted)
    failures = store.failures(bench.name)
    withheld = withhold(
        bench.name,
        wanted=[p.id for p in bench.problems()[:n_asked] if p.id not in known_failures],
        outcomes=outcomes,
        unjudged=[problem for problem, _ in failures] + list(faults),
    )
    why = withheld.why if withheld and not (partial and outcomes) else ""
    why = why or ("" if partial else _uneven(outcomes))
    notes = [*_notes(known_failures, faults, failures), *_note_of_unjudged(judged)]
    notes += [withheld.why] if withheld and not why else []
    if n_asked is not None and n_asked < len(bench.problems()):
        notes.append(f"only the first {n_asked} of {len(bench.problems())} problems: --limit")
    notes += [*_notes_of_packages(judged), *note_of_format(store, bench, judged)]
    finishes = store.finishes(bench.name)
    sealed, tested = _sealed(judged)
    return BenchmarkResult(
        bench=bench.name,
        scores=() if why else tuple(_scores(bench.name, outcomes)),
        groups=() if why else tuple(_groups(bench, judged, outcomes)),
        withheld=why,
        notes=tuple(notes),
        kinds=_counted(UNJUDGED if one.is_unjudged else one.facts["kind"] for one in judged),
        odd=_counted(one.found for one in judged if ExtractedProgram(one.found).is_odd),
        chosen=_counted(one.facts["chosen"] for one in judged if "chosen" in one.facts),
        n_cut_off=sum(n for word, n in finishes.items() if normalize_finish(word) == LENGTH),
        n_samples=len(judged),
        separations=_counted(one.facts.get("separation", "not run") for one in judged),
        sealed=tuple(problem for problem in wanted if problem in sealed),
        n_tested=len(tested),
        layers=_common(judged),
        missing=tuple(sorted({name for one in judged for name in one.facts.get("missing", ())})),
    )


def outcomes_of(store: EvalStore, bench: str) -> dict[str, list[bool]]:
    """Return problem id -> whether each of its samples passed, without what scores exclude."""
    excluded = store.excluded(bench)
    return by_problem(one for one in store.verdicts(bench) if one.problem not in excluded)


def _outcomes(judged: Iterable[StoredVerdict], wanted: Iterable[str]) -> dict[str, list[bool]]:
    """Group outcomes by problem, in the data set's order."""
    found = by_problem(judged)
    return {problem: found[problem] for problem in wanted if problem in found}


def _uneven(outcomes: Outcomes) -> str:
    """Return a message if problems have different numbers of samples."""
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
    known_failures: Mapping[str, str], faults: Mapping[str, str], failures: list[tuple[str, str]]
) -> Iterable[str]:
    for why in dict.fromkeys(known_failures.values()):
        problems = [problem for problem, reason in known_failures.items() if reason == why]
        yield f"{len(problems)} problems are left out, {why}: {', '.join(problems)}"
    for problem, fault in faults.items():
        yield f"{problem} is left out: {fault}"
    if failures:
        problem, what = failures[0]
        yield f"{len(failures)} samples could not be judged, such as {problem}: {what}"


def _sealed(judged: Iterable[StoredVerdict]) -> tuple[set[str], set[str]]:
    """Return the problems with a sealed test, and all problems on which a program was run."""
    kept = [(one.problem, one.facts["separation"]) for one in judged if "separation" in one.facts]
    sealed = {problem for problem, separation in kept if separation == Separation.TOKEN}
    return sealed, {problem for problem, _ in kept}


def _note_of_unjudged(judged: Iterable[StoredVerdict]) -> Iterable[str]:
    found = [one for one in judged if one.is_unjudged]
    if found:
        one = found[0]
        example = f"such as {one.problem}, sample {one.number}: {one.facts['detail']}"
        yield f"{len(found)} samples {UNJUDGED} and count as not passed, {example}"


def _notes_of_packages(judged: Iterable[StoredVerdict]) -> Iterable[str]:
    """Name the packages for want of which programs failed."""
    found = (_MISSING_MODULE.search(str(one.facts.get("detail", ""))) for one in judged)
    missing = Counter(one[1].partition(".")[0] for one in found if one)
    for name in [name for name in missing if name in sys.stdlib_module_names]:
        del missing[name]
    if missing:
        listed = ", ".join(f"{n} {_plural(n, 'program imports', 'programs import')} {name}"
                           for name, n in missing.most_common(MOST_PACKAGES))  # fmt: skip
        rest = len(missing) - MOST_PACKAGES
        more = f" and {rest} more" if rest > 0 else ""
        yield (
            f"{listed}{more}, not installed for programs: "
            f"`make libraries`, then --packages .libraries; they count as not passed"
        )


def _plural(n: int, one: str, many: str) -> str:
    return one if n == 1 else many


def note_of_format(
    store: EvalStore, bench: Bench, judged: Sequence[StoredVerdict]
) -> Iterable[str]:
    """Say in one line why all programs do not compile, or many are not where they should be."""
    judged = [one for one in judged if not one.is_unjudged]
    broken = [one for one in judged if one.facts["kind"] == Kind.COMPILE_ERROR]
    odd = [one for one in judged if ExtractedProgram(one.found).is_odd]
    if len(odd) > MAX_ODD_SHARE * len(judged):
        concerned, what = odd, "samples did not have the requested format"
    elif len(broken) > MAX_ODD_SHARE * len(judged):
        concerned, what = broken, "programs are compile errors"
    else:
        return
    samples = [
        sample
        for one in concerned[:READ_SAMPLES]
        if (sample := store.samples(bench.name, one.problem).get(one.number)) is not None
    ]
    is_all = len(broken) == len(judged)
    why = _reason(store, bench, samples, concerned)
    if not why and (is_all or concerned is odd):
        why = _example(samples, concerned)
    if is_all:
        yield f"all programs are compile errors: {why}"
    elif why:  # a weak model's compile errors are its own
        yield f"{len(concerned)} of {len(judged)} {what}: {why}"


def _example(samples: Sequence[Sample], judged: Sequence[StoredVerdict]) -> str:
    """Return what is wrong with the first of the samples."""
    n_completions = sum(one.form is PromptForm.COMPLETION for one in samples)
    if n_completions >= max(1, len(samples) // 2):
        return "do they continue the prompt? whole programs belong in `solution`"
    details = [str(one.facts.get("detail", "")) for one in judged]
    first = next((one for one in details if one), "no program was found")
    found = Counter(one.found for one in judged).most_common(1)[0][0]
    return f"most often {found}; the first says: {one_line(first, 120)}"


def _reason(
    store: EvalStore, bench: Bench, samples: Sequence[Sample], judged: Sequence[StoredVerdict]
) -> str:
    """Return the likeliest reason why samples have no program of the right form; empty if none."""
    given = [one for one in samples if one.form in {PromptForm.PROGRAM, PromptForm.COMPLETION}]
    wanted = bench.prompt(bench.problems()[0]).language
    languages = Counter(language_of_code(one.text) or wanted for one in samples)
    language, n_others = (languages.most_common(1) or [(wanted, 0)])[0]
    details = [str(one.facts.get("detail", "")) for one in judged]
    finishes = store.finishes(bench.name)
    counted = (
        (sum("```" in one.text for one in given),
         "they contain fences, so they are answers; use --samples-are answers"),
        (sum(without_end(one.text)[1] for one in samples),
         "they contain end-of-text tokens, such as <|endoftext|>"),
        (n_others * (language != wanted), f"they look like {language}, not {wanted}"),
        (sum(_MISSING_MODULE.search(one) is not None for one in details),
         "they import packages that are not installed"),
        (sum(reasoning.may_hold(one.text) for one in samples),
         "their thinking does not end; raise the limit where they are made (--max-tokens)"),
        (sum(n for word, n in finishes.items() if normalize_finish(word) == LENGTH),
         "the limit of tokens cut them off; raise it where they are made (--max-tokens)"),
    )  # fmt: skip
    least = max(1, len(samples) // 2)
    return next((reason for n, reason in counted if n >= least), "")


def _counted(values: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(values).most_common())


def _common(judged: Iterable[StoredVerdict]) -> tuple[str, ...]:
    """Return the sandbox layers that were active for every program, in order."""
    found = [one.facts["layers"] for one in judged if "layers" in one.facts]
    shared = set(found[0]).intersection(*found) if found else set()
    return tuple(layer for layer in found[0] if layer in shared) if found else ()
