"""Where a server is and how to log in to it: the URL and key that a user gave, checked once.

Promises: `identity` and `repr` hold no credentials, and `redact` takes them out of any text, as
`masked` does where what else is in the text must stay as it is.

>>> Address.of("http://127.0.0.1:8000/v1/", api_key="sk-secret-key").identity
'http://127.0.0.1:8000/v1'

Which key goes to which server: a key goes to the host that it was given for, and no other.

Promises: OPENAI_API_KEY goes to OPENAI_BASE_URL alone (api.openai.com where that is not set), and
to URLs of the same origin; another server gets the key whose variable the config names for its
host in `servers`, or none. A login in a URL goes with that URL. Knows keys by their variables, so
that no config holds one.

>>> KeyRing({}, {"OPENAI_API_KEY": "sk-abcdefgh1234"}).key_for("http://127.0.0.1:8000/v1").value
''
"""

import base64
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from yarl import URL

from evolcoder.config.load import ServerConfig
from evolcoder.engine.redact import VARIABLES, Secrets, redactor
from evolcoder.errors import ConfigError, ModelError
from evolcoder.text import names_secret, without_logins

OPENAI = "https://api.openai.com/v1"
OPENAI_URL, OPENAI_KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
LOGINS = "EVOLCODER_LOGINS"
"""Variable by which a loop hands its config's URLs with a login on to its steps, as JSON."""
REJECTED, MISSING = "rejects the API key", "wants an API key"


@dataclass(frozen=True, slots=True)
class Key:
    """What one server gets to know us by."""

    value: str = field(repr=False)
    """The key; empty if it gets none."""
    variable: str = OPENAI_KEY
    """Where it comes from."""
    rejected: str = REJECTED
    """What it means that the server says no."""
    advice: str = f"set {OPENAI_KEY} to one that it takes"
    """And what to do then."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """All that is not to be repeated of what the server says: this key and the others in use."""


class KeyRing:
    """The keys of an environment, each for its servers."""

    def __init__(
        self,
        servers: Mapping[str, ServerConfig],
        environment: Mapping[str, str] | None = None,
        *,
        specs: Iterable[str] = (),
    ) -> None:
        """Take what the config says of servers, and the specs of all models that are asked."""
        self._specs = tuple(specs)
        self._servers = {_host_of(f"//{name}"): (name, one) for name, one in servers.items()}
        self._environment = os.environ if environment is None else environment

    @property
    def openai_url(self) -> str:
        """Where `openai:NAME` is asked."""
        return self._environment.get(OPENAI_URL) or OPENAI

    def key_for(self, url: str) -> Key:
        """Return the key of a server; ConfigError where the one that is named is not set."""
        secrets = tuple(self.secrets(url))
        host, port = _host_of(url)
        for place in ((host, port), (host, None)):
            if place in self._servers:
                return self._named(*self._servers[place], secrets)
        given = self._get(OPENAI_KEY)
        if _origin(url) == _origin(self.openai_url):
            return Key(given, rejected=REJECTED if given else MISSING, secrets=secrets)
        shown = f'"{host}:{port}"' if ":" not in host else f'"[{host}]:{port}"'
        advice = (
            f"name the variable that holds this server's key with "
            f"--set 'servers={{{shown}: {{key_variable: NAME}}}}'"
        )
        if given:
            theirs = without_logins(self.openai_url)
            advice += f" ({OPENAI_KEY}, which is set, goes to {theirs} alone)"
        return Key("", rejected=MISSING, advice=advice, secrets=secrets)

    def secrets(self, *urls: str) -> list[str]:
        """Return all that may not be shown: keys, tokens, and the logins of all URLs."""
        names = [*VARIABLES, *(one.key_variable for _, one in self._servers.values())]
        logins = [*urls, *self._specs, self.openai_url, *self._handed_on().values()]
        found = [*map(self._get, names), *(part for url in logins for part in login_of(url))]
        return list(dict.fromkeys(filter(None, found)))

    def with_login(self, url: str) -> str:
        """Return a URL with the login that this process was handed for it, if there is one."""
        return self._handed_on().get(url, url)

    def _named(self, name: str, server: ServerConfig, secrets: tuple[str, ...]) -> Key:
        where, variable = f"servers.{name}.key_variable", server.key_variable
        if not self._get(variable):
            raise ConfigError(f"{where}: the variable that it names is not set; export it")
        advice = f"set the variable that {where} names to one that it takes"
        return Key(self._get(variable), variable, advice=advice, secrets=secrets)

    def _get(self, variable: str) -> str:
        return self._environment.get(variable, "").strip()

    def _handed_on(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._environment.get(LOGINS) or "{}")
        return found


def handed_on(specs: Iterable[str]) -> str:
    """Write the URLs of these specs that hold a login for `LOGINS`; empty if none does."""
    urls = [spec.partition("#")[0] for spec in specs if spec.startswith(("http://", "https://"))]
    found = {bare: url for url in urls if (bare := without_logins(url)) != url}
    return json.dumps(found) if found else ""


def login_of(url: str) -> list[str]:
    """Return what of a URL is a secret: its password, or its user where that stands alone."""
    try:
        parsed = URL(url.partition("#")[0].strip())
    except ValueError:
        return []
    password, raw = parsed.password, parsed.raw_password
    if not password:
        password, raw = parsed.user, parsed.raw_user
    queried = [value for name, value in parsed.query.items() if names_secret(name)]
    return [part for part in (password, raw, *queried) if part]


def _host_of(url: str) -> tuple[str, int | None]:
    """Return a URL's host and port, as they are compared."""
    try:
        parsed = URL(url.strip())
        return (parsed.raw_host or "").lower().rstrip("."), parsed.port
    except ValueError:
        return "", None


def _origin(url: str) -> tuple[str, str, int | None]:
    host, port = _host_of(url)
    return url.strip().partition(":")[0].lower(), host, port


_LOGIN_REJECTED = ("rejects the login in its URL", "put in one that it takes")


@dataclass(frozen=True, slots=True)
class Endpoint:
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
