"""Batches of a training: tokenizes rows, plans the batches, and collates them into tensors.

The prompt comes from `Template.messages`, which `eval` calls too, so the two cannot differ; the
answer and the end token follow. Every row becomes a tokenized row or a bad row with its location.
Uses one task and one answer per row; the reader of a format handles earlier turns of a chat.

`plan` assigns rows to optimizer steps and cuts each step into parts (micro-batches). Every row is
seen once per epoch, in an order that only the seed decides, and the rows of a step do not depend on
the number of devices. All steps have the same number of parts, a multiple of the devices. A padded
part has rows of similar length within the token bound, or one longer row, or no row if a step has
too few. Packed parts of a step have about the same sum of tokens, each filled up to a multiple of
64. Planning uses lengths only, without torch.

`Collator` makes tensors. Tokens of one row never attend to another row. `padded`: padding follows a
row, where causal attention does not look, so no mask is needed and the fastest kernels apply.
`packed`: positions restart at 0 with each row, which sets the attention borders; on request the
borders are named too. Prompts, padding and filler rows have no loss.

>>> steps = rows_by_step(4, n_seen=4, rows_per_step=4, seed=0)
>>> plan(steps, [3, 9, 4, 8], max_tokens=18).n_parts
2
"""

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any

from evolcoder.bench.base import PromptSettings
from evolcoder.bench.prompts import Template
from evolcoder.errors import TrainError
from evolcoder.ids import rng_for
from evolcoder.seeds.rows import PlacedRow
from evolcoder.training.recipe import Layout

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    Batch = dict[str, torch.Tensor]

SHOWN_BAD_ROWS = 3


@dataclass(frozen=True, slots=True)
class TokenizedRow:
    """One row as tokens."""

    prompt: tuple[int, ...]
    """Prompt tokens, without loss."""
    answer: tuple[int, ...]
    """Answer tokens, with the end token last."""
    place: str
    """Location of the row."""

    @property
    def n_tokens(self) -> int:
        """Tokens of prompt and answer."""
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be trained on."""

    place: str
    """Location of the row."""
    why: str
    """The reason: `no task`, `empty answer`, `only thought`, `labelled bad`, `needs tools`,
    `needs an image` or `too long`."""
    detail: str
    """The value seen."""


@dataclass(frozen=True, slots=True)
class TokenizedData:
    """All rows of a training: read = examples + bad rows."""

    examples: tuple[TokenizedRow, ...]
    """Rows that are trained on."""
    bad: tuple[BadRow, ...]
    """Rows that are left out."""
    n_thoughts: int = 0
    """Examples whose answer came with thinking, which is not trained on."""

    @property
    def n_tokens(self) -> int:
        """Tokens of one epoch."""
        return sum(example.n_tokens for example in self.examples)

    @property
    def n_answer_tokens(self) -> int:
        """Tokens of one epoch with loss."""
        return sum(len(example.answer) for example in self.examples)


def messages_of(task: str, template: Template) -> list[dict[str, str]]:
    """Return the chat, or the raw text, that an evaluation with this template would send."""
    settings = PromptSettings(instruction=task, code=task, language="python", stops=())
    return [{"role": one.role, "content": one.content} for one in template.messages(settings)]


def prompt_tokens(task: str, template: Template, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Tokenize a task as a server tokenizes the same request."""
    messages = messages_of(task, template)
    if template.raw:
        return _ids(tokenizer(messages[0]["content"]))
    return _ids(_chat(tokenizer, messages, add_generation_prompt=True))


def tokenize(
    placed: PlacedRow, template: Template, tokenizer: "PreTrainedTokenizerBase"
) -> TokenizedRow:
    """Tokenize one row."""
    prompt = prompt_tokens(placed.row.task.instruction, template, tokenizer)
    if template.raw:
        answer = _ids(tokenizer(placed.row.response.text, add_special_tokens=False))
        return TokenizedRow(tuple(prompt), (*answer, _eos_token(tokenizer)), placed.place)
    turn = {"role": "assistant", "content": placed.row.response.text}
    chat = _ids(_chat(tokenizer, [*messages_of(placed.row.task.instruction, template), turn]))
    if chat[: len(prompt)] != prompt:
        raise TrainError(
            "the base's chat template renders a prompt differently once it is answered, so "
            "training would not match evaluation; use --template wizardcoder"
        )
    return TokenizedRow(tuple(prompt), _up_to_end(chat[len(prompt) :], tokenizer), placed.place)


