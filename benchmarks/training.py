"""Compares training by evolcoder with TRL's default settings: tokens per second, MFU, memory.

    python benchmarks/training.py --base model.gguf --data rows.jsonl          on a GPU
    python benchmarks/training.py --base toy --rows 64 --steps 6               anywhere, in a minute

Every configuration trains the same base on the same rows with the same prompts, each in its own
process, in turn, pass by pass. Tokens are those of rows, with prompts and without padding; the
first steps are excluded everywhere. Rows longer than TRL's default of 1,024 tokens are excluded for
all, since TRL would cut them. MFU counts the arithmetic that the rows need (see the module
docstring of the trainer, `sft.py`). Both keep float32 weights under bf16 autocast, TRL by default;
the table shows the weights' format. A configuration that fails, for memory or time, is reported in
its line, and the others continue.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
FAILED = "failed"
"""Key of what a way said that came to no figures."""


def main() -> int:
    args = _arguments()
    if args.one:
        print(json.dumps(WAYS[args.one](order_of(args))))
        return 0
    names = args.only.split(";") if args.only else list(WAYS)
    if unknown := [name for name in names if name not in WAYS]:
        sys.exit(f"--only: no way is called {unknown[0]!r}; there are {'; '.join(WAYS)}")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(args.passes):
        for name in names:
            found[name].append(_in_a_process(name, args))
            if args.json:
                args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(_table(found))
    return 0 if all(_measured(ones) for ones in found.values()) else 1


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
    add("--limit-s", type=float, default=240.0, help="end a way after so many seconds (240)")
    add("--json", type=Path, metavar="FILE", help="write what was measured, way after way")
    add("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_process(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one way alone, so that memory and patched layers are its own; say how it failed."""
    flags = [f"--{key}={getattr(args, key)}" for key in ("base", "data", "rows", "steps")]
    command = [sys.executable, __file__, *flags, f"--micro-tokens={args.micro_tokens}"]
    with tempfile.TemporaryFile("w+") as said:
        try:
            done = subprocess.run(
                [*command, f"--one={name}"], stdout=subprocess.PIPE, stderr=said, text=True,
                check=False, timeout=args.limit_s,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {FAILED: f"not done within {args.limit_s:.0f} s"}
        if done.returncode:
            said.seek(0)
            text = said.read()
            print(f"{name} failed:\n{text[-3000:]}", file=sys.stderr)
            return {FAILED: _reason(text)}
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _reason(text: str) -> str:
    """Return the line of a traceback that tells most: that of the memory, or the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    memory = [line for line in lines if "out of memory" in line.lower()]
    return (memory or lines or ["it said nothing"])[-1][:200]


def _measured(ones: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in ones if FAILED not in one]


def _table(found: dict[str, list[dict[str, Any]]]) -> str:
    rates = {
        name: statistics.median(one["tokens_per_s"] for one in ones)
        for name, every in found.items()
        if (ones := _measured(every))
    }
    first = next(iter(found))
    titles = ("way", "tokens/s", "compared with the first", "MFU", "peak memory, MB", "weights",
              "padding", "loss")  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|" + " --- |" * len(titles)]
    for name, ones in found.items():
        if name not in rates:
            lines.append(f"| {name} | {ones[-1][FAILED]} |" + " |" * (len(titles) - 2))
            continue
        ratio = f"{rates[name] / rates[first]:.2f} times" if first in rates else "not known"
        cells = _cells(_measured(ones)[-1])
        lines.append(f"| {name} | {rates[name]:,.0f} | {ratio} | {' | '.join(cells)} |")
    devices = {one["device"] for ones in found.values() for one in _measured(ones)}
    return "\n".join(
        [f"On {', '.join(devices) or 'no device'}.\n", *lines, f"\n{_told(rates, first)}"]
    )


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    mfu = "not known" if one["mfu"] is None else f"{100 * one['mfu']:.1f} %"
    loss = f"{one['first_loss']:.3f} to {one['last_loss']:.3f}"
    return mfu, f"{one['peak_mb']:,}", one["weights"], f"{100 * one['waste']:.0f} %", loss


def _told(rates: dict[str, float], first: str) -> str:
    target = f"target: {TARGET} times {first}"
    ours = [rate for name, rate in rates.items() if name.startswith("evolcoder")]
    if first not in rates or not ours:
        return f"{target}; one of the two came to no figures"
    return f"{target}; reached: {max(ours) / rates[first]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
