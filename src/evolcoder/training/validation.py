"""The loss on rows that are held out, measured during a training.

It is the mean over all answer tokens of these rows, as the loss of a step is. Every process of a
training on several GPUs computes all of it, since each holds only a part of the weights.

>>> validate = Validation(trainer, collator, parts, completions)   # doctest: +SKIP
>>> validate.at(10, n_steps=100)   # doctest: +SKIP
0.61
"""

from collections.abc import Sequence
from typing import Any

from evolcoder.training.batches import IGNORED, PART, Collator, Part
from evolcoder.training.completions import CompletionLog

MAX_TOKENS = 4096
"""Maximum tokens of a part, whose logits exist as a whole.

A step's loss has no logits, since it leaves out the module of the output layer; the shards of some
versions of PyTorch stay gathered when that happens without a backward pass.
"""
TIMES = 10
"""Measurements of a training, about: after every tenth of the steps."""


class Validation:
    """Measures a trainer's model on the parts of the rows that are held out."""

    def __init__(
        self, trainer: Any, collator: Collator, parts: Sequence[Part], completions: CompletionLog
    ) -> None:
        self._trainer = trainer
        self._collator = collator
        self._parts = [part for part in parts if part]
        self._completions = completions

    def at(self, step: int, *, n_steps: int) -> float | None:
        """Return the loss after a step, and log completions; None if this step is not measured."""
        if step % max(1, n_steps // TIMES) and step < n_steps:
            return None
        self._completions.write(step)
        self._trainer.held_loss = loss = self.loss()
        return loss

    def loss(self) -> float:
        """Return the mean loss over the answer tokens; the model is left in training mode."""
        import torch

        trainer, model = self._trainer, self._trainer.model_wrapped
        total, count = 0.0, 0
        model.eval()
        try:
            with torch.no_grad(), trainer.compute_loss_context_manager():
                for part in self._parts:
                    batch = self._collator([{PART: part}])
                    del batch["rows"]
                    count += int((batch["labels"] != IGNORED).sum())
                    inputs = trainer._prepare_inputs(batch)  # noqa: SLF001 - moves them
                    labels = inputs.pop("labels")[:, 1:]
                    logits = model(**inputs, use_cache=False).logits[:, :-1].float()
                    total += float(
                        torch.nn.functional.cross_entropy(
                            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED,
                            reduction="sum",
                        )
                    )  # fmt: skip
        finally:
            model.train()
        return total / count
