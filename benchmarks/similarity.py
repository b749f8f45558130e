"""Measures similarity to HumanEval and MBPP by round, on a run of 20,000 rows.

    python benchmarks/similarity.py                  4,000 seeds and four rounds of as many
    python benchmarks/similarity.py --seeds 60 --keep runs/demo    a small run to look at
    python benchmarks/similarity.py --stub           without the model: vectors from a hash

The rows are real tasks of Code Alpaca; a round adds a demand to each, and a branch to its answer.
The first measurement embeds every text, the second finds all vectors in the cache and compares
again, the third finds the stored result. `--stub` fills the cache with hashed vectors, to time
everything but the model on a machine that is busy.
"""

import argparse
import gzip
import json
import os
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evolcoder.app import similarity
from evolcoder.config.load import Config, validate
from evolcoder.decontamination.similarity import FILE_NAME
from evolcoder.deduplication.embedders import CachedEmbedder
from evolcoder.records import Response, Task, Usage
from evolcoder.storage.run_store import RunStore
from harness.venvs import BENCH

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ROUNDS = 4
MADE = Usage("scripted#demands", 20, 40, 1)
DEMANDS = (
    "Handle an empty input, and raise ValueError for one that is not a list.",
    "The input may have a million items: use at most linear time.",
    "Return the result together with the number of items that were skipped.",
    "Accept also a nested input, to any depth, without recursion.",
    "Write a second function that undoes the first, and show both on an example.",
    "Do it without the standard library's sorting functions.",
)


def main() -> None:
    args = _arguments()
    work = args.keep or BENCH / "similarity-work"
    shutil.rmtree(work, ignore_errors=True)
    config = validate({"clean": {"data_dir": str(args.data_dir)}}, where="benchmark")
    n_rows = write_run(work, args.data_dir / "codealpaca" / "new_codealpaca.json.gz", config,
                       n_seeds=args.seeds, n_rounds=args.rounds)  # fmt: skip
    if args.stub:
        _use_hashes(work.parent / "similarity-vectors.db")
    print(f"{n_rows:,} rows, {os.cpu_count()} processors, {time.strftime('%Y-%m-%d')}\n")
    print("| measurement | clock s | CPU s | peak MB |\n| --- | ---: | ---: | ---: |")
    options = similarity.SimilarityOptions(("humaneval", "mbpp"))
    for what in ("texts embedded", "vectors cached", "result stored"):
        if what == "vectors cached":
            (work / FILE_NAME).unlink()
        start, cpu = time.perf_counter(), time.process_time()
        similarity.measure_similarity(work, options)
        spent = time.perf_counter() - start, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {what} | {spent[0]:.1f} | {spent[1]:.1f} | {peak:.0f} |", flush=True)
    if args.keep is None:
        shutil.rmtree(work)


def write_run(folder: Path, source: Path, config: Config, *, n_seeds: int, n_rounds: int) -> int:
    """Write a run of real seeds whose tasks grow by a demand in each round; return its rows."""
    rows = json.loads(gzip.decompress(source.read_bytes()))[:n_seeds]
    with RunStore.create(folder, config) as store:
        store.set_meta("seeds", {"source": source.name, "format": "alpaca", "n_rows": len(rows)})
        tasks = [_seed(row, at) for at, row in enumerate(rows)]
        store.add_seeds(
            [one for task, row in zip(tasks, rows, strict=True)
             for one in (task, Response.to(task, row["output"], made=None))]
        )  # fmt: skip
        store.open_round(0, 0)
        for round in range(1, n_rounds + 1):
            tasks = list(_children(tasks, round))
            for task, row in zip(tasks, rows, strict=True):
                store.add(task)
                store.add(Response.to(task, _answer(row["output"], round), made=MADE))
            store.open_round(round, len(tasks))
        store.db.flush()
        return store.n_kept()


def _seed(row: dict[str, str], ordinal: int) -> Task:
    text = f"{row['instruction']}\n{row.get('input', '')}".strip()
    return Task.seed(f"{text}\n(no. {ordinal})", ordinal=ordinal, language="python")


def _children(tasks: list[Task], round: int) -> Iterator[Task]:
    for task in tasks:
        demand = DEMANDS[(task.ordinal + round) % len(DEMANDS)]
        yield task.child(
            f"{task.instruction}\n{demand}", round=round,
            heuristic=("deepen", "constrain", "concretise")[(task.ordinal + round) % 3],
            language="python", made=MADE,
        )  # fmt: skip


def _answer(output: str, round: int) -> str:
    checks = "\n".join(f"    if len(items) > {n} and items[{n}] is None:\n        return {n}"
                       for n in range(round))  # fmt: skip
    return f"{output}\n\n```python\ndef solve(items):\n{checks}\n    return items\n```"


class _Hashed:
    """Vectors from a hash of the text: everything but the model is as usual."""

    name = "hashed"

    def embed(self, texts: list[str]) -> np.ndarray:
        found = np.stack([
            np.random.default_rng(abs(hash(text))).standard_normal(384) for text in texts
        ]).astype(np.float32)  # fmt: skip
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def _use_hashes(path: Path) -> None:
    path.unlink(missing_ok=True)
    similarity.open_cached_embedder = lambda *_, **__: CachedEmbedder(_Hashed(), path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--data-dir", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, help="write the run here and keep it")
    parser.add_argument("--stub", action="store_true", help="hashed vectors instead of the model")
    return parser.parse_args()


if __name__ == "__main__":
    main()
