"""Opens the models that a config names, and binds them to roles, a completion cache and a budget.

The only place that chooses an `Engine` implementation for a model spec.

>>> async with AsyncExitStack() as stack:   # doctest: +SKIP
...     opened = await open_models(config, stack)
"""

import asyncio
import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evolcoder.app import batches
from evolcoder.app.progress import Download, print_line, print_note, slots_of
from evolcoder.config.load import Config, ModelConfig, Price
from evolcoder.config.schema import HIDDEN, fill_references, references
from evolcoder.credentials import is_secret_header, public_query, server_urls, without_logins
from evolcoder.engine import gguf_header, llamacpp, redact, registry, scripted, transformers_engine
from evolcoder.engine.answer_checks import AnswerChecks, CheckedEngine
from evolcoder.engine.base import Engine, Role, Sampling
from evolcoder.engine.batch.budget import batch_name, batch_price, booked_in_batches
from evolcoder.engine.batch.engine import BatchEngine
from evolcoder.engine.budget import Budget, MeteredEngine, Spending
from evolcoder.engine.cache import GRACE_S, CachedEngine, CompletionCache
from evolcoder.engine.endpoint import ANTHROPIC, ANTHROPIC_KEY, OPENAI, OPENAI_KEY, Key, KeyRing
from evolcoder.engine.evidence import EvidenceEngine
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.engine.prices import FREE, cost_of, price_of, worst_cost
from evolcoder.engine.server_pool import ServerPool
from evolcoder.errors import ConfigError, ModelError, raise_descriptor_limit
from evolcoder.pipeline import RoleModels
from evolcoder.records import TokenCounts

if TYPE_CHECKING:
    from evolcoder.evaluation.store import EvalStore
    from evolcoder.storage.run_store import RunStore

C = TypeVar("C")
S = TypeVar("S", "RunStore", "EvalStore")

SPEC_FORMS = (
    "a known name, FILE.gguf, hf:FOLDER, openai:NAME, anthropic:NAME, http://HOST/v1#NAME "
    "(several servers: http://A/v1,http://B/v1#NAME), vllm:ID on a cluster, or scripted:FILE"
)
"""Forms of a model spec, for help texts and errors."""
VLLM = "vllm:"
"""Prefix of models that a cluster serves."""
OTHER_DESCRIPTORS = 512
"""Descriptors needed besides connections: databases, pipes of sandbox workers."""


