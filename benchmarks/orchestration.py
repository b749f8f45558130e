"""Compares evolcoder with distilabel, curator, the openai SDK and bare aiohttp.

    python benchmarks/orchestration.py                       half an hour on a quiet machine
    python benchmarks/orchestration.py --quick --only aiohttp,openai

All of them drive a loopback server of fixed latency in turn, pass by pass, so that a machine that
slows down slows all. Each competitor has a venv under .bench/, made when it is first needed. Only
pip's downloads leave loopback. Prints Markdown tables.
"""

import argparse
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from harness import process
from harness.script import add_only, in_turn, log, write_results
from harness.table import below
from harness.table import targets as target_table
from harness.venvs import BENCH, make_venvs
from orchestration import table, targets
from orchestration.clients import BIN, CLIENTS
from orchestration.measure import Load, Pass, measure

MEMORY_TASKS = (10_000, 100_000)
"""Seeds of the runs whose memory is compared."""
HELP_RUNS = 7


def main() -> None:
    args = _arguments()
    names = args.only
    work = BENCH / "work"
    shutil.rmtree(work, ignore_errors=True)
    make_venvs(CLIENTS[name].venv for name in names)
    passes = list(_passes(names, args, work))
    found = list(targets.beside_others(passes, args.latency))
    peaks: dict[int, float] = {}
    if "evolcoder" in names:
        found.append(below("`evolcoder --help`, s", targets.HELP_S, _help_s(work)))
        if not args.quick:
            peaks = {tasks: _peak_mb(tasks, args.in_flight, work) for tasks in MEMORY_TASKS}
            found += targets.of_memory(peaks)
    print(table.heading(args.requests, args.in_flight, args.passes))
    for latency_s in args.latency:
        print(f"\n{table.measures(passes, latency_s)}")
    if found:
        print(f"\n{target_table(found)}")
    if args.json:
        write_results(args.json, passes, found, peak_mb=peaks)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add_only(parser, CLIENTS)
    add("--passes", type=int, help="passes of each client (3, quick: 1)")
    add("--requests", type=int, help="requests of each client in a pass (4000, quick: 300)")
    add("--in-flight", type=int, default=256, help="most requests at once")
    add("--latency", type=float, nargs="+", default=[0.0, 0.2], help="seconds for an answer")
    add("--quick", action="store_true", help="few requests, one pass, memory left out")
    add("--json", type=Path, metavar="FILE", help="write every pass and target there")
    args = parser.parse_args()
    args.passes = args.passes or (1 if args.quick else 3)
    args.requests = args.requests or (300 if args.quick else 4000)
    return args


def _passes(names: list[str], args: argparse.Namespace, work: Path) -> Iterator[Pass]:
    """Run all clients pass after pass, each time beginning with another one."""
    prompt_chars = _prompt_chars(work)
    for number in range(args.passes):
        for latency_s in args.latency:
            load = Load(args.requests, args.in_flight, latency_s, prompt_chars)
            for name in in_turn(names, number):
                one = measure(name, CLIENTS[name], load, work / f"{name}-{latency_s:g}-{number}")
                _tell(f"pass {number + 1}, latency {latency_s:g} s", one)
                yield one


def _prompt_chars(work: Path) -> int:
    """Return the mean length of evolcoder's requests, for the others to be sent as much."""
    tried = measure("evolcoder", CLIENTS["evolcoder"], Load(200, 64, 0.0), work / "lengths")
    return round(tried.prompt_chars) or Load(0, 0, 0.0).prompt_chars


def _help_s(work: Path) -> float:
    """Return the median time of `evolcoder --help`."""
    work.mkdir(parents=True, exist_ok=True)
    command = [str(BIN / "evolcoder"), "--help"]
    return median(process.run(command, work).wall_s for _ in range(HELP_RUNS))


def _peak_mb(n_tasks: int, in_flight: int, work: Path) -> float:
    """Return the peak memory of a run over so many seeds, at latency 0; NaN if it failed."""
    load = Load(2 * n_tasks, in_flight, 0.0)
    one = measure("evolcoder", CLIENTS["evolcoder"], load, work / f"memory-{n_tasks}")
    _tell(f"{n_tasks:,} tasks", one)
    return math.nan if one.failure else one.peak_mb


def _tell(what: str, one: Pass) -> None:
    said = one.failure or f"{one.done:,} in {one.wall_s:.1f} s, {one.peak_mb:.0f} MB"
    log(f"{what}: {one.client}: {said}")


if __name__ == "__main__":
    main()
