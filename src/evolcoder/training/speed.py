"""Measures a training: tokens per second, MFU, memory.

Speed counts tokens of rows without padding, after the first steps, in which kernels are selected
or compiled and memory is allocated. MFU is the arithmetic that the model needs (body for every
token, output layer for answer tokens, causal attention; recomputation does not count) divided by
the vendor's dense bf16 peak; None for a device that is not in the table.

>>> needed_flops(body=10, head=4, n_tokens=3, n_answer_tokens=1, attention=0, factor=6)
204
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evolcoder.training.batches import BatchPlan, TokenizedRow

PEAK_TFLOPS = {
    "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312, "L40S": 362,
    "L4": 121, "RTX 4090": 165, "RTX 3090": 71, "V100": 125,
}  # fmt: skip
"""Dense 16-bit peak by a part of the device's name; the first match counts."""
WARMUP_STEPS = 3
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class TrainingSpeed:
    """Measured speed and memory of a training."""

    device: str
    """Name of the device."""
    tokens_per_s: float
    """Rows' tokens, prompts included, per second over all devices."""
    mfu: float | None
    """Model FLOPs utilization, 0 to 1; None if the device's peak is unknown."""
    peak_mb: int
    """Peak memory of the first device; on a CPU, of the process."""
    waste: float
    """Share of padding in the computed tokens."""


def speed_of(
    model: Any,
    plan: BatchPlan,
    examples: Sequence[TokenizedRow],
    seconds: Sequence[float],
    *,
    n_devices: int,
) -> TrainingSpeed:
    """Measure a training; `seconds` is the end of each step, counted from the start."""
    first = min(WARMUP_STEPS, len(seconds) // 2)
    begin = seconds[first - 1] if first else 0.0
    done = plan.n_steps - len(seconds) + first
    rows = [row for part in plan.parts[done * plan.n_parts :] for row in part]
    n_tokens = sum(examples[row].n_tokens for row in rows)
    took = max(seconds[-1] - begin, 1e-9) if seconds else 1.0
    flops = flops_of(model, [examples[row] for row in rows])
    device, peak = device_and_peak()
    return TrainingSpeed(
        device=device,
        tokens_per_s=n_tokens / took,
        mfu=flops / took / (peak * n_devices) if peak else None,
        peak_mb=peak_memory_mb(),
        waste=plan.waste,
    )


def needed_flops(
    *, body: int, head: int, n_tokens: int, n_answer_tokens: int, attention: int, factor: int
) -> int:
    """Return a training's FLOPs; factor 6 trains all weights, 4 keeps the base frozen."""
    return factor * (body * n_tokens + head * n_answer_tokens) + 6 * attention


def flops_of(model: Any, rows: Sequence[TokenizedRow]) -> int:
    """Return the FLOPs of one pass over these rows: forward, and backward for trained weights."""
    config = model.config.get_text_config()
    head = config.vocab_size * config.hidden_size
    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    apart = {id(table.weight) for table in tables}
    weights = [weight for weight in model.parameters() if id(weight) not in apart]
    frozen = any(not weight.requires_grad for weight in weights)
    # causal: a token at position p attends to p others, so a row of n tokens has n * n / 2 pairs
    pairs = sum(row.n_tokens**2 for row in rows) // 2
    return needed_flops(
        body=sum(map(n_values, weights)),
        head=head,
        n_tokens=sum(row.n_tokens for row in rows),
        n_answer_tokens=sum(len(row.answer) for row in rows),
        attention=2 * config.num_hidden_layers * config.hidden_size * pairs,
        factor=4 if frozen else 6,
    )


def n_values(weight: Any) -> int:
    """Return the number of a weight's values, which 4-bit quantization packs two to a byte."""
    state = getattr(weight, "quant_state", None)
    return weight.numel() if state is None else math.prod(state.shape)


def device_and_peak() -> tuple[str, float | None]:
    """Return the first device's name and its peak in FLOP/s."""
    import torch

    if not torch.cuda.is_available():
        return "cpu", None
    name = torch.cuda.get_device_name()
    return name, next((peak * 1e12 for part, peak in PEAK_TFLOPS.items() if part in name), None)


def peak_memory_mb() -> int:
    """Return the peak memory so far."""
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() // MB)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
