"""Weights in this process that cannot answer say so."""

from dataclasses import replace

import pytest

import toy_model
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.transformers_engine import TransformersEngine
from evolcoder.errors import EngineError

pytestmark = pytest.mark.train


async def test_weights_that_are_no_numbers_reject_the_request(tmp_path):
    """As a training that diverged leaves them; once they are numbers, it is answered."""
    engine = TransformersEngine.load(toy_model.make_base(tmp_path / "base"))
    request = Request("toy", (Message("user", "word"),), Sampling(1.0, 0.9, 4), seed=1)
    weight = engine._model.get_output_embeddings().weight
    kept = weight.detach().clone()
    weight.data.fill_(float("nan"))
    with pytest.raises(EngineError, match=r"cannot generate.*nan") as raised:
        await engine.complete(request)
    assert raised.value.rejected
    assert not raised.value.retryable
    weight.data.copy_(kept)
    assert (await engine.complete(replace(request, seed=2))).completion_tokens > 0
    await engine.aclose()


async def test_messages_that_the_chat_template_refuses_reject_the_request(tmp_path):
    """As a server does, so that the row's drop has the template's own words."""
    engine = TransformersEngine.load(toy_model.make_base(tmp_path / "base"))
    engine._tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
        "{{ messages[0].content }}"
    )
    asked = (Message("system", "word"), Message("user", "word"))
    request = Request("toy", asked, Sampling(1.0, 0.9, 4), seed=1)
    with pytest.raises(EngineError, match="no system message") as raised:
        await engine.complete(request)
    assert (raised.value.rejected, raised.value.retryable) == (True, False)
    assert (await engine.complete(replace(request, messages=asked[1:]))).completion_tokens > 0
    await engine.aclose()
