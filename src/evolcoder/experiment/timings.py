"""How long each step of a loop took, how busy the GPUs were in it, and both as a table.

Promises: a step is noted when it has ended well, and not before; a share of the GPUs is None on a
machine without one. Stages of one run go on side by side, so their seconds are told within the
step that holds them and never added up; nor are those of a step that went on beside others.

>>> with Clock(store, print).timed("train", "merge-0..1, seed 0"):   # doctest: +SKIP
...     train()

How busy the GPUs of this machine are, read from NVIDIA's own library twice a second.

Promises: reads and never changes a setting; without such a GPU, or where the library refuses, the
share is None and nothing fails. Busy is what NVML calls utilization: the share of time in which at
least one kernel ran, not how well it ran; the mean over all GPUs that this process may use.

>>> with watching() as watch:   # doctest: +SKIP
...     work()
>>> watch.busy                  # doctest: +SKIP
0.93
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evolcoder.experiment.store import LoopStore, StoredStep
from evolcoder.storage.run_store import RunStore
from evolcoder.storage.stats import SECONDS_META, SecondsFacts

EVERY_S = 0.5
LIBRARY = "libnvidia-ml.so.1"
_FINE = 0


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class GpuMonitor:
    """The GPUs of this machine, by index."""

    def __init__(self, library: Any, visible: str | None) -> None:  # noqa: ANN401 - a C library
        self._library = library
        n_cards = ctypes.c_uint()
        if library.nvmlInit_v2() != _FINE or library.nvmlDeviceGetCount_v2(ctypes.byref(n_cards)):
            raise OSError("NVML does not start")
        self._handles = [self._handle(n) for n in _wanted(visible, n_cards.value)]

    def __len__(self) -> int:
        return len(self._handles)

    def busy(self) -> float | None:
        """Return the mean share of the last moment in which a kernel ran, in 0 to 1."""
        found = []
        for handle in self._handles:
            seen = _Utilization()
            if self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(seen)) == _FINE:
                found.append(seen.gpu / 100)
        return sum(found) / len(found) if found else None

    def _handle(self, index: int) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        if self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)):
            raise OSError(f"NVML does not open GPU {index}")
        return handle


def cards() -> GpuMonitor | None:
    """Return the GPUs of this machine, or None."""
    try:
        found = GpuMonitor(ctypes.CDLL(LIBRARY), os.environ.get("CUDA_VISIBLE_DEVICES"))
    except (OSError, AttributeError):
        return None
    return found if len(found) else None


class GpuWatch:
    """What was seen so far."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    @property
    def busy(self) -> float | None:
        """Mean share in 0 to 1; None where nothing was seen."""
        seen = self.seen[:]
        return sum(seen) / len(seen) if seen else None


@contextmanager
def watching(
    find: Callable[[], GpuMonitor | None] = cards, *, every_s: float = EVERY_S
) -> Iterator[GpuWatch]:
    """Look at the GPUs again and again, in a thread, while the context lasts."""
    watch, found = GpuWatch(), find()
    if found is None:
        yield watch
        return
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every_s):
            if (share := found.busy()) is not None:
                watch.seen.append(share)

    thread = threading.Thread(target=look, name="gpu-gauge", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()


def _wanted(visible: str | None, n_cards: int) -> Sequence[int]:
    """Read CUDA_VISIBLE_DEVICES where it lists indices; where it names cards, take them all."""
    parts = [part.strip() for part in visible.split(",")] if visible else []
    if not parts or not all(part.isdigit() for part in parts):
        return range(n_cards)
    return [int(part) for part in parts if int(part) < n_cards]


T = TypeVar("T")
BESIDE = "beside other steps"
"""Detail of a step that went on while others did: its time is part of theirs."""

MOMENT_S = 0.5
"""Waits that are shorter are not told."""


@dataclass(slots=True)
class StepTime:
    """What a step says of itself, beside its time."""

    detail: str = ""
    """More in words."""


class StepTimer:
    """Notes the steps of one loop in its database."""

    def __init__(self, store: LoopStore, say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say

    @contextmanager
    def timed(self, kind: str, name: str) -> Iterator[StepTime]:
        """Say that a step begins, and note it when it has ended well."""
        self._say(f"{kind} {name}")
        began, noted = time.monotonic(), StepTime()
        with watching() as watch:
            yield noted
        seconds = round(time.monotonic() - began, 2)
        self._store.add_step(StoredStep(kind, name, seconds, noted.detail, watch.busy))

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
            self._store.add_step(StoredStep("wait", f"until {until}", seconds, "", watch.busy))


def stages_of(folder: Path) -> str:
    """Say how long a run was at each stage of its newest round."""
    with RunStore.read(folder) as store:
        rounds = store.meta(SECONDS_META, SecondsFacts) or {}
    stages = rounds[max(rounds, key=int)] if rounds else {}
    return ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items())


def table(steps: Sequence[StoredStep]) -> str:
    """Return steps as a table, with the whole time and the GPUs' idle share of it at the end."""
    lines = ["| step | of | seconds | GPU busy |", "| --- | --- | ---: | ---: |"]
    for step in steps:
        told = step.kind == "evolve" or step.detail == BESIDE
        name = f"{step.name} ({step.detail})" if told and step.detail else step.name
        lines.append(f"| {step.kind} | {name} | {step.seconds:.1f} | {_percent(step.busy)} |")
    whole = sum(step.seconds for step in steps if step.detail != BESIDE)
    lines.append(f"| all | | {whole:.1f} | {_percent(busy_share(steps))} |")
    return "\n".join(lines)


def busy_share(steps: Sequence[StoredStep]) -> float | None:
    """Return the share of all steps' time in which the GPUs computed; None where not known."""
    known = [(s.busy, s.seconds) for s in steps if s.busy is not None and s.detail != BESIDE]
    seconds = sum(seconds for _, seconds in known)
    return sum(busy * seconds for busy, seconds in known) / seconds if seconds else None


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{100 * share:.0f} %"
