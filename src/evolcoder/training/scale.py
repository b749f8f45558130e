"""Training on several GPUs of one machine: accelerate's configuration and launch command.

Full weights are sharded (FSDP2); adapters are replicated on every GPU, since their gradients are
small. The batch plan does not depend on the number of devices, so losses agree except for rounding.
Starts no process itself.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from evolcoder.training.recipe import Recipe

CONFIG_NAME = "accelerate.yaml"


def n_devices() -> int:
    """Return the number of training processes, which the launcher sets."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process writes the files (rank 0)."""
    return int(os.environ.get("RANK", "0")) == 0


def launcher_config(recipe: Recipe, n_gpus: int) -> str:
    """Return the YAML configuration of `accelerate launch`."""
    sharded = recipe.method == "full"
    config: dict[str, object] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "FSDP" if sharded else "MULTI_GPU",
        "machine_rank": 0,
        "main_training_function": "main",
        "mixed_precision": "bf16",
        "num_machines": 1,
        "num_processes": n_gpus,
    }
    if sharded:
        config["fsdp_config"] = {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_offload_params": False,
            "fsdp_cpu_ram_efficient_loading": False,
        }
    return yaml.safe_dump(config, sort_keys=False)


def launch_command(config: Path, arguments: Sequence[str]) -> list[str]:
    """Return the command that runs `evolcoder train` once per device."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    return [*launch, "-m", "evolcoder.cli.main", "train", *arguments]
