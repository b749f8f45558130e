"""Rows become evaluation's prompt tokens, then the answer's.

Plans: which rows go together, on any number of devices.

Batches: no row sees another, shown on ten tokens.
"""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toy_model
from evolcoder.bench.base import PromptSettings
from evolcoder.bench.prompts import CHAT, TEMPLATES, WIZARDCODER
from evolcoder.errors import TrainError
from evolcoder.seeds.memory import rows_in_memory
from evolcoder.seeds.rows import PlacedRow
from evolcoder.training import attention
from evolcoder.training.attention import use_row_attention
from evolcoder.training.batches import (
    IGNORED,
    Collator,
    TokenizedRow,
    plan,
    rows_by_step,
    tokenize,
    tokenize_all,
)
from late import torch, transformers
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
        "--columns",
    ):
        assert part in said


def test_rows_that_the_reader_leaves_out_are_no_fault(tokenizer):
    """They are counted as left out, with and without drop."""
    rows = [LESSON, LESSON._replace(place="a 2", why="labelled bad")]
    for drop in (False, True):
        read = tokenize_all(rows, WIZARDCODER, tokenizer, max_length=999, drop=drop)
        assert [(row.place, row.why) for row in read.bad] == [("a 2", "labelled bad")]
        assert len(read.examples) == 1


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
        PlacedRow(f"a {n}", *rows_in_memory([{"instruction": "x", "output": text}], {}))
        for n, text in enumerate(texts)
    ]
    read = tokenize_all(rows, WIZARDCODER, tokenizer, max_length=120, drop=True)
    assert [tokenizer.decode(row.answer[:-1]) for row in read.examples] == ["    y", "y"]
    assert read.n_thoughts == 1
    assert [(bad.why, bad.detail) for bad in read.bad] == [
        ("only thought", "2 characters, and no answer")
    ]


LENGTHS = [7, 30, 12, 12, 5, 90, 41, 8, 8, 19, 3]


def laid(n_devices=1, *, max_tokens=64, n_seen=22, rows_per_step=4, seed=0):
    steps = rows_by_step(len(LENGTHS), n_seen=n_seen, rows_per_step=rows_per_step, seed=seed)
    return plan(steps, LENGTHS, max_tokens=max_tokens, n_devices=n_devices)


def test_every_epoch_sees_every_row_once():
    """Two epochs contain each row twice, and each half contains it once."""
    rows = [row for step in rows_by_step(11, n_seen=22, rows_per_step=4, seed=3) for row in step]
    assert sorted(rows[:11]) == sorted(rows[11:]) == list(range(11))
    assert rows[:11] != rows[11:]


def test_the_order_is_the_seeds():
    """The same seed gives the same order, another seed another one."""
    assert laid(seed=1) == laid(seed=1)
    assert laid(seed=1) != laid(seed=2)


