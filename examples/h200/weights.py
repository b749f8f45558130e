"""De-quantize a GGUF file into a folder of bfloat16 safetensors with its tokenizer.

python examples/h200/weights.py FILE.gguf OUT_DIR
"""

import sys
from pathlib import Path

from evolcoder.train import base
from evolcoder.train.recipe import Recipe


def main():
    source, out = sys.argv[1], Path(sys.argv[2])
    if (out / "config.json").exists():
        return
    found = base.load(source, Recipe(), on_gpu=False)
    found.model.config.use_cache = True
    found.model.bfloat16().save_pretrained(out)
    found.tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
