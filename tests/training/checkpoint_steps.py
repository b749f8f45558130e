"""Three steps of a toy on one or more processes, and a checkpoint before or after them.

    torchrun --nproc-per-node N checkpoint_steps.py save|load BASE CHECKPOINT

Weights are sharded if there are several processes. Prints the losses of the last three steps.
"""

import os
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM

from evolcoder.training import checkpoints

mode, base, checkpoint = sys.argv[1], sys.argv[2], Path(sys.argv[3])
n_processes = int(os.environ.get("WORLD_SIZE", "1"))
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
if n_processes > 1:
    distributed.init_process_group("gloo")
    mesh = distributed.init_device_mesh("cpu", (n_processes,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)


def step(number):
    torch.manual_seed(number)
    tokens = torch.randint(0, 100, (4, 12))
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


if mode == "save":
    for number in range(3):
        step(number)
    checkpoints.save(model, optimizer, checkpoint)
else:
    checkpoints.load(model, optimizer, checkpoint)
losses = [step(number) for number in range(3, 6)]
weights = checkpoints.whole_weights(model, "bfloat16")
if int(os.environ.get("RANK", "0")) == 0:
    found = [*losses, sum(weight.numel() for weight in weights.values())]
    sys.stdout.write(f"losses {' '.join(map(str, found))}\n")
if n_processes > 1:
    distributed.destroy_process_group()
