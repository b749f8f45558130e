"""Exports are complete, reproducible, streamed, and load with `datasets`."""

import hashlib
import json
import sys
import tracemalloc

import pytest
import yaml

from evolcoder.errors import ConfigError, RunFolderError
from evolcoder.exports.formats import FORMATS, LINEAGE
from evolcoder.exports.write import PARQUET_ROWS, export
from groups import first_quick, sampled
from system_calls import limited_files

ALL = list(FORMATS)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads data with `datasets`, offline and with an empty cache."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()

    def load(path, **options):
        cache = str(tmp_path / "cache")
        return datasets.load_dataset(str(path), split="train", cache_dir=cache, **options)

    return load


def test_each_format_has_a_folder_with_all_that_goes_with_it(rows, facts, tmp_path):
    """Data and card always, trainers' files if they support the format."""
    paths = export(lambda _: rows(), ALL, tmp_path, facts)
    assert paths == [tmp_path / name / FORMATS[name].file for name in ALL]
    for name in ALL:
        found = {path.name for path in (tmp_path / name).iterdir()}
        extra = {"dataset_info.json", "axolotl.yaml"} if FORMATS[name].axolotl else set()
        assert found == {FORMATS[name].file, "README.md", *extra}


@pytest.mark.parametrize("name", ALL)
def test_an_export_loads_with_every_row_and_column_as_written(rows, facts, load, tmp_path, name):
    """`load_dataset(folder)` follows the card and returns the rows unchanged."""
    export(lambda _: rows(), [name], tmp_path, facts)
    loaded = load(tmp_path / name)
    assert list(loaded) == [FORMATS[name].columns(row) for row in rows()]


@pytest.mark.parametrize("name", sampled(ALL, 4))
def test_types_hold_where_nothing_was_evolved(seed_rows, facts, load, tmp_path, name):
    """Columns of missing lineage keep their types."""
    export(lambda _: seed_rows(3), [name], tmp_path, facts)
    features = load(tmp_path / name).features
    kinds = {column: features[column].dtype for column in LINEAGE}
    counts = {c for c in LINEAGE if c.endswith(("_tokens", "_attempts"))} | {"round"}
    types = dict.fromkeys(counts, "int64") | dict.fromkeys(
        ("tests_strength", "pass_rate"), "float64"
    )
    assert kinds == {column: types.get(column, "string") for column in LINEAGE}


@pytest.mark.parametrize("name", sampled(ALL, 4))
def test_types_hold_where_the_loader_sees_seeds_alone_at_first(rows, facts, load, tmp_path, name):
    """The loader infers types from the first 10 MB; later evolved rows fit them."""
    filler = " word" * 2000
    (path,) = export(lambda _: rows(1200, filler=filler), [name], tmp_path, facts)
    assert name == "parquet" or path.stat().st_size > 2 * 10 * 2**20
    loaded = load(tmp_path / name)
    assert loaded.num_rows == 2400
    assert loaded[-1]["heuristic"] == "constraints"
    assert loaded[0]["heuristic"] == ""


@pytest.mark.parametrize("name", ["messages", "alpaca", "trl", "sharegpt"])
def test_a_data_file_loads_without_its_card(rows, facts, load, tmp_path, name):
    """Trainers load the data file itself, with the same types."""
    (path,) = export(lambda _: rows(), [name], tmp_path, facts)
    assert list(load("json", data_files=str(path))) == list(load(tmp_path / name))


@pytest.mark.parametrize("name", ["alpaca", "sharegpt"])
def test_json_files_are_arrays_with_a_row_per_line(rows, facts, tmp_path, name):
    """They load with `json.load` and are readable."""
    (path,) = export(lambda _: rows(), [name], tmp_path, facts)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == [FORMATS[name].columns(row) for row in rows()]
    assert text.count("\n") == 1 + 6 + 1


@pytest.mark.parametrize("name", ["messages", "trl"])
def test_jsonl_files_have_a_row_per_line(rows, facts, tmp_path, name):
    """One row per line."""
    (path,) = export(lambda _: rows(), [name], tmp_path, facts)
    lines = path.read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == [
        FORMATS[name].columns(row) for row in rows()
    ]


