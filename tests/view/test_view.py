"""The viewer: who may see it, what it shows of runs and evaluations, and texts that attack it."""

import fcntl
import json
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

import evolcoder
import small_run
from evolcoder.bench.base import PromptForm, Sample
from evolcoder.cli.main import main
from evolcoder.config.load import validate
from evolcoder.engine.registry import digest_of
from evolcoder.evaluation.store import EvalStore
from evolcoder.records import (
    SEED_GROUP,
    Check,
    CheckResult,
    Drop,
    Reason,
    Response,
    Stage,
    Task,
    Usage,
)
from evolcoder.storage.annotations import Annotation, annotate
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.run_tables import MIGRATIONS
from evolcoder.storage.sqlite_files import migrate
from evolcoder.view import latest, live, samples
from viewer_client import BASE, PORT, TOKEN, Client, Shown, make_evaluations, make_run

TEMPLATES = Path(evolcoder.__file__).parent / "data" / "view"
SAME = {"origin": BASE, "sec-fetch-site": "same-origin"}
MADE = Usage("scripted#toy", 1, 1, 1)
HOSTILE = (
    "<script>alert(1)</script>",
    "</pre></section><img src=x onerror=alert(1)>",
    "\u202edrow\u202c and \x1b[31mred\x00",
    '"><svg/onload=alert(1)>',
    "{{ 7*7 }} {% raw %}",
    "javascript:alert(1)",
    "</title><meta http-equiv=refresh content='0;url=//evil'>",
    "```python\nprint('<b>')\n```\n~~~\nx",
)


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Pages wait for what is counted in a thread."""
    monkeypatch.setattr(latest, "WAIT_S", 60.0)


@pytest.fixture
def shown(tmp_path):
    return Shown(make_run(tmp_path / "run"), tmp_path / "index")


class Tags(HTMLParser):
    """Collects the tags of a page, and attributes that ask for something or run something."""

    def __init__(self, page):
        super().__init__()
        self.names, self.addresses = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        asking = {"src", "href", "action", "srcset", "data", "http-equiv", "style"}
        self.addresses += [
            value for name, value in attrs if name in asking or name.startswith("on")
        ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cookies": {}}, "printed"),
        ({"cookies": {f"evolcoder_view_{PORT}": "t" * 42}}, "printed"),
        ({"headers": {"host": "evil.example"}}, "127.0.0.1"),
        ({"headers": {"host": f"127.0.0.1.evil.example:{PORT}"}}, "127.0.0.1"),
        ({"headers": {"host": "127.0.0.1"}}, "127.0.0.1"),
        ({"headers": {"origin": "http://evil.example"}}, "another site"),
        ({"headers": {"origin": "null"}}, "another site"),
        ({"headers": {"sec-fetch-site": "cross-site"}}, "another site"),
        ({"headers": {"sec-fetch-site": "same-site"}}, "another site"),
        ({"method": "POST"}, "does not say"),
    ],
)
def test_others_get_nothing(shown, change, why):
    """Without the cookie, by another host's name, or from another site, no page is shown."""
    client = Client(shown.app, change.get("cookies", shown.client.cookies))
    answer = client.request(change.get("method", "GET"), "/", headers=change.get("headers", {}))
    assert answer.status_code == 403
    assert why in answer.text
    assert "run" not in answer.text.replace("printed", "")


def test_the_printed_address_opens_any_page(shown):
    """The token sets the cookie and leaves the address; only a right one does."""
    client = Client(shown.app)
    first = client.get(
        f"{shown.run}/rows?round=1&token={TOKEN}", headers={"sec-fetch-site": "cross-site"}
    )
    assert f'url={BASE}{shown.run}/rows?round=1"' in first.text
    assert {"HttpOnly", "SameSite=strict"} <= set(first.headers["set-cookie"].split("; "))
    assert client.get(f"{shown.run}/rows").status_code == 200
    assert client.get("/?token=x").status_code == 200  # the cookie suffices
    client.cookies.clear()
    assert client.get("/?token=x").status_code == 403
    assert f"url={BASE}/evil.example/" in client.get(f"//evil.example/?token={TOKEN}").text


