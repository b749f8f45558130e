"""Opens the batch endpoint of a server, with its ledger next to the completion cache.

>>> engine = await open_engine(url, key, "gpt-4o", config, is_anthropic=False)   # doctest: +SKIP
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from evolcoder.app.progress import print_note
from evolcoder.config.load import Config
from evolcoder.engine import registry
from evolcoder.engine.base import Engine
from evolcoder.engine.batch.anthropic import AnthropicBatches, anthropic_endpoint
from evolcoder.engine.batch.engine import BatchEngine
from evolcoder.engine.batch.ledger import BatchLedger
from evolcoder.engine.batch.openai import OpenAIBatches
from evolcoder.engine.batch.service import BatchHttp, BatchService
from evolcoder.engine.endpoint import Endpoint, Key
from evolcoder.errors import ConfigError
from evolcoder.input_files import SQLITE_HEAD
from evolcoder.storage.atomic import make_folder

MAX_IN_FLIGHT = 20_000
"""Records in flight with batches; 10,000 took 0.4 GB with answers of 1,500 characters."""


async def open_engine(
    url: str,
    key: Key,
    model: str,
    config: Config,
    *,
    is_anthropic: bool,
    headers: Mapping[str, str],
) -> BatchEngine:
    """Open the batch endpoint of a server; its ledger is next to the completion cache."""
    endpoint = Endpoint.of(url, api_key=key, extra_headers=headers)
    if is_anthropic:
        endpoint = anthropic_endpoint(endpoint, key.value)
    http = BatchHttp(endpoint, config.traffic)
    service: BatchService = (
        AnthropicBatches(http, poll_s=config.traffic.batch_poll_s)
        if is_anthropic
        else OpenAIBatches(http)
    )
    ledger = BatchLedger(_ledger_path(config))
    engine = BatchEngine(service, ledger, endpoint, model, config.traffic, note=print_note)
    try:
        await engine.start()
    except BaseException:
        await engine.aclose()
        raise
    return engine


def note_open(config: Config, server: str, model: str) -> None:
    """Print a note if an earlier command left open batches: their requests would be paid twice."""
    path = _ledger_path(config)
    if not path.exists():
        return
    ledger = BatchLedger(path)
    n_requests = sum(batch.size for batch in ledger.open_batches(server, model))
    ledger.close()
    if n_requests:
        print_note(
            f"{n_requests} requests to {model} are in batches that are out; with --batch their "
            f"answers are used, without it they are asked and paid for again"
        )


def _ledger_path(config: Config) -> Path:
    return cache_path(config).with_suffix(".batches.db")


def cache_path(config: Config) -> Path:
    """Return the path of the completion cache."""
    return Path(config.cache or registry.cache_file("completions.db"))


def check_cache(config: Config) -> None:
    """Raise ConfigError if the completion cache cannot be opened, before anything is read."""
    path = cache_path(config)
    if path.is_dir():
        raise ConfigError(f"cache: {path} is a folder, not a database; name a file")
    if config.cache is not None and _is_other_file(path):
        raise ConfigError(f"cache: {path} is no completion cache (no database); name another file")
    if config.cache is not None:
        make_folder(path.parent, error=ConfigError)


def _is_other_file(path: Path) -> bool:
    """Whether a file is there that is not empty and does not begin as a database does."""
    try:
        with path.open("rb") as file:
            head = file.read(len(SQLITE_HEAD))
    except OSError:
        return False  # opening it tells why
    return head not in {b"", SQLITE_HEAD}


def progress(engines: Iterable[Engine]) -> Callable[[], str]:
    """Return a function that says which batches are out, or an empty string."""
    batched = [engine for engine in engines if isinstance(engine, BatchEngine)]
    return lambda: ", ".join(filter(None, (engine.progress for engine in batched)))
