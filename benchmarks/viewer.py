"""Measures the viewer's pages on runs and evaluations of scripted rows.

    python benchmarks/viewer.py                          100,000 rows, 20,000 samples; minutes
    python benchmarks/viewer.py --rows 1000000 --samples 200000 --work DIR

Writes a run and two evaluations, starts `evolcoder view` on them, waits for the index, and asks for
each page several times, through HTTP. Folders in DIR that are there already are used again. Beyond
20,000 rows, the first ones are copied under other ids and seeds. Prints a Markdown table of
milliseconds, elapsed and of the server's processor time, the time and size of the index, and the
server's memory.
"""

import argparse
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from evolcoder.bench.base import PromptForm, Sample
from evolcoder.config.load import validate
from evolcoder.evaluation.store import EvalStore, StoredVerdict
from evolcoder.records import Check, CheckResult, Drop, Reason, Response, Stage, Task, Usage
from evolcoder.storage.run_store import RunStore
from harness.copied_rows import TABLES, copying
from harness.table import below
from harness.table import targets as target_table

ROUNDS = 4
"""Rounds of the run; the rows are spread over these and the seeds."""
WORDS = [
    f"{a}{b}"
    for a in "sort list tree graph cache index parse date string matrix queue stack hash".split()
    for b in ("", "s", "ed", "ing", "er", "_fast", "_sum", "_map")
]
RARE = "xylophone"
"""A word of one row in 10,000."""
HEURISTICS = ("constrain", "deepen", "concretize", "misdirect", "complexity")
MADE = Usage("scripted#bench", 300, 400, 1)
MOST_WRITTEN = 20_000
"""Most rows or samples that are written one by one."""
FIRST_PAGE_MS, SEARCH_MS = 200, 1_000


def main() -> None:
    args = _arguments()
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        run = work / f"run-{args.rows}"
        evaluations = [work / f"eval-{args.samples}-{name}" for name in "ab"]
        _make(run, lambda: make_run(run, args.rows))
        for at, folder in enumerate(evaluations):
            _make(folder, lambda at=at, f=folder: make_evaluation(f, args.samples, at))  # type: ignore[misc]
        _measure(run, evaluations, work / "cache", args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rows", type=int, default=100_000)
    add("--samples", type=int, default=20_000)
    add("--times", type=int, default=15, help="requests of each page")
    add("--work", type=Path, metavar="DIR", help="folder for the data, to use it again")
    return parser.parse_args()


def _make(folder: Path, make: Any) -> None:
    if not folder.exists():
        started = time.perf_counter()
        make()
        print(f"{folder.name} written in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _sentences() -> list[str]:
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=10)) for _ in range(5_000)]


SENTENCES = _sentences()
"""Of ten words each; texts are made of them, since drawing each word would take long."""


def _text(rng: random.Random, n: int) -> str:
    """Return n times ten words."""
    return " ".join(rng.choices(SENTENCES, k=n))


def _records(n: int) -> Iterator[Any]:
    """Yield the records of a run, round by round."""
    per_round = n // (ROUNDS + 1)
    parents: list[Task] = []
    for round in range(ROUNDS + 1):
        children = []
        for ordinal in range(per_round):
            rng = random.Random(round * n + ordinal)
            task = _task(rng, round, ordinal, parents)
            children.append(task)
            yield task
            yield from _outcome(rng, task)
        parents = children


def _task(rng: random.Random, round: int, ordinal: int, parents: list[Task]) -> Task:
    rare = f" {RARE}" if ordinal % 10_000 == 7 else ""
    text = f"Task {ordinal}.{rare} {_text(rng, 4)}"
    language = rng.choice(("python", "python", "python", "java", "rust", None))
    if not round:
        return Task.seed(text, ordinal=ordinal, language=language)
    name = rng.choices(HEURISTICS, (50, 30, 15, 4.99, 0.01))[0]
    return parents[ordinal].child(text, round=round, heuristic=name, language=language, made=MADE)


