"""`evolcoder run --dry-run`: calls, tokens, price and hours, before anything is paid for.

Prompts are counted on a sample of the real seeds with the real templates; what models will answer
is taken from the rows that the run folder holds already, else from our own measurements
(`docs/experiments`). The output says which.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from evolcoder.config.load import Config
from evolcoder.engine.budget import price_of, usd
from evolcoder.evolution.heuristics import Heuristic, choose
from evolcoder.evolution.prompts import build
from evolcoder.records import Check, Response, Task
from evolcoder.seeds.read import read_seeds
from evolcoder.storage.database import COUNT, MAYBE_NUMBER, Columns
from evolcoder.storage.run_store import DB_NAME, RunStore
from evolcoder.text import without_logins

_MEANS = Columns(n=COUNT, evolve=MAYBE_NUMBER, respond=MAYBE_NUMBER, attempts=MAYBE_NUMBER)
SAMPLE = 200
"""Seeds whose prompts are counted."""
CHARS_PER_TOKEN = 3.8
"""Of English mixed with code, for the tokenizers in use today."""
STREAM_TOKENS_PER_S = 60.0
"""Speed of one answer of a hosted model."""
TESTS_FRAME_TOKENS = 200.0
"""Mean tokens around the task where tests or further answers are asked for."""
LOCAL_TOKENS_PER_S = {"qwen2.5-coder-0.5b": 49.0, "qwen2.5-coder-1.5b": 23.0}
"""Speed of a model in this process on two cores, all slots together."""


@dataclass(frozen=True, slots=True)
class TokenRates:
    """How long models answer, and how often they are asked, in the mean."""

    evolve_tokens: float = 110.0
    """Tokens of an evolution."""
    respond_tokens: float = 330.0
    """Tokens of an answer."""
    attempts: float = 1.4
    """Evolutions tried for one task in one round."""
    kept: float = 0.85
    """Share of evolutions that are kept and answered."""
    callable_share: float = 0.28
    """Share of answers that hold something for written tests to call."""
    tests_tokens: float = 170.0
    """Tokens of one set of written tests."""
    source: str = "our own measurements of small models (docs/experiments)"
    """Where these figures come from."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """What one part of the story asks of its model."""

    role: str
    """`evolver`, `responder`, or `tester` for all that verification asks for."""
    model: str
    """The model's spec."""
    calls: int
    """Requests."""
    prompt_tokens: int
    """Tokens sent."""
    completion_tokens: int
    """Tokens received."""
    usd: float | None
    """Price, if a table knows it."""
    hours: float
    """Time, were it alone."""


