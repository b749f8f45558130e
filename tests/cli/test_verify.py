"""`evolcoder verify` and verification in `evolcoder run`, as a user meets them."""

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace

import pytest

import toys
from bash_bench import bash_with, part
from commands import run_command
from evolcoder.cli.main import main
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.sandbox import launchers
from evolcoder.sandbox.base import STRICT_LAYERS, Layer
from evolcoder.sandbox.pool import PoolSandbox
from evolcoder.sandbox.requirements import PROBES
from evolcoder.sandbox.toolchains import LANGUAGES
from evolcoder.storage.run_store import DB_NAME, RunStore
from evolcoder.storage.stats import VERIFY_META
from jsonl import read_jsonl, write_jsonl
from loopback import Loopback, in_thread

GOOD = "```python\ndef f(x):\n    return x\n```"
BROKEN = "```python\ndef f(x)\n    return x\n```"
NO_SANDBOX = "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"


def verify(capsys, *arguments):
    return run_command(capsys, "verify", *arguments)


@pytest.fixture
def odd(tmp_path):
    answers = [
        GOOD,
        BROKEN,
        "Recursion is when a function calls itself.",
        "",
        "".join(f"```{name}\nx\n```\n" for name in ("python", "java", "c", "ruby", "go")),
        f"```python\n{'-' * 15_000}1\n```",
        "```python\nprint('\ud800')\n```",
        "```python\nprint('a\x00b')\n```",
        "```python\nimport time\ntime.sleep(10**6)\n```",
        f"```python\n{'x = 1' * 300_000}\n```",
        "```\n```",
    ]
    rows = [{"instruction": f"Write {n} in Python.", "output": a} for n, a in enumerate(answers)]
    return write_jsonl(tmp_path / "odd.jsonl", rows)


def test_every_row_ends_in_a_verdict_or_a_drop(capsys, tmp_path, odd):
    """Whatever a row holds, it is kept or dropped with a reason, and nothing crashes."""
    out_dir = tmp_path / "out"
    code, out, _ = verify(
        capsys, odd, "--out", out_dir, "--set", "seeds.max_chars=1000000", "--json",
        "--set", "verify.wall_s=3",
    )  # fmt: skip
    assert code == 0
    found = json.loads(out)
    assert {line["stage"]: line["waiting"] for line in found["funnel"]} == {
        "seeds": 0, "respond": 0, "verify": 0,
    }  # fmt: skip
    told = {line["row"]: line for line in read_jsonl(out_dir / "verdicts.jsonl")}
    assert {row: (line["kept"], line["reason"]) for row, line in told.items()} == {
        0: (True, ""), 1: (False, "does_not_parse"), 2: (True, ""), 3: (False, "empty"),
        4: (True, ""), 5: (False, "does_not_parse"), 6: (True, ""), 7: (True, ""),
        8: (True, ""), 10: (True, ""),
    }  # fmt: skip
    assert told[8]["verdicts"][0]["kind"] == "wants"
    exported = read_jsonl(out_dir / "export" / "messages" / "data.jsonl")
    assert len(exported) == sum(line["kept"] for line in told.values())
    assert {row["runs"] for row in exported} >= {"passed", "not_run", "wants"}


ROWS = {
    "alpaca": {"instruction": "Write f.", "input": "In Python.", "output": BROKEN},
    "messages": {
        "messages": [
            {"role": "user", "content": "Write f."},
            {"role": "assistant", "content": BROKEN},
        ]
    },
    "sharegpt": {
        "conversations": [{"from": "human", "value": "Write f."}, {"from": "gpt", "value": BROKEN}]
    },
    "oss-instruct": {"problem": "Write f.", "solution": BROKEN},
}


@pytest.mark.parametrize("format", ROWS)
def test_every_format_that_seeds_come_in_is_read(capsys, tmp_path, format):
    """The answer is found wherever the format has it."""
    data = write_jsonl(tmp_path / "data.jsonl", [ROWS[format]])
    code, out, _ = verify(capsys, data, "--out", tmp_path / "out")
    assert code == 0
    assert "does_not_parse 1" in out


@pytest.mark.e2e
def test_an_export_of_ours_is_read_back(capsys, tmp_path, odd):
    """What was kept once is kept again."""
    verify(capsys, odd, "--out", tmp_path / "out")
    for name in ("alpaca/data.json", "messages/data.jsonl"):
        again = tmp_path / name.partition("/")[0]
        assert verify(capsys, tmp_path / "out/export" / name, "--out", again)[0] == 0
        assert all(line["kept"] for line in read_jsonl(again / "verdicts.jsonl"))


