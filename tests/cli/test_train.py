"""`evolcoder train`, as typed."""

import json

import pytest

import toy_model
from evolcoder.cli.main import main
from evolcoder.seeds.memory import rows_in_memory
from evolcoder.seeds.rows import read_placed_rows

TASK, ANSWER = "Add two numbers.", "def add(a, b):\n    return a + b"
TURNS = [{"role": "user", "content": TASK}, {"role": "assistant", "content": ANSWER}]
FAST = ["--set", "steps=3", "--set", "batch_rows=4", "--set", "learning_rate=0.003"]


@pytest.fixture(scope="module")
def toy_base(tmp_path_factory):
    return toy_model.make_base(tmp_path_factory.mktemp("toy") / "base")


def written(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": TASK, "output": ANSWER},
        {"instruction": TASK, "input": "", "output": ANSWER},
        {"messages": TURNS},
        {"prompt": TURNS[:1], "completion": TURNS[1:]},
        {"prompt": TASK, "completion": ANSWER},
        {"conversations": [{"from": "human", "value": TASK}, {"from": "gpt", "value": ANSWER}]},
        {"problem": TASK, "solution": ANSWER},
    ],
)
def test_every_format_of_rows_is_read(row):
    """Our exports, TRL's and the seeds' formats hold the same task and answer."""
    (found,) = rows_in_memory([row], {})
    assert (found.task.instruction, found.response.text) == (TASK, ANSWER)


def test_a_row_keeps_its_file_and_line(tmp_path):
    """Several files are one training, and each row says where it stood."""
    one = written(tmp_path / "one.jsonl", [{"instruction": TASK, "output": ANSWER}])
    two = written(tmp_path / "two.jsonl", [{"instruction": ""}, {"messages": TURNS}])
    rows = list(read_placed_rows([one, two]))
    assert [row.place for row in rows] == [
        f"{one} line 1",
        f"{two} line 1",
        f"{two} line 2",
    ]
    assert [row.row.task.instruction for row in rows] == [TASK, "", TASK]


@pytest.mark.train
def test_the_verb_trains_and_says_what_came_of_it(toy_base, tmp_path, capsys):
    """JSON on stdout, progress on stderr, a model in the folder."""
    rows = written(tmp_path / "rows.jsonl", [{"instruction": TASK, "output": ANSWER}] * 6)
    out = tmp_path / "out"
    assert main(["train", rows, "--base", str(toy_base), "--out", str(out), "--json", *FAST]) == 0
    said = capsys.readouterr()
    outcome = json.loads(said.out)
    assert (outcome["n_rows"], outcome["n_steps"]) == (6, 3)
    assert "step 3/3: loss" in said.err
    assert (out / "model.safetensors").exists()
    card = (out / "README.md").read_text()
    assert "| transformers |" in card


