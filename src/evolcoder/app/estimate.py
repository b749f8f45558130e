"""Estimates requests, tokens, price and hours of a run, for `evolcoder run --dry-run`.

Prompt lengths are measured on a sample of the seeds with the run's templates. Answer lengths and
acceptance rates come from the rows in the run folder if there are enough, otherwise from our
measurements (`docs/experiments`); `TokenRates.source` names which. No model is called.

>>> estimate(config, resolve(config.evolve), measured_rates(folder))   # doctest: +SKIP
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from evolcoder.app.style import N_SEEDS
from evolcoder.config.load import Config, validate
from evolcoder.credentials import without_logins
from evolcoder.engine.batch.budget import batch_price
from evolcoder.engine.prices import cost_of, price_of
from evolcoder.evolution.evolver import first_messages
from evolcoder.evolution.heuristics import Heuristic, TaskContents, choose
from evolcoder.evolution.styles import is_small
from evolcoder.records import Check, Response, Task, TokenCounts
from evolcoder.seeds.read import read_seeds
from evolcoder.storage.database import COUNT, MAYBE_NUMBER, Columns
from evolcoder.storage.run_store import DB_NAME, RunStore

_MEANS = Columns(n=COUNT, evolve=MAYBE_NUMBER, respond=MAYBE_NUMBER, attempts=MAYBE_NUMBER)
_SERVERS = ("openai:", "anthropic:", "http")
SAMPLE = 200
"""Maximum number of seeds whose prompt lengths are measured."""
CHARS_PER_TOKEN = 3.8
"""Mean for English mixed with code and current tokenizers."""
STREAM_TOKENS_PER_S = 60.0
"""Generation speed of one stream of a hosted model."""
TESTS_PROMPT_TOKENS = 200.0
"""Mean tokens around the task in prompts for tests or further answers."""
LOCAL_TOKENS_PER_S = {"qwen2.5-coder-0.5b": 49.0, "qwen2.5-coder-1.5b": 23.0}
"""Total generation speed over all slots of an in-process model on two cores."""


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Mean answer lengths, attempts and acceptance rates."""

    evolve_tokens: float = 110.0
    """Tokens of an evolution."""
    respond_tokens: float = 330.0
    """Tokens of an answer."""
    attempts: float = 1.4
    """Evolution attempts per task and round."""
    kept: float = 0.85
    """Share of evolutions that are kept and answered."""
    callable_share: float = 0.28
    """Share of answers with something that generated tests can call."""
    tests_tokens: float = 170.0
    """Tokens of one set of generated tests."""
    source: str = "our own measurements of small models (docs/experiments)"
    """Origin of these figures."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """Estimated requests, tokens, price and time of one role."""

    role: str
    """`evolver`, `responder`, or `tester` for all requests of verification."""
    model: str
    """The model's spec."""
    calls: int
    """Number of requests."""
    prompt_tokens: int
    """Prompt tokens."""
    completion_tokens: int
    """Completion tokens."""
    usd: float | None
    """Price in US dollars; None if unknown."""
    batch_usd: float | None
    """Price with batches; that of `usd` for a model that is on no server."""
    hours: float
    """Hours, if this role ran alone."""


