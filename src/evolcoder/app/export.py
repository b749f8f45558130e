"""Exports a run: selects the rows for each format and collects the facts for the data set card.

Rows whose program ended in an error are left out, unless `export.failing` is set; `notes` says so.

>>> write(store, config)[0].path   # doctest: +SKIP
PosixPath('runs/a/export/alpaca/data.json')
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evolcoder.app import provenance
from evolcoder.config.load import Config, ExportFormat
from evolcoder.credentials import without_logins
from evolcoder.engine.hub import upload_dataset
from evolcoder.errors import UserError
from evolcoder.exports.formats import DERIVED, is_misstated, shown_wrong
from evolcoder.exports.write import CardFacts, Exported, ModelUsed, export
from evolcoder.records import Row
from evolcoder.storage.annotations import Mark, read_annotations
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SEEDS_META, SeedsFacts, checks_of, funnel, protections
from evolcoder.terminal import shell_path

_UNKNOWN: dict[str, Any] = {"command": "", "models": [], "versions": {}}
NEEDS: Mapping[ExportFormat, tuple[str, str]] = {
    "preference": ("tests", "no task has a response that passes its tests and one that fails"),
    "infill": ("runs", "no Python program that ran has a span to remove"),
    "repair": ("tests", "no row's tests detected a fault"),
}
"""Check that a derived format needs, and why it may have no rows with it."""


_ANY_WRONG = """SELECT EXISTS (SELECT 1 FROM verdicts
    WHERE check_name = 'runs' AND kind IN ('error', 'misstated'))"""


def write(store: RunStore, config: Config) -> list[Exported]:
    """Export a run into its own folder, in the config's formats."""
    return write_to(store, store.folder / "export", config, config.export.formats)


def write_to(
    store: RunStore,
    out: Path,
    config: Config,
    formats: Sequence[ExportFormat],
    *,
    marked: Mark | None = None,
) -> list[Exported]:
    """Export a run into the folder `out`; `marked`: those with this mark alone."""
    choose = _choice(store, marked=marked)

    def rows(format: ExportFormat) -> Iterator[Row]:
        kept = filter(choose, _exportable(store, config))
        if format not in DERIVED:
            return kept
        from evolcoder.exports import derived_rows  # noqa: PLC0415 - slow import, rarely needed

        if format == "preference":
            first = 0 if config.export.include_seeds else 1
            return derived_rows.pairs(filter(choose, store.rows(min_round=first, dropped=True)))
        if format == "infill":
            return derived_rows.infillings(kept, config.seed, config.export.fim)
        return derived_rows.repairs(kept)

    return export(rows, formats, out, _facts(store, config, marked=marked), config.export)


def _choice(store: RunStore, *, marked: Mark | None) -> Callable[[Row], bool]:
    """Return whether a row is wanted, by what people put on the rows of a run."""
    if marked is None:
        return lambda _: True
    ids = _marked(store, marked)
    return lambda row: (row.task.id in ids) is (marked != "not flagged")


def _marked(store: RunStore, marked: Mark) -> frozenset[str]:
    """Return the ids of the rows with a note, or of those with a flag."""
    found = read_annotations(store.folder)
    return found.noted if marked == "noted" else found.flagged


def notes(
    store: RunStore,
    config: Config,
    written: Sequence[Exported],
    *,
    marked: Mark | None = None,
) -> list[str]:
    """Say which rows were not exported, and what formats without rows need."""
    found = [
        note
        for note in (_left_out(store, config, marked=marked), _by_marks(store, marked=marked))
        if note
    ]
    if marked in {"flagged", "noted"} and not _marked(store, marked):
        place = shell_path(store.folder)
        return [f"no row is {marked}; evolcoder view {place} shows rows and flags or notes them"]
    checks = checks_of(store)
    for one in written:
        if one.n_rows or one.format not in NEEDS:
            continue
        check, why_none = NEEDS[one.format]
        if check == "tests" and config.respond.candidates > 1:
            found.append(f"{one.format}: 0 rows: {why_none}, or no answers that differ")
            continue
        model = " --model SPEC" if check == "tests" else ""
        found.append(
            f"{one.format}: 0 rows: {why_none}"
            if check in checks
            else f"{one.format}: 0 rows: it needs the check {check}, which was not run; run: "
            f"evolcoder verify {shell_path(store.folder)} --checks {check}{model}"
        )
    if not found and not any(one.n_rows for one in written):
        seeds = "" if config.export.include_seeds else ", and seeds are left out (--no-seeds)"
        found.append(f"0 rows: no evolved row was kept{seeds}")
    return found


def push(written: Exported, id: str, *, public: bool) -> str:
    """Upload a format's folder to a data set of the Hub; return its address.

    Raises UserError if there are no rows, or if the Hub refuses it or cannot be reached.
    """
    if not written.n_rows:
        raise UserError(f"--push {id}: there are no rows to upload")
    return upload_dataset(written.path.parent, id, public=public, error=UserError)


def _exportable(store: RunStore, config: Config) -> Iterator[Row]:
    """Yield the rows that are exported."""
    first = 0 if config.export.include_seeds else 1
    for row in store.rows(min_round=first, limit=config.budget.target):
        if config.export.failing or not shown_wrong(row):
            yield row


def _by_marks(store: RunStore, *, marked: Mark | None) -> str:
    """Say which rows flags or notes leave out; empty if none."""
    if marked == "not flagged":
        return f"not exported: flagged rows ({len(_marked(store, marked)):,})"
    return f"exported: {marked} rows only" if marked else ""


def _left_out(store: RunStore, config: Config, *, marked: Mark | None) -> str:
    if config.export.failing or not store.db.number(_ANY_WRONG):
        return ""
    first = 0 if config.export.include_seeds else 1
    rows = store.rows(min_round=first, limit=config.budget.target)
    wrong = [row for row in filter(_choice(store, marked=marked), rows) if shown_wrong(row)]
    n_misstated = sum(is_misstated(row) for row in wrong)
    counts = (
        (len(wrong) - n_misstated, ("program ends in an error", "programs end in an error")),
        (n_misstated, ("response misstates its output", "responses misstate their output")),
    )
    parts = [f"{n} row{'s' * (n > 1)} whose {which[n > 1]}" for n, which in counts if n]
    joined = " and ".join(parts)
    return f"not exported: {joined}; export.failing=true exports them too" if parts else ""


def _facts(store: RunStore, config: Config, *, marked: Mark | None) -> CardFacts:
    origin = store.meta(provenance.META, provenance.RunFacts) or _UNKNOWN
    seeds = store.meta(SEEDS_META, SeedsFacts) or {"source": "", "format": ""}
    return CardFacts(
        title=f"{config.export.name} run {config.fingerprint[:8]}",
        license=config.export.license,
        seeds=f"{seeds['source']} ({seeds['format']})",
        command=without_logins(origin["command"]),
        models=tuple(
            ModelUsed(model["role"], model["identity"], model["licence"])
            for model in origin["models"]
        ),
        funnel=tuple(funnel(store)),
        versions=tuple(sorted(origin["versions"].items())),
        sandbox=tuple(protections(store).items()),
        left_out=". ".join(
            filter(None, (_left_out(store, config, marked=marked), _by_marks(store, marked=marked)))
        ),
        answered=tuple(one for one in store.answers_by_model() if one[0] != one[1]),
    )
