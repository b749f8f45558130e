"""The funnel of a run: per stage, how many records entered, were kept, and were dropped and why.

in = kept + dropped + waiting, where the input is counted at the previous stage; nothing is waiting
once a run has finished.

>>> for line in funnel(store):   # doctest: +SKIP
...     print(line.stage, line.round, line.entered, line.kept)
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import NonNegativeInt, model_validator

from evolcoder.records import Reason, Stage
from evolcoder.storage.database import COUNT, TEXT, Columns
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.workdir import FolderFacts
from evolcoder.text import one_line

SEEDS_META = "seeds"
"""Meta key of what was read as seeds: a SeedsReport as plain data."""
SECONDS_META = "seconds"
"""Meta key: round -> stage -> seconds during which a record was in it, over all sessions."""
ASKED_META = "asked"
"""Meta key: stage -> the models, servers and parameters that the last session asked for it."""
ANSWERS_ASKED_META = "answers_asked"
"""Meta key: the number of answers to each task that the rows of a run were reopened for."""
VERIFY_META = "verify"
"""Meta key of how rows are verified: checks (empty if none), sandbox level, active sandbox layers
in all sessions, and whether the responses of the seeds are verified too."""
IN_PLACE_META = "verified"
"""Meta key of how rows were verified later, in a run that does not verify them; as VERIFY_META."""
CLEAN_META = "clean"
"""Meta key of how the run was cleaned, the result, and the active sandbox layers of the execution
detector."""
# These read indices alone: the table of responses is as large as all answers.
_ALL_KEPT = "SELECT round, COUNT(*) FROM kept GROUP BY round"
_ALL_ANSWERED = "SELECT round, COUNT(*) FROM responses GROUP BY round"
_MADE_FOR_SEEDS = "SELECT COUNT(*) FROM responses WHERE round = 0 AND model IS NOT NULL"
_KEPT_FOR_SEEDS = """
    SELECT COUNT(*) FROM responses r JOIN kept k USING (round, ordinal)
    WHERE r.round = 0 AND r.model IS NOT NULL
"""


_COUNTED = Columns(round=COUNT, n=COUNT)
_WHY = Columns(stage=TEXT, reason=TEXT, n=COUNT, detail=TEXT)
EXAMPLE_CHARS = 400
"""Maximum characters of a drop's evidence that is shown as an example."""
_REASONS = Columns(stage=TEXT, round=COUNT, reason=TEXT, n=COUNT)


class SeedsFacts(FolderFacts):
    """The fact under SEEDS_META."""

    source: str
    format: str
    n_rows: NonNegativeInt


class VerifyFacts(FolderFacts):
    """The fact under VERIFY_META."""

    checks: list[str]
    languages: Sequence[str] = ()
    seeds: bool = False


class CleanFacts(FolderFacts):
    """The fact under CLEAN_META."""

    n_rows: NonNegativeInt
    dropped: dict[str, NonNegativeInt]
    embedder: str | None


class AnswersAskedFacts(FolderFacts):
    """The fact under ANSWERS_ASKED_META."""

    n: NonNegativeInt


class SecondsFacts(FolderFacts):
    """The fact under SECONDS_META."""

    __pydantic_extra__: dict[str, dict[str, float]]

    @model_validator(mode="after")
    def _is_by_round(self) -> Self:
        if not all(round.isdecimal() for round in self.__pydantic_extra__):
            raise ValueError("its keys are not round numbers")
        return self


@dataclass(frozen=True, slots=True)
class FunnelLine:
    """One stage of one round."""

    stage: Stage
    """The stage."""
    round: int
    """The round; 0 for seeds and their responses."""
    entered: int
    """Records that entered or will enter."""
    kept: int
    """Records kept."""
    dropped: dict[str, int]
    """Drops by reason, most frequent first."""

    @property
    def n_dropped(self) -> int:
        """Total drops."""
        return sum(self.dropped.values())

    @property
    def waiting(self) -> int:
        """Records without an outcome."""
        return self.entered - self.kept - self.n_dropped


