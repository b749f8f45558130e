"""Rows become evaluation's prompt tokens, then the answer's."""

import pytest

import toy_model
from evolcoder.bench.base import PromptSettings
from evolcoder.bench.prompts import CHAT, TEMPLATES, WIZARDCODER
from evolcoder.errors import TrainError
from evolcoder.seeds.rows import PlacedRow, row_of
from evolcoder.training.examples import tokenize, tokenize_all
from toy_model import placed

TASK = "Write `f(x)`.\nIt returns <x>, twice."
LESSON = placed(TASK, "    def f(x):\n        return 2 * x", "data.jsonl line 1")


def as_served(template, tokenizer):
    """The tokens that a server makes of an evaluation's request: it renders, then encodes."""
    asked = PromptSettings(instruction=TASK, code=TASK, language="python", stops=())
    messages = [{"role": m.role, "content": m.content} for m in template.messages(asked)]
    if template.raw:
        return tokenizer.encode(messages[0]["content"])
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_training_prompt_is_the_evaluations_token_by_token(template, tokenizer):
    """The prompt in training is that of evaluation."""
    example = tokenize(LESSON, template, tokenizer)
    assert list(example.prompt) == as_served(template, tokenizer)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_an_answer_is_learnt_whole_and_ends(template, tokenizer):
    """The answer's tokens spell the answer, its indent included, and one end token follows."""
    example = tokenize(LESSON, template, tokenizer)
    assert tokenizer.decode(example.answer[:-1]) == LESSON.row.response.text
    assert example.answer[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in example.answer[:-1]


def test_read_is_examples_and_bad_rows(tokenizer):
    """With drop, every row is tokenized or bad with a reason."""
    rows = [
        LESSON,
        placed("", "x", "a 2"),
        placed("x", " \n", "a 3"),
        placed("x " * 99, "y", "a 4"),
    ]
    read = tokenize_all(rows, WIZARDCODER, tokenizer, max_length=120, drop=True)
    assert [example.place for example in read.examples] == ["data.jsonl line 1"]
    assert [(bad.place, bad.why) for bad in read.bad] == [
        ("a 2", "no task"), ("a 3", "empty answer"), ("a 4", "too long"),
    ]  # fmt: skip
    assert read.n_tokens == read.examples[0].n_tokens


def test_bad_rows_are_refused_with_places_and_advice(tokenizer):
    """Without drop, one error has counts, locations and advice."""
    rows = [
        LESSON,
        placed("", "x", "a 2"),
        placed("x", "", "a 3"),
        placed("x " * 99, "y", "a 4"),
    ]
    with pytest.raises(TrainError) as caught:
        tokenize_all(rows, WIZARDCODER, tokenizer, max_length=120, drop=False)
    said = str(caught.value)
    assert "3 of 4 rows" in said
    for part in (
        "no task 1",
        "a 2",
        "a 3",
        "too long 1",
        "bad_rows=drop",
        "max_length=120",
        "messages",
    ):
        assert part in said


def test_data_without_a_usable_row_is_refused(tokenizer):
    """A training without rows is an error."""
    for rows in ([], [placed("", "", "a 1")]):
        with pytest.raises(TrainError, match="no row can be trained on"):
            tokenize_all(rows, WIZARDCODER, tokenizer, max_length=99, drop=True)


def test_a_base_without_a_chat_template_is_named(tmp_path):
    """The chat form needs a template; the error names an alternative."""
    tokenizer = toy_model.make_tokenizer(tmp_path)
    tokenizer.chat_template = None
    with pytest.raises(TrainError, match="use --template wizardcoder"):
        tokenize(LESSON, CHAT, tokenizer)


def test_a_chat_template_that_rewrites_the_question_is_refused(tmp_path):
    """A template that changes the prompt once it is answered is refused."""
    tokenizer = toy_model.make_tokenizer(tmp_path)
    tokenizer.chat_template = "{{ messages|length }}" + toy_model.TURNS
    with pytest.raises(TrainError, match="would not match evaluation"):
        tokenize(LESSON, CHAT, tokenizer)


UNENDED = toy_model.TURNS.replace("<|im_end|>", "")


@pytest.mark.parametrize(
    "turns",
    [UNENDED, UNENDED.replace("{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}", "")],
    ids=["no-special-token", "one-before-the-answer-alone"],
)  # fmt: skip
def test_a_chat_template_that_leaves_an_answer_open_is_refused(turns, tmp_path):
    """An ordinary token must not be learnt as the end, nor the answer be cut at its own beginning."""
    tokenizer = toy_model.make_tokenizer(tmp_path)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = turns
    with pytest.raises(TrainError, match="would never end; use --template wizardcoder"):
        tokenize(LESSON, CHAT, tokenizer)


def test_an_end_that_the_tokenizer_gives_no_role_is_an_end(tmp_path):
    """A chat base may name another token as its end than the one that closes a turn."""
    tokenizer = toy_model.make_tokenizer(tmp_path)
    tokenizer.eos_token = "<|endoftext|>"
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end not in tokenizer.all_special_ids
    example = tokenize(LESSON, CHAT, tokenizer)
    assert example.answer[-1] == end
    assert tokenizer.decode(example.answer[:-1]) == LESSON.row.response.text


def test_thinking_is_not_learnt_and_counted(tokenizer):
    """An answer of thinking alone is a bad row of its own kind."""
    texts = ["<think>hm</think>\n    y", "<think>hm", "y"]
    rows = [
        PlacedRow(f"a {n}", row_of({"instruction": "x", "output": text}))
        for n, text in enumerate(texts)
    ]
    read = tokenize_all(rows, WIZARDCODER, tokenizer, max_length=120, drop=True)
    assert [tokenizer.decode(row.answer[:-1]) for row in read.examples] == ["    y", "y"]
    assert read.n_thoughts == 1
    assert [(bad.why, bad.detail) for bad in read.bad] == [
        ("only thought", "2 characters, and no answer")
    ]