@dataclass(frozen=True, slots=True)
class OpenedModels:
    """An open engine and the name of a model on it."""

    engine: Engine
    """The engine."""
    model: str
    """The model's name on the engine."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request's body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of every request, without secrets."""
    billions: float | None = None
    """Billions of parameters, where its file or its server states them."""


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a run, by role."""

    evolver: OpenedModels
    """Makes tasks harder."""
    responder: OpenedModels
    """Answers tasks; the evolver unless the config names another model."""
    judge: OpenedModels | None
    """Decides doubtful evolutions, if the config names a judge."""
    tester: OpenedModels | None
    """Writes tests, if the config names a tester; otherwise the responder does."""

    def all(self) -> list[OpenedModels]:
        """Return every distinct model once."""
        roles = (self.evolver, self.responder, self.judge, self.tester)
        return list({id(opened): opened for opened in roles if opened is not None}.values())


Engines = Mapping[str, OpenedModels]
"""Models opened by the caller, by their spec in the config."""


async def open_models(
    config: Config, stack: AsyncExitStack, engines: Engines | None = None
) -> Models:
    """Open each spec once, and register its closing on the stack.

    Models in `engines` are used as they are and stay open.
    """
    opened_before: dict[tuple[str, str], OpenedModels] = {}

    async def opened(spec: str, section: ModelConfig) -> OpenedModels:
        if engines and spec in engines:
            return with_extras(engines[spec], section)
        key = spec, json.dumps(section.extra_headers, sort_keys=True)
        if key not in opened_before:
            opened_before[key] = await open_model(spec, config, section)
            stack.push_async_callback(opened_before[key].engine.aclose)
        return with_extras(opened_before[key], section)

    evolver = await opened(config.evolver.model, config.evolver)
    responder_spec = config.responder.model or config.evolver.model
    responder = await opened(responder_spec, section_of(config, "responder"))
    judge = await opened(config.judge.model, config.judge) if config.judge.model else None
    tester = None
    if config.verify.tester:
        tester = await opened(config.verify.tester, section_of(config, "tester"))
    found = Models(evolver, responder, judge, tester)
    if config.traffic.batch and not any(isinstance(o.engine, BatchEngine) for o in found.all()):
        raise ConfigError("traffic.batch: no model of this run is on a server; leave out --batch")
    return found


def section_of(config: Config, role: str) -> ModelConfig:
    """Return the section with the extras of a role: `evolver`, `responder`, `judge` or `tester`.

    A responder without a model of its own adds its extras to the evolver's. A tester has those of
    the role with the same model, or none.
    """
    if role == "tester" and config.verify.tester:
        sections = (section_of(config, "responder"), config.evolver, config.judge)
        matching = (one for one in sections if one.model == config.verify.tester)
        return next(matching, ModelConfig())
    if role in {"responder", "tester"}:
        own, evolver = config.responder, config.evolver
        if own.model is not None:
            return own
        extras = {
            "model": evolver.model,
            "extra_body": {**evolver.extra_body, **own.extra_body},
            "extra_headers": {**evolver.extra_headers, **own.extra_headers},
        }
        return own.model_copy(update=extras)
    return config.judge if role == "judge" else config.evolver


def with_extras(opened: OpenedModels, section: ModelConfig) -> OpenedModels:
    """Return an open model with the extras of a section."""
    public = {
        name.lower(): value
        for name, value in section.extra_headers.items()
        if not is_secret_header(name, value)
    }
    return replace(opened, extra_body=section.extra_body, headers=public)


def secret_headers(config: Config) -> list[str]:
    """Return what must be neither stored nor shown of all headers of a config.

    These are the values of headers that hold secrets or name environment variables, and their
    parts: of `Bearer KEY` also KEY.
    """
    sections = (config.evolver, config.responder, config.judge)
    headers = [item for section in sections for item in section.extra_headers.items()]
    values = [
        value for name, value in headers if is_secret_header(name, value) or references(value)
    ]
    known = [
        fill_references(value, {one: os.environ.get(one, "") for one in references(value)})
        for value in values
        if value != HIDDEN
    ]
    return list(
        dict.fromkeys(part for value in known for part in (value.strip(), *value.split()[-1:]))
    )


def _filled(name: str, value: str) -> str:
    """Replace the environment variables in a header's value; ConfigError if one is not set."""
    if value == HIDDEN:
        raise ConfigError(
            f"extra_headers.{name}: its value was not stored; write ${{NAME}} to take it from "
            "an environment variable"
        )
    for variable in references(value):
        if not os.environ.get(variable):
            raise ConfigError(
                f"extra_headers.{name}: the environment variable {variable} is not set; export it"
            )
    return fill_references(value, os.environ).strip()


def find_prices(config: Config, models: Iterable[OpenedModels]) -> dict[str, Price]:
    """Return prices by model name, in batches and not; an unknown one counts as free.

    Raises ConfigError for an unknown price if `budget.max_usd` is set.
    """
    prices: dict[str, Price] = {}
    for opened in models:
        price = price_of(opened.model, opened.engine.identity, config.prices)
        if price is None and config.budget.max_usd is not None:
            raise ConfigError(
                f"budget.max_usd: unknown price of model {opened.model!r}; add "
                f"prices.{opened.model} with input and output in dollars per million tokens"
            )
        prices[opened.model] = price or FREE
        prices[batch_name(opened.model)] = batch_price(price or FREE)
    return prices


