"""Where a server is and how to log in to it: the URL and key that a user gave, checked once.

Promises: `identity` and `repr` hold no credentials, and `redact` takes them out of any text, as
`masked` does where what else is in the text must stay as it is.

>>> Address.of("http://127.0.0.1:8000/v1/", api_key="sk-secret-key").identity
'http://127.0.0.1:8000/v1'
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from yarl import URL

from evolcoder.engine.keys import Key, login_of
from evolcoder.engine.redact import Secrets, redactor
from evolcoder.errors import ModelError

_LOGIN_REJECTED = ("rejects the login in its URL", "put in one that it takes")


@dataclass(frozen=True, slots=True)
class Address:
    """One server of the OpenAI kind."""

    identity: str
    """The base URL without login, query and trailing slash."""
    chat_url: URL = field(repr=False)
    """Where answers to chats are asked for."""
    raw_url: URL = field(repr=False)
    """Where continuations of a text are asked for."""
    models_url: URL = field(repr=False)
    """Where the server lists its models."""
    headers: dict[str, str] = field(repr=False)
    """Sent with every request."""
    redact: Callable[[str], str] = field(repr=False)
    """Takes the credentials, and masked forms of them, out of a text to be shown."""
    masked: Callable[[str], str] = field(repr=False)
    """Takes the credentials out of an answer, and leaves the rest of it alone."""
    rejected: tuple[str, str]
    """What it means that the server takes no request of ours, and what to do."""

    @classmethod
    def of(cls, base_url: str, *, api_key: Key | str | None) -> Self:
        """Check a URL and a key; a login in the URL goes before the key."""
        url = _checked_url(base_url)
        given = api_key if isinstance(api_key, Key) else Key(api_key or "")
        key = _checked_key(given)
        base = url.with_user(None).with_path(url.path.rstrip("/"))
        login = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
        headers = {"Content-Type": "application/json"}
        if url.user:
            headers["Authorization"] = f"Basic {login}"
        elif key:
            headers["Authorization"] = f"Bearer {key}"
        secrets = [key, *login_of(base_url), login if url.user else "", *given.secrets]
        return cls(
            str(base),
            (base / "chat" / "completions").with_query(url.query),
            (base / "completions").with_query(url.query),
            (base / "models").with_query(url.query),
            headers,
            redactor([*secrets, *url.query.values()]),
            Secrets(secrets).masked,
            _LOGIN_REJECTED if url.user else (given.rejected, given.advice),
        )


def _checked_url(base_url: str) -> URL:
    url = _parsed(base_url.strip())
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        shown = base_url.rpartition("@")[2] or "an empty URL"
        raise ModelError(f"{shown}: not the URL of a server; write it as http://HOST:PORT/v1")
    return url


def _parsed(base_url: str) -> URL | None:
    try:
        return URL(base_url)
    except ValueError:
        # Not chained: its words may hold a password with a slash in it, taken for a port.
        return None


def _checked_key(given: Key) -> str:
    """Strip what a shell or a file left around a key, and refuse what no header takes."""
    key = given.value.strip()
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"{given.variable} holds a character that no key has; set it again")
    return key
