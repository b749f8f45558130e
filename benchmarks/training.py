"""Compares training by evolcoder with TRL: tokens per second, MFU, memory.

    python benchmarks/training.py --base model.gguf --data rows.jsonl          on a GPU
    python benchmarks/training.py --base toy --rows 64 --steps 6               anywhere, in a minute

Every configuration trains the same base on the same rows with the same prompts, each in its own
process, in turn, pass by pass. Tokens are those of rows, with prompts and without padding; the
first steps are excluded everywhere. Rows longer than TRL's default of 1,024 tokens are excluded for
all, since TRL would cut them. MFU counts the arithmetic that the rows need (see the module
docstring of `training/speed.py`). Weights are float32 under bf16 autocast unless the table says
otherwise. A configuration that fails, for memory or time, is reported in its line, and the others
continue.
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
    "TRL, 64 rows": trl_defaults.run_in_64,
    "TRL, 128 rows": trl_defaults.run_in_128,
    "TRL, 128 rows, bf16 weights": trl_defaults.run_in_128_bf16,
    "TRL, packing": trl_defaults.run_packed,
    "evolcoder": ours.run,
    "evolcoder, without liger-kernel": ours.run_plain,
    "evolcoder, with checkpointing": ours.run_checkpointing,
    "evolcoder, packed": ours.run_packed,
    "evolcoder, packed, compiled": ours.run_compiled,
    "evolcoder, packed, compiled, 128 rows": ours.run_compiled_128,
    "evolcoder, packed, compiled, 256 rows": ours.run_compiled_256,
    "evolcoder, packed, compiled, 256 rows, profiled": ours.run_profiled,
}
TARGET = 2.5
"""Our fastest setting compared with TRL's."""
TARGET_TOKENS_PER_S = 100_000
"""For a model of 0.5B parameters on an H100."""
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
    best = max((rate for name, rate in rates.items() if name.startswith("TRL")), default=None)
    titles = ("way", "tokens/s", "compared with TRL's best", "MFU", "GPU busy", "peak memory, MB",
              "weights", "padding", "loss")  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|" + " --- |" * len(titles)]
    for name, ones in found.items():
        if name not in rates:
            lines.append(f"| {name} | {ones[-1][FAILED]} |" + " |" * (len(titles) - 2))
            continue
        compared = f"{rates[name] / best:.2f} times" if best else "not known"
        cells = _cells(_measured(ones)[-1])
        lines.append(f"| {name} | {rates[name]:,.0f} | {compared} | {' | '.join(cells)} |")
    devices = {one["device"] for ones in found.values() for one in _measured(ones)}
    return "\n".join(
        [f"On {', '.join(devices) or 'no device'}.\n", *lines, f"\n{_told(rates, best)}"]
    )


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    loss = f"{one['first_loss']:.3f} to {one['last_loss']:.3f}"
    return (
        _percent(one["mfu"]), _percent(one.get("busy")), f"{one['peak_mb']:,}", one["weights"],
        _percent(one["waste"]), loss,
    )  # fmt: skip


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.1f} %"


def _told(rates: dict[str, float], best: float | None) -> str:
    target = f"targets: {TARGET_TOKENS_PER_S:,} tokens/s, {TARGET} times TRL's best"
    ours = [rate for name, rate in rates.items() if name.startswith("evolcoder")]
    if best is None or not ours:
        return f"{target}; one of the two has no figures"
    return f"{target}; reached: {max(ours):,.0f} and {max(ours) / best:.2f}"


if __name__ == "__main__":
    sys.exit(main())
