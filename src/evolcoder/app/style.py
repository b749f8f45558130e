"""Decides the style of a run's evolution once: by the config, by the evolver's size, or measured.

A measurement evolves the same seeds in both styles, one request each, through the run's own models,
budget and cache: its requests are paid and booked as any other, and those of the chosen style are
the first requests of round 1, which finds them in the cache. The choice and its numbers are stored,
so that a resumed run keeps its style. An interrupted measurement is repeated from the cache.

>>> config = await settle(store, config, known_style(store, config, model), role)   # doctest: +SKIP
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evolcoder.app import provenance
from evolcoder.app.models import OpenedModels
from evolcoder.app.progress import SEPARATOR, Work, print_note, show_text
from evolcoder.concurrency import task_group
from evolcoder.config.load import Config, EvolveConfig
from evolcoder.engine.base import IN_PROCESS, Role
from evolcoder.engine.endpoint import is_loopback
from evolcoder.engine.purpose import made_for
from evolcoder.errors import UnjudgedError, UserError
from evolcoder.evolution.candidate import tokenize
from evolcoder.evolution.evolver import evolve
from evolcoder.evolution.heuristics import Heuristic, choose
from evolcoder.evolution.rules import find_hopeless
from evolcoder.evolution.styles import (
    Style,
    StyleChoice,
    UsableShare,
    heuristics_of,
    in_style,
    style_by_shares,
    style_for,
)
from evolcoder.records import Drop, Reason, Stage, Task
from evolcoder.sample_errors import judging
from evolcoder.storage.run_store import DB_NAME, STYLE_META, RunStore, StyleFacts

N_SEEDS = 10
"""Seeds that are measured in each style."""
N_TRIED = 30
"""Seeds that are tried at most: those that a server rejects say nothing about a style."""
_UNMEASURED = frozenset({Reason.REJECTED, Reason.FAILED, Reason.UNJUDGED})


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The outcome of one seed in one style."""

    drop: Reason | None
    """Why it is not usable, or None."""
    prompt_tokens: int
    """Tokens sent."""
    completion_tokens: int
    """Tokens received."""


class _Progress:
    """Counts the requests of a measurement."""

    def __init__(self) -> None:
        self.done = self.total = 0

    async def count(self, outcome: Awaitable[_Outcome | None]) -> _Outcome | None:
        found = await outcome
        self.done += 1
        return found

    def text(self, waits: str) -> str:
        said = f"measuring both styles: {self.done}/{self.total} requests done"
        return SEPARATOR.join(filter(None, (said, waits)))

    def work(self) -> Work:
        left = max(0, self.total - self.done)
        return Work("style", self.done, left, left)


def known_style(store: RunStore, config: Config, evolver: OpenedModels) -> StyleChoice | None:
    """Return the style that the run has, or that is known without a request; None if neither."""
    if (decided := store.meta(STYLE_META, StyleFacts)) is not None:
        return StyleChoice(Style(decided["style"]), decided["why"])
    given = config.evolve.style
    if given != "auto":
        return StyleChoice(Style(given), f"evolve.style is {given}")
    if (kept := store.style()) is not None:
        return StyleChoice(Style(kept), "the run has had this style from its start")
    if not asks_for_style(config.evolve):
        return StyleChoice(Style.APPEND, "no heuristic of the run depends on it")
    return style_of_model(config.evolver.model, evolver)


def expected_style(config: Config, folder: Path) -> StyleChoice | None:
    """Return the style that a run will have, before its models are opened; None if not known."""
    if config.evolve.style == "auto" and (folder / DB_NAME).is_file():
        with RunStore.read(folder) as store:
            if (kept := store.style()) is not None:
                return StyleChoice(Style(kept), "the run has it")
    if config.evolve.style != "auto":
        return StyleChoice(Style(config.evolve.style), f"evolve.style is {config.evolve.style}")
    return style_of_model(config.evolver.model, None)


def heuristics_before(config: Config, choice: StyleChoice | None) -> tuple[Heuristic, ...]:
    """Return the heuristics of a choice; before a measurement, those of `append`."""
    return heuristics_of(config.evolve, choice.style if choice else None)


def asks_for_style(config: EvolveConfig) -> bool:
    """Return whether the heuristics of a config differ between the styles."""
    return heuristics_of(config, Style.APPEND) != heuristics_of(config, Style.REWRITE)


def style_of_model(spec: str, evolver: OpenedModels | None) -> StyleChoice | None:
    """Return the style for an evolver by its name and size; None if these do not decide it.

    The name counts only for a model that is not served from this machine: files have any name, and
    local servers answer to any. Without an open evolver, only its spec is read.
    """
    identity = evolver.engine.identity if evolver else spec
    if identity.startswith("scripted"):
        return StyleChoice(Style.APPEND, "prepared answers have no style of their own")
    name = evolver.model if evolver else spec.partition("#")[2] or spec.rpartition(":")[2]
    is_here = identity.startswith(IN_PROCESS) or spec.endswith(".gguf")
    hosted = not is_here and not is_loopback(urlsplit(identity).hostname or "")
    return style_for(name, billions=evolver.billions if evolver else None, hosted=hosted)


