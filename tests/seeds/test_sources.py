"""All file types give the same rows, and every error is one line that names the place."""

import bz2
import json
import lzma
import sys

import pytest

from evolcoder import input_files
from evolcoder.errors import SeedsError
from evolcoder.seeds import sources

ROWS = [{"instruction": f"Do {n}.", "output": "Ünïcödé\u2028"} for n in range(3)]
LINE = json.dumps(ROWS[0]).encode() + b"\n"
KINDS = [f"s{kind}{packed}" for kind in (".json", ".jsonl", ".parquet") for packed in ("", ".gz")]


@pytest.mark.parametrize("name", [*KINDS, "S.JSONL.GZ"])
def test_every_kind_of_file_gives_the_same_records(read, seeds_file, name):
    """Compression does not matter."""
    reference, _ = read(seeds_file("reference.jsonl", ROWS))
    records, report = read(seeds_file(name, ROWS))
    assert records == reference
    assert report.n_rows == 3


@pytest.mark.parametrize(
    "data",
    [
        LINE + b"\r\n \n" + LINE.replace(b"0", b"1"),
        b"\xef\xbb\xbf" + LINE + LINE.replace(b"0", b"1").rstrip(),
        b"\n\n [" + LINE + b"," + LINE.replace(b"0", b"1") + b"]\n",
        b"\xef\xbb\xbf[" + LINE + b"," + LINE.replace(b"0", b"1") + b"]",
    ],
    ids=["blank lines", "BOM, no last line feed", "array after blanks", "array after a BOM"],
)
@pytest.mark.parametrize("name", ["s.json", "s.jsonl"])
def test_an_array_and_rows_per_line_are_told_apart_by_the_first_character(
    read, seeds_file, name, data
):
    """Many `.json` files are JSON lines; the suffix does not matter."""
    assert read(seeds_file(name, data))[1].n_tasks == 2


CHATS = [
    [{"role": "user", "content": f"Do {n}."}, {"role": "assistant", "content": "x"}] for n in (0, 1)
]


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(CHATS),
        "\n".join(map(json.dumps, CHATS)),
        "\ufeff" + "\r\n".join(map(json.dumps, CHATS)) + "\n",
        json.dumps(CHATS, indent=1),
    ],
    ids=["array", "lines", "mark and carriage returns", "array on several lines"],
)
@pytest.mark.parametrize("name", ["s.json", "s.jsonl", "s.jsonl.gz"])
def test_a_list_of_turns_is_a_row(read, seeds_file, name, data):
    """In one array, or an array on each line."""
    report = read(seeds_file(name, data.encode()))[1]
    assert (report.format, report.n_tasks, report.n_answers) == ("messages", 2, 2)


def test_one_row_with_two_lists_is_a_row(read, seeds_file):
    """Rather than a table of columns, in which no task would be."""
    row = {
        "systemInstruction": {"role": "system", "parts": [{"text": "S"}]},
        "contents": [{"role": "user", "parts": [{"text": "Do."}]},
                     {"role": "model", "parts": [{"text": "x"}]}],
    }  # fmt: skip
    report = read(seeds_file("s.jsonl", [row]))[1]
    assert (report.format, report.n_tasks, report.n_answers) == ("chat", 1, 1)
    assert report.left_out == (("system turns", 1),)


