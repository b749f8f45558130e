"""The style of a run: decided once, measured where nothing is known, stored, and kept."""

import json
import sqlite3
from pathlib import Path

import pytest

import evolcoder as ec
import toys
from evolcoder.app.models import OpenedModels
from evolcoder.app.style import style_of_model
from evolcoder.cli.main import main
from evolcoder.engine.prices import FREE, price_of
from evolcoder.engine.scripted import ScriptedEngine
from evolcoder.errors import EngineError, RunFolderError, UserError
from evolcoder.evolution.styles import is_small
from evolcoder.storage.lineage import steps
from evolcoder.storage.run_store import STYLE_META, RunStore
from jsonl import read_jsonl, write_jsonl

N_SEEDS = 12
DEMAND = "Skip entries that are not finite, keep ties in order, and log each checksum in O(n) time."
BAIT = "```python\ndef f(x):\n    return sorted(x)\n```"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toys.seeds_file(tmp_path / "seeds.jsonl", N_SEEDS)


class Toy(ScriptedEngine):
    """A model of a name, which fails in one style; it counts its requests."""

    def __init__(self, *, bad="", model="toy", rejects=()):
        super().__init__(self._said, identity="https://models.example/v1")
        self.bad, self.model, self.rejects, self.n = bad, model, rejects, 0

    def _said(self, request):
        asked = request.messages[-1].content
        if "Task: " not in asked:
            return "```python\nprint(1)\n```"
        self.n += 1
        if any(word in asked for word in self.rejects):
            raise EngineError("a filter", asked="toy", retryable=False)
        is_whole = "whole task" in asked
        if self.bad == ("rewrite" if is_whole else "append"):
            return "I'm sorry, but no."
        if is_whole or "rewrite the task" in asked:
            text = f"{asked.rpartition('Task: ')[2].strip()} {DEMAND}"
            return f"{text}\n\n{BAIT}" if "code block" in asked else text
        return f"{BAIT}\nDemand: {DEMAND}" if "Demand" in str(request.messages) else DEMAND


def run(model, *, rounds=1, cache="c.db", **more):
    settings = {"verify.when": "never", "cache": cache, "evolve.candidates": 1}
    return ec.evolve("seeds.jsonl", model=model, rounds=rounds, out="r", settings=settings, **more)


def fact():
    with RunStore.read(Path("r")) as store:
        return store.meta(STYLE_META)


def paid():
    with RunStore.read(Path("r")) as store:
        return sum(n for n, _, _ in store.calls_by_model().values())