def funnel(store: RunStore) -> list[FunnelLine]:
    """Count every stage of a run, in order."""
    drops = _drops(store)
    tasks = _counts(store, "SELECT round, COUNT(*) FROM tasks GROUP BY round")
    answers = _counts(store, _ALL_ANSWERED)
    given = answers[0]
    answers[0] = _answered_seeds(store, answers[0])
    given -= answers[0]
    pools = _counts(store, "SELECT round, pool FROM rounds")
    kept = _counts(store, _ALL_KEPT)
    verified = _verified(store, answers, kept, given)
    report = store.meta(SEEDS_META, SeedsFacts) or {"n_rows": 0}
    lines = [FunnelLine(Stage.SEEDS, 0, report["n_rows"], tasks[0], drops[Stage.SEEDS, 0])]
    for round in sorted(pools):
        if round:
            made = tasks[round]
            lines.append(
                FunnelLine(Stage.EVOLVE, round, pools[round], made, drops[Stage.EVOLVE, round])
            )
        asked = tasks[round] if round else pools[0]
        if asked or round:
            why = drops[Stage.RESPOND, round]
            lines.append(FunnelLine(Stage.RESPOND, round, asked, answers[round], why))
        if round in verified:
            why = drops[Stage.VERIFY, round]
            lines.append(FunnelLine(Stage.VERIFY, round, *verified[round], why))
    return [*lines, *_cleaned(store, kept, drops)]


def why_empty(store: RunStore) -> str:
    """Say that a run kept no row and why, with an example of the most frequent reason.

    Returns an empty string if a row was kept. Of a run that goes on or was interrupted, it also
    says how many records wait.
    """
    if next(store.rows(), None) is not None:
        return ""
    waiting = sum(line.waiting for line in funnel(store))
    head = f"no row was kept yet, {waiting:,} records wait" if waiting > 0 else "no row was kept"
    counts = store.db.each(
        _WHY.validate,
        "SELECT stage, reason, COUNT(*) AS n, "
        "(SELECT detail FROM drops e WHERE e.stage = d.stage AND e.reason = d.reason "
        "GROUP BY detail ORDER BY COUNT(*) DESC, detail LIMIT 1) AS detail "
        "FROM drops d GROUP BY stage, reason ORDER BY n DESC, stage, reason",
    )
    reasons, example = [], ""
    for stage, reason, n, detail in counts:
        reasons.append(f"{stage} {reason} {n}")
        example = example or detail
    if not reasons and waiting > 0:
        return head
    if not reasons:
        return f"{head}: nothing was dropped, so there was nothing to do"
    most = f"; most often: {one_line(example, EXAMPLE_CHARS)}" if example else ""
    return f"{head}; dropped: {', '.join(reasons)}{most}"


def _cleaned(
    store: RunStore, kept: Mapping[int, int], drops: Mapping[tuple[Stage, int], dict[str, int]]
) -> Iterator[FunnelLine]:
    """Count the cleaning stage, which processes the rows of all rounds together."""
    if store.meta(CLEAN_META, CleanFacts) is None:
        return
    for round, n in sorted(kept.items()):
        why = drops.get((Stage.CLEAN, round), {})
        yield FunnelLine(Stage.CLEAN, round, n, n - sum(why.values()), why)


def _answered_seeds(store: RunStore, n_responses: int) -> int:
    """Return how many responses to seeds a model made; those of later rounds all are."""
    report = store.meta(SEEDS_META, SeedsFacts) or {}
    config = store.meta("config", FolderFacts) or {}
    n_given = report.get("n_answers")
    if not n_responses or not isinstance(n_given, int):
        return store.db.number(_MADE_FOR_SEEDS) if n_responses else 0
    respond = config.get("respond")
    is_reanswered = isinstance(respond, dict) and respond.get("reanswer_seeds", False)
    return n_responses if is_reanswered else max(0, n_responses - n_given)