def test_every_answer_forbids_what_is_not_ours(shown):
    """Pages, files and refusals have the policy; no page asks for anything outside."""
    for address in ("/", shown.run, "/static/view.js", "/nothing"):
        headers = shown.client.get(address).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; style-src 'self'; "
        )
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in Client(shown.app).get("/").headers["content-security-policy"]


def test_a_run_is_listed_and_its_rows_are_paged(tmp_path):
    """Pages follow each other forwards and backwards without a gap, whatever the place."""
    seeds = [Task.seed(f"Task {n}.", ordinal=n, language=None) for n in range(120)]
    shown = Shown(make_run(tmp_path / "run", seeds), tmp_path / "index")
    assert ">run</a>" in shown.page("/")
    wanted = [seed.id[:12] for seed in seeds]
    for filters in ("", "outcome=waiting"):
        pages, address = [], f"{shown.run}/rows?{filters}"
        while address:
            page = shown.page(address)
            pages.append(re.findall(r"facts\"><a [^>]*>(\w+)", page))
            links = dict(re.findall(r'rel="(next|prev)" href="([^"]*)"', page))
            back = links.get("prev")
            address = links.get("next") and f"{shown.run}/rows{links['next'].replace('&amp;', '&')}"
        assert [id for page in pages for id in page] == wanted
        before = shown.page(f"{shown.run}/rows{back.replace('&amp;', '&')}")
        assert re.findall(r"facts\"><a [^>]*>(\w+)", before) == pages[-2]


def test_a_row_shows_its_life(shown):
    """Seed, child with changed words, verdict, dropped evolution and links are on one page."""
    page = shown.page(f"{shown.run}/row/{small_run.CHILD.id}")
    assert "Sort <del>a list</del><ins>dates</ins>." in page
    assert "runs: passed" in page
    assert "evolve: empty" in page
    assert f'href="{shown.run}/row/{small_run.SEED.id}"' in page
    assert "no record" in shown.page(f"{shown.run}/row/{'0' * 32}", status=404)


def test_texts_of_models_are_data(tmp_path):
    """Whatever texts hold, pages have the tags of the templates alone and ask for nothing."""
    records, children = [], []
    for n, text in enumerate(HOSTILE):
        seed = Task.seed(text, ordinal=n, language=text)
        child = seed.child(f"{text} more", round=1, heuristic=text, language=text, made=MADE)
        drop = Drop(Stage.EVOLVE, Reason.EMPTY, child.id, 2, n, text, text, text, MADE)
        records += [seed, child, Response.to(child, text, reasoning=text, made=MADE), drop]
        children.append(child)
    hostile = Shown(make_run(tmp_path / "run", records), tmp_path / "index")
    note = {"note": "".join(HOSTILE)}
    hostile.client.post(f"{hostile.run}/row/{children[0].id}/annotate", data=note, headers=SAME)
    rows = [f"/row/{child.id}" for child in children]
    known = set()
    for address in ("", "/rows", "/rows?query=alert", "/drops?what=evolve:+empty", *rows):
        page = hostile.page(f"{hostile.run}{address}")
        found = Tags(page)
        assert found.names.count("script") == 1
        assert all(re.match(r"/|\?|#", one) for one in found.addresses), found.addresses
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e]", page)
        known |= set(found.names)
    ours = re.findall(r"<(\w+)", " ".join(
        path.read_text() for path in TEMPLATES.glob("*.html")))  # fmt: skip
    assert known <= {*ours, "del", "ins", "span", "code", "mark"}