@pytest.mark.parametrize(
    ("bad", "style"), [("rewrite", "append"), ("append", "rewrite"), ("", "rewrite")]
)
def test_a_model_of_unknown_size_is_measured_once(bad, style, capsys):
    """Ten seeds in both styles, booked; those of the chosen style are requests of round 1."""
    model = Toy(bad=bad)
    run(model)
    found = fact()
    assert found["style"] == style
    assert {one["measured"] for one in found["probe"].values()} == {10}
    assert found["probe"][style]["usable"] == max(one["usable"] for one in found["probe"].values())
    with RunStore.read(Path("r")) as store:
        n_specialised = store.db.number(
            "SELECT COUNT(*) FROM (SELECT heuristic FROM tasks WHERE round = 1 UNION ALL SELECT "
            "heuristic FROM drops WHERE round = 1) WHERE heuristic = 'specialise'"
        )
        n_responses = store.db.number("SELECT COUNT(*) FROM responses WHERE model IS NOT NULL")
    # `specialise` asks the same in both styles, so that its second request comes from the cache.
    assert N_SEEDS + 10 - n_specialised <= model.n <= N_SEEDS + 10
    assert paid() == model.n + n_responses
    with RunStore.read(Path("r")) as store:
        assert {one.heuristic for one in store.calls_by_purpose() if one.stage == "evolve"} > {
            "deepen"
        }
        assert {one.heuristic == "" for one in store.calls_by_purpose()} == {False}
    again = Toy()
    run(again, rounds=2)
    assert again.n == N_SEEDS
    assert fact() == found
    with RunStore.read(Path("r")) as store:
        templates = str(store.meta("provenance")["heuristics"])
    assert ("whole task" in templates) == (style == "rewrite")
    capsys.readouterr()
    assert main(["inspect", "r"]) == 0
    assert f"style   {style}: measured on seeds: append" in capsys.readouterr().out
    assert main(["inspect", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["style"] == found


def test_a_limit_within_the_measurement_keeps_what_was_paid():
    """Nothing is decided; the same command with more asks for the rest only."""
    first, second = Toy(), Toy()
    assert run(first, max_tokens=4_000).stopped
    assert fact() is None
    assert 0 < first.n < 20
    run(second, max_tokens=10**9)
    assert fact()["style"] == "rewrite"
    assert first.n + second.n <= N_SEEDS + 10


@pytest.mark.parametrize(
    ("model", "style", "more", "style_said"),
    [
        ("mine-7b", "rewrite", {}, "has 7 billion"),
        ("mine-1.5b", "append", {}, "has 1.5 billion"),
        ("gpt-4.1-mini", "rewrite", {}, "known model"),
        ("toy", "rewrite", {"style": "rewrite"}, "evolve.style is rewrite"),
        ("toy", "rewrite", {"preset": "wizardcoder"}, "evolve.style is rewrite"),
    ],
)
def test_what_is_known_is_not_measured(model, style, more, style_said):
    """By name or by the config: every request is one of round 1, and a small model's bound is none."""
    toy = Toy(model=model)
    run(toy, **more)
    assert (fact()["style"], fact()["probe"]) == (style, {})
    assert style_said in fact()["why"]
    with RunStore.read(Path("r")) as store:
        n_bounds = sum(step.task.heuristic == "complexity" for step in steps(store))
    n_asked = N_SEEDS - (n_bounds if style == "append" else 0)
    assert toy.n == (0 if more.get("preset") else n_asked)


@pytest.mark.parametrize(
    ("spec", "identity", "is_rewriting"),
    [
        ("openai:gpt-4o", "https://api.openai.com/v1", True),
        ("hf:models/gpt-4o", "hf:0123", None),
        ("models/gpt-4o.gguf", "gguf:0123", None),
        ("http://127.0.0.1:1/v1#gpt-4o", "http://127.0.0.1:1/v1", None),
    ],
)
def test_only_a_servers_model_is_known_by_name_or_costs_money(spec, identity, is_rewriting):
    """Folders and files in this process have any name; before they are opened too."""
    name = spec.partition("#")[2] or spec.rpartition(":")[2].rpartition("/")[2]
    opened = OpenedModels(ScriptedEngine(str, identity=identity), name)
    for one in (opened, None):
        choice = style_of_model(spec, one)
        assert (choice and choice.style == "rewrite") is is_rewriting
    is_free = identity.startswith(("hf:", "gguf:"))
    assert (price_of("gpt-4o", identity, {}) == FREE) is is_free


@pytest.mark.parametrize(
    ("name", "billions", "style"),
    [
        ("mystery", 1.78, "append"),
        ("mystery", 7.6, "rewrite"),
        ("mine-7b-pruned", 1.2, "append"),
        ("mystery", None, None),
    ],
)
def test_a_size_that_file_or_server_states_comes_before_the_name(name, billions, style):
    """It also decides whether sentences are begun for the model."""
    engine = ScriptedEngine(str, identity="http://127.0.0.1:1/v1")
    opened = OpenedModels(engine, name, billions=billions)
    choice = style_of_model(f"http://127.0.0.1:1/v1#{name}", opened)
    assert (choice and choice.style) == style
    assert is_small(name, is_local=False, billions=billions) is (style == "append")


def test_seeds_that_are_too_long_to_be_asked_are_not_measured():
    """They say nothing about a style, and are replaced."""
    rows = read_jsonl(Path("seeds.jsonl"))
    rows[:4] = [{**row, "instruction": row["instruction"] + " a word" * 900} for row in rows[:4]]
    write_jsonl(Path("seeds.jsonl"), rows)
    run(Toy())
    assert {count["measured"] for count in fact()["probe"].values()} == {N_SEEDS - 4}
    assert {count["usable"] for count in fact()["probe"].values()} == {N_SEEDS - 4}


def test_a_run_keeps_its_style_and_says_which():
    """`auto` and the same style go on; the other one is refused, with the key."""
    run(Toy(bad="append"))
    with pytest.raises(RunFolderError, match=r"different values of evolve\.style"):
        run(Toy(), style="append")
    before = fact()
    for style in ("rewrite", "auto", None):
        toy = Toy()
        run(toy, style=style)
        assert (toy.n, fact()) == (0, before)


def test_a_run_of_an_earlier_version_appends():
    """Its config has no style; a style of the new command that differs is refused."""
    run(Toy(), style="append")
    with sqlite3.connect("r/run.db") as db:
        db.execute("DELETE FROM meta WHERE key = 'style'")
        db.execute(
            "UPDATE meta SET value = json_remove(value, '$.evolve.style') WHERE key = 'config'"
        )
    db.close()
    with pytest.raises(RunFolderError, match=r"evolve\.style"):
        run(Toy(), style="rewrite")
    toy = Toy(bad="append")
    run(toy, rounds=2)
    assert toy.n == N_SEEDS
    assert (fact()["style"], fact()["probe"]) == ("append", {})


def test_seeds_that_a_server_rejects_are_replaced(capsys):
    """They say nothing about a style; if all are rejected, the user is asked and may answer."""
    run(Toy(rejects=["list 0.", "list 1."]))
    assert "measuring both styles: 22/22 requests done" in capsys.readouterr().err
    assert fact()["probe"]["append"]["measured"] == 10
    Path("r").rename("other")
    with pytest.raises(UserError, match=r"set evolve\.style to append or rewrite"):
        run(Toy(rejects=["sorts"]), cache="d.db")
    assert fact() is None
    run(Toy(), style="append", cache="d.db")
    assert fact()["style"] == "append"


def test_an_estimate_counts_the_measurement(capsys):
    """Ten requests more than the evolutions of a model whose style is known."""
    calls = []
    for model in ("http://127.0.0.1:9/v1#toy", "http://127.0.0.1:9/v1#toy-7b"):
        command = ["run", "--seeds", "seeds.jsonl", "--model", model, "--dry-run", "--json"]
        assert main(command) == 0
        calls.append(json.loads(capsys.readouterr().out)["parts"][0]["calls"])
    assert calls[0] == calls[1] + 10


def test_a_seed_that_is_too_long_to_evolve_is_told_and_kept(capsys, tmp_path):
    """It is answered as any seed without an answer, costs no other request, and is never evolved."""
    long = f"Explain {' '.join(f'w{n}' for n in range(2_400))}."
    rows = [{"instruction": long}, {"instruction": "Write a program that sorts a list."}]
    Path("seeds.jsonl").write_text("\n".join(map(json.dumps, rows)))
    toy = Toy(model="mine-7b")
    run(toy)
    said = capsys.readouterr().err
    assert "1 seed has 400 words or more (eliminate.max_words)" in said
    assert toy.n == 1
    with RunStore.read(Path("r")) as store:
        dropped = store.db.number("SELECT COUNT(*) FROM drops WHERE reason = 'too_long'")
        n_answered = store.db.number("SELECT COUNT(*) FROM responses WHERE model IS NOT NULL")
    assert (dropped, n_answered) == (1, 3)
    run(Toy(model="mine-7b"))
    assert "eliminate.max_words" not in capsys.readouterr().err
