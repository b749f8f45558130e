"""Texts that are longer than a page shows: each is cut, and a link next to it gives all of it."""

import json
import re
from dataclasses import replace
from html import unescape

import pytest

import small_run
from evolcoder.bench import registry
from evolcoder.bench.base import Problem, PromptForm, Sample
from evolcoder.cli.main import main
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.records import Drop, Reason, Response, ResponseCandidate, Stage, Task
from evolcoder.view import latest
from report import samples
from small_bench import ask
from viewer_client import Shown, make_run


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    monkeypatch.setattr(latest, "WAIT_S", 60.0)


def long(name):
    """Return a text whose end is on no page that cuts it."""
    return f"{name} <b> & 'x'\n" * 3000 + f"the end of {name}"


def run(folder, _):
    """A row with a long text in each of its places; its page."""
    seed = Task.seed("Sort.", ordinal=0, language="python")
    child = seed.child(
        long("task"), round=1, heuristic="deepen", language=None, made=small_run.MADE
    )
    answer = Response.to(child, long("answer"), reasoning=long("reasoning"), made=small_run.MADE)
    others = [
        ResponseCandidate(child.id, 1, 0, number, long(f"other {number}"), "", "", "", 0.7, 1,
                          small_run.MADE)
        for number in (1, 2)
    ]  # fmt: skip
    drop = Drop(Stage.VERIFY, Reason.EMPTY, child.id, 1, 0, "deepen", "", long("evidence"), None)
    make_run(folder, [seed, Response.to(seed, "x", made=None), child, answer, *others, drop])
    shown = Shown(folder, folder.parent / "index")
    names = ("task", "answer", "reasoning", "other 1", "other 2", "evidence")
    return shown, f"{shown.run}/row/{child.id}", names


def _evaluations(folder, monkeypatch):
    problem = Problem(
        "toy/0", long("prompt"), replace(samples.toy_bench().problems()[0].checks, test_source=long("checks")),
        "", "", (),
    )  # fmt: skip
    bench = type(samples.toy_bench())("toy", (problem,), ask)
    monkeypatch.setitem(registry.BENCHES, "toy", lambda _: bench)
    for name in ("before", "after"):
        with EvalStore.create(folder / name, {"model": f"hf:{name}"}) as store:
            text = f"```python\n{long(f'answer of {name}')}\n```"
            store.add_sample("toy", Sample("toy/0", 0, "x", PromptForm.ANSWER, None), "stop")
            store.add_sample("toy", Sample("toy/0", 3, text, PromptForm.ANSWER, None), "stop")
            facts = {
                one: long(f"{one} of {name}") for one in ("check", "expected", "got", "detail")
            }
            facts["kind"] = "wrong"
            store.add_verdict("toy", StoredVerdict("toy/0", 3, False, None, "fence", facts))
    shown = Shown(folder, folder.parent / "index", data=[folder])
    return shown, ("prompt", "checks")


def _of_samples(*names):
    return [f"{part} of {name}" for name in names
            for part in ("answer", "check", "expected", "got", "detail")]  # fmt: skip


def problem(folder, monkeypatch):
    """A problem and its second sample."""
    shown, names = _evaluations(folder, monkeypatch)
    (key,) = (one.source.key for one in shown.viewer.evaluations.values()
              if one.source.name == "after")  # fmt: skip
    address = f"/evaluation/{key}/problem?bench=toy&id=toy/0"
    return shown, address, [*names, *_of_samples("after")]


def two(folder, monkeypatch):
    """A problem with the samples of two evaluations."""
    shown, names = _evaluations(folder, monkeypatch)
    first, second = shown.viewer.evaluations
    address = f"/compare/problem?a={first}&b={second}&bench=toy&id=toy/0"
    return shown, address, [*names, *_of_samples("before", "after")]


def duplicate(folder, _):
    """A dropped row of a cleaned file next to the one that was kept."""
    return _cleaned(
        folder, [("one", "first"), ("one", "second")], (), ("task one", "first", "second"), number=0
    )


def leak(folder, monkeypatch):
    """A dropped row of a cleaned file next to the problem that it contains."""
    monkeypatch.setitem(registry.BENCHES, "toy", samples.toy_bench)
    words = samples.LEAK.wording
    rows = [(words, "leaked"), ("two", "other")]
    against = ("--against", "toy", "--detectors", "substring")
    return _cleaned(folder, rows, against, (f"task {words}", "leaked"), number=0)


def _cleaned(folder, rows, options, names, number):
    folder.mkdir()
    data, out = folder / "data.jsonl", folder / "clean.jsonl"
    lines = [{"instruction": f"{task}\n{long(f'task {task}')}", "output": long(answer)}
             for task, answer in rows]  # fmt: skip
    data.write_text("".join(f"{json.dumps(row)}\n" for row in lines))
    assert main(["clean", str(data), *options, "--out", str(out)]) == 0
    shown = Shown(out, folder.parent / "index")
    return shown, f"/cleaned/{next(iter(shown.viewer.reports.shown))}/row/{number}", names


@pytest.mark.parametrize("make", [run, problem, two, duplicate, leak])
def test_every_text_that_is_cut_has_a_link_to_all_of_it(tmp_path, monkeypatch, make):
    """Pages stay small; the whole texts are plain text of their own, and nothing is left out unsaid."""
    shown, address, names = make(tmp_path / "made", monkeypatch)
    page = shown.page(address)
    links = {unescape(one) for one in re.findall(r'more characters: <a href="([^"]+)"', page)}
    texts = [shown.client.get(link) for link in links]
    assert {one.status_code for one in texts} == {200}
    assert {one.headers["content-type"].split(";")[0] for one in texts} == {"text/plain"}
    for name in names:
        assert f"the end of {name}" not in page
        assert any(long(name).strip() in one.text for one in texts), name
    for link in links:
        wrong = re.sub(r"(part=|text/)[^&]*$", r"\1nothing", link)
        assert "there is no text &#39;nothing&#39;" in shown.page(wrong, status=404)