def test_a_megabyte_of_text_is_cut_and_linked(tmp_path):
    """The page of a huge row stays small; the whole text is plain text of its own."""
    seed = Task.seed("say <b> & " * 100_000, ordinal=0, language=None)
    answer = Response.to(seed, "```python\n" + "x = '<'\n" * 120_000 + "```", made=MADE)
    shown = Shown(make_run(tmp_path / "run", [seed, answer]), tmp_path / "index")
    page = shown.page(f"{shown.run}/row/{seed.id}")
    assert len(page) < 1_000_000
    assert "980,000 more characters" in page
    whole = shown.client.get(f"{shown.run}/row/{seed.id}/text/task")
    assert whole.text == seed.instruction
    assert whole.headers["content-type"].startswith("text/plain")
    assert len(shown.page(f"{shown.run}/rows")) < 20_000


def test_flags_and_notes_are_stored_next_to_the_run(shown):
    """A second viewer sees them; the run's own files are unchanged; they filter and are exported."""
    folder = next(iter(shown.viewer.runs.values())).source.folder
    before = small_run.contents(folder)
    address = f"{shown.run}/row/{small_run.CHILD.id}/annotate"
    assert (
        shown.client.post(address, data={"flag": "on", "note": "wrong <unit>"}).status_code == 403
    )
    answer = shown.client.post(address, data={"flag": "on", "note": "wrong <unit>"}, headers=SAME)
    assert answer.status_code == 303
    after = small_run.contents(folder)
    assert after.keys() - before.keys() == {"annotations.jsonl"}
    assert {name: after[name] for name in before} == before
    other = Shown(folder, folder.parent / "other")
    assert "wrong &lt;unit&gt;" in other.page(f"{other.run}/row/{small_run.CHILD.id}")
    child, seed = small_run.CHILD.id[:12], small_run.SEED.id[:12]
    assert other.ids("?marked=flagged") == other.ids("?marked=noted") == [child]
    assert other.ids("?marked=not+flagged") == [seed]
    lines = other.page(f"{other.run}/rows.jsonl?marked=flagged").splitlines()
    assert [json.loads(line)["note"] for line in lines] == ["wrong <unit>"]
    shown.client.post(address, data={"note": ""}, headers=SAME)
    assert other.ids("?marked=flagged") == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"note=" + b"x" * 70_000, "64,000 bytes"),
        (b"&".join([b"flag=on"] * 30), "20 fields"),
        (b"", "it has no note"),
        (b"flag=on", "it has no note"),
        (b'{"flag": true, "note": "x"}', "it has no note"),
        (b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nx\r\n--x--', "it has no note"),
    ],
)
def test_a_form_that_is_not_ours_is_refused(shown, body, says):
    """Whatever it holds, nothing is stored, and a note that was stored stays."""
    folder = next(iter(shown.viewer.runs.values())).source.folder
    annotate(folder, small_run.CHILD.id, Annotation(note="keep me"))
    address = f"{shown.run}/row/{small_run.CHILD.id}/annotate"
    answer = shown.client.post(address, content=body, headers=SAME)
    assert answer.status_code == 404
    assert says in answer.text
    assert shown.ids("?marked=flagged") == []
    assert "keep me" in shown.page(f"{shown.run}/row/{small_run.CHILD.id}")


@pytest.mark.parametrize("more", ["", "&heuristic=deepen"])
@pytest.mark.parametrize(
    ("round", "n"),
    [("1", 1), ("0001", 1), ("7", 0), ("9999999", 0), ("9" * 11, 0), ("9" * 5000, 0)],
)
def test_a_round_that_a_run_does_not_have_has_no_rows(shown, round, n, more):
    """However large its number; by the run's own keys and by the index."""
    assert len(shown.ids(f"?round={round}{more}")) == n
    assert shown.page(f"{shown.run}/rows.jsonl?round={round}{more}").count("\n") == n


def test_a_long_search_is_refused(shown):
    """Thousands of words would be looked up for seconds."""
    assert shown.ids("?query=" + "sort+" * 200) == shown.ids("?query=sort")
    for page in ("rows", "rows.jsonl"):
        assert "1,000 characters" in shown.page(
            f"{shown.run}/{page}?query={'a+' * 501}", status=404
        )


