"""Checkpoints of trainings of all weights: weights and optimizer state, each process its shard.

They are in PyTorch's distributed checkpoint format (DCP), whichever the number of processes, so a
training resumes on another number of GPUs. Checkpoints of earlier versions, which transformers
wrote, are not handled here. A part that cannot be written or read is a TrainError of one line in
all processes.

>>> save(model, optimizer, Path("out/checkpoints/checkpoint-100"))   # doctest: +SKIP
>>> load(model, optimizer, Path("out/checkpoints/checkpoint-100"))   # doctest: +SKIP
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from evolcoder.errors import SharedTrainError, TrainError
from evolcoder.text import one_line
from evolcoder.training.base import WHY_CHARS
from evolcoder.training.launch import is_loss
from evolcoder.training.recipe import is_first_process

VALID = "earlier ones are valid"
STATE = "state"
"""Folder of the weights and the optimizer's state inside a checkpoint."""


def is_sharded(checkpoint: Path) -> bool:
    """Whether a checkpoint has the format of this module."""
    return (checkpoint / STATE / ".metadata").is_file()


def save(model: Any, optimizer: Any, checkpoint: Path) -> None:
    """Write a checkpoint; all processes of a training call this together."""
    from torch.distributed import checkpoint as dcp

    with writing(checkpoint):
        state = _state(model, optimizer)
        dcp.save(state, checkpoint_id=str(checkpoint / STATE), no_dist=not _is_distributed())


def load(model: Any, optimizer: Any, checkpoint: Path) -> None:
    """Read a checkpoint into a model and its optimizer; all processes call this together."""
    from torch.distributed import checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

    with _as_one_line(f"{checkpoint}: cannot be read", VALID):
        state = _state(model, optimizer)
        dcp.load(state, checkpoint_id=str(checkpoint / STATE), no_dist=not _is_distributed())
        set_state_dict(
            model,
            optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=StateDictOptions(strict=False),  # shared weights are in it once
        )


def whole_weights(model: Any, dtype: str) -> dict[str, Any]:
    """Gather a sharded model's weights on the processor of the first process, in another dtype.

    One weight after the other is gathered on the GPUs. The other processes, which take part, get
    an empty dictionary.
    """
    import torch

    names = _names(model)
    whole = {}
    for name, weight in model.state_dict().items():
        if name not in names:
            continue
        value = weight.full_tensor() if hasattr(weight, "full_tensor") else weight
        to = getattr(torch, dtype) if value.is_floating_point() else value.dtype
        value = value.to(to)  # in all processes: it waits until the weight is gathered
        if is_first_process():
            whole[name] = value.cpu()
    if _is_distributed():
        torch.distributed.barrier()  # a process that ends would end the gathering of the others
    return whole


def _names(model: Any) -> set[str]:
    """Return the names of weights and buffers; a weight that layers share has one."""
    return {name for name, _ in (*model.named_parameters(), *model.named_buffers())}


def _state(model: Any, optimizer: Any) -> dict[str, Any]:
    """Return weights and optimizer state by name; a weight that layers share is in it once."""
    from torch.distributed.checkpoint.state_dict import get_state_dict

    weights, moments = get_state_dict(model, optimizer)
    names = _names(model)
    return {"model": {k: w for k, w in weights.items() if k in names}, "optimizer": moments}


def _is_distributed() -> bool:
    from torch import distributed

    return bool(distributed.is_available() and distributed.is_initialized())


def writing(checkpoint: Path) -> AbstractContextManager[None]:
    """Turn a failure to write a checkpoint into one line."""
    return _as_one_line(f"{checkpoint}: cannot be written", VALID)


def writing_model(folder: Path, last: Path | None) -> AbstractContextManager[None]:
    """Turn a failure to write the finished model into one line; `last` is the last checkpoint."""
    again = f"continues from {last.name}" if last else "trains it again, since no checkpoint exists"
    return _as_one_line(
        f"{folder}: the model cannot be written",
        f"correct that, and run the same command again: it {again}",
    )


@contextmanager
def _as_one_line(what: str, end: str) -> Iterator[None]:
    """Turn a failure into one line; what fails inside of DCP is reported to all processes."""
    from safetensors import SafetensorError
    from torch.distributed.checkpoint import CheckpointException

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # one process
            yield
    except CheckpointException as error:
        reasons = [failure[0] for _, failure in sorted(error.failures.items())]
        own = [reason for reason in reasons if not is_loss(reason)]
        if not own:
            raise reasons[0] from error
        raise SharedTrainError(f"{what}: {_reason(own[0])}; {end}") from error
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:  # of this process alone
        if is_loss(error):
            raise
        raise TrainError(f"{what}: {_reason(error)}; {end}") from error


def _reason(why: BaseException) -> str:
    return one_line(str(why) or type(why).__name__, WHY_CHARS)
