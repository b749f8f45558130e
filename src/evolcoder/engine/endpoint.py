"""Server URLs and API keys: validation, credentials, and which key goes to which server.

OPENAI_API_KEY is sent only to the origin of OPENAI_BASE_URL (default: api.openai.com), and
ANTHROPIC_API_KEY to that of ANTHROPIC_BASE_URL (default: api.anthropic.com). Any other server gets
the key from the variable that `servers` in the config names for its host, or none. Credentials in a
URL are sent to that URL. The config names variables and never contains keys.

`Endpoint.identity` and `repr` contain no credentials. `redact` removes credentials and masked forms
of them from a text; `masked` removes exact and encoded forms and leaves all other text unchanged.

>>> Endpoint.of("http://127.0.0.1:8000/v1/", api_key="sk-secret-key").identity
'http://127.0.0.1:8000/v1'
>>> KeyRing({}, {"OPENAI_API_KEY": "sk-abcdefgh1234"}).key_for("http://127.0.0.1:8000/v1").value
''
"""

import base64
import ipaddress
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from yarl import URL

from evolcoder.config.load import ServerConfig
from evolcoder.credentials import (
    is_secret_header,
    names_secret,
    public_query,
    server_urls,
    without_logins,
)
from evolcoder.engine.redact import VARIABLES, Secrets, redactor
from evolcoder.errors import ConfigError, ModelError

OPENAI = "https://api.openai.com/v1"
OPENAI_URL, OPENAI_KEY = "OPENAI_BASE_URL", "OPENAI_API_KEY"
ANTHROPIC = "https://api.anthropic.com"
ANTHROPIC_URL, ANTHROPIC_KEY = "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"
LOGINS = "EVOLCODER_LOGINS"
"""Environment variable with which a loop passes URLs with credentials to its steps, as JSON."""
REJECTED, MISSING = "rejects the API key", "requires an API key"
_LOGIN_REJECTED = ("rejects the credentials in its URL", "put valid ones into the URL")


@dataclass(frozen=True, slots=True)
class Key:
    """The API key for one server."""

    value: str = field(repr=False)
    """The key; empty if none is sent."""
    variable: str = OPENAI_KEY
    """Environment variable that it comes from."""
    rejected: str = REJECTED
    """What a rejected request means, for error messages."""
    advice: str = f"set {OPENAI_KEY} to a valid key"
    """What the user should do then."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Secrets to remove from the server's messages: this key and all others in use."""


class KeyRing:
    """The API keys of an environment, by server."""

    def __init__(
        self,
        servers: Mapping[str, ServerConfig],
        environment: Mapping[str, str] | None = None,
        *,
        specs: Iterable[str] = (),
    ) -> None:
        """Take the `servers` section and the specs of all models in use."""
        self._specs = tuple(url for spec in specs for url in server_urls(spec.partition("#")[0]))
        self._servers = {_host_of(f"//{name}"): (name, one) for name, one in servers.items()}
        self._environment = os.environ if environment is None else environment

    @property
    def openai_url(self) -> str:
        """Base URL of `openai:NAME` models."""
        return self._environment.get(OPENAI_URL) or OPENAI

    @property
    def anthropic_url(self) -> str:
        """Base URL of `anthropic:NAME` models; the variable has it without `/v1`."""
        given = (self._environment.get(ANTHROPIC_URL) or ANTHROPIC).rstrip("/")
        return given if given.endswith("/v1") else f"{given}/v1"

    def key_for(self, url: str, *, is_anthropic: bool = False) -> Key:
        """Return the key for a server; ConfigError if its configured variable is not set.

        `is_anthropic` chooses between keys if one proxy has both providers' APIs.
        """
        secrets = tuple(self.secrets(url))
        host, port = _host_of(url)
        for place in ((host, port), (host, None)):
            if place in self._servers:
                return self._configured_key(*self._servers[place], secrets)
        given = self._get(OPENAI_KEY)
        is_openai = _origin(url) == _origin(self.openai_url)
        if _origin(url) == _origin(self.anthropic_url) and (is_anthropic or not is_openai):
            key, advice = self._get(ANTHROPIC_KEY), f"set {ANTHROPIC_KEY} to a valid key"
            return Key(key, ANTHROPIC_KEY, REJECTED if key else MISSING, advice, secrets)
        if is_openai:
            return Key(given, rejected=REJECTED if given else MISSING, secrets=secrets)
        shown = f'"{host}:{port}"' if ":" not in host else f'"[{host}]:{port}"'
        advice = (
            f"name the variable with this server's key with "
            f"--set 'servers={{{shown}: {{key_variable: NAME}}}}'"
        )
        if given:
            theirs = without_logins(self.openai_url)
            advice += f" ({OPENAI_KEY} is set but is only sent to {theirs})"
        return Key("", rejected=MISSING, advice=advice, secrets=secrets)

    def secrets(self, *urls: str) -> list[str]:
        """Return all secrets: keys, tokens, and the credentials in all URLs."""
        names = [*VARIABLES, *(one.key_variable for _, one in self._servers.values())]
        ours = (self.openai_url, self.anthropic_url)
        logins = [*urls, *self._specs, *ours, *self._inherited_logins().values()]
        found = [
            *map(self._get, names),
            *(part for url in logins for part in credentials_in_url(url)),
        ]
        return list(dict.fromkeys(filter(None, found)))

    def with_login(self, url: str) -> str:
        """Return the URL with the credentials that the parent process passed for it, if any."""
        return self._inherited_logins().get(url, url)

    def _configured_key(self, name: str, server: ServerConfig, secrets: tuple[str, ...]) -> Key:
        where, variable = f"servers.{name}.key_variable", server.key_variable
        if not self._get(variable):
            raise ConfigError(f"{where}: the environment variable is not set; export it")
        advice = f"set the variable named by {where} to a valid key"
        return Key(self._get(variable), variable, advice=advice, secrets=secrets)

    def _get(self, variable: str) -> str:
        return self._environment.get(variable, "").strip()

    def _inherited_logins(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._environment.get(LOGINS) or "{}")
        return found


