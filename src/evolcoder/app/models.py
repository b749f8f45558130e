"""From a config to the models of a run: the one place that chooses implementations.

>>> async with AsyncExitStack() as stack:   # doctest: +SKIP
...     opened = await open_models(config, stack)
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evolcoder.app.progress import Download
from evolcoder.config.load import Config, ModelConfig, Price
from evolcoder.engine import llamacpp, redact, registry, scripted
from evolcoder.engine.base import Engine, Role, Sampling
from evolcoder.engine.budget import FREE, Budget, MeteredEngine, Spending, price_of, usd
from evolcoder.engine.cache import CachedEngine, CompletionCache
from evolcoder.engine.endpoint import KeyRing
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import ConfigError, ModelError, raise_descriptor_limit
from evolcoder.pipeline import RoleModels
from evolcoder.text import without_logins

if TYPE_CHECKING:
    from evolcoder.evaluation.store import EvalStore
    from evolcoder.storage.run_store import RunStore

FORMS = "a known name, FILE.gguf, openai:NAME, http://HOST/v1#NAME, or scripted:FILE"
_LATER = ("vllm:", "hf:")
OTHER_FILES = 512
"""Files and pipes that a process has beside its connections: databases, the sandbox's workers."""


@dataclass(frozen=True, slots=True)
class OpenedModels:
    """A model that is ready to answer."""

    engine: Engine
    """Who answers."""
    model: str
    """The model's name on that engine."""


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a run by the part that they play."""

    evolver: OpenedModels
    """Makes tasks harder."""
    responder: OpenedModels
    """Answers them; the evolver itself unless the config names another."""
    judge: OpenedModels | None
    """Asked about evolutions in doubt, if the config names one."""
    tester: OpenedModels | None
    """Writes tests, if the config names one; else the responder does."""

    def all(self) -> list[OpenedModels]:
        """Return every model once."""
        played = (self.evolver, self.responder, self.judge, self.tester)
        return list({id(opened): opened for opened in played if opened is not None}.values())


Engines = Mapping[str, OpenedModels]
"""Models that are open already, by the spec that a config names them by."""


async def open_models(
    config: Config, stack: AsyncExitStack, engines: Engines | None = None
) -> Models:
    """Open each spec once, and have the stack close it; those in `engines` are open."""
    by_spec: dict[str, OpenedModels] = dict(engines or {})

    async def opened(spec: str) -> OpenedModels:
        if spec not in by_spec:
            by_spec[spec] = await open_one(spec, config)
            stack.push_async_callback(by_spec[spec].engine.aclose)
        return by_spec[spec]

    evolver = await opened(config.evolver.model)
    responder = await opened(config.responder.model) if config.responder.model else evolver
    judge = await opened(config.judge.model) if config.judge.model else None
    tester = await opened(config.verify.tester) if config.verify.tester else None
    return Models(evolver, responder, judge, tester)


def prices_of(config: Config, opened: Iterable[OpenedModels]) -> dict[str, Price]:
    """Look up every model's price; with a limit in dollars, a price that is missing is an error."""
    found: dict[str, Price] = {}
    for one in opened:
        price = price_of(one.model, one.engine.identity, config.prices)
        if price is None and config.budget.max_usd is not None:
            raise ConfigError(
                f"budget.max_usd: no price is known for {one.model!r}; add prices.{one.model}"
                f" with input and output in dollars per million tokens"
            )
        found[one.model] = price or FREE
    return found


def open_meter(config: Config, store: "RunStore | EvalStore", prices: dict[str, Price]) -> Budget:
    """Make the purse, less what earlier sessions of the run have spent."""
    spent = Spending()
    for model, (_, sent, received) in store.calls_by_model().items():
        spent.add(Spending(sent + received, usd(prices.get(model, FREE), sent, received)))
    return Budget(config.budget, spent, store.add_call)