def test_export_takes_flags_and_notes(shown, capsys):
    """Rows with a mark alone, or without it; the card says so; without marks, one line says how to."""
    folder = next(iter(shown.viewer.runs.values())).source.folder

    def exported(*flags):
        code = main(["export", str(folder), "--format", "alpaca", *flags])
        path = folder / "export" / "alpaca"
        rows = json.loads((path / "data.json").read_text())
        return code, [row["instruction"] for row in rows], (path / "README.md").read_text()

    assert exported("--flagged")[:2] == (1, [])
    assert "evolcoder view" in capsys.readouterr().err
    annotate(folder, small_run.CHILD.id, Annotation(is_flagged=True))
    code, rows, card = exported("--flagged")
    assert (code, rows) == (0, ["Sort dates."])
    assert "flagged rows only" in card
    assert exported("--not-flagged")[1] == ["Sort a list."]
    assert len(exported()[1]) == 2
    assert exported("--noted")[:2] == (1, [])
    assert "no row is noted" in capsys.readouterr().err
    annotate(folder, small_run.SEED.id, Annotation(note="wrong unit"))
    code, rows, card = exported("--noted")
    assert (code, rows) == (0, ["Sort a list."])
    assert "noted rows only" in card


def test_an_index_follows_a_run_that_goes_on(tmp_path):
    """Rows, answers, verdicts, drops and a second cleaning that come later are found later."""
    seeds = [
        Task.seed(f"Sort item {n} with heap_sort.", ordinal=n, language="python") for n in range(3)
    ]
    with RunStore.create(tmp_path / "run", validate({}, where="test")) as store:
        store.add_seeds(seeds)
        store.db.flush()
        shown = Shown(tmp_path / "run", tmp_path / "index")
        index = next(iter(shown.viewer.runs.values())).index
        ids = [seed.id[:12] for seed in seeds]
        assert shown.ids("?outcome=waiting") == ids
        assert shown.ids("?query=heap") == []  # words come with the outcome
        answer = Response.to(seeds[0], "```python\nprint('排序算法')\n```", made=MADE)
        store.add(answer)
        store.add(CheckResult.of(answer, Check.RUNS, "passed"))
        store.add(_drop(Stage.RESPOND, Reason.REFUSAL, seeds[1]))
        store.db.flush()
        assert index.update()
        assert shown.ids("?outcome=kept") == shown.ids("?verdict=runs:+passed") == [ids[0]]
        assert shown.ids("?outcome=dropped") == shown.ids("?outcome=respond:+refusal") == [ids[1]]
        assert shown.ids("?query=heap_sort") == ids[:2]
        assert shown.ids("?query=%E6%8E%92%E5%BA%8F+heap&heuristic=(seed)&language=python") == [
            ids[0]
        ]
        assert shown.ids('?query="item+0"+"sort+heap"') == shown.ids("?query=%2B%2B") == []
        for cleaned in ([_drop(Stage.CLEAN, Reason.DUPLICATE_NEAR, seeds[0])], []):
            store.replace_cleaned(cleaned, "clean", {"n_rows": 1, "dropped": {}, "embedder": None})
            assert index.update()
            wanted = [ids[0]] if cleaned else []
            assert shown.ids("?outcome=clean:+duplicate_near") == wanted
            assert ("duplicate_near" in shown.page(f"{shown.run}/drops")) is bool(cleaned)


def _drop(stage, reason, task):
    return Drop(stage, reason, task.id, task.round, task.ordinal, None, "seen", "why", None)