def estimate(
    config: Config, heuristics: tuple[Heuristic, ...], habits: TokenRates
) -> list[CostLine]:
    """Work out what each part of a run will ask for."""
    sample, n_tasks, n_unanswered = _seeds(config)
    n_rounds, wanted = config.budget.rounds, config.budget.target
    evolutions = n_rounds * n_tasks if wanted is None else round(wanted / habits.kept)
    if wanted is not None:
        n_rounds = max(1, -(-evolutions // n_tasks))
    seed_chars = fmean(len(task.instruction) for task in sample)
    frame = fmean(_prompt_chars(config, heuristics, task) for task in sample) - seed_chars
    growth = habits.evolve_tokens * (n_rounds - 1) / 2
    task_tokens = seed_chars / CHARS_PER_TOKEN + growth
    answers = round(evolutions * habits.kept) + n_unanswered
    asked = round(evolutions * habits.attempts)
    sent = frame / CHARS_PER_TOKEN + task_tokens
    responder = config.responder.model or config.evolver.model
    parts = [
        _part(config, "evolver", config.evolver.model, (asked, sent, habits.evolve_tokens)),
        _part(
            config,
            "responder",
            responder,
            (answers, task_tokens + habits.evolve_tokens, habits.respond_tokens),
        ),
    ]
    rows = round(evolutions * habits.kept * habits.callable_share)
    each = task_tokens + habits.evolve_tokens + TESTS_FRAME_TOKENS
    calls, received = _verifying(config, habits)
    if calls and config.verify.when != "never":
        spec = config.verify.tester or responder
        parts.append(_part(config, "tester", spec, (rows * calls, each, received)))
    return parts


def _verifying(config: Config, habits: TokenRates) -> tuple[int, float]:
    """Return the requests for one row that can be called, and tokens received for each."""
    verify = config.verify
    answers = verify.candidates if Check.TESTS in verify.checks else 0
    answers += verify.samples if Check.DIFFICULTY in verify.checks else 0
    sets = verify.check_sets if Check.TESTS in verify.checks else 0
    tokens = answers * habits.respond_tokens + sets * habits.tests_tokens
    return answers + sets, tokens / max(1, answers + sets)


def _part(config: Config, role: str, spec: str, each: tuple[int, float, float]) -> CostLine:
    calls, sent, received = each
    tokens = round(calls * sent), round(calls * received)
    name = spec.partition("#")[2] or spec.removeprefix("openai:")
    identity = spec if spec.startswith(("openai:", "http")) else "gguf:"
    price = price_of(name, identity, config.prices)
    cost = usd(price, *tokens) if price else None
    return CostLine(
        role, without_logins(spec), calls, *tokens, cost, _hours(config, spec, calls, tokens)
    )


def _hours(config: Config, spec: str, calls: int, tokens: tuple[int, int]) -> float:
    traffic = config.traffic
    if not spec.startswith(("openai:", "http")):
        return tokens[1] / LOCAL_TOKENS_PER_S.get(spec, 30.0) / 3600
    seconds = tokens[1] / (STREAM_TOKENS_PER_S * traffic.concurrency)
    if traffic.requests_per_minute:
        seconds = max(seconds, 60 * calls / traffic.requests_per_minute)
    if traffic.tokens_per_minute:
        seconds = max(seconds, 60 * sum(tokens) / traffic.tokens_per_minute)
    return seconds / 3600


def total(parts: list[CostLine]) -> CostLine:
    """Add the parts up; the price is unknown where one is."""
    prices = [part.usd for part in parts]
    known = [price for price in prices if price is not None]
    return CostLine(
        "total",
        "",
        sum(part.calls for part in parts),
        sum(part.prompt_tokens for part in parts),
        sum(part.completion_tokens for part in parts),
        sum(known) if len(known) == len(prices) else None,
        sum(part.hours for part in parts),
    )


def _seeds(config: Config) -> tuple[list[Task], int, int]:
    """Read the seeds; return the first tasks, how many there are, and how many want an answer."""
    sample: list[Task] = []
    n_tasks = n_answered = 0
    for record in read_seeds(config.seeds):
        n_answered += isinstance(record, Response)
        n_tasks += isinstance(record, Task)
        if isinstance(record, Task) and len(sample) < SAMPLE:
            sample.append(record)
    return sample, n_tasks, n_tasks if config.respond.reanswer_seeds else n_tasks - n_answered


def _prompt_chars(config: Config, heuristics: tuple[Heuristic, ...], task: Task) -> int:
    heuristic = choose(heuristics, config.seed, task, 1)
    messages = build(heuristic, task.instruction, None)
    return sum(len(message.content) for message in messages) + len(config.evolver.system)


def measured_rates(folder: Path) -> TokenRates:
    """Measure the rows of a run, or return our own figures where it has fewer than 20."""
    if not (folder / DB_NAME).is_file():
        return TokenRates()
    with RunStore.read(folder) as store:
        query = """SELECT COUNT(*), AVG(t.completion_tokens * 1.0 / t.attempts),
            AVG(r.completion_tokens), AVG(t.attempts)
            FROM tasks t JOIN responses r ON r.task = t.id WHERE t.round > 0"""
        ((n_rows, evolve, respond, attempts),) = store.db.each(_MEANS.checked, query)
        dropped = store.db.number("SELECT COUNT(*) FROM drops WHERE stage = 'evolve'")
    if n_rows < 20 or None in (evolve, respond, attempts):
        return TokenRates()
    kept = n_rows / (n_rows + dropped)
    return TokenRates(
        evolve, respond, attempts, kept, source=f"the {n_rows} rows that this run has"
    )
