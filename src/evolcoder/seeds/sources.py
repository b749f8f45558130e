"""Streams rows from files, folders, Hub data sets and the bundled seeds, with their row numbers.

Memory holds one row, or one batch of Parquet or Arrow, even if the file is compressed. Text is
UTF-8, or UTF-16 with a byte order mark. Of a data set's folder the files of one split are read.
Every error is a one-line SeedsError that names the place. Pipes and devices are refused. Nothing is
unpickled or executed.

>>> next(rows_of(SeedsConfig())).place
'line 1'
"""

import codecs
import gzip
import json
import lzma
import os
import re
import tempfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import yaml

from evolcoder import input_files
from evolcoder.config.load import SeedsConfig
from evolcoder.engine import hub
from evolcoder.errors import SeedsError
from evolcoder.input_files import PACKED, open_input
from evolcoder.seeds.answers import listed
from evolcoder.seeds.chats import parsed_list
from evolcoder.seeds.formats import format_of, read_detected
from evolcoder.seeds.tables import (
    SourceRow,
    csv_rows,
    is_header,
    plain_rows,
    rows_below,
    rows_of_columns,
    rows_of_table,
)
from evolcoder.storage.atomic import temporary_file_errors
from evolcoder.text import one_line

BUNDLED = "bundled"
SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".csv", ".tsv", ".txt")
_OTHER_FOLDERS = {"eval.db": "an evaluation", "loop.db": "a loop"}
_MARKERS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
"""Files that say that a folder is a data set."""
_SPLITS = {"train", "test", "validation", "valid", "dev"}
PARQUET_ROWS = 256
"""Rows per Parquet batch."""
MAX_UNPACKED_GB = 64
"""Maximum size of a Parquet file that is decompressed to disk."""
_CHUNK = 1 << 20
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WHY_CHARS = 300
_SHARD = re.compile(
    r"(?:part|shard|chunk)[-_.]?\d+|(?<!\d)\d{4,}(?!\d)|(?:\A|[-_. ])\d+(?=\.)", re.IGNORECASE
)
"""Number of a shard, or of a row, in the name of a file; `v2` is none."""
_SPLIT_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}")
_TRAIN = ("train", "training")
_MAX_SPLITS = 3
"""Most objects that are opened to find the rows for training."""
_NUMBERS = re.compile(r"[0-9a-f]{8,}|\d+", re.IGNORECASE)


_URL = re.compile(r"https?://", re.IGNORECASE)
_HUB_PAGE = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/([\w.-]+/[\w.-]+)")
"""The page of a data set of the Hub."""


def rows_of(config: SeedsConfig) -> Iterator[SourceRow]:
    """Yield the rows of the source that a config names."""
    if config.path == BUNDLED:
        with (resources.files("evolcoder") / "data" / "seeds.jsonl").open("rb") as file:
            yield from _json_rows(cast("BinaryIO", file), BUNDLED)
        return
    if _URL.match(config.path):
        found = _HUB_PAGE.match(config.path)
        advice = f"name it as {found[1]}" if found else "download the file, and name that"
        raise SeedsError(f"{config.path}: is an address on the web; {advice}")
    path = Path(os.path.expanduser(config.path))  # noqa: PTH111 - pathlib's may raise
    if _kind(path) not in SUFFIXES and not path.exists() and _HUB_ID.fullmatch(config.path):
        yield from _hub_rows(config)
    elif path.is_dir():
        yield from _folder_rows(path, config)
    else:
        yield from _file_rows(path)


def _kind(path: Path) -> str:
    """Return the suffix that names the kind of a file, without that of its compression."""
    bare = path.with_suffix("") if path.suffix.lower() in PACKED else path
    return bare.suffix.lower()


def _folder_rows(folder: Path, config: SeedsConfig) -> Iterator[SourceRow]:
    """Read the files of one split, in the order of their names."""
    paths = _split_files(folder, config)
    for path in paths:
        for row in _file_rows(path):
            yield SourceRow(f"{path.name} {row.place}", row.value) if len(paths) > 1 else row


