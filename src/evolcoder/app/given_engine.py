"""Runs an engine of the caller's own, and turns its mistakes into errors of this package.

An exception of its code is an `EngineError` with the exception's text, so that the run stops if
every request raises it. A result that is no completion is a `ModelError`. Other attributes of the
engine are passed on.

>>> GivenEngine(mine).identity == mine.identity   # doctest: +SKIP
True
"""

import inspect
from typing import Any

from evolcoder.engine.base import Completion, Engine, Request, key_identity
from evolcoder.errors import EngineError, EvolcoderError, ModelError
from evolcoder.text import one_line

MAX_ERROR_CHARS = 300
"""Longest text of an exception that is shown."""


class GivenEngine:
    """An engine whose code is not ours."""

    def __init__(self, inner: Engine) -> None:
        self.identity = inner.identity
        self.key_identity = key_identity(inner)
        self._inner = inner
        self._name = type(inner).__name__

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the engine has
        return getattr(self._inner, name)

    async def complete(self, request: Request) -> Completion:
        """Answer one request; raises EngineError or ModelError."""
        try:
            asked = self._inner.complete(request)
            completion: object = await asked if inspect.isawaitable(asked) else None
        except EvolcoderError:
            raise
        except Exception as error:
            text = one_line(f"{type(error).__name__}: {error}", MAX_ERROR_CHARS)
            raise EngineError(
                f"{self._name}.complete raised {text}",
                asked=f"{request.model} of {self.identity}",
                retryable=True,
            ) from error
        if not inspect.isawaitable(asked):
            raise ModelError(f"{self._name}.complete is not asynchronous; write `async def`")
        if not isinstance(completion, Completion) or not isinstance(completion.text, str):
            got = type(completion).__name__
            got = "a Completion without text" if got == "Completion" else f"a {got}"
            raise ModelError(f"{self._name}.complete returned {got}; return a Completion with text")
        return completion

    async def aclose(self) -> None:
        """Close the engine."""
        await self._inner.aclose()
