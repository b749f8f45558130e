"""A toy to train: a two-layer model with a real byte-pair tokenizer, made from bundled text."""

import json
from importlib import resources

from evolcoder.training.examples import TrainingPair

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
        TrainingPair(
            task[:60], f"def answer_{at % 3}():\n    return {at % 3}", f"seeds line {at + 1}"
        )
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


def write_gguf(base, path):
    """Write the toy as a GGUF file without loss, as converters name its parts."""
    from gguf import GGUFWriter
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    config = model.config
    writer = GGUFWriter(path, "qwen2")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    _add_tokenizer(writer, base)
    for name, weight in model.state_dict().items():
        if name != "lm_head.weight":  # tied
            writer.add_tensor(_gguf_name(name), weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer, base):
    data = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = data["model"]["vocab"]
    special = {token["content"]: token["id"] for token in data["added_tokens"]}
    by_id = sorted({**vocabulary, **special}.items(), key=lambda item: item[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in by_id])
    writer.add_token_types([3 if token in special else 1 for token, _ in by_id])
    writer.add_token_merges([" ".join(pair) for pair in data["model"]["merges"]])
    writer.add_eos_token_id(special["<|im_end|>"])
    writer.add_pad_token_id(special["<|endoftext|>"])
    writer.add_chat_template(TURNS)


def _gguf_name(name):
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "self_attn.": "attn_",
        "attn_o_proj": "attn_output", "_proj": "", "mlp.": "ffn_", "model.layers.": "blk.",
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for ours, theirs in names.items():
        name = name.replace(ours, theirs)
    return name
