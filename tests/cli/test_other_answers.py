"""What a user sees of servers that count thinking elsewhere, cut prompts, or swap the model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolcoder.cli.main import main
from evolcoder.storage.run_store import RunStore
from jsonl import write_jsonl
from loopback import Loopback, hang, in_thread

PROGRAM = "```python\ndef f(x):\n    return x\n```"
TASKS = ("Write a Python function f that returns its argument.", "Write a function g in Python.")
LONG = "Write a Python function that returns its argument unchanged, whatever it is. " * 40


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder to run in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVOLCODER_CACHE", str(tmp_path / "cache"))


def answering(usage, model="toy"):
    """A server whose answers have this usage and this model."""

    def reply(body, text):
        choice = {"message": {"content": PROGRAM}, "finish_reason": "stop"}
        return {"choices": [choice], "usage": usage, "model": model}

    return in_thread(Loopback(reply=reply))


def run(capsys, server, *options, tasks=TASKS, out="out"):
    write_jsonl(Path("seeds.jsonl"), ({"instruction": t} for t in tasks))
    code = main(
        ["run", "--seeds", "seeds.jsonl", "--model", f"{server.base_url}#toy", "--rounds", "0",
         "--out", out, "--set", "verify.when=never", *options]
    )  # fmt: skip
    shown, err = capsys.readouterr()
    return code, shown, err


def test_thinking_that_only_the_total_counts_is_paid_for(capsys):
    """5,050 tokens a row make ten cents of two rows; a budget that they pass is named, with exit 3."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 5150}
    limit = ("--set", "prices={toy: {input: 1, output: 10}}", "--max-usd", "0.05")
    with answering(usage) as server:
        code, shown, err = run(capsys, server, *limit)
        assert code == 3
        assert "200 tokens sent, 10,100 received" in shown
        assert "budget.max_usd=0.05: $0.1012 spent" in err
        assert run(capsys, server, *limit, "--max-usd", "1")[0] == 0
    assert server.n_calls == 2


def test_a_prompt_that_the_server_cut_is_one_warning(capsys):
    """Two long tasks, one line."""
    with answering({"prompt_tokens": 12, "completion_tokens": 50, "total_tokens": 62}) as server:
        code, _, err = run(capsys, server, tasks=(LONG, f"{LONG} Twice."))
    assert code == 0
    assert err.count("the server seems to cut prompts") == 1


def test_another_model_that_answers_is_one_warning_and_on_record(capsys):
    """The lineage, the summary and the card name it; a run from the cache says it again."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    with answering(usage, model="tiny-fallback") as server:
        for out in ("out", "again"):
            code, _, err = run(capsys, server, out=out)
            assert code == 0
            assert err.count("'tiny-fallback' answered in place of 'toy'") == 1
        assert server.n_calls == 2
    for out in ("out", "again"):
        with RunStore.read(Path(out)) as store:
            rows = list(store.rows())
            assert {row.response.made.answered for row in rows} == {"tiny-fallback"}
            assert store.answers_by_model() == [("toy", "tiny-fallback", 2)]
        card = (Path(out) / "export" / "alpaca" / "README.md").read_text()
        assert "| toy | tiny-fallback | 2 |" in card
        assert main(["inspect", out, rows[0].response.id]) == 0
        assert "(answered: tiny-fallback)" in capsys.readouterr().out
        assert main(["inspect", out, rows[0].response.id, "--json"]) == 0
        assert (
            json.loads(capsys.readouterr().out)[0]["response"]["made"]["answered"]
            == "tiny-fallback"
        )
        assert main(["inspect", out, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)["answered"]
        assert told == [{"asked": "toy", "model": "tiny-fallback", "records": 2}]


def test_a_snapshot_is_no_warning_and_on_record(capsys):
    """An alias stands for a dated model."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    with answering(usage, model="models/toy-2026-11-01") as server:
        code, _, err = run(capsys, server)
    assert (code, "warning" in err) == (0, False)
    with RunStore.read(Path("out")) as store:
        assert store.answers_by_model() == [("toy", "models/toy-2026-11-01", 2)]


def test_cached_and_reasoning_tokens_are_shown(capsys):
    """They have prices of their own."""
    usage = {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 30},
    }  # fmt: skip
    with answering(usage) as server:
        code, shown, _ = run(capsys, server)
    assert code == 0
    line = "toy: 2 requests, 200 tokens sent (128 cached), 100 received (60 reasoning)"
    assert line in shown
    assert main(["inspect", "out"]) == 0
    assert line in capsys.readouterr().out