class ModelFactory:
    """Puts models behind the shared cache and the meter.

    The stack commits the last answers and lets the cache go, before it closes the models.
    """

    def __init__(
        self, config: Config, meter: Budget, prices: dict[str, Price], stack: AsyncExitStack
    ) -> None:
        path = Path(config.cache or registry.cache_file("completions.db"))
        self._cache = CompletionCache(path)
        stack.callback(self._cache.close)
        self._meter = meter
        self._prices = prices
        self._wrapped: dict[int, Engine] = {}

    def role(self, one: OpenedModels, sampling: Sampling, system: str) -> Role:
        """Bind a model to a part."""
        paid = MeteredEngine(one.engine, self._meter, self._prices)
        engine = self._wrapped.setdefault(id(one), CachedEngine(paid, self._cache))
        return Role(engine, one.model, sampling, system)


def role_of(part: ModelConfig, one: OpenedModels, purse: ModelFactory) -> Role:
    """Bind a model to a part, with the sampling that the config gives that part."""
    values = Sampling(part.temperature, part.top_p, part.max_tokens)
    return purse.role(one, values, part.system)


def make_cast(config: Config, opened: Models, purse: ModelFactory) -> RoleModels:
    """Bind models to their parts."""
    return RoleModels(
        role_of(config.evolver, opened.evolver, purse),
        role_of(config.responder, opened.responder, purse),
        role_of(config.judge, opened.judge, purse) if opened.judge else None,
    )


def in_flight(config: Config, opened: Models) -> int:
    """Return how many records may be in work: a few more than there are places for requests."""
    local = isinstance(opened.evolver.engine, llamacpp.LlamaCppEngine)
    places = config.traffic.slots if local else config.traffic.concurrency
    return places + places // 4 + 1


async def open_one(spec: str, config: Config) -> OpenedModels:
    """Open the model that a spec stands for, or raise ModelError."""
    if spec in registry.KNOWN:
        known = registry.KNOWN[spec]
        path = registry.fetch(known, registry.cache_folder() / "models", Download())
        return OpenedModels(_load(path, known.sha256, config), spec)
    if spec.endswith(".gguf"):
        return _open_file(Path(spec), config)
    if spec.startswith("scripted:"):
        return OpenedModels(scripted.from_file(Path(spec.removeprefix("scripted:"))), "scripted")
    ring = KeyRing(config.servers, specs=[*specs_of(config), spec])
    redact.register_secrets(ring.secrets())
    url, model = _server(spec, ring)
    key = ring.key_for(url)
    allow_connections(config.traffic.concurrency)
    server = OpenAIEngine(url, api_key=key, traffic=config.traffic)
    try:
        await server.probe(model)
    except BaseException:
        await server.aclose()
        raise
    return OpenedModels(server, model)


def specs_of(config: Config) -> list[str]:
    """Return the specs of all models that a config names."""
    parts = (config.evolver, config.responder, config.judge)
    return [spec for spec in (*(part.model for part in parts), config.verify.tester) if spec]


def allow_connections(n: int) -> None:
    """Let this process hold so many connections beside its files, as far as the system allows.

    Without it, the limit of the shell is where the requests in flight would end.
    """
    raise_descriptor_limit(n + OTHER_FILES)


def _open_file(path: Path, config: Config) -> OpenedModels:
    path = Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's may raise
    return OpenedModels(_load(path, registry.digest_of(path), config), path.name)


def _load(path: Path, digest: str, config: Config) -> llamacpp.LlamaCppEngine:
    n_ctx = max(config.evolver.n_ctx, config.responder.n_ctx, config.judge.n_ctx)
    return llamacpp.LlamaCppEngine.load(path, digest, n_ctx=n_ctx, traffic=config.traffic)


def _server(spec: str, ring: KeyRing) -> tuple[str, str]:
    """Return the base URL and the model's name."""
    if spec.startswith("openai:"):
        url, model = ring.openai_url, spec.removeprefix("openai:")
    elif spec.startswith(("http://", "https://")):
        url, _, model = spec.partition("#")
    else:
        raise ModelError(f"unknown model {spec!r}{_hint(spec)}")
    if not model:
        shown, place = without_logins(spec), without_logins(url)
        raise ModelError(f"model {shown!r} names a server but no model; write {place}#NAME")
    return ring.with_login(url), model


def _hint(spec: str) -> str:
    if spec.startswith(_LATER):
        return f": {spec.partition(':')[0]} models are not built in yet; serve it and use its URL"
    close = difflib.get_close_matches(spec, registry.KNOWN, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; write {FORMS}; known names are {', '.join(registry.KNOWN)}"
