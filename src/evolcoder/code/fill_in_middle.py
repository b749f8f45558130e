"""Tokens of fill-in-the-middle prompts by model family."""

FIM_TOKENS = {
    "qwen": ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", ""),
    "starcoder": ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", ""),
    "deepseek": ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", ""),
    "codellama": ("<PRE> ", " <SUF>", " <MID>", " <EOT>"),
}
"""Model family -> tokens before prefix, suffix and span, and after the span, as the models' cards
have them."""
