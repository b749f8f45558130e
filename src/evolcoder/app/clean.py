"""The stage `clean` of a run: stores duplicates and leaks as drops, which exports leave out.

Also writes the certificates of cleanings, of runs and of files.

Guarantees: a cleaning covers all rows of the run and replaces the drops of the previous cleaning in
one transaction, so a kill loses nothing; the same run and config give the same drops. Of duplicates
the verified row is kept, then the row of the earlier round, then the smaller ordinal.

>>> (await clean_run(store, config.clean, seed=config.seed)).n_kept   # doctest: +SKIP
978
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import evolcoder
from evolcoder.config.load import CleanConfig
from evolcoder.deduplication.summary import (
    CleaningSummary,
    Evidence,
    LeakCounts,
    LeakDetector,
    embedder_name,
)
from evolcoder.errors import StoreError
from evolcoder.records import SEEN_CHARS, Drop, Reason, Row, Stage
from evolcoder.seeds.rows import ReadCounts
from evolcoder.storage import atomic
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import CLEAN_META, CleanFacts
from evolcoder.text import json_text

if TYPE_CHECKING:
    from evolcoder.decontamination.certificate import CleanedData
    from evolcoder.deduplication.embedders import Embedder
    from evolcoder.deduplication.find import Document, Duplicate, DuplicateKind


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

    A run already cleaned with the same settings and rows is left as it is, unless `force`; rows
    are the same if their tasks and responses are.
    `leak_detector` checks the rows left after deduplication; without it, leaks found earlier stay
    dropped.
    """
    store.db.flush()
    n_rows = store.n_kept()
    rows = _digest_of_rows(store.rows(cleaned=False))
    settings = {
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "n_rows": n_rows,
        "rows": rows.sha256,
    }
    done = store.meta(CLEAN_META, CleanFacts)
    is_done = done is not None and not config.beside and settings.items() <= done.items()
    if done is not None and is_done and not force:
        layers, shared = (tuple(done.get(key, ())) for key in ("layers", "shared"))
        summary = CleaningSummary(done["n_rows"], done["dropped"], done["embedder"], layers, shared)
        if not all(path.is_file() for path in run_certificate_paths(store.folder)):
            _certify_run(store, config, summary, _searched_before(done), rows)
        return summary
    finder = _Finder(store, config, seed, embedder)
    if leak_detector is not None:
        duplicates, leaks, counts = await finder.find_both(leak_detector)
    else:  # the earlier leaks stay dropped, so their sandbox layers stay recorded
        earlier, leaks = done or {}, {}
        counts = LeakCounts({}, tuple(earlier.get("layers", ())), _searched_before(earlier))
        duplicates = finder.find({})
    reasons = Counter(f"duplicate_{duplicate.kind}" for duplicate in duplicates)
    reasons["leak"] = len(leaks)
    dropped = dict((+reasons).most_common())
    shared = tuple(finder.shared)
    summary = CleaningSummary(n_rows, dropped, embedder_name(embedder), counts.layers, shared)
    drops = chain(
        (_duplicate_drop(store, duplicate, leaks) for duplicate in duplicates),
        (_leak_drop(store, id, hits) for id, hits in sorted(leaks.items())),
    )
    facts = {**settings, **asdict(summary), "searched": counts.searched}
    store.replace_cleaned(drops, CLEAN_META, facts, with_leaks=leak_detector is not None)
    _certify_run(store, config, summary, counts.searched, rows)
    return summary


def _searched_before(done: Mapping[str, Any]) -> Mapping[str, object]:
    """Return what the last cleaning searched for; earlier versions stored only the benchmarks."""
    against = done.get("config", {}).get("against", ())
    if "searched" in done or not against:
        return dict(done.get("searched", {}))
    note = (
        f"An earlier version looked for leaks of {', '.join(against)} and kept no record of how; "
        f"clean with --against to search again."
    )
    return {"not_looked_for": [note]}