def test_an_index_goes_on_where_it_stopped_and_is_made_anew_if_damaged(shown):
    """A second viewer uses what is there; a file that is none of ours is replaced."""
    index = next(iter(shown.viewer.runs.values())).index
    with index.reader() as found:
        assert found.progress() == (2, 2, True)
    index.path.write_bytes(b"not a database" * 1000)
    assert index.update()
    assert shown.ids("?query=dates") == [small_run.CHILD.id[:12]]
    with open(f"{index.path}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert index.update() is False


def test_a_folder_without_write_access_is_shown_and_left_alone(tmp_path):
    """Pages and search work, and no file of the folder changes."""
    folder = make_run(tmp_path / "run")
    before = small_run.contents(folder)
    folder.chmod(0o555)
    try:
        shown = Shown(folder, tmp_path / "index")
        assert len(shown.ids("?query=sort")) == 2
    finally:
        folder.chmod(0o755)
    assert small_run.contents(folder) == before


def test_a_run_of_an_earlier_version_is_read_from_a_copy(tmp_path):
    """The copy is used until the file changes, and the file is not migrated."""
    folder = tmp_path / "run"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "run.db", isolation_level=None)) as old:
        migrate(old, MIGRATIONS[:-1], 0)
        old.execute(
            "INSERT INTO tasks (id, instruction, round, ordinal, root) VALUES ('a', 'x', 0, 0, 'a')"
        )
    before = small_run.contents(folder)
    shown = Shown(folder, tmp_path / "index")
    source = next(iter(shown.viewer.runs.values())).source
    copies = []
    for _ in range(2):
        assert shown.ids() == ["a"]
        with source.open() as store:
            copies.append(store)
    assert copies[0] is copies[1]
    assert small_run.contents(folder) == before
    with closing(sqlite3.connect(folder / "run.db", isolation_level=None)) as old:
        old.execute(
            "INSERT INTO tasks (id, instruction, round, ordinal, root) VALUES ('b', 'x', 0, 1, 'b')"
        )
    assert shown.ids() == ["a", "b"]


@pytest.fixture
def evaluations(tmp_path):
    """Two evaluations of three problems with two samples each; of the small benchmark's kind."""
    make_evaluations(tmp_path / "evals")
    return Shown(tmp_path / "evals", tmp_path / "index")


def test_an_evaluation_is_shown_by_problem(evaluations):
    """Scores, filters, answer, verdict and failing check; without the data, the page says so."""
    after, before = (f"/evaluation/{key}" for key in evaluations.viewer.evaluations)
    page = evaluations.page(before)
    assert "pass@1 <strong>50.0 %" in page
    listed = re.compile(r"id=HumanEval%2F(\d)")
    for outcome, wanted in (("all+passed", ["0"]), ("some+passed", ["1"]), ("none+passed", ["2"])):
        assert (
            listed.findall(evaluations.page(f"{before}/problems?bench=humaneval&outcome={outcome}"))
            == wanted
        )
    assert listed.findall(
        evaluations.page(f"{before}/problems?bench=humaneval&kind=passed&query=eval/1")
    ) == ["1"]
    page = evaluations.page(f"{after}/problem?bench=humaneval&id=HumanEval/0")
    for text in ("f() == 7", "&lt;i&gt;", "# after &lt;b&gt;", "--data-dir"):
        assert text in page
    assert "no samples" in evaluations.page(
        f"{after}/problem?bench=humaneval&id=nothing", status=404
    )


@pytest.mark.parametrize("is_counted", [False, True])
def test_problems_are_listed_by_their_numbers(tmp_path, monkeypatch, is_counted):
    """Page by page and from one to the next, also while the verdicts are counted."""
    monkeypatch.setattr(samples, "PAGE", 2)
    ids = [f"P/{n}" for n in (10, 2, 1, 100)]
    with EvalStore.create(tmp_path / "evals" / "one", {"model": "hf:m"}) as store:
        store.add_samples("toy", [Sample.of(id, 0, "x", PromptForm.ANSWER) for id in ids])
    shown = Shown(tmp_path / "evals", tmp_path / "index")
    (evaluation,) = shown.viewer.evaluations.values()
    if is_counted:
        assert evaluation.benches() is not None
    else:
        monkeypatch.setattr(evaluation, "bench", lambda *_, **__: None)
    filters, listed = samples.ProblemFilters("toy"), []
    while len(page := samples.list_problems(evaluation, filters, after="".join(listed[-1:]))[0]):
        assert all((one.n_samples, one.n_judged) == (1, 0) for one in page)
        listed += [one.problem for one in page[:2]]
    assert listed == ["P/1", "P/2", "P/10", "P/100"]
    assert samples.next_problem(evaluation, "toy", "P/2") == "P/10"
    assert samples.next_problem(evaluation, "toy", "P/100") is None


