"""The model that training starts from: a folder, a Hub id or a GGUF file, ready for its method.

Promises: full weights come in float32, which the optimizer needs to add small steps; a GGUF file is
de-quantized and is then an ordinary model that can be saved. What cannot be loaded is one line.
Runs no code that a model folder brings.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evolcoder import atomic
from evolcoder.errors import TrainError
from evolcoder.train.recipe import Recipe

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


@dataclass(frozen=True, slots=True)
class Base:
    """A model and its tokenizer."""

    spec: str
    """How the user named it."""
    model: Any
    """The causal language model, an adapter on it where the method asks for one."""
    tokenizer: Any
    """Its tokenizer, with a token to pad with."""


def need_packages() -> None:
    """Say what to install, if something is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise TrainError(
            f"training needs {', '.join(missing)}: install evolcoder[train] "
            f"(first torch, in the build for your GPU)"
        )


def load_tokenizer(spec: str) -> Any:
    """Load the base's tokenizer alone."""
    from transformers import AutoTokenizer

    with _loading(spec, "tokenizer"):
        place, named = _place_of(spec)
        tokenizer = AutoTokenizer.from_pretrained(place, **named)
    if named:
        tokenizer.eos_token = _end_in_gguf(spec, tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load(spec: str, recipe: Recipe, *, on_gpu: bool) -> Base:
    """Load the base and put an adapter on it where the recipe asks for one."""
    import torch
    from transformers import AutoModelForCausalLM, set_seed

    set_seed(recipe.seed)
    tokenizer = load_tokenizer(spec)
    dtype = torch.float32 if recipe.method == "full" or not on_gpu else torch.bfloat16
    with _loading(spec, "model"):
        place, named = _place_of(spec)
        more = {"quantization_config": _four_bits()} if recipe.method == "qlora" else {}
        model = AutoModelForCausalLM.from_pretrained(
            place, dtype=dtype, attn_implementation="sdpa", **named, **more
        )
    if named:
        model = _plain(model)
    model.config.use_cache = False
    if recipe.method != "full":
        model = _with_adapter(model, recipe, spec)
    return Base(spec, model, tokenizer)


def save_plain(spec: str, folder: Path) -> None:
    """Write a base as an ordinary model in float32, so that a GGUF file is de-quantized once."""
    need_packages()
    base = load(spec, Recipe(), on_gpu=False)
    base.model.config.use_cache = True
    base.model.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)


def cast_files(folder: Path, dtype: str) -> None:
    """Bring saved weights to another number format; a sharded model is saved as it is trained."""
    import torch
    from safetensors.torch import load_file, save_file

    for path in sorted(folder.glob("*.safetensors")):
        weights = {name: w.to(getattr(torch, dtype)) for name, w in load_file(path).items()}
        with TemporaryDirectory(dir=folder) as scratch:
            save_file(weights, Path(scratch, path.name), metadata={"format": "pt"})
            Path(scratch, path.name).replace(path)
    config = folder / "config.json"
    if config.exists():
        data = json.loads(config.read_text(encoding="utf-8"))
        text = json.dumps({**data, "dtype": dtype}, indent=2) + "\n"
        atomic.write_text(config, text, inside=folder, error=TrainError)


def without_adapter(model: Any) -> Any:
    """Add an adapter into the weights that it stands on."""
    return model.merge_and_unload()


def _place_of(spec: str) -> tuple[str, dict[str, str]]:
    """Return what a loader takes: a folder or Hub id, and the GGUF file in it where it is one."""
    if not spec.endswith(".gguf"):
        return spec, {}
    path = Path(spec).expanduser().resolve()
    if not path.is_file():
        raise TrainError(f"--base {spec}: no such file")
    if find_spec("gguf") is None:
        raise TrainError(f"--base {spec}: a GGUF file needs the package gguf: pip install gguf")
    return str(path.parent), {"gguf_file": path.name}


def _end_in_gguf(spec: str, tokenizer: Any) -> str:
    """Return the token that the file itself names as the end; the loader does not ask it."""
    from gguf import GGUFReader

    field = GGUFReader(Path(spec).expanduser()).get_field("tokenizer.ggml.eos_token_id")
    if field is None:
        return str(tokenizer.eos_token)
    return str(tokenizer.convert_ids_to_tokens(int(field.contents())))


def _plain(model: Any) -> Any:
    """Copy de-quantized weights into a model that does not remember where they came from."""
    from transformers import AutoModelForCausalLM

    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=model.dtype, attn_implementation="sdpa")
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    return plain


def _four_bits() -> Any:
    if find_spec("bitsandbytes") is None:
        raise TrainError(
            "method qlora needs bitsandbytes, which is not installed: pip install bitsandbytes, "
            "or take --set method=lora"
        )
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _with_adapter(model: Any, recipe: Recipe, spec: str) -> Any:
    from peft import (
        LoraConfig,
        get_peft_model,
        prepare_model_for_kbit_training,
    )

    if recipe.method == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=recipe.checkpointing
        )
    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=2 * recipe.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        base_model_name_or_path=spec,
    )
    return get_peft_model(model, config)


@contextmanager
def _loading(spec: str, part: str) -> Iterator[None]:
    """Turn what loaders raise into one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TrainError(
            f"--base {spec}: its {part} cannot be loaded: {error}; name a folder with "
            f"config.json and safetensors, a Hub id, or a GGUF file"
        ) from error
