"""Reports requests that were sent and not answered, which the provider may bill.

An engine calls `watched` around each try of a request, and `renew` before the next try. Whoever
pays for the request (`MeteredEngine`) listens with `listening`; without a listener nothing happens.
The listener is found through the context, so that engines need not know of budgets.
"""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

from evolcoder.engine.retry import RequestFault

T = TypeVar("T")


class Listener(Protocol):
    """Pays for the tries of one request."""

    def try_unanswered(self) -> None:
        """Book one try as possibly billed."""
        ...

    async def renew(self) -> None:
        """Reserve the cost of another try; may wait, or raise BudgetReached."""
        ...


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report the unanswered tries of this block to a listener."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


async def watched(attempt: Awaitable[T | RequestFault]) -> T | RequestFault:
    """Await one try; report it if it was sent and has no answer, or is cancelled."""
    listener = _listener.get()
    try:
        outcome = await attempt
    except BaseException:
        if listener is not None:
            listener.try_unanswered()
        raise
    if listener is not None and isinstance(outcome, RequestFault) and outcome.possibly_billed:
        listener.try_unanswered()
    return outcome


async def renew() -> None:
    """Reserve the cost of another try."""
    if (listener := _listener.get()) is not None:
        await listener.renew()
