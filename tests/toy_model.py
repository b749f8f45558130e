"""A toy to train: a two-layer model with a real byte-pair tokenizer, made from bundled text."""

import json
from importlib import resources

from evolcoder.train.examples import Lesson

TURNS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def lessons(n=24):
    """Bundled seeds with short answers, so that an epoch takes a second."""
    text = (resources.files("evolcoder") / "data" / "seeds.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()][:n]
    tasks = [row["instruction"] for row in rows]
    return [
        Lesson(task[:60], f"def answer_{at % 3}():\n    return {at % 3}", f"seeds line {at + 1}")
        for at, task in enumerate(tasks)
    ]


def make_tokenizer(folder):
    """Train a byte-pair tokenizer on the bundled seeds."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    text = (resources.files("evolcoder") / "data" / "seeds.jsonl").read_text(encoding="utf-8")
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe.train_from_iterator(text.splitlines(), vocab_size=600, special_tokens=special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = TURNS
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_base(folder, seed=0):
    """Write a model of 50 thousand weights that has not learnt anything."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = make_tokenizer(folder)
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        tie_word_embeddings=True, pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder
