"""Times one round of the whole loop: evolve, answer, verify, train, score; as a table.

    python benchmarks/loop_time.py examples/h200/loop.yaml --out runs/timed --json loop-time.json \
        --set run.evolver.model=vllm:weights/1.5b --set student.path=weights/0.5b

Runs `evolcoder loop` in a fresh folder with its own completion cache, for one round and one
training seed and with no arms except the merges; so two models are trained and scored: on the
seeds, which the decision needs, and on seeds and round 1. Steps and GPU utilization come from the
loop's database. The total is the command's clock time, so it includes the time between steps.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from evolcoder.experiment.store import DB_NAME, LoopStore, StoredStep
from evolcoder.experiment.timings import monitor_gpus, table

TARGET_S = 600.0
ONE_ROUND = (
    "run.budget.rounds=1", "train.seeds=[0]", "arms=[]", "arms_once=[]", "stop.go_on=true",
)  # fmt: skip


def main() -> int:
    args = _arguments()
    if (args.out / DB_NAME).exists():
        sys.exit(f"--out {args.out}: holds a loop already; what is done would not be timed")
    args.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with monitor_gpus() as watch:
        code = _loop(args)
    seconds = time.monotonic() - began
    if not (args.out / DB_NAME).exists():
        return code  # the loop has said why it did not begin
    with LoopStore.read(args.out) as store:
        steps = store.steps()
    print(_told(steps, seconds, watch.busy, code))
    if args.json:
        told = {
            "seconds": seconds, "busy": watch.busy, "code": code, "target_s": TARGET_S,
            "config": str(args.config), "set": args.set, "steps": [asdict(step) for step in steps],
        }  # fmt: skip
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("config", type=Path, help="a loop's YAML file")
    add("--out", type=Path, required=True, metavar="DIR", help="a fresh folder for the loop")
    add("--sandbox", choices=("strict", "processes"), help="least protection of programs")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="set any config key")
    add("--limit-s", type=float, default=1800.0, help="end the loop after so many seconds (1800)")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    return parser.parse_args()


def _loop(args: argparse.Namespace) -> int:
    """Run the loop; return its code, or -1 where the limit ended it."""
    cache = str(args.out / "completions.db")
    own = [f"run.cache={cache}", f"ask.options={json.dumps(['--cache', cache])}"]
    sets = [*ONE_ROUND, *own, *args.set]
    command = [sys.executable, "-m", "evolcoder.cli.main", "loop", str(args.config)]
    command += ["--out", str(args.out), "--no-figures"]
    command += [word for one in sets for word in ("--set", one)]
    command += ["--sandbox", args.sandbox] if args.sandbox else []
    process = subprocess.Popen(command, stdout=sys.stderr)
    try:
        return process.wait(args.limit_s)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        process.terminate()
        process.wait()


def _told(steps: list[StoredStep], seconds: float, busy: float | None, code: int) -> str:
    idle = "not known, no GPU to look at" if busy is None else f"{100 * (1 - busy):.0f} %"
    met = "met" if code == 0 and seconds < TARGET_S else "NOT met"
    lines = [
        table(steps),
        f"\nthe whole command: {seconds:.1f} s; GPU idle: {idle}",
        f"wanted under {TARGET_S:.0f} s: {met}",
    ]
    return "\n".join(lines if code == 0 else [*lines, f"the loop ended with {code}"])


if __name__ == "__main__":
    sys.exit(main())