def test_two_evaluations_show_the_problems_that_changed(evaluations):
    """Problems with equal shares are left out; each link shows both answers."""
    after, before = evaluations.viewer.evaluations
    page = evaluations.page(f"/compare?a={before}&b={after}")
    assert re.findall(
        r"HumanEval/(\d)</a></td><td[^>]*>([\d.]+) %</td><td[^>]*>([\d.]+) %", page
    ) == [
        ("0", "100.0", "0.0"),
        ("2", "0.0", "100.0"),
    ]
    assert "2 of 3 problems" in page
    both = evaluations.page(f"/compare/problem?a={before}&b={after}&bench=humaneval&id=HumanEval/2")
    assert both.index("# before") < both.index("# after")


@pytest.mark.parametrize("kind", ["run", "evaluation"])
def test_counts_of_what_goes_on_have_rates(tmp_path, monkeypatch, kind):
    """Of a run and of an evaluation: what came since the last look, by the minute."""
    monkeypatch.setattr(latest, "PAUSE", 0)
    now = [1000.0]
    monkeypatch.setattr(live, "monotonic", lambda: now[0])
    if kind == "run":
        make_run(tmp_path / "x" / "run")
        folder, name = tmp_path / "x" / "run", "tasks"
        opened = partial(RunStore.create, folder, validate({}, where="test"))
    else:
        make_evaluations(tmp_path / "x")
        folder, name = tmp_path / "x" / "before", "samples"
        opened = partial(EvalStore.create, folder, {"model": "hf:before"})
    shown = Shown(folder, tmp_path / "index")
    source = next(iter((*shown.viewer.runs.values(), *shown.viewer.evaluations.values()))).source
    address = f"/{kind}/{source.key}"
    assert "Nothing was added" in shown.page(address)
    now[0] += 30.0
    with opened() as store:
        for n in range(3):
            if kind == "run":
                store.add(Task.seed(f"More {n}.", ordinal=10 + n, language=None))
            else:
                more = Sample("HumanEval/7", n, "x", PromptForm.ANSWER, None)
                store.add_sample("humaneval", more, "stop")
        store.db.flush()
    page = shown.page(f"{address}/live")
    while "/min" not in page:
        page = shown.page(f"{address}/live")
    assert re.search(rf"{name} <strong>\d+</strong> \(6/min\)", page)
    assert f"The {kind} is going on." in page
    assert "going on" in shown.page("/")


def test_prompts_and_programs_come_from_data_that_is_here(evaluations, shared):
    """With the benchmark's file, a problem shows its prompt, its calls and the extracted program."""
    folder = next(iter(evaluations.viewer.evaluations.values())).source.folder.parent
    known = Shown(folder, folder.parent / "index", data=[shared])
    key = next(iter(known.viewer.evaluations))
    page = known.page(f"/evaluation/{key}/problem?bench=humaneval&id=HumanEval/0")
    assert "has_close_elements" in page
    assert "Extracted program" in page