def _split_files(folder: Path, config: SeedsConfig) -> list[Path]:
    """Return the data files of a split, as the card of the data set or their names say."""
    if (folder / "run.db").exists():
        raise SeedsError(
            f"{folder}: is a run folder; name a data set in {folder}/export, or export it first"
        )
    for mark, what in _OTHER_FOLDERS.items():
        if (folder / mark).exists():
            raise SeedsError(f"{folder}: is the folder of {what}, which holds no rows")
    if paths := _files_of_card(folder, config) or _files_of_trainers(folder, config):
        return paths
    base = folder / config.subset if config.subset else folder
    found = _data_files(base, ("*", "data/*", f"{config.split}/*"))
    of_split = [path for path in found if config.split in _names_of(path, folder)]
    if len(kinds := sorted({_kind(path) for path in of_split})) > 1:
        raise SeedsError(
            f"{folder}: has the split {config.split} in several formats ({', '.join(kinds)}); name "
            f"a file in it"
        )
    if of_split:
        return of_split
    names = {name for path in found for name in _names_of(path, folder)}
    if splits := {name for name in names if re.split(r"[-_.]", name)[0] in _SPLITS}:
        raise _no_split(folder, config, splits)
    if found and (any((folder / name).exists() for name in _MARKERS) or _are_shards(found)):
        return found
    if found:
        raise SeedsError(f"{folder}: is a folder; name a file in it")
    return _files_of_subfolders(base, config)


def _data_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files with rows that patterns name, in the order of their names and numbers."""
    found = [
        path
        for path in {path for pattern in patterns for path in folder.glob(pattern)}
        if path.is_file()
        and _kind(path) in SUFFIXES
        and path.name not in _MARKERS
        and not path.name.lower().startswith((".", "_", "license", "readme", "requirements"))
    ]
    return sorted(found, key=lambda path: re.sub(r"\d+", lambda one: one[0].zfill(12), str(path)))


def _are_shards(paths: Sequence[Path]) -> bool:
    """Whether files are the parts of one: the only one, or named alike but for numbers."""
    names = {(path.parent, _NUMBERS.sub("#", path.name)) for path in paths}
    are_numbered = all(_SHARD.search(path.name) for path in paths)
    return len(paths) == 1 or (len(names) == 1 and are_numbered)


def _files_of_subfolders(folder: Path, config: SeedsConfig) -> list[Path]:
    """Return the files of a split in the only subfolder with data, such as `default/train`."""
    of_split = _data_files(folder, (f"*/{config.split}/*", f"*/{config.split}[-_.]*"))
    paths = of_split or _data_files(folder, ("*/*", "*/*/*"))
    names = sorted({path.relative_to(folder).parts[0] for path in paths})
    if of_split and len(names) == 1:
        return of_split
    if names:
        named = one_line(", ".join(names), _WHY_CHARS)
        raise SeedsError(f"{folder}: is a folder of folders; name one of {named}, or a file in it")
    raise SeedsError(f"{folder}: is a folder; name a file in it")


def _no_split(folder: Path, config: SeedsConfig, splits: Collection[str]) -> SeedsError:
    """Return the error for a folder with other splits than the one that is wanted."""
    named = one_line(", ".join(sorted(splits)), _WHY_CHARS)
    return SeedsError(
        f"{folder}: is a folder; its files have no split {config.split}; set seeds.split to one of "
        f"{named}"
    )


def _names_of(path: Path, folder: Path) -> set[str]:
    """Return the beginning of a file's name and the folders above it, which may name a split.

    In a name such as `train_sft-00000-of-00003` the split is all before the number.
    """
    if match := _SPLIT_SHARD.match(path.name):
        return {match[1], *path.relative_to(folder).parts[:-1]}
    return {re.split(r"[-_.]", path.name)[0], *path.relative_to(folder).parts[:-1]}


def _files_of_trainers(folder: Path, config: SeedsConfig) -> list[Path]:
    """Return the file of a subset in LLaMA-Factory's `dataset_info.json`; empty if it is none."""
    info = folder / "dataset_info.json"
    if not info.is_file():
        return []
    try:
        found = json.loads(input_files.read_text(info, max_mb=16, error=SeedsError))
    except (ValueError, RecursionError):
        return []
    files = {
        name: str(one["file_name"])
        for name, one in (found.items() if isinstance(found, dict) else ())
        if isinstance(one, dict) and "file_name" in one
    }
    if not files:
        return []
    name = config.subset or (next(iter(files)) if len(files) == 1 else "")
    if name not in files:
        named = one_line(", ".join(files), _WHY_CHARS)
        raise SeedsError(f"{folder}: set seeds.subset to one of its data sets: {named}")
    return _inside(folder, [files[name]])


