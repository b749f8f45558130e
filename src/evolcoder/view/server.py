"""Serves the viewer on a port of the loopback address, until it is cancelled.

>>> with listening(0) as socket:   # doctest: +SKIP
...     await serve(app, socket, token)
"""

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from evolcoder.errors import ConfigError
from evolcoder.view.guard import Guard
from evolcoder.view.pages import INSTALL

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HOST = "127.0.0.1"


def new_token() -> str:
    """Return a token that cannot be guessed: 256 random bits."""
    return secrets.token_urlsafe(32)


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Open a port of the loopback address, 0 for any; ConfigError if it is not free."""
    try:
        opened = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"--port {port}: cannot be opened: {why}; use another one") from error
    with opened:
        yield opened


async def serve(app: "ASGIApp", opened: socket.socket, token: str) -> None:
    """Answer requests until cancelled; ConfigError if uvicorn is missing.

    Requests are not logged: the first address holds the token.
    """
    try:
        import uvicorn  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ConfigError(f"the viewer needs uvicorn, which is not installed; {INSTALL}") from error

    class Server(uvicorn.Server):
        """Leaves signals to the command line."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    guarded = Guard(app, token=token, port=opened.getsockname()[1])
    config = uvicorn.Config(
        guarded, log_config=None, log_level="error", access_log=False, server_header=False,
        lifespan="off", ws="none", http="h11",
    )  # fmt: skip
    await Server(config).serve([opened])
