"""Writes a model of Qwen2.5-Coder-7B's shape with random weights, to try a training without it.

    python examples/7b/make_base.py OUT_DIR --tokenizer Qwen/Qwen2.5-Coder-0.5B

The tokenizer is a folder or a Hub id, of any size of the family. The model has 7.6 billion weights
in bfloat16, 15 GB. It answers nothing; speed, memory and disk space are those of the real one.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config

SHAPE = {
    "vocab_size": 152_064, "hidden_size": 3_584, "intermediate_size": 18_944,
    "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6, "tie_word_embeddings": False,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "bos_token_id": 151_643, "eos_token_id": 151_643, "use_sliding_window": False,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", required=True, metavar="MODEL")
    parser.add_argument("--layers", type=int, default=SHAPE["num_hidden_layers"])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    config = Qwen2Config(**{**SHAPE, "num_hidden_layers": args.layers})
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(args.out, max_shard_size="4GB")
    AutoTokenizer.from_pretrained(args.tokenizer).save_pretrained(args.out)
    print(f"{args.out}: {model.num_parameters():,} weights")


if __name__ == "__main__":
    main()
