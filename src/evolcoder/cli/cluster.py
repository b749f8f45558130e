"""`evolcoder cluster check`: reports what the nodes of a Ray cluster can do.

Exits with 0 if at least one node runs programs at the isolation level; otherwise with 1.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evolcoder.app import cluster, models
from evolcoder.app.cluster import NodeCheck
from evolcoder.cli import output
from evolcoder.cli.cancellation import run_cancellable
from evolcoder.config import load as configs
from evolcoder.errors import EvolcoderError
from evolcoder.sandbox.pool import LEVELS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of this verb."""
    add = parser.add_argument
    add("action", choices=("check",), help="`check`: nodes, CPUs, GPUs, sandbox layers and vLLM")
    add("--config", type=Path, metavar="FILE",
        help="YAML config of a run: also check whether its servers fit")  # fmt: skip
    add("--cluster", metavar="ADDRESS",
        help="auto, HOST:PORT, or local:N (default: as the config says, or auto)")  # fmt: skip
    add("--sandbox", choices=tuple(LEVELS), default="strict",
        help="sandbox isolation to test (default: strict)")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE",
        help="set a config key (repeatable)")  # fmt: skip
    add("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Check the cluster, and fail if no node could run a program."""
    address = [f"cluster.address={json.dumps(args.cluster)}"] if args.cluster else []
    config = configs.load(args.config, [*address, *args.set])
    if config.cluster.address is None:
        config = configs.load(args.config, [*args.set, "cluster.address=auto"])
    served = models.served_on_cluster(config)
    checked = run_cancellable(cluster.check(config.cluster, args.sandbox, served))
    found = checked.nodes
    working = [node for node in found if not node.trouble]
    if args.json:
        nodes = [{**asdict(node), "missing": node.missing} for node in found]
        plain = {"works": bool(working), "nodes": nodes, "servers": checked.servers}
        output.print_json(plain, indent=2)
    else:
        print(_table(found, args.sandbox))
        for model, n in checked.servers.items():
            print(f"{n} servers of {model} with {config.cluster.gpus_of(model)} GPUs each fit")
    if not working:
        why = found[0].trouble if found else "it has no node"
        raise EvolcoderError(f"no node of the cluster runs programs: {why}")
    return 0


def _table(found: Sequence[NodeCheck], level: str) -> str:
    width = max([4, *(len(node.name) for node in found)])
    lines = [f"{'node':<{width}}{'CPUs':>6}{'GPUs':>6}{'memory':>10}  {'vLLM':<15}sandbox {level}"]
    for node in found:
        vllm = (node.software.vllm if node.software else "") or "not installed"
        sandbox = f"refused: {node.trouble}" if node.trouble else "works"
        lines.append(
            f"{node.name:<{width}}{node.cpus:>6g}{node.gpus:>6g}{node.memory_gb:>7.1f} GB  "
            f"{vllm:<15}{sandbox}"
        )
        if node.software and node.software.layers:
            lines.append(f"  active {', '.join(node.software.layers)}")
            lines.append(f"  missing {', '.join(node.missing) or 'nothing'}")
            lines.append(f"  languages python, {', '.join(node.software.languages) or 'no other'}")
    cpus, gpus = sum(node.cpus for node in found), sum(node.gpus for node in found)
    n_working = sum(not node.trouble for node in found)
    return "\n".join(
        [*lines, f"{n_working} of {len(found)} nodes run programs; {cpus:g} CPUs, {gpus:g} GPUs"]
    )
