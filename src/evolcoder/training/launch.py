"""Starts a training on several GPUs, of one node or of several, through accelerate and torchrun.

The launcher starts `evolcoder train` once per GPU. Full weights are sharded (FSDP2); adapters are
replicated on every GPU, since their gradients are small. The batch plan does not depend on the
number of devices, so losses agree except for rounding. A process that fails ends all others,
and says why in one line.

>>> Nodes(2, 1, "10.0.0.7").port
29500
>>> launch_command(Path("accelerate.yaml"), ["rows.jsonl"])[-2:]
['train', 'rows.jsonl']
"""

import logging
import os
import re
import signal
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from evolcoder.errors import LostProcessError, SharedTrainError, TrainError
from evolcoder.storage import atomic
from evolcoder.text import one_line
from evolcoder.training.base import WHY_CHARS
from evolcoder.training.recipe import Recipe, is_first_process, is_launched, n_devices

CONFIG_NAME = "accelerate.yaml"
PORT = 29500
"""Port at which machine 0 listens for the others, unless `--master-addr` names one."""
MAX_PORT = 65_535
SHARED_NAME = "shared.txt"
"""File by which the machines find out whether they share the folder."""
_LOST = re.compile(r"gloo|NCCL|Connection (?:closed|reset)|[Rr]emote (?:peer|process)|TCPStore")
"""Parts of what PyTorch raises when a collective operation has lost a process."""
OTHER_LAUNCHERS = re.compile(
    r"(?:LOCAL_)?(?:RANK|WORLD_SIZE)|PMI_(?:RANK|SIZE)|MPI_LOCAL\w+|(?:OMPI_COMM|MV2_COMM)_WORLD_\w+"
)
"""Variables from which accelerate takes the number of processes, whatever set them."""
FAILURE = "EVOLCODER_TRAIN_FAILURE"
"""Variable with the folder where the processes of a machine note that one has said why it fails."""
EXIT_LOST = 75
"""Exit code of a process that lost another one, which says why it ended."""
SHARED_S = 10.0
"""How long a machine waits for that file."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines of a training, seen from one of them."""

    n_nodes: int = 1
    """Number of machines, each with the same number of GPUs."""
    rank: int = 0
    """Number of this one, from 0."""
    master: str = "127.0.0.1"
    """Host name or address of machine 0."""
    port: int = PORT
    """Its port."""

    @property
    def config_name(self) -> str:
        """Name of this machine's launcher configuration; machines share the folder."""
        return CONFIG_NAME if self.rank == 0 else f"accelerate-{self.rank}.yaml"


ONE_NODE = Nodes()


def nodes_of(n_nodes: int, rank: int | None, master: str | None) -> Nodes:
    """Return the machines that the flags of a training describe; raises TrainError."""
    if n_nodes < 1:
        raise TrainError(f"--nodes {n_nodes}: at least 1")
    if n_nodes == 1:
        if rank not in {None, 0} or master is not None:
            raise TrainError("--node-rank and --master-addr need --nodes, the number of machines")
        return ONE_NODE
    if rank is None or master is None:
        raise TrainError(
            f"--nodes {n_nodes}: start the command on each machine with --node-rank 0 to "
            f"{n_nodes - 1} and --master-addr HOST[:PORT], the address of machine 0"
        )
    if not 0 <= rank < n_nodes:
        raise TrainError(
            f"--node-rank {rank}: of {n_nodes} machines it is one of 0 to {n_nodes - 1}"
        )
    host, colon, port = master.rpartition(":")
    if not colon:
        return Nodes(n_nodes, rank, master)
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise TrainError(f"--master-addr {master}: write it as HOST or HOST:PORT")
    return Nodes(n_nodes, rank, host, int(port))


def check_master(nodes: Nodes) -> None:
    """Raise TrainError if the address of machine 0 cannot be resolved here."""
    try:
        socket.getaddrinfo(nodes.master, nodes.port)
    except (OSError, UnicodeError) as error:
        why = one_line(str(error), WHY_CHARS)
        raise TrainError(f"--master-addr {nodes.master}: no address of a machine: {why}") from error


def launcher_config(recipe: Recipe, n_gpus: int, nodes: Nodes = ONE_NODE, *, base: str = "") -> str:
    """Return accelerate's YAML configuration for `n_gpus` GPUs on each node.

    Only the first process of a node reads the weights of a base and sends the others their shards,
    except for a GGUF file, which each process de-quantizes.
    """
    sharded = recipe.method == "full"
    config: dict[str, object] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "FSDP" if sharded else "MULTI_GPU",
        "machine_rank": nodes.rank,
        "main_training_function": "main",
        "mixed_precision": "bf16",
        "num_machines": nodes.n_nodes,
        "num_processes": n_gpus * nodes.n_nodes,
    }
    if nodes.n_nodes > 1:
        config |= {
            "main_process_ip": nodes.master,
            "main_process_port": nodes.port,
            "rdzv_backend": "static",
            "same_network": True,
        }
    if sharded:
        config["fsdp_config"] = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_state_dict_type": "SHARDED_STATE_DICT",
            "fsdp_offload_params": False,
            "fsdp_cpu_ram_efficient_loading": not base.endswith(".gguf"),
        }
    return yaml.safe_dump(config, sort_keys=False)


