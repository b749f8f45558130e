"""`evolcoder eval --compare A B`: two evaluations on the same problems, paired."""

from dataclasses import asdict
from pathlib import Path

from evolcoder.bench.scores import Comparison, compare
from evolcoder.cli import output
from evolcoder.errors import BenchError
from evolcoder.evaluation.results import outcomes_of
from evolcoder.evaluation.store import EvalStore

MOST_NAMED = 12
"""Problems that changed which are named on the terminal; all are in the JSON."""


def main(first: Path, second: Path, *, as_json: bool) -> int:
    """Compare every benchmark that both folders have verdicts on."""
    with EvalStore.read(first) as before, EvalStore.read(second) as after:
        shared = [name for name in before.benches() if name in after.benches()]
        if not shared:
            raise BenchError(f"{first} and {second} have no benchmark in common")
        found = {
            name: compare(outcomes_of(before, name), outcomes_of(after, name), k=1)
            for name in shared
        }
    if as_json:
        output.print_json({name: asdict(one) for name, one in found.items()}, indent=1)
        return 0
    print(f"A  {first}\nB  {second}")
    for name, one in found.items():
        _show(name, one)
    return 0


def _show(name: str, one: Comparison) -> None:
    change = 100 * (one.second - one.first)
    low, high = 100 * one.interval.low, 100 * one.interval.high
    print(
        f"\n{name}: pass@{one.k} {100 * one.first:.1f} % -> {100 * one.second:.1f} %, "
        f"{change:+.1f} points ({low:+.1f} to {high:+.1f}), p = {one.p_value:.3f} ({one.test})"
    )
    print(f"  {one.n_shared} problems in both, {one.n_left_out} in one alone")
    for title, problems in (("B is better at", one.gained), ("B is worse at", one.lost)):
        more = f" and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        named = ", ".join(problems[:MOST_NAMED]) or "none"
        print(f"  {title} {len(problems)}: {named}{more}")
