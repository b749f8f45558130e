"""Tokenizes rows: evaluation's prompt, then the answer, then the end token.

The prompt comes from `Template.messages`, which `eval` calls too, so the two cannot differ. Every
row becomes a tokenized row or a bad row with its location. Uses one task and one answer per row;
the reader of a format handles earlier turns of a chat.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evolcoder.bench.base import PromptSettings
from evolcoder.bench.prompts import Template
from evolcoder.errors import TrainError
from evolcoder.seeds.rows import PlacedRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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
    """Tokenize all rows; with `drop` bad rows are left out, else they are one TrainError."""
    examples: list[TokenizedRow] = []
    bad: list[BadRow] = []
    n_thoughts = 0
    for placed in rows:
        row = _checked(placed, template, tokenizer, max_length)
        n_thoughts += isinstance(row, TokenizedRow) and bool(placed.row.response.reasoning)
        (examples if isinstance(row, TokenizedRow) else bad).append(row)  # type: ignore[arg-type]
    if bad and not drop:
        raise TrainError(_refusal(bad, len(bad) + len(examples), max_length))
    if not examples:
        raise TrainError(f"no row can be trained on: {_counted(bad) or 'the data has no rows'}")
    return TokenizedData(tuple(examples), tuple(bad), n_thoughts)


def _checked(
    placed: PlacedRow, template: Template, tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> TokenizedRow | BadRow:
    if placed.why:
        return BadRow(placed.place, placed.why, "so it has no answer to train on")
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
