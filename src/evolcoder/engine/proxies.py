"""Finds the HTTP proxy for a server in the environment.

HTTPS_PROXY or HTTP_PROXY, by the scheme of the server's URL, unless NO_PROXY lists its host (names,
domains, `host:port`, addresses, networks such as 10.0.0.0/8, or *). Lower-case names take
precedence. A server on loopback is asked through a proxy only if that is on loopback too: no other
machine's proxy reaches it. SOCKS and ALL_PROXY are not supported.

>>> proxy_for(URL("https://api.example/v1"))     # doctest: +SKIP
Proxy(shown='http://proxy.example:3128', variable='HTTPS_PROXY')
"""

import ipaddress
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

from evolcoder.errors import ModelError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment names for a server."""

    url: URL = field(repr=False)
    """Its URL, with the credentials that it has."""
    shown: str
    """Its URL without credentials, for messages."""
    variable: str
    """The environment variable that names it."""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"the proxy {self.shown} (from {self.variable})"


def proxy_for(url: URL) -> Proxy | None:
    """Return the proxy for a server; ModelError if the environment names none that can be used."""
    found: Mapping[str, str] = urllib.request.getproxies_environment()
    given = found.get(url.scheme, "").strip()
    if not given or _is_exempt(url, found.get("no", "")):
        return None
    variable = f"{url.scheme.upper()}_PROXY"
    proxy = _parsed(given, variable)
    if is_loopback(url.host or "") and not is_loopback(proxy.url.host or ""):
        return None
    return proxy


def _parsed(given: str, variable: str) -> Proxy:
    text = given if "://" in given else f"http://{given}"
    scheme, _, rest = text.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}".rstrip("/")  # a password may contain slashes
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and bool(url.host)
        f"{url.user}{url.password}".encode("latin-1")
    except UnicodeEncodeError:
        # Not chained, nor the next: the messages contain the password.
        raise ModelError(f"{variable}: the credentials in {shown} are not Latin-1") from None
    except ValueError:
        usable = False
    if not usable:
        raise ModelError(f"{variable}: {shown} is not an HTTP proxy; write http://HOST:PORT")
    return Proxy(url, shown, variable)


def _is_exempt(url: URL, no_proxy: str) -> bool:
    """Whether NO_PROXY lists the server."""
    host = (url.host or "").lower().rstrip(".")
    listed = (name.strip().lower() for name in no_proxy.split(","))
    return any(_matches(name, host, url.port) for name in listed if name)


def _matches(name: str, host: str, port: int | None) -> bool:
    if name == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name.strip("[]"), strict=False)
    except ValueError:
        domain = name.removeprefix("*").lstrip(".").removesuffix(f":{port}").strip("[]")
        return host == domain or host.endswith(f".{domain}")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