def launch_command(config: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs `evolcoder train` once per device of this machine."""
    launch = [sys.executable, "-m", "evolcoder.training.launch", "--config_file", str(config)]
    return [*launch, "-m", "evolcoder.cli.main", "train", *arguments]


def join_processes(folder: Path, *, on_gpu: bool) -> None:
    """Connect this process of a training with the others; nothing if it is the only one.

    Raises SharedTrainError if the machines do not share the folder of the model.
    """
    if n_devices() == 1:
        return
    from accelerate import PartialState

    PartialState(cpu=not on_gpu)
    if n_devices() > int(os.environ.get("LOCAL_WORLD_SIZE", str(n_devices()))):
        _check_is_shared(folder)


@contextmanager
def without_other_launchers() -> Iterator[None]:
    """Hide what Slurm, MPI or an operator of Kubernetes set, unless torchrun started this process.

    Accelerate would wait for the processes that they count.
    """
    hidden = [] if is_launched() else [one for one in os.environ if OTHER_LAUNCHERS.fullmatch(one)]
    values = {name: os.environ.pop(name) for name in hidden}
    try:
        yield
    finally:
        os.environ.update(values)


def check_launched(n_gpus: int, nodes: Nodes) -> None:
    """Raise TrainError if this process was started as one of fewer than `--gpus` asks for."""
    wanted = n_gpus * nodes.n_nodes
    if n_devices() < wanted:
        each = f"--gpus {n_gpus}" if nodes.n_nodes == 1 else f"--gpus {n_gpus} of each machine"
        raise SharedTrainError(
            f"{each}: torchrun started {n_devices()} processes, not {wanted}; start the command "
            f"without torchrun, which it starts itself"
        )


@contextmanager
def losing_others() -> Iterator[None]:
    """Turn the error of a process that another one has left into a LostProcessError."""
    try:
        yield
    except RuntimeError as error:
        if not is_loss(error):
            raise
        why = one_line(str(error), WHY_CHARS)
        raise LostProcessError(f"another process of the training has ended: {why}") from error


def is_loss(error: BaseException) -> bool:
    """Whether a collective operation has failed since another process has ended."""
    return n_devices() > 1 and isinstance(error, RuntimeError) and bool(_LOST.search(str(error)))


def _check_is_shared(folder: Path) -> None:
    from torch import distributed

    path, token = folder / SHARED_NAME, [uuid.uuid4().hex]
    if is_first_process():
        atomic.write_text(path, token[0], inside=folder, error=TrainError)
    distributed.broadcast_object_list(token, src=0)
    seen: list[bool] = [False] * n_devices()
    distributed.all_gather_object(seen, _appears(path, token[0]))
    distributed.barrier()
    if is_first_process():
        path.unlink(missing_ok=True)
    if not all(seen):
        raise SharedTrainError(
            f"--out {folder}: process {seen.index(False)} does not see what process 0 writes "
            f"there; use a folder that all machines share"
        )


def _appears(path: Path, text: str) -> bool:
    """Whether a file of this text appears; a network file system takes a moment."""
    end = time.monotonic() + SHARED_S
    while True:
        with suppress(OSError):
            if path.read_text("utf-8") == text:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(SHARED_S / 20)


def says_why() -> bool:
    """Whether this process says why it fails: the first of a machine does, as a disk fails all."""
    if (folder := os.environ.get(FAILURE)) is None:
        return True
    try:
        Path(folder, "failure").mkdir()
    except FileExistsError:
        return False
    except OSError:  # the disk is full here, too
        return True
    return True


def end_of(codes: Mapping[int, int]) -> tuple[str, int]:
    """Return what to say about processes that failed, and the exit code of them all.

    `codes`: exit code by number of the process, that which failed first first; negative for a
    signal. Nothing is said where a process has said why. The launcher ends the others by SIGTERM,
    and after half a minute by SIGKILL.
    """
    own = [code for code in codes.values() if code > 0 and code != EXIT_LOST]
    if any(code > 1 for code in own):
        return "", own[0]
    signals = {rank: signal.Signals(-code).name for rank, code in codes.items() if code < 0}
    killed = {rank: name for rank, name in signals.items() if name != "SIGTERM"}
    for rank, name in (killed or ({} if own else signals)).items():
        out_of_memory = ", as when memory runs out" if name == "SIGKILL" else ""
        return f"process {rank} of the training was ended by {name}{out_of_memory}", 1
    return ("", own[0]) if own else ("another process of the training has ended", 1)


def main(argv: Sequence[str]) -> int:
    """Run accelerate's launcher and return the exit code of the process that failed first.

    A process says itself why it fails, so the launcher's own report is left out.
    """
    from accelerate.commands.launch import launch_command as run
    from accelerate.commands.launch import launch_command_parser
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="evolcoder-train-") as folder:
            os.environ[FAILURE] = folder
            run(launch_command_parser().parse_args(argv))
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        text, code = end_of(codes)
        sys.stderr.write(f"evolcoder: {text}\n" if text else "")
        return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
