"""What a newcomer gets wrong, over all verbs: one line that names the value, and exit 2.

Each case names a file, a folder, an address or a name that cannot be used; `{value}` stands for it
in the command, and the line has to contain it.
"""

import json
import shlex
from pathlib import Path

import pytest

from evolcoder.cli.main import main

SCRIPTED = "scripted:script.json"
NO_SERVER = "http://127.0.0.1:9/v1#m"
NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": ""}
NO_CACHE = {"EVOLCODER_CACHE": "/proc/none"}
RUN = f"run --seeds two.jsonl --model {SCRIPTED} --cache c.db"
EVAL = f"eval --bench humaneval --model {SCRIPTED}"
TRAIN = "train two.jsonl --base toy --out o"
LOOP = "loop loop.yaml --out o"
CASES = {
    # --out
    "a file": [
        f"{RUN} --out {{value}}", "verify two.jsonl --out {value}", f"{EVAL} --out {{value}}",
        "train two.jsonl --base toy --out {value}", "loop loop.yaml --out {value}",
        "export run --out {value}", "clean two.jsonl --out {value}/x",
    ],
    "/proc/none": [
        f"{RUN} --out {{value}}", "verify two.jsonl --out {value}", "loop loop.yaml --out {value}",
        "export run --out {value}", "clean two.jsonl --out {value}",
    ],
    "folder": [
        "clean two.jsonl --out {value}", "clean two.jsonl --against humaneval --report {value}",
        "run {value}", "run --seeds {value}", "verify {value}", "clean {value}", "loop {value}",
        "train {value} --base toy --out o", f"{TRAIN} --notes {{value}}",
        "verify two.jsonl --config {value}", "clean two.jsonl --beside {value}",
        "inspect {value}", "export {value}", f"{RUN} --out o --cache {{value}}",
        "run --seeds two.jsonl --model {value}",
    ],
    # files
    "none.jsonl": [
        "run --seeds {value}", "verify {value}", "clean {value}", "train {value} --base toy --out o",
        "clean two.jsonl --beside {value}", "eval --bench humaneval --samples {value}",
        "inspect {value}", "export {value}", "eval --compare {value} {value}",
        f"{TRAIN} --notes {{value}}", "loop {value}", "verify two.jsonl --config {value}",
    ],
    "two.jsonl": ["run {value}", "inspect {value}", "export {value}"],
    "bad.yaml": ["run {value}", "verify two.jsonl --config {value}", "loop {value}"],
    "nokey": [
        f"{RUN} --set {{value}}", "verify two.jsonl --set {value}", f"{EVAL} --set {{value}}",
        "clean two.jsonl --set {value}", f"{TRAIN} --set {{value}}", f"{LOOP} --set {{value}}",
    ],
    "unknown key none": [
        f"{RUN} --set none=1", "verify two.jsonl --set none=1", "clean two.jsonl --set none=1",
        f"{TRAIN} --set none=1", f"{LOOP} --set none=1",
    ],
    # models
    "none.gguf": [
        "run --seeds two.jsonl --model {value}", "eval --bench humaneval --model {value}",
        "verify two.jsonl --checks tests --model {value}", "train two.jsonl --base {value} --out o",
    ],
    "qwen2.5-coder-0.5": [
        "run --seeds two.jsonl --model {value}", "eval --bench humaneval --model {value}",
        "verify two.jsonl --checks tests --model {value}", "train two.jsonl --base {value} --out o",
    ],
    NO_SERVER.partition("#")[0]: [
        f"run --seeds two.jsonl --model {NO_SERVER}",
        f"verify two.jsonl --checks tests --model {NO_SERVER}",
    ],
    "openai:gpt-4o": [
        "run --seeds two.jsonl --model {value}",
        "verify two.jsonl --checks tests --model {value}",
    ],
    # names and numbers
    "nope": [
        f"eval --bench {{value}} --model {SCRIPTED}", "eval --check --bench {value}",
        "clean two.jsonl --against {value}", "verify two.jsonl --checks {value}",
        f"{TRAIN} --preset {{value}}", f"{EVAL} --template {{value}}", f"{EVAL} --sandbox {{value}}",
        "export run --format {value}", "{value}", f"{RUN} --rounds {{value}}",
        f"{EVAL} --data-dir {{value}}", f"{EVAL} --packages {{value}}",
    ],
    "--gpus 4096": [f"{TRAIN} {{value}}"],
    "--gpus 0": [f"{TRAIN} {{value}}"],
    "--page 0": ["inspect run {value}"],
    "--modle": ["run {value} x", "eval {value} x", "verify two.jsonl {value} x"],
    # damaged databases
    "broken": [
        f"{RUN} --out {{value}}", "verify two.jsonl --out {value}", "inspect {value}",
        "export {value}", "clean {value}",
    ],
    "broken-eval": ["inspect {value}", "eval --compare {value} {value}"],
}  # fmt: skip
SURROUNDINGS = [
    (NO_CACHE, "EVOLCODER_CACHE", f"run --seeds two.jsonl --model {SCRIPTED}"),
    (NO_CACHE, "EVOLCODER_CACHE", "run --seeds two.jsonl"),
    (NO_CACHE, "EVOLCODER_CACHE", f"verify two.jsonl --checks tests --model {SCRIPTED} --out o"),
    (NO_CACHE, "EVOLCODER_CACHE", "train two.jsonl --base qwen2.5-coder-0.5b --out o"),
    (NO_HUB, "no/data", f"run --seeds no/data --model {SCRIPTED}"),
    (NO_HUB, "no/data", "verify no/data"),
    (NO_HUB, "no/data", "clean no/data"),
    (NO_HUB, "no/data", "train no/data --base toy --out o"),
]
SUGGESTS = {"qwen2.5-coder-0.5": "qwen2.5-coder-0.5b", "--modle": "--model"}


