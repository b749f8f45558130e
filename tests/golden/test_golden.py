"""What a scripted run, verify, clean, eval and loop leave behind, held to recorded results.

These tests are the safety net under a change of structure: ids and rows in the databases, exports
byte for byte, tables, and the model keys of a loop folder must stay as they are.
`EVOLCODER_RECORD_GOLDEN=1 python -m pytest tests/golden` records them anew; read the difference
before you commit it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

import toys
from evolcoder.cli.main import main
from evolcoder.experiment.config import TrainConfig
from evolcoder.experiment.store import model_key
from jsonl import write_jsonl

HERE = Path(__file__).parent
RECORDS = os.environ.get("EVOLCODER_RECORD_GOLDEN") == "1"
TIMES = {
    "started",
    "time",
    "cpu_s",
    "wall_s",
    "compile_s",
    "peak_mb",
    "seconds",
    "layers",
    "missing",
}
"""Columns and facts that a machine decides."""
EARLIER = HERE / "run-0.1.0"
"""A run folder that version 0.1.0 left after its first round, and the files that it names."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to run in: every path on the command line is relative, so that folders are equal."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(HERE / "script.json", "script.json")
    toys.seeds_file(Path("seeds.jsonl"), 16)
    return tmp_path


def evolcoder(capsys, *arguments):
    code = main([str(word) for word in arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def held(name, found):
    """Compare what was found with what is recorded, or record it."""
    path = HERE / "recorded" / f"{name}.json"
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if RECORDS:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert json.loads(text) == json.loads(path.read_text(encoding="utf-8"))


def tables(path, *names):
    """Read tables of a database, without what a machine decides."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        found = {
            name: [_plain(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names
        }
    db.close()
    return {name: sorted(rows, key=json.dumps) for name, rows in found.items()}


def _plain(row):
    return {key: _untimed(row[key]) for key in row.keys() if key not in TIMES}  # noqa: SIM118 - a row


def _untimed(value):
    """Take times out of a cell that holds facts as JSON."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        facts = json.loads(value)
    except ValueError:
        return value
    return {key: fact for key, fact in facts.items() if key not in TIMES}


def digests(folder):
    """Name every file beneath a folder with the digest of its bytes; cards name the machine."""
    paths = sorted(p for p in Path(folder).rglob("*") if p.is_file() and p.name != "README.md")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


ANSWERS = (
    "```python\ndef f(x):\n    return x\n```",
    "```python\ndef f(x)\n    return x\n```",
    "Recursion is when a function calls itself.",
    "",
    "```python\nimport time\nprint(1 / 0)\n```",
    "```yaml\nkey: value\n```",
    "```python\nimport surely_not_installed\n```",
)
TASK = "Write a function that reads a file of numbers and returns the median of them, or None if there are none at all"
DOUBLES = (TASK, f"{TASK}!", f"{TASK} now", TASK.upper(), "Another task.")
LOOP = {
    "run": {
        "seeds": {"path": "seeds.jsonl"},
        "evolver": {"model": "scripted:script.json"},
        "budget": {"rounds": 1},
        "cache": "completions.db",
    },
    "student": {"path": "student", "name": "toy"},
    "train": {
        "command": ["{python}", "trainer.py", "{data}", "{base}", "{out}", "{seed}"],
        "steps": ["{steps}"],
        "batch": 8,
        "epochs": 1,
        "seeds": [0, 1],
    },
    "serve": {"command": [], "spec": "scripted:{model}/script.json"},
    "ask": {"limit": 6, "data_dir": "shared", "max_tokens": 4000},
    "dev": {"bench": "mbpp-dev"},
    "tests": ["humaneval"],
    "arms": ["student", "seed@steps"],
}
RUN_TABLES = ("tasks", "responses", "drops", "verdicts", "kept", "calls")


def run_command(out, rounds):
    return [
        "run", "--seeds", "seeds.jsonl", "--model", "scripted:script.json", "--rounds", rounds,
        "--out", out, "--cache", "cache.db", "--set", "verify.checks=[runs]",
    ]  # fmt: skip


def test_a_run_leaves_the_recorded_rows_and_exports(capsys, place):
    """Ids, rows and drops of a run in its database, and its exports byte for byte."""
    evolcoder(capsys, *run_command("out", 2))
    found = tables("out/run.db", *RUN_TABLES)
    assert found["drops"]
    assert {row["round"] for row in found["responses"]} == {0, 1, 2}
    held("run", {"tables": found, "exports": digests("out/export")})


def test_a_run_of_the_version_before_goes_on(capsys, place):
    """A folder that 0.1.0 left after one round gets its second round as if it had made it."""
    for path in EARLIER.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, path.name)
    # Its machine had toolchains that this one may lack; all of its programs are in Python.
    with contextlib.closing(sqlite3.connect("out/run.db")) as db, db:
        db.execute(
            "UPDATE meta SET value = json_set(value, '$.languages', json_array('python')) "
            "WHERE key = 'verify'"
        )
    evolcoder(capsys, *run_command("out", 2))
    assert (
        tables("out/run.db", *RUN_TABLES)["tasks"]
        == json.loads((HERE / "recorded" / "run.json").read_text(encoding="utf-8"))["tables"][
            "tasks"
        ]
    )
    held("resumed", {"exports": digests("out/export")})


def test_verify_leaves_the_recorded_verdicts(capsys, place):
    """Every row of a file gets its verdict, and what stays is exported byte for byte."""
    rows = [
        {"instruction": f"Write program {n} in Python.", "output": answer}
        for n, answer in enumerate(ANSWERS)
    ]
    write_jsonl(Path("rows.jsonl"), rows)
    evolcoder(capsys, "verify", "rows.jsonl", "--out", "out", "--set", "seeds.max_chars=100000")
    lines = Path("out/verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    held(
        "verify",
        {"verdicts": [json.loads(line) for line in lines], "exports": digests("out/export")},
    )


def test_clean_leaves_the_recorded_rows_and_drops(capsys, place):
    """Doubles of three kinds leave a file; what stays and what is dropped is written as recorded."""
    rows = [{"instruction": text, "output": "x"} for text in DOUBLES]
    write_jsonl(Path("rows.jsonl"), rows)
    told = json.loads(evolcoder(capsys, "clean", "rows.jsonl", "--out", "clean.jsonl", "--json"))
    held("clean", {"told": told, "files": {p: Path(p).read_text() for p in told["paths"]}})


def test_eval_leaves_the_recorded_verdicts(capsys, place, shared, measured_controls, monkeypatch):
    """Five samples of each kind of benchmark get the recorded verdicts and scores."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(measured_controls))
    answers = [
        "    return True\n",
        "    return False\n",
        "    return 1 +\n",
        "    raise KeyError\n",
    ]
    rows = [{"task_id": f"HumanEval/{n}", "completion": answers[n % 4]} for n in range(6)]
    write_jsonl(Path("samples.jsonl"), rows)
    out = evolcoder(
        capsys, "eval", "--bench", "humaneval,humaneval+", "--samples", "samples.jsonl", "--limit",
        "6", "--data-dir", shared, "--out", "out", "--json",
    )  # fmt: skip
    scores = [one["scores"] for one in json.loads(out)["results"]]
    held("eval", {"tables": tables("out/eval.db", "samples", "verdicts"), "scores": scores})


def test_a_loop_names_models_by_what_decides_them(
    capsys, place, shared, measured_controls, monkeypatch
):
    """A loop folder of the version before finds its models again: their keys are as recorded."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(measured_controls))
    default = TrainConfig()
    key = model_key("digest", 3, "student", [*default.command, *default.options], 7)
    Path("shared").symlink_to(shared)
    Path("student").mkdir()
    Path("student/data_dir").write_text("shared")
    Path("student/script.json").write_text(json.dumps({"rules": [{"match": "", "answer": "No."}]}))
    shutil.copy(HERE.parent / "experiment" / "toy_trainer.py", "trainer.py")
    Path("loop.yaml").write_text(json.dumps(LOOP))
    evolcoder(capsys, "loop", "loop.yaml", "--out", "out", "--no-figures")
    models = sorted(path.name for path in Path("out/models").iterdir())
    tables_md = Path("out/results/tables.md").read_text(encoding="utf-8")
    held("loop", {"default key": key, "models": models, "tables": tables_md})
