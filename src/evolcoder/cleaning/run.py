"""The stage `clean` of a run: doubles among its rows become drops, and exports leave them out.

Promises: the drops are those of all rows of the run, written in one transaction in place of those
of an earlier cleaning; so a kill loses nothing, and the same run and config give the same drops.
Of doubles the verified one stays, then the one of the earlier round, then of the smaller ordinal.

>>> clean_run(store, config.clean, seed=config.seed).n_kept   # doctest: +SKIP
978
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from evolcoder.clean.dedup import Duplicate, find
from evolcoder.clean.embed import Embedder
from evolcoder.clean.entries import Entry
from evolcoder.cleaning.doubles import Summary, beside_entries, likeness_of, name_of
from evolcoder.cleaning.rows import of_run
from evolcoder.config import CleanConfig
from evolcoder.errors import StoreError
from evolcoder.funnel import CLEAN_META
from evolcoder.records import SEEN_CHARS, Drop, Reason, Stage
from evolcoder.store import RunStore


def clean_run(
    store: RunStore, config: CleanConfig, *, seed: int, embedder: Embedder | None = None
) -> Summary:
    """Clean a run that is open for writing; what was cleaned the same way already stays so."""
    store.db.flush()
    n_rows = store.n_kept()
    asked = {"config": config.model_dump(mode="json"), "seed": seed, "n_rows": n_rows}
    done = store.meta(CLEAN_META)
    if done is not None and not config.beside and asked.items() <= done.items():
        return Summary(done["n_rows"], done["dropped"], done["embedder"])
    entries = _entries(store, config)
    found = list(find(entries, likeness_of(config), seed=seed, embedder=embedder))
    reasons = Counter(f"duplicate_{duplicate.kind}" for duplicate in found)
    summary = Summary(n_rows, dict(reasons.most_common()), name_of(embedder))
    drops = (_drop(store, duplicate) for duplicate in found)
    store.replace_cleaned(drops, CLEAN_META, {**asked, **asdict(summary)})
    return summary


def _entries(store: RunStore, config: CleanConfig) -> Iterator[Entry]:
    yield from beside_entries(config.beside, config)
    for candidate in of_run(store):
        yield candidate.entry(config.compare)


def _drop(store: RunStore, duplicate: Duplicate) -> Drop:
    task = store.task(duplicate.id)
    if task is None:
        raise StoreError(f"{store.folder}: the task {duplicate.id} is gone; copy the run again")
    return Drop(
        Stage.CLEAN,
        Reason(f"duplicate_{duplicate.kind}"),
        task.id,
        task.round,
        task.ordinal,
        task.heuristic,
        task.instruction[:SEEN_CHARS],
        f"{duplicate.kind} {duplicate.similarity:g} like {duplicate.match}: {duplicate.match_seen}",
        None,
    )
