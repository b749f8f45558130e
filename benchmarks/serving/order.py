"""The request to both ways, and the measurements of their passes."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evolcoder.config.load import SeedsConfig
from evolcoder.records import Task
from evolcoder.seeds.read import read_seeds

N_WARM = 128
"""Prompts that are answered before anything is measured."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How answers are drawn."""

    temperature: float
    top_p: float
    seeded: bool
    """Whether each request has a seed of its own."""


MODES = {
    "greedy": Mode(0.0, 1.0, seeded=False),
    "run": Mode(1.0, 0.9, seeded=False),
    "seeded": Mode(1.0, 0.9, seeded=True),
}


@dataclass(frozen=True, slots=True)
class Order:
    """One way's work."""

    model: str
    seeds: str
    limit: int
    max_tokens: int
    modes: list[str]
    n_passes: int
    max_num_seqs: int
    max_batched_tokens: int
    max_model_len: int
    memory: float
    gpus: int
    work: str
    out: str
    limit_s: float
    serve: dict[str, object] = field(default_factory=dict)
    """Keys of `serve` that differ from its defaults."""

    def plain(self) -> dict[str, object]:
        """Return it as plain data, for another process."""
        return asdict(self)

    def tasks(self) -> list[str]:
        """Read the tasks that are answered."""
        records = read_seeds(SeedsConfig(path=self.seeds, limit=self.limit))
        return [record.instruction for record in records if isinstance(record, Task)]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over all prompts."""

    way: str
    mode: str
    n_prompts: int
    prompt_tokens: int
    tokens: int
    """Generated."""
    n_cut: int
    """Answers that max_tokens ended."""
    seconds: float
    busy: float | None
    """Share of the time in which the GPUs computed."""
    cpu_s: float
    """Processor time of the process that asks; offline, of the one that calls the engine."""
    start_s: float
    """From the process's start until the model answered."""

    @property
    def rate(self) -> float:
        """Generated tokens per second."""
        return self.tokens / self.seconds

    def plain(self) -> dict[str, object]:
        """Return all of it and its rate."""
        return {**asdict(self), "tokens_per_s": self.rate}

    def keep(self, path: Path) -> None:
        """Write it behind those that are there."""
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> "list[Pass]":
        """Read what was kept."""
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [cls(**json.loads(line)) for line in lines]


def turns(order: Order, began: float) -> Iterator[str]:
    """Yield the mode of each pass, as long as one more would end in time."""
    longest = 0.0
    for _ in range(order.n_passes):
        for mode in order.modes:
            start = time.monotonic()
            if start - began + longest > order.limit_s:
                return
            yield mode
            longest = max(longest, time.monotonic() - start)
