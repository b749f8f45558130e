"""A run with a leak and stored similarity, a cleaned file, and the results of a loop, all small."""

import json

import small_run
from decontamination.leaky import ITEMS
from deduplication.hashing import Hashing
from evolcoder.bench.base import AssertChecks, Problem
from evolcoder.bench.function_bench import FunctionBench
from evolcoder.cli.main import main
from evolcoder.config.load import validate
from evolcoder.decontamination.similarity import FILE_NAME, compare_rounds, rows_digest
from evolcoder.experiment import results
from evolcoder.experiment.results import StoredSample
from evolcoder.records import Drop, Reason, Response, Stage, Task
from evolcoder.storage.run_store import RunStore
from jsonl import write_jsonl
from small_bench import ask

LEAK = ITEMS[0]
HIT = {"row": "x", "benchmark": "toy", "item": LEAK.id, "detector": "substring", "part": "task",
       "side": "prompt", "seen": LEAK.wording, "score": 12.0, "mark": "tells"}  # fmt: skip


COUNTS = [at % 7 for at in range(1, 44)]
"""Requests that were answered in each 10 s of the run."""


def toy_bench(_=None):
    """The problems that texts leak, as a benchmark."""
    problems = tuple(
        Problem(one.id, one.prompt, AssertChecks(one.tests, ("f",), None), one.solution, "", ())
        for one in ITEMS[:4]
    )
    return FunctionBench("toy", problems, ask)


def add_spans(store, counts, *, begun=1_700_000_000):
    """Store a session that recorded so many completions in each 10 s, of 300 and 200 tokens."""
    for at, n in enumerate(counts):
        if n:
            span = (begun, begun + 10 * at, n, 300 * n, 200 * n)
            store.db.write("INSERT INTO throughput VALUES (?, ?, ?, ?, ?)", span)
        for _ in range(n):
            store.db.write("INSERT INTO calls VALUES ('toy', 300, 200, '', '')", ())
    store.db.flush()


def run(folder, *, measured=True):
    """Write a run of two rounds with a row that leaks a problem, and a session of 7 minutes."""
    with RunStore.create(folder, validate({}, where="test")) as store:
        small_run.fill(store)
        seed = Task.seed(LEAK.wording, ordinal=1, language=None)
        store.add_seeds([seed, Response.to(seed, f"```python\n{LEAK.solution}```", made=None)])
        drop = Drop(Stage.CLEAN, Reason.LEAK, seed.id, 0, 1, None, "x", json.dumps([HIT]), None)
        fact = {**small_run.FACTS["clean"], "dropped": {"leak": 1}}
        store.replace_cleaned([drop], "clean", fact, with_leaks=True)
        add_spans(store, COUNTS)
        rows = list(store.rows())
        if measured:
            found = compare_rounds(rows, ITEMS, Hashing(), seed=0, n_rows=len(rows)).as_plain()
            found["settings"] = {"rows": rows_digest(rows)[0], "embedder": "hashing-64",
                                 "benchmarks": {"toy": ""}, "bounds": {"cosine": 0.7}}  # fmt: skip
            (folder / FILE_NAME).write_text(json.dumps(found))
    return folder


def cleaned(folder):
    """Clean a file with a repeated row and a leak; return the cleaned file."""
    rows = [{"instruction": f"Count the {word} in a list of words.", "output": "len(x)"}
            for word in ("vowels", "commas", "vowels")]  # fmt: skip
    rows.append({"instruction": LEAK.wording, "output": f"```python\n{LEAK.solution}```"})
    data, out = folder / "data.jsonl", folder / "clean.jsonl"
    write_jsonl(data, rows)
    assert main(["clean", str(data), "--against", "toy", "--detectors", "ngrams,substring",
                 "--out", str(out)]) == 0  # fmt: skip
    return out


def loop(folder, *, rounds=3):
    """Write the results of a loop of which each round passes one more of ten problems."""
    arms = ["seed", *(f"merge-0..{k}" for k in range(1, rounds))]
    trainings = [
        {"arm": arm, "seed": seed, "key": f"{arm}/{seed}", "data": "d", "n_rows": 10 * (at + 1),
         "n_tokens": 100 * (at + 1), "steps": None}
        for at, arm in enumerate(arms) for seed in (0, 1)
    ]  # fmt: skip
    judgements = [
        {"round": k, "standing": "first" if k == 0 else "higher", "score": (k + 3) / 10,
         "beside": max(0, k - 1), "change": 0.1 * bool(k), "p_value": 1.0, "test": "",
         "reason": f"round {k} was judged"}
        for k in range(rounds)
    ]  # fmt: skip
    facts = {
        "config": {"tests": ["humaneval+", "humaneval-js"], "dev": {"bench": "mbpp-dev"},
                   "run": {"seed": 0}, "student": {"path": "toy"}, "ask": {"n": 1}},
        "decision": {"stop": False, "best": rounds - 1, "judgements": judgements, "reason": ""},
        "n_dev": 10, "skipped": [], "trainings": trainings, "versions": {"evolcoder": "0"},
        "steps": [{"kind": "train", "name": "x", "seconds": 3.0, "detail": "", "busy": None}],
    }  # fmt: skip
    samples = [
        StoredSample(f"p/{n}", one["key"], 0, "x", "answer", n < arms.index(one["arm"]) + 3, None, "")
        for one in trainings for n in range(10)
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    results.write(folder, facts, dict.fromkeys(("humaneval+", "humaneval-js", "mbpp-dev"), samples))
    return folder
