"""Exports a run: selects the rows for each format and collects the facts for the data set card.

>>> write(store, config)[0]   # doctest: +SKIP
PosixPath('runs/a/export/alpaca/data.json')
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evolcoder.app import provenance
from evolcoder.config.load import Config, ExportFormat
from evolcoder.exports.write import CardFacts, ModelUsed, export
from evolcoder.records import Row
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SEEDS_META, SeedsFacts, funnel, protections
from evolcoder.text import without_logins

_UNKNOWN: dict[str, Any] = {"command": "", "models": [], "versions": {}}
DERIVED: frozenset[ExportFormat] = frozenset({"preference", "infill", "repair"})
"""Formats whose rows are derived from verification results."""


def write(store: RunStore, config: Config) -> list[Path]:
    """Export a run into its own folder, in the config's formats; return the files."""
    return write_to(store, store.folder / "export", config, config.export.formats)


def write_to(
    store: RunStore, out: Path, config: Config, formats: Sequence[ExportFormat]
) -> list[Path]:
    """Export a run into the folder `out`; return the files."""

    def rows(format: ExportFormat) -> Iterator[Row]:
        first = 0 if config.export.include_seeds else 1
        kept = store.rows(min_round=first, limit=config.budget.target)
        if format not in DERIVED:
            return kept
        from evolcoder.exports import derived_rows  # noqa: PLC0415 - slow import, rarely needed

        if format == "preference":
            return derived_rows.pairs(store.rows(min_round=first, dropped=True))
        if format == "infill":
            return derived_rows.infillings(kept, config.seed)
        return derived_rows.repairs(kept)

    return export(rows, formats, out, _facts(store, config))


def _facts(store: RunStore, config: Config) -> CardFacts:
    origin = store.meta(provenance.META, provenance.RunFacts) or _UNKNOWN
    seeds = store.meta(SEEDS_META, SeedsFacts) or {"source": "", "format": ""}
    return CardFacts(
        title=f"evolcoder run {config.fingerprint[:8]}",
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
        answered=tuple(one for one in store.answers_by_model() if one[0] != one[1]),
    )