def run_certificate_paths(folder: Path) -> tuple[Path, Path]:
    """Return where the certificate of a run lies, as JSON and as a page."""
    return folder / "certificate.json", folder / "certificate.md"


def _certify_run(
    store: RunStore,
    config: CleanConfig,
    summary: CleaningSummary,
    searched: Mapping[str, object],
    before: "_RowsDigest",
) -> None:
    """Write the certificate of a run; `before` is the digest of its rows before the cleaning."""
    from evolcoder.decontamination.certificate import CleanedData  # noqa: PLC0415 - slow

    name = store.folder.name
    is_any_dropped = store.db.number("SELECT COUNT(*) FROM drops WHERE stage = 'clean'") > 0
    after = _digest_of_rows(store.rows()) if is_any_dropped else before
    source, kept = CleanedData(name, *before), CleanedData(name, *after)
    n_earlier = before.n_rows - after.n_rows - sum(summary.dropped.values())
    dropped = Counter(summary.dropped) + Counter(leak=max(0, n_earlier))
    _write_certificate(
        run_certificate_paths(store.folder), config, summary, searched,
        source=source, kept=kept, dropped=dict(dropped), inside=store.folder,
    )  # fmt: skip


class _RowsDigest(NamedTuple):
    """What identifies many rows."""

    sha256: str
    """Digest of their ids, tasks and responses."""
    n_rows: int


def _digest_of_rows(rows: Iterable[Row]) -> _RowsDigest:
    digest, n_rows = hashlib.sha256(), 0
    for n_rows, row in enumerate(rows, 1):  # noqa: B007
        texts = [row.task.id, row.task.instruction, row.response.text]
        digest.update(f"{json.dumps(texts)}\n".encode())
    return _RowsDigest(digest.hexdigest(), n_rows)


def certify_file(
    config: CleanConfig,
    summary: CleaningSummary,
    searched: Mapping[str, object],
    counts: ReadCounts,
    out: Path,
) -> tuple[Path, Path]:
    """Write the certificate of a cleaned file next to its kept rows; return JSON and page."""
    from evolcoder.decontamination.certificate import CleanedData  # noqa: PLC0415 - slow

    paths = (
        out.with_name(f"{out.stem}.certificate.json"),
        out.with_name(f"{out.stem}.certificate.md"),
    )
    source = CleanedData(counts.path, _digest_of_file(Path(counts.path)), summary.n_rows)
    kept = CleanedData(out.name, _digest_of_file(out), summary.n_kept)
    n_unread = counts.n_blank + counts.n_unknown
    gaps = [f"{n_unread:,} rows in which no task was found were not compared and stay."]
    _write_certificate(
        paths, config, summary, searched, source=source, kept=kept, dropped=summary.dropped,
        inside=out.parent, gaps=gaps if n_unread else (),
    )  # fmt: skip
    return paths


def _write_certificate(  # noqa: PLR0913 - all of it is certified
    paths: tuple[Path, Path],
    config: CleanConfig,
    summary: CleaningSummary,
    searched: Mapping[str, object],
    *,
    source: "CleanedData",
    kept: "CleanedData",
    dropped: Mapping[str, int],
    inside: Path,
    gaps: Iterable[str] = (),
) -> None:
    from evolcoder.decontamination.certificate import (  # noqa: PLC0415 - numpy
        CleanedData,
        certificate,
        page,
    )

    record = certificate(
        version=evolcoder.__version__,
        source=source,
        kept=kept,
        beside=[CleanedData(path, _digest_of_file(Path(path)), None) for path in config.beside],
        duplicates={
            "exact": config.exact, "near": config.near, "meaning": config.meaning,
            "compare": config.compare, "embedder": summary.embedder,
            "left_out_of_comparisons": list(summary.shared),
        },
        dropped=dropped,
        searched=dict(searched),
        gaps=[*gaps, *_duplicate_gaps(config, source)],
    )  # fmt: skip
    for path, text in zip(paths, (json_text(record, indent=2) + "\n", page(record)), strict=True):
        atomic.write_text(path, text, inside=inside)


