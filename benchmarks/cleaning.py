"""Compares near duplicates of evolcoder and other tools at growing sizes; or finds leaks.

    python benchmarks/cleaning.py              about ten minutes on a quiet machine
    python benchmarks/cleaning.py --quick      1,000 and 10,000 rows
    python benchmarks/cleaning.py --planted    1,000 leaks in 20,000 rows, about as long
    python benchmarks/cleaning.py --verbatim   prose of every benchmark without answers, minutes

The rows are recombined real texts with planted duplicates (`cleaning/corpus.py`). Every tool gets
the same file, runs of three words and a threshold of 0.8, and does all of its work: reading,
comparing, writing. Each competitor has a venv under .bench/, made when it is first needed. Compare
processor time: clock time depends on the machine's load.

Leaks are HumanEval's and MBPP's test problems, planted in six ways (`cleaning/planted.py`) among
rows of Code Alpaca. Every detector except the judge looks for them (`cleaning/leaks.py`). With
`--verbatim` the prose of every benchmark, in eleven forms (`cleaning/verbatim.py`). `--store`
writes recall and precision into the package, from which certificates of cleanings quote them.
"""

import argparse
import json
import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from cleaning import corpus, leaks, verbatim
from cleaning.speed import TOOLS, Cleaning, clean
from harness.script import add_only, log
from harness.table import Target, at_least, below, markdown
from harness.table import targets as target_table
from harness.venvs import BENCH

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MEASURED = Path(__file__).resolve().parents[1] / "src/evolcoder/data/cleaning-measured.json"
MOST_MB = 2048
GROWTH = 1.3
"""Time per row and doubling that may differ between the smallest and the largest size."""


def main() -> None:
    args = _arguments()
    if args.planted is not None or args.verbatim:
        (_verbatim if args.verbatim else _leaks)(args)
        return
    work = BENCH / "cleaning-work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    found: list[Cleaning] = []
    for size in args.sizes:
        rows = corpus.write(args.data_dir, work, size)
        for name in args.only:
            if name == "evolcoder" or size == args.beside:
                found.append(clean(name, rows, work))
                _tell(found[-1])
        rows.path.unlink()
    print(f"Near doubles, {time.strftime('%Y-%m-%d')}, {sys.platform}\n\n{_table(found)}")
    if targets := _targets(found, args.beside):
        print(f"\n{target_table(targets)}")
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    shutil.rmtree(work)


def _leaks(args: argparse.Namespace) -> None:
    done = leaks.search(args.data_dir, n_planted=args.planted, n_clean=args.rows, seed=args.seed)
    print(f"Planted leaks, {time.strftime('%Y-%m-%d')}, {sys.platform}\n\n{leaks.told(done)}")
    if args.store:
        _store(leaks.record(done))
    if args.json:
        args.json.write_text(json.dumps(leaks.amiss(done), indent=1) + "\n")


def _verbatim(args: argparse.Namespace) -> None:
    names = args.against.split(",") if args.against else ()
    done = verbatim.measure(
        args.data_dir, names=names, every=args.every, languages=args.languages, real=args.real
    )
    print(f"Verbatim prose, {time.strftime('%Y-%m-%d')}, {sys.platform}\n\n{verbatim.told(done)}")
    if args.store:
        _store(verbatim.record(done))
    if args.json:
        hits = {name: [asdict(one) for one in some] for name, some in done.innocent.items()}
        args.json.write_text(json.dumps(hits, indent=1) + "\n")


def _store(measured: Mapping[str, object]) -> None:
    """Replace the measurements of some detectors in the package."""
    stored = json.loads(MEASURED.read_text(encoding="utf-8"))
    stored["detectors"] |= measured
    MEASURED.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add_only(parser, TOOLS)
    add("--sizes", type=int, nargs="+", help="rows (10,000, 100,000 and 1,000,000)")
    add("--beside", type=int, help="rows at which the others run too (100,000)")
    add("--quick", action="store_true", help="1,000 and 10,000 rows")
    add("--planted", type=int, nargs="?", const=1000, metavar="N", help="look for N leaks (1,000)")
    add("--verbatim", action="store_true", help="look for the prose of every benchmark")
    add("--against", metavar="NAME,...", help="with --verbatim: benchmarks (all)")
    add("--every", type=int, default=1, help="with --verbatim: one problem in so many")
    add("--languages", type=int, default=6, help="with --verbatim: one MultiPL-E file in so many")
    add("--real", type=int, default=1, help="with --verbatim: one real row in so many")
    add("--store", action="store_true", help="write what was measured into the package")
    add("--rows", type=int, default=20_000, help="with --planted: rows among which they are")
    add("--seed", type=int, default=0, help="with --planted: which leaks, which rows")
    add("--data-dir", type=Path, default=DATA, help="where codealpaca/ lies")
    add("--json", type=Path, metavar="FILE", help="write every cleaning, or what was amiss")
    args = parser.parse_args()
    args.sizes = args.sizes or ([1000, 10_000] if args.quick else [10_000, 100_000, 1_000_000])
    args.beside = args.beside or (10_000 if args.quick else 100_000)
    if not (args.data_dir / corpus.FILE).is_file():
        parser.error(f"--data-dir: no {corpus.FILE} in {args.data_dir}")
    return args


def _table(found: Sequence[Cleaning]) -> str:
    head = ["tool", "rows", "CPU s", "clock s", "µs a row", "peak MB", "recall", "precision"]
    return markdown(head, [_row(one) for one in found])


def _row(one: Cleaning) -> list[str]:
    if one.failure:
        return [one.title, f"{one.n_rows:,}", one.failure, "", "", "", "", ""]
    each = f"{one.cpu_s / one.n_rows * 1e6:.0f}"
    costs = [f"{one.cpu_s:.1f}", f"{one.wall_s:.1f}", each, f"{one.peak_mb:.0f}"]
    return [one.title, f"{one.n_rows:,}", *costs, f"{one.recall:.4f}", f"{one.precision:.4f}"]


def _targets(found: Sequence[Cleaning], beside: int) -> list[Target]:
    ours = [one for one in found if one.title == "evolcoder" and not one.failure]
    if not ours:
        return []
    first, last = ours[0], ours[-1]
    growth = _per_n_log_n(last) / _per_n_log_n(first)
    targets = [
        below(f"peak MB at {last.n_rows:,} rows", MOST_MB, last.peak_mb),
        below(f"time / (n log n), {last.n_rows:,} to {first.n_rows:,} rows", GROWTH, growth),
        at_least("recall of planted doubles", 0.97, min(one.recall for one in ours)),
        at_least("precision", 0.99, min(one.precision for one in ours)),
    ]
    others = [one for one in found if one not in ours and not one.failure]
    mine = [one for one in ours if one.n_rows == beside]
    if others and mine:
        ratio = min(one.cpu_s for one in others) / mine[0].cpu_s
        targets.append(at_least("CPU of the fastest other / ours", 1.0, ratio))
    return targets


def _per_n_log_n(one: Cleaning) -> float:
    return one.cpu_s / (one.n_rows * math.log(one.n_rows))


def _tell(one: Cleaning) -> None:
    said = one.failure or f"{one.cpu_s:.1f} s, {one.peak_mb:.0f} MB, recall {one.recall:.4f}"
    log(f"{one.n_rows:,}: {one.title}: {said}")


if __name__ == "__main__":
    main()