@given(
    lengths=st.lists(st.integers(1, 100), min_size=1, max_size=30),
    rows_per_step=st.integers(1, 9),
    max_tokens=st.integers(1, 200),
    n_devices=st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_parts_hold_what_their_step_holds(lengths, rows_per_step, max_tokens, n_devices):
    """A step's parts contain its rows exactly, within the bound, equally many for each device."""
    steps = rows_by_step(len(lengths), n_seen=2 * len(lengths), rows_per_step=rows_per_step, seed=0)
    made = plan(steps, lengths, max_tokens=max_tokens, n_devices=n_devices)
    assert len(made.parts) == made.n_parts * made.n_steps
    assert made.n_parts % n_devices == 0
    for at, step in enumerate(steps):
        parts = made.parts[at * made.n_parts : (at + 1) * made.n_parts]
        assert Counter(row for part in parts for row in part) == Counter(step)
        for part in parts:
            longest = max((lengths[row] for row in part), default=0)
            assert len(part) <= 1 or len(part) * longest <= max_tokens


@pytest.mark.parametrize("n_devices", [1, 2, 4])
def test_devices_share_steps(n_devices):
    """The rows of a step do not depend on the number of devices."""
    made = laid(n_devices)
    alone = laid(1)
    for at in range(made.n_steps):
        mine = made.parts[at * made.n_parts : (at + 1) * made.n_parts]
        theirs = alone.parts[at * alone.n_parts : (at + 1) * alone.n_parts]
        assert sorted(sum(mine, ())) == sorted(sum(theirs, ()))


def test_rows_of_like_length_lie_together():
    """Sorting a step's rows by length reduces padding."""
    lengths = [(7 * at) % 97 + 3 for at in range(64)]
    steps = rows_by_step(64, n_seen=64, rows_per_step=64, seed=0)
    made = plan(steps, lengths, max_tokens=800)
    by_eights = [steps[0][at : at + 8] for at in range(0, 64, 8)]
    as_they_come = sum(8 * max(lengths[row] for row in part) for part in by_eights)
    assert made.n_padded < 0.8 * as_they_come
    assert made.waste < 0.12
    assert made.waste == 1 - sum(lengths) / made.n_padded


# Ten tokens in all.
ROWS = (
    TokenizedRow((11, 12), (13, 14), "a 1"),
    TokenizedRow((21,), (22, 23), "a 2"),
    TokenizedRow((31, 32), (33,), "a 3"),
)


@pytest.fixture(scope="module")
def model(toy_base):
    return transformers.AutoModelForCausalLM.from_pretrained(
        toy_base, attn_implementation="sdpa"
    ).eval()


def logits_of(model, batch):
    inputs = {key: value for key, value in batch.items() if key not in {"rows", "labels"}}
    with torch.no_grad():
        return model(**inputs, use_cache=False).logits


def alone(model, row):
    ids = torch.tensor([[*row.prompt, *row.answer]])
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits[0]


@pytest.fixture
def by_rows(toy_base):
    """The model with attention by the borders of rows."""
    model = transformers.AutoModelForCausalLM.from_pretrained(toy_base).eval()
    assert use_row_attention(model)
    return model


def test_a_packed_row_has_the_logits_that_it_has_alone(model):
    """Three rows in one sequence of ten tokens: each row's logits are its own."""
    batch = Collator(ROWS, "packed", 0)([{"part": [0, 1, 2]}])
    assert_own_logits(model, batch, logits_of(model, batch)[0])


def test_borders_of_rows_take_the_place_of_positions(model, by_rows):
    """With borders each row's logits are its own; with a wrong border a row's logits change."""
    collator = Collator(ROWS, "packed", 0)
    collator.with_borders = True
    batch = collator([{"part": [0, 1, 2]}])
    assert batch["cu_seq_lens_q"].tolist() == [0, 4, 7, 10, 64]
    assert_own_logits(model, batch, logits_of(by_rows, batch)[0])
    glued = {**batch, "cu_seq_lens_q": torch.tensor([0, 7, 10, 64])}
    with pytest.raises(AssertionError, match="not close"):
        assert_own_logits(model, glued, logits_of(by_rows, glued)[0])


def test_attention_has_autocasts_dtype_where_layers_leave_float32():
    """Layers of four bits return what they get, and the kernel takes 16 bits alone."""
    seen = []

    def kernel(query, key, value, *_):
        seen.append({query.dtype, key.dtype, value.dtype})
        return query

    given = [torch.randn(1, 2, 4, 8) for _ in range(3)]
    borders = torch.tensor([0, 4])
    for is_cast, last in ((True, torch.float32), (True, torch.bfloat16), (False, torch.float32)):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_cast):
            attention.row_attention(
                None, *given[:2], given[2].to(last), None,
                cu_seq_lens_q=borders, max_length_q=4, kernel=kernel,
            )  # fmt: skip
    assert seen == [{torch.bfloat16}, {torch.bfloat16}, {torch.float32}]


@pytest.mark.train
def test_a_layer_with_a_kernel_for_rows_is_one_graph(toy_base, monkeypatch):
    """The compiler takes a layer whole, for any number of tokens, and it computes the same."""
    attend = torch.nn.functional.scaled_dot_product_attention

    def stub(query, key, value, borders, longest, scale):
        q, k, v = (one.transpose(0, 1) for one in (query, key, value))
        return attend(q, k, v, scale=scale).transpose(0, 1)

    model = transformers.AutoModelForCausalLM.from_pretrained(toy_base).eval()
    with monkeypatch.context() as as_on_a_gpu:
        as_on_a_gpu.setattr(attention, "_kernel", lambda: stub)
        as_on_a_gpu.setattr(torch.cuda, "is_available", lambda: True)
        assert use_row_attention(model)
    collator = Collator(ROWS, "packed", 0)
    collator.with_borders = True
    batches = [collator([{"part": part}]) for part in ([0, 1, 2], [0] * 40, [1, 2] * 40)]
    plain = [logits_of(model, batch) for batch in batches]
    graphs = []
    for layer in model.model.layers:
        layer.compile(
            dynamic=True, fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph
        )
    for batch, logits_tv in zip(batches, plain, strict=True):
        torch.testing.assert_close(logits_of(model, batch), logits_tv)
    assert len(graphs) <= 2


RECURRENT_MODELS = (
    "MambaConfig",
    "Mamba2Config",
    "JambaConfig",
    "BambaConfig",
    "FalconH1Config",
    "RecurrentGemmaConfig",
    "Zamba2Config",
    "Qwen3NextConfig",
    "Lfm2Config",
    "NemotronHConfig",
    "GraniteMoeHybridConfig",
    "RwkvConfig",
    "MiniMaxConfig",
    "FalconMambaConfig",
    "OlmoHybridConfig",
)
ATTENTION_MODELS = (
    "Qwen2Config",
    "Qwen3Config",
    "LlamaConfig",
    "MistralConfig",
    "Gemma2Config",
    "Phi3Config",
    "GPTBigCodeConfig",
    "Qwen3MoeConfig",
    "Olmo2Config",
)


