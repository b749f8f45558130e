"""Rows become tokens: the prompt that evaluation asks with, then the answer, then the end.

Promises: the prompt's text is made by the very call that `eval` makes, `Template.messages`, so the
two cannot differ; every row is an example or a fault with a place, and a fault says what to do.
Reads one task and one answer per row; earlier turns of a chat are the reader's business.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evolcoder.bench.base import PromptSettings
from evolcoder.bench.prompts import Template
from evolcoder.errors import TrainError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN_FAULTS = 3


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """One row of training data, as text."""

    task: str
    """What is asked; empty if the row has no such column."""
    answer: str
    """What is to be learnt; empty if the row has no such column."""
    place: str
    """Where it was found, such as `data.jsonl line 7`."""


@dataclass(frozen=True, slots=True)
class TokenizedRow:
    """One row, ready to be learnt."""

    prompt: tuple[int, ...]
    """Tokens that a model is asked with; no loss on them."""
    answer: tuple[int, ...]
    """Tokens that it is to say, the end token last."""
    place: str
    """Where the row was found."""

    @property
    def n_tokens(self) -> int:
        """Prompt and answer together."""
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be learnt."""

    place: str
    """Where it was found."""
    why: str
    """What is wrong with it: `no task`, `empty answer` or `too long`."""
    detail: str
    """What was seen."""


@dataclass(frozen=True, slots=True)
class TrainingPairs:
    """All rows of a training: read = examples + bad rows."""

    examples: tuple[TokenizedRow, ...]
    """What is learnt."""
    bad: tuple[BadRow, ...]
    """What was left out."""

    @property
    def n_tokens(self) -> int:
        """Tokens of one epoch."""
        return sum(example.n_tokens for example in self.examples)

    @property
    def n_answer_tokens(self) -> int:
        """Tokens of one epoch that are learnt."""
        return sum(len(example.answer) for example in self.examples)


def messages_of(task: str, template: Template) -> list[dict[str, str]]:
    """Return the chat, or the raw text, that an evaluation with this template would send."""
    asked = PromptSettings(instruction=task, code=task, language="python", stops=())
    return [{"role": said.role, "content": said.content} for said in template.messages(asked)]


def prompt_tokens(task: str, template: Template, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Turn a task into the tokens that a server makes of the same request."""
    messages = messages_of(task, template)
    if template.raw:
        return _ids(tokenizer(messages[0]["content"]))
    return _ids(_chat(tokenizer, messages, add_generation_prompt=True))


def example_of(
    lesson: TrainingPair, template: Template, tokenizer: "PreTrainedTokenizerBase"
) -> TokenizedRow:
    """Turn a row into tokens."""
    prompt = prompt_tokens(lesson.task, template, tokenizer)
    if template.raw:
        told = _ids(tokenizer(lesson.answer, add_special_tokens=False))
        return TokenizedRow(tuple(prompt), (*told, _end_of(tokenizer)), lesson.place)
    turn = {"role": "assistant", "content": lesson.answer}
    whole = _ids(_chat(tokenizer, [*messages_of(lesson.task, template), turn]))
    if whole[: len(prompt)] != prompt:
        raise TrainError(
            "the base's chat template writes an answered chat unlike an asked one, so training "
            "would not match evaluation; take --template wizardcoder"
        )
    return TokenizedRow(tuple(prompt), _to_end(whole[len(prompt) :], tokenizer), lesson.place)


def read_lessons(
    lessons: Iterable[TrainingPair],
    template: Template,
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    drop: bool,
) -> TrainingPairs:
    """Turn all rows into tokens; bad ones are left out, or end it with one message about all."""
    examples: list[TokenizedRow] = []
    bad: list[BadRow] = []
    for lesson in lessons:
        made = _checked(lesson, template, tokenizer, max_length)
        (examples if isinstance(made, TokenizedRow) else bad).append(made)  # type: ignore[arg-type]
    if bad and not drop:
        raise TrainError(_refusal(bad, len(bad) + len(examples), max_length))
    if not examples:
        raise TrainError(f"no row can be trained on: {_counted(bad) or 'the data has no rows'}")
    return TrainingPairs(tuple(examples), tuple(bad))


def _checked(
    lesson: TrainingPair, template: Template, tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> TokenizedRow | BadRow:
    if not lesson.task.strip():
        return BadRow(lesson.place, "no task", "no column that a task is read from")
    if not lesson.answer.strip():
        return BadRow(lesson.place, "empty answer", "no answer, or one of blanks")
    example = example_of(lesson, template, tokenizer)
    if example.n_tokens > max_length:
        return BadRow(lesson.place, "too long", f"{example.n_tokens} tokens")
    return example


def _refusal(bad: Sequence[BadRow], n_rows: int, max_length: int) -> str:
    shown = "; ".join(f"{row.place}: {row.why}, {row.detail}" for row in bad[:SHOWN_FAULTS])
    more = f"; and {len(bad) - SHOWN_FAULTS} more" if len(bad) > SHOWN_FAULTS else ""
    longer = f", max_length={max_length} may be raised" if _any_long(bad) else ""
    columns = ", columns are instruction/output, messages or prompt/completion"
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
            "take --template wizardcoder"
        )
    return tokenizer.apply_chat_template(messages, add_generation_prompt=add_generation_prompt)


def _ids(encoded: Any) -> list[int]:
    """Take the tokens out of what a tokenizer returns, an end that it adds by itself left out."""
    return list(encoded["input_ids"] if hasattr(encoded, "keys") else encoded)


def _end_of(tokenizer: "PreTrainedTokenizerBase") -> int:
    if tokenizer.eos_token_id is None:
        raise TrainError("the base's tokenizer names no end token, so answers would never end")
    return int(tokenizer.eos_token_id)


def _to_end(answer: list[int], tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """Cut blanks that a chat template writes behind the end of a turn; no model is asked for them.

    An end is never made up: where the chat goes on, a server writes the answer without it.
    """
    added = tokenizer.added_tokens_decoder.items()
    ends = {*tokenizer.all_special_ids, *(token for token, how in added if how.special)}
    last = max((at for at, token in enumerate(answer) if token in ends), default=-1)
    if last < 0 or tokenizer.decode(answer[last + 1 :]).strip():
        raise TrainError(
            "the base's chat template closes an answer with no special token, so answers would "
            "never end; take --template wizardcoder"
        )
    return tuple(answer[: last + 1])