def fault(read, path, **options):
    """Return the one-line error message of reading."""
    with pytest.raises(SeedsError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("s.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of Git LFS"),
        ("s.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a pointer of Git LFS"),
        ("s.json", b"\n <!doctype HTML><html>No</html>", "is a web page; download"),
        ("s.csv", b"<html>No</html>", "is a web page; download"),
        ("s.jsonl", bz2.compress(LINE), "is compressed by bzip2; add .bz2"),
        ("s.json", lzma.compress(LINE), "is compressed by xz; add .xz"),
        ("s.json", b"\x1f\x8b\x08", "is compressed by gzip; add .gz"),
        ("s.jsonl", b"PK\x03\x04", "is a ZIP archive; unpack it"),
        ("s.json", b"PAR1", "is Parquet; name it .parquet"),
        ("s.jsonl", LINE.decode().encode("utf-16-le"), "is UTF-16 without its mark, or UTF-32"),
        ("s.jsonl", LINE.decode().encode("utf-16-be"), "is UTF-16 without its mark, or UTF-32"),
        ("s.json", LINE.decode().encode("utf-32"), "is UTF-16 without its mark, or UTF-32"),
        ("s.csv", LINE.decode().encode("utf-32-be"), "is UTF-16 without its mark, or UTF-32"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_file_of_another_kind_than_its_name_is_named(read, seeds_file, name, data, why):
    """Rather than as invalid JSON, with what to do."""
    assert fault(read, seeds_file(name, data)).startswith(why)


@pytest.mark.parametrize("name", ["none.jsonl", "none.parquet.gz", "none", "none.txt", "a/b/c"])
def test_a_missing_file(read, tmp_path, name):
    """The message names the path as given."""
    assert fault(read, tmp_path / name) == "cannot be read: No such file or directory"


def test_a_folder(read, tmp_path):
    """Whatever its suffix."""
    (tmp_path / "seeds.jsonl").mkdir()
    assert fault(read, tmp_path) == "is a folder; name a file in it"
    assert fault(read, tmp_path / "seeds.jsonl") == "is a folder; name a file in it"


def test_a_file_of_an_unknown_kind(read, seeds_file):
    """The known kinds are named."""
    path = seeds_file("s.xlsx", b"a,b")
    assert fault(read, path) == (
        "unknown file type '.xlsx'; known types: .json, .jsonl, .ndjson, .parquet, .arrow, .csv, "
        ".tsv, .txt, each optionally with .gz, .bz2, .xz, .zst"
    )


def test_tables_and_plain_text_are_read(read, seeds_file):
    """Cells may hold lines and lists; a semicolon may separate them; one task a line."""
    tables = {
        "s.csv": b'\xef\xbb\xbfinstruction,output\r\n"Do, 0.\r\nNow.",8\r\n"Do 1.",\r\n',
        "t.csv": b"instruction;output\nDo 0.;8\nDo 1.;\n",
        "e.csv": b"\xef\xbb\xbfsep=;\r\ninstruction;output\r\nDo 0, now.;8\r\nDo 1.;\r\n",
        "s.tsv": b"instruction\toutput\nDo 0.\t8\nDo 1.\t\n",
        "s.txt": b"Do 0.\r\n\r\n  Do 1.\n",
        "t.txt": LINE,
        "a.txt": b'[\n{"instruction": "Do 0.", "output": 8},\n{"instruction": "Do 1."}\n]\n',
        "m.csv": b"messages\n\"[{'role': 'user', 'content': 'Do 0.'}]\"\n",
        "u.tsv": "instruction\toutput\nDo ä.\t8\n".encode("utf-16"),
    }
    for name, data in tables.items():
        records, report = read(seeds_file(name, data))
        assert report.n_tasks == report.n_rows == (1 if name[0] in "mu" or name == "t.txt" else 2)
        assert records[0].instruction.startswith("Do")
        assert report.n_answers == (0 if name in {"s.txt", "m.csv"} else 1)
    unclosed = b'instruction,output\nDo 0.,8\n"Do 1.,\nDo 2.,\n'
    assert "row 2 has a quote that is never closed" in fault(read, seeds_file("q.csv", unclosed))
    assert "the fields name, kind" in fault(read, seeds_file("n.csv", b"name,kind\na,b\n"))
    assert "is not UTF-8" in fault(read, seeds_file("l.csv", "instruction\nä".encode("latin-1")))


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(ROWS[0], indent=2) + "\n" + json.dumps(ROWS[1], indent=2),
        json.dumps(ROWS[0]) + json.dumps(ROWS[1]) + ",\n" + json.dumps(ROWS[2], indent=1),
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"train": ROWS, "test": ROWS}, indent=1),
        json.dumps({"a": ROWS[0], "b": ROWS[1]}),
        json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}),
        json.dumps({"columns": [*ROWS[0]], "data": [[*row.values()] for row in ROWS]}),
        json.dumps(
            {
                "columns": ["n", "prompt", "completion"],
                "index": [0, 1],
                "data": [[n, *ROWS[n].values()] for n in range(2)],
            }
        ),
        json.dumps({"schema": {"fields": [{"name": "instruction"}]}, "data": ROWS}),
        json.dumps({"train": {"data": ROWS}, "test": {"data": ROWS[:1]}}),
        json.dumps({"data": {"train": ROWS, "test": ROWS[:1]}, "version": 1}),
        json.dumps({"training": ROWS, "testing": ROWS[:1]}),
        json.dumps({"train": {name: [row[name] for row in ROWS] for name in ROWS[0]}}),
        json.dumps([row["instruction"] for row in ROWS]),
        "\n".join(json.dumps(row["instruction"]) for row in ROWS),
        json.dumps([[*row.values()] for row in ROWS]),
        "\n".join(json.dumps([*row.values()]) for row in ROWS),
        "\n".join(json.dumps(json.dumps(row)) for row in ROWS),
        json.dumps([json.dumps(row) for row in ROWS]),
        json.dumps(json.dumps(ROWS)),
        json.dumps([[*ROWS[0]], *([*row.values()] for row in ROWS)]),
        json.dumps({"range": "A1", "values": [[*ROWS[0]], *([*row.values()] for row in ROWS)]}),
        json.dumps({"dataset": {"name": "x", "examples": ROWS}}),
        "".join(f"{json.dumps(row)},\n" for row in ROWS),
        "\n".join(json.dumps([row]) for row in ROWS),
    ],
    ids=[
        "pretty",
        "concatenated",
        "in a field",
        "splits",
        "by id",
        "columns",
        "table",
        "pandas",
        "schema",
        "data of splits",
        "splits of data",
        "training",
        "columns of a split",
        "texts",
        "lines of texts",
        "pairs",
        "lines of pairs",
        "lines of texts in JSON",
        "texts in JSON",
        "a text in JSON",
        "pairs below a header",
        "a sheet",
        "an object in an object",
        "commas after lines",
        "arrays of one row",
    ],
)
def test_json_comes_in_other_layouts_too(read, seeds_file, data):
    """Objects one after another, and rows inside one object."""
    records, report = read(seeds_file("s.json", data.encode()))
    assert report.n_tasks == report.n_rows >= 2
    assert records[0].instruction == "Do 0."