def _duplicate_gaps(config: CleanConfig, source: "CleanedData") -> Iterator[str]:
    """List the kinds of duplicates that were not searched for."""
    if not config.exact:
        yield "Rows with equal texts were not looked for (clean.exact is off)."
    if config.near is None:
        yield "Near duplicates were not looked for (clean.near is off)."
    if config.meaning is None:
        yield "Duplicates in meaning were not looked for (no --meaning)."
    if not config.beside:
        yield "No other data set was compared (no --beside)."
    if source.sha256 is None:
        yield f"{source.name} is not a file, so its digest is not known."


def _digest_of_file(path: Path) -> str | None:
    """Return the digest of a file's bytes; None for a folder or a data set of a hub."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Finder:
    """Finds the duplicates of a run, and its leaks among what is left."""

    def __init__(
        self, store: RunStore, config: CleanConfig, seed: int, embedder: "Embedder | None"
    ) -> None:
        self.shared: list[str] = []
        """Text that was left out of comparisons."""
        self._store, self._config = store, config
        self._seed, self._embedder = seed, embedder
        self._first = 0

    def find(self, leaks: "Mapping[int, Collection[DuplicateKind]]") -> "list[Duplicate]":
        """Return the duplicates; `leaks` are the numbers of rows that leave anyway."""
        config = self._config
        if not config.exact and config.near is None and config.meaning is None:
            return []
        from evolcoder.deduplication.files import external_documents, similarity_of  # noqa: PLC0415
        from evolcoder.deduplication.find import find_duplicates  # noqa: PLC0415 - numpy

        self.shared.clear()
        documents = chain(self._counted(external_documents(config.beside, config)), self._own())
        found = find_duplicates(
            documents, similarity_of(config), seed=self._seed, embedder=self._embedder,
            shared=self.shared, leaks=leaks,
        )  # fmt: skip
        return list(found)

    async def find_both(
        self, detector: LeakDetector
    ) -> "tuple[list[Duplicate], dict[str, Evidence], LeakCounts]":
        """Return duplicates, leaks by the ids of their tasks, and what the search returned."""
        from evolcoder.deduplication import leaky_matches  # noqa: PLC0415 - numpy

        async def search(
            is_searched: Callable[[int], bool],
        ) -> tuple[dict[int, Evidence], LeakCounts]:
            counts = await detector(row for number, row in self._rows() if is_searched(number))
            known = counts.evidence
            numbers = ((number, row.task.id) for number, row in self._rows() if known)
            found = ((n, id) for n, id in numbers if id in known and is_searched(n))
            ids.update(found)
            return {n: known[id] for n, id in ids.items() if id in known}, counts

        ids: dict[int, str] = {}
        duplicates, leaks, counts = await leaky_matches.find_both(self.find, search)
        return duplicates, {ids[number]: hits for number, hits in leaks.items()}, counts

    def _rows(self) -> Iterator[tuple[int, Row]]:
        return enumerate(self._store.rows(cleaned=False), self._first)

    def _own(self) -> "Iterator[Document]":
        from evolcoder.deduplication.find import Document  # noqa: PLC0415 - numpy

        for _, row in self._rows():
            yield Document.of(row, self._config.compare)

    def _counted(self, documents: "Iterable[Document]") -> "Iterator[Document]":
        self._first = 0
        for self._first, document in enumerate(documents, 1):
            yield document


def _duplicate_drop(store: RunStore, duplicate: "Duplicate", leaks: Mapping[str, Evidence]) -> Drop:
    match = f"{duplicate.kind} {duplicate.similarity:g} like {duplicate.match}"
    match += " (a leak)" if duplicate.match in leaks else ""
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
