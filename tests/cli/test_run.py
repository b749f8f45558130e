"""`evolcoder run` as a user meets it: what it does, and what it says when it cannot."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import toys
from commands import run_command
from evolcoder.cli.main import main
from evolcoder.config.schema import SandboxLevel
from evolcoder.sandbox.pool import LEVELS
from evolcoder.storage.run_store import RunStore
from jsonl import read_jsonl
from loopback import Loopback, in_thread

SECRET = "sk-very-secret-0123456789"


@pytest.fixture(scope="module")
def server():
    with in_thread(Loopback(answer=toys.answer)) as running:
        yield running


def run(capsys, *arguments):
    return run_command(capsys, "run", "--style", "append", *arguments)


@pytest.fixture
def seeds(tmp_path):
    return toys.seeds_file(tmp_path / "seeds.jsonl", 30)


def test_a_run_ends_with_counts_pairs_and_paths(capsys, tmp_path, server, seeds):
    """The newcomer sees what came of it and where it is."""
    out_dir = tmp_path / "out"
    code, out, _ = run(
        capsys, "--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", out_dir
    )
    assert code == 0
    assert "why dropped" in out
    assert out.count("-- before ") == 3
    for path in [line.split()[1] for line in out.splitlines() if line.startswith("export ")]:
        assert Path(path).stat().st_size > 0
    rows = json.loads((out_dir / "export" / "alpaca" / "data.json").read_text())
    assert {row["round"] for row in rows} == {0, 1}


def test_a_second_run_of_the_same_command_asks_nothing(capsys, tmp_path, server, seeds):
    """What is done is done: the same command ends at once with the same rows."""
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out"]
    run(capsys, *arguments)
    before = len(server.calls)
    first = (tmp_path / "out/export/alpaca/data.json").read_bytes()
    assert run(capsys, *arguments)[0] == 0
    assert len(server.calls) == before
    assert (tmp_path / "out/export/alpaca/data.json").read_bytes() == first


def test_a_new_run_asks_only_for_what_is_new(capsys, tmp_path, server, seeds):
    """With other elimination rules, answers that were paid for come from the cache."""
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy"]
    run(capsys, *arguments, "--out", tmp_path / "a")
    before = len(server.calls)
    code, _, _ = run(
        capsys, *arguments, "--out", tmp_path / "b", "--set", "eliminate.max_words=300"
    )
    assert code == 0
    assert len(server.calls) == before


def test_the_same_seed_gives_the_same_bytes_at_any_concurrency(capsys, tmp_path, server, seeds):
    """Export bytes do not depend on what came back first."""
    exports = []
    for places in (1, 256):
        out = tmp_path / str(places)
        code, _, _ = run(
            capsys, "--seeds", seeds, "--model", f"{server.base_url}#toy", "--rounds", 2,
            "--out", out, "--cache", tmp_path / f"{places}.db",
            "--set", f"traffic.concurrency={places}",
            "--set", "export.formats=[alpaca,messages,sharegpt,trl,parquet]",
        )  # fmt: skip
        assert code == 0
        files = sorted(path for path in (out / "export").rglob("data.*"))
        exports.append({path.parent.name: path.read_bytes() for path in files})
    assert len(exports[0]) == 5
    assert exports[0] == exports[1]


def test_a_token_budget_stops_with_3_and_a_higher_one_goes_on(capsys, tmp_path, server, seeds):
    """Exit 3 is resumable: the same command with a higher limit ends with all rows."""
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out",
                 "--set", "responder.max_tokens=200", "--set", "evolver.max_tokens=200"]  # fmt: skip
    code, _, err = run(capsys, *arguments, "--max-tokens", 5000)
    assert code == 3
    assert "budget.max_tokens=5000" in err.splitlines()[-1]
    paid = json.loads(_json(capsys, "inspect", tmp_path / "out", "--json"))["paid"]["toy"]
    assert 3000 < paid["prompt_tokens"] + paid["completion_tokens"] <= 5000
    code, _, _ = run(capsys, *arguments, "--max-tokens", 1_000_000)
    assert code == 0
    lines = json.loads(_json(capsys, "inspect", tmp_path / "out", "--json"))["funnel"]
    assert all(line["waiting"] == 0 for line in lines)


def test_dollars_need_a_price(capsys, tmp_path, server, seeds):
    """A limit in dollars for a model without a price is refused, with the key to add."""
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out"]
    code, _, err = run(capsys, *arguments, "--max-usd", 1)
    assert code == 2
    assert "add prices.toy" in err
    prices = ["--set", "prices.toy={input: 100, output: 1000}"]
    code, _, err = run(
        capsys, *arguments, *prices, "--max-usd", 0.5, "--set", "responder.max_tokens=100",
        "--set", "evolver.max_tokens=100",
    )  # fmt: skip
    assert code == 3
    assert "budget.max_usd=0.5" in err


def test_a_target_is_exported_exactly(capsys, tmp_path, server, seeds):
    """--target 25 exports 25 evolved rows, and the seeds on top."""
    code, _, _ = run(
        capsys, "--seeds", seeds, "--model", f"{server.base_url}#toy", "--target", 25,
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    rows = json.loads((tmp_path / "out/export/alpaca/data.json").read_text())
    assert sum(row["round"] > 0 for row in rows) == 25
    assert sum(row["round"] == 0 for row in rows) == 30


def test_a_target_that_cleaning_cut_into_says_so_in_a_line(capsys, tmp_path, server, seeds):
    """What was promised and is not exported is named with both numbers, as text and as JSON."""
    arguments = [
        "--seeds", seeds, "--model", f"{server.base_url}#toy", "--target", 25,
        "--out", tmp_path / "out",
    ]  # fmt: skip
    _, whole, _ = run(capsys, *arguments)
    _, cut, _ = run(capsys, *arguments, "--set", "clean.near=0.05")
    rows = json.loads((tmp_path / "out/export/alpaca/data.json").read_text())
    n_left = sum(row["round"] > 0 for row in rows)
    with RunStore.read(tmp_path / "out") as store:
        n_kept = store.db.number("SELECT COUNT(*) FROM kept WHERE round > 0")
    assert n_left < 25 <= n_kept
    (line,) = [line for line in cut.splitlines() if "budget.target=25" in line]
    assert f"dropped {n_kept - n_left} of them: {n_left} are left" in line
    assert "budget.target" not in whole
    _, out, _ = run(capsys, *arguments, "--set", "clean.near=0.05", "--json")
    assert json.loads(out)["shortfall"] == line


def test_a_dry_run_asks_nothing_and_prices_the_run(capsys, tmp_path, server, seeds):
    """Calls, tokens, price and hours are printed before anything is paid for."""
    before = len(server.calls)
    code, out, _ = run(
        capsys, "--seeds", seeds, "--model", "openai:gpt-4o-mini", "--rounds", 3, "--dry-run",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    evolver, responder = json.loads(out)["parts"]
    assert code == 0
    assert len(server.calls) == before
    assert not (tmp_path / "out").exists()
    assert evolver["calls"] >= 90 > responder["calls"] > 30
    assert 0 < evolver["usd"] < 1
    code, _, err = run(capsys, "--seeds", seeds, "--model", "openai:gpt-4o-mini", "--dry-run")
    assert code == 0
    assert err.count(" rows read as ") == 1


def test_the_key_shows_nowhere(capsys, tmp_path, seeds, monkeypatch):
    """A key reaches the server and no output, database, config or export; neither does a wrong one."""
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with in_thread(Loopback(answer=toys.answer, key=SECRET)) as strict:
        monkeypatch.setenv("OPENAI_BASE_URL", strict.base_url)
        arguments = ["--seeds", seeds, "--model", f"{strict.base_url}#toy", "--limit", 3]
        code, out, err = run(
            capsys, *arguments, "--out", tmp_path / "out", "--cache", tmp_path / "c.db"
        )
        assert code == 0
        assert strict.calls[0].headers["authorization"] == f"Bearer {SECRET}"
        wrong = "sk-wrong-9876543210"
        monkeypatch.setenv("OPENAI_API_KEY", wrong)
        code, out2, err2 = run(capsys, *arguments, "--out", tmp_path / "out2")
    assert code == 2
    assert "OPENAI_API_KEY" in err2
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (SECRET, wrong):
        assert secret not in out + err + out2 + err2
        assert secret.encode() not in written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "absent.jsonl"], "absent.jsonl"),
        (["--model", "qwen2.5-coder-0.5"], "did you mean qwen2.5-coder-0.5b?"),
        (["--model", "http://127.0.0.1:9/v1"], "names a server but no model"),
        (["--model", "scripted:absent.json"], "scripted:absent.json: cannot be read"),
        (["--model", "absent.gguf"], "absent.gguf: cannot be read"),
        (["--model", "vllm:Qwen/X"], "write its URL as http://HOST/v1#NAME"),
        (["--set", "evolve.candidats=1"], "did you mean evolve.candidates?"),
        (["--set", "evolve.heuristics.mine={template: harder}"], "{task}"),
        (["--set", "evolve.only_these=true"], "evolve"),
        (["--rounds", "-1"], "budget.rounds"),
        (["absent.yaml"], "absent.yaml: cannot be read"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch, arguments, said):
    """Exit 2, one line that says what to do, no run folder."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_wrong_model_name_lists_what_there_is(capsys, tmp_path, server, seeds):
    """The server is asked, and knows its models; the message does too."""
    code, _, err = run(
        capsys, "--seeds", seeds, "--model", f"{server.base_url}#toi", "--out", tmp_path / "o"
    )
    assert code == 1
    assert "did you mean 'toy'?" in err
    assert not (tmp_path / "o").exists()