ONE_COLUMN = b'instruction\nSort, then add.\n"Say ""hi"", twice."\n'
FAULTY_TABLES = [
    ("s.csv", b"instruction,output\nSort.,Use it, then.\n", "row 1 has more cells than the header"),
    (
        "s.csv",
        b'instruction,output\nSort.,x\n"a","print(\\"b\\")"\n',
        "row 2 has a quote inside a text",
    ),
    ("s.tsv", b'instruction\toutput\n"a" is\tx\n', "row 1 has a quote inside a text in quotes"),
    ("s.csv", b"instruction,output,output\nSort.,x,y\n", "has the column 'output' twice"),
    ("s.txt", b"instruction\toutput\nSort.\tx\n", "line 1 is that of a table; name the file .tsv"),
    ("s.txt", b"Add.\nSort.\tx\n", "line 2 is that of a table"),
    ("s.txt", b'"question","answer"\n"a","b"\n', "line 1 is that of a table"),
    ("s.txt", b"Sort the list.\n    Input: 1 2\n", "line 2 continues the task above it"),
    ("s.txt", b"Sort this:\n```\n[1]\n```\n", "line 2 continues the task above it"),
]


@pytest.mark.parametrize(("name", "data", "why"), FAULTY_TABLES, ids=range(len(FAULTY_TABLES)))
def test_a_table_is_not_read_with_cells_cut_or_shifted(read, seeds_file, name, data, why):
    """Nor its lines, or those of a longer text, as tasks."""
    assert why in fault(read, seeds_file(name, data))


