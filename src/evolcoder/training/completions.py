"""Completions of held-out tasks while a model is trained, so that a person can look at them.

They are greedy and short, written to `completions.jsonl` in the folder of the model, one line per
completion, each time that the loss of the held-out rows is measured; a step is in it once, however
often the training was resumed. They decide nothing.

>>> log = CompletionLog(trainer, rows[:2], Path("out"))   # doctest: +SKIP
>>> log.write(step=10)   # doctest: +SKIP
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from evolcoder.errors import TrainError
from evolcoder.input_files import open_regular
from evolcoder.storage import atomic
from evolcoder.training.batches import TokenizedRow
from evolcoder.training.recipe import is_first_process

COMPLETIONS_NAME = "completions.jsonl"
MAX_TOKENS = 200
"""Maximum tokens of an answer."""


class CompletionLog:
    """Answers the tasks of some rows with a trainer's model."""

    def __init__(self, trainer: Any, rows: Sequence[TokenizedRow], folder: Path) -> None:
        self._trainer = trainer
        self._rows = rows
        self._path = folder / COMPLETIONS_NAME
        self._has_begun = False

    def write(self, step: int) -> None:
        """Append the answers after a step; all processes of a training answer together."""
        if not self._rows:
            return
        answers = self._answers()
        if not is_first_process():
            return
        if not self._has_begun:
            self._remove_from(step)
            self._has_begun = True
        decode = self._trainer.processing_class.decode
        with atomic.open_to_append(self._path, inside=self._path.parent, error=TrainError) as file:
            for row, answer in zip(self._rows, answers, strict=True):
                line = {
                    "step": step,
                    "row": row.place,
                    "prompt": decode(list(row.prompt)),
                    "answer": decode(answer, skip_special_tokens=True),
                    "is_cut": len(answer) == MAX_TOKENS,
                    "reference": decode(list(row.answer), skip_special_tokens=True),
                }
                file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())

    def _remove_from(self, step: int) -> None:
        """Remove what a session that was killed wrote after the checkpoint that is resumed from."""
        if not self._path.exists():
            return
        kept = []
        with open_regular(self._path, error=TrainError) as file:
            for line in file:
                with suppress(ValueError, LookupError, TypeError, RecursionError):
                    if json.loads(line)["step"] < step:
                        kept.append(line.decode())
        atomic.write_text(self._path, "".join(kept), inside=self._path.parent, error=TrainError)

    def _answers(self) -> list[list[int]]:
        """Return an answer's tokens for each row; the model is left in training mode."""
        import torch

        trainer = self._trainer
        model = trainer.model
        attention = model.config._attn_implementation  # noqa: SLF001 - has no public getter
        model.eval()
        model.set_attn_implementation("sdpa")  # that of packed rows wants their borders
        try:
            with (
                torch.no_grad(),
                torch.compiler.set_stance("force_eager"),  # each length would be compiled
                trainer.compute_loss_context_manager(),
            ):
                return [self._answer(row) for row in self._rows]
        finally:
            model.set_attn_implementation(attention)
            model.train()

    def _answer(self, row: TokenizedRow) -> list[int]:
        import torch

        model, tokenizer = self._trainer.model, self._trainer.processing_class
        prompt = torch.tensor([row.prompt], device=self._trainer.args.device)
        found = model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=MAX_TOKENS,
            eos_token_id=sorted({row.answer[-1], tokenizer.eos_token_id} - {None}),
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
        )
        tokens: list[int] = found[0, prompt.shape[1] :].tolist()
        return tokens