def test_seeds_that_break_late_leave_no_run(capsys, tmp_path, server, seeds):
    """A fault in the last row is found before anything is paid for."""
    before = len(server.calls)
    with seeds.open("a") as file:
        file.write("{broken\n")
    code, _, err = run(
        capsys, "--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "o"
    )
    assert code == 2
    assert "31" in err
    assert len(server.calls) == before
    assert not (tmp_path / "o").exists()


def test_a_changed_config_names_its_keys(capsys, tmp_path, server, seeds):
    """Resuming with other values stops and says which."""
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out"]
    run(capsys, *arguments)
    code, _, err = run(capsys, *arguments, "--set", "evolver.temperature=0.3")
    assert code == 2
    assert "different values of evolver.temperature" in err


def test_a_run_begins_without_what_only_some_runs_need():
    """Numpy, the sandbox and the benchmarks are loaded by who cleans, verifies or looks for leaks."""
    code = (
        "import sys, evolcoder.cli.run\n"
        "late = {'numpy', 'evolcoder.sandbox.pool', 'evolcoder.bench.registry', 'evolcoder.dedup'}\n"
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_levels_that_the_door_takes_are_those_of_the_sandbox():
    """The config names them apart, so that a run need not load the sandbox."""
    assert tuple(LEVELS) == get_args(SandboxLevel)


def test_help_answers_without_heavy_imports():
    """`--help` loads none of the packages that make a start slow."""
    code = (
        "import sys; from evolcoder.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'aiohttp', 'pydantic', 'rich', 'pyarrow', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "run" in done.stdout


def test_inspect_shows_a_whole_lineage(capsys, tmp_path, server, seeds):
    """From the id of any record one sees its seed, every evolution, answers and drops."""
    run(
        capsys,
        "--seeds",
        seeds,
        "--model",
        f"{server.base_url}#toy",
        "--rounds",
        2,
        "--out",
        tmp_path / "out",
    )
    rows = json.loads((tmp_path / "out/export/alpaca/data.json").read_text())
    last = next(row for row in rows if row["round"] == 2)
    steps = json.loads(_json(capsys, "inspect", tmp_path / "out", last["id"][:12], "--json"))
    assert steps[0]["task"]["id"] == last["root"]
    assert last["id"] in [step["task"]["id"] for step in steps]
    assert steps[0]["response"]["text"]
    assert main(["inspect", str(tmp_path / "out"), "zzzz"]) == 2
    assert main(["inspect", str(tmp_path / "nowhere")]) == 2


def test_export_writes_elsewhere_without_seeds(capsys, tmp_path, server, seeds):
    """`evolcoder export` writes the formats asked for, and leaves the seeds out when told to."""
    run(capsys, "--seeds", seeds, "--model", f"{server.base_url}#toy", "--out", tmp_path / "out")
    out = tmp_path / "elsewhere"
    _json(capsys, "export", tmp_path / "out", "--format", "trl", "--no-seeds", "--out", out)
    rows = read_jsonl(out / "trl/data.jsonl")
    assert {row["round"] for row in rows} == {1}


def _json(capsys, *arguments):
    assert main([*map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_a_closed_pipe_is_no_crash(tmp_path, server, seeds):
    """`evolcoder inspect RUN | head` ends quietly."""
    main(
        [
            "run",
            "--seeds",
            str(seeds),
            "--model",
            f"{server.base_url}#toy",
            "--out",
            str(tmp_path / "o"),
        ]
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "evolcoder.cli.main", "inspect", str(tmp_path / "o"), "--drops"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert b"Traceback" not in errors