@pytest.mark.parametrize(
    ("rows", "flags", "said"),
    [
        ([{"instruction": TASK, "output": ""}], [], "empty answer"),
        ([{"instruction": ""}], [], "no task"),
        ([{"text": TASK}], [], "--columns instruction=NAME"),
        ([{"instruction": TASK * 40, "output": ANSWER}], ["--set", "max_length=50"], "too long"),
        ([{"instruction": TASK, "output": ANSWER}], ["--set", "epoch=1"], "did you mean epochs?"),
        ([{"instruction": TASK, "output": ANSWER}], ["--set", "epochs"], "write it as key=value"),
        ([{"instruction": TASK, "output": ANSWER}], ["--preset", "big"], "known are"),
        ([{"instruction": TASK, "output": ANSWER}], ["--set", "epochs=[1"], "--set epochs=[1: the"),
        ([{"instruction": TASK, "output": ANSWER}], ["--set", "seed=2024-13-01"], "is not YAML"),
        ([{"instruction": TASK, "output": ANSWER}], ["--notes", "no.json"], "--notes no.json"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_2(rows, flags, said, toy_base, tmp_path, capsys):
    """The user's mistakes are told before the first step."""
    data = written(tmp_path / "rows.jsonl", rows)
    base, out = str(toy_base), str(tmp_path / "out")
    assert main(["train", data, "--base", base, "--out", out, *FAST, *flags]) == 2
    err = capsys.readouterr().err.strip()
    assert said in err.splitlines()[-1]
    assert not (tmp_path / "out" / "model.safetensors").exists()


SCORE = {"bench": "humaneval", "metric": "pass@1", "score": 0.5, "low": 0.4, "high": 0.6}


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ("{", "a JSON object with any of run, arms"),
        ("[]", "contains a list; it must contain a JSON object with any of run, arms"),
        ("null", "contains a NoneType"),
        ('{"licence": "mit"}', "unknown key licence; did you mean license?"),
        ('{"license": null}', "license: must be a text"),
        ('{"arms": "seed"}', "arms: must be a list"),
        (json.dumps({"scores": None}), "scores: must be a list"),
        (json.dumps({"scores": [None]}), "scores.0: must be a section"),
        (json.dumps({"scores": [{**SCORE, "score": None}]}), "scores.0.score: must be a number"),
        (
            json.dumps({"scores": [{**SCORE, "low": float("nan")}]}),
            "scores.0.low: must be a number, and not infinite",
        ),
        (json.dumps({"scores": [{"bench": "humaneval"}]}), "scores.0.metric: is missing"),
    ],
)
@pytest.mark.parametrize("gpus", ["1", "2"])
def test_notes_that_the_card_cannot_hold_are_refused_before_the_base_is_read(
    notes, said, gpus, tmp_path, capsys
):
    """No training, on one GPU or several, is begun whose card could not be written."""
    data = written(tmp_path / "rows.jsonl", [{"instruction": TASK, "output": ANSWER}])
    (tmp_path / "notes.json").write_text(notes)
    flags = ["--notes", str(tmp_path / "notes.json"), "--gpus", gpus]
    out = tmp_path / "out"
    assert main(["train", data, "--base", "no-such-base.gguf", "--out", str(out), *flags]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"evolcoder: --notes {tmp_path / 'notes.json'}: ")
    assert said in line
    assert not out.exists()


def test_the_card_has_what_the_notes_say(toy_base, tmp_path):
    """Run, arms, license and scores come out of the file as they stand in it."""
    notes = {"run": "r1", "arms": ["seed", "merge-0..1"], "license": "mit", "scores": [SCORE]}
    rows = written(tmp_path / "rows.jsonl", [{"instruction": TASK, "output": ANSWER}] * 6)
    (tmp_path / "notes.json").write_text(json.dumps(notes))
    out = tmp_path / "out"
    flags = ["--base", str(toy_base), "--out", str(out), "--notes", str(tmp_path / "notes.json")]
    assert main(["train", rows, *flags, *FAST]) == 0
    card = (out / "README.md").read_text()
    for part in ("| run | r1 |", "| seed, merge-0..1 |", "license: mit", "50.0 | 40.0 to 60.0 |"):
        assert part in card


def test_several_gpus_get_the_launchers_config(tmp_path):
    """Full weights are sharded by FSDP2, adapters are copied; the command is the same verb."""
    import yaml

    from evolcoder.training.launch import launch_command, launcher_config
    from evolcoder.training.recipe import recipe_of

    full = yaml.safe_load(launcher_config(recipe_of("small", {}), 2))
    lora = yaml.safe_load(launcher_config(recipe_of("small-lora", {}), 2))
    assert (full["distributed_type"], full["fsdp_config"]["fsdp_version"]) == ("FSDP", 2)
    assert lora["distributed_type"] == "MULTI_GPU"
    assert full["num_processes"] == 2
    command = launch_command(tmp_path / "accelerate.yaml", ["rows.jsonl", "--gpus", "2"])
    assert command[-4:] == ["train", "rows.jsonl", "--gpus", "2"]


def test_missing_data_is_reported_before_the_base_is_looked_for(capsys, tmp_path):
    """Fetching a base takes long, and may fail for another reason."""
    missing = str(tmp_path / "no.jsonl")
    assert main(["train", missing, "--base", "nobody/none", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert missing in said
    assert "nobody/none" not in said
