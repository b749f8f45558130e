"""An engine whose answers have a finish reason of the test's choice."""

from dataclasses import dataclass, replace

from evolcoder.engine.base import Completion, Engine, Request, Role


@dataclass
class Finishing:
    """Answers as another engine, with another finish reason."""

    inner: Engine
    word: str
    identity: str = "finishing"

    async def complete(self, request: Request) -> Completion:
        return replace(await self.inner.complete(request), finish=self.word)

    async def aclose(self) -> None:
        await self.inner.aclose()


def finishing(role: Role, word: str) -> Role:
    """Return a role whose answers all have this finish reason."""
    return replace(role, engine=Finishing(role.engine, word))
