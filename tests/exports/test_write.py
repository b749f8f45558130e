"""Exports are complete, reproducible, streamed, and load with `datasets`.

The data set card: contents, provenance, and what is unknown.
"""

import hashlib
import json
import sys
import tracemalloc
from dataclasses import replace

import pytest
import yaml

from evolcoder.errors import ConfigError, RunFolderError
from evolcoder.exports.formats import DERIVED, FORMATS, LINEAGE, TRAINER_FILE, lineage
from evolcoder.exports.write import PARQUET_ROWS, RowCounts, card, export
from evolcoder.sandbox.base import Layer
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
    """Data, card and stanzas for trainers, and a file for trainers that cannot load the data."""
    written = export(lambda _: rows(), ALL, tmp_path, facts)
    assert [one.path for one in written] == [tmp_path / name / FORMATS[name].file for name in ALL]
    for name in ALL:
        found = {path.name for path in (tmp_path / name).iterdir()}
        extra = {TRAINER_FILE} if FORMATS[name].trainer_body else set()
        stanzas = {"dataset_info.json", "axolotl.yaml"}
        assert found == {FORMATS[name].file, "README.md", *stanzas, *extra}


def test_rows_are_read_once_for_all_formats_that_are_not_derived(rows, facts, tmp_path):
    """Each derived format reads its own rows; the bytes are those of an export of one format."""
    asked = []

    def counted(name):
        asked.append(name)
        return rows()

    export(counted, ALL, tmp_path / "all", facts)
    assert asked == [
        next(name for name in ALL if name not in DERIVED),
        *sorted(DERIVED, key=ALL.index),
    ]
    for name in ALL:
        export(lambda _: rows(), [name], tmp_path / "single", facts)
    assert digests(tmp_path / "all") == digests(tmp_path / "single")


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
    (written,) = export(lambda _: rows(1200, filler=filler), [name], tmp_path, facts)
    path = written.path
    assert name == "parquet" or path.stat().st_size > 2 * 10 * 2**20
    loaded = load(tmp_path / name)
    assert loaded.num_rows == 2400
    assert loaded[-1]["heuristic"] == "constraints"
    assert loaded[0]["heuristic"] == ""


@pytest.mark.parametrize("name", ["messages", "alpaca", "trl", "sharegpt"])
def test_a_data_file_loads_without_its_card(rows, facts, load, tmp_path, name):
    """Trainers load the data file itself, with the same types."""
    (written,) = export(lambda _: rows(), [name], tmp_path, facts)
    path = written.path
    assert list(load("json", data_files=str(path))) == list(load(tmp_path / name))


@pytest.mark.parametrize("name", ["alpaca", "sharegpt"])
def test_json_files_are_arrays_with_a_row_per_line(rows, facts, tmp_path, name):
    """They load with `json.load` and are readable."""
    (written,) = export(lambda _: rows(), [name], tmp_path, facts)
    path = written.path
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == [FORMATS[name].columns(row) for row in rows()]
    assert text.count("\n") == 1 + 6 + 1


@pytest.mark.parametrize("name", ["messages", "trl"])
def test_jsonl_files_have_a_row_per_line(rows, facts, tmp_path, name):
    """One row per line."""
    (written,) = export(lambda _: rows(), [name], tmp_path, facts)
    path = written.path
    lines = path.read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == [
        FORMATS[name].columns(row) for row in rows()
    ]


def test_trainers_are_pointed_at_the_file(rows, facts, tmp_path):
    """LLaMA-Factory's entry and axolotl's stanza name the file next to them."""
    export(lambda _: rows(), ALL, tmp_path, facts)
    for name in ALL:
        info = json.loads((tmp_path / name / "dataset_info.json").read_text(encoding="utf-8"))
        stanza = yaml.safe_load((tmp_path / name / "axolotl.yaml").read_text(encoding="utf-8"))
        file = TRAINER_FILE if FORMATS[name].trainer_body else FORMATS[name].file
        assert info["evolcoder"]["file_name"] == file
        assert stanza["datasets"][0]["path"] == file
        assert (stanza.get("rl"), info["evolcoder"].get("ranking")) == (
            ("dpo", True) if name == "preference" else (None, None)
        )


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
    (written,) = export(lambda _: iter(()), [name], tmp_path, facts)
    path = written.path
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
    with pytest.raises(RunFolderError, match=r"file/messages: cannot be written: .*file is a file"):
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


