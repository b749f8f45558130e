"""TRL's SFTTrainer: as in its documentation's first example, and with settings that suit a GPU."""

import tempfile
import time
from pathlib import Path
from typing import Any

from evolcoder.bench.prompts import WIZARDCODER
from evolcoder.training.base import load
from evolcoder.training.recipe import Recipe
from evolcoder.training.speed import WARMUP_STEPS, device_and_peak, flops_of, peak_memory_mb
from training.rows import UNIT, Order

DEFAULT_ROWS = 8


def run(
    order: Order, rows_per_step: int = DEFAULT_ROWS, *, at_once: int = DEFAULT_ROWS, **more: object
) -> dict[str, object]:
    import torch  # noqa: PLC0415
    from datasets import Dataset  # noqa: PLC0415
    from trl import SFTConfig, SFTTrainer  # noqa: PLC0415

    on_gpu = torch.cuda.is_available()
    n_steps = order.steps * UNIT // rows_per_step
    rows = [
        {
            "prompt": WIZARDCODER.wrap(lesson.row.task.instruction),
            "completion": lesson.row.response.text,
        }
        for lesson in order.lessons
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            max_steps=n_steps,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=rows_per_step // at_once,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            # only where the defaults cannot run
            **({} if on_gpu else {"use_cpu": True, "bf16": False}),
            **more,
        )
        base = order.base
        if base.endswith(".gguf"):
            base = f"{folder}/base"
            _save_float32(order.base, Path(base))
        trainer = SFTTrainer(model=base, args=settings, train_dataset=Dataset.from_list(rows))
        clock = _clock(trainer, n_warm(n_steps, rows_per_step))
        trainer.add_callback(clock)
        trainer.train()
    return _measured(trainer, clock, order)


def _save_float32(spec: str, folder: Path) -> None:
    """Write a base as an ordinary float32 model, so that a GGUF file is de-quantized once."""
    base = load(spec, Recipe(), on_gpu=False)
    base.model.config.use_cache = True
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)


def run_in_64(order: Order) -> dict[str, object]:
    return run(order, UNIT, at_once=UNIT)


def run_in_128(order: Order) -> dict[str, object]:
    return run(order, 128, at_once=128)


def run_in_128_bf16(order: Order) -> dict[str, object]:
    """TRL's fastest setting that is known here; small updates are lost in bf16 weights."""
    return run(order, 128, at_once=128, model_init_kwargs={"dtype": "bfloat16"})


def run_packed(order: Order) -> dict[str, object]:
    """Its packing, which fills sequences of 1,024 tokens; so its steps hold more rows."""
    return run(order, UNIT, at_once=16, packing=True)


def n_warm(n_steps: int, rows_per_step: int) -> int:
    """Return the steps that are left out: as many rows as evolcoder leaves out."""
    return max(1, min(WARMUP_STEPS * UNIT // rows_per_step, n_steps // 2))


def _clock(trainer: Any, warm: int) -> Any:
    import torch  # noqa: PLC0415
    from transformers import TrainerCallback  # noqa: PLC0415

    class Clock(TrainerCallback):
        """Notes time and tokens when the warm steps have ended, and at the end of all."""

        def __init__(self) -> None:
            self.ends: list[tuple[float, int]] = []

        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            if state.global_step in {warm, state.max_steps}:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                self.ends.append((time.monotonic(), trainer._total_train_tokens))  # noqa: SLF001

    return Clock()


def _measured(trainer: Any, clock: Any, order: Order) -> dict[str, object]:
    """Say what `Outcome` says, in the same words."""
    (began, before), (ended, after) = clock.ends
    rate = (after - before) / (ended - began)
    device, peak = device_and_peak()
    n_tokens = sum(example.n_tokens for example in order.examples)
    per_token = flops_of(trainer.model, order.examples) / n_tokens
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return {
        "device": device,
        "tokens_per_s": rate,
        "mfu": rate * per_token / peak if peak else None,
        "peak_mb": peak_memory_mb(),
        "weights": str(next(trainer.model.parameters()).dtype).removeprefix("torch."),
        "waste": _waste(trainer),
        "first_loss": losses[0] if losses else float("nan"),
        "last_loss": losses[-1] if losses else float("nan"),
    }


def _waste(trainer: Any) -> float:
    """Share of padding in batches of eight as the trainer drew them."""
    batches = list(trainer.get_train_dataloader())
    padded = sum(batch["input_ids"].numel() for batch in batches)
    real = sum(int(batch["attention_mask"].sum()) for batch in batches)
    return 1 - real / padded