def estimate(
    config: Config,
    heuristics: tuple[Heuristic, ...],
    rates: TokenRates,
    *,
    measures_style: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> list[CostLine]:
    """Estimate the cost of each role of a run; `note` takes what was read of the seeds.

    With `measures_style`, the requests in the style that is not chosen come on top; those of the
    other style are the first of round 1.
    """
    sample, n_tasks, n_unanswered = _seeds(config, note)
    n_rounds, target = config.budget.rounds, config.budget.target
    evolutions = n_rounds * n_tasks if target is None else round(target / rates.kept)
    if target is not None:
        n_rounds = max(1, -(-evolutions // n_tasks))
    seed_chars = fmean(len(task.instruction) for task in sample)
    template_chars = fmean(_prompt_chars(config, heuristics, task) for task in sample) - seed_chars
    growth = rates.evolve_tokens * (n_rounds - 1) / 2
    task_tokens = seed_chars / CHARS_PER_TOKEN + growth
    answers = round(evolutions * rates.kept) + n_unanswered
    attempts = round(evolutions * min(rates.attempts, config.evolve.candidates))
    attempts += min(N_SEEDS, n_tasks) if measures_style and evolutions else 0
    sent = template_chars / CHARS_PER_TOKEN + task_tokens
    responder = config.responder.model or config.evolver.model
    lines = [
        _cost_line(config, "evolver", config.evolver.model, (attempts, sent, rates.evolve_tokens)),
        _cost_line(
            config,
            "responder",
            responder,
            (
                answers * config.respond.candidates,
                task_tokens + rates.evolve_tokens,
                rates.respond_tokens,
            ),
        ),
    ]
    # Where several answers are compared, tests are written before any row is kept or dropped.
    tested = answers if config.respond.candidates > 1 else evolutions * rates.kept
    rows = round(tested * rates.callable_share)
    prompt_tokens = task_tokens + rates.evolve_tokens + TESTS_PROMPT_TOKENS
    calls, received = _verification_requests(config, rates)
    n_written = _generator_requests(config, heuristics, round(evolutions * rates.kept))
    if (calls or n_written) and config.verify.when != "never":
        spec = config.verify.tester or responder
        n = rows * calls + n_written
        received = (rows * calls * received + n_written * rates.tests_tokens) / max(1, n)
        lines.append(_cost_line(config, "tester", spec, (n, prompt_tokens, received)))
    return lines


def levels_of_verification(config: Config) -> dict[str, Config]:
    """Return the config with the quick default of verification, and with that of `strong`."""
    strong = validate({"preset": "strong"}, where="preset")
    levels = {"quick": Config(), "strong": strong}
    return {name: _verified_like(config, level) for name, level in levels.items()}


def _verified_like(config: Config, other: Config) -> Config:
    verify = {"checks": other.verify.checks, "when": other.verify.when}
    respond = {"candidates": other.respond.candidates}
    sections = {
        "verify": config.verify.model_copy(update=verify),
        "respond": config.respond.model_copy(update=respond),
    }
    return config.model_copy(update=sections)


def _generator_requests(config: Config, heuristics: tuple[Heuristic, ...], n_rows: int) -> int:
    """Return the requests for input generators: one for each row that asks for a bound."""
    if Check.BOUND not in config.verify.checks:
        return 0
    weights = [one.weight for one in heuristics if one.holds is TaskContents.BOUND]
    return round(n_rows * sum(weights) / sum(one.weight for one in heuristics))


def _verification_requests(config: Config, rates: TokenRates) -> tuple[int, float]:
    """Return the requests per callable row and the mean completion tokens of each."""
    verify = config.verify
    answers = verify.candidates if Check.TESTS in verify.checks else 0
    answers += verify.samples if Check.DIFFICULTY in verify.checks else 0
    sets = verify.check_sets if Check.TESTS in verify.checks else 0
    tokens = answers * rates.respond_tokens + sets * rates.tests_tokens
    return answers + sets, tokens / max(1, answers + sets)


def _cost_line(
    config: Config, role: str, spec: str, requests: tuple[int, float, float]
) -> CostLine:
    """Price requests, given as (number, prompt tokens each, completion tokens each)."""
    calls, sent, received = requests
    tokens = round(calls * sent), round(calls * received)
    name = spec.partition("#")[2] or spec.removeprefix("openai:").removeprefix("anthropic:")
    is_server = spec.startswith(_SERVERS)
    price = price_of(name, spec if is_server else "gguf:", config.prices)
    counts = TokenCounts(*tokens)
    cost = cost_of(price, counts) if price else None
    in_batch = cost_of(batch_price(price), counts) if price and is_server else cost
    hours = _hours(config, spec, calls, tokens)
    return CostLine(role, without_logins(spec), calls, *tokens, cost, in_batch, hours)


def _hours(config: Config, spec: str, calls: int, tokens: tuple[int, int]) -> float:
    traffic = config.traffic
    if not spec.startswith(_SERVERS):
        return tokens[1] / LOCAL_TOKENS_PER_S.get(spec, 30.0) / 3600
    seconds = tokens[1] / (STREAM_TOKENS_PER_S * traffic.concurrency)
    if traffic.requests_per_minute:
        seconds = max(seconds, 60 * calls / traffic.requests_per_minute)
    if traffic.tokens_per_minute:
        seconds = max(seconds, 60 * sum(tokens) / traffic.tokens_per_minute)
    return seconds / 3600


def total(lines: list[CostLine]) -> CostLine:
    """Sum the lines; the price is unknown if any line's is."""
    return CostLine(
        "total",
        "",
        sum(line.calls for line in lines),
        sum(line.prompt_tokens for line in lines),
        sum(line.completion_tokens for line in lines),
        _sum([line.usd for line in lines]),
        _sum([line.batch_usd for line in lines]),
        sum(line.hours for line in lines),
    )


def _sum(prices: list[float | None]) -> float | None:
    known = [price for price in prices if price is not None]
    return sum(known) if len(known) == len(prices) else None


def _seeds(
    config: Config, note: Callable[[str], None] = lambda _: None
) -> tuple[list[Task], int, int]:
    """Return the first `SAMPLE` seed tasks, the number of seeds, and of those to be answered."""
    sample: list[Task] = []
    n_tasks = n_answered = 0
    seeds = read_seeds(config.seeds)
    for record in seeds:
        n_answered += isinstance(record, Response)
        n_tasks += isinstance(record, Task)
        if isinstance(record, Task) and len(sample) < SAMPLE:
            sample.append(record)
    note(seeds.read.text())
    return sample, n_tasks, n_tasks if config.respond.reanswer_seeds else n_tasks - n_answered


def _prompt_chars(config: Config, heuristics: tuple[Heuristic, ...], task: Task) -> int:
    heuristic = choose(heuristics, config.seed, task, 1)
    model = config.evolver.model
    small = is_small(model, is_local=model.endswith(".gguf"))
    messages = first_messages(task, heuristic, config, is_small=small)
    return sum(len(message.content) for message in messages) + len(config.evolver.system)


def measured_rates(folder: Path) -> TokenRates:
    """Measure the rows of a run; returns the default rates if it has fewer than 20."""
    if not (folder / DB_NAME).is_file():
        return TokenRates()
    with RunStore.read(folder) as store:
        query = """SELECT COUNT(*), AVG(t.completion_tokens * 1.0 / t.attempts),
            AVG(r.completion_tokens * 1.0 / r.attempts), AVG(t.attempts)
            FROM tasks t JOIN responses r ON r.task = t.id WHERE t.round > 0"""
        ((n_rows, evolve, respond, attempts),) = store.db.each(_MEANS.validate, query)
        dropped = store.db.number("SELECT COUNT(*) FROM drops WHERE stage = 'evolve'")
    if n_rows < 20 or None in (evolve, respond, attempts):
        return TokenRates()
    kept = n_rows / (n_rows + dropped)
    return TokenRates(evolve, respond, attempts, kept, source=f"the {n_rows} rows of this run")
