"""Collects the report of a file that `evolcoder clean` wrote: certificate, drops, leaks.

Takes the cleaned file or its certificate, which lie next to each other with the drops. Leaks are
shown with the texts of their rows if the file that was cleaned is still there and unchanged.

>>> report_of(Path("clean.jsonl"), data_dir=None).title   # doctest: +SKIP
'Cleaning of data.jsonl'
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolcoder.config.schema import SeedsConfig
from evolcoder.errors import ConfigError, SeedsError, UserError
from evolcoder.input_files import iter_lines, open_input, parse_value, read_text
from evolcoder.report.content import (
    Cell,
    Chart,
    ReportContent,
    ReportSection,
    ReportTable,
    Series,
    share,
)
from evolcoder.report.leaks import LeakedRow, certificate_sections, leaks_section
from evolcoder.seeds.rows import placed_rows
from evolcoder.storage.workdir import FolderFacts, parse_fact
from evolcoder.terminal import shell_path
from evolcoder.text import one_line

CERTIFICATE = ".certificate.json"
MAX_CERTIFICATE_MB = 16
DUPLICATE = "duplicate_"
"""How the reasons of duplicates begin."""
DUPLICATES = 500
"""Most duplicates in the table."""
SEEN_CHARS = 160


class CertificateFacts(FolderFacts):
    """The required fields of a certificate."""

    input: dict[str, Any]
    output: dict[str, Any] | None
    rows: dict[str, Any]
    beside: list[dict[str, Any]]
    detectors: list[dict[str, Any]]
    hits: list[dict[str, Any]]
    drop: list[str]
    duplicates: dict[str, Any]
    not_looked_for: list[str]
    evolcoder: str


def stem_of(path: Path) -> str:
    """Return the name that a cleaned file, its certificate and its drops begin with."""
    return path.name.removesuffix(CERTIFICATE) if path.name.endswith(CERTIFICATE) else path.stem


def certificate_path(path: Path) -> Path:
    """Return where the certificate of a cleaned file lies."""
    return path.with_name(f"{stem_of(path)}{CERTIFICATE}")


def drops_path(path: Path) -> Path:
    """Return where the drops of a cleaned file lie."""
    return path.with_name(f"{stem_of(path)}.drops.jsonl")


def read_certificate(path: Path) -> dict[str, Any]:
    """Read a certificate; UserError if it is damaged."""
    text = read_text(path, max_mb=MAX_CERTIFICATE_MB, error=UserError)
    try:
        found: dict[str, Any] = parse_fact(path.name, text, CertificateFacts)
    except ValueError as error:
        raise UserError(f"{path}: is no certificate of a cleaning ({error})") from error
    return found


def report_of(path: Path, data_dir: Path | None) -> ReportContent:
    """Collect the report of a cleaned file, given by its path or its certificate's."""
    certificate, dropped_path = certificate_path(path), drops_path(path)
    if not certificate.is_file():
        raise ConfigError(
            f"there is no certificate {certificate}; evolcoder clean DATA --out "
            f"{path.with_name(f'{stem_of(path)}.jsonl')} writes it"
        )
    record = read_certificate(certificate)
    drops = _Dropped.read(dropped_path)
    rows = record["rows"]
    source = str(record["input"].get("name", ""))
    dropped = sum(rows["dropped"].values())
    why = ", ".join(f"{n:,} {reason}" for reason, n in rows["dropped"].items())
    return ReportContent(
        title=f"Cleaning of {source}",
        summary=f"{rows['kept']:,} of {rows['read'] or 0:,} rows were kept, {dropped:,} dropped"
        f"{f' ({why})' if why else ''}.",
        facts=tuple(_facts(record["duplicates"])),
        sections=(
            _rows_section(rows),
            *certificate_sections(record),
            *_leaks(path, record, drops.leaks, data_dir),
            *_duplicates(drops),
        ),
    )


