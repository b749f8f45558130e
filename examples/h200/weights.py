"""De-quantizes a GGUF file of a Qwen2 model into bfloat16 safetensors, in seconds with many cores.

    python examples/h200/weights.py FILE.gguf OUT_DIR --like DIR

DIR holds the model's config.json and tokenizer. `evolcoder train --base FILE.gguf` does not need
this: it de-quantizes any architecture that transformers supports, in a minute or two. Output and
embedding weights were quantized separately, so they stay two matrices.
"""

import argparse
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import save_file

WHOLE = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
}  # fmt: skip
IN_LAYER = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip


def named(name):
    """Translate a tensor's name; an unknown one is a KeyError."""
    parts = name.split(".")
    if parts[0] != "blk":
        return f"{WHOLE[parts[0]]}.{parts[1]}"
    return f"model.layers.{parts[1]}.{IN_LAYER[parts[2]]}.{parts[3]}"


def dequantized(job):
    """De-quantize every `step`-th tensor; values are returned as the bits of bfloat16."""
    path, first, step = job
    found = {}
    for tensor in GGUFReader(path).tensors[first::step]:
        whole = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        shape = [int(n) for n in reversed(tensor.shape)]
        found[named(tensor.name)] = whole.reshape(shape).bfloat16().view(torch.int16).numpy()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=16)
    args = parser.parse_args()
    if (args.out / "config.json").exists():
        return
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(str(args.file), n, args.workers) for n in range(args.workers)]
    with ProcessPoolExecutor(args.workers) as pool:
        found = {name: bits for part in pool.map(dequantized, jobs) for name, bits in part.items()}
    weights = {name: torch.from_numpy(bits).view(torch.bfloat16) for name, bits in found.items()}
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    for path in args.like.iterdir():
        if path.suffix != ".safetensors" and path.name != "config.json":
            shutil.copy(path, args.out / path.name)
    config = json.loads((args.like / "config.json").read_text())
    config |= {"dtype": "bfloat16", "tie_word_embeddings": False}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
