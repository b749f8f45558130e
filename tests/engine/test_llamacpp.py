"""GGUF files: whether one has a chat template, and what a model without one does."""

import asyncio
import struct

import pytest

import tiny_gguf
from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import RAW, Message, Request, Sampling
from evolcoder.engine.gguf_header import has_chat_template
from evolcoder.engine.llamacpp import LlamaCppEngine
from evolcoder.errors import ModelError

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


def request(role):
    return Request("m", (Message(role, "hello"),), Sampling(0.0, 1.0, 4), 1)


def text(value):
    return struct.pack("<Q", len(value)) + value


def header(*pairs, n_keys=None, version=3, magic=b"GGUF"):
    count = len(pairs) if n_keys is None else n_keys
    return magic + struct.pack("<IQQ", version, 0, count) + b"".join(pairs)


STRING = struct.pack("<I", 8)
NAME = text(b"general.name") + STRING + text(b"tokenizer.chat_template")
TOKENS = text(b"tokens") + struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"bb")
NUMBERS = text(b"n") + struct.pack("<IIQ3i", 9, 5, 3, 1, 2, 3)
FILES = {
    "template": (header(NAME, TOKENS, text(b"tokenizer.chat_template") + STRING + text(b"{{ m }}")), True),
    "named template": (header(text(b"tokenizer.chat_template.tool") + STRING + text(b"x")), True),
    "no template": (header(NAME, TOKENS, NUMBERS), False),
    "empty template": (header(NAME, text(b"tokenizer.chat_template") + STRING + text(b"  ")), False),
    "no keys": (header(), False),
    "cut": (header(NAME, TOKENS)[:-9], None),
    "too many keys": (header(NAME, n_keys=2**60), None),
    "too long": (header(struct.pack("<Q", 2**63) + b"a"), None),
    "unknown type": (header(text(b"a") + struct.pack("<I", 77)), None),
    "endless array": (header(text(b"a") + struct.pack("<IIQ", 9, 8, 2**62)), None),
    "nested arrays": (header(text(b"a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 9), None),
    "old version": (header(NAME, version=1), None),
    "no GGUF": (header(NAME, magic=b"GGML"), None),
    "empty": (b"", None),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_header_says_whether_there_is_a_template(tmp_path, name):
    """A damaged or unknown one says nothing, so that llama.cpp decides."""
    data, wanted = FILES[name]
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    assert has_chat_template(path) is wanted
    assert has_chat_template(tmp_path / "missing.gguf") is None


@pytest.mark.parametrize("template", [None, TEMPLATE])
def test_a_model_without_a_chat_template_only_continues_text(tmp_path, template):
    """A chat with it stops with one line that says what to do."""
    for name in ("xllamacpp", "gguf", "numpy"):
        pytest.importorskip(name)
    path = tiny_gguf.write(tmp_path / "tiny.gguf", chat_template=template)
    traffic = TrafficConfig(slots=1, threads=1)

    async def ask():
        engine = LlamaCppEngine.load(path, "0" * 64, n_ctx=256, traffic=traffic)
        try:
            assert (await engine.complete(request(RAW))).completion_tokens == 4
            return (await engine.complete(request("user"))).completion_tokens
        finally:
            await engine.aclose()

    if template is not None:
        assert asyncio.run(ask()) == 4
        return
    with pytest.raises(ModelError, match="looks like a base model") as caught:
        asyncio.run(ask())
    assert "\n" not in str(caught.value)
    assert "--template completion" in str(caught.value)