def _inside(folder: Path, patterns: list[str]) -> list[Path]:
    """Return the files that patterns name inside a folder."""
    inside = [one for one in patterns if not Path(one).is_absolute() and ".." not in one]
    return [path for one in inside for path in sorted(folder.glob(one)) if path.is_file()]


def _files_of_card(folder: Path, config: SeedsConfig) -> list[Path]:
    """Return the data files that `README.md` names for a subset and a split, if any."""
    card = folder / "README.md"
    if not card.is_file():
        return []
    text = input_files.read_text(card, max_mb=4, error=SeedsError)
    try:
        head = yaml.safe_load(text.split("---\n")[1]) if text.startswith("---\n") else None
    except (yaml.YAMLError, ValueError, IndexError, RecursionError):
        return []
    configs = head.get("configs") if isinstance(head, dict) else None
    every = [one for one in configs or () if isinstance(one, dict)]
    named = _configs_of_subset(folder, every, config)
    files = named[0].get("data_files") if named else None
    if isinstance(files, list):
        splits = {str(one.get("split")): one for one in files if isinstance(one, dict)}
        if splits and config.split not in splits:
            raise _no_split(folder, config, splits)
        files = splits[config.split].get("path") if splits else files
    patterns = [files] if isinstance(files, str) else files
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        return []
    return _inside(folder, patterns)


def _configs_of_subset(
    folder: Path, configs: Sequence[Mapping[str, object]], config: SeedsConfig
) -> Sequence[Mapping[str, object]]:
    """Return the configs of a card for a subset: the one that is named, the default, or the only.

    Raises SeedsError if one of several must be named.
    """
    if config.subset is not None:
        return [one for one in configs if one.get("config_name") == config.subset]
    default = [one for one in configs if one.get("default") or one.get("config_name") == "default"]
    if len(configs) > 1 and not default:
        names = one_line(", ".join(str(one.get("config_name")) for one in configs), _WHY_CHARS)
        raise SeedsError(f"{folder}: has several subsets; set seeds.subset to one of {names}")
    return default or configs


def _file_rows(path: Path) -> Iterator[SourceRow]:
    kind = _kind(path)
    try:
        if path.is_file() and kind not in SUFFIXES:
            raise SeedsError(
                f"{path}: unknown file type {path.suffix!r}; known types: "
                f"{', '.join(SUFFIXES)}, each optionally with {', '.join(PACKED)}"
            )
        with open_input(path, error=SeedsError) as file:
            if kind not in {".parquet", ".arrow"}:
                yield from _text_rows(file, str(path), kind)
            elif path.suffix.lower() not in PACKED:
                yield from _READERS[kind](file, str(path))
            else:
                with _decompressed(file, path) as unpacked:
                    yield from _READERS[kind](unpacked, str(path))
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        name = "gzip" if path.suffix.lower() == ".gz" else path.suffix
        raise SeedsError(f"{path}: damaged {name}: {error}; copy the file again") from error
    except OSError as error:
        raise SeedsError(f"{path}: cannot be read: {_why(error)}") from error


def _text_rows(file: BinaryIO, name: str, kind: str) -> Iterator[SourceRow]:
    """Read a text file of JSON, of comma- or tab-separated values, or of one task a line."""
    try:
        text = input_files.as_utf8(file)
        if kind in {".csv", ".tsv"}:
            yield from csv_rows(text, name, kind)
        elif kind == ".txt":
            yield from _plain_rows(text, name)
        else:
            yield from _json_rows(text, name)
    except input_files.NotJSONError as error:
        raise SeedsError(f"{name}: {error}") from error


def _plain_rows(file: BinaryIO, name: str) -> Iterator[SourceRow]:
    """Read one task a line; a file that begins with a JSON object or array holds rows of JSON."""
    head = input_files.read_head(file)
    start = head.lstrip(codecs.BOM_UTF8 + b" \t\r\n")
    if re.match(rb"\[\s*[\[{]|\{", start):
        yield from _json_rows(input_files.begun(head, file), name)
    else:
        yield from plain_rows(input_files.iter_lines(file, head), name)