def tokenize_all(
    rows: Iterable[PlacedRow],
    template: Template,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    drop: bool,
) -> TokenizedData:
    """Tokenize all rows; with `drop` bad rows are left out, else they are one TrainError.

    Rows that the reader leaves out, since they need tools or are labelled bad, are left out anyway.
    """
    examples: list[TokenizedRow] = []
    left_out: list[BadRow] = []
    bad: list[BadRow] = []
    n_thoughts = 0
    for placed in rows:
        if placed.why:
            left_out.append(BadRow(placed.place, placed.why, "so it has no answer to train on"))
            continue
        row = _checked(placed, template, tokenizer, max_length)
        n_thoughts += isinstance(row, TokenizedRow) and bool(placed.row.response.reasoning)
        (examples if isinstance(row, TokenizedRow) else bad).append(row)  # type: ignore[arg-type]
    if bad and not drop:
        raise TrainError(_refusal(bad, len(left_out) + len(bad) + len(examples), max_length))
    bad += left_out
    if not examples:
        raise TrainError(f"no row can be trained on: {_counted(bad) or 'the data has no rows'}")
    return TokenizedData(tuple(examples), tuple(bad), n_thoughts)


def _checked(
    placed: PlacedRow, template: Template, tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> TokenizedRow | BadRow:
    if not placed.row.task.instruction.strip():
        return BadRow(placed.place, "no task", "no column with a task")
    if not placed.row.response.text.strip():
        if thought := placed.row.response.reasoning:
            return BadRow(placed.place, "only thought", f"{len(thought)} characters, and no answer")
        return BadRow(placed.place, "empty answer", "no answer, or only blanks")
    row = tokenize(placed, template, tokenizer)
    if row.n_tokens > max_length:
        return BadRow(placed.place, "too long", f"{row.n_tokens} tokens")
    return row


def _refusal(bad: Sequence[BadRow], n_rows: int, max_length: int) -> str:
    shown = "; ".join(f"{row.place}: {row.why}, {row.detail}" for row in bad[:SHOWN_BAD_ROWS])
    more = f"; and {len(bad) - SHOWN_BAD_ROWS} more" if len(bad) > SHOWN_BAD_ROWS else ""
    longer = f", max_length={max_length} may be raised" if _any_long(bad) else ""
    columns = ", --columns instruction=NAME,response=NAME names the columns"
    return (
        f"{len(bad)} of {n_rows} rows cannot be trained on ({_counted(bad)}): {shown}{more}. "
        f"--set bad_rows=drop leaves them out{longer}"
        f"{columns if any(row.why == 'no task' for row in bad) else ''}"
    )


def _any_long(bad: Sequence[BadRow]) -> bool:
    return any(row.why == "too long" for row in bad)


def _counted(bad: Sequence[BadRow]) -> str:
    whys = dict.fromkeys(row.why for row in bad)
    return ", ".join(f"{why} {sum(row.why == why for row in bad)}" for why in whys)


def _chat(
    tokenizer: "PreTrainedTokenizerBase",
    messages: list[dict[str, str]],
    *,
    add_generation_prompt: bool = False,
) -> Any:
    if not tokenizer.chat_template:
        raise TrainError(
            "the base has no chat template, so --template chat cannot be used; "
            "use --template wizardcoder"
        )
    return tokenizer.apply_chat_template(messages, add_generation_prompt=add_generation_prompt)


def _ids(encoded: Any) -> list[int]:
    """Return the tokens of a tokenizer's result."""
    return list(encoded["input_ids"] if hasattr(encoded, "keys") else encoded)


def _eos_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    if tokenizer.eos_token_id is None:
        raise TrainError("the base's tokenizer has no end token, so answers would never end")
    return int(tokenizer.eos_token_id)


def _up_to_end(answer: list[int], tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """Cut blanks that a chat template writes after the end token; no model generates them.

    An end token is never added: a server would not write it after an earlier answer of a chat.
    """
    added = tokenizer.added_tokens_decoder.items()
    ends = {*tokenizer.all_special_ids, *(token for token, how in added if how.special)}
    last = max((at for at, token in enumerate(answer) if token in ends), default=-1)
    if last < 0 or tokenizer.decode(answer[last + 1 :]).strip():
        raise TrainError(
            "the base's chat template closes an answer with no special token, so answers would "
            "never end; use --template wizardcoder"
        )
    return tuple(answer[: last + 1])


MIN_LENGTH_RATIO = 0.8
"""A row shorter than this share of a part's longest row starts a new part, if the old one is filled
to `MIN_FILL`."""
MIN_FILL = 0.25
"""Share of the token bound; below it padding costs less than idle devices."""
Part = tuple[int, ...]
"""Indices of the rows of one micro-batch."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The batches of a whole training."""

    parts: tuple[Part, ...]
    """All parts, by step."""
    n_parts: int
    """Parts per step, over all devices."""
    n_steps: int
    """Optimizer steps."""
    n_tokens: int
    """Tokens of all parts, without padding."""
    n_padded: int
    """Tokens of all parts, with padding."""

    @property
    def waste(self) -> float:
        """Share of padding in the computed tokens."""
        return 1 - self.n_tokens / self.n_padded


def rows_by_step(n_rows: int, *, n_seen: int, rows_per_step: int, seed: int) -> list[list[int]]:
    """Return the rows of each step, `n_seen` in all; the last step may have fewer."""
    rows = list(islice(_stream(n_rows, seed), n_seen))
    return [rows[at : at + rows_per_step] for at in range(0, n_seen, rows_per_step)]


def plan(
    steps: Sequence[Sequence[int]],
    lengths: Sequence[int],
    *,
    max_tokens: int,
    n_devices: int = 1,
    layout: Layout = "padded",
) -> BatchPlan:
    """Cut steps into parts."""
    parts, n_parts = (
        _packed_parts(steps, lengths, max_tokens, n_devices)
        if layout == "packed"
        else _padded_parts(steps, lengths, max_tokens, n_devices)
    )
    n_tokens = [sum(lengths[row] for row in part) for part in parts]
    padded = map(filled, n_tokens) if layout == "packed" else (_size(p, lengths) for p in parts)
    return BatchPlan(tuple(parts), n_parts, len(steps), sum(n_tokens), sum(padded))


def _stream(n_rows: int, seed: int) -> Iterator[int]:
    """Yield rows endlessly, each epoch in another order."""
    epoch = 0
    while True:
        rows = list(range(n_rows))
        rng_for(seed, "epoch", epoch).shuffle(rows)
        yield from rows
        epoch += 1


def _padded_parts(
    steps: Sequence[Sequence[int]], lengths: Sequence[int], max_tokens: int, n_devices: int
) -> tuple[list[Part], int]:
    cuts = [_parts(step, lengths, max_tokens) for step in steps]
    n_parts = math.ceil(max(map(len, cuts)) / n_devices) * n_devices
    return [part for cut in cuts for part in _split_to(cut, n_parts, lengths)], n_parts


def _packed_parts(
    steps: Sequence[Sequence[int]], lengths: Sequence[int], max_tokens: int, n_devices: int
) -> tuple[list[Part], int]:
    """Return parts of about equal sums of tokens, and their number in each step."""
    totals = [sum(lengths[row] for row in step) for step in steps]
    n_parts = math.ceil(math.ceil(max(totals) / max_tokens) / n_devices) * n_devices
    most = math.ceil(max(map(len, steps)) / n_devices) * n_devices
    while True:
        cuts = [_balanced(step, lengths, n_parts) for step in steps]
        if n_parts >= most or all(_fits(part, lengths, max_tokens) for cut in cuts for part in cut):
            return [part for cut in cuts for part in cut], n_parts
        n_parts += n_devices


def _balanced(step: Sequence[int], lengths: Sequence[int], n_parts: int) -> list[Part]:
    """Give each row, longest first, to the part with the fewest tokens."""
    parts: list[list[int]] = [[] for _ in range(n_parts)]
    heap = [(0, at) for at in range(n_parts)]
    for row in sorted(step, key=lambda row: (-lengths[row], row)):
        n_tokens, at = heap[0]
        parts[at].append(row)
        heapq.heapreplace(heap, (n_tokens + lengths[row], at))
    return [tuple(part) for part in parts]


def _fits(part: Part, lengths: Sequence[int], max_tokens: int) -> bool:
    return len(part) <= 1 or sum(lengths[row] for row in part) <= max_tokens


def _parts(step: Sequence[int], lengths: Sequence[int], max_tokens: int) -> list[Part]:
    """Cut the rows of a step, longest first, into parts within the token bound."""
    parts: list[Part] = []
    part: list[int] = []
    for row in sorted(step, key=lambda row: (-lengths[row], row)):
        longest = lengths[part[0]] if part else lengths[row]
        full = longest * (len(part) + 1) > max_tokens
        shorter = lengths[row] < MIN_LENGTH_RATIO * longest
        if part and (full or (shorter and longest * len(part) >= MIN_FILL * max_tokens)):
            parts.append(tuple(part))
            part = []
        part.append(row)
    return [*parts, tuple(part)]


def _split_to(parts: list[Part], n_parts: int, lengths: Sequence[int]) -> list[Part]:
    """Halve the largest parts until there are `n_parts`; halves of a single row may be empty."""
    parts = list(parts)
    while len(parts) < n_parts:
        at = max(range(len(parts)), key=lambda i: (len(parts[i]) > 1, _size(parts[i], lengths)))
        half = (len(parts[at]) + 1) // 2
        parts[at : at + 1] = [parts[at][:half], parts[at][half:]]
    return sorted(parts, key=lambda part: -_size(part, lengths))


def _size(part: Part, lengths: Sequence[int]) -> int:
    """Return a part's tokens with padding."""
    return len(part) * max((lengths[row] for row in part), default=0)


def filled(n_tokens: int) -> int:
    """Return a packed part's tokens with its filling; a part without rows is only filling."""
    return max(1, math.ceil(n_tokens / TILE)) * TILE


TILE = 64
"""A packed part is filled up to a multiple of this, which GPU kernels handle without a rest."""
PART = "part"
"""Name of the data set's only column: the rows of a part."""
IGNORED = -100
"""PyTorch's label without loss."""


class Collator:
    """Collates one part into tensors."""

    def __init__(self, examples: Sequence[TokenizedRow], layout: Layout, pad_id: int) -> None:
        self._examples = examples
        self._layout = layout
        self._pad_id = pad_id
        self._longest = max(example.n_tokens for example in examples)
        self.with_borders = False
        """Whether packed batches name the borders of their rows (see `attention.row_attention`)."""

    def __call__(self, items: "list[dict[str, Part]]") -> "Batch":
        """Collate the single part of a loader's batch; `rows` holds the row indices."""
        part = items[0][PART]
        rows = [self._examples[index] for index in part]
        batch = self._packed(rows) if self._layout == "packed" else self._padded(rows)
        return {**batch, "rows": _tensor(list(part))}

    def _padded(self, rows: Sequence[TokenizedRow]) -> "Batch":
        """Ids, positions and labels, each of shape (rows, longest row); no row is one filler."""
        longest = max((row.n_tokens for row in rows), default=1)
        ids, labels = [], []
        for row in rows:
            gap = longest - row.n_tokens
            ids.append([*row.prompt, *row.answer, *[self._pad_id] * gap])
            labels.append([*_labels(row), *[IGNORED] * gap])
        return {
            "input_ids": _tensor(ids or [[self._pad_id]]),
            "position_ids": _tensor([list(range(longest))] * max(1, len(rows))),
            "labels": _tensor(labels or [[IGNORED]]),
        }

    def _packed(self, rows: Sequence[TokenizedRow]) -> "Batch":
        """Ids, positions and labels, each of shape (1, tokens); a row's first token has no loss.

        The filling at the end is a row of its own.
        """
        lengths = [row.n_tokens for row in rows]
        n_filling = filled(sum(lengths)) - sum(lengths)
        lengths = [*lengths, n_filling]
        ids = [token for row in rows for token in (*row.prompt, *row.answer)]
        labels = [label for row in rows for label in (IGNORED, *_labels(row)[1:])]
        places = [place for length in lengths for place in range(length)]
        batch = {
            "input_ids": _tensor([[*ids, *[self._pad_id] * n_filling]]),
            "position_ids": _tensor([places]),
            "labels": _tensor([[*labels, *[IGNORED] * n_filling]]),
        }
        return {**batch, **self._borders(lengths)} if self.with_borders else batch

    def _borders(self, lengths: Sequence[int]) -> "Batch":
        """Borders of rows, of shape (rows + 1,), and the most tokens of a row in all batches.

        One maximum for all, since compiled code is compiled again for another.
        """
        import torch

        borders = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
        longest: Any = max(self._longest, TILE)
        return {
            "cu_seq_lens_q": borders,
            "cu_seq_lens_k": borders,
            "max_length_q": longest,
            "max_length_k": longest,
        }


def _labels(row: TokenizedRow) -> list[int]:
    return [*[IGNORED] * len(row.prompt), *row.answer]


def _tensor(values: list[int] | list[list[int]]) -> "torch.Tensor":
    import torch

    return torch.tensor(values, dtype=torch.long)