def test_one_column_may_hold_commas(read, seeds_file):
    """Its header has no delimiter."""
    records = read(seeds_file("s.csv", ONE_COLUMN))[0]
    assert [one.instruction for one in records] == ["Sort, then add.", 'Say "hi", twice.']
    broken = b'"instruction","output\n(final)"\nSort.,x\n'
    assert read(seeds_file("b.csv", broken))[1].n_tasks == 1
    spaced = b'instruction, output\n"Sort.", "Use it, then print."\n'
    assert read(seeds_file("c.csv", spaced))[0][1].text == "Use it, then print."
    empty = b"instruction,output\nSort.,x,,\n"
    assert read(seeds_file("e.csv", empty))[1].n_answers == 1


@pytest.mark.parametrize(
    ("data", "tasks"),
    [
        ("1. Sort `a) b`.\n2) Add - it.\n", ["Sort `a) b`.", "Add - it."]),
        ("- Sort.\n- Add.\n", ["Sort.", "Add."]),
        ("Sort.\n- 3 is less.\n", ["Sort.", "- 3 is less."]),
        ("Sort.\rAdd.\r", ["Sort.", "Add."]),
        ("Sort, then add.\nAdd; print.\n", ["Sort, then add.", "Add; print."]),
    ],
    ids=["numbers", "marks", "another line", "carriage returns", "commas"],
)
def test_a_list_of_tasks_is_read_without_its_marks(read, seeds_file, data, tasks):
    """If its first line has one."""
    assert [one.instruction for one in read(seeds_file("s.txt", data.encode()))[0]] == tasks


def test_splits_without_train_are_named(read, seeds_file):
    """None of them is taken for the rows, and no two are mixed."""
    data = json.dumps({"dev": ROWS, "test": ROWS[:1]}).encode()
    assert fault(read, seeds_file("s.json", data)).startswith(
        "has rows in several fields (dev, test), and none of them is `train`; write the rows of one"
    )


def test_rows_in_a_field_are_rows_although_one_is_none(read, seeds_file):
    """They are no chat; the row that is none is counted."""
    data = json.dumps({"data": [*({"instruction": f"Do {n}."} for n in range(20)), None]})
    report = read(seeds_file("s.json", data.encode()))[1]
    assert (report.n_rows, report.n_tasks) == (21, 20)


