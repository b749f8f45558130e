"""How long each step of a loop took, how busy the GPUs were in it, and both as a table.

Promises: a step is noted when it has ended well, and not before; a share of the GPUs is None on a
machine without one. Stages of one run go on side by side, so their seconds are told within the
step that holds them and never added up; nor are those of a step that went on beside others.

>>> with Clock(store, print).timed("train", "merge-0..1, seed 0"):   # doctest: +SKIP
...     train()
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from evolcoder.experiment.gpu_monitor import watching
from evolcoder.experiment.store import LoopStore, Step
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SECONDS_META, SecondsFacts

T = TypeVar("T")
BESIDE = "beside other steps"
"""Detail of a step that went on while others did: its time is part of theirs."""

MOMENT_S = 0.5
"""Waits that are shorter are not told."""


@dataclass(slots=True)
class Noted:
    """What a step says of itself, beside its time."""

    detail: str = ""
    """More in words."""


class Clock:
    """Notes the steps of one loop in its database."""

    def __init__(self, store: LoopStore, say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say

    @contextmanager
    def timed(self, kind: str, name: str) -> Iterator[Noted]:
        """Say that a step begins, and note it when it has ended well."""
        self._say(f"{kind} {name}")
        began, noted = time.monotonic(), Noted()
        with watching() as watch:
            yield noted
        seconds = round(time.monotonic() - began, 2)
        self._store.add_step(Step(kind, name, seconds, noted.detail, watch.busy))

    @contextmanager
    def up(self, serving: AbstractContextManager[T], what: str) -> Iterator[T]:
        """Serve while the context lasts; how long it takes to start is a step."""
        with ExitStack() as stack:
            with self.timed("serve", what):
                served = stack.enter_context(serving)
            yield served

    @contextmanager
    def waited(self, until: str) -> Iterator[None]:
        """Note a wait for something that goes on beside, if it took a moment."""
        began = time.monotonic()
        with watching() as watch:
            yield
        seconds = round(time.monotonic() - began, 2)
        if seconds >= MOMENT_S:
            self._store.add_step(Step("wait", f"until {until}", seconds, "", watch.busy))


def stages_of(folder: Path) -> str:
    """Say how long a run was at each stage of its newest round."""
    with RunStore.read(folder) as store:
        rounds = store.meta(SECONDS_META, SecondsFacts) or {}
    stages = rounds[max(rounds, key=int)] if rounds else {}
    return ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items())


def table(steps: Sequence[Step]) -> str:
    """Return steps as a table, with the whole time and the GPUs' idle share of it at the end."""
    lines = ["| step | of | seconds | GPU busy |", "| --- | --- | ---: | ---: |"]
    for step in steps:
        told = step.kind == "evolve" or step.detail == BESIDE
        name = f"{step.name} ({step.detail})" if told and step.detail else step.name
        lines.append(f"| {step.kind} | {name} | {step.seconds:.1f} | {_percent(step.busy)} |")
    whole = sum(step.seconds for step in steps if step.detail != BESIDE)
    lines.append(f"| all | | {whole:.1f} | {_percent(busy_share(steps))} |")
    return "\n".join(lines)


def busy_share(steps: Sequence[Step]) -> float | None:
    """Return the share of all steps' time in which the GPUs computed; None where not known."""
    known = [(s.busy, s.seconds) for s in steps if s.busy is not None and s.detail != BESIDE]
    seconds = sum(seconds for _, seconds in known)
    return sum(busy * seconds for busy, seconds in known) / seconds if seconds else None


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{100 * share:.0f} %"
