"""The stage `clean` of a run: doubles and leaks among its rows become drops that exports leave out.

Promises: the drops are those of all rows of the run, written in one transaction in place of those
of an earlier cleaning; so a kill loses nothing, and the same run and config give the same drops.
Of doubles the verified one stays, then the one of the earlier round, then of the smaller ordinal.

>>> (await clean_run(store, config.clean, seed=config.seed)).n_kept   # doctest: +SKIP
978
"""

import json
from collections import Counter
from dataclasses import asdict
from itertools import chain

from evolcoder.config.load import CleanConfig
from evolcoder.deduplication.embedders import Embedder
from evolcoder.deduplication.files import beside_entries, likeness_of
from evolcoder.deduplication.find import Duplicate, find
from evolcoder.deduplication.rows import (
    CleaningSummary,
    Evidence,
    LeakCounts,
    Leaked,
    name_of,
    of_run,
)
from evolcoder.errors import StoreError
from evolcoder.records import SEEN_CHARS, Drop, Reason, Stage
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import CLEAN_META, CleanFacts


async def clean_run(
    store: RunStore,
    config: CleanConfig,
    *,
    seed: int,
    embedder: Embedder | None = None,
    leaked: Leaked | None = None,
    anew: bool = False,
) -> CleaningSummary:
    """Clean a run that is open for writing; cleaned the same way already, it stays, unless `anew`.

    `leaked` is asked about the rows that are left. Without it leaks that were found before stay
    dropped.
    """
    store.db.flush()
    n_rows = store.n_kept()
    asked = {"config": config.model_dump(mode="json"), "seed": seed, "n_rows": n_rows}
    done = store.meta(CLEAN_META, CleanFacts)
    is_done = done is not None and not config.beside and asked.items() <= done.items()
    if done is not None and is_done and not anew:
        layers = tuple(done.get("layers", ()))
        return CleaningSummary(done["n_rows"], done["dropped"], done["embedder"], layers)
    found = _doubles_of(store, config, seed, embedder)
    if leaked is not None:
        leaks = await _leaks_of(store, found, leaked)
    else:  # the layers are those of the leaks that stay
        leaks = LeakCounts({}, tuple((done or {}).get("layers", ())))
    reasons = Counter(f"duplicate_{duplicate.kind}" for duplicate in found)
    reasons["leak"] = len(leaks.evidence)
    dropped = dict((+reasons).most_common())
    summary = CleaningSummary(n_rows, dropped, name_of(embedder), leaks.layers)
    drops = chain(
        (_double(store, duplicate) for duplicate in found),
        (_leak(store, id, hits) for id, hits in sorted(leaks.evidence.items())),
    )
    with_leaks = leaked is not None
    store.replace_cleaned(drops, CLEAN_META, {**asked, **asdict(summary)}, with_leaks=with_leaks)
    return summary


def _doubles_of(
    store: RunStore, config: CleanConfig, seed: int, embedder: Embedder | None
) -> list[Duplicate]:
    if not config.exact and config.near is None and config.meaning is None:
        return []
    ours = (candidate.entry(config.compare) for candidate in of_run(store))
    entries = chain(beside_entries(config.beside, config), ours)
    return list(find(entries, likeness_of(config), seed=seed, embedder=embedder))


async def _leaks_of(store: RunStore, doubles: list[Duplicate], leaked: Leaked) -> LeakCounts:
    """Have the rows that are left looked at."""
    gone = {duplicate.id for duplicate in doubles}
    return await leaked(row for row in of_run(store) if row.id not in gone)


def _double(store: RunStore, duplicate: Duplicate) -> Drop:
    said = f"{duplicate.kind} {duplicate.similarity:g} like {duplicate.match}"
    reason = Reason(f"duplicate_{duplicate.kind}")
    return _drop(store, duplicate.id, reason, f"{said}: {duplicate.match_seen}")


def _leak(store: RunStore, id: str, hits: Evidence) -> Drop:
    return _drop(store, id, Reason.LEAK, json.dumps(hits, sort_keys=True))


def _drop(store: RunStore, id: str, reason: Reason, detail: str) -> Drop:
    task = store.task(id)
    if task is None:
        raise StoreError(f"{store.folder}: the task {id} is gone; copy the run again")
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
