"""Measures tokens per second of vLLM itself, and of the same prompts through evolcoder.

    python benchmarks/serving.py --model DIR --seeds seeds.jsonl --json serving.json     on a GPU

First `LLM.chat` answers all prompts in its own process. When that has ended and its memory is free,
`evolcoder loop`'s server is started, and the same prompts go through the engine, the budget and a
fresh cache, as in a run. Model, messages, sampling, maximum answer length, concurrent sequences,
tokens per step and memory share are equal. Each way first answers some prompts without measurement,
then pass by pass; medians are compared. Only generated tokens count. GPU busy is the share of time
in which a kernel ran. Measurements before a failure or the time limit are kept.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from serving.order import MODES, Order, Pass
from serving.table import table, targets

WAYS = ("offline", "evolcoder")
FREE_S = 5.0
"""Time for the driver to take a dead process's memory back."""


def main() -> int:
    args = _arguments()
    if args.one:
        _one(args.one, Order(**json.loads(args.order)))
    began = time.monotonic()
    found: list[Pass] = []
    with tempfile.TemporaryDirectory() as work:
        for place, way in enumerate(args.only):
            left = args.limit_s - (time.monotonic() - began)
            share = left / (len(args.only) - place)
            found += _in_a_process(way, args, Path(args.work or work), share)
            _write(args, found)
    print(table(found))
    if set(args.only) == set(WAYS):
        print(f"\n{targets(found, n_gpus=args.gpus)}")
    return 0 if all(any(one.way == way for one in found) for way in args.only) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", help="a folder of weights")
    add("--seeds", default="bundled", help="tasks to answer: any file of seeds")
    add("--limit", type=int, default=4000, help="so many tasks (4000)")
    add("--max-tokens", type=int, default=768, help="longest answer (768)")
    add("--modes", type=lambda text: text.split(","), default=["greedy"],
        help=f"of {','.join(MODES)} (greedy)")  # fmt: skip
    add("--passes", type=int, default=3, help="measured passes of each way and mode (3)")
    add("--max-num-seqs", type=int, default=1024, help="sequences at once, both ways (1024)")
    add("--max-batched-tokens", type=int, default=16384, help="tokens of a step (16384)")
    add("--max-model-len", type=int, default=4096, help="longest prompt and answer (4096)")
    add("--memory", type=float, default=0.85, help="share of the GPU's memory (0.85)")
    add("--gpus", type=int, default=1, help="GPUs of the server; offline has one (1)")
    add("--front-ends", type=int, help="API processes of the server (serve.front_ends)")
    add("--concurrency", type=int, help="requests in flight (serve.concurrency)")
    add("--server", type=json.loads, metavar="JSON", help="a list: another serve.command")
    add("--only", type=lambda text: text.split(","), default=list(WAYS), help=",".join(WAYS))
    add("--limit-s", type=float, default=560.0, help="begin no pass that would end later (560)")
    add("--work", type=Path, metavar="DIR", help="where logs stay (a folder that is removed)")
    add("--json", type=Path, metavar="FILE", help="write what was measured, pass after pass")
    add("--one", choices=WAYS, help=argparse.SUPPRESS)
    add("--order", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not args.one and not args.model:
        parser.error("--model: a folder of weights")
    return args


def _order(args: argparse.Namespace, work: Path, way: str, limit_s: float) -> Order:
    given = {"front_ends": args.front_ends, "concurrency": args.concurrency, "command": args.server}
    return Order(
        model=args.model, seeds=args.seeds, limit=args.limit, max_tokens=args.max_tokens,
        modes=args.modes, n_passes=args.passes, max_num_seqs=args.max_num_seqs,
        max_batched_tokens=args.max_batched_tokens, max_model_len=args.max_model_len,
        memory=args.memory, gpus=args.gpus, work=str(work), out=str(work / f"{way}.jsonl"),
        limit_s=limit_s, serve={key: value for key, value in given.items() if value is not None},
    )  # fmt: skip


def _in_a_process(way: str, args: argparse.Namespace, work: Path, limit_s: float) -> list[Pass]:
    """Run one way alone; read what it had measured, however it ended."""
    work.mkdir(parents=True, exist_ok=True)
    order = _order(args, work, way, limit_s)
    Path(order.out).unlink(missing_ok=True)
    log = work / f"{way}.log"
    command = [sys.executable, __file__, "--one", way, "--order", json.dumps(order.plain())]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(limit_s + 60)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            _end(process)
    if code != 0:
        tail = log.read_text(errors="replace")[-4000:]
        print(f"{way} ended with {code} within {limit_s:.0f} s:\n{tail}", file=sys.stderr)
    return Pass.read(Path(order.out))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of its session, and wait for its memory."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(FREE_S)


def _one(way: str, order: Order) -> NoReturn:
    from serving import offline, ours  # noqa: PLC0415 - the driver needs neither

    {"offline": offline.run, "evolcoder": ours.run}[way](order)
    sys.stdout.flush()
    os._exit(0)  # an engine that is slow to go is ended with the session


def _write(args: argparse.Namespace, found: list[Pass]) -> None:
    if args.json:
        asked = {key: str(value) for key, value in vars(args).items()}
        told = {"asked": asked, "passes": [one.plain() for one in found]}
        args.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