def test_requests_without_an_answer_are_shown_apart(capsys):
    """A run whose server hangs once says what that may have cost, and so does inspect."""
    with answering({"prompt_tokens": 100, "completion_tokens": 50}) as server:
        server.mishaps.append(hang)
        code, shown, _ = run(capsys, server, "--set", "traffic.timeout_s=0.5")
    assert code == 0
    assert "toy: 2 requests, 200 tokens sent" in shown
    assert "toy: 1 requests sent and not answered, possibly billed: at most" in shown
    assert main(["inspect", "out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["possibly_billed"]["toy"]["requests"] == 1
    assert told["possibly_billed"]["toy"]["completion_tokens"] == 2048


def in_flight_at(number):
    """Send four of six requests and then a signal."""
    rows = [json.dumps({"instruction": f"Write a function f{n} in Python."}) for n in range(6)]
    Path("seeds.jsonl").write_text("\n".join(rows))
    with in_thread(Loopback(always=hang)) as server:
        command = [
            sys.executable, "-m", "evolcoder.cli.main", "run", "--seeds", "seeds.jsonl",
            "--model", f"{server.base_url}#toy", "--rounds", "0", "--out", "out",
            "--set", "verify.when=never", "--set", "traffic.concurrency=4",
        ]  # fmt: skip
        process = subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(server.calls) < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)  # a record is durable within 20 ms
        process.send_signal(number)
        assert process.wait(60) != 0


def test_requests_in_flight_at_an_interrupt_are_possibly_billed(capsys):
    """Ctrl-C books what was sent, and not what was still waiting for its turn."""
    in_flight_at(signal.SIGINT)
    assert main(["inspect", "out", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["paid"], told["possibly_billed"]["toy"]["requests"]) == ({}, 4)


def test_requests_in_flight_when_the_process_is_killed_are_possibly_billed(capsys):
    """The next session books them, at their most, and says so once."""
    in_flight_at(signal.SIGKILL)
    assert main(["inspect", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["possibly_billed"]["toy"]["requests"] == 4
    said = []
    with answering({"prompt_tokens": 100, "completion_tokens": 50}) as server:
        for _ in range(2):
            tasks = [f"Write a function f{n} in Python." for n in range(6)]
            code, shown, err = run(capsys, server, "--json", tasks=tasks)
            assert code == 0
            told = json.loads(shown)
            assert told["possibly_billed"]["toy"]["requests"] == 4
            assert told["possibly_billed"]["toy"]["completion_tokens"] == 4 * 2048
            said.append(
                "4 requests at most were in flight when an earlier session was killed" in err
            )
    assert said == [True, False]
    with RunStore.read(Path("out")) as store:
        assert store.meta("in_flight") is None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "prices: built-in table as of 2025-08"),
        (
            ["prices.toy={input: 1, output: 2}"],
            "`prices` in the config without a date, else built-in",
        ),
        (
            ["prices={update: 2026-11-01, toy: {input: 1, output: 2}}"],
            "prices: `prices` in the config as of 2026-11-01, else built-in table as of 2025-08",
        ),
    ],
)
def test_a_dry_run_shows_the_date_of_the_prices(capsys, options, line):
    """The date is that of the user's table, if there is one."""
    Path("seeds.jsonl").write_text(json.dumps({"instruction": TASKS[0]}))
    words = [word for option in options for word in ("--set", option)]
    assert (
        main(["run", "--seeds", "seeds.jsonl", "--model", "openai:toy", "--dry-run", *words]) == 0
    )
    assert line in capsys.readouterr().out


def test_a_summary_shows_time_and_dollars(capsys):
    """200 tokens sent and 100 received at 1 and 10 dollars per million; nothing where none is known."""
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    with answering(usage) as server:
        priced = run(capsys, server, "--set", "prices={toy: {input: 1, output: 10}}")[1]
        unpriced = run(capsys, server, "--cache", "other.db", out="again")[1]
    assert "200 tokens sent, 100 received, $0.0012\n" in priced
    assert "200 tokens sent, 100 received\n" in unpriced
    for shown in (priced, unpriced):
        assert [line for line in shown.splitlines() if line.startswith("time ")]


def test_a_verification_shows_what_it_cost(capsys):
    """Requests, tokens and dollars of its model, and the time; the JSON has them too."""
    Path("rows.jsonl").write_text(json.dumps({"instruction": TASKS[0], "output": PROGRAM}))
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    with answering(usage) as server:
        command = [
            "verify", "rows.jsonl", "--out", "verified", "--checks", "runs,tests",
            "--model", f"{server.base_url}#toy", "--set", "prices={toy: {input: 1, output: 10}}",
        ]  # fmt: skip
        main(command)
        shown = capsys.readouterr().out
        main([*command, "--json"])
        plain = json.loads(capsys.readouterr().out)
    n = plain["paid"]["toy"]["requests"]
    assert (
        f"toy: {n} requests, {100 * n} tokens sent, {50 * n} received, ${n * 0.0006:.4f}" in shown
    )
    assert [line for line in shown.splitlines() if line.startswith("time ")]
    assert plain["seconds"] >= 0


OTHER_SETTINGS = {
    "run": "run --seeds seeds.jsonl --rounds 0 --set verify.when=never --out {} --seed {}",
    "verify": "verify seeds.jsonl --checks runs,tests --out {} --seed {}",
    "eval": "eval --bench own.jsonl --limit 1 --out {} --seed {}",
}
OWN = {
    "task_id": "P/0", "prompt": "def f(x):\n", "entry_point": "f",
    "canonical_solution": "    return x\n", "test": "def check(f):\n    assert f(1) == 1\n",
}  # fmt: skip


@pytest.mark.parametrize("verb", OTHER_SETTINGS)
def test_a_folder_with_other_settings_is_refused_before_a_model_is_loaded(
    capsys, monkeypatch, verb
):
    """The line names the key, and neither the model nor the sandbox is started for it."""
    row = {"instruction": TASKS[0], "output": PROGRAM}
    Path("seeds.jsonl").write_text(json.dumps(row))
    Path("own.jsonl").write_text(json.dumps(OWN))
    rules = [{"match": ".", "answer": PROGRAM.replace("\n", "\\n")}]
    Path("script.json").write_text(json.dumps({"rules": rules}))
    words = OTHER_SETTINGS[verb].format("out", 1).split()
    assert main([*words, "--model", "scripted:script.json"]) in {0, 1}

    def load(*_):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("evolcoder.app.models._open", load)
    monkeypatch.setattr("evolcoder.sandbox.pool.PoolSandbox.start", load)
    capsys.readouterr()
    again = OTHER_SETTINGS[verb].format("out", 2).split()
    assert main([*again, "--model", "scripted:script.json"]) == 2
    err = capsys.readouterr().err
    assert "seed" in err.splitlines()[-1]
    assert "other values" in err or "different values" in err