@pytest.fixture
def tally(rows):
    counted = RowCounts()
    for row in rows():
        counted.add(row, lineage(row))
    return counted


def head_of(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_rows_are_counted(tally):
    """Rounds add up to all rows and heuristics to the evolved ones."""
    assert tally.rows == 6
    assert tally.rounds == {"seeds": 3, "round 1": 3}
    assert tally.heuristics == {"constraints": 3}
    assert tally.languages == {"python": 3, "none named": 3}


def test_the_head_is_yaml_that_points_at_the_data(facts, tally):
    """Licence, tags, size and data file stand where the Hub looks for them."""
    head = head_of(card(facts, FORMATS["parquet"], tally))
    assert head["license"] == "unknown"
    assert head["size_categories"] == ["n<1K"]
    assert head["configs"][0]["data_files"] == [{"split": "train", "path": "data.parquet"}]
    assert {"code", "synthetic", "evol-instruct"} <= set(head["tags"])


@pytest.mark.parametrize(
    ("n_rows", "size"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M")],
)
def test_sizes_are_the_hubs(facts, n_rows, size):
    """The size category matches the number of rows."""
    tally = RowCounts()
    tally.rounds["seeds"] = n_rows
    assert head_of(card(facts, FORMATS["trl"], tally))["size_categories"] == [size]


def test_the_protections_under_which_answers_were_run_are_named(facts, tally):
    """By stage, with inactive layers; without executed responses the section is left out."""
    layers = [layer for layer in Layer if layer is not Layer.LANDLOCK]
    ran = replace(facts, sandbox=(("verify", tuple(layers)), ("clean", tuple(Layer))))
    text = card(ran, FORMATS["trl"], tally)
    assert f"| verify | {', '.join(layers)} | landlock |" in text
    assert f"| clean | {', '.join(Layer)} | none |" in text
    assert "Sandbox" not in card(facts, FORMATS["trl"], tally)


def test_the_body_tells_how_it_was_made(facts, tally):
    """Funnel, models with their terms, heuristics, command and versions are all there."""
    text = card(facts, FORMATS["messages"], tally)
    assert "| seeds | 0 | 4 | 3 | duplicate 1 |" in text
    assert "| evolve | 1 | 3 | 3 | 0 |" in text
    assert "| respond | 1 | 3 | 1 | refusal 1, still waiting 1 |" in text
    assert "| evolver | evolver\\|m | Apache-2.0 |" in text
    assert "| judge | j | not known: see its provider |" in text
    assert "| constraints | 3 |" in text
    assert "```bash\nevolcoder run --limit 3 --out runs/first\n```" in text
    assert "| evolcoder | 0.1.0 |" in text
    assert "| parent | id of the task" in text


def test_the_licence_is_the_users_to_set(facts, tally):
    """Without one the card says so; otherwise it is in the metadata and the text."""
    format = FORMATS["messages"]
    assert "Not set." in card(facts, format, tally)
    text = card(replace(facts, license="cc-by-nc-4.0"), format, tally)
    assert head_of(text)["license"] == "cc-by-nc-4.0"
    assert "Not set." not in text


def test_odd_facts_do_not_break_the_card(facts, tally):
    """Line breaks, bars, YAML and fences in the user's text are escaped."""
    odd = replace(facts, title="a: [b\n---\n# c", license="no: 1", command="run --set 'x=```'")
    text = card(odd, FORMATS["messages"], tally)
    assert head_of(text)["pretty_name"] == "a: [b --- # c"
    assert head_of(text)["license"] == "no: 1"
    assert "````bash\nrun --set 'x=```'\n````" in text


def test_a_run_without_rows_has_a_card(facts):
    """Empty tables are left out."""
    text = card(facts, FORMATS["messages"], RowCounts())
    assert "## Heuristics" not in text
    assert "0 coding tasks" in text
