"""`evolcoder eval --compare` and `--plan`: compares stored evaluations, and plans the next one.

Guarantees: nothing is generated or run. The first folder is what the others are compared with, on
the problems that both have. Benchmarks are also pooled, each problem counting the same, by an exact
test of single samples, else a paired bootstrap within each benchmark. With several folders, only
the pooled comparisons decide, by p-values corrected by Holm's method. A difference that is not
proven comes with the smallest one that the comparison could have decided.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evolcoder.app.evaluate import compare_folders, nothing_shared
from evolcoder.bench.power import LEVEL, POWER, bench_of, holm, plan, pooled, spread_of
from evolcoder.bench.scores import Outcomes, PairedComparison, compare
from evolcoder.cli import output
from evolcoder.cli.layout import print_folded
from evolcoder.errors import BenchError, ConfigError
from evolcoder.evaluation.results import outcomes_of
from evolcoder.evaluation.store import EvalStore
from evolcoder.text import natural_key

MAX_CHANGED_NAMED = 12
"""Changed problems named on the terminal; the JSON names all."""
DEFAULT_EFFECT = 3.0
"""Points of a difference that a comparison should be able to decide."""
POOLED = "pooled"


def print_comparisons(folders: Sequence[Path], *, effect: float | None, as_json: bool) -> int:
    """Compare evaluations with the first one, on every benchmark that both have verdicts for."""
    if len(folders) < 2:
        raise ConfigError("--compare takes two or more evaluation folders")
    points = _points(effect)
    first, *others = folders
    found = {str(other): _compared(first, other) for other in others}
    adjusted = _adjusted(found) if len(others) > 1 else {}
    if as_json:
        plain = {name: _plain(first, Path(name), one) for name, one in found.items()}
        for name, value in adjusted.items():
            plain[name]["p_value_holm"] = value
        output.print_json(plain[str(others[0])] if len(others) == 1 else plain, indent=1)
        return 0
    print(f"A  {first}")
    wanted = points / 100
    for letter, name in zip("BCDEFGHIJKLMNOPQRSTUVWXYZ", found, strict=False):
        print(f"{letter}  {name}")
        for bench, one in found[name].items():
            _print_one(bench, one, letter)
            if not adjusted:
                decided = _decided(_outcomes(first, Path(name), bench), one.p_value, wanted)
                print_folded(f"  {decided}", 2)
        if name in adjusted:
            corrected = f"after Holm's correction for {len(found)}"
            print_folded(f"  {letter}: p = {adjusted[name]:.3f} {corrected}", 2)
            last = list(found[name])[-1]
            decided = _decided(_outcomes(first, Path(name), last), adjusted[name], wanted)
            print_folded(f"  {decided}", 2)
    return 0


def print_plan(first: Path, second: Path, *, effect: float | None, as_json: bool) -> int:
    """Print how many problems and samples a difference takes, from two stored evaluations."""
    points = _points(effect)
    sides = _shared(first, second)
    one, other = (pooled(side) for side in sides)
    sizes, spread = plan(one, other, effect=points / 100), spread_of(one, other)
    if as_json:
        plain = {"effect": points, "benches": list(sides[0]), "n_problems": spread.n_problems}
        output.print_json(plain | {"sizes": [asdict(size) for size in sizes]}, indent=1)
        return 0
    counts = ", ".join(f"{name} {len(found)}" for name, found in sides[0].items())
    print(f"A  {first}\nB  {second}\n{counts} problems, {spread.n_samples} samples each\n")
    print_folded(
        f"A true difference of {points:g} points is found by {100 * POWER:.0f} % of comparisons "
        f"(two-sided, {100 * LEVEL:.0f} %) with",
        0,
    )
    print()
    here = f"smallest with {spread.n_problems:,} problems"
    print(f"{'samples per problem':>20}{'problems':>12}{here:>34}")
    for size in sizes:
        smallest = f"{100 * size.smallest_effect:.1f} points"
        print(f"{size.n_samples:>20}{size.n_problems:>12,}{smallest:>34}")
    if spread.n_samples < 2:
        print(
            "\nthe evaluations have one sample per problem, which does not tell what more would "
            "bring; evaluate both with --n 5 or more to plan that too"
        )
    return 0


def _points(effect: float | None) -> float:
    """Return the points of --effect; raises ConfigError for what no difference can be."""
    if effect is None:
        return DEFAULT_EFFECT
    if not 0 < effect <= 100:
        raise ConfigError(f"--effect {effect:g}: must be above 0, up to 100 points")
    return effect


def _compared(first: Path, second: Path) -> dict[str, PairedComparison]:
    """Compare two evaluations by benchmark, and pooled if there are several."""
    found = compare_folders(first, second)
    if len(found) > 1:
        one, other = (pooled(side) for side in _shared(first, second))
        found[POOLED] = compare(one, other, k=1, stratum=bench_of)
    return found


def _shared(first: Path, second: Path) -> tuple[dict[str, Outcomes], dict[str, Outcomes]]:
    """Read the outcomes of the benchmarks that both evaluations have."""
    with EvalStore.read(first) as before, EvalStore.read(second) as after:
        names = [name for name in before.benches() if name in after.benches()]
        if not names:
            raise BenchError(nothing_shared((first, before), (second, after)))
        sides = ({name: outcomes_of(store, name) for name in names} for store in (before, after))
        one, other = sides
    shared = {name: one[name].keys() & other[name].keys() for name in names}
    return _restricted(one, shared), _restricted(other, shared)


def _restricted(
    side: dict[str, dict[str, list[bool]]], shared: dict[str, set[str]]
) -> dict[str, Outcomes]:
    return {
        name: {problem: found for problem, found in outcomes.items() if problem in shared[name]}
        for name, outcomes in side.items()
    }


def _outcomes(first: Path, second: Path, bench: str) -> tuple[Outcomes, Outcomes]:
    one, other = _shared(first, second)
    return (pooled(one), pooled(other)) if bench == POOLED else (one[bench], other[bench])


def _adjusted(found: dict[str, dict[str, PairedComparison]]) -> dict[str, float]:
    """Correct the p-values of all folders' last comparisons, which are pooled if they can be."""
    return holm({name: list(benches.values())[-1].p_value for name, benches in found.items()})