def _verified(
    store: RunStore, answers: Mapping[int, int], kept: Mapping[int, int], n_given: int
) -> dict[int, tuple[int, int]]:
    """Count the input and output of verification by round; empty without verification.

    `answers` are the responses of models and `kept` the kept rows, by round; `n_given` responses
    came with the seeds.
    """
    fact = _verification(store)
    if not fact.get("checks"):
        return {}
    entered, passed = dict(answers), dict(kept)
    if fact.get("seeds", False):
        entered[0] += n_given
    elif entered[0] and n_given:
        passed[0] = store.db.number(_KEPT_FOR_SEEDS)
    return {round: (n, passed.get(round, 0)) for round, n in sorted(entered.items()) if n}


def _verification(store: RunStore) -> dict[str, Any]:
    """Return how a run verifies its rows, or else how they were verified later; or nothing."""
    own: dict[str, Any] = store.meta(VERIFY_META, VerifyFacts) or {}
    later: dict[str, Any] = store.meta(IN_PLACE_META, VerifyFacts) or {}
    return own if own.get("checks") else later


def checks_of(store: RunStore) -> tuple[str, ...]:
    """Return the names of the checks whose verdicts the rows of a run have."""
    return tuple(_verification(store).get("checks", ()))


def _drops(store: RunStore) -> defaultdict[tuple[Stage, int], dict[str, int]]:
    found: defaultdict[tuple[Stage, int], dict[str, int]] = defaultdict(dict)
    query = (
        "SELECT stage, round, reason, COUNT(*) AS n FROM drops "
        "GROUP BY stage, round, reason ORDER BY n DESC, reason"
    )
    for stage, round, reason, n in store.db.each(_reason_from, query):
        found[stage, round][reason] = n
    return found


def _reason_from(columns: Sequence[Any]) -> tuple[Stage, int, str, int]:
    stage, round, reason, n = _REASONS.validate(columns)
    return Stage(stage), round, str(Reason(reason)), n


def _counts(store: RunStore, query: str) -> defaultdict[int, int]:
    found: defaultdict[int, int] = defaultdict(int)
    for round, n in store.db.each(_COUNTED.validate, query):
        found[round] = n
    return found


def protections(store: RunStore) -> dict[str, tuple[str, ...]]:
    """Return the sandbox layers under which responses were executed, by stage.

    Stages that executed nothing, or did not record their layers, are left out.
    """
    verified, cleaned = _verification(store), store.meta(CLEAN_META) or {}
    found = {Stage.VERIFY.value: verified if verified.get("checks") else {}}
    found[Stage.CLEAN.value] = cleaned
    return {name: tuple(one["layers"]) for name, one in found.items() if one.get("layers")}


@dataclass(frozen=True, slots=True)
class AgreementCounts:
    """What several answers to each task came to."""

    asked: int
    """Answers that came."""
    tasks: int
    """Tasks whose answers were compared."""
    agreed: int
    """Of these, those with a cluster that agrees."""
    clusters: int
    """Clusters of equal behaviour, over all tasks."""
    unverified: dict[str, int]
    """The other tasks by reason, most frequent first."""


_WHY_UNVERIFIED = Columns(why=TEXT, n=COUNT)


def agreement_counts(store: RunStore) -> AgreementCounts | None:
    """Count answers, clusters and findings; None for a run that asked one answer to each task."""
    asked = store.db.number("SELECT COUNT(*) FROM answers")
    if not asked:
        return None
    count = "SELECT COUNT(*) FROM verdicts WHERE check_name = 'agreement'"
    clusters = """SELECT SUM(json_array_length(detail, '$.clusters')) FROM verdicts
        WHERE check_name = 'agreement'"""
    why = """SELECT COALESCE(json_extract(detail, '$.why'), ''), COUNT(*) AS n FROM verdicts
        WHERE check_name = 'agreement' AND kind <> 'agreed' GROUP BY 1 ORDER BY n DESC, 1"""
    return AgreementCounts(
        asked,
        store.db.number(count),
        store.db.number(f"{count} AND kind = 'agreed'"),
        store.db.number(clusters),
        dict(map(tuple, store.db.each(_WHY_UNVERIFIED.validate, why))),
    )
