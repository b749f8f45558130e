"""What a server sends as an answer, as a user of `evolcoder run`, `verify` and `eval` meets it."""

import json
import sqlite3
from contextlib import closing

import pytest

from evolcoder.cli.main import main
from jsonl import write_jsonl
from loopback import Loopback, completion, in_thread

PROGRAM = "```python\ndef f(x):\n    return x\n```"
THINKS = {
    "tags": f"<think>\nOkay, maybe so.\n</think>\n\n{PROGRAM}",
    "brackets": f"[THINK]Okay, maybe so.[/THINK]{PROGRAM}",
    "channels": f"analysisOkay, maybe so.assistantfinal{PROGRAM}",
    "harmony": "<|channel|>analysis<|message|>Okay, maybe so.<|end|><|start|>assistant"
    f"<|channel|>final<|message|>{PROGRAM}<|return|>",
    "Kimi": f"◁think▷Okay, maybe so.◁/think▷{PROGRAM}",
    "closing tag alone": f"Okay, maybe so.</THINK>\n{PROGRAM}",
}


def run(capsys, tmp_path, reply):
    """Answer two seeds with what `reply` makes of a request; return rows, drops and the output."""
    seeds = tmp_path / "seeds.jsonl"
    tasks = ["Explain how bubble sort works.", "Explain what a heap is."]
    write_jsonl(seeds, ({"instruction": task} for task in tasks))
    with in_thread(Loopback(models=("m",), reply=reply)) as server:
        code = main(
            ["run", "--seeds", str(seeds), "--model", f"{server.base_url}#m", "--rounds", "0",
             "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache.db")]
        )  # fmt: skip
        n_calls = server.n_calls
    rows = json.loads((tmp_path / "out/export/alpaca/data.json").read_text())
    with closing(sqlite3.connect(tmp_path / "out/run.db")) as db:
        drops = db.execute("SELECT reason, detail FROM drops").fetchall()
        thoughts = [found for (found,) in db.execute("SELECT reasoning FROM responses")]
    return code, rows, drops, thoughts, n_calls, capsys.readouterr().out


def says(text, word="stop", **message):
    def reply(body, _):
        made = completion(body, text, **message)
        made["choices"][0]["finish_reason"] = word
        return made

    return reply


@pytest.mark.parametrize(
    "word", ["abort", "error", "content_filter", "insufficient_system_resource", "SAFETY"]
)
def test_half_an_answer_is_not_exported(capsys, tmp_path, word):
    """It is asked for again, and then dropped with the server's word."""
    _, rows, drops, _, n_calls, out = run(capsys, tmp_path, says("Use two loops. First", word))
    assert (rows, n_calls) == ([], 6)
    assert [reason for reason, _ in drops] == ["incomplete"] * 2
    assert all(word in detail for _, detail in drops)
    assert "incomplete 2" in out


@pytest.mark.parametrize("notation", THINKS)
def test_thinking_is_kept_apart_from_the_program(capsys, tmp_path, notation):
    """In every notation that a server leaves in the text."""
    _, rows, _, thoughts, _, _ = run(capsys, tmp_path, says(THINKS[notation]))
    assert [row["output"] for row in rows] == [PROGRAM] * 2
    assert thoughts == ["Okay, maybe so."] * 2


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_an_answer_of_thinking_alone_says_so(capsys, tmp_path, field):
    """With its length."""
    reply = says("", **{field: "The user wants a function"})
    _, rows, drops, _, _, out = run(capsys, tmp_path, reply)
    detail = "only thought came: 25 characters, and no answer"
    assert (rows, drops) == ([], [("only_thought", detail)] * 2)
    assert "only_thought 2" in out


@pytest.mark.parametrize("notation", ["<think>{}</think>\n\n", "{}</think>\n", "[THINK]{}[/THINK]"])
def test_thinking_in_a_file_is_not_run_and_not_exported(capsys, tmp_path, notation):
    """A program within it, which fails, does not fail the row."""
    thought = notation.format("\n```python\nraise SystemExit(1)\n```\n")
    answer = "```python\ndef mul(a, b):\n    return a * b\n```"
    data = tmp_path / "data.jsonl"
    row = {"instruction": "Write a Python function mul(a, b).", "output": thought + answer}
    data.write_text(json.dumps(row) + "\n")
    out = tmp_path / "out"
    assert main(["verify", str(data), "--out", str(out)]) == 0
    capsys.readouterr()
    (found,) = json.loads((out / "export/alpaca/data.json").read_text())
    assert (found["output"], found["runs"]) == (answer, "passed")
    assert "SystemExit" not in "".join(p.read_text() for p in (out / "export").rglob("*.json*"))


def test_a_row_of_thinking_alone_is_dropped_as_such(capsys, tmp_path):
    """By name and length, wherever it stands in the file; the user is told of thinking."""
    answer = "```python\nx = 1\n```"
    outputs = [
        "<think>Let me see.",
        f"[THINK]a[/THINK]{answer}",
        "",
        answer,
        "<think>Well.</think>",
    ]
    data = tmp_path / "data.jsonl"
    rows = [{"instruction": f"Task {n}", "output": text} for n, text in enumerate(outputs)]
    write_jsonl(data, rows)
    out = tmp_path / "out"
    assert main(["verify", str(data), "--out", str(out)]) == 0
    assert "3 responses hold thinking" in capsys.readouterr().err
    with closing(sqlite3.connect(out / "run.db")) as db:
        drops = db.execute("SELECT ordinal, reason, detail FROM drops ORDER BY ordinal").fetchall()
    assert drops == [
        (0, "only_thought", "the row has only thought: 11 characters, and no response"),
        (2, "empty", "the row has no response"),
        (4, "only_thought", "the row has only thought: 5 characters, and no response"),
    ]
