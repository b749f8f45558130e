"""`verify`, `clean`, `eval` and `run` with `--cluster` give what they give on one machine."""

import json
import re

import pytest

import toys
from all_tables import tables_of
from evolcoder.bench.fetch import DataFolder
from evolcoder.bench.registry import bench_named
from evolcoder.cli.main import main
from evolcoder.sandbox.base import STRICT_LAYERS
from jsonl import write_jsonl
from loopback import Loopback, in_thread

pytestmark = pytest.mark.cluster
CLUSTER = ["--cluster", "local:4"]


@pytest.fixture(autouse=True)
def _cluster(whole_cluster, tmp_path):
    """The command line uses the connection that is there."""


def ran(capsys, *arguments):
    """Run a command; return its exit code and what it printed."""
    code = main(list(map(str, arguments)))
    return code, capsys.readouterr()


@pytest.fixture
def _measured(measured_controls, monkeypatch):
    """What references of benchmarks need is measured once."""
    monkeypatch.setenv("EVOLCODER_CACHE", str(measured_controls))


def both(capsys, tmp_path, *arguments):
    """Run a command here and on the cluster, each into a folder of its own; return the outputs."""
    found = []
    for name, flags in (("here", []), ("there", CLUSTER)):
        out = tmp_path / name
        code, said = ran(capsys, *arguments, "--out", out, *flags)
        assert ("cluster local:4: 4 nodes run" in said.err) is bool(flags)
        shown = re.sub(r"(?m)^time .*$", "time", said.out)
        found.append((code, shown.replace(str(out), "OUT")))
    return found


def rows_file(path):
    """Rows whose programs pass, fail, do not parse, and run into their limit."""
    programs = ("print(1)", "1 / 0", "def f(:", "while True: pass", "import sys; sys.exit(3)")
    rows = [
        {"instruction": f"Write {i}.", "output": f"```python\n{source}\n```"}
        for i, source in enumerate(programs)
    ]
    write_jsonl(path, rows)
    return path


def test_verify(capsys, tmp_path):
    """Of a data set: the same verdicts, drops and export."""
    rows = rows_file(tmp_path / "rows.jsonl")
    here, there = both(capsys, tmp_path, "verify", rows, "--set", "verify.cpu_s=1")
    assert here == there
    assert here[0] == 0
    assert tables_of(tmp_path / "here") == tables_of(tmp_path / "there")
    assert len(tables_of(tmp_path / "here")["verdicts"]) == 5


def test_verify_a_run(capsys, tmp_path):
    """In its own folder; the address is that of the flag, not that of the run's config."""
    rows = rows_file(tmp_path / "rows.jsonl")
    kept = []
    for name, flags in (("here", []), ("there", CLUSTER)):
        run = tmp_path / name
        script = tmp_path / "model.json"
        script.write_text('{"rules": [{"match": "", "answer": "I cannot."}]}')
        made = ["run", "--seeds", rows, "--model", f"scripted:{script}", "--rounds", "0"]
        where = ["--out", run, "--set", "verify.checks=[]", "--set", "cluster.address=h:1"]
        assert ran(capsys, *made, *where)[0] == 0
        code, said = ran(capsys, "verify", run, "--set", "verify.cpu_s=1", *flags)
        assert ("cluster local:4" in said.err) is bool(flags)
        kept.append((code, tables_of(run)))
    assert kept[0] == kept[1]
    assert len(kept[0][1]["verdicts"]) == 5


@pytest.mark.usefixtures("_measured")
def test_clean_by_execution(capsys, tmp_path, shared):
    """Answers run in the sandboxes of nodes: the same rows are dropped with the same evidence."""
    problems = bench_named("humaneval", DataFolder(shared, tmp_path)).problems()
    answers = [f"```python\n{problems[n].reference}```" for n in (10, 33)]
    rows = zip(("Tidy two beacons.", "Sort a fleet.", "Print one."),
               (*answers, "```python\nprint(1)\n```"), strict=True)  # fmt: skip
    data = tmp_path / "rows.jsonl"
    pairs = ({"instruction": task, "output": answer} for task, answer in rows)
    write_jsonl(data, pairs)
    found = []
    for name, flags in (("here", []), ("there", CLUSTER)):
        out = tmp_path / name / "rows.jsonl"
        out.parent.mkdir()
        code, said = ran(
            capsys, "clean", data, "--against", "humaneval", "--data-dir", shared, "--detectors",
            "execution", "--out", out, "--json", *flags,
        )  # fmt: skip
        assert ("cluster local:4: 4 nodes run" in said.err) is bool(flags)
        files = {path.name: path.read_text() for path in out.parent.iterdir()}
        found.append((code, said.out.replace(str(out.parent), "OUT"), files))
    assert found[0] == found[1]
    assert json.loads(found[0][1])["dropped"] == {"leak": 2}
    assert set(json.loads(found[0][1])["layers"]) >= set(STRICT_LAYERS)


