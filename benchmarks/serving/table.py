"""Formats passes as a table, and computes the targets."""

import statistics
from collections.abc import Iterator, Sequence

from serving.order import Pass

WANTED = 0.90
"""Least share of vLLM's own throughput."""


def table(found: Sequence[Pass]) -> str:
    titles = (
        "sampling", "way", "passes", "answers", "tokens/s (median)", "lowest to highest", "seconds",
        "cut off", "GPU busy", "CPU of the client, s", "start, s",
    )  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|" + " --- |" * len(titles)]
    return "\n".join([*lines, *(_line(ones) for ones in _groups(found).values())])


def targets(found: Sequence[Pass], *, n_gpus: int) -> str:
    groups = _groups(found)
    modes = dict.fromkeys(mode for mode, _ in groups)
    return "\n".join(_ratio(groups, mode, n_gpus) for mode in modes)


def _ratio(groups: dict[tuple[str, str], list[Pass]], mode: str, n_gpus: int) -> str:
    ours, theirs = groups.get((mode, "evolcoder")), groups.get((mode, "offline"))
    if not ours or not theirs:
        return f"{mode}: one of the two was not measured"
    ratio = _rate(ours) / (_rate(theirs) * n_gpus)
    reference = (
        "vLLM's own throughput" if n_gpus == 1 else f"{n_gpus} times that of one GPU offline"
    )
    met = "met" if ratio >= WANTED else "NOT met"
    return f"{mode}: {ratio:.3f} of {reference}; wanted {WANTED:.2f}: {met}"


def _groups(found: Sequence[Pass]) -> dict[tuple[str, str], list[Pass]]:
    groups: dict[tuple[str, str], list[Pass]] = {}
    for one in found:
        groups.setdefault((one.mode, one.way), []).append(one)
    return groups


def _rate(ones: Sequence[Pass]) -> float:
    return statistics.median(one.rate for one in ones)


def _line(ones: Sequence[Pass]) -> str:
    return f"| {' | '.join(_cells(ones))} |"


def _cells(ones: Sequence[Pass]) -> Iterator[str]:
    last, rates = ones[-1], [one.rate for one in ones]
    busy = [one.busy for one in ones if one.busy is not None]
    yield from (last.mode, last.way, str(len(ones)), f"{last.n_prompts:,}")
    yield f"{statistics.median(rates):,.0f}"
    yield f"{min(rates):,.0f} to {max(rates):,.0f}"
    yield f"{statistics.median(one.seconds for one in ones):.1f}"
    yield f"{100 * last.n_cut / last.n_prompts:.1f} %"
    yield f"{100 * statistics.mean(busy):.0f} %" if busy else "not known"
    yield f"{statistics.median(one.cpu_s for one in ones):.1f}"
    yield f"{last.start_s:.0f}"