@pytest.mark.parametrize("name", RECURRENT_MODELS)
def test_rows_are_not_packed_where_a_layer_carries_a_state(name):
    """A state would go from one row into the next."""
    if not hasattr(transformers, name):
        pytest.skip(f"this transformers has no {name}")
    assert not attention.keeps_rows_apart(getattr(transformers, name)())


@pytest.mark.parametrize("name", ATTENTION_MODELS)
def test_rows_may_be_packed_where_all_layers_attend(name):
    """Windows and soft caps keep their own attention; the others get ours."""
    config = getattr(transformers, name)()
    assert attention.keeps_rows_apart(config)
    own = name in {"MistralConfig", "Gemma2Config"}
    assert attention.allows_row_attention(config) is not own


def test_a_model_with_a_sliding_window_keeps_its_attention(toy_base):
    """Attention by rows has no window, so a model that needs one is left as it is."""
    model = transformers.AutoModelForCausalLM.from_pretrained(toy_base)
    before = model.config._attn_implementation
    model.config.layer_types = ["sliding_attention"] * len(model.config.layer_types)
    assert not use_row_attention(model)
    assert model.config._attn_implementation == before


def assert_own_logits(model, batch, logits_tv):
    assert batch["input_ids"].shape == (1, 64)
    at = 0
    for row in ROWS:
        torch.testing.assert_close(logits_tv[at : at + row.n_tokens], alone(model, row))
        at += row.n_tokens


def test_without_positions_rows_would_see_each_other(model):
    """The same ten tokens as one sequence give the second row other logits: the test can fail."""
    batch = Collator(ROWS, "packed", 0)([{"part": [0, 1, 2]}])
    with torch.no_grad():
        logits_tv = model(input_ids=batch["input_ids"], use_cache=False).logits[0]
    assert not torch.allclose(logits_tv[4:7], alone(model, ROWS[1]), atol=1e-4)


def test_a_padded_row_has_the_logits_that_it_has_alone(model):
    """Padding after a row changes nothing, without a mask."""
    batch = Collator(ROWS, "padded", 0)([{"part": [0, 1, 2]}])
    assert batch["input_ids"].shape == (3, 4)
    assert "attention_mask" not in batch
    logits_btv = logits_of(model, batch)
    for at, row in enumerate(ROWS):
        torch.testing.assert_close(logits_btv[at, : row.n_tokens], alone(model, row))


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_only_answers_are_learnt(layout):
    """Only answer tokens have labels, each once."""
    batch = Collator(ROWS, layout, 0)([{"part": [0, 1, 2]}])
    learnt = batch["labels"][batch["labels"] != IGNORED]
    assert learnt.tolist() == [13, 14, 22, 23, 33]
    assert batch["input_ids"][batch["labels"] != IGNORED].tolist() == learnt.tolist()


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_a_filler_teaches_nothing(layout):
    """An empty part computes a row without loss, so that devices stay in step."""
    batch = Collator(ROWS, layout, 0)([{"part": []}])
    assert batch["labels"].eq(IGNORED).all()
    assert batch["rows"].tolist() == []


@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=60),
    max_tokens=st.integers(64, 600),
    n_devices=st.integers(1, 4),
    rows_per_step=st.integers(1, 20),
)
def test_packed_parts_hold_each_row_once_within_the_bound(
    lengths, max_tokens, n_devices, rows_per_step
):
    """Parts of a step hold its rows; a part exceeds the bound only by a single row."""
    steps = rows_by_step(len(lengths), n_seen=len(lengths), rows_per_step=rows_per_step, seed=0)
    made = plan(steps, lengths, max_tokens=max_tokens, n_devices=n_devices, layout="packed")
    assert made.n_parts % n_devices == 0
    for at, step in enumerate(steps):
        parts = made.parts[at * made.n_parts : (at + 1) * made.n_parts]
        assert sorted(sum(parts, ())) == sorted(step)
        for part in parts:
            assert len(part) <= 1 or sum(lengths[row] for row in part) <= max_tokens
    assert made.n_padded >= made.n_tokens == sum(lengths)


def test_packed_parts_of_a_step_are_about_equal():
    """A packed step of 64 rows in four parts wastes less than a twentieth."""
    lengths = [(7 * at) % 97 + 100 for at in range(64)]
    steps = rows_by_step(64, n_seen=64, rows_per_step=64, seed=0)
    made = plan(steps, lengths, max_tokens=2500, layout="packed")
    sums = [sum(lengths[row] for row in part) for part in made.parts]
    assert made.n_parts == 4
    assert max(sums) - min(sums) < 100
    assert made.waste < 0.05
