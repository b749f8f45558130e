"""Loads the base model of a training: a folder, a Hub id or a GGUF file.

Full weights are loaded in float32, which the optimizer needs for small updates. A GGUF file is
de-quantized into an ordinary model that can be saved. A base that cannot be loaded is a TrainError
of one line. Pickled weights are not read, and a model's own Python code is not run, unless
`TrustSettings` allows it.
"""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolcoder.engine import hub
from evolcoder.errors import TrainError
from evolcoder.input_files import read_text
from evolcoder.storage import atomic
from evolcoder.text import one_line
from evolcoder.training.recipe import Recipe, is_first_process

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Suffixes of pickled weights, which can run arbitrary code."""
CONFIG = "config.json"
ADAPTER, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_INDEX_MB = 64
WHY_CHARS = 300
SAMPLE = "def f(x): return x + 1"
"""A text that every tokenizer of code has tokens for."""
SHOWN_WEIGHTS = 3


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """Features of a base that allow arbitrary code."""

    pickled_weights: bool = False
    """Read pickled weights, with PyTorch's restricted unpickler."""
    remote_code: bool = False
    """Run Python code that comes with the model or its tokenizer."""


NO_TRUST = TrustSettings()
"""The default: neither pickles nor code."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A model and its tokenizer."""

    spec: str
    """Its name as given by the user."""
    model: Any
    """The causal language model, with an adapter for the methods `lora` and `qlora`."""
    tokenizer: Any
    """Its tokenizer, with a padding token."""


def need_packages() -> None:
    """Raise TrainError with what to install, if a package is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise TrainError(
            f"training needs {', '.join(missing)}: install evolcoder[train] "
            f"(first torch, in the build for your GPU)"
        )


def check_base(spec: str) -> None:
    """Raise TrainError for a local path that holds no model; a loader would ask the Hub for it."""
    path = Path(os.path.expanduser(spec))  # noqa: PTH111 - pathlib's may raise
    if path.is_dir() and not any((path / name).exists() for name in (CONFIG, ADAPTER)):
        raise TrainError(f"--base {spec}: is no folder with a model (no {CONFIG})")
    if path.suffix == ".gguf" and not path.is_file():
        raise TrainError(f"--base {spec}: no such file")
    if path.is_file() and path.suffix != ".gguf":
        raise TrainError(
            f"--base {spec}: is no model; name a folder with {CONFIG}, a Hub id or FILE.gguf"
        )
    if not path.exists() and not _is_cached(spec) and (why := hub.why_unreachable(TrainError)):
        raise TrainError(
            f"--base {spec}: no such folder, and it cannot be read from the Hub: {why}"
        )


def _is_cached(spec: str) -> bool:
    """Whether the Hub's cache has a model, so that its loader need not reach the Hub."""
    from huggingface_hub import try_to_load_from_cache

    with suppress(ValueError):  # it cannot be an id
        return any(isinstance(try_to_load_from_cache(spec, one), str) for one in (CONFIG, ADAPTER))
    return False


