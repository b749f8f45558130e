"""Training by evolcoder beside TRL's default settings: tokens per second, MFU, memory, as a table.

    python benchmarks/training.py --base model.gguf --data rows.jsonl          on a GPU
    python benchmarks/training.py --base toy --rows 64 --steps 6               anywhere, in a minute

Every way trains the same base on the same rows with the same prompts, each in a process of its own,
one after the other, pass after pass. Tokens are those of rows, prompts included, padding not; the
first steps are left out everywhere. Rows longer than TRL's default of 1,024 tokens are left out for
all, since TRL would cut them. MFU is of the arithmetic that the rows need, as `train.measure` says.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from training import ours, trl_defaults
from training.rows import order_of

WAYS = {
    "TRL, its defaults": trl_defaults.run,
    "TRL, its defaults, 64 rows a step": trl_defaults.run_in_64,
    "evolcoder": ours.run,
    "evolcoder, packed": ours.run_packed,
    "evolcoder, without liger-kernel": ours.run_plain,
    "evolcoder, with checkpointing": ours.run_checkpointing,
}
TARGET = 2.0


def main() -> None:
    args = _arguments()
    if args.one:
        print(json.dumps(WAYS[args.one](order_of(args))))
        return
    names = args.only.split(";") if args.only else list(WAYS)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(args.passes):
        for name in names:
            found[name].append(_in_a_process(name, args))
    print(_table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--base", default="toy", help="a folder, FILE.gguf, or toy: a model of the tests")
    add("--data", default="bundled", help="rows to train on; bundled: the seeds that we ship")
    add("--rows", type=int, default=2048, help="so many rows at most (2048)")
    add("--steps", type=int, default=24, help="steps of 64 rows; TRL's steps of 8 see as many rows")
    add("--micro-tokens", type=int, default=32_768, help="evolcoder's bound for one part (32768)")
    add("--passes", type=int, default=1, help="passes over all ways (1)")
    add("--only", metavar="NAME;...", help=f"of {'; '.join(WAYS)}")
    add("--json", type=Path, metavar="FILE", help="write what was measured")
    add("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_process(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Run one way alone, so that memory and patched layers are its own."""
    flags = [f"--{key}={getattr(args, key)}" for key in ("base", "data", "rows", "steps")]
    command = [sys.executable, __file__, *flags, f"--micro-tokens={args.micro_tokens}"]
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            [*command, f"--one={name}"], stdout=subprocess.PIPE, stderr=said, text=True, check=False
        )
        if done.returncode:
            said.seek(0)
            sys.exit(f"{name} failed:\n{said.read()[-3000:]}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _table(found: dict[str, list[dict[str, float]]]) -> str:
    rates = {
        name: statistics.median(one["tokens_per_s"] for one in ones) for name, ones in found.items()
    }
    first = next(iter(rates.values()))
    lines = [
        "| way | tokens/s | beside the first | MFU | peak memory, MB | padding | loss |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, ones in found.items():
        last = ones[-1]
        mfu = "not known" if last["mfu"] is None else f"{100 * last['mfu']:.1f} %"
        loss = f"{last['first_loss']:.3f} to {last['last_loss']:.3f}"
        cells = (
            f"{rates[name]:,.0f}", f"{rates[name] / first:.2f} times", mfu,
            f"{last['peak_mb']:,}", f"{100 * last['waste']:.0f} %", loss,
        )  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    best = max(rates[name] for name in rates) / first
    told = f"target: {TARGET} times TRL's defaults; reached: {best:.2f}"
    device = next(iter(found.values()))[-1]["device"]
    return "\n".join([f"On {device}.\n", *lines, f"\n{told}"])


if __name__ == "__main__":
    main()
