"""TRL's SFTTrainer with our batches, and with eyes on every loss.

Promises: a loss or a gradient that is no number ends the training at once, before the weights take
it, and names step and rows. The loss is the mean over all answer tokens of an optimizer step,
however it was cut into parts, computed by TRL in chunks so that the logits of a large vocabulary
never exist at once. Attention costs the same for a shape that was not seen yet.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from evolcoder.errors import TrainError
from evolcoder.train.examples import Example

SHOWN_ROWS = 8


def trainer_class() -> type:
    """Make the class; TRL is imported here and not before."""
    from trl import SFTTrainer

    class Watching(SFTTrainer):  # type: ignore[misc, unused-ignore]
        """Stops at the first loss that is no number."""

        examples: Sequence[Example] = ()
        _rows: list[Any] = []  # noqa: RUF012 - set anew for each step

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self._rows = [*self._rows, inputs.pop("rows")]
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            if not math.isfinite(loss.detach().item()):
                self._stop("the loss", self._rows[-1:])
            return loss

        def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
            norm = super()._get_grad_norm(*args, **kwargs)
            if norm is not None and not math.isfinite(float(norm)):
                self._stop("the gradient", self._rows)
            self._rows = []
            return norm

        def _stop(self, what: str, parts: Sequence[Any]) -> None:
            rows = [row for part in parts for row in part.tolist()]
            places = [self.examples[row].place for row in rows[:SHOWN_ROWS]]
            more = f" and {len(rows) - SHOWN_ROWS} more" if len(rows) > SHOWN_ROWS else ""
            raise TrainError(
                f"step {self.state.global_step + 1}: {what} is not a number; the rows of that "
                f"batch: {', '.join(places)}{more}. Look at these rows, or lower learning_rate "
                f"(now {self.args.learning_rate:g}); the last checkpoint is good"
            )

    return Watching


@contextmanager
def attention_of_any_shape() -> Iterator[None]:
    """Leave cuDNN's attention out: it makes a plan for each new shape, and each part has its own.

    PyTorch takes it first on a Hopper GPU. A plan costs near 60 ms of the processor, once forward
    and once backward (`docs/log.md`, 2026-11-27); flash attention needs none.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        yield