@pytest.mark.parametrize("packed", [".bz2", ".xz", ".zst"])
def test_other_compressions_are_read(read, tmp_path, packed):
    """By the suffix of the file; damage is one line."""
    pyarrow = pytest.importorskip("pyarrow")
    data = json.dumps(ROWS).encode()
    pack = {".bz2": bz2.compress, ".xz": lzma.compress,
            ".zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True)}  # fmt: skip
    path = tmp_path / f"s.json{packed}"
    path.write_bytes(pack[packed](data))
    assert read(path)[1].n_tasks == 3
    path.write_bytes(b"xx" + path.read_bytes()[2:])
    assert fault(read, path)


def test_a_folder_of_a_data_set_is_read(read, tmp_path):
    """The files of the split that the card or the names say."""
    for name, n in (("train", 2), ("test", 1)):
        lines = "".join(json.dumps(row) + "\n" for row in ROWS[:n])
        (tmp_path / f"{name}-00000-of-00001.jsonl").write_text(lines)
    (tmp_path / "dataset_infos.json").write_text("{}")
    assert read(tmp_path)[1].n_tasks == 2
    assert read(tmp_path, split="test")[1].n_tasks == 1
    assert "no split dev" in fault(read, tmp_path, split="dev")
    card = "---\nconfigs:\n- config_name: a\n  data_files: '*.jsonl'\n---\n"
    (tmp_path / "README.md").write_text(card)
    assert read(tmp_path)[1].n_rows == 3
    (tmp_path / "README.md").write_text("no card")
    info = {"a": {"file_name": "test-00000-of-00001.jsonl"}, "b": {"file_name": "../x.jsonl"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert read(tmp_path, subset="a")[1].n_rows == 1
    assert "set seeds.subset to one of its data sets: a, b" in fault(read, tmp_path)
    (tmp_path / "run.db").touch()
    assert "is a run folder" in fault(read, tmp_path)


SHARDS = [
    ["data-00000-of-00002.jsonl", "data-00001-of-00002.jsonl"],
    ["shard_00000.jsonl", "shard_00001.jsonl"],
    ["part-0.jsonl", "part-1.jsonl"],
    ["chunk_1.jsonl", "chunk_10.jsonl"],
    ["part-00000-3d1c0e4a-c000.jsonl", "part-00001-77aa0e4a-c000.jsonl", "_SUCCESS", "_meta.json"],
    ["0000.jsonl", "0001.jsonl", ".hidden.jsonl"],
    ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "test.jsonl", "notes.txt"],
    ["data/train-0.jsonl", "data/train-1.jsonl", "data/test-0.jsonl"],
    ["default/train/0000.jsonl", "default/train/0001.jsonl", "default/test/0000.jsonl"],
    ["default/train-0.jsonl", "default/train-1.jsonl", "default/test-0.jsonl"],
]
NO_SHARDS = {
    ("data_v1.jsonl", "data_v2.jsonl"): "name a file in it",
    ("python.jsonl", "go.jsonl"): "name a file in it",
    ("shard_00000.jsonl", "shard_00001.csv"): "name a file in it",
    (
        "python/data.jsonl",
        "go/data.jsonl",
    ): "is a folder of folders; name one of go, python, or a file",
    ("python/train-0.jsonl", "go/train-0.jsonl"): "name one of go, python",
    ("default/test/0000.jsonl",): "name one of default",
    ("train.jsonl", "train.json"): "has the split train in several formats (.json, .jsonl); name a",
    (
        "data/train_sft-00000-of-00001.jsonl",
        "data/train_gen-00000-of-00001.jsonl",
    ): "no split train; set seeds.split to one of train_gen, train_sft",
}


def test_files_of_one_row_each_are_read_in_the_order_of_their_numbers(read, tmp_path):
    """As tools write that keep one task a file."""
    write_rows(tmp_path, [f"task_{n}.json" for n in range(12)])
    tasks = [task.instruction for task in read(tmp_path)[0]]
    assert tasks == [f"Do {n}." for n in range(12)]


def write_rows(folder, names):
    """Write a row into each file."""
    for n, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps({"instruction": f"Do {n}."}) + "\n")


@pytest.mark.parametrize("names", SHARDS, ids=str)
def test_the_parts_of_a_folder_are_read_together(read, tmp_path, names):
    """Those of the split `train` where splits are named; hidden files are no parts."""
    write_rows(tmp_path, names)
    assert [task.instruction for task in read(tmp_path)[0]] == ["Do 0.", "Do 1."]


@pytest.mark.parametrize("names", NO_SHARDS, ids=str)
def test_files_that_are_no_parts_are_not_mixed(read, tmp_path, names):
    """Versions, languages and subsets: the message names what there is to choose from."""
    write_rows(tmp_path, names)
    assert NO_SHARDS[names] in fault(read, tmp_path)


def test_the_split_of_a_card_is_read(read, tmp_path):
    """One that it does not have is an error, not all of its files."""
    write_rows(tmp_path, ["train_sft-0.jsonl", "train_gen-0.jsonl"])
    files = "".join(f"  - split: {s}\n    path: {s}-*\n" for s in ("train_sft", "train_gen"))
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    (tmp_path / "README.md").write_text(card)
    assert [task.instruction for task in read(tmp_path, split="train_gen")[0]] == ["Do 1."]
    assert "set seeds.split to one of train_gen, train_sft" in fault(read, tmp_path)


def test_a_folder_with_one_file_is_that_file(read, tmp_path):
    """There is nothing to choose."""
    write_rows(tmp_path, ["data.jsonl"])
    assert read(tmp_path)[1].n_tasks == 1


def test_the_default_subset_of_a_card_is_read(read, tmp_path):
    """Rather than its first one; without a default, one of them must be named."""
    write_rows(tmp_path, ["python/train-0.jsonl", "go/train-0.jsonl"])
    configs = "---\nconfigs:\n- config_name: python\n  data_files: python/*\n- config_name: go\n"
    (tmp_path / "README.md").write_text(f"{configs}  data_files: go/*\n---\n")
    assert "has several subsets; set seeds.subset to one of python, go" in fault(read, tmp_path)
    assert read(tmp_path, subset="python")[0][0].instruction == "Do 0."
    (tmp_path / "README.md").write_text(f"{configs}  default: true\n  data_files: go/*\n---\n")
    assert read(tmp_path)[0][0].instruction == "Do 1."
    assert read(tmp_path / "python")[0][0].instruction == "Do 0."


@pytest.mark.parametrize("name", KINDS)
def test_a_file_without_rows(read, seeds_file, name):
    """Empty files and empty arrays hold no rows."""
    empty = [] if ".parquet" in name else b" \n"
    assert fault(read, seeds_file(name, empty)) == "contains no rows"
    if ".parquet" not in name:
        assert "no rows" in fault(read, seeds_file(name, b""))
        assert "no rows" in fault(read, seeds_file(name, b"[ ]"))


def test_a_line_that_is_not_json(read, seeds_file):
    """Line and column are named; a truncated last row is an error too."""
    hint = "; a file holds one row per line, or one array of rows"
    path = seeds_file("s.jsonl", LINE + b"\n{'instruction': 1}\n")
    assert fault(read, path) == (
        "line 3 is not JSON (Expecting property name enclosed in double quotes at column 2)" + hint
    )
    assert "line 2 is not JSON" in fault(read, seeds_file("t.jsonl", LINE + LINE[:20]))
    assert "line 1 is not JSON" in fault(read, seeds_file("u.json", b"instruction,output\na,b\n"))


def test_an_array_that_is_not_json(read, seeds_file):
    """The line within the array is named."""
    path = seeds_file("s.json", b"[\n" + LINE + b",\n{]")
    assert fault(read, path).startswith("line 4 is not JSON (")
    assert fault(read, seeds_file("t.json", b"\n[" + LINE)).startswith("line 3 is not JSON (")


@pytest.mark.parametrize("name", ["s.jsonl", "s.jsonl.gz"])
def test_bytes_that_are_not_utf_8(read, seeds_file, name):
    """The line and the byte are named, in lines and in arrays."""
    bad = LINE.replace(b"Do", b"D\xe9")
    assert fault(read, seeds_file(name, LINE + bad)) == (
        "line 2 is not UTF-8 (byte 0xe9); save the file as UTF-8"
    )
    assert "line 3 is not UTF-8" in fault(read, seeds_file(name, b"[" + LINE + b",\n" + bad + b"]"))
    assert read(seeds_file(name, LINE.decode().encode("utf-16")))[1].n_tasks == 1


def test_json_that_is_nested_too_deep(read, seeds_file):
    """It is an error instead of a stack overflow."""
    deep = b'{"instruction": ' + b"[" * 200_000
    assert "the JSON that begins on line 1 cannot be read" in fault(
        read, seeds_file("s.jsonl", deep)
    )


def test_a_number_that_is_too_long(read, seeds_file):
    """Python's digit limit is reported."""
    data = b'{"instruction": ' + b"9" * 10_000 + b"}"
    assert "cannot be read" in fault(read, seeds_file("s.jsonl", data))


def test_a_line_that_is_too_long_for_a_row(read, seeds_file, monkeypatch):
    """It is not read into memory; an array on one line is."""
    monkeypatch.setattr(input_files, "MAX_MB", 1)
    path = seeds_file("s.jsonl", LINE + b'{"instruction": "' + b"x" * (1 << 20))
    assert fault(read, path) == "line 2 is longer than 1 MB; write one row per line"
    rows = json.dumps([*ROWS, {"instruction": "y" * (1 << 20)}]).encode()
    assert read(seeds_file("s.json", rows))[1].n_tasks == 3


@pytest.mark.parametrize("name", ["s.jsonl.gz", "s.json.gz", "s.parquet.gz"])
def test_a_gzip_file_that_was_cut_off(read, seeds_file, name):
    """The rows read before do not count as complete."""
    path = seeds_file(name, [{"instruction": f"Do {n * n}."} for n in range(2000)])
    path.write_bytes(path.read_bytes()[:-200])
    assert fault(read, path).startswith("damaged gzip: Compressed file ended")


def test_a_file_that_only_says_it_is_gzip(read, tmp_path):
    """Its first bytes give it away."""
    (tmp_path / "s.jsonl.gz").write_bytes(LINE)
    assert fault(read, tmp_path / "s.jsonl.gz").startswith("damaged gzip: Not a gzipped file")


def test_a_gzip_file_with_a_damaged_middle(read, seeds_file):
    """The checksum or decoder detects it."""
    path = seeds_file("s.jsonl.gz", [{"instruction": f"Do {n * n}."} for n in range(2000)])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert fault(read, path).startswith(("damaged gzip: ", "line "))


def test_a_damaged_parquet_file(read, seeds_file):
    """Truncated, overwritten, or another file type: one line each."""
    pytest.importorskip("pyarrow")
    path = seeds_file("s.parquet", [{"instruction": f"Do {n * n}."} for n in range(2000)])
    whole = path.read_bytes()
    for data in (whole[:-100], b"PAR1" + whole[4:100] + whole[-100:], LINE, b""):
        path.write_bytes(data)
        assert fault(read, path).startswith(("damaged Parquet: ", "cannot be read: "))


def test_parquet_without_pyarrow_names_the_extra(read, seeds_file, monkeypatch):
    """The message says what to install."""
    path = seeds_file("s.parquet", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'evolcoder[parquet]'" in fault(read, path)


def test_a_hub_id_without_datasets_names_the_extra(read, monkeypatch):
    """A name like owner/name without a file may be a data set."""
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = fault(read, "owner/name")
    assert message == "no such file; if it is a Hub data set, run: pip install 'evolcoder[hub]'"


def test_a_file_goes_before_a_data_set_of_the_same_name(read, tmp_path, monkeypatch):
    """Local files take precedence."""
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").write_bytes(LINE)
    monkeypatch.chdir(tmp_path)
    assert "unknown file type" in fault(read, "owner/name")


def test_a_missing_file_with_a_known_suffix_is_no_data_set(read, tmp_path, monkeypatch):
    """A mistyped path causes no network access."""
    monkeypatch.chdir(tmp_path)
    assert fault(read, "data/seeds.jsonl") == "cannot be read: No such file or directory"


def test_nested_columns_of_parquet_are_read(read, seeds_file):
    """Lists of structs are chats."""
    chat = [{"role": "user", "content": "Do it."}, {"role": "assistant", "content": "Done."}]
    records, report = read(seeds_file("s.parquet", [{"messages": chat}] * 2))
    assert report.format == "messages"
    assert records[1].text == "Done."


def test_many_batches_of_parquet_keep_their_order(read, seeds_file):
    """Row numbers go on from batch to batch."""
    n_rows = 2 * sources.PARQUET_ROWS + 10
    rows = [{"instruction": f"Do {n}."} for n in range(n_rows)]
    records, _ = read(seeds_file("s.parquet", [*rows, {"instruction": None}]))
    assert [task.instruction for task in records[:-1]] == [row["instruction"] for row in rows]
    assert records[-1].detail.startswith(f"row {n_rows + 1} has no instruction")
