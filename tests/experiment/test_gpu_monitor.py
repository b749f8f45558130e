"""GPU utilization, read from a fake NVML."""

import threading

import pytest

from evolcoder.experiment import timings

N_CARDS = 2


class Library:
    """A fake NVML: two GPUs with 40 and 90 % utilization."""

    def __init__(self, refuses=()):
        self.refuses = refuses
        self.asked = threading.Event()

    def nvmlInit_v2(self):  # noqa: N802 - NVML's names
        return 1 if "init" in self.refuses else 0

    def nvmlDeviceGetCount_v2(self, count):  # noqa: N802
        count._obj.value = N_CARDS
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, handle):  # noqa: N802
        handle._obj.value = index.value + 1
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle, seen):  # noqa: N802
        self.asked.set()
        if "rates" in self.refuses:
            return 3
        seen._obj.gpu = {1: 40, 2: 90}[handle.value]
        return 0


@pytest.mark.parametrize(
    ("visible", "busy"), [(None, 0.65), ("1", 0.9), ("0,1", 0.65), ("GPU-abc", 0.65)]
)
def test_busy_is_the_mean_over_the_cards_that_may_be_used(visible, busy):
    """Indices in CUDA_VISIBLE_DEVICES select GPUs; with UUIDs all are read."""
    assert timings.GpuMonitor(Library(), visible).busy() == pytest.approx(busy)


def test_a_watch_keeps_what_it_sees_and_its_thread_ends():
    """Utilization is sampled only while the context lasts."""
    library = Library()
    with timings.monitor_gpus(lambda: timings.GpuMonitor(library, None), every_s=0.001) as usage:
        assert library.asked.wait(10)
    assert usage.busy == pytest.approx(0.65)
    assert not [thread for thread in threading.enumerate() if thread.name == "gpu-gauge"]


def test_without_a_gpu_nothing_is_known_and_nothing_fails(monkeypatch):
    """Without NVML, or if it does not start or refuses, utilization is None."""
    monkeypatch.setattr(timings, "LIBRARY", "libno-such-thing.so.1")
    assert timings.find_gpus() is None
    with timings.monitor_gpus() as usage:
        pass
    assert usage.busy is None
    with pytest.raises(OSError, match="does not start"):
        timings.GpuMonitor(Library(refuses=("init",)), None)
    library = Library(refuses=("rates",))
    with timings.monitor_gpus(lambda: timings.GpuMonitor(library, None), every_s=0.001) as usage:
        assert library.asked.wait(10)
    assert usage.busy is None
