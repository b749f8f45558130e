"""Whatever text of others a command shows, no terminal obeys it and nothing in it is hidden.

The kind: a character that a terminal obeys, that reorders text or that has no shape of its own, in
anything that a model, a server, a file or the command line brought. Each place that shows such text
is tried with all of them at once, in what is printed, in JSON, and in files that people look at.
"""

import json
import os
import subprocess
import sys

import pytest

from evolcoder.app import progress
from evolcoder.cli import output
from evolcoder.cli.main import main
from evolcoder.sandbox.requirements import PROBES
from evolcoder.storage.run_store import RunStore
from evolcoder.text import json_text
from groups import sampled
from jsonl import write_jsonl
from loopback import Loopback, in_thread, status

HIDDEN = [
    "\x00", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\r", "\x0e", "\x1b", "\x1c", "\x7f", "\x80", "\x85",
    "\x90", "\x9b", "\x9d", "\xad", "\u034f", "\u061c", "\u115f", "\u180e", "\u200b", "\u200d", "\u200e",
    "\u200f", "\u2028", "\u2029", "\u202a", "\u202d", "\u202e", "\u2060", "\u2066", "\u2067", "\u2069",
    "\ufeff", "\ufff9", "\ufffb", "\ufe0f", "\ue000", "\ud800", "\udcff", "\U000e0001", "\U000e0041",
    "\U000e0100", "\U000f0000",
]  # fmt: skip
POISON = "".join(f"{char}x" for char in HIDDEN) + "\x1b[31mred\x1b]0;title\x07[bold]y[/bold]"
CODE = f"```python\nraise ValueError({POISON!r})\n```"
SAID = POISON.replace("\ud800", "").replace("\udcff", "")
"""What a server can say without escapes of JSON."""
FILE_NAME = "".join(f"{char}x" for char in HIDDEN if char not in "\x00\ud800\r")
"""What a name of a file can hold: no NUL, and of the surrogates those that stand for odd bytes."""
SCRIPT = {
    "rules": [
        {"match": "Task: ", "answer": f"New task: Say {{seed}} of gzip ledgers, {POISON} quaternions, and timezones."},
        {"match": "", "answer": f"{POISON}\n{CODE}".replace("\\", "\\\\")},
    ]
}  # fmt: skip


@pytest.fixture
def call(capsys):
    def called(*arguments):
        code = main(
            [os.fspath(one) if isinstance(one, os.PathLike) else str(one) for one in arguments]
        )
        out, err = capsys.readouterr()
        return code, out, err

    return called


def check(*texts, shows=r"\x1b"):
    """Check that nothing hidden is in these texts, and that what was hidden is shown."""
    whole = "".join(texts)
    assert [ascii(char) for char in HIDDEN if char in whole] == []
    assert shows in whole


@pytest.fixture
def seeds(tmp_path):
    """Rows with everything in task, answer and names of fields, and rows that are dropped for it."""
    rows = [
        {"instruction": f"Write {n}, {POISON}.", "output": f"{POISON}\n```python\nx = 1\n```"}
        for n in range(2)
    ]
    rows += [
        {"instruction": "", POISON: POISON},
        rows[0],
        {"instruction": "Broken.", "output": f"```python\nx = {POISON!r}(\n```"},
    ]
    return write_jsonl(tmp_path / "seeds.jsonl", rows)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(SCRIPT))
    return f"scripted:{path}"


@pytest.fixture
def made(call, tmp_path, seeds, script):
    """A run with everything in it."""
    told = POISON.replace("\x00", "").replace("\ud800", "")
    heuristic = json.dumps({"weight": 5, "template": f"{told} {{task}}"})
    folder = tmp_path / "run"
    said = call(
        "run", "--seeds", seeds, "--model", script, "--out", folder,
        "--set", f"evolve.heuristics.secure={heuristic}",
    )  # fmt: skip
    assert said[0] == 0, said[2]
    return folder, said


