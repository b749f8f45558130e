"""Which key goes to which server: a key goes to the host that it was given for, and no other.

Promises: OPENAI_API_KEY goes to OPENAI_BASE_URL alone (api.openai.com where that is not set), and
to URLs of the same origin; another server gets the key whose variable the config names for its
host in `servers`, or none. A login in a URL goes with that URL. Knows keys by their variables, so
that no config holds one.

>>> KeyRing({}, {"OPENAI_API_KEY": "sk-abcdefgh1234"}).key_for("http://127.0.0.1:8000/v1").value
''
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from yarl import URL

from evolcoder.config.load import ServerConfig
from evolcoder.engine.redact import VARIABLES
from evolcoder.errors import ConfigError
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