def open_budget(config: Config, store: "RunStore | EvalStore", prices: dict[str, Price]) -> Budget:
    """Create the budget; earlier sessions of the store count towards its limits."""
    if n_killed := store.book_killed():
        print_note(
            f"{n_killed} requests at most were in flight when an earlier session was killed; they "
            "may have been billed, and count at their most"
        )
    spent = Spending()
    details = store.call_details_by_model()
    for model, (_, sent, received) in store.calls_by_model().items():
        counts = TokenCounts(sent, received, *details.get(model, ()))
        spent.add(Spending(sent + received, cost_of(prices.get(model, FREE), counts)))
    possible = Spending()
    for model, (_, sent, received) in store.possible_calls_by_model().items():
        cost = worst_cost(prices.get(model, FREE), sent, received)
        possible.add(Spending(sent + received, cost))
    spent.add(possible)
    budget = Budget(config.budget, spent, store)
    budget.possible.add(possible)
    return budget


def resume(
    stack: AsyncExitStack, create: Callable[[Path, C], S], database: Path, settings: C
) -> S | None:
    """Open the folder of a database, before models are loaded; None where there is none yet.

    A folder that another process uses, or that has other settings, is thus refused at once.
    """
    if not os.path.lexists(database):
        return None
    return stack.enter_context(create(database.parent, settings))


def note_replaced(store: S) -> S:
    """Print a note if a folder continues with other models; return it."""
    if store.replaced:
        keys = ", ".join(store.replaced)
        print_note(f"{store.folder}: no answer was accepted with the former {keys}; going on")
    return store


def note_exceeded(budget: Budget) -> None:
    """Say that answers have passed a limit, if they have."""
    if (limit := budget.exceeded()) is not None:
        print_note(f"warning: {limit}")