def _facts(duplicates: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield how duplicates were looked for; what was not is left out."""
    for name, value in duplicates.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if value:
            yield f"duplicates: {name.replace('_', ' ')}", "yes" if value is True else shown


def _rows_section(rows: Mapping[str, Any]) -> ReportSection:
    parts = {"kept": rows["kept"], **rows["dropped"]}
    lines = tuple((name, n, share(n, rows["read"] or 0)) for name, n in parts.items())
    series = tuple(Series(name, (float(n),)) for name, n in parts.items())
    return ReportSection(
        "rows",
        "Rows",
        "What became of the rows that were read; in = kept + dropped.",
        ReportTable(("rows", "number", "share"), (("read", rows["read"], 1.0), *lines), ("rows",)),
        Chart("stacked", ("rows",), series, "rows"),
        is_open=True,
    )


@dataclass(frozen=True, slots=True)
class _Dropped:
    """The drops of a cleaned file, as far as they are shown."""

    leaks: Sequence[Mapping[str, Any]]
    """All leaks."""
    duplicates: Sequence[Mapping[str, Any]]
    """The first duplicates, at most DUPLICATES."""
    kinds: Counter[str]
    """Number of duplicates by kind."""

    @classmethod
    def read(cls, path: Path) -> "_Dropped":
        leaks, duplicates, kinds = (
            list[Mapping[str, Any]](),
            list[Mapping[str, Any]](),
            Counter[str](),
        )
        for drop in _drops(path):
            reason = str(drop.get("reason"))
            if reason == "leak":
                leaks.append(drop)
            elif reason.startswith(DUPLICATE):
                kinds[reason.removeprefix(DUPLICATE)] += 1
                if len(duplicates) < DUPLICATES:
                    duplicates.append(drop)
        return cls(leaks, duplicates, kinds)


def _drops(path: Path) -> Iterator[Mapping[str, Any]]:
    """Read the drops next to a cleaned file; none if they are gone."""
    if not path.is_file():
        return
    with open_input(path, error=UserError) as file:
        try:
            for number, line in iter_lines(file):
                drop = parse_value(line, number)
                if isinstance(drop, dict):
                    yield drop
        except ValueError as error:
            raise UserError(f"{path}: cannot be read: {error}") from error


def _leaks(
    path: Path, record: Mapping[str, Any], leaks: Sequence[Mapping[str, Any]], data_dir: Path | None
) -> Iterator[ReportSection]:
    source = str(record["input"].get("name", ""))
    if not record["detectors"]:
        command = f"evolcoder clean {shell_path(source)}"
        yield ReportSection(
            "leaks",
            "Leaks",
            "Problems of benchmarks were not looked for.",
            notes=(f"{command} --against humaneval,mbpp --out {shell_path(path)} does",),
        )
        return
    texts, more = _texts(path, record, leaks)
    rows = [
        LeakedRow(f"row {number}", tuple(hits_of(drop)), *texts.get(number, ("", "")))
        for drop in leaks
        if isinstance(number := drop.get("number"), int)
    ]
    if rows:
        yield leaks_section(rows, data_dir, more=more)


def hits_of(drop: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the findings of a drop that is a leak."""
    hits = drop.get("hits")
    return [hit for hit in hits if isinstance(hit, dict)] if isinstance(hits, list) else []


def _texts(
    path: Path, record: Mapping[str, Any], leaks: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, tuple[str, str]], str]:
    """Return tasks and answers of leaked rows by number, and how rows are numbered or missing."""
    source, why = source_of(path, record)
    if source is None:
        return {}, why
    found, why = texts_of(
        source, {number for drop in leaks if isinstance(number := drop.get("number"), int)}
    )
    return found, why or f"row 0 is the first of {record['input'].get('name', '')}"


def source_of(path: Path, record: Mapping[str, Any]) -> tuple[Path | None, str]:
    """Return the file that was cleaned, or why its rows cannot be shown.

    `path` is that of the cleaned file or its certificate, `record` the certificate. The whole file
    is read, to see that it is the one that was cleaned.
    """
    name = str(record["input"].get("name", ""))
    at = next((one for one in (Path(name), path.parent / name) if one.is_file()), None)
    if at is None:
        return None, f"{name} is not there, so the rows' texts are not shown"
    with at.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != record["input"].get("sha256"):
            return None, f"{name} changed since, so the rows' texts are not shown"
    return at, ""


def texts_of(source: Path, wanted: Collection[int]) -> tuple[dict[int, tuple[str, str]], str]:
    """Return task and answer of rows by number, and why some are missing; empty if none is.

    Reads the file up to the last of these rows.
    """
    found: dict[int, tuple[str, str]] = {}
    try:
        for number, placed in enumerate(placed_rows(SeedsConfig(path=str(source)))):
            if number in wanted:
                found[number] = placed.row.task.instruction, placed.row.response.text
            if len(found) == len(wanted):
                break
    except SeedsError as error:
        return found, f"some rows of {source.name} cannot be read without their columns: {error}"
    return found, ""


def _duplicates(drops: _Dropped) -> Iterator[ReportSection]:
    if not drops.duplicates:
        return
    rows = tuple(tuple(_duplicate(one)) for one in drops.duplicates)
    by_kind = ", ".join(f"{n:,} {kind}" for kind, n in drops.kinds.most_common())
    yield ReportSection(
        "duplicates",
        "Duplicates",
        f"{len(rows):,} of {drops.kinds.total():,} rows that repeat another one ({by_kind}), with "
        "the row that was kept.",
        ReportTable(("row", "kind", "similarity", "kept row", "text", "kept text"), rows),
    )


def _duplicate(one: Mapping[str, Any]) -> Iterator[Cell]:
    yield one.get("number")
    yield str(one["reason"]).removeprefix("duplicate_")
    similarity = one.get("similarity")
    yield round(similarity, 4) if isinstance(similarity, float) else None
    yield one.get("match_number")
    for name in ("seen", "match_seen"):
        yield one_line(str(one.get(name, "")), SEEN_CHARS)
