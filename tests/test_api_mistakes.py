"""What callers of the API get wrong is one error of this package, and what they bring is read."""

import asyncio
import json
import pickle

import pytest

import evolcoder as ec
from evolcoder.app.arguments import checked
from evolcoder.errors import ConfigError, EngineError, ModelError, SeedsError, UserError

PROGRAM = "```python\ndef same(x):\n    return x\n```"
DATA = [{"instruction": f"Write a function f{n}.", "output": PROGRAM} for n in range(4)]
TASKS = [row["instruction"] for row in DATA]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DATA))
    return tmp_path


class Table:
    """What pandas', Arrow's and Polars' tables have in common with neither."""


def arrow():
    table = Table()
    table.to_pylist = lambda: DATA
    return table


def polars():
    table = Table()
    table.to_dicts = lambda: DATA
    return table


def pandas():
    frame = pytest.importorskip("pandas").DataFrame(DATA)
    frame["history"] = float("nan")
    return frame


def numpy_cells():
    numpy = pytest.importorskip("numpy")
    turns = [
        numpy.array([{"role": "user", "content": task}, {"role": "assistant", "content": PROGRAM}])
        for task in TASKS
    ]
    return [{"messages": one} for one in turns]


def arrow_table():
    return pytest.importorskip("pyarrow").Table.from_pylist(DATA)


def dataset():
    return pytest.importorskip("datasets").Dataset.from_list(DATA)


def iterable_dataset():
    return dataset().to_iterable_dataset()


CONTAINERS = (
    arrow, polars, pandas, numpy_cells, arrow_table, dataset, iterable_dataset,
    lambda: iter(DATA), lambda: tuple(DATA), lambda: ec.dedup(DATA), lambda: ec.read(DATA),
)  # fmt: skip


@pytest.mark.parametrize("make", CONTAINERS)
def test_rows_are_read_from_every_container(make):
    """Task and answer, in order."""
    rows = ec.read(make())
    assert [row.task.instruction for row in rows] == TASKS
    assert {row.response.text for row in rows} == {PROGRAM}


def test_texts_are_tasks(tmp_path):
    """In a list, and in a column of a table."""
    numpy = pytest.importorskip("numpy")
    for texts in (TASKS, numpy.array(TASKS), pandas()["instruction"]):
        assert [row.task.instruction for row in ec.read(texts)] == TASKS


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        (None, ConfigError, "a NoneType is no list of rows"),
        (5, ConfigError, "a int is no list of rows"),
        (b"rows.jsonl", ConfigError, "a bytes is no list of rows"),
        (DATA[0], ConfigError, "a dict is no list of rows"),
        ({"train": DATA}, ConfigError, r"rows\['train'\]"),
        ([1, 2], SeedsError, "0 of 2 rows"),
        ([None], SeedsError, "0 of 1 rows"),
        ([{"foo": 1}, {"foo": 2}], SeedsError, "the fields foo"),
        ([*DATA, {"foo": 1}], SeedsError, "4 of 5 rows"),
    ],
)
@pytest.mark.parametrize(
    "verb", [ec.read, ec.dedup, ec.verify, lambda rows: ec.export(rows, "out")]
)
def test_what_holds_no_rows_is_an_error(verb, rows, error, words):
    """It never becomes rows with empty texts."""
    with pytest.raises(error, match=words):
        verb(rows)


def test_columns_of_seeds_in_memory_are_named_as_those_of_a_file():
    """`columns` reads them; the run's own file has the usual ones."""
    data = [{"q": row["instruction"], "a": row["output"]} for row in DATA]
    run = ec.evolve(
        data, model=Mine(), rounds=0, columns={"instruction": "q", "response": "a"}, out="runs/a"
    )
    assert [row.task.instruction for row in run.rows()] == TASKS


