"""evolcoder's way: the server that it starts, and a run's engine with budget and cache."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from evolcoder.app import models
from evolcoder.app.servers import ModelServers
from evolcoder.config.load import Config, load
from evolcoder.engine.base import Completion, Message, Role, Sampling
from evolcoder.engine.budget import Budget, Spending
from evolcoder.experiment.config import ServeConfig
from evolcoder.experiment.timings import monitor_gpus
from serving.order import MODES, N_WARM, Order, Pass, turns


def run(order: Order) -> None:
    began = time.monotonic()
    tasks, serve = order.tasks(), _serve(order)
    with (
        tempfile.TemporaryDirectory() as caches,
        ModelServers(Path(order.work), serve).serving([(order.model, "bench")]) as served,
    ):
        for n, mode in enumerate(order.modes):
            _pass(order, mode, tasks[:N_WARM], served[0].spec, Path(caches) / f"warm-{n}.db")
        started = time.monotonic() - began
        for n, mode in enumerate(turns(order, began)):
            at, cpu = time.monotonic(), time.process_time()
            with monitor_gpus() as watch:
                said = _pass(order, mode, tasks, served[0].spec, Path(caches) / f"{n}.db")
            Pass(
                way="evolcoder", mode=mode, n_prompts=len(tasks), busy=watch.busy,
                seconds=time.monotonic() - at, cpu_s=time.process_time() - cpu,
                prompt_tokens=sum(one.prompt_tokens for one in said),
                tokens=sum(one.completion_tokens for one in said),
                n_cut=sum(one.finish == "length" for one in said), start_s=started,
            ).keep(Path(order.out))  # fmt: skip


def _serve(order: Order) -> ServeConfig:
    """Say how `evolcoder loop` serves, with what both ways must have in common."""
    options = {
        "--max-model-len": order.max_model_len, "--gpu-memory-utilization": order.memory,
        "--max-num-seqs": order.max_num_seqs, "--max-num-batched-tokens": order.max_batched_tokens,
    }  # fmt: skip
    words = [str(word) for pair in options.items() for word in pair]
    same = [] if "command" in order.serve else words
    values = {"options": same, "gpus": order.gpus, **order.serve}
    return ServeConfig.model_validate(values)


def _pass(order: Order, mode: str, tasks: list[str], spec: str, cache: Path) -> list[Completion]:
    sets = list(_serve(order).traffic)[1::2]
    if MODES[mode].seeded:
        sets.append("traffic.seeds=true")
    return asyncio.run(_answers(order, mode, tasks, spec, load(None, [*sets, f"cache={cache}"])))


async def _answers(
    order: Order, mode: str, tasks: list[str], spec: str, config: Config
) -> list[Completion]:
    """Answer tasks as a run's round does: so many at once, each taken when one is done."""
    drawn = Sampling(MODES[mode].temperature, MODES[mode].top_p, order.max_tokens)
    async with AsyncExitStack() as stack:
        opened = await models.open_model(spec, config)
        stack.push_async_callback(opened.engine.aclose)
        budget = Budget(config.budget, Spending())
        role = models.ModelFactory(config, budget, {}, stack).role(opened, drawn, "")
        n_workers = models.max_in_flight(config, models.Models(opened, opened, None, None))
        return await _in_turn(role, tasks, n_workers)


async def _in_turn(role: Role, tasks: list[str], n_workers: int) -> list[Completion]:
    waiting, said = iter(enumerate(tasks)), []

    async def work() -> None:
        for seed, task in waiting:
            said.append(await role.ask((Message("user", task),), seed=seed))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(n_workers, len(tasks))):
            group.create_task(work())
    return said