def _plain(first: Path, second: Path, found: dict[str, PairedComparison]) -> dict[str, object]:
    plain: dict[str, object] = {}
    for bench, one in found.items():
        spread = spread_of(*_outcomes(first, second, bench))
        smallest = spread.smallest_effect(spread.n_problems, spread.n_samples)
        plain[bench] = asdict(one) | {"smallest_effect": smallest}
    return plain


def _print_one(name: str, one: PairedComparison, letter: str) -> None:
    change = 100 * (one.second - one.first)
    low, high = 100 * one.interval.low, 100 * one.interval.high
    print()
    print_folded(
        f"{name}: pass@{one.k} {100 * one.first:.1f} % -> {100 * one.second:.1f} %, "
        f"{change:+.1f} points ({low:+.1f} to {high:+.1f}), p = {one.p_value:.3f} ({one.test})",
        2,
    )
    print_folded(f"  {one.n_shared} problems in both, {one.n_left_out} in only one", 2)
    if name == POOLED:
        return
    for title, problems in (
        (f"{letter} is better at", one.gained),
        (f"{letter} is worse at", one.lost),
    ):
        n_more = len(problems) - MAX_CHANGED_NAMED
        more = f" and {n_more} more" if n_more > 0 else ""
        named = ", ".join(sorted(problems, key=natural_key)[:MAX_CHANGED_NAMED]) or "none"
        print_folded(f"  {title} {len(problems)}: {named}{more}", 2)


def _decided(outcomes: tuple[Outcomes, Outcomes], p_value: float, effect: float) -> str:
    """Say whether a comparison decided, and if not, which difference it could have decided."""
    if p_value <= LEVEL:
        return f"decided at {100 * LEVEL:.0f} %"
    spread = spread_of(*outcomes)
    smallest = spread.smallest_effect(spread.n_problems, spread.n_samples)
    finds = f"differences from {100 * smallest:.1f} points on are found by {100 * POWER:.0f} %"
    if smallest <= effect:
        return f"not decided: {finds} of such comparisons"
    return (
        f"could not have decided {100 * effect:g} points: {finds} of such comparisons; "
        "see --plan for what it takes"
    )
