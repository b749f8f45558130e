"""The objects of the public API that stay open: a model to complete prompts, and a sandbox.

>>> async with ec.Sandbox() as sandbox:   # doctest: +SKIP
...     print((await sandbox.run("print(1)")).stdout)
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

from evolcoder.app.arguments import checked
from evolcoder.config import load as configs
from evolcoder.engine.base import Completion, Engine, Message, Role, Sampling
from evolcoder.engine.evidence import EvidenceEngine
from evolcoder.errors import UserError
from evolcoder.sandbox.base import Execution, LevelName, Limits, Program, Script

if TYPE_CHECKING:
    from evolcoder.sandbox.pool import PoolSandbox


class Model:
    """An open model."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        extra_body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.engine = engine
        """The engine."""
        self.name = name
        """The model's name on the engine."""
        self._judged = EvidenceEngine(engine)
        self._extras = (extra_body or {}, headers or {})

    async def complete(
        self,
        prompt: str | Sequence[Message],
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        seed: int = 0,
    ) -> Completion:
        """Complete a prompt or a list of chat messages; raises EngineError or ModelError."""
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        sampling = Sampling(temperature, top_p, max_tokens)
        role = Role(self._judged, self.name, sampling, "", *self._extras)
        return await role.ask(messages, seed=seed)


@asynccontextmanager
async def open_model(
    spec: str, *, settings: Mapping[str, object] | None = None
) -> AsyncIterator[Model]:
    """Open a model for the duration of an `async with` block.

    `settings` sets config keys, such as `evolver.extra_body` and `evolver.extra_headers` of its
    requests. Raises ModelError if it is unavailable.

    >>> async with ec.open_model("http://localhost:8000/v1#qwen") as model:   # doctest: +SKIP
    ...     print((await model.complete("Write a haiku.")).text)
    """
    from evolcoder.app import models

    opened = await models.open_model(spec, configs.load_values(settings or {}))
    try:
        yield Model(opened.engine, opened.model, opened.extra_body, opened.headers)
    finally:
        await opened.engine.aclose()


class Sandbox:
    r"""A sandbox for untrusted programs, open for the duration of an `async with` block.

    `level` is the minimum isolation; entering raises SandboxRefusedError if this machine does not
    support it. `languages` are the programs' languages besides Python. `workers` is the number of
    concurrent programs; `limits` are the default resource limits of a program.

    >>> async with ec.Sandbox() as sandbox:   # doctest: +SKIP
    ...     print((await sandbox.run("print(1)")).stdout)
    b'1\n'
    """

    def __init__(
        self,
        *,
        level: LevelName = "strict",
        languages: Sequence[str] = (),
        workers: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._level = level
        self._languages = [name for name in languages if name != "python"]
        self._workers = workers
        self._limits = limits or Limits()
        self._pool: PoolSandbox | None = None

    async def __aenter__(self) -> Self:
        from evolcoder.sandbox.pool import PoolSandbox

        self._pool = await PoolSandbox.start(
            workers=self._workers, level=self._level, languages=self._languages
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Active isolation layers."""
        return tuple(map(str, self._opened().layers))

    @checked
    async def run(
        self,
        source: str,
        *,
        language: str = "python",
        stdin: bytes = b"",
        limits: Limits | None = None,
    ) -> Execution:
        """Run a program; its failures are in the result, the sandbox's raise SandboxError.

        Raises ConfigError for arguments of wrong types, UserError if the sandbox is not open.
        """
        program = Program(language, source, Script(stdin))
        return await self._opened().run(program, limits or self._limits)

    def _opened(self) -> "PoolSandbox":
        if self._pool is None:
            raise UserError("the sandbox is not open; use it in `async with Sandbox() as sandbox:`")
        return self._pool