@pytest.mark.e2e
def test_sigkill_loses_nothing_and_repeats_no_verdict(tmp_path):
    """Killed again and again, a verification ends as an undisturbed one does."""
    rng = random.Random(3)
    answers = [GOOD, BROKEN, "```python\nimport time\ntime.sleep(0.1)\n```"]
    rows = [{"instruction": f"Write {n}.", "output": answers[n % 3]} for n in range(150)]
    data = write_jsonl(tmp_path / "data.jsonl", rows)

    def start(folder):
        command = [sys.executable, "-m", "evolcoder.cli.main", "verify", data, "--out", folder]
        return subprocess.Popen(
            [*map(str, command), "--workers", "2"], stdout=-1, stderr=subprocess.PIPE
        )

    assert start(tmp_path / "whole").communicate() is not None
    n_kills = 0
    for _ in range(6):
        process = start(tmp_path / "cut")
        time.sleep(rng.uniform(0.8, 2.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        n_kills += process.returncode == -signal.SIGKILL
    process = start(tmp_path / "cut")
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert n_kills >= 2
    for name in ("verdicts.jsonl", "export/alpaca/data.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-file.jsonl"], "no-such-file.jsonl: cannot be read"),
        (["{odd}", "--checks", "running"], "known checks are runs, tests"),
        (["{odd}", "--checks", "runs,tests"], "name it with --model"),
        (["{odd}", "--set", "verify.drops=[]"], "did you mean verify.drop?"),
        (["{odd}", "--set", "verify.drop=[bored]"], "verify.drop"),
    ],
)
def test_what_the_user_gets_wrong_is_one_line(capsys, odd, arguments, said):
    """Exit code 2, and a line that says what to do."""
    code, _, err = verify(capsys, *(word.format(odd=odd) for word in arguments))
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_the_protections_of_programs_are_named(capsys, tmp_path):
    """In the table, the JSON and the card of the export, with what was not active."""
    data = write_jsonl(tmp_path / "rows.jsonl", [{"instruction": "Do.", "output": GOOD}])
    flags = [data, "--out", tmp_path / "out"]
    found = json.loads(verify(capsys, *flags, "--json")[1])["sandbox"]
    layers, missing = found["verify"]["layers"], found["verify"]["missing"]
    assert set(found) == {"verify"}
    assert set(STRICT_LAYERS) <= set(layers)
    assert {*layers, *missing} == set(Layer)
    line = f"sandbox verify: {', '.join(layers)}; not active: {', '.join(missing) or 'none'}"
    assert line in verify(capsys, *flags)[1]
    cards = list((tmp_path / "out/export").glob("*/README.md"))
    cells = f"| verify | {', '.join(layers)} | {', '.join(missing) or 'none'} |"
    assert cards
    assert all(cells in card.read_text() for card in cards)


@pytest.mark.parametrize("session", ["weaker", "stronger"])
def test_a_protection_is_named_only_if_every_session_had_it(capsys, tmp_path, monkeypatch, session):
    """A folder that is gone on with elsewhere does not claim what only some of its rows had."""
    data = write_jsonl(tmp_path / "rows.jsonl", [{"instruction": "Do.", "output": GOOD}])
    flags = [data, "--out", tmp_path / "out", "--json"]
    all_but = {"weaker": [(), ("seccomp", "cgroup")], "stronger": [("seccomp", "cgroup"), ()]}
    real = PoolSandbox.layers.fget
    for lacking in all_but[session]:
        with monkeypatch.context() as patched:
            fewer = property(lambda self, off=lacking: tuple(x for x in real(self) if x not in off))
            patched.setattr(PoolSandbox, "layers", fewer)
            found = json.loads(verify(capsys, *flags)[1])["sandbox"]["verify"]
    assert {"seccomp", "cgroup"} <= set(found["missing"])
    assert set(STRICT_LAYERS) <= set(found["layers"])