@contextmanager
def _decompressed(file: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Decompress to a temporary file, since Parquet needs random access."""
    with temporary_file_errors(error=SeedsError):
        unpacked = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - below
    with unpacked:
        while chunk := file.read(_CHUNK):
            with temporary_file_errors(error=SeedsError):
                _write_all(unpacked, chunk)
            if unpacked.tell() > MAX_UNPACKED_GB << 30:
                raise SeedsError(
                    f"{path}: larger than {MAX_UNPACKED_GB} GB uncompressed; "
                    f"decompress it, or split it"
                )
        unpacked.seek(0)
        yield cast("BinaryIO", unpacked)


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write all bytes; an unbuffered write may be partial."""
    remaining = memoryview(data)
    while remaining:
        remaining = remaining[file.write(remaining) :]


def _json_rows(file: BinaryIO, name: str) -> Iterator[SourceRow]:
    """Read JSON values; if there is only one, it may hold the rows."""
    try:
        values = (
            (place, parsed_list(one)) for place, one in input_files.iter_values(file, unique=True)
        )
        first = next(values, None)
        if first is not None and is_header(first[1]):
            yield from rows_below([*map(str, listed(first[1]))], values)
            return
        begun = [] if first is None else [first]
        if first is not None and _may_hold_rows(first[1]):
            second = next(values, None)
            if second is None:
                yield from _inner_rows(*first, name)
                return
            begun.append(second)
        are_texts = first is not None and isinstance(first[1], str | list)
        for place, value in chain(begun, values):
            yield SourceRow(place, _chat_row(value, are_texts=are_texts))
    except input_files.NotJSONError as error:
        raise SeedsError(f"{name}: {error}") from error


def _chat_row(value: object, *, are_texts: bool) -> object:
    """Return a row for a list of turns; any other value as it is.

    Where the first row is a text or a list, texts are tasks, and lists of texts chats.
    """
    if are_texts and isinstance(value, str):
        return {"instruction": value}
    if not isinstance(value, list) or not value:
        return value
    if len(value) == 1 and read_detected(value[0])[1].instruction:
        return value[0]
    if are_texts and len(value) > 1 and all(isinstance(one, str) for one in value):
        return {"conversation": value}
    if all(isinstance(one, Mapping) and ("role" in one or "from" in one) for one in value):
        return {"messages": value}
    return value


def _may_hold_rows(value: object) -> bool:
    """Whether the only value of a file is no row itself, or a chat that may be a list of rows."""
    format, pair = read_detected(value)
    return format in {None, "chat"} or not pair.instruction


def _inner_rows(place: str, value: object, name: str) -> Iterator[SourceRow]:
    """Yield the rows of an object that holds a list of them, rows by id, or values by column."""
    value = _train_of(value)
    rows: list[object] = [*value] if isinstance(value, list) else [value]
    if isinstance(value, Mapping) and value:
        _check_splits(value, name)
        found = (rows_of_table(value), _listed_rows(value), rows_of_columns(value))
        rows = next(filter(None, found), rows)
    for number, row in enumerate(rows, start=1):
        yield SourceRow(f"row {number}" if len(rows) > 1 else place, row)


def _train_of(value: object) -> object:
    """Return the split `train` of an object, which may be an object in `data` or another field."""
    for _ in range(_MAX_SPLITS):
        if not isinstance(value, Mapping):
            break
        objects = [value, *(one for one in value.values() if isinstance(one, Mapping))]
        names = ((one, name) for one in objects for name in _TRAIN if name in one)
        found = next((one[name] for one, name in names), None)
        has_list = any(isinstance(one, list) for one in value.values())
        if found is None and not has_list and len(objects) == 2 and _listed_rows(objects[1]):
            found = objects[1]  # the only one that holds rows
        if not isinstance(found, Mapping | list):
            break
        value = found
    return value


def _check_splits(value: Mapping[str, object], name: str) -> None:
    """Raise SeedsError if several fields hold rows, of which none is `train`."""
    lists = {key: one for key, one in value.items() if isinstance(one, list) and one}
    split = [key for key, rows in lists.items() if read_detected(rows[0])[1].instruction]
    if len(split) > 1 and len(lists) == len(split) and not rows_of_columns(value):
        named = one_line(", ".join(split), _WHY_CHARS)
        raise SeedsError(
            f"{name}: has rows in several fields ({named}), and none of them is `train`; write the "
            f"rows of one into a file"
        )


def _listed_rows(value: Mapping[str, object]) -> list[object]:
    """Return the rows in the one field that is a list of rows, or in `train`, or those by id.

    More than half of the list must be rows; the reader counts the others.
    """
    lists = {name: one for name, one in value.items() if isinstance(one, list) and one}
    rows = {
        name: one
        for name, one in lists.items()
        if 2 * sum(format_of(row) is not None for row in one) > len(one)
    }
    if "train" in rows or len(rows) == 1:
        return rows.get("train") or next(iter(rows.values()))
    every = list(value.values())
    return every if all(isinstance(one, Mapping) and format_of(one) for one in every) else []


def _parquet_rows(file: BinaryIO, name: str) -> Iterator[SourceRow]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only some need it
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise SeedsError(
            f"{name}: Parquet needs pyarrow, which is not installed; "
            f"run: pip install 'evolcoder[parquet]'"
        ) from error
    try:
        source = parquet.ParquetFile(file)
        _check_row_groups(source.metadata, name)
        batches = source.iter_batches(batch_size=PARQUET_ROWS)
        rows = chain.from_iterable(batch.to_pylist() for batch in batches)
        for number, value in enumerate(rows, start=1):
            yield SourceRow(f"row {number}", _with_text(value))
    except (pa.ArrowException, ValueError, OverflowError) as error:  # also invalid text or dates
        raise SeedsError(f"{name}: damaged Parquet: {_why(error)}") from error


def _arrow_rows(file: BinaryIO, name: str) -> Iterator[SourceRow]:
    """Read Arrow, as `save_to_disk` of `datasets` writes it."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - heavy, and only some need it
        from pyarrow import ipc  # noqa: PLC0415
    except ImportError as error:
        raise SeedsError(
            f"{name}: Arrow needs pyarrow, which is not installed; "
            f"run: pip install 'evolcoder[parquet]'"
        ) from error
    try:
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        batches = _arrow_file(ipc.open_file(file)) if is_file else ipc.open_stream(file)
        rows = chain.from_iterable(batch.to_pylist() for batch in batches)
        for number, value in enumerate(rows, start=1):
            yield SourceRow(f"row {number}", _with_text(value))
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise SeedsError(f"{name}: damaged Arrow: {_why(error)}") from error


def _arrow_file(reader: Any) -> Iterator[Any]:  # noqa: ANN401 - pyarrow has no types
    return (reader.get_batch(n) for n in range(reader.num_record_batches))


def _with_text(row: Any) -> Any:  # noqa: ANN401 - a row of pyarrow
    """Decode the columns of bytes that are UTF-8; some writers store texts so."""
    if not isinstance(row, dict):
        return row
    return {key: _text_of(value) if isinstance(value, bytes) else value
            for key, value in row.items()}  # fmt: skip


def _text_of(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


_READERS = {".parquet": _parquet_rows, ".arrow": _arrow_rows}


def _check_row_groups(metadata: Any, name: str) -> None:  # noqa: ANN401 - pyarrow has no types
    """Refuse row groups whose rows are so large that a batch would fill the memory."""
    for n in range(metadata.num_row_groups):
        group = metadata.row_group(n)
        if group.total_byte_size > (input_files.MAX_MB << 20) * max(1, group.num_rows):
            raise SeedsError(f"{name}: has rows that are longer than {input_files.MAX_MB} MB")


def _hub_rows(config: SeedsConfig) -> Iterator[SourceRow]:
    """Stream a Hub data set; `datasets` honours HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE.

    A Hub that cannot be reached is asked once; `datasets` would ask it many times.
    """
    try:
        from datasets import load_dataset  # noqa: PLC0415 - heavy, and only some need it
        from datasets.exceptions import DatasetsError  # noqa: PLC0415
    except ImportError as error:
        raise SeedsError(
            f"{config.path}: no such file; if it is a Hub data set, "
            f"run: pip install 'evolcoder[hub]'"
        ) from error
    if not hub.is_offline() and (why := hub.why_unreachable(SeedsError)):
        raise SeedsError(f"{config.path}: no such file, and it cannot be read from the Hub: {why}")
    try:
        rows: Iterator[Mapping[str, object]] = load_dataset(
            config.path,
            name=config.subset,
            split=config.split,
            revision=config.revision,
            streaming=True,
        )
        for number, value in enumerate(rows, start=1):
            yield SourceRow(f"row {number}", _with_text(value))
    except (DatasetsError, OSError, ValueError) as error:
        raise SeedsError(
            f"{config.path}: no such file, and cannot be loaded as a Hub data set: {_why(error)}"
        ) from error


def _why(error: Exception) -> str:
    return one_line(str(getattr(error, "strerror", None) or error), _WHY_CHARS)
