"""`--batch` as a user meets it: whole runs, kills at every instant, prices, interrupts."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from aiohttp import web

import toys
from batch_server import BatchServer
from commands import run_command
from evolcoder.cli.main import main
from evolcoder.storage.run_store import RunStore
from jsonl import write_jsonl
from loopback import Loopback, in_thread

FAST = ("--batch", "--set", "traffic.batch_quiet_s=0.1", "--set", "traffic.batch_poll_s=0.02",
        "--set", "verify.when=never")  # fmt: skip
KEY = "sk-ant-very-secret-0123456789"
FLAVOURS = ("openai", "anthropic")
EVERY = (*FLAVOURS, "mistral", "together")
INSTANTS = ("upload", "create", "created", "poll", "download")


@pytest.fixture
def seeds(tmp_path):
    return toys.seeds_file(tmp_path / "seeds.jsonl", 30)


@pytest.fixture(params=FLAVOURS)
def flavour(request):
    return request.param


@pytest.fixture
def server(monkeypatch):
    with in_thread(BatchServer(answer=toys.answer)) as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.base_url.removesuffix("/v1"))
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        yield running


def spec(server, flavour):
    server.dialect = "openai" if flavour == "anthropic" else flavour
    return "anthropic:toy" if flavour == "anthropic" else f"{server.base_url}#toy"


def run(capsys, *arguments):
    return run_command(capsys, "run", "--style", "append", *arguments)


def rows_of(folder):
    with RunStore.read(folder) as store:
        return [(row.task.instruction, row.response.text) for row in store.rows()]


def test_a_run_in_batches_has_the_rows_of_an_immediate_one(
    capsys, monkeypatch, tmp_path, server, seeds, flavour
):
    """Each wave of a round is one batch; the report books it as such."""
    server.key = KEY
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    if flavour == "anthropic":
        monkeypatch.delenv("OPENAI_BASE_URL")
    common = ["--seeds", seeds, "--rounds", 2, "--json"]
    code, out, _ = run(
        capsys, *common, *FAST, "--model", spec(server, flavour), "--out", tmp_path / "a",
        "--cache", tmp_path / "a.db",
    )  # fmt: skip
    assert code == 0
    paid = json.loads(out)["paid"]
    assert [*paid] == ["toy (batch)"]
    assert paid["toy (batch)"]["requests"] == sum(server.answered.values())
    assert server.sizes[0] == 30
    assert len(server.sizes) <= 2 * 4 + 1
    if flavour == "openai":  # requests that differ in their seeds are equal at Anthropic
        assert set(server.answered.values()) == {1}
    with in_thread(Loopback(answer=toys.answer)) as immediate:
        run(
            capsys, *common, "--set", "verify.when=never", "--model", f"{immediate.base_url}#toy",
            "--out", tmp_path / "b", "--cache", tmp_path / "b.db",
        )  # fmt: skip
    assert rows_of(tmp_path / "a") == rows_of(tmp_path / "b")


def start(server, flavour, seeds, folder, rounds=2):
    command = ["run", "--style", "append", "--seeds", seeds, "--model", spec(server, flavour), "--rounds", rounds,
               "--out", folder, "--cache", folder.with_suffix(".cache"), *FAST]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "evolcoder.cli.main", *map(str, command)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip


def finish(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    return errors.decode()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("flavour", "n_cycles"),
    [*((name, 1) for name in EVERY), *((name, 3) for name in FLAVOURS)],
    indirect=["flavour"],
)
def test_sigkill_at_every_instant_asks_nothing_twice(tmp_path, server, seeds, flavour, n_cycles):
    """Killed at every instant in turn, and always started again: equal rows, booked once."""
    finish(start(server, flavour, seeds, tmp_path / "whole"))
    whole = server.answered.copy()
    server.answered.clear()
    due = [i for _ in range(n_cycles) for i in INSTANTS if i != "upload" or flavour != "anthropic"]
    n_kills = 0
    process = None

    def at(instant):
        if due and instant == due[0]:
            due.pop(0)
            os.kill(process.pid, signal.SIGKILL)
            if instant == "create":
                raise web.HTTPServiceUnavailable  # it died before the request had left

    server.at = at
    while True:
        process = start(server, flavour, seeds, tmp_path / "cut")
        process.communicate(timeout=120)
        if process.returncode != -signal.SIGKILL:
            break
        n_kills += 1
    assert process.returncode == 0
    assert n_kills == n_cycles * (4 if flavour == "anthropic" else 5)
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")
    assert server.answered == whole
    with RunStore.read(tmp_path / "cut") as store:
        ((n_booked, *_),) = store.calls_by_model().values()
    assert n_booked == whole.total(), "what was paid for is booked once"


@pytest.mark.e2e
def test_sigkill_at_random_instants_asks_nothing_twice(tmp_path, server, seeds, flavour):
    """Also between storing, booking and caching a result."""
    finish(start(server, flavour, seeds, tmp_path / "whole"))
    whole = server.answered.copy()
    server.answered.clear()
    rng = random.Random(11)
    n_killed = 0
    for _ in range(12):
        process = start(server, flavour, seeds, tmp_path / "cut")
        n_requests = server.n_requests.total()
        while server.n_requests.total() == n_requests and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 0.4))
        process.kill()
        process.communicate()
        n_killed += process.returncode == -signal.SIGKILL
    finish(start(server, flavour, seeds, tmp_path / "cut"))
    assert n_killed >= 4
    assert rows_of(tmp_path / "cut") == rows_of(tmp_path / "whole")
    assert server.answered == whole
    with RunStore.read(tmp_path / "cut") as store:
        ((n_booked, *_),) = store.calls_by_model().values()
    assert whole.total() <= n_booked <= whole.total() + 30 * n_killed


def test_ctrl_c_says_that_the_batch_goes_on_and_the_same_command_picks_it_up(
    tmp_path, server, seeds, flavour
):
    """130 as in every interrupt, with the batch named."""
    server.polls = 1_000_000
    process = start(server, flavour, seeds, tmp_path / "run")
    while not any(job.n_polls for job in server.jobs.values()):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    lines = errors.decode().splitlines()
    assert process.returncode == 130, errors.decode()
    assert "the same command picks them up" in lines[-2]
    assert next(iter(server.jobs)) in lines[-2]
    assert lines[-1].startswith("evolcoder: interrupted; run the same command again")
    assert "batch" in errors.decode()
    server.polls = 2
    n_before = len(server.jobs)
    finish(start(server, flavour, seeds, tmp_path / "run"))
    assert n_before == 1
    with RunStore.read(tmp_path / "run") as store:
        ((n_booked, *_),) = store.calls_by_model().values()
    assert n_booked == server.answered.total() == sum(server.sizes)


def test_a_time_limit_does_not_wait_for_the_batch(capsys, tmp_path, server, seeds):
    """Exit 3 at the limit; the batch goes on, and the same command picks it up."""
    server.polls = 1_000_000
    arguments = ["--seeds", seeds, "--model", f"{server.base_url}#toy", *FAST, "--out",
                 tmp_path / "out"]  # fmt: skip
    code, _, err = run(capsys, *arguments, "--max-hours", 1 / 3600)
    assert code == 3
    assert "stopped after budget.max_hours" in err.splitlines()[-1]
    assert "30 requests go on at" in err
    server.polls = 1
    assert run(capsys, *arguments)[0] == 0
    assert set(server.answered.values()) == {1}


def test_a_command_without_the_flag_says_that_a_batch_is_out(capsys, tmp_path, seeds, monkeypatch):
    """Its requests would be paid for twice."""
    both = BatchServer(answer=toys.answer, polls=1_000_000)
    with in_thread(both), in_thread(Loopback(answer=toys.answer)) as immediate:
        arguments = ["--seeds", seeds, "--model", "openai:toy", "--out", tmp_path / "out",
                     "--set", "verify.when=never"]  # fmt: skip
        monkeypatch.setenv("OPENAI_BASE_URL", both.base_url)
        run(capsys, *arguments, *FAST, "--max-hours", 1 / 3600)
        with closing(sqlite3.connect(tmp_path / "cache/completions.batches.db")) as ledger, ledger:
            ledger.execute("UPDATE batches SET server=?", (immediate.base_url,))
        monkeypatch.setenv("OPENAI_BASE_URL", immediate.base_url)
        code, _, err = run(capsys, *arguments)
    assert code == 0
    assert "30 requests to toy are in batches that are out; with --batch" in err


def test_a_budget_in_dollars_counts_half(capsys, tmp_path, server, seeds):
    """The same limit lasts for twice the tokens, and a factor in the config is honoured."""
    spent = {}
    for factor in (0.5, 1.0):
        out = tmp_path / str(factor)
        price = f"prices.toy={{input: 100, output: 1000, batch: {factor}}}"
        code, _, err = run(
            capsys, "--seeds", seeds, "--model", f"{server.base_url}#toy", *FAST, "--out", out,
            "--cache", tmp_path / f"{factor}.db", "--set", price, "--max-usd", 0.6,
            "--set", "responder.max_tokens=100", "--set", "evolver.max_tokens=100",
        )  # fmt: skip
        assert code == 3, err
        with RunStore.read(out) as store:
            ((_, sent, received),) = store.calls_by_model().values()
        spent[factor] = 100 * sent + 1000 * received
        assert factor * spent[factor] <= 0.6e6
    assert 1.5 < spent[0.5] / spent[1.0] < 2.5


def test_earlier_immediate_requests_keep_their_price(capsys, monkeypatch, tmp_path, server, seeds):
    """A run that continues with --batch has spent what it had spent."""
    price = ["--set", "prices.toy={input: 0, output: 1000}"]
    arguments = ["--seeds", seeds, *price, "--out", tmp_path / "out", "--set", "verify.when=never",
                 "--model", "openai:toy"]  # fmt: skip
    with in_thread(Loopback(answer=toys.answer)) as immediate:
        monkeypatch.setenv("OPENAI_BASE_URL", immediate.base_url)
        run(capsys, *arguments, "--rounds", 1)
    with RunStore.read(tmp_path / "out") as store:
        before = store.calls_by_model()
    assert [*before] == ["toy"]
    usd = before["toy"][2] / 1000
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    code, _, err = run(capsys, *arguments, *FAST, "--rounds", 2, "--max-usd", usd + 0.001)
    assert code == 3
    assert f"${usd:.4f} spent" in err


def test_a_model_of_this_process_has_no_batches(capsys, tmp_path, seeds):
    """The flag is refused, not ignored."""
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"rules": [{"match": ".", "answer": "x"}]}))
    code, _, err = run(
        capsys, "--seeds", seeds, *FAST, "--model", f"scripted:{script}", "--out", tmp_path / "out"
    )
    assert code == 2
    assert "no model of this run is on a server; leave out --batch" in err
    assert not (tmp_path / "out").exists()


def test_a_server_without_batches_is_one_line(capsys, tmp_path, seeds):
    """Before anything is written."""
    with in_thread(Loopback(answer=toys.answer)) as immediate:
        code, _, err = run(
            capsys, "--seeds", seeds, *FAST, "--out", tmp_path / "out", "--model",
            f"{immediate.base_url}#toy",
        )  # fmt: skip
    assert code == 2
    assert "has no batch endpoint there (HTTP 404); leave out --batch" in err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_down_is_reported_soon(capsys, tmp_path, server, seeds):
    """As without --batch: a wrong URL is not retried for minutes."""
    with in_thread(Loopback()) as gone:
        url = gone.base_url
    begun = time.monotonic()
    code, _, err = run(capsys, "--seeds", seeds, *FAST, "--model", f"{url}#toy")
    assert code == 2
    assert "cannot be reached" in err
    assert time.monotonic() - begun < 20


def test_a_dry_run_shows_both_prices(capsys, tmp_path, seeds):
    """Half of the price in batches, or the factor of the config."""
    arguments = ["--seeds", seeds, "--model", "openai:gpt-4o-mini", "--rounds", 3, "--dry-run"]
    code, out, _ = run(capsys, *arguments, "--json")
    parts = json.loads(out)["parts"]
    assert code == 0
    assert all(part["batch_usd"] == pytest.approx(part["usd"] / 2) for part in parts)
    code, out, _ = run(capsys, *arguments)
    assert "batch price" in out.splitlines()[0]
    total = next(line for line in out.splitlines() if line.startswith("total")).split()
    assert total[-2].startswith("$")
    assert total[-3].startswith("$")
    price = "prices.gpt-4o-mini={input: 1, output: 1, batch: 0.25}"
    parts = json.loads(run(capsys, *arguments, "--json", "--set", price)[1])["parts"]
    assert all(part["batch_usd"] == pytest.approx(part["usd"] / 4) for part in parts)


def test_a_model_of_this_process_has_one_price(capsys, seeds):
    """What is on no server is free, in batches or not."""
    out = run(capsys, "--seeds", seeds, "--dry-run", "--json")[1]
    assert {(part["usd"], part["batch_usd"]) for part in json.loads(out)["parts"]} == {(0.0, 0.0)}


def test_the_key_shows_nowhere(capsys, tmp_path, server, seeds, flavour, monkeypatch):
    """Neither a right nor a wrong key is in an output, the run, the ledger or the cache."""
    server.key, server.answer = KEY, lambda prompt: f"```python\nx = '{KEY}'\n```"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    if flavour == "openai":
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    arguments = ["--seeds", seeds, "--limit", 3, "--model", spec(server, flavour), *FAST,
                 "--out", tmp_path / "out", "--cache", tmp_path / "c.db"]  # fmt: skip
    _, out, err = run(capsys, *arguments)
    server.key = "another"
    code, out2, err2 = run(capsys, *arguments, "--rounds", 2)
    assert code == 2
    assert "rejects the API key" in err2
    assert KEY not in out + err + out2 + err2
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert KEY.encode() not in path.read_bytes(), path


def test_an_evaluation_is_generated_in_one_batch(capsys, tmp_path, server, shared):
    """Every problem's prompt goes at once, whatever the number of workers."""
    server.answer = lambda prompt: "```python\npass\n```"
    code = main(
        [
            "eval", "--bench", "humaneval", "--data-dir", str(shared), "--no-grade", "--limit", "70",
            "--model", f"{server.base_url}#toy", "--out", str(tmp_path / "e"), "--json",
            "--workers", "1", *FAST[:-2],
        ]
    )  # fmt: skip
    assert code == 0
    assert json.loads(capsys.readouterr().out)["samples"] == {"humaneval": 70}
    assert server.sizes == [70]


def test_verification_asks_for_its_tests_in_batches(capsys, tmp_path, server):
    """The prompts of all rows are together, and the budget is booked as batches."""
    server.answer = lambda prompt: (
        "```python\ndef double(x):\n    return 2 * x\n```"
        if "assert" not in prompt
        else "```python\nassert double(1) == 2\nassert double(4) == 8\n```"
    )
    rows = [
        {
            "instruction": f"Write `double(x)` in Python that returns 2x. Note {n}.",
            "output": "```python\ndef double(x):\n    return 2 * x\n```",
        }
        for n in range(12)
    ]
    data = tmp_path / "data.jsonl"
    write_jsonl(data, rows)
    out = tmp_path / "v"
    code = main(
        [
            "verify", str(data), "--checks", "runs,tests", "--model", f"{server.base_url}#toy",
            "--out", str(out), "--workers", "2", "--sandbox", "processes", "--json", *FAST[:-2],
            "--set", "traffic.batch_quiet_s=2",
        ]
    )  # fmt: skip
    capsys.readouterr()
    assert code == 0
    assert sum(server.sizes) > 12
    assert len(server.sizes) <= 12
    with RunStore.read(out) as store:
        assert [*store.calls_by_model()] == ["toy (batch)"]
