"""A loop's config is checked completely, and its runs differ only by their changes."""

import json
import os
from pathlib import Path

import pytest

from evolcoder.cli.main import main
from evolcoder.config import load as configs
from evolcoder.errors import ConfigError
from evolcoder.experiment.config import LoopConfig, fill, merge, rerun, variant

EXAMPLE = Path(__file__).parents[2] / "examples" / "h200" / "loop.yaml"


def loaded(*overrides):
    return configs.load_as(LoopConfig, None, ["student.path=weights", *overrides])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stop.patiense=2", "unknown key stop.patiense; did you mean stop.patience?"),
        ("run.evolver.modell=x", "unknown key run.evolver.modell; did you mean run.evolver.model?"),
        ("arms=[seeds]", "'seeds' is no arm"),
        ("train.seeds=[]", "train.seeds"),
        ("student=null", "student"),
        ("tests=[]", "tests"),
        ("arms=[othr/merge-0..1]", "arm othr/merge-0..1: there is no run 'othr'; known are main"),
        ("arms_once=[x/seed-reanswered]", "there is no run 'x'"),
        ("arms=[merge-0..1~misdirekt]", "no heuristic is called misdirekt; known are "),
        ("train.options=['{modle}']", "unknown placeholder {modle}; known are {python} {data}"),
        ("serve.spec='http://127.0.0.1:{prot}/v1'", "unknown placeholder {prot}"),
    ],
)
def test_a_fault_is_named_by_its_key(override, words):
    """Unknown keys and invalid values are errors before anything is made."""
    with pytest.raises(ConfigError) as raised:
        loaded(override)
    assert words in str(raised.value)


@pytest.mark.parametrize("text", [None, "{", "not a tokenizer", "PIPE"])
def test_a_tokenizer_that_cannot_be_read_is_one_line(text, tmp_path, capsys):
    """A missing file, a broken one or a pipe is named with its key, and nothing is made."""
    pytest.importorskip("tokenizers")
    config, path = tmp_path / "loop.yaml", tmp_path / "tokenizer.json"
    config.write_text(json.dumps({"student": {"path": "weights", "tokenizer": str(path)}}))
    if text == "PIPE":
        os.mkfifo(path)
    elif text is not None:
        path.write_text(text)
    assert main(["loop", str(config), "--out", str(tmp_path / "out")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"evolcoder: student.tokenizer: {path} cannot be read: ")
    assert line.endswith("name a tokenizer.json, or omit the key to count words")
    assert not (tmp_path / "out" / "run-main").exists()


def test_another_run_is_the_main_one_with_what_differs():
    """A run may change the evolver or the responder, also to the student."""
    config = loaded(
        "run.evolver.model=vllm:big", "run.evolver.temperature=0.3",
        "runs.self.evolver.model=vllm:student", "runs.other.responder.model=vllm:other",
    )  # fmt: skip
    assert variant(config, "main").evolver.model == "vllm:big"
    mine = variant(config, "self")
    assert (mine.evolver.model, mine.evolver.temperature) == ("vllm:student", 0.3)
    assert variant(config, "other").responder.model == "vllm:other"
    with pytest.raises(ConfigError, match="no run 'third'; known are main, self, other"):
        variant(config, "third")
    with pytest.raises(ConfigError, match=r"runs\.bad: unknown key evolver\.modle"):
        variant(loaded("runs.bad.evolver.modle=x"), "bad")


def test_arms_may_be_of_a_run_that_is_only_a_folder():
    """Heuristics that another run adds are known; other braces of a command stay unchanged."""
    config = loaded(
        "arms=[old/merge-0..1~whatever, main/merge-0..1~mine]", "folders.old=runs/old",
        "runs.b.evolve.heuristics.mine={template: 'Do {task}', must_hold: nothing}",
        "serve.options=['--compilation-config', '{\"a\":1}', '{port}']",
    )  # fmt: skip
    assert fill(config.serve.options[1], port=1) == '{"a":1}'
    assert fill(config.serve.options[2], port=1) == "1"


def test_the_control_answers_the_same_seeds_anew():
    """Only the responder of round 0 changes, so its tasks are the same."""
    config = loaded("run.seeds.limit=7").run
    again = rerun(config)
    assert configs.differing_keys(config.fingerprinted(), again.fingerprinted()) == [
        "respond.reanswer_seeds"
    ]
    assert [str(merge(k)) for k in range(3)] == ["seed", "merge-0..1", "merge-0..2"]


def test_the_example_is_a_valid_config():
    """The config of the experiment can be loaded."""
    config = configs.load_as(LoopConfig, EXAMPLE, [])
    assert config.run.budget.rounds == 4
    assert len(config.arms_once) == len(set(config.arms_once))


CONTRADICTING = [
    ("--pack p", "--take t"),
    ("--pack p", "--regrade"),
    ("--pack p", "--no-grade"),
    ("--pack p", "--as-it-is"),
    ("--regrade", "--take t"),
    ("--regrade", "--no-grade"),
    ("--regrade", "--as-it-is"),
    ("--no-grade", "--as-it-is"),
]


@pytest.mark.parametrize(("first", "second"), CONTRADICTING)
def test_flags_that_ask_for_different_parts_of_a_loop_are_refused(capsys, tmp_path, first, second):
    """One line names both, whatever their order, and nothing is written."""
    for given in (f"{first} {second}", f"{second} {first}"):
        out = tmp_path / "out"
        code = main(["loop", str(EXAMPLE), "--out", str(out), *given.split()])
        err = capsys.readouterr().err
        assert code == 2
        assert len(err.splitlines()) == 1
        assert f"{first.split()[0]} and {second.split()[0]}: " in err
        assert not out.exists()