def test_trainers_are_pointed_at_the_file(rows, facts, tmp_path):
    """LLaMA-Factory's entry and axolotl's stanza name the data file next to them."""
    export(lambda _: rows(), ALL, tmp_path, facts)
    for name in (name for name in ALL if FORMATS[name].axolotl):
        info = json.loads((tmp_path / name / "dataset_info.json").read_text(encoding="utf-8"))
        stanza = yaml.safe_load((tmp_path / name / "axolotl.yaml").read_text(encoding="utf-8"))
        assert info["evolcoder"]["file_name"] == FORMATS[name].file
        assert stanza["datasets"][0]["path"] == FORMATS[name].file


def test_the_same_rows_give_the_same_bytes(rows, facts, tmp_path):
    """Exports do not depend on the time or the folder."""
    export(lambda _: rows(), ALL, tmp_path / "one", facts)
    export(lambda _: rows(), ALL, tmp_path / "two" / "deep", facts)
    assert digests(tmp_path / "one") == digests(tmp_path / "two" / "deep")


def test_an_export_takes_the_place_of_the_one_before(rows, seed_rows, facts, tmp_path):
    """Writing again gives the same files as a new export."""
    export(lambda _: rows(), ALL, tmp_path / "again", facts)
    export(lambda _: seed_rows(2), ALL, tmp_path / "again", facts)
    export(lambda _: seed_rows(2), ALL, tmp_path / "fresh", facts)
    assert digests(tmp_path / "again") == digests(tmp_path / "fresh")


@pytest.mark.parametrize("name", ALL)
def test_rows_that_fail_halfway_leave_the_old_export(rows, facts, tmp_path, name):
    """A file is replaced only when complete, and no partial file remains."""
    export(lambda _: rows(), [name], tmp_path, facts)
    before = digests(tmp_path)

    def broken(_):
        yield from rows()
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="went away"):
        export(broken, [name], tmp_path, facts)
    assert digests(tmp_path) == before


@pytest.mark.parametrize("name", first_quick(ALL, pytest.mark.e2e))
def test_memory_is_flat(seed_rows, facts, tmp_path, name):
    """Four times the rows need no more memory than two batches."""

    def peak(n_rows):
        tracemalloc.start()
        export(lambda _: seed_rows(n_rows), [name], tmp_path, facts)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few = peak(3 * PARQUET_ROWS)
    assert peak(12 * PARQUET_ROWS) < few + 200_000


@pytest.mark.parametrize("name", ALL)
def test_no_rows_give_an_empty_export(facts, tmp_path, name):
    """A run without rows exports valid empty files."""
    (path,) = export(lambda _: iter(()), [name], tmp_path, facts)
    if path.suffix == ".parquet":
        from pyarrow import parquet

        assert parquet.read_table(path).num_rows == 0
    elif path.suffix == ".json":
        assert json.loads(path.read_text(encoding="utf-8")) == []
    else:
        assert path.read_bytes() == b""


def test_a_folder_that_cannot_be_created_is_a_user_error(rows, facts, tmp_path):
    """One line names the folder and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"file/messages: cannot be written: Not a directory"):
        export(lambda _: rows(), ["messages"], tmp_path / "file", facts)


@pytest.mark.parametrize("name", ALL)
def test_a_full_disk_is_a_user_error(rows, facts, tmp_path, name):
    """One line names the file; the partial file is removed."""
    with limited_files(64), pytest.raises(RunFolderError, match="File too large; free disk space"):
        export(lambda _: rows(), [name], tmp_path, facts)
    assert list((tmp_path / name).iterdir()) == []


def test_parquet_without_pyarrow_names_the_extra(rows, facts, monkeypatch, tmp_path):
    """The message says what to install, and no file is written."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'evolcoder\[parquet\]'"):
        export(lambda _: rows(), ["parquet"], tmp_path, facts)
    assert list((tmp_path / "parquet").iterdir()) == []
