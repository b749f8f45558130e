"""Duration and GPU utilization of the steps of a loop, and both as a table.

A step is stored when it has succeeded. Stages of one run overlap, so their seconds are shown within
their step and never added up; concurrent steps are excluded from the total.

Utilization is read from NVML twice a second, as the mean over all GPUs that this process may use:
the share of time in which at least one kernel ran, which says nothing about its efficiency. NVML
settings are never changed. Without an NVIDIA GPU, or if NVML refuses, utilization is None and
nothing fails.

>>> with StepTimer(store, print).timed("train", "merge-0..1, seed 0"):   # doctest: +SKIP
...     train()
>>> with monitor_gpus() as usage:   # doctest: +SKIP
...     work()
>>> usage.busy                      # doctest: +SKIP
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

POLL_S = 0.5
LIBRARY = "libnvidia-ml.so.1"
_NVML_SUCCESS = 0


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class GpuMonitor:
    """The GPUs of this machine, by index."""

    def __init__(self, library: Any, visible: str | None) -> None:  # noqa: ANN401 - a C library
        self._library = library
        n_gpus = ctypes.c_uint()
        if library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(ctypes.byref(n_gpus)):
            raise OSError("NVML does not start")
        self._handles = [self._handle(n) for n in _gpu_indices(visible, n_gpus.value)]

    def __len__(self) -> int:
        return len(self._handles)

    def busy(self) -> float | None:
        """Return the current mean utilization, 0 to 1."""
        found = []
        for handle in self._handles:
            rates = _Utilization()
            code = self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates))
            if code == _NVML_SUCCESS:
                found.append(rates.gpu / 100)
        return sum(found) / len(found) if found else None

    def _handle(self, index: int) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        if self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)):
            raise OSError(f"NVML does not open GPU {index}")
        return handle


def find_gpus() -> GpuMonitor | None:
    """Return the GPUs of this machine, or None."""
    try:
        found = GpuMonitor(ctypes.CDLL(LIBRARY), os.environ.get("CUDA_VISIBLE_DEVICES"))
    except (OSError, AttributeError):
        return None
    return found if len(found) else None


class GpuUsage:
    """Samples of GPU utilization."""

    def __init__(self) -> None:
        self.samples: list[float] = []

    @property
    def busy(self) -> float | None:
        """Mean utilization, 0 to 1; None without samples."""
        samples = self.samples[:]
        return sum(samples) / len(samples) if samples else None


@contextmanager
def monitor_gpus(
    find: Callable[[], GpuMonitor | None] = find_gpus, *, every_s: float = POLL_S
) -> Iterator[GpuUsage]:
    """Poll GPU utilization in a thread while the context lasts."""
    usage, found = GpuUsage(), find()
    if found is None:
        yield usage
        return
    ended = threading.Event()

    def poll() -> None:
        while not ended.wait(every_s):
            if (share := found.busy()) is not None:
                usage.samples.append(share)

    thread = threading.Thread(target=poll, name="gpu-monitor", daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        ended.set()
        thread.join()


def _gpu_indices(visible: str | None, n_gpus: int) -> Sequence[int]:
    """Parse the indices of CUDA_VISIBLE_DEVICES; return all GPUs if it contains UUIDs."""
    parts = [part.strip() for part in visible.split(",")] if visible else []
    if not parts or not all(part.isdigit() for part in parts):
        return range(n_gpus)
    return [int(part) for part in parts if int(part) < n_gpus]


T = TypeVar("T")
CONCURRENT = "beside other steps"
"""Detail of a concurrent step, whose time is part of other steps' time. Stored; never change it."""
MIN_WAIT_S = 0.5
"""Shorter waits are not stored."""


@dataclass(slots=True)
class StepTime:
    """What a step adds to its record."""

    detail: str = ""
    """More information."""


class StepTimer:
    """Stores the steps of one loop in its database."""

    def __init__(self, store: LoopStore, say: Callable[[str], None]) -> None:
        self._store = store
        self._say = say

    @contextmanager
    def timed(self, kind: str, name: str) -> Iterator[StepTime]:
        """Report the start of a step, and store it when it has succeeded."""
        self._say(f"{kind} {name}")
        began, step = time.monotonic(), StepTime()
        with monitor_gpus() as usage:
            yield step
        seconds = round(time.monotonic() - began, 2)
        self._store.add_step(StoredStep(kind, name, seconds, step.detail, usage.busy))

    @contextmanager
    def serving(self, server: AbstractContextManager[T], what: str) -> Iterator[T]:
        """Keep a server running while the context lasts; its start is stored as a step."""
        with ExitStack() as stack:
            with self.timed("serve", what):
                served = stack.enter_context(server)
            yield served

    @contextmanager
    def waiting(self, until: str) -> Iterator[None]:
        """Store a wait for a background step, unless it is short."""
        began = time.monotonic()
        with monitor_gpus() as usage:
            yield
        seconds = round(time.monotonic() - began, 2)
        if seconds >= MIN_WAIT_S:
            self._store.add_step(StoredStep("wait", f"until {until}", seconds, "", usage.busy))


def stage_seconds(folder: Path) -> str:
    """Describe the seconds of each stage of a run's last round."""
    with RunStore.read(folder) as store:
        rounds = store.meta(SECONDS_META, SecondsFacts) or {}
    stages = rounds[max(rounds, key=int)] if rounds else {}
    return ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages.items())


def table(steps: Sequence[StoredStep]) -> str:
    """Return steps as a table; the last line has the total time and GPU utilization."""
    lines = ["| step | of | seconds | GPU busy |", "| --- | --- | ---: | ---: |"]
    for step in steps:
        has_detail = step.detail and (step.kind == "evolve" or step.detail == CONCURRENT)
        name = f"{step.name} ({step.detail})" if has_detail else step.name
        lines.append(f"| {step.kind} | {name} | {step.seconds:.1f} | {_percent(step.busy)} |")
    total = sum(step.seconds for step in steps if step.detail != CONCURRENT)
    lines.append(f"| all | | {total:.1f} | {_percent(busy_share(steps))} |")
    return "\n".join(lines)


def busy_share(steps: Sequence[StoredStep]) -> float | None:
    """Return the GPU utilization over all steps; None if unknown."""
    known = [(s.busy, s.seconds) for s in steps if s.busy is not None and s.detail != CONCURRENT]
    seconds = sum(seconds for _, seconds in known)
    return sum(busy * seconds for busy, seconds in known) / seconds if seconds else None


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{100 * share:.0f} %"