WRONG = [
    (lambda: ec.read("rows.jsonl", columns="instruction=q"), "give a mapping"),
    (lambda: ec.export(DATA, None), "out=None: takes"),
    (lambda: ec.export(DATA, "out", format=None), "None is no name"),
    (lambda: ec.export(DATA, "out", validation="0.1"), "validation='0.1': takes float"),
    (lambda: ec.to_dataset(DATA, "nope"), "known formats"),
    (lambda: ec.dedup(DATA, near="0.8"), "near='0.8': takes float"),
    (lambda: ec.dedup(DATA, near=True), "near=True: takes float"),
    (lambda: ec.dedup(DATA, seed="a"), "seed='a': takes int"),
    (lambda: ec.verify(DATA, workers="4"), "workers='4': takes int"),
    (lambda: ec.verify(DATA, settings=["a"]), "settings=.* takes Mapping"),
    (lambda: asyncio.run(ec.verify_async(DATA, workers="4")), "verify: workers='4'"),
    (lambda: ec.decontaminate(DATA, against=[], detectors=7), "detectors=7: takes"),
    (lambda: ec.similarity(DATA), "run=.* takes"),
    (lambda: ec.evaluate("humaneval", model=Mine(), n="5"), "n='5': takes int"),
    (lambda: ec.evaluate("humaneval", samples=DATA), "samples=.* takes"),
    (lambda: ec.dedup(DATA, threshold=0.5), "dedup: .*'threshold'; it takes rows, exact"),
    (lambda: ec.evolve(DATA, "m"), "evolve: too many positional arguments; it takes seeds"),
    (lambda: ec.evolve(DATA, settings={"verify.tester": Mine()}), "verify.tester: a Mine is no value"),
    (lambda: asyncio.run(ec.Sandbox().run(b"print(1)")), "source=.*takes str, not bytes"),
    (lambda: ec.evolve(DATA, model=5), "neither a spec nor an engine"),
    (lambda: ec.evolve(DATA, model=print), "it lacks identity, complete"),
    (lambda: ec.evolve(DATA, model=Mine), "give an instance"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_an_argument_of_a_wrong_type_is_named(number):
    """One line with its name and value, before anything is done."""
    call, words = WRONG[number]
    with pytest.raises(ConfigError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers():
    """Also those that Python's own types do not include."""
    numpy = pytest.importorskip("numpy")

    @checked
    def sort(n: int, near: float | None = None):
        return n

    assert sort(numpy.int64(3), numpy.float32(0.5)) == 3
    assert sort(3, 1) == 3


def test_a_single_name_stands_for_a_list_of_one():
    """Wherever names are taken."""
    assert ec.verify(DATA[:1], checks="runs").kept
    with pytest.raises(UserError, match="humanevall"):
        ec.decontaminate(DATA, against="humanevall")


def test_a_result_is_shown_by_its_counts():
    """A notebook prints a cell's value: not a hundred thousand rows."""
    data = [{"instruction": f"Write f{n}.", "output": PROGRAM} for n in range(500)]
    found = ec.dedup(data, near=None)
    assert repr(found) == "Deduplicated(kept=[500 items], dropped=[0 items])"
    assert pickle.loads(pickle.dumps(found)).kept == found.kept
    assert len(repr(ec.verify(DATA[:1]))) < 300


def test_a_run_is_opened_by_its_folders_name():
    """A path or a text."""
    ec.evolve(DATA, model=Mine(), rounds=0, out="runs/a")
    assert len(ec.Run("runs/a").rows()) == len(DATA)


class Mine:
    """An engine of the caller's own."""

    identity = "mine"

    def __init__(self, result=None):
        self.result = result

    async def complete(self, request):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def aclose(self):
        pass


class Blocking(Mine):
    def complete(self, request):
        return ec.Completion(PROGRAM, "", "stop", 1, 1)


@pytest.mark.parametrize(
    ("engine", "error", "words"),
    [
        (Blocking(), ModelError, "Blocking.complete is not asynchronous"),
        (Mine("a text"), ModelError, "returned a str; return a Completion"),
        (Mine(ec.Completion(None, "", "stop", 1, 1)), ModelError, "a Completion without text"),
        (Mine(KeyError("choices")), EngineError, "raised KeyError: 'choices'"),
        (Mine(ConnectionResetError("peer")), EngineError, "raised ConnectionResetError: peer"),
    ],
)
@pytest.mark.parametrize("rounds", [0, 1])
def test_a_mistake_in_an_engine_ends_the_run_with_its_words(engine, error, words, rounds):
    """Not every row after another, and not as a failure of the sandbox or of the style."""
    with pytest.raises(error, match=words):
        ec.evolve(TASKS, model=engine, rounds=rounds, out="runs/b")


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("https://huggingface.co/datasets/sahil2801/CodeAlpaca-20k/tree/main", "CodeAlpaca-20k$"),
        ("https://hf.co/datasets/a/b", "name it as a/b"),
        ("http://example.org/rows.jsonl", "download the file"),
    ],
)
def test_an_address_on_the_web_is_no_path(address, advice):
    """It is named as it was given, with the id of a data set of the Hub."""
    with pytest.raises(SeedsError, match=advice) as caught:
        ec.read(address)
    assert str(caught.value).startswith(f"{address}: is an address on the web")