def test_a_run_shows_its_answers_and_tasks_as_text(call, made):
    """Pairs, lineages, drops with what was seen: on the terminal and in JSON, and in the card."""
    folder, (_, out, err) = made
    check(out, err)
    with RunStore.read(folder) as store:
        ids = [row.task.id for row in store.rows()]
        assert any("\x1b" in row.task.instruction for row in store.rows()), (
            "the data stays as it is"
        )
    for arguments in ([], ["--drops"], ["--harder"], [ids[0]], [ids[-1]]):
        for form in ([], ["--json"]):
            code, out, err = call("inspect", folder, *arguments, *form)
            assert code == 0
            check(out, err, shows="")
            if form and arguments != ["--drops"]:
                json.loads(out)
                assert out.isascii()
    check(call("inspect", folder, ids[-1])[1])
    check(call("inspect", folder, "--drops")[1])


def test_a_card_and_its_neighbours_show_what_the_run_was_told(call, tmp_path, seeds, script):
    """Names of files, the command, the licence: in Markdown and YAML that people read."""
    name = tmp_path / f"{FILE_NAME}.jsonl"
    name.write_bytes(seeds.read_bytes())
    said = call("run", "--seeds", name, "--model", script, "--rounds", 0, "--out", tmp_path / "run")
    assert said[0] == 0, said[2]
    said += call("export", tmp_path / "run", "--license", "x\x1by", "--out", tmp_path / "out")
    check(said[2], said[4], said[5], shows="")
    cards = [path.read_text() for path in tmp_path.rglob("README.md")]
    assert len(cards) == 4
    for card in cards:
        check(card)


def test_what_verification_finds_is_shown_as_text(call, tmp_path, seeds, script):
    """What a program says when it fails is a verdict's detail."""
    folder = tmp_path / "run"
    rows = [
        {
            "instruction": "Say it in Python.",
            "output": f"```python\nraise ValueError({POISON!r})\n```",
        }
    ]
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    code, out, err = call("verify", data, "--out", folder, "--sandbox", "processes")
    assert code == 0, err
    check(out, err, shows="")
    with RunStore.read(folder) as store:
        [row] = list(store.rows())
        assert "\x1b" in json.dumps(row.verdicts[0].detail, ensure_ascii=False) or row.verdicts
    code, out, err = call("inspect", folder, row.task.id)
    check(out, err)


@pytest.mark.parametrize(
    "server",
    [
        {"listing": status(401, SAID)},
        {"listing": status(307, SAID, location="http://h/\x7f\x80")},
        {"models": (f"toy{SAID}", SAID)},
        {"models": (f"{SAID} of a kind",)},
        {"always": status(400, SAID)},
        {"always": status(404, f"no such model: {SAID}")},
        {"always": status(500, SAID)},
    ],
    ids=["401", "redirect", "a model of nearly the name", "models", "400", "404", "500"],
)  # fmt: skip
def test_what_a_server_says_is_shown_as_text(call, tmp_path, seeds, server):
    """Errors, names of models, places that it sends us to: on standard error and in what is kept."""
    with in_thread(Loopback(**server)) as running:
        code, out, err = call(
            "run", "--seeds", seeds, "--model", f"{running.base_url}#toy", "--out", tmp_path / "run",
            "--set", "traffic.max_tries=1", "--set", "traffic.max_retry_s=1",
        )  # fmt: skip
    assert code in {0, 1, 2}
    shown = call("inspect", tmp_path / "run", "--drops")[1] if code == 0 else ""
    check(out, err, shown, shows="" if "listing" in server else r"\x1b")


