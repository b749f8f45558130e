"""What a newcomer gets wrong, over all verbs: one line that names the value, and exit 2.

Each case names a file, a folder, an address or a name that cannot be used; `{value}` stands for it
in the command, and the line has to contain it.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from evolcoder.app.evaluation_options import EvaluationOptions, config_of
from evolcoder.cli.main import main
from evolcoder.errors import ConfigError
from jsonl import write_jsonl

SCRIPTED = "scripted:script.json"
NO_SERVER = "http://127.0.0.1:9/v1#m"
NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": ""}
NO_CACHE = {"EVOLCODER_CACHE": "/proc/none"}
BARE_RUN = f"run --seeds two.jsonl --model {SCRIPTED}"
RUN = f"{BARE_RUN} --cache c.db"
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
        "inspect {value}", "export {value}", f"{BARE_RUN} --out o --cache {{value}}",
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
EVAL_ONE = f"{EVAL} --data-dir folder"
SAYS = {
    # an empty value, such as of a variable that is not set
    "the value is empty": [
        f"{RUN} --out ''", "run --seeds ''", "run --model ''", f"{BARE_RUN} --cache ''", "verify ''",
        "verify two.jsonl --out ''", "verify two.jsonl --checks ''", "clean ''",
        "clean two.jsonl --against ''", "clean two.jsonl --out ''", "eval --bench ''",
        f"{EVAL} --out ''", f"{EVAL} --data-dir ''", "train two.jsonl --base toy --out ''",
        "train two.jsonl --base '' --out o", "inspect ''", "report ''", "export run --out ''",
        "export run --name ''", "view ''", "loop ''", f"{RUN} --max-usd ' '", "doctor --model ''",
    ],
    # numbers
    "--workers": [
        f"{command} --workers {n}"
        for command in ("verify two.jsonl --out o", "clean two.jsonl", EVAL_ONE)
        for n in ("-1", "0", "x")
    ],
    "--temperature": [f"{EVAL_ONE} --temperature {n}" for n in ("nan", "-1", "1e9", "inf")],
    "--top-p": [f"{EVAL_ONE} --top-p {n}" for n in ("nan", "0", "5")],
    "--max-tokens": [f"{EVAL_ONE} --max-tokens {n}" for n in ("0", "-5")],
    "--effect": [f"eval --compare run run --effect {n}" for n in ("nan", "-3", "0", "101")],
    "must be at most": ["inspect run --page 99999999999999999999", f"inspect run --limit {10**30}"],
    "epochs": [f"{TRAIN} --set epochs=1e9"],
    # lists without a name
    "name a benchmark": [f"eval --bench , --model {SCRIPTED}", "eval --check --bench ' , '"],
    "names no benchmark": ["clean two.jsonl --against ,"],
    # flags that would do nothing
    "needs --against": [
        f"clean two.jsonl {flag}"
        for flag in ("--detectors ngrams", "--drop any", "--data-dir folder", "--report r.html")
    ],
    "needs --meaning": ["clean two.jsonl --embedder folder"],
    "is for --format infill": ["export run --fim qwen"],
    # flags of which each asks for something else
    "give one of them": ["inspect run x --drops", "inspect run x --harder",
                         "inspect run --drops --harder"],
    "each is a command of its own": [
        "eval --compare run run --plan run run", "eval --check --compare run run",
        f"{EVAL_ONE} --prompt-variants --check",
    ],
    "not with --compare": [
        f"eval --compare run run {flag}"
        for flag in ("--bench humaneval", f"--model {SCRIPTED}", "--samples two.jsonl")
    ],
    "not with --plan": ["eval --plan run run --bench humaneval"],
    "not allowed with": ["report run --markdown --json"],
    # the flag, not the verb, has no value; a value may look like a flag, and one may be empty
    "argument --model: the value is empty": ["run --model ''", "doctor --model ''"],
    "argument id: the value is empty": ["inspect run ''"],
    "did you mean --seeds=-x.jsonl?": ["run --seeds -x.jsonl", "run --limit 2 --seeds -x.jsonl"],
    "unknown benchmark": [f"eval --bench nope --model {SCRIPTED} --system ''"],
    # a value of a flag is not one of the config file
    "config: export.validation": ["export run --validation 2"],
    "config: budget.rounds": ["run good.yaml --rounds -1"],
    # folders of another kind, files without a row, scripts that are none
    "no run; it is the folder of an evaluation": [f"{RUN} --out broken-eval"],
    "is the folder of an evaluation, which holds no rows": [
        "verify broken-eval", "clean broken-eval", f"run --seeds broken-eval --model {SCRIPTED}",
    ],
    "contains no rows": [
        "clean empty.jsonl", "clean empty.jsonl --out e.jsonl", "verify empty.jsonl",
        f"run --seeds empty.jsonl --model {SCRIPTED}",
    ],
    'write {"rules"': [
        f"run --seeds two.jsonl --model scripted:{name}" for name in ("two.jsonl", "model/config.json")
    ],
    # the nearest key, in its section or another one
    "did you mean budget.rounds?": [
        f"{RUN} --set {key}=1" for key in ("rounds", "round", "budget.roundz", "evolve.rounds")
    ],
    "did you mean clean.near?": ["clean two.jsonl --set near=1", "clean two.jsonl --set nea=1"],
    "did you mean run.budget?": [f"{LOOP} --set budget=1"],
    "budget: must be a section": [f"{RUN} --set budget=3"],
    "must be a list": [f"{RUN} --set export.formats=trl", f"{RUN} --set verify.checks=runs"],
    # the nearest spec of a model
    "did you mean openai:gpt-4o?": ["run --model gpt-4o", "run --model openai/gpt-4o"],
    "did you mean anthropic:claude-x?": ["run --model claude-x", "run --model anthropic/claude-x"],
    "did you mean http://localhost:8000/v1#NAME?": ["run --model localhost:8000"],
    "did you mean hf:model?": ["run --model model", "eval --bench humaneval --model model"],
    # a base that is none, before torch is loaded
    "no config.json": ["train two.jsonl --base folder --out o"],
    "is no model": ["train two.jsonl --base script.json --out o"],
    # a wrong model or config is told before a minute of tests
    "unknown model": ["report run --similarity humaneval --judge nope"],
    "unknown key": ["doctor --set nope=1"],
    "is given too": ["run a.yaml --config b.yaml"],
}  # fmt: skip
"""What is said -> the commands that are answered by it."""
LOSES = [
    ("two.jsonl", "clean two.jsonl --out two.jsonl", "is a file that is read"),
    ("two.jsonl", "clean ./folder/../two.jsonl --out two.jsonl", "is a file that is read"),
    ("a.jsonl", "clean two.jsonl --beside a.jsonl --out a.jsonl", "is a file that is read"),
    ("a.drops.jsonl", "clean a.drops.jsonl --out a.jsonl", "is a file that is read"),
    ("r.json", "clean r.json --against humaneval --report r.json", "is a file that is read"),
    ("r.json", "clean two.jsonl --against humaneval --out r.json --report r.json", "is also --out"),
    ("two.jsonl", "report run --out two.jsonl", "must end in .html"),
    ("two.jsonl", f"{BARE_RUN} --cache two.jsonl --out o", "name another file"),
    ("model/config.json", "train two.jsonl --base model --out model", "is the base"),
    ("model/config.json", "train two.jsonl --base ./model --out folder/../model", "is the base"),
    ("run/run.db", "train two.jsonl --base model --out run", "contains files but no training"),
    ("run/run.db", "train two.jsonl --base qwen2.5-coder-0.5b --out run", "contains files but no"),
    ("a file", "train two.jsonl --base model --out .", "contains files but no training"),
]
"""A file that a command would destroy, the command, and what it says instead."""
SURROUNDINGS = [
    (NO_CACHE, "EVOLCODER_CACHE", f"run --seeds two.jsonl --model {SCRIPTED}"),
    (NO_CACHE, "EVOLCODER_CACHE", "run --seeds two.jsonl"),
    (NO_CACHE, "EVOLCODER_CACHE", f"verify two.jsonl --checks tests --model {SCRIPTED} --out o"),
    (NO_CACHE, "EVOLCODER_CACHE", "train two.jsonl --base qwen2.5-coder-0.5b --out o"),
    (NO_HUB, "no/data", f"run --seeds no/data --model {SCRIPTED}"),
    (NO_HUB, "no/data", "verify no/data"),
    (NO_HUB, "no/data", "clean no/data"),
    (NO_HUB, "no/data", "train no/data --base toy --out o"),
    (NO_HUB, "no/base", "train two.jsonl --base no/base --out o"),
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
        write_jsonl(place / "two.jsonl", rows)
        (place / "a file").write_text("x")
        for name in ("a.jsonl", "a.drops.jsonl", "r.json"):
            (place / name).write_text(json.dumps(rows))
        (place / "model").mkdir()
        (place / "model" / "config.json").write_text("{}")
        (place / "good.yaml").write_text("seed: 0\n")
        (place / "empty.jsonl").write_text("\n")
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


@pytest.mark.parametrize("words", SAYS)
def test_an_error_suggests_what_was_meant(capsys, words):
    """Empty values, numbers out of range, flags without effect, and names that are nearly right."""
    for command in SAYS[words]:
        check(*said(capsys, command), words)


@pytest.mark.parametrize(("file", "command", "words"), LOSES)
def test_no_command_writes_over_what_it_reads(capsys, file, command, words):
    """Neither over its input nor into a folder of something else; the file stays as it was."""
    before = Path(file).read_bytes()
    check(*said(capsys, command), words)
    assert Path(file).read_bytes() == before


def test_a_budget_of_nothing_is_a_budget():
    """0 is a limit of an evaluation, as of a run, and not the absence of one."""
    assert config_of(EvaluationOptions(max_usd=0.0)).budget.max_usd == 0.0
    with pytest.raises(ConfigError, match="max_tokens"):
        config_of(EvaluationOptions(max_tokens_paid=0))


def test_a_command_that_is_shown_can_be_copied(capsys):
    """Folders with blanks, or that look like an option, are quoted where a command names them."""
    for folder, shown in (("my run", "'my run'"), ("-run", "./-run")):
        capsys.readouterr()
        assert main(["run", "--seeds", "two.jsonl", "--model", SCRIPTED, f"--out={folder}",
                     "--rounds", "0", "--set", "verify.when=never"]) == 0  # fmt: skip
        assert f"evolcoder inspect {shown}\n" in capsys.readouterr().out


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


def test_an_export_without_rows_says_why(capsys):
    """Exit 1, and the flag that left out what there is."""
    code, err = said(capsys, "export run --no-seeds --out no-seeds")
    assert code == 1
    assert (
        err == "evolcoder: 0 rows: no evolved row was kept, and seeds are left out (--no-seeds)\n"
    )


@pytest.mark.parametrize("command", ["--help", "run --help", "--version"])
def test_output_that_cannot_be_written_is_no_success(command):
    """A full disk behind standard output, also of what ends before a verb begins."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "evolcoder.cli.main", *command.split()],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    check(done.returncode, done.stderr, "standard output: No space left on device")
