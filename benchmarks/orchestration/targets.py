"""The targets of evolcoder against other clients, computed from passes of one invocation.

A ratio is the median of the ratios of consecutive passes. A value that was not measured has no
target.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from harness.table import Target, at_least, below
from orchestration.measure import Pass
from orchestration.table import Figure, of

RIVALS = {"curator": 4.5, "distilabel": 8.0}
"""Client -> how many times its requests per CPU-second are to be reached."""
SHARE_OF_AIOHTTP = 0.85
FIRST_REQUEST_S = 1.0
HELP_S = 0.3
PEAK_MB = 300.0
GROWTH = 1.2


def beside_others(passes: Sequence[Pass], latencies: Sequence[float]) -> Iterator[Target]:
    """Compare requests per CPU-second, requests per second, and the start."""
    for latency_s in latencies:
        for rival, wanted in RIVALS.items():
            ratio = _ratio(passes, rival, latency_s, lambda one: one.per_cpu_second)
            title = f"requests per CPU-second over {rival}'s, latency {latency_s:g} s"
            yield from _at_least(title, wanted, ratio)
        if latency_s:
            ratio = _ratio(passes, "aiohttp", latency_s, lambda one: one.per_second)
            title = f"requests/s over bare aiohttp's, latency {latency_s:g} s"
            yield from _at_least(title, SHARE_OF_AIOHTTP, ratio)
    ours = [one for latency_s in latencies for one in of(passes, "evolcoder", latency_s)]
    if ours:
        yield below("start to first request, s", FIRST_REQUEST_S, _middle(ours))


def of_memory(peaks: dict[int, float]) -> Iterator[Target]:
    """Compare peak memory by number of tasks."""
    small, large = min(peaks), max(peaks)
    yield below(f"peak memory at {large:,} tasks, MB", PEAK_MB, peaks[large])
    title = f"peak memory at {large:,} tasks over that at {small:,}"
    yield below(title, GROWTH, peaks[large] / peaks[small])


def _at_least(title: str, wanted: float, ratio: float | None) -> Iterator[Target]:
    if ratio is not None:
        yield at_least(title, wanted, ratio)


def _middle(passes: Sequence[Pass]) -> float:
    return median(one.first_request_s for one in passes)


def _ratio(passes: Sequence[Pass], rival: str, latency_s: float, figure: Figure) -> float | None:
    ours, theirs = of(passes, "evolcoder", latency_s), of(passes, rival, latency_s)
    pairs = [figure(a) / figure(b) for a, b in zip(ours, theirs, strict=False)]
    return median(pairs) if pairs else None