@pytest.mark.parametrize("where", ["as it was named", "in --data-dir", "gone", "changed"])
def test_a_benchmark_of_ones_own_is_read_if_it_is_the_one_that_was_evaluated(tmp_path, where):
    """By the path that was given, or by its name in the data folder; another version is not shown."""
    problem = {"task_id": "own/0", "entry_point": "f", "prompt": 'def f(x):\n    """Own task."""\n',
               "canonical_solution": "    return x\n",
               "test": "def check(candidate):\n    assert candidate(1) == 1\n"}  # fmt: skip
    path, data = tmp_path / "own.jsonl", tmp_path / "data"
    data.mkdir()
    path.write_text(json.dumps(problem))
    settings = {"model": "x", "bench_files": {str(path): digest_of(path)}}
    with EvalStore.create(tmp_path / "eval", settings) as store:
        text = "```python\ndef f(x):\n    return 7 + x\n```"
        store.add_sample("own", Sample("own/0", 0, text, PromptForm.ANSWER, None), "stop")
    if where == "in --data-dir":
        path.rename(data / path.name)
    elif where == "gone":
        path.unlink()
    elif where == "changed":
        path.write_text(json.dumps(problem).replace("Own", "Other"))
    shown = Shown(tmp_path / "eval", tmp_path / "index", data=[data])
    address = f"/evaluation/{next(iter(shown.viewer.evaluations))}/problem?bench=own&id=own/0"
    page = shown.page(address)
    is_shown = where in ("as it was named", "in --data-dir")
    assert ("Own task." in page) == is_shown
    assert ("Extracted program" in page) == is_shown
    assert ("name the folder with that file with --data-dir" in page) != is_shown
    if where == "gone":
        path.write_text(json.dumps(problem))
        assert "Own task." in shown.page(address)


def test_a_damaged_folder_hides_no_other(tmp_path):
    """What is wrong with one folder is one line in the list, and its own page is an error."""
    make_run(tmp_path / "runs" / "good")
    bad = make_run(tmp_path / "runs" / "bad")
    shown = Shown(tmp_path / "runs", tmp_path / "index")
    (bad / "run.db").write_bytes(b"x" * 5000)
    page = shown.page("/")
    assert "damaged" in page
    assert "rows kept <strong>2</strong>" in page
    key = next(key for key, run in shown.viewer.runs.items() if run.source.name == "bad")
    assert "damaged" in shown.page(f"/run/{key}", status=503)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such folder"),
        (["."], "holds no run, evaluation, loop or cleaned file"),
        (["run", "--port", "70000"], "--port 70000"),
        (["run", "--data-dir", "nowhere"], "--data-dir nowhere"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    """A path without a run, or a port that is none, ends with exit code 2."""
    monkeypatch.chdir(tmp_path)
    if "run" in arguments:
        make_run(tmp_path / "run")
    assert main(["view", *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("module", ["jinja2", "starlette", "uvicorn"])
def test_a_missing_library_is_one_line(tmp_path, monkeypatch, capsys, module):
    """Without the extra, the message says how to install it."""
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["view", str(make_run(tmp_path / "run"))]) == 2
    assert "evolcoder[view]" in capsys.readouterr().err


def test_a_server_answers_on_loopback_until_interrupted(tmp_path):
    """The printed address works while a run writes; Ctrl-C ends it in one line."""
    with RunStore.create(tmp_path / "run", validate({}, where="test")) as store:
        small_run.fill(store)
        store.db.flush()
        command = [sys.executable, "-m", "evolcoder.cli.main", "view", str(tmp_path / "run")]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as server:
            address = server.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", address)
            base = address.partition("?")[0]
            with httpx.Client(timeout=60) as client:
                assert client.get(base).status_code == 403
                client.get(address)
                assert "tasks <strong>2</strong>" in client.get(base).text
                store.add(Task.seed("One more.", ordinal=7, language=None))
                store.db.flush()
                while "tasks <strong>3</strong>" not in client.get(base).text:
                    pass
            server.send_signal(signal.SIGINT)
            _, err = server.communicate(timeout=60)
    assert server.returncode == 130
    assert err.count("\n") == 2
    assert "Traceback" not in err


def test_a_heuristic_named_seed_is_not_a_seed(tmp_path):
    """Seeds have a group of their own, whatever the user's heuristics are named."""
    seed = Task.seed("Sort.", ordinal=0, language=None)
    child = seed.child("Sort dates.", round=1, heuristic="seed", language=None, made=MADE)
    shown = Shown(make_run(tmp_path / "run", [seed, child]), tmp_path / "index")
    assert shown.ids(f"?heuristic={SEED_GROUP}") == [seed.id[:12]]
    assert shown.ids("?heuristic=seed") == [child.id[:12]]
    assert f'<option value="{SEED_GROUP}"' in shown.page(f"{shown.run}/rows")