@pytest.fixture(scope="module", autouse=True)
def _place(tmp_path_factory):
    """A folder with something of every kind that can stand in the way."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("wrong")
        patch.chdir(place)
        patch.setenv("EVOLCODER_CACHE", str(place / "cache"))
        patch.delenv("OPENAI_API_KEY", raising=False)
        patch.delenv("OPENAI_BASE_URL", raising=False)
        rows = [
            {"instruction": f"Add {n} numbers.", "output": f"def f(): return {n}"} for n in (1, 2)
        ]
        (place / "two.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (place / "a file").write_text("x")
        (place / "bad.yaml").write_text("a: [1\n")
        (place / "loop.yaml").write_text("student: {path: toy}\n")
        (place / "script.json").write_text('{"rules": []}')
        for name, database in (("folder", None), ("broken", "run.db"), ("broken-eval", "eval.db")):
            (place / name).mkdir()
            if database:
                (place / name / database).write_bytes(b"SQLite format 3\0" + b"junk" * 4096)
                (place / name / "config.yaml").write_text("seed: 0\n")
        assert main(["run", "--seeds", "two.jsonl", "--model", SCRIPTED, "--out", "run",
                     "--rounds", "0", "--set", "verify.when=never"]) == 0  # fmt: skip
        yield


def said(capsys, command):
    """Run a command; return its code and what it said."""
    capsys.readouterr()
    try:
        code = main(shlex.split(command))
    except SystemExit as ended:
        code = ended.code
    return code, capsys.readouterr().err


def check(code, err, value):
    lines = err.strip().splitlines()
    assert "Traceback" not in err
    assert code == 2, err
    assert len(lines) == 1, err
    assert value in lines[0]


def test_a_wrong_value_is_one_line_that_names_it(capsys):
    """Exit 2, no traceback, over all verbs; the nearest name is told where there is one."""
    for value, commands in CASES.items():
        for command in commands:
            filled = command.replace("{value}", value if value.startswith("--") else f"'{value}'")
            code, err = said(capsys, filled)
            check(code, err, value)
            assert SUGGESTS.get(value, "") in err, err


@pytest.mark.parametrize(("environment", "value", "command"), SURROUNDINGS)
def test_what_is_missing_around_it_is_one_line(monkeypatch, capsys, environment, value, command):
    """A cache folder that cannot be made, and no network at a Hub id: told once, and at once."""
    for name, setting in environment.items():
        monkeypatch.setenv(name, setting)
    check(*said(capsys, command), value)


def test_the_length_of_an_answer_is_no_budget(capsys):
    """`--max-tokens` means a budget in two verbs, as before, and says so; both are refused."""
    command = f"run --seeds two.jsonl --model {SCRIPTED} --out budget --set verify.when=never"
    code, err = said(capsys, f"{command} --max-tokens 1")
    assert code == 3 or "budget" in err
    assert "write --max-tokens-paid" in err
    assert said(capsys, f"{command} --max-tokens 1 --max-tokens-paid 1")[0] == 2


@pytest.mark.parametrize(
    "command",
    [
        "verify tasks.jsonl --out kept-nothing",
        f"run --seeds tasks.jsonl --model {SCRIPTED} --rounds 0 --out kept-none --cache c.db",
    ],
)
def test_what_has_nothing_to_keep_is_no_success(capsys, command):
    """Exit 1 and the reason, not an empty data set and a 0."""
    Path("tasks.jsonl").write_text('{"instruction": "Add two numbers."}\n')
    code, err = said(capsys, command)
    assert code == 1, err
    assert "no row was kept; dropped: respond empty 1" in err