def load_tokenizer(spec: str, trust: TrustSettings = NO_TRUST) -> Any:
    """Load the base's tokenizer."""
    from transformers import AutoTokenizer

    place, named = _loader_arguments(spec)
    with _loading(spec, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(
            place, trust_remote_code=trust.remote_code, **named, **_hub_options(spec)
        )
        if named:
            tokenizer.eos_token = _gguf_eos_token(spec, tokenizer)
    if not trust.remote_code and _is_substitute(tokenizer):
        raise TrainError(_remote_code_refused(spec, "tokenizer"))
    if not set(tokenizer(SAMPLE).input_ids) - {*tokenizer.all_special_ids}:
        raise TrainError(
            f"--base {spec}: its tokenizer knows no words; its files, such as tokenizer.json, are "
            f"missing or damaged"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_config(spec: str, trust: TrustSettings = NO_TRUST) -> Any:
    """Load the base's configuration."""
    from transformers import AutoConfig

    place, named = _loader_arguments(spec)
    with _loading(spec, "configuration"):
        return AutoConfig.from_pretrained(
            place, trust_remote_code=trust.remote_code, **named, **_hub_options(spec)
        )


def load(
    spec: str,
    recipe: Recipe,
    *,
    on_gpu: bool,
    trust: TrustSettings = NO_TRUST,
) -> BaseModel:
    """Load the base, and add an adapter for the methods `lora` and `qlora`."""
    import torch
    from transformers import AutoModelForCausalLM, set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()  # of reading and writing weights; downloads keep theirs
    set_seed(recipe.seed)
    check_weights(spec, trust)
    tokenizer = load_tokenizer(spec, trust)
    dtype = torch.float32 if recipe.method == "full" or not on_gpu else torch.bfloat16
    place, named = _loader_arguments(spec)
    more = {"quantization_config": _four_bit_config()} if recipe.method == "qlora" else {}
    with _loading(spec, "model"):
        model, found = AutoModelForCausalLM.from_pretrained(
            place,
            output_loading_info=True,
            dtype=dtype,
            attn_implementation="sdpa",
            trust_remote_code=trust.remote_code,
            use_safetensors=None if named or trust.pickled_weights else True,
            weights_only=True,
            **named,
            **_hub_options(spec),
            **more,
        )
        if named:
            model = _plain_copy(model)
        if getattr(model, "peft_config", None):
            if recipe.method == "qlora":
                raise ValueError("it is an adapter, which qlora cannot merge; merge it with peft")
            if recipe.method == "lora" and not recipe.merge:
                raise ValueError(
                    "it is an adapter, and a second one would be loaded without it; "
                    "--set merge=true merges both"
                )
            _merge_loaded_adapter(model)
            model = _plain_copy(model)
    _check_loaded(spec, model.config, found["missing_keys"])
    model.config.use_cache = False
    if recipe.method != "full":
        model = _with_adapter(model, recipe, spec)
    return BaseModel(spec, model, tokenizer)


def _check_loaded(spec: str, config: Any, missing: Iterable[str]) -> None:
    """Raise TrainError for a model that a loader fills up with random weights, or that sees ahead.

    Only the first process of a training reads all weights.
    """
    lacks = sorted(missing) if is_first_process() else []
    if lacks:
        more = f" and {len(lacks) - SHOWN_WEIGHTS} more" if len(lacks) > SHOWN_WEIGHTS else ""
        raise TrainError(
            f"--base {spec}: lacks {', '.join(lacks[:SHOWN_WEIGHTS])}{more}, for which random "
            f"weights would be trained; use a complete model that completes text"
        )
    kinds = [name for name in config.architectures or () if "MaskedLM" in name]
    if kinds and not getattr(config, "is_decoder", False):
        raise TrainError(
            f"--base {spec}: is a {kinds[0]}, whose tokens see those after them; use a model that "
            f"completes text"
        )


def check_weights(spec: str, trust: TrustSettings) -> None:
    """Refuse a base with pickled weights, or with a pickled adapter."""
    place, named = _loader_arguments(spec)
    if trust.pickled_weights or named:
        return
    folder = Path(os.path.expanduser(place))  # noqa: PTH111 - pathlib's may raise
    name = _pickle_in(folder) if folder.is_dir() else _pickle_on_hub(spec)
    if name is not None:
        raise TrainError(
            f"--base {spec}: its weights are a pickle ({name}), which can run arbitrary code; "
            f"convert it to safetensors, or allow it with --allow-pickled-weights"
        )


def _pickle_in(folder: Path) -> str | None:
    """Return the pickle that a loader would read the weights of a folder from, if any."""
    names = sorted(path.name for path in folder.iterdir())
    pickles = [name for name in names if name.endswith(PICKLES)]
    if ADAPTER in names and ADAPTER_WEIGHTS not in names:
        return next((name for name in pickles if name.startswith("adapter")), None)
    if not any(name.endswith(".safetensors") and name != ADAPTER_WEIGHTS for name in names):
        return next((name for name in pickles if not name.startswith("adapter")), None)
    return next((name for name in _shards(folder / INDEX) if name.endswith(PICKLES)), None)


def _shards(index: Path) -> list[str]:
    """Return the files of a weights index."""
    if not index.exists():
        return []
    try:
        found = json.loads(read_text(index, max_mb=MAX_INDEX_MB, error=TrainError))
        return [str(name) for name in found["weight_map"].values()]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise TrainError(f"--base {index.parent}: {INDEX} names no weights: {error!r}") from error


def _pickle_on_hub(spec: str) -> str | None:
    """Return the pickle of an adapter on the Hub, which transformers would load by itself."""
    from transformers.utils import cached_file

    quietly = {"_raise_exceptions_for_missing_entries": False, **_hub_options(spec)}
    try:
        is_adapter = cached_file(spec, ADAPTER, **quietly) is not None
        is_safe = not is_adapter or cached_file(spec, ADAPTER_WEIGHTS, **quietly) is not None
    except (OSError, ValueError):
        return None  # loading fails too, with the reason
    return None if is_safe else "adapter_model.bin"


def save_whole(base: BaseModel, weights: dict[str, Any], folder: Path, dtype: str) -> None:
    """Write gathered weights of a dtype, with configuration and tokenizer."""
    base.model.save_pretrained(folder, state_dict=weights)
    base.tokenizer.save_pretrained(folder)
    config = folder / "config.json"  # it names the dtype in which the model was trained
    data = json.loads(config.read_bytes())
    text = json.dumps({**data, "dtype": dtype}, indent=2) + "\n"
    atomic.write_text(config, text, inside=folder, error=TrainError)


def _merge_loaded_adapter(model: Any) -> None:
    """Merge the adapter of a base that is one into the weights that it belongs to, in place.

    A loader leaves it apart, with all other weights frozen.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    modules = dict(model.named_modules())
    if any(isinstance(module, AuxiliaryTrainingWrapper) for module in modules.values()):
        raise ValueError("its adapter also replaces whole modules; merge it with peft first")
    for name, module in modules.items():
        if isinstance(module, BaseTunerLayer):
            module.merge()
            above, _, last = name.rpartition(".")
            setattr(modules[above], last, module.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False  # noqa: SLF001 - has no public setter
    model.requires_grad_(requires_grad=True)


def merge_adapter(model: Any) -> Any:
    """Merge an adapter into its base weights."""
    return model.merge_and_unload()


def _loader_arguments(spec: str) -> tuple[str, dict[str, str]]:
    """Return the folder or Hub id for a loader, and the option that names a GGUF file in it."""
    if not spec.endswith(".gguf"):
        return spec, {}
    path = Path(os.path.realpath(os.path.expanduser(spec)))  # noqa: PTH111 - pathlib's may raise
    if not path.is_file():
        raise TrainError(f"--base {spec}: no such file")
    if find_spec("gguf") is None:
        raise TrainError(f"--base {spec}: a GGUF file needs the package gguf: pip install gguf")
    return str(path.parent), {"gguf_file": path.name}


def _hub_options(spec: str) -> dict[str, bool]:
    """Return the options of a loader: a Hub that does not answer is left alone, its cache used.

    A loader would ask it several times for each file.
    """
    is_local = spec.endswith(".gguf") or Path(os.path.expanduser(spec)).exists()  # noqa: PTH111
    return {} if is_local or not hub.why_unreachable(TrainError) else {"local_files_only": True}


def _gguf_eos_token(spec: str, tokenizer: Any) -> str:
    """Return the end token of a GGUF file, which the loader does not read."""
    from gguf import GGUFReader

    path = os.path.expanduser(spec)  # noqa: PTH111 - pathlib's may raise
    field = GGUFReader(path).get_field("tokenizer.ggml.eos_token_id")
    if field is None:
        return str(tokenizer.eos_token)
    return str(tokenizer.convert_ids_to_tokens(int(field.contents())))


def _plain_copy(model: Any) -> Any:
    """Copy de-quantized or merged weights into a model that can be saved under its own names."""
    from transformers import AutoModelForCausalLM

    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=model.dtype, attn_implementation="sdpa")
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    return plain


def _four_bit_config() -> Any:
    if find_spec("bitsandbytes") is None:
        raise TrainError(
            "method qlora needs bitsandbytes, which is not installed: pip install bitsandbytes, "
            "or use --set method=lora"
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
    from peft import LoraConfig, get_peft_model

    model.name_or_path = spec  # peft would store the folder that a loader was given
    config = LoraConfig(
        r=recipe.lora_rank,
        lora_alpha=2 * recipe.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        base_model_name_or_path=spec,
    )
    return get_peft_model(model, config)


def _is_substitute(tokenizer: Any) -> bool:
    """Whether the loader substituted another class for a tokenizer that needs its own code."""
    auto_map = tokenizer.init_kwargs.get("auto_map")
    found = auto_map.get("AutoTokenizer") if isinstance(auto_map, dict) else auto_map
    named = [found] if isinstance(found, str) else found if isinstance(found, list | tuple) else []
    wanted = {str(name).rpartition(".")[2].removesuffix("Fast") for name in named if name}
    return bool(wanted) and type(tokenizer).__name__.removesuffix("Fast") not in wanted


def _remote_code_refused(spec: str, part: str) -> str:
    return (
        f"--base {spec}: its {part} comes with Python code of its own; use another base, "
        f"or allow the code with --allow-remote-code"
    )


@contextmanager
def _loading(spec: str, part: str) -> Iterator[None]:
    """Turn a loader's exception into a TrainError of one line."""
    try:
        yield
    except Exception as error:
        message = str(error) or type(error).__name__
        if "trust_remote_code" in message:
            raise TrainError(_remote_code_refused(spec, part)) from error
        if _hub_options(spec):
            why = hub.why_unreachable(TrainError)
            raise TrainError(
                f"--base {spec}: its {part} cannot be loaded: no such folder, and it cannot be "
                f"read from the Hub: {why}"
            ) from error
        hint = "use a folder with config.json and safetensors, a Hub id, or a GGUF file"
        if "safetensors" in message and part == "model":
            hint += "; --allow-pickled-weights reads pickles"
        why = one_line(message, WHY_CHARS)
        raise TrainError(f"--base {spec}: its {part} cannot be loaded: {why}; {hint}") from error