class ModelFactory:
    """Binds models to roles, behind the shared completion cache and the budget.

    The exit stack finishes the requests in flight into the cache, closes it, and then closes the
    models.
    """

    def __init__(
        self, config: Config, budget: Budget, prices: dict[str, Price], stack: AsyncExitStack
    ) -> None:
        self._cache = CompletionCache(batches.cache_path(config), budget.flush)
        stack.callback(budget.tries.end)
        stack.callback(self._cache.close)
        stack.push_async_exit(self._drain)
        self._grace_s = min(GRACE_S, config.traffic.timeout_s)
        self._budget = budget
        self._prices = prices
        self.checks = AnswerChecks(print_note)
        self._cached: dict[int, CachedEngine] = {}

    def role(self, opened: OpenedModels, sampling: Sampling, system: str) -> Role:
        """Bind a model to sampling parameters and a system message."""
        judged = EvidenceEngine(
            self._metered(opened.engine),
            has_answered=self._budget.spent.tokens > 0,
            asks_control=not isinstance(opened.engine, BatchEngine),
        )
        cached = self._cached.setdefault(id(opened.engine), CachedEngine(judged, self._cache))
        engine = CheckedEngine(cached, self.checks)
        extras = opened.extra_body, opened.headers
        return Role(engine, opened.model, sampling, system, *extras, billions=opened.billions)

    async def _drain(
        self, _kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Finish the requests in flight if the command fails; cancel them if it is interrupted."""
        is_interrupted = error is not None and not isinstance(error, Exception)
        engines = self._cached.values()
        n = sum(engine.n_in_flight for engine in engines)
        if n and not is_interrupted:
            print_note(
                f"finishing {n} requests in flight into the cache (up to {self._grace_s:g} s)"
            )
        grace_s = 0.0 if is_interrupted else self._grace_s
        await asyncio.gather(*(engine.drain(grace_s) for engine in engines))

    def _metered(self, engine: Engine) -> Engine:
        def metered(inner: Engine) -> Engine:
            return MeteredEngine(inner, self._budget, self._prices)

        is_batched = isinstance(engine, BatchEngine)
        return booked_in_batches(engine, self._budget, metered) if is_batched else metered(engine)


def bind_role(config: ModelConfig, opened: OpenedModels, factory: ModelFactory) -> Role:
    """Bind a model to the sampling parameters and system message of its config section."""
    sampling = Sampling(config.temperature, config.top_p, config.max_tokens)
    return factory.role(opened, sampling, config.system)


def asked_of(section: ModelConfig, spec: str | None, role: Role) -> dict[str, object]:
    """Return what requests of a role ask: the server, the model, and its parameters."""
    parameters = section.model_dump(mode="json", exclude={"model"})
    return {"spec": without_logins(spec or ""), "model": role.identity, **parameters}


def bind_roles(config: Config, opened: Models, factory: ModelFactory) -> RoleModels:
    """Bind the evolver, the responder and the judge, if there is one."""
    return RoleModels(
        bind_role(config.evolver, opened.evolver, factory),
        bind_role(config.responder, opened.responder, factory),
        bind_role(config.judge, opened.judge, factory) if opened.judge else None,
    )


def max_in_flight(config: Config, opened: Models) -> int:
    """Return the limit of records in flight: a quarter more than concurrent requests, plus one.

    With batches, as many as a round has, up to `batches.MAX_IN_FLIGHT`.
    """
    if any(isinstance(one.engine, BatchEngine) for one in opened.all()):
        target = config.budget.target
        return batches.MAX_IN_FLIGHT if target is None else min(batches.MAX_IN_FLIGHT, 2 * target)
    engine = opened.evolver.engine
    n_servers: int = getattr(engine, "n_servers", 1)
    n_requests = slots_of([engine]) or config.traffic.concurrency * n_servers
    return n_requests + n_requests // 4 + 1


async def open_model(spec: str, config: Config, section: ModelConfig | None = None) -> OpenedModels:
    """Open the model of a spec; raises ModelError for an unknown or unavailable one.

    It has the extras of `section`; default: the evolver's.
    """
    section = section or config.evolver
    return with_extras(await _open(spec, config, section), section)


async def _open(spec: str, config: Config, section: ModelConfig) -> OpenedModels:
    if spec in registry.KNOWN:
        known = registry.KNOWN[spec]
        path = registry.fetch(known, registry.cache_folder() / "models", Download(), print_line)
        return OpenedModels(_load(path, known.sha256, config), spec, billions=_billions_in(path))
    if spec.endswith(".gguf"):
        return _open_file(Path(spec), config)
    if spec.startswith(transformers_engine.PREFIX):
        return _open_folder(spec)
    if spec.startswith("scripted:"):
        return OpenedModels(scripted.from_file(Path(spec.removeprefix("scripted:"))), "scripted")
    opens = _open_replicas if spec.startswith(VLLM) else _open_servers
    return await opens(spec, config, section)


async def _open_servers(spec: str, config: Config, section: ModelConfig) -> OpenedModels:
    ring = KeyRing(config.servers, specs=[*model_specs(config), spec])
    hidden = secret_headers(config)
    redact.register_secrets([*ring.secrets(), *hidden])
    urls, model = _servers(spec, ring)
    is_anthropic = spec.startswith(("anthropic:", f"{ANTHROPIC}/"))
    headers = {name: _filled(name, value) for name, value in section.extra_headers.items()}
    keys = []
    for url in urls:
        key = ring.key_for(url, is_anthropic=is_anthropic)
        keys.append(replace(key, secrets=(*key.secrets, *hidden)))
        _need_key(spec, url, key, headers)
    url, key = urls[0], keys[0]
    if config.traffic.batch:
        if len(urls) > 1:
            raise ConfigError("traffic.batch: a batch is sent to one server; name one address")
        batched = await batches.open_engine(
            url, key, model, config, is_anthropic=is_anthropic, headers=headers
        )
        return OpenedModels(batched, model)
    servers = [
        OpenAIEngine(url, api_key=key, traffic=config.traffic, extra_headers=headers)
        for url, key in zip(urls, keys, strict=True)
    ]
    allow_connections(config.traffic.concurrency * len(servers))
    server = servers[0] if len(servers) == 1 else ServerPool(servers, config.traffic, print_note)
    try:
        if not is_anthropic:  # its list of models is no part of its OpenAI-compatible endpoint
            await server.probe(model)
    except BaseException:
        await server.aclose()
        raise
    batches.note_open(config, server.identity, model)
    return OpenedModels(server, model, billions=server.billions.get(model))


async def _open_replicas(spec: str, config: Config, section: ModelConfig) -> OpenedModels:
    """Start the servers of a model on the config's cluster."""
    model = spec.removeprefix(VLLM)
    if config.cluster.address is None or not model:
        raise ModelError(
            f"model {spec!r}: write it as vllm:ID, and name the cluster that serves it with "
            f"--cluster; for a server that runs already, write its URL as http://HOST/v1#NAME"
        )
    if config.traffic.batch:
        raise ConfigError("traffic.batch: a cluster's servers take no batches; leave out --batch")
    from evolcoder.app import cluster  # noqa: PLC0415 - rarely needed

    headers = {name: _filled(name, value) for name, value in section.extra_headers.items()}
    served = served_on_cluster(config, spec)

    def connect(url: str) -> OpenAIEngine:
        return OpenAIEngine(url, api_key=None, traffic=config.traffic, extra_headers=headers)

    engine = await cluster.open_replicas(model, config, connect, served)
    allow_connections(config.traffic.concurrency * engine.n_servers)
    return OpenedModels(engine, model)


def served_on_cluster(config: Config, *more: str) -> list[str]:
    """Return the ids of the models that a cluster serves: those of the config and of more specs.

    Raises ConfigError if `cluster` has a number for another model.
    """
    specs = dict.fromkeys(one for one in (*model_specs(config), *more) if one.startswith(VLLM))
    served = [one.removeprefix(VLLM) for one in specs]
    for key in ("replicas", "gpus_per_replica"):
        given = getattr(config.cluster, key)
        for model in given if isinstance(given, dict) else ():
            if model not in served:
                known = difflib.get_close_matches(model, served, n=1) or served
                hint = f"did you mean {known[0]}?" if known else "none has a model vllm:ID"
                raise ConfigError(f"cluster.{key}: no role has the model vllm:{model}; {hint}")
    return served


def model_specs(config: Config) -> list[str]:
    """Return the specs of all models in a config."""
    roles = (config.evolver, config.responder, config.judge)
    return [spec for spec in (*(role.model for role in roles), config.verify.tester) if spec]


def allow_connections(n: int) -> None:
    """Raise the descriptor limit for `n` connections, up to the system's hard limit.

    The shell's soft limit would otherwise cap the requests in flight.
    """
    raise_descriptor_limit(n + OTHER_DESCRIPTORS)


def _open_file(path: Path, config: Config) -> OpenedModels:
    path = Path(os.path.expanduser(path))  # noqa: PTH111 - pathlib's may raise
    engine = _load(path, registry.digest_of(path), config)
    return OpenedModels(engine, path.name, billions=_billions_in(path))


def _billions_in(path: Path) -> float | None:
    """Return the size of a GGUF file's model; None for a file that is one of several."""
    n = None if "-of-" in path.name else gguf_header.n_parameters(path)
    return n / 1e9 if n else None


def _open_folder(spec: str) -> OpenedModels:
    folder = _folder_of(spec)
    return OpenedModels(transformers_engine.TransformersEngine.load(folder), folder.name)


def _folder_of(spec: str) -> Path:
    name = spec.removeprefix(transformers_engine.PREFIX)
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib's may raise


def _load(path: Path, digest: str, config: Config) -> llamacpp.LlamaCppEngine:
    n_ctx = max(config.evolver.n_ctx, config.responder.n_ctx, config.judge.n_ctx)
    return llamacpp.LlamaCppEngine.load(path, digest, n_ctx=n_ctx, traffic=config.traffic)


def check_spec(spec: str) -> None:
    """Raise ModelError for a spec that can be seen to be wrong without opening it."""
    if spec in registry.KNOWN:
        return
    if spec.endswith(".gguf"):
        path = Path(os.path.expanduser(spec))  # noqa: PTH111 - pathlib's may raise
        if not path.is_file():
            raise ModelError(f"{spec}: cannot be read: no such file")
    elif spec.startswith(transformers_engine.PREFIX):
        if not _folder_of(spec).is_dir():
            raise ModelError(f"{spec}: no such folder")
    elif spec.startswith("scripted:"):
        scripted.from_file(Path(spec.removeprefix("scripted:")))
    elif not spec.startswith(VLLM):
        _servers(spec, KeyRing({}, specs=[spec]))


def _need_key(spec: str, url: str, key: Key, headers: Mapping[str, str]) -> None:
    """Raise ModelError if a provider that always wants a key would be asked without one."""
    wanted = {OPENAI: OPENAI_KEY, f"{ANTHROPIC}/v1": ANTHROPIC_KEY}.get(url)
    is_given = key.value.strip() or any(is_secret_header(*one) for one in headers.items())
    if wanted is None or is_given:
        return
    raise ModelError(
        f"{without_logins(spec)}: {wanted} is not set; export it, or name a server that needs no "
        f"key as http://HOST:PORT/v1#NAME"
    )


def _servers(spec: str, ring: KeyRing) -> tuple[list[str], str]:
    """Return the base URLs and the model name of a spec of servers."""
    if spec.startswith("openai:"):
        url, model = ring.openai_url, spec.removeprefix("openai:")
    elif spec.startswith("anthropic:"):
        url, model = ring.anthropic_url, spec.removeprefix("anthropic:")
    elif spec.startswith(("http://", "https://")):
        url, _, model = spec.partition("#")
    else:
        raise ModelError(f"unknown model {spec!r}{_hint(spec)}")
    if not model:
        shown, server = without_logins(spec), without_logins(url)
        raise ModelError(f"model {shown!r} names a server but no model; write {server}#NAME")
    urls = list(dict.fromkeys(server_urls(url)))
    if len({public_query(one) for one in urls}) > 1:
        raise ModelError(
            f"model {without_logins(spec)!r}: its servers have different parameters after `?`, so "
            f"their answers may differ; name servers of one kind"
        )
    return [ring.with_login(one) for one in urls], model


def _meant(spec: str) -> str:
    """Return the spec that was probably meant, or ''."""
    if close := difflib.get_close_matches(spec, registry.KNOWN, n=1):
        return close[0]
    provider, slash, name = spec.partition("/")
    if slash and name and provider in {"openai", "anthropic"}:
        return f"{provider}:{name}"
    if re.match(r"(gpt-|chatgpt-|o\d\b)", spec):
        return f"openai:{spec}"
    if spec.startswith("claude"):
        return f"anthropic:{spec}"
    if re.fullmatch(r"[\w.-]+:\d+", spec):
        return f"http://{spec}/v1#NAME"
    return f"{transformers_engine.PREFIX}{spec}" if _is_model_folder(spec) else ""


def _is_model_folder(spec: str) -> bool:
    return (Path(os.path.expanduser(spec)) / "config.json").is_file()  # noqa: PTH111 - pathlib's may raise


def _hint(spec: str) -> str:
    if meant := _meant(spec):
        return f"; did you mean {meant}?"
    return f"; write {SPEC_FORMS}; known names: {', '.join(registry.KNOWN)}"