def test_a_folder_that_did_not_write_its_protections_down_claims_none(capsys, tmp_path):
    """A verification that an earlier version began goes on, and names no layer."""
    data = write_jsonl(tmp_path / "rows.jsonl", [{"instruction": "Do.", "output": GOOD}])
    flags = [data, "--out", tmp_path / "out", "--json"]
    verify(capsys, *flags)
    with closing(sqlite3.connect(tmp_path / "out" / DB_NAME)) as db, db:
        (text,) = db.execute("SELECT value FROM meta WHERE key = ?", (VERIFY_META,)).fetchone()
        known = json.loads(text)
        del known["layers"]
        db.execute("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(known), VERIFY_META))
    code, out, _ = verify(capsys, *flags)
    assert (code, json.loads(out)["sandbox"]) == (0, {})


@pytest.fixture
def no_namespaces(tmp_path, monkeypatch):
    """A machine whose bubblewrap may not make namespaces."""
    program = tmp_path / "bwrap"
    program.write_text(NO_SANDBOX)
    program.chmod(0o755)
    monkeypatch.setattr(launchers, "find_bwrap", lambda: str(program))


@pytest.mark.usefixtures("no_namespaces")
def test_without_a_sandbox_a_data_set_is_not_verified(capsys, tmp_path, odd):
    """Nothing is run unprotected, and the folder stays free."""
    code, _, err = verify(capsys, odd, "--out", tmp_path / "out")
    assert code == 2
    assert "--sandbox processes" in err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def server():
    with in_thread(Loopback(answer=toys.answer)) as running:
        yield running


def run(capsys, tmp_path, server, *arguments):
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", 12)
    model = f"{server.base_url}#toy"
    options = ["--seeds", seeds, "--model", model, "--out", tmp_path / "run", *arguments]
    code = main(["run", *map(str, options)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.usefixtures("no_namespaces")
def test_without_a_sandbox_a_run_goes_on_and_says_so(capsys, tmp_path, server):
    """One line on stderr; rows carry no finding; and so it stays when the run is gone on with."""
    code, out, err = run(capsys, tmp_path, server)
    assert code == 0
    assert sum("are not verified" in line for line in err.splitlines()) == 1
    assert "verify" not in out
    rows = json.loads((tmp_path / "run/export/alpaca/data.json").read_text())
    assert {row["runs"] for row in rows} == {""}


def test_a_run_begun_without_a_sandbox_stays_as_it_is(capsys, tmp_path, server, monkeypatch):
    """A data set is not half verified because the machine changed in between."""
    with monkeypatch.context() as patched:
        patched.setattr(launchers, "find_bwrap", lambda: None)
        run(capsys, tmp_path, server)
    code, out, err = run(capsys, tmp_path, server, "--rounds", 2)
    assert (code, "are not verified" in err) == (0, True)
    assert "verify" not in out


def test_a_verified_run_is_refused_where_it_cannot_go_on(capsys, tmp_path, server, monkeypatch):
    """Its later rows would not be what its first ones are."""
    assert run(capsys, tmp_path, server)[0] == 0
    monkeypatch.setattr(launchers, "find_bwrap", lambda: None)
    code, _, err = run(capsys, tmp_path, server, "--rounds", 2)
    assert code == 2
    assert "this run verifies its rows, but: --sandbox strict" in err


def test_tools_that_run_nothing_drop_no_row(capsys, tmp_path, monkeypatch):
    """Said once, by name; answers in other languages are run as ever."""
    said = "echo 'stdio.h: No such file' >&2; exit 1"
    headers = replace(part(is_here=False), program=said, error_pattern="stdio")
    monkeypatch.setitem(LANGUAGES, "bash", bash_with(headers))
    monkeypatch.setitem(PROBES, "bash", (said, ""))
    rows = [{"instruction": f"Do {n}.", "output": "```bash\nif\n```"} for n in range(3)]
    data = write_jsonl(tmp_path / "rows.jsonl", [*rows, {"instruction": "Do.", "output": GOOD}])
    code, out, err = verify(capsys, data, "--out", tmp_path / "out", "--json")
    assert code == 0
    assert json.loads(out)["verdicts"] == {"runs": {"not_run": 3, "passed": 1}}
    named = [line for line in err.splitlines() if "part not found; install bash-part" in line]
    assert named == [
        "evolcoder: bash: part not found; install bash-part; answers in bash are not run"
    ]


def test_where_it_must_be_verified_a_run_does_not_begin(capsys, tmp_path, server, monkeypatch):
    """`verify.when=always` pays for nothing that could not be looked at."""
    monkeypatch.setattr(launchers, "find_bwrap", lambda: None)
    code, _, err = run(capsys, tmp_path, server, "--set", "verify.when=always")
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert not server.calls
    assert not (tmp_path / "run").exists()


def test_seeds_are_verified_when_asked_for(capsys, tmp_path, server):
    """`verify.seeds` puts the answers that came with the seeds through the same checks."""
    code, out, _ = run(capsys, tmp_path, server, "--set", "verify.seeds=true", "--json")
    assert code == 0
    found = {(line["stage"], line["round"]): line for line in json.loads(out)["funnel"]}
    assert found["verify", 0]["kept"] == found["verify", 0]["entered"] == 12
    rows = json.loads((tmp_path / "run/export/alpaca/data.json").read_text())
    assert {row["runs"] for row in rows} == {"passed"}


DOUBLE = "def double(x):\n    return {}"
TESTS = "assert double(1) == 2\nassert double(5) == 10\nassert double(-3) == -6"


def model(request):
    """Write tests, and answers of which every fourth is wrong."""
    said = request.messages[-1].content
    if "Do not write the code" in said:
        return f"```python\n{TESTS}\n```"
    body = ("2 * x", "x + x", "x - -x", "x * x")[request.seed % 4]
    return f"```python\n{DOUBLE.format(body)}\n```"


def test_rows_are_tested_measured_and_paired(capsys, tmp_path, monkeypatch):
    """Every check in one go: a wrong answer is dropped, and pairs load with `datasets`."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    task = "Write a Python function `double(x)` that doubles {}, in O(1) time."
    rows = [
        {"instruction": task.format(n), "output": f"```python\n{DOUBLE.format(body)}\n```"}
        for n, body in enumerate(["2 * x", "x * x", "x + x + 0 * x", "x ** 2"])
    ]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    monkeypatch.setattr("evolcoder.app.models.scripted.from_file", lambda _: ScriptedEngine(model))
    code, out, err = verify(
        capsys, data, "--out", tmp_path / "out", "--model", "scripted:x", "--json",
        "--checks", "runs,tests,bait,bound,difficulty,shape",
        "--set", "verify.drop=[does_not_parse,tests_failed]", "--set", "verify.candidates=6",
        "--set", "export.formats=[preference,trl,infill,repair]",
    )  # fmt: skip
    assert code == 0, err
    found = json.loads(out)["verdicts"]
    assert found["tests"] == {"passed": 2, "failed": 2}
    assert set(found) == {"runs", "tests", "bait", "bound", "difficulty", "shape"}
    kept = read_jsonl(tmp_path / "out/export/trl/data.jsonl")
    assert [row["tests_strength"] > 0 for row in kept] == [True, True]
    folder = str(tmp_path / "out/export/preference")
    pairs = datasets.load_dataset(folder, split="train", cache_dir=str(tmp_path / "cache"))
    assert len(pairs) == 4
    for pair in pairs:
        assert [turn["role"] for turn in pair["prompt"] + pair["chosen"]] == ["user", "assistant"]
        assert (
            "x * x" in pair["rejected"][0]["content"] or "x ** 2" in pair["rejected"][0]["content"]
        )
        assert "x * x" not in pair["chosen"][0]["content"]
    infilled = read_jsonl(tmp_path / "out/export/infill/data.jsonl")
    assert {row["kind"].partition(":")[0] for row in infilled} == {"infill"}
    assert all(row["prefix"].startswith("def double(x):") for row in infilled)
    repaired = read_jsonl(tmp_path / "out/export/repair/data.jsonl")
    assert [row["failing"] in TESTS.split("\n") for row in repaired] == [True, True]
    assert all(row["broken"].strip("\n") in row["prompt"][0]["content"] for row in repaired)
    for name in ("infill", "repair"):
        folder = str(tmp_path / "out/export" / name)
        loaded = datasets.load_dataset(folder, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(loaded) == len(read_jsonl(tmp_path / "out/export" / name / "data.jsonl")) > 0


DOUBLES = [
    {
        "instruction": "Write `double(x)`.",
        "output": f"```python\n{DOUBLE.format(body)}\n```",
        **more,
    }
    for body, more in (
        ("2 * x", {"id": "A", "root": "R", "parent": "P", "round": 2, "heuristic": "deepen"}),
        ("x * x", {}),
        ("2 * x", {}),
    )
]


def test_every_row_is_checked_and_keeps_its_lineage(capsys, tmp_path):
    """Rows of one task are no doubles here; the columns that were there are exported."""
    data = write_jsonl(tmp_path / "rows.jsonl", DOUBLES)
    code, out, _ = verify(capsys, data, "--out", tmp_path / "out", "--json")
    assert (code, json.loads(out)["verdicts"]) == (0, {"runs": {"passed": 3}})
    rows = json.loads((tmp_path / "out/export/alpaca/data.json").read_text())
    assert [row["output"] for row in rows] == [row["output"] for row in DOUBLES]
    assert {name: rows[0][name] for name in ("id", "root", "parent", "round", "heuristic")} == {
        "id": "A", "root": "R", "parent": "P", "round": 2, "heuristic": "deepen",
    }  # fmt: skip
    assert len({row["id"] for row in rows}) == 3


def test_checks_are_added_to_a_verification_and_to_a_run(capsys, tmp_path, monkeypatch):
    """Only the new check is run; a row that fails it is dropped, and its answer stays."""
    monkeypatch.setattr("evolcoder.app.models.scripted.from_file", lambda _: ScriptedEngine(model))
    data = write_jsonl(tmp_path / "rows.jsonl", DOUBLES)
    tests = ("--checks", "runs,tests", "--model", "scripted:x", "--set", "verify.candidates=6")
    assert verify(capsys, data, "--out", tmp_path / "v")[0] == 0
    code, out, err = verify(capsys, data, "--out", tmp_path / "v", "--json", *tests[:4])
    assert code == 0, err
    assert sum(json.loads(out)["verdicts"]["tests"].values()) == 3
    seeds = ("--seeds", data, "--rounds", 0, "--out", tmp_path / "r", "--model", "scripted:x")
    never = ("--set", "verify.when=never", "--set", "clean.exact=false", "--set", "clean.near=null")
    assert main(list(map(str, ("run", *seeds, *never)))) == 0
    capsys.readouterr()
    drop = ("--set", "verify.drop=[tests_failed]", "--json")
    code, out, err = verify(capsys, tmp_path / "r", *tests[:2], *tests[4:], *drop)
    assert code == 0, err
    funnel = {line["stage"]: line for line in json.loads(out)["funnel"]}
    assert (funnel["verify"]["entered"], funnel["verify"]["kept"]) == (1, 1)
    assert [line["round"] for line in read_jsonl(tmp_path / "r/verdicts.jsonl")] == [0]
    assert main(list(map(str, ("run", *seeds, *never)))) == 0
    assert verify(capsys, tmp_path / "r", "--out", tmp_path / "x")[0] == 2


MAKES = "import random\ndef make_input(n):\n    return ([random.random() for _ in range(n)],)"


def test_bounds_are_measured_on_inputs_that_a_tester_writes(capsys, tmp_path, monkeypatch):
    """A tester that is named later measures what could not be; its requests are booked."""
    engine = ScriptedEngine(lambda request: f"```python\n{MAKES}\n```")
    monkeypatch.setattr("evolcoder.app.models.scripted.from_file", lambda _: engine)
    nested = "def f(q):\n    return [a * b for a in q for b in q]"
    rows = [
        {"instruction": f"Combine all. {bound}", "output": f"```python\n{nested}\n```"}
        for bound in ("It must run in O(n) time.", "It must be short.")
    ]
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    common = (data, "--out", tmp_path / "v", "--checks", "bound", "--json",
              "--cache", tmp_path / "cache.db")  # fmt: skip
    code, out, err = verify(capsys, *common)
    found = json.loads(out)
    assert code == 0, err
    assert found["reasons"]["bound"]["not_measured"] == {"no_bound": 1, "no_inputs": 1}
    assert found["bounds"] == {"judged": 0, "asked": 1}
    for n_calls in (1, 1):
        code, out, err = verify(capsys, *common, "--tester", "scripted:x")
        found = json.loads(out)
        assert code == 0, err
        assert found["verdicts"]["bound"] == {"ruled_out": 1, "not_measured": 1}
        assert found["bounds"] == {"judged": 1, "asked": 1}
        with RunStore.read(tmp_path / "v") as store:
            assert store.db.number("SELECT COUNT(*) FROM calls") == n_calls
    code, out, err = verify(capsys, *common[:3], "--checks", "bound", "--tester", "scripted:x")
    assert "1 of 1 rows that ask for a bound have a verdict on it" in out, err


def test_a_server_that_is_not_there_leaves_no_folder(capsys, tmp_path):
    """Models are opened before anything is written."""
    data = write_jsonl(tmp_path / "data.jsonl", [{"instruction": "Add.", "output": GOOD}])
    out = tmp_path / "out"
    asked = ("--checks", "tests", "--model", "http://127.0.0.1:9/v1#m", "--out", out)
    code, _, said = verify(capsys, data, *asked)
    assert code == 2, said
    assert "start the server or correct the URL" in said
    assert not out.exists()