def _outcome(rng: random.Random, task: Task) -> Iterator[Any]:
    chance = rng.random()
    place = (task.id, task.round, task.ordinal, task.heuristic)
    if chance < 0.1:
        reason = Reason.REFUSAL if chance < 0.0001 else Reason.TRUNCATED
        yield Drop(Stage.RESPOND, reason, *place, _text(rng, 2), _text(rng, 1), MADE)
        return
    answer = Response.to(
        task, f"Here:\n```python\n{_text(rng, 2)}\n```\n{_text(rng, 6)}", made=MADE
    )
    yield answer
    kind = "passed" if chance < 0.9 else "error"
    yield CheckResult.of(answer, Check.RUNS, kind, detail={"why": _text(rng, 1)})


def _copy_rows(n_copies: int, n_seeds: int) -> Iterator[tuple[str, tuple[()]]]:
    """Yield statements that copy all rows, round by round."""
    for round, copy, table in itertools.product(range(ROUNDS + 1), range(1, n_copies), TABLES):
        yield copying(table, round=round, copy=copy, n_seeds=n_seeds), ()


def make_run(folder: Path, n: int) -> None:
    """Write a run of n rows."""
    written = min(n, MOST_WRITTEN)
    with RunStore.create(folder, validate({}, where="benchmark")) as store:
        for record in _records(written):
            store.add(record)
        n_seeds = written // (ROUNDS + 1)
        store.db.write_all(_copy_rows(n // written, n_seeds))
        for round in range(ROUNDS + 1):
            store.open_round(round, n // (ROUNDS + 1))
        store.set_meta("seeds", {"source": "scripted", "format": "alpaca", "n_rows": n // 5})
        store.set_meta("verify", {"checks": ["runs"], "languages": ["python"], "seeds": True})


def make_evaluation(folder: Path, n: int, seed: int) -> None:
    """Write an evaluation of n samples, a hundred to a problem."""
    written = min(n, MOST_WRITTEN)
    rng = random.Random(seed)
    with EvalStore.create(folder, {"model": "scripted#bench", "seed": seed}) as store:
        for at in range(written):
            problem, number = f"Bench/{at // 100}", at % 100
            text = f"```python\n{_text(rng, 4)}\n```"
            store.add_sample(
                "bench", Sample(problem, number, text, PromptForm.ANSWER, None), "stop"
            )
            passed = rng.random() < 0.6
            facts = {
                "kind": "passed" if passed else rng.choice(("wrong", "error", "time")),
                "check": "assert f(1) == 2", "detail": _text(rng, 1), "layers": ["seccomp"] * 6,
            }  # fmt: skip
            store.add_verdict("bench", StoredVerdict(problem, number, passed, None, "fence", facts))
        store.db.write_all(_copy_samples(n // written, written // 100))


def _copy_samples(n_copies: int, n_problems: int) -> Iterator[tuple[str, tuple[()]]]:
    """Yield statements that copy all samples to further problems."""
    columns = {
        "samples": "text, form, fault, finish",
        "verdicts": "passed, base_passed, found, facts",
    }
    for copy, (table, rest) in itertools.product(range(1, n_copies), columns.items()):
        id = f"'Bench/' || (substr(problem, 7) + {copy * n_problems})"
        where = f"substr(problem, 7) + 0 < {n_problems}"
        yield (
            f"INSERT INTO {table} SELECT bench, {id}, number, {rest} FROM {table} WHERE {where}",
            (),
        )


def _measure(run: Path, evaluations: list[Path], cache: Path, args: argparse.Namespace) -> None:
    before = _size(cache)
    command = [sys.executable, "-m", "evolcoder.cli.main", "view", str(run), *map(str, evaluations)]
    environment = {**os.environ, "EVOLCODER_CACHE": str(cache)}
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        try:
            address = server.stdout.readline().strip()
            with httpx.Client(base_url=address.partition("/?")[0], timeout=120) as client:
                client.get(address).raise_for_status()
                _report(client, server.pid, started, args)
        finally:
            server.terminate()
    print(f"\nIndex: {(_size(cache) - before) / 1e6:,.0f} MB; run: {_size(run) / 1e6:,.0f} MB")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _peak_mb(pid: int) -> float:
    """Return a process's greatest resident memory so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _report(client: httpx.Client, pid: int, started: float, args: argparse.Namespace) -> None:
    home = client.get("/").text
    run = re.findall(r"/run/\w+", home)[0]
    first, second = re.findall(r"/evaluation/(\w+)", home)
    print(f"before the index is made, first page: {_ms(client, f'{run}/rows', args.times)}")
    while "indexed so far" in client.get(f"{run}/rows?query={RARE}").text:
        time.sleep(1)
    seconds = time.perf_counter() - started
    print(f"index of {args.rows:,} rows made {seconds:,.0f} s after the start; "
          f"peak memory then {_peak_mb(pid):,.0f} MB\n")  # fmt: skip
    middle = (ROUNDS // 2 << 36) | args.rows // 10
    row = re.findall(r"/row/(\w+)", client.get(f"{run}/rows?round={ROUNDS}").text)[0]
    both = f"a={first}&b={second}&bench=bench"
    problems = f"/evaluation/{first}/problems?bench=bench"
    lists = {
        "rows, first page": f"{run}/rows",
        "rows, in the middle": f"{run}/rows?after={middle}",
        "rows, last page": f"{run}/rows?before={9 << 36}",
        "filter: a common heuristic": f"{run}/rows?heuristic=constrain",
        "filter: a rare heuristic": f"{run}/rows?heuristic=complexity",
        "filter: three together": f"{run}/rows?heuristic=complexity&language=python&outcome=kept",
        "filter: a rare drop": f"{run}/rows?outcome=respond:+refusal",
        "filter: a verdict and a round": f"{run}/rows?verdict=runs:+error&round=3",
        "a row with its lineage": f"{run}/row/{row}",
        "drops by reason": f"{run}/drops?what=respond:+truncated",
        "the run's page": run,
        "all folders": "/",
        "an evaluation": f"/evaluation/{first}",
        "problems": problems,
        "problems that some samples pass": f"{problems}&outcome=some+passed",
        "a problem": f"/evaluation/{first}/problem?bench=bench&id=Bench/7",
        "two evaluations": f"/compare?{both}",
    }
    searches = {
        "search: a rare word": f"{run}/rows?query={RARE}",
        "search: a common word": f"{run}/rows?query=sorting",
        "search: six common words": f"{run}/rows?query=sorting+trees+graph+caches+index+parser",
        "search: words in quotes": f'{run}/rows?query="sorting+graph"',
        "search: no such word": f"{run}/rows?query=nowhere",
        "search: a common word, a rare heuristic": f"{run}/rows?query=sorting&heuristic=complexity",
    }
    lines = []
    for names, most in ((lists, FIRST_PAGE_MS), (searches, SEARCH_MS)):
        for name, path in names.items():
            before = _cpu_s(pid)
            cold, middle_ms, worst = _times(client, path, args.times)
            cpu_ms = 1000 * (_cpu_s(pid) - before) / (args.times + 1)
            lines.append((name, cold, middle_ms, worst, cpu_ms, most))
    print("| page | first, ms | median, ms | most, ms | processor time, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, cold, middle_ms, worst, cpu_ms, _ in lines:
        print(f"| {name} | {cold:,.0f} | {middle_ms:,.0f} | {worst:,.0f} | {cpu_ms:,.0f} |")
    print(f"\npeak memory at the end: {_peak_mb(pid):,.0f} MB\n")
    print(
        target_table([below(f"{name}, ms, median", most, ms) for name, _, ms, _, _, most in lines])
    )


def _times(client: httpx.Client, path: str, n: int) -> tuple[float, float, float]:
    """Return milliseconds: of the first request, the median and the most of the others."""
    found = []
    for _ in range(n + 1):
        started = time.perf_counter()
        answer = client.get(path)
        found.append(1000 * (time.perf_counter() - started))
        answer.raise_for_status()
    return found[0], median(found[1:]), max(found[1:])


def _ms(client: httpx.Client, path: str, n: int) -> str:
    cold, middle, most = _times(client, path, n)
    return json.dumps({"first": round(cold), "median": round(middle), "most": round(most)})


if __name__ == "__main__":
    main()