async def settle(
    store: RunStore,
    config: Config,
    known: StyleChoice | None,
    evolver: Role,
    waits: Callable[[], str] = str,
) -> Config:
    """Return the config of a run with its style in place of `auto`, and store the style.

    A style that is not known is measured; see `measure`. A run that evolves nothing decides none.
    """
    if config.budget.target is None and config.budget.rounds == 0:
        choice = known or StyleChoice(Style.APPEND, "nothing is evolved")
    elif known is not None:
        choice = known
        _keep(store, choice, {})
    else:
        choice = await measure(store, config, evolver, waits)
    return config.model_copy(update={"evolve": in_style(config.evolve, choice.style)})


def _keep(store: RunStore, choice: StyleChoice, probe: dict[str, dict[str, int]]) -> None:
    """Store and show a choice, unless the run has it already."""
    if store.meta(STYLE_META, StyleFacts) is not None:
        return
    fact = {"style": choice.style.value, "why": choice.why, "probe": probe}
    store.set_meta(STYLE_META, fact)
    store.add_event("style", f"{choice.style}: {choice.why}")
    store.db.flush()
    print_note(f"evolve.style: {choice.style} ({choice.why})")


async def measure(
    store: RunStore, config: Config, evolver: Role, waits: Callable[[], str] = str
) -> StyleChoice:
    """Measure both styles on seeds, and store and return the choice.

    `waits` says what the requests wait for, such as a batch. Raises BudgetReached, EngineError as a
    run does, and UserError if the server rejected or failed at every seed; then nothing is stored.
    """
    tasks = [
        task
        for task in store.sample_seeds(N_TRIED)
        if find_hopeless(tokenize(task.instruction), config.eliminate) is None
    ]
    if not tasks:
        return StyleChoice(Style.APPEND, "no seed is asked")
    shown = min(N_SEEDS, len(tasks))
    print_note(
        f"evolve.style: the size of {evolver.model} is not known, so both styles are measured on "
        f"{shown} seeds ({2 * shown} requests, half of them those of round 1)"
    )
    found: list[dict[Style, _Outcome]] = []
    progress = _Progress()
    async with show_text(lambda: progress.text(waits()), progress.work):
        while len(found) < N_SEEDS and tasks:
            n = N_SEEDS - len(found)
            progress.total = progress.done + len(Style) * len(tasks[:n])
            outcomes = await _outcomes(tasks[:n], config, evolver, progress)
            found, tasks = (
                [*found, *(both for both in outcomes if len(both) == len(Style))],
                tasks[n:],
            )
    if not found:
        raise UserError(
            "evolve.style: auto could not be measured, because the model server rejected or failed "
            "at every seed that was tried; set evolve.style to append or rewrite"
        )
    counts = {style: _count([one[style] for one in found]) for style in Style}
    shares = {
        style: UsableShare(count["measured"], count["usable"]) for style, count in counts.items()
    }
    choice = style_by_shares(shares[Style.APPEND], shares[Style.REWRITE])
    _keep(store, choice, {style.value: count for style, count in counts.items()})
    provenance.record_heuristics(store, heuristics_of(config.evolve, choice.style))
    return choice


def _count(outcomes: Sequence[_Outcome]) -> dict[str, int]:
    return {
        "measured": len(outcomes),
        "usable": sum(one.drop is None for one in outcomes),
        "prompt_tokens": sum(one.prompt_tokens for one in outcomes),
        "completion_tokens": sum(one.completion_tokens for one in outcomes),
    }


async def _outcomes(
    tasks: Sequence[Task], config: Config, evolver: Role, progress: "_Progress"
) -> list[dict[Style, _Outcome]]:
    """Evolve each task in both styles; what was not measured is left out."""
    async with task_group() as group:
        started = [
            {s: group.create_task(progress.count(_evolve(task, s, config, evolver))) for s in Style}
            for task in tasks
        ]
    found = [{style: one.result() for style, one in both.items()} for both in started]
    return [{style: one for style, one in both.items() if one is not None} for both in found]


async def _evolve(task: Task, style: Style, config: Config, evolver: Role) -> _Outcome | None:
    """Make the first request that round 1 would make in a style."""
    one_try = in_style(config.evolve, style).model_copy(update={"candidates": 1})
    asked = config.model_copy(update={"evolve": one_try})
    heuristic = choose(heuristics_of(config.evolve, style), config.seed, task, 1)
    try:
        with judging(), made_for(Stage.EVOLVE, heuristic.name):
            made = await evolve(
                task, round=1, heuristic=heuristic, evolver=evolver, judge=None, config=asked
            )
    except UnjudgedError:
        return None
    reason = made.reason if isinstance(made, Drop) else None
    if reason in _UNMEASURED or made.made is None:
        return None
    return _Outcome(reason, made.made.prompt_tokens, made.made.completion_tokens)
