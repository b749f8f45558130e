"""The stage `clean` of a run: stores duplicates and leaks as drops, which exports leave out.

Guarantees: a cleaning covers all rows of the run and replaces the drops of the previous cleaning in
one transaction, so a kill loses nothing; the same run and config give the same drops. Of duplicates
the verified row is kept, then the row of the earlier round, then the smaller ordinal.

>>> (await clean_run(store, config.clean, seed=config.seed)).n_kept   # doctest: +SKIP
978
"""

import json
from collections import Counter
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from evolcoder.config.load import CleanConfig
from evolcoder.deduplication.summary import (
    CleaningSummary,
    Evidence,
    LeakCounts,
    LeakDetector,
    embedder_name,
)
from evolcoder.errors import StoreError
from evolcoder.records import SEEN_CHARS, Drop, Reason, Stage
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import CLEAN_META, CleanFacts

if TYPE_CHECKING:
    from evolcoder.deduplication.embedders import Embedder
    from evolcoder.deduplication.find import Duplicate


async def clean_run(
    store: RunStore,
    config: CleanConfig,
    *,
    seed: int,
    embedder: "Embedder | None" = None,
    leak_detector: LeakDetector | None = None,
    force: bool = False,
) -> CleaningSummary:
    """Clean a run that is open for writing.

    A run already cleaned with the same settings and rows is left as it is, unless `force`.
    `leak_detector` checks the rows left after deduplication; without it, leaks found earlier stay
    dropped.
    """
    store.db.flush()
    n_rows = store.n_kept()
    settings = {"config": config.model_dump(mode="json"), "seed": seed, "n_rows": n_rows}
    done = store.meta(CLEAN_META, CleanFacts)
    is_done = done is not None and not config.beside and settings.items() <= done.items()
    if done is not None and is_done and not force:
        layers, shared = (tuple(done.get(key, ())) for key in ("layers", "shared"))
        return CleaningSummary(done["n_rows"], done["dropped"], done["embedder"], layers, shared)
    duplicates, shared = _find_duplicates(store, config, seed, embedder)
    if leak_detector is not None:
        gone = {duplicate.id for duplicate in duplicates}
        leaks = await leak_detector(
            row for row in store.rows(cleaned=False) if row.task.id not in gone
        )
    else:  # the earlier leaks stay dropped, so their sandbox layers stay recorded
        leaks = LeakCounts({}, tuple((done or {}).get("layers", ())))
    reasons = Counter(f"duplicate_{duplicate.kind}" for duplicate in duplicates)
    reasons["leak"] = len(leaks.evidence)
    dropped = dict((+reasons).most_common())
    summary = CleaningSummary(n_rows, dropped, embedder_name(embedder), leaks.layers, shared)
    drops = chain(
        (_duplicate_drop(store, duplicate) for duplicate in duplicates),
        (_leak_drop(store, id, hits) for id, hits in sorted(leaks.evidence.items())),
    )
    facts = {**settings, **asdict(summary)}
    store.replace_cleaned(drops, CLEAN_META, facts, with_leaks=leak_detector is not None)
    return summary


def _find_duplicates(
    store: RunStore, config: CleanConfig, seed: int, embedder: "Embedder | None"
) -> "tuple[list[Duplicate], tuple[str, ...]]":
    """Return the duplicates, and the text that was left out of comparisons."""
    if not config.exact and config.near is None and config.meaning is None:
        return [], ()
    from evolcoder.deduplication.files import external_documents, similarity_of  # noqa: PLC0415
    from evolcoder.deduplication.find import Document, find_duplicates  # noqa: PLC0415 - numpy

    own = (Document.of(row, config.compare) for row in store.rows(cleaned=False))
    documents = chain(external_documents(config.beside, config), own)
    shared: list[str] = []
    found = find_duplicates(
        documents, similarity_of(config), seed=seed, embedder=embedder, shared=shared
    )
    return list(found), tuple(shared)


def _duplicate_drop(store: RunStore, duplicate: "Duplicate") -> Drop:
    match = f"{duplicate.kind} {duplicate.similarity:g} like {duplicate.match}"
    reason = Reason(f"duplicate_{duplicate.kind}")
    return _drop(store, duplicate.id, reason, f"{match}: {duplicate.match_seen}")


def _leak_drop(store: RunStore, id: str, hits: Evidence) -> Drop:
    return _drop(store, id, Reason.LEAK, json.dumps(hits, sort_keys=True))


def _drop(store: RunStore, id: str, reason: Reason, detail: str) -> Drop:
    task = store.task(id)
    if task is None:
        raise StoreError(f"{store.folder}: task {id} is missing; copy the run again")
    return Drop(
        Stage.CLEAN,
        reason,
        task.id,
        task.round,
        task.ordinal,
        task.heuristic,
        task.instruction[:SEEN_CHARS],
        detail,
        None,
    )
