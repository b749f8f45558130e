"""vLLM itself: one process, one call with all prompts."""

import time
from pathlib import Path
from typing import Any

from evolcoder.experiment.timings import monitor_gpus
from serving.order import MODES, N_WARM, Order, Pass, turns


def run(order: Order) -> None:
    began = time.monotonic()
    from vllm import LLM  # noqa: PLC0415

    tasks = order.tasks()
    chats = [[{"role": "user", "content": task}] for task in tasks]
    llm = LLM(
        model=order.model, max_model_len=order.max_model_len, generation_config="vllm",
        gpu_memory_utilization=order.memory, max_num_seqs=order.max_num_seqs,
        max_num_batched_tokens=order.max_batched_tokens,
    )  # fmt: skip
    for mode in order.modes:
        some = chats[:N_WARM]
        llm.chat(some, _sampling(order, mode, len(some)), use_tqdm=False)
    started = time.monotonic() - began
    for mode in turns(order, began):
        sampling = _sampling(order, mode, len(chats))
        at, cpu = time.monotonic(), time.process_time()
        with monitor_gpus() as watch:
            answers = llm.chat(chats, sampling, use_tqdm=False)
        seconds = time.monotonic() - at
        outputs = [answer.outputs[0] for answer in answers]
        Pass(
            way="offline", mode=mode, n_prompts=len(chats), seconds=seconds, busy=watch.busy,
            prompt_tokens=sum(len(answer.prompt_token_ids) for answer in answers),
            tokens=sum(len(output.token_ids) for output in outputs),
            n_cut=sum(output.finish_reason == "length" for output in outputs),
            cpu_s=time.process_time() - cpu, start_s=started,
        ).keep(Path(order.out))  # fmt: skip


def _sampling(order: Order, name: str, n: int) -> Any:
    """One object for all, as vLLM's examples have it; one for each where seeds differ."""
    from vllm import SamplingParams  # noqa: PLC0415

    mode = MODES[name]
    values = {
        "temperature": mode.temperature, "top_p": mode.top_p, "max_tokens": order.max_tokens,
    }  # fmt: skip
    if not mode.seeded:
        return SamplingParams(**values)
    return [SamplingParams(**values, seed=seed) for seed in range(n)]
