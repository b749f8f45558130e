"""Batches: no row sees another, shown on ten tokens."""

import pytest

from evolcoder.training.examples import TokenizedRow
from evolcoder.training.plan import IGNORED, Collator
from late import torch, transformers

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
    with torch.no_grad():
        return model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).logits


def alone(model, row):
    ids = torch.tensor([[*row.prompt, *row.answer]])
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False).logits[0]


def test_a_packed_row_has_the_logits_that_it_has_alone(model):
    """Three rows in one sequence of ten tokens: each row's logits are its own."""
    batch = Collator(ROWS, "packed", 0)([{"part": [0, 1, 2]}])
    assert batch["input_ids"].shape == (1, 10)
    logits_tv = logits_of(model, batch)[0]
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