def logins_as_json(specs: Iterable[str]) -> str:
    """Serialise the URLs with credentials in these specs for `LOGINS`; empty if none."""
    urls = [
        url
        for spec in specs
        if spec.startswith(("http://", "https://"))
        for url in server_urls(spec.partition("#")[0])
    ]
    found = {bare: url for url in urls if (bare := without_logins(url)) != url}
    return json.dumps(found) if found else ""


def credentials_in_url(url: str) -> list[str]:
    """Return the secrets in a URL: password (or a user name on its own), and query keys."""
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
    """Return host and port, normalised for comparison."""
    try:
        parsed = URL(url.strip())
        return (parsed.raw_host or "").lower().rstrip("."), parsed.port
    except ValueError:
        return "", None


def _origin(url: str) -> tuple[str, str, int | None]:
    host, port = _host_of(url)
    return url.strip().partition(":")[0].lower(), host, port


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A validated OpenAI-compatible server."""

    identity: str
    """Base URL without credentials, query and trailing slash."""
    query: str
    """Query of the URL without credentials."""
    chat_url: URL = field(repr=False)
    """URL for chat completions."""
    raw_url: URL = field(repr=False)
    """URL for text completions."""
    models_url: URL = field(repr=False)
    """URL of the model list."""
    headers: dict[str, str] = field(repr=False)
    """Sent with every request."""
    redact: Callable[[str], str] = field(repr=False)
    """Removes credentials, and masked forms of them, from a text to be shown."""
    masked: Callable[[str], str] = field(repr=False)
    """Removes credentials from an answer and leaves the rest unchanged."""
    rejected: tuple[str, str]
    """What a rejected request means, and what to do."""

    @classmethod
    def of(
        cls,
        base_url: str,
        *,
        api_key: Key | str | None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Validate a URL and a key.

        Credentials in the URL take precedence over the key, and extra headers over both.
        """
        url = _validate_url(base_url)
        given = api_key if isinstance(api_key, Key) else Key(api_key or "")
        key = _validate_key(given)
        base = url.with_user(None).with_path(url.path.rstrip("/"))
        login = base64.b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
        headers = {"Content-Type": "application/json"}
        if url.user:
            headers["Authorization"] = f"Basic {login}"
        elif key:
            headers["Authorization"] = f"Bearer {key}"
        extra = {_canonical(name): value for name, value in (extra_headers or {}).items()}
        headers |= extra
        hidden = [value for name, value in extra.items() if is_secret_header(name, value)]
        secrets = [
            key,
            *hidden,
            *credentials_in_url(base_url),
            login if url.user else "",
            *given.secrets,
        ]
        return cls(
            str(base),
            public_query(base_url),
            (base / "chat" / "completions").with_query(url.query),
            (base / "completions").with_query(url.query),
            (base / "models").with_query(url.query),
            headers,
            redactor([*secrets, *url.query.values()]),
            Secrets(secrets).masked,
            _LOGIN_REJECTED if url.user else (given.rejected, given.advice),
        )


def _validate_url(base_url: str) -> URL:
    url = _parsed(base_url.strip())
    if url is not None:
        url = url.with_path(url.path.rstrip("/").removesuffix("/chat/completions"), keep_query=True)
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        shown = base_url.rpartition("@")[2] or "an empty URL"
        raise ModelError(f"{shown}: not a server URL; write it as http://HOST:PORT/v1")
    return url


def _parsed(base_url: str) -> URL | None:
    try:
        return URL(base_url)
    except ValueError:
        # Not chained: the message may contain a password with a slash, parsed as a port.
        return None


def _canonical(header: str) -> str:
    """Write a header's name as ours are written, so that it replaces one of ours."""
    return "-".join(part.capitalize() for part in header.split("-"))


def _validate_key(given: Key) -> str:
    """Strip white space left by a shell or file; reject characters not allowed in a header."""
    key = given.value.strip()
    if not (key.isascii() and key.isprintable()):
        raise ModelError(f"{given.variable} contains characters not allowed in a key; set it again")
    if key[:1] in {"'", '"'} or key.lower().startswith("bearer "):
        what = "begins with a quotation mark or the word Bearer"
        raise ModelError(f"{given.variable} {what}; set it to the key alone")
    return key


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