def test_what_a_script_says_is_shown_as_text(call, tmp_path, seeds):
    """An error of a model in this process too."""
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"rules": [{"match": "", "error": POISON, "retryable": True}]}))
    _, out, err = call(
        "run", "--seeds", seeds, "--model", f"scripted:{path}", "--out", tmp_path / "r"
    )
    check(out, err, call("inspect", tmp_path / "r", "--drops")[1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--seeds", FILE_NAME],
        ["run", FILE_NAME],
        ["run", "--model", POISON],
        ["run", "--model", f"http://127.0.0.1:9/{FILE_NAME}"],
        ["run", "--model", f"http://127.0.0.1:9/v1#{POISON}"],
        ["run", "--set", f"{POISON}=1"],
        ["run", "--set", f"seeds.{POISON}=1"],
        ["run", "--set", f"seeds.format={json.dumps(POISON)}"],
        ["run", "--set", POISON],
        ["run", "--set", f"servers.{POISON}.key_variable=A"],
        ["run", f"--{POISON}"],
        ["run", "--sandbox", POISON],
        ["verify", FILE_NAME, "--out", "x"],
        ["verify", "x", "--checks", POISON],
        ["clean", FILE_NAME],
        ["clean", "x.jsonl", "--against", POISON, "--data-dir", "."],
        ["clean", "x.jsonl", "--detectors", POISON, "--against", "humaneval"],
        ["clean", "x.jsonl", "--against", "humaneval", "--report", FILE_NAME],
        ["eval", "--bench", POISON, "--model", "scripted:x"],
        ["eval", "--bench", "humaneval", "--samples", "x", "--data-dir", FILE_NAME],
        ["eval", "--compare", FILE_NAME, "x"],
        ["inspect", FILE_NAME],
        ["export", FILE_NAME],
        ["export", "x", "--format", POISON],
        ["loop", FILE_NAME],
        ["train", FILE_NAME, "--base", "x", "--out", "y"],
        ["train", "x", "--base", "y", "--out", "z", "--preset", POISON],
        ["train", "x", "--base", "y", "--out", "z", "--set", f"{POISON}=1"],
        [POISON],
    ],
    ids=lambda arguments: ascii(" ".join(arguments))[:40],
)  # fmt: skip
def test_what_the_command_line_says_is_shown_as_text(
    call, capsys, tmp_path, monkeypatch, arguments
):
    """Names of files, models, keys and values in errors, and what argparse itself refuses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write_jsonl(tmp_path / "x.jsonl", [{"instruction": "a", "output": "b"}])
    try:
        code, out, err = call(*arguments)
    except SystemExit as ended:
        code, (out, err) = ended.code, capsys.readouterr()
    assert code in {1, 2}
    assert "Traceback" not in err
    check(out, err, shows="" if arguments[-1].startswith("http") else "\\")


@pytest.mark.parametrize("place", ["key", "value", "not YAML"])
def test_what_a_config_file_says_is_shown_as_text(call, tmp_path, place):
    """Its keys and its values, and what the parser of YAML makes of it."""
    texts = {
        "key": json.dumps({POISON: 1}), "value": json.dumps({"seeds": {"format": POISON}}),
        "not YAML": f"a: {POISON}: [".replace("\ud800", "").replace("\udcff", ""),
    }  # fmt: skip
    path = tmp_path / "c.yaml"
    path.write_text(texts[place], encoding="utf-8")
    code, out, err = call("run", path)
    assert code == 2
    check(out, err, shows="" if place == "not YAML" else "\\")


def test_an_evaluation_shows_ids_and_details_as_text(call, tmp_path, shared):
    """Unknown ids of samples, answers, and what programs say."""
    rows = [
        {"task_id": f"HumanEval/{POISON}", "solution": "x"},
        {"task_id": POISON, POISON: POISON},
    ]
    rows += [{"task_id": "HumanEval/0", "completion": f"    raise ValueError({POISON!r})\n"}]
    rows += [{"task_id": "HumanEval/1", "solution": POISON}]
    samples = write_jsonl(tmp_path / "s.jsonl", rows)
    common = [
        "eval",
        "--bench",
        "humaneval",
        "--samples",
        samples,
        "--data-dir",
        shared,
        "--limit",
        2,
    ]
    common += ["--sandbox", "processes", "--partial"]
    code, out, err = call(*common, "--out", tmp_path / "a")
    assert code == 0, err
    check(out, err)
    code, out, err = call(*common, "--out", tmp_path / "a", "--json")
    assert out.isascii()
    check(out, err, shows="")
    json.loads(out)
    check(*call("eval", "--compare", tmp_path / "a", tmp_path / "a")[1:], shows="")


def test_leaks_are_shown_as_text(call, tmp_path, shared):
    """In the table, in JSON and on the page, whose evidence is other people's rows."""
    problem = (
        json.loads(next((shared / "humaneval").glob("*.jsonl*")).read_bytes().splitlines()[0])
        if False
        else None
    )
    from evolcoder.bench.fetch import DataFolder
    from evolcoder.bench.registry import bench_named

    problem = bench_named("humaneval", DataFolder(shared, tmp_path)).problems()[0]
    text = problem.prompt.replace(" numbers", f" numbers{POISON}")
    row = {"id": POISON, "root": "r", "parent": "", "round": 0}
    rows = [row | {"instruction": text, "output": problem.reference + POISON}]
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    common = ["clean", data, "--against", "humaneval", "--data-dir", shared]
    common += ["--detectors", "ngrams,substring"]
    page = tmp_path / "leaks.html"
    code, out, err = call(*common, "--report", page)
    assert code == 0, err
    check(out, err, shows="")
    check(page.read_text())
    _, out, err = call(*common, "--json")
    check(out, err, shows="")
    assert "x1b" in out or "u001b" in out
    assert json.loads(out)["leakage"]["hits"]


