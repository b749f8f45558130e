"""Samples models on every problem of packs, with vLLM in this process, swapping their weights.

    python examples/h200/ask.py --pack PACK [--pack PACK] --out OUT --student DIR MODEL_DIR...

Writes OUT/PACK/KEY.jsonl.gz for each model, where PACK and KEY are the names of the folders. Models
that a pack does not contain, or that are done, are skipped. After a swap a checksum of weights is
compared with the file's. If the old weights are still loaded, this ends with code 75, and the
caller starts it again for the remaining models.
"""

import argparse
import gzip
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")
os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
RELOAD_FAILED = 75
"""Exit code when weights cannot be swapped in a running engine."""
CHECKED = "model.layers.0.self_attn.o_proj.weight", "model.layers.3.mlp.down_proj.weight"
"""Weights that engines do not fuse, and small enough that bfloat16 shows a training's changes."""


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def keys_of(pack):
    return {job["key"] for job in json.loads((pack / "jobs.json").read_text())["jobs"]}


def is_done(model, pack, out):
    """Whether a pack's samples of a model exist, or the pack does not contain the model."""
    name = f"{model.name}.jsonl.gz"
    exists = any((folder / name).exists() for folder in (out / pack.name, pack / "done"))
    return exists or model.name not in keys_of(pack)


def sums_in_file(folder):
    """Sum the checked weights on disk."""
    from safetensors import safe_open

    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in set(CHECKED) & set(file.keys()):
                found[name] = file.get_tensor(name).bfloat16().double().sum().item()
    return found


def sums_in_engine(model):
    named = dict(model.named_parameters())
    return {name: named[name].double().sum().item() for name in CHECKED}


def swap(llm, folder):
    """Load other weights into the engine; False if this version of vLLM cannot."""
    try:
        llm.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
    except (TypeError, AttributeError, ValueError) as error:
        print(f"weights cannot be swapped: {error!r}", flush=True)
        return False
    return True


def has_weights(llm, folder):
    """Whether the engine has loaded the weights of a folder."""
    loaded, expected = llm.apply_model(sums_in_engine)[0], sums_in_file(folder)
    return all(abs(loaded[name] - expected[name]) < 1e-4 for name in CHECKED)


def sample(llm, prompts, how):
    from vllm import SamplingParams

    sampling = SamplingParams(
        n=how["n"], temperature=how["temperature"], top_p=how["top_p"],
        max_tokens=how["max_tokens"], seed=0,
    )  # fmt: skip
    chats = [prompt["messages"] for prompt in prompts]
    if chats[0][0][0] == "raw":
        answers = llm.generate([chat[0][1] for chat in chats], sampling, use_tqdm=False)
    else:
        turns = [[{"role": role, "content": text} for role, text in chat] for chat in chats]
        answers = llm.chat(turns, sampling, use_tqdm=False)
    for prompt, answer in zip(prompts, answers, strict=True):
        for number, one in enumerate(answer.outputs):
            yield {
                "bench": prompt["bench"], "problem": prompt["problem"], "number": number,
                "text": one.text, "finish": one.finish_reason, "tokens": len(one.token_ids),
            }  # fmt: skip


def sample_pack(llm, pack, out, model):
    """Sample one model on the prompts of a pack; the file gets its name when it is complete."""
    began = time.monotonic()
    how = json.loads((pack / "jobs.json").read_text())["how"]["ask"]
    rows = list(sample(llm, lines(pack / "prompts.jsonl.gz"), how))
    part = out / pack.name / f"{model.name}.part"
    with gzip.open(part, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    part.rename(part.with_suffix(".jsonl.gz"))
    spent, tokens = time.monotonic() - began, sum(row["tokens"] for row in rows)
    done = f"{pack.name}, {model.name}: {len(rows)} samples, {tokens:,} tokens in {spent:.1f} s"
    print(done, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--pack", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--student", type=Path, required=True, help="folder with the tokenizer")
    parser.add_argument("--cache-gb", type=float, default=16.0, help="GPU memory of the KV cache")
    args = parser.parse_args()
    from vllm import LLM

    llm = LLM(
        model=str(args.models[0].resolve()), tokenizer=str(args.student), dtype="bfloat16",
        max_model_len=4096, max_num_seqs=1024, enable_prefix_caching=False,
        gpu_memory_utilization=0.2, kv_cache_memory_bytes=int(args.cache_gb * 1e9),
        generation_config="vllm",
    )  # fmt: skip
    for place, folder in enumerate(args.models):
        swapped = place == 0 or swap(llm, folder.resolve())
        if not swapped or not has_weights(llm, folder.resolve()):
            if place == 0:
                sys.exit(f"{folder}: the engine did not load its weights")
            print(f"{folder.name}: the engine kept other weights; restarting it", flush=True)
            sys.exit(RELOAD_FAILED)
        for pack in args.pack:
            if not is_done(folder, pack, args.out):
                sample_pack(llm, pack, args.out, folder)


if __name__ == "__main__":
    main()
