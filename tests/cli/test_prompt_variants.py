"""`eval --prompt-variants`: one model's scores under small changes of the prompt."""

import json

import pytest

from commands import run_command
from evolcoder.app.evaluation_options import EvaluationOptions, sample_settings
from evolcoder.bench.base import PromptSettings
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.prompts import CHAT, COMPLETION, ENDINGS
from evolcoder.bench.registry import bench_named
from evolcoder.cli.prompt_variants import distinct, spread_of, variants_of

N = 2


@pytest.fixture
def script(shared, tmp_path):
    """A model that knows two problems, and is thrown off by a line break at the prompt's end."""
    problems = bench_named("humaneval", DataFolder(shared, tmp_path)).problems()[:N]
    rules = [{"match": r"\n\Z", "answer": "I do not know."}]
    rules += [
        {"match": f"`{one.checks.entry_points[0]}`", "answer": f"```python\n{one.reference}\n```"}
        for one in problems
    ]
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"rules": [*rules, {"match": "", "answer": "?"}]}))
    return path


def call(capsys, *arguments):
    return run_command(capsys, "eval", *arguments)


def test_the_spread_is_reported_with_the_score(capsys, tmp_path, shared, script):
    """A model that a line break throws off shows it; each variant is a folder of its own."""
    command = (
        "--bench", "humaneval", "--data-dir", shared, "--limit", N, "--model", f"scripted:{script}",
        "--out", tmp_path / "out", "--prompt-variants",
    )  # fmt: skip
    code, out, _ = call(capsys, *command)
    assert code == 0
    assert "humaneval: pass@1 100.0 % as given; 0.0 to 100.0 % under 5 prompt variants" in out
    assert "end-stripped has the same prompts as as-given, so it was not evaluated" in out
    assert "a spread of 100.0 points" in out
    code, out, _ = call(capsys, *command, "--json")
    found = json.loads(out)["humaneval"]
    assert found["scores"]["end-newline"] == 0.0
    assert {value for name, value in found["scores"].items() if name != "end-newline"} == {1.0}
    assert json.loads(out)["humaneval"]["same_prompts"] == {"end-stripped": "as-given"}
    folders = {one.name for one in (tmp_path / "out").iterdir()}
    assert folders == {f"variant-{name}" for name in found["scores"]}


def test_variants_keep_what_the_options_say(tmp_path):
    """Base models have no system message; a given one is taken away in one variant."""
    raw = variants_of(EvaluationOptions(model="m", template="completion", out=tmp_path))
    assert [one.name for one in raw] == ["as-given", "end-stripped", "end-newline"]
    own = EvaluationOptions(model="m", system="Be brief.", n=3, out=tmp_path)
    chat = {one.name: one.options for one in variants_of(own)}
    assert chat["as-given"].system == "Be brief."
    assert chat["system-none"].system == ""
    assert {one.n for one in chat.values()} == {3}
    assert len({one.out for one in chat.values()}) == len(chat)
    settings = [json.dumps(sample_settings(one)) for one in chat.values()]
    assert len(set(settings)) == len(settings)
    assert "ending" not in sample_settings(chat["as-given"])


@pytest.mark.parametrize("text", ["def f():\n", "def f():", "def f():\n\n  ", "\n"])
def test_an_ending_changes_the_end_of_a_prompt_alone(text):
    from dataclasses import replace

    asked = PromptSettings(text, text, "python", ())
    for template in (CHAT, COMPLETION):
        found = {name: replace(template, ending=end).fill(asked) for name, end in ENDINGS.items()}
        assert found[""] == text
        assert found["stripped"] == text.rstrip()
        assert found["newline"] == text.rstrip() + "\n"


@pytest.mark.parametrize(
    ("template", "bench", "same"),
    [
        ("fim-qwen", "infilling-single", {"end-stripped": "as-given", "end-newline": "as-given"}),
        ("chat", "humaneval", {"end-stripped": "as-given"}),
        ("completion", "humaneval", {"end-newline": "as-given"}),
        ("wizardcoder", "humaneval", {"end-stripped": "as-given"}),
        ("chat", "humaneval,mbpp", {"end-stripped": "as-given"}),
    ],
)
def test_no_prompt_is_paid_for_twice(shared, tmp_path, template, bench, same):
    """A variant is kept if a single problem's prompt is another one."""
    options = EvaluationOptions(
        bench=bench, template=template, model="m.gguf", data_dir=shared, out=tmp_path
    )
    variants = variants_of(options)
    kept, found = distinct(variants)
    assert found == same
    assert {one.name for one in kept} | found.keys() == {one.name for one in variants}
    assert distinct(kept) == (kept, {})


def test_folders_are_of_the_model_and_its_settings(capsys, tmp_path, monkeypatch, shared, script):
    """Two models, or two temperatures, do not meet in one folder; samples are written as asked."""
    monkeypatch.chdir(tmp_path)
    command = ("--bench", "humaneval", "--data-dir", shared, "--limit", 1, "--prompt-variants")
    other = tmp_path / "other.json"
    other.write_text(script.read_text())
    for model, more in ((script, ()), (other, ()), (script, ("--max-tokens", 99))):
        _, _, err = call(
            capsys, *command, "--model", f"scripted:{model}", "--write-samples", "bigcode", *more
        )
        assert "other values" not in err
    folders = list((tmp_path / "runs").iterdir())
    assert len(folders) == 3
    for folder in folders:
        assert list((folder / "variant-as-given" / "samples").glob("humaneval.bigcode*"))


def test_a_spread_is_the_distance_of_the_ends():
    assert spread_of([0.5, 0.2, 0.4]) == {"low": 0.2, "high": 0.5, "spread": 0.3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "s.jsonl"], "--prompt-variants asks a model"),
        (["--model", "m.gguf", "--no-grade"], "--prompt-variants asks a model"),
        (["--model", "m.gguf", "--template", "x"], "choose one of chat"),
        ([], "give either --model"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(capsys, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.jsonl").write_text("{}\n")
    code, out, err = call(capsys, "--bench", "humaneval", "--prompt-variants", *arguments)
    assert (code, out) == (2, "")
    assert said in err