def test_doctor_shows_a_models_answer_as_text(call, script, monkeypatch):
    """The one word that it is asked for may be any."""
    monkeypatch.setattr("evolcoder.cli.doctor.PROBES", {"python": PROBES["python"]})
    _, out, err = call("doctor", "--model", script, "--sandbox", "processes")
    check(out, err, shows="x1b")
    _, out, _ = call("doctor", "--model", script, "--sandbox", "processes", "--json")
    check(out, shows="u001b")
    json.loads(out)


def test_a_terminal_gets_our_own_signs_and_no_others(capsys):
    """Live lines and bars move the cursor of a terminal; the text in them is shown, not obeyed."""
    from rich.console import Console
    from rich.text import Text

    from evolcoder.app.progress import Download, _live

    with output.visible_streams():
        console = Console(file=progress.raw_stderr(), force_terminal=True)
        console.print(Text("ours", style="red"))
        progress.raw_stderr().isatty = lambda: True
        try:
            live = _live(lambda: f"{POISON}")
            live.console._force_terminal = True
            with live:
                pass
            download = Download()
            download("[red]Hub\x9b", 1, 2)
            download("[red]Hub\x9b", 2, 2)
        finally:
            del progress.raw_stderr().isatty
    err = capsys.readouterr().err
    assert "\x1b[31mours" in err
    assert "[bold]y[/bold]" in err
    assert "[red]Hub\\x9b" in err
    assert "\x1b[31mred" not in err
    assert not {"\x9b", "\x07", "\u202e", "\ud800"} & set(err)


@pytest.mark.parametrize("encoding", sampled(["ascii", "latin-1", "utf-8"], 3))
def test_a_terminal_of_any_encoding_is_written_to(tmp_path, encoding):
    """What it cannot hold is an escape as well, and no command ends for it."""
    seeds = write_jsonl(
        tmp_path / "s.jsonl", [{"instruction": "Zähle 漢字 😀 \u202e …", "output": "x"}] * 2
    )
    script = tmp_path / "x.json"
    script.write_text(json.dumps({"rules": [{"match": "", "answer": "x"}]}))
    program = [sys.executable, "-m", "evolcoder.cli.main"]
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"}
    made = [
        "run",
        "--seeds",
        seeds,
        "--model",
        f"scripted:{script}",
        "--rounds",
        "0",
        "--out",
        tmp_path / "r",
    ]
    subprocess.run([*program, *map(str, made)], env=env, check=True, capture_output=True)
    shown = subprocess.run(
        [*program, "inspect", str(tmp_path / "r"), "--drops"],
        env=env,
        check=True,
        capture_output=True,
    )
    assert b"\\u202e" in shown.stdout
    assert "\u202e" not in shown.stdout.decode(encoding)


def test_nothing_prints_json_but_through_the_one_function():
    """`json` leaves DEL as it is, and the stream would make an escape of it that JSON lacks."""
    from pathlib import Path

    folder = Path(output.__file__).parent
    wrong = [path.name for path in folder.glob("*.py") if "print(json" in path.read_text()]
    assert wrong == ["output.py"]
    assert json.loads(json_text({"a\x7f": "\x7f\x1b\ud800"})) == {"a\x7f": "\x7f\x1b\ud800"}
    assert json_text("\x7f\x9b\u202e").isprintable()
