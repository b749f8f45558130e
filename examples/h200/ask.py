"""Ask models every problem of packs, with vLLM in this process, swapping weights between them.

    python examples/h200/ask.py --pack PACK [--pack PACK] --out OUT --student DIR MODEL_DIR...

Writes OUT/PACK's name/KEY.jsonl.gz for each, KEY being the folder's name; a model that a pack does
not name, or that is done, is not asked. After a swap a checksum of weights is held against the
file's: were the old ones still there, this ends with code 75, and whoever started it starts it
again for the models that are left.
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
"""What this ends with when weights cannot be swapped in a running engine."""
CHECKED = "model.layers.0.self_attn.o_proj.weight", "model.layers.3.mlp.down_proj.weight"
"""Weights that no engine joins with others, and so small that bfloat16 shows what was learnt."""


def lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def keys_of(pack):
    return {job["key"] for job in json.loads((pack / "jobs.json").read_text())["jobs"]}


def is_done(model, pack, out):
    """Whether a pack's samples of a model are there, or it wants none of this model."""
    name = f"{model.name}.jsonl.gz"
    there = any((folder / name).exists() for folder in (out / pack.name, pack / "done"))
    return there or model.name not in keys_of(pack)


def in_file(folder):
    """Sum the checked weights as they are on disk."""
    from safetensors import safe_open

    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in set(CHECKED) & set(file.keys()):
                found[name] = file.get_tensor(name).bfloat16().double().sum().item()
    return found


def in_engine(model):
    named = dict(model.named_parameters())
    return {name: named[name].double().sum().item() for name in CHECKED}


def swap(llm, folder):
    """Put other weights into the engine, if this version of it can."""
    try:
        llm.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
    except (TypeError, AttributeError, ValueError) as error:
        print(f"weights cannot be swapped: {error!r}", flush=True)
        return False
    return True


def holds(llm, folder):
    """Whether the engine runs the weights of a folder."""
    there, wanted = llm.apply_model(in_engine)[0], in_file(folder)
    return all(abs(there[name] - wanted[name]) < 1e-4 for name in CHECKED)


def ask(llm, prompts, how):
    from vllm import SamplingParams

    said = SamplingParams(
        n=how["n"], temperature=how["temperature"], top_p=how["top_p"],
        max_tokens=how["max_tokens"], seed=0,
    )  # fmt: skip
    chats = [prompt["messages"] for prompt in prompts]
    if chats[0][0][0] == "raw":
        answers = llm.generate([chat[0][1] for chat in chats], said, use_tqdm=False)
    else:
        turns = [[{"role": role, "content": text} for role, text in chat] for chat in chats]
        answers = llm.chat(turns, said, use_tqdm=False)
    for prompt, answer in zip(prompts, answers, strict=True):
        for number, one in enumerate(answer.outputs):
            yield {
                "bench": prompt["bench"], "problem": prompt["problem"], "number": number,
                "text": one.text, "finish": one.finish_reason, "tokens": len(one.token_ids),
            }  # fmt: skip


def ask_all(llm, pack, out, model):
    """Ask one model the prompts of a pack, and keep the samples when all are there."""
    began = time.monotonic()
    how = json.loads((pack / "jobs.json").read_text())["how"]["ask"]
    rows = list(ask(llm, lines(pack / "prompts.jsonl.gz"), how))
    part = out / pack.name / f"{model.name}.part"
    with gzip.open(part, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    part.rename(part.with_suffix(".jsonl.gz"))
    spent, tokens = time.monotonic() - began, sum(row["tokens"] for row in rows)
    said = f"{pack.name}, {model.name}: {len(rows)} samples, {tokens:,} tokens in {spent:.1f} s"
    print(said, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--pack", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--student", type=Path, required=True, help="its tokenizer is everybody's")
    parser.add_argument("--cache-gb", type=float, default=16.0, help="of GPU memory, for keys")
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
        if not swapped or not holds(llm, folder.resolve()):
            if place == 0:
                sys.exit(f"{folder}: the engine does not hold its weights")
            print(f"{folder.name}: the engine kept other weights; starting anew", flush=True)
            sys.exit(RELOAD_FAILED)
        for pack in args.pack:
            if not is_done(folder, pack, args.out):
                ask_all(llm, pack, args.out, folder)


if __name__ == "__main__":
    main()