@pytest.mark.usefixtures("_measured")
def test_clean_a_run_by_execution(capsys, tmp_path, shared):
    """At the end of `run` and by the verb, which goes where its flag says."""
    problem = bench_named("humaneval", DataFolder(shared, tmp_path)).problems()[10]
    seeds, script, out = (tmp_path / name for name in ("seeds.jsonl", "model.json", "run"))
    answers = (f"```python\n{problem.reference}```", "```python\nprint(1)\n```")
    pairs = ({"instruction": f"Write {i}.", "output": one} for i, one in enumerate(answers))
    write_jsonl(seeds, pairs)
    script.write_text('{"rules": [{"match": "", "answer": "I cannot."}]}')
    cleaning = ["--set", "clean.against=[humaneval]", "--set", f"clean.data_dir={shared}",
                "--set", "clean.detectors=[execution]", "--set", "clean.near=null"]  # fmt: skip
    made = ["run", "--seeds", seeds, "--model", f"scripted:{script}", "--rounds", "0"]
    assert ran(capsys, *made, *cleaning, "--out", out, *CLUSTER)[0] == 0
    drops = tables_of(out)["drops"]
    assert [drop[:2] for drop in drops] == [("clean", "leak")]
    for flags in ([], CLUSTER):
        code, said = ran(capsys, "clean", out, *flags)
        assert (code, "cluster local:4" in said.err) == (0, bool(flags))
        assert tables_of(out)["drops"] == drops


@pytest.mark.usefixtures("_measured")
def test_eval(capsys, tmp_path, shared):
    """The same verdict of every sample, and the same score."""
    problems = bench_named("humaneval", DataFolder(shared, tmp_path)).problems()[:12]
    samples = tmp_path / "samples.jsonl"
    solutions = (p.stub if n % 3 == 0 else p.reference for n, p in enumerate(problems))
    pairs = [{"task_id": p.id, "solution": s} for p, s in zip(problems, solutions, strict=True)]
    write_jsonl(samples, pairs)
    flags = ["--bench", "humaneval", "--samples", samples, "--data-dir", shared, "--limit", "12"]
    here, there = both(capsys, tmp_path, "eval", *flags, "--json")
    score = [json.loads(one[1])["results"][0]["scores"][0]["value"] for one in (here, there)]
    assert score == [pytest.approx(8 / 12)] * 2
    verdicts = [_verdicts(capsys, tmp_path / name) for name in ("here", "there")]
    assert verdicts[0] == verdicts[1]
    assert len(verdicts[0]) == 12


def _verdicts(capsys, folder):
    """Verdicts of an evaluation, without what differs from run to run."""
    _, said = ran(capsys, "inspect", folder, "--json", "--limit", "100")
    timed = {"cpu_s", "wall_s", "peak_mb", "compile_s"}
    return [
        {**one, "facts": {key: value for key, value in one["facts"].items() if key not in timed}}
        for one in json.loads(said.out)["verdicts"]
    ]


def test_run(capsys, tmp_path):
    """Two rounds with a model server, without a cache: the same rows in all tables."""
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", 10)
    with in_thread(Loopback(answer=toys.answer)) as server:
        model = f"{server.base_url}#toy"
        flags = ["--seeds", seeds, "--model", model, "--rounds", "2", "--style", "append"]
        always = ["--set", "verify.when=always", "--set", "clean.near=null", "--json"]
        codes = []
        for name, where in (("here", []), ("there", CLUSTER)):
            folders = ["--out", tmp_path / name, "--cache", tmp_path / f"{name}.db"]
            codes.append(ran(capsys, "run", *flags, *always, *folders, *where)[0])
    assert codes == [0, 0]
    assert tables_of(tmp_path / "here") == tables_of(tmp_path / "there")
    assert len(tables_of(tmp_path / "here")["verdicts"]) > 10
