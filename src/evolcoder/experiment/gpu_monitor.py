"""How busy the GPUs of this machine are, read from NVIDIA's own library twice a second.

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

EVERY_S = 0.5
LIBRARY = "libnvidia-ml.so.1"
_FINE = 0


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Cards:
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


def cards() -> Cards | None:
    """Return the GPUs of this machine, or None."""
    try:
        found = Cards(ctypes.CDLL(LIBRARY), os.environ.get("CUDA_VISIBLE_DEVICES"))
    except (OSError, AttributeError):
        return None
    return found if len(found) else None


class Watch:
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
    find: Callable[[], Cards | None] = cards, *, every_s: float = EVERY_S
) -> Iterator[Watch]:
    """Look at the GPUs again and again, in a thread, while the context lasts."""
    watch, found = Watch(), find()
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
