"""Attention over packed rows: each row attends to itself only, without a mask.

A mask for a sequence of n packed tokens has n * n entries, and no fast kernel takes it. Here the
model gets the borders of the rows: on a GPU torch's variable-length attention computes all rows in
one kernel, elsewhere each row is computed by itself. transformers calls the function by its
registered name, in every model that leaves attention to it.

>>> use_row_attention(model)   # doctest: +SKIP
True
"""

import inspect
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Kernel = Callable[[Any, Any, Any, Any, int, float | None], Any]
"""Attention of queries, keys and values, each of shape (tokens, heads, head size), by borders."""
NAME = "evolcoder_rows"
"""Name under which transformers finds the function."""
MAX_HEAD_DIM = 256
"""Largest head size of the GPU kernel."""
UNSUPPORTED = ("attn_logit_softcapping", "attention_chunk_size")
"""Keys of a model's configuration that ask for another attention."""


RECURRENT = ("mamba", "ssm", "lru", "rwkv", "linear_", "conv_L", "hybrid_", "attn_layer_")
"""Beginnings of the keys of models with layers that carry a state from token to token."""
ATTENTION = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Kinds of layers that keep packed rows apart."""


def keeps_rows_apart(config: Any) -> bool:
    """Whether all layers of a model attend, so that borders of packed rows hold in each of them.

    A recurrent layer would carry its state from one row into the next.
    """
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    is_recurrent = any(key.startswith(RECURRENT) for key in text.to_dict())
    return hasattr(text, "num_attention_heads") and kinds <= ATTENTION and not is_recurrent


def allows_row_attention(config: Any) -> bool:
    """Whether `row_attention` computes what a model's own attention does.

    It does not know sliding windows, soft caps and sinks.
    """
    text = config.get_text_config()
    if not keeps_rows_apart(config) or _has_window(text):
        return False
    heads = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return heads <= MAX_HEAD_DIM and not any(getattr(text, key, None) for key in UNSUPPORTED)


def use_row_attention(model: Any) -> bool:
    """Set the function in a model; False, with the model unchanged, if it cannot take its place."""
    import torch
    from transformers import AttentionInterface

    kernel = _kernel() if torch.cuda.is_available() else None
    if kernel is None and torch.cuda.is_available():
        return False
    has_sinks = any("sinks" in name for name, _ in model.named_parameters())
    if has_sinks or not allows_row_attention(model.config):
        return False
    AttentionInterface.register(NAME, partial(row_attention, kernel=kernel))
    model.set_attn_implementation(NAME)
    return bool(model.config._attn_implementation == NAME)  # noqa: SLF001 - has no public getter


def row_attention(  # noqa: PLR0913 - as transformers calls it
    _module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    _mask: None,
    *,
    cu_seq_lens_q: "torch.Tensor",
    max_length_q: int,
    scaling: float | None = None,
    kernel: "Kernel | None" = None,
    **_: Any,
) -> "tuple[torch.Tensor, None]":
    """Compute causal attention within each row.

    `query` has the shape (1, heads, tokens, head size); `key` and `value` may have fewer heads.
    `cu_seq_lens_q` holds the first token of each row and the number of all tokens. Returns a tensor
    of shape (1, tokens, heads, head size).
    """
    if kernel is None:
        return _one_by_one(query, key, value, cu_seq_lens_q.tolist(), scaling), None
    groups = query.shape[1] // key.shape[1]
    q, k, v = (one.squeeze(0).transpose(0, 1) for one in (query, key, value))
    if groups > 1:
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    dtype = _dtype_of(v)
    q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
    return kernel(q, k, v, cu_seq_lens_q, max_length_q, scaling).unsqueeze(0), None


def _one_by_one(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    borders: list[int],
    scale: float | None,
) -> "torch.Tensor":
    import torch

    rows = [
        torch.nn.functional.scaled_dot_product_attention(
            *(one[:, :, begin:end] for one in (query, key, value)),
            is_causal=True, scale=scale, enable_gqa=True,
        )
        for begin, end in pairwise(borders)
        if end > begin
    ]  # fmt: skip
    return torch.cat(rows, dim=2).transpose(1, 2)


def _dtype_of(value: "torch.Tensor") -> "torch.dtype":
    """Return the dtype to attend in: autocast's, where layers left float32, as 4-bit ones do."""
    import torch

    kind = value.device.type
    if value.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return value.dtype


def _kernel() -> "Kernel | None":
    """Return torch's variable-length attention, which came with torch 2.10; None before.

    In torch 2.10 causality is a flag, later a window.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    has_flag = "is_causal" in inspect.signature(varlen_attn).parameters
    causal: dict[str, Any] = {"is_causal": True} if has_flag else {"window_size": (-1, 0)}

    def attend(
        query: Any, key: Any, value: Any, borders: Any, longest: int, scale: float | None
    ) -> Any:
        bounds = (borders, borders, longest, longest)
        return varlen_attn(query, key, value, *bounds, scale=scale, **causal)

    return attend


def _has_window(config: Any) -> bool:
    """Whether some layer attends to a window of the tokens before."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return any(kind != "full_attention" for kind in kinds)
    return bool(getattr(config, "sliding_window", None))
