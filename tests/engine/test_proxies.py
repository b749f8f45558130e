"""Proxies of the environment: which one is asked, what it sees, and what its errors say."""

import asyncio
import base64
import contextlib
from urllib.parse import quote

import pytest
from yarl import URL

from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.http_client import proxy_for
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import EvolcoderError, ModelError
from loopback import Loopback

KEY = "sk-proj-Zq81vTmuH4xW90aBcDeF"
PASSWORD = "hunter2/hunter2"
HOST = "model.example"
ASK = Request("toy", (Message("user", "a secret prompt"),), Sampling(1.0, 0.9, 50), 7)
NAMES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Proxy:
    """A forward proxy on loopback that knows one host, whatever it is called."""

    def __init__(self, server, *, refuses=None):
        self.server, self.refuses = server, refuses
        self.heads = []
        self.received = b""
        self._tasks = []

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.append(asyncio.current_task())
        ends = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        async with closing(writer):
            with contextlib.suppress(*ends):
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head.decode())
                self.received += head
                if self.refuses:
                    writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.refuses)
                else:
                    await self._forward(head, reader, writer)

    async def _forward(self, head, reader, writer):
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        async with closing(to_writer):
            if head.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                method, target, rest = head.split(b" ", 2)
                path = URL(target.decode()).raw_path_qs.encode()
                to_writer.write(b" ".join([method, path, rest]))
            await asyncio.gather(self._copy(reader, to_writer), self._copy(to_reader, writer))

    async def _copy(self, reader, writer):
        while part := await reader.read(65536):
            self.received += part
            writer.write(part)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def closing(writer):
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
def https(tls, certificate, monkeypatch):
    """A server for https://model.example whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return Loopback(tls=tls)


async def ask_through(proxy, monkeypatch, *, scheme="http", login=""):
    """Complete a request to model.example through the proxy, twice; return answer or error."""
    at = proxy.url.replace("http://", f"http://{login}")
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", at)
    traffic = TrafficConfig(max_tries=1, max_retry_s=0.2)
    url = f"{scheme}://{HOST}:{proxy.server.port}/v1"
    engine = OpenAIEngine(url, api_key=KEY, traffic=traffic, backoff_s=0.01)
    try:
        await engine.complete(ASK)
        return (await engine.complete(ASK)).text
    except EvolcoderError as error:
        return error
    finally:
        await engine.aclose()


async def test_http_goes_through_http_proxy(monkeypatch):
    """The proxy resolves the name; the server gets the key, and connections are used again."""
    async with Loopback() as server, Proxy(server) as proxy:
        said = await ask_through(proxy, monkeypatch)
    assert said == "You said: a secret prompt"
    assert [head.split()[:2] for head in proxy.heads] == [
        ["POST", f"http://{HOST}:{server.port}/v1/chat/completions"]
    ]
    assert [call.headers["authorization"] for call in server.calls] == [f"Bearer {KEY}"] * 2
    assert server.calls[0].headers["host"] == f"{HOST}:{server.port}"


async def test_https_goes_through_a_tunnel_that_shows_neither_key_nor_prompt(https, monkeypatch):
    """HTTPS_PROXY gets a CONNECT; the certificate is verified against the server's name."""
    async with https as server, Proxy(server) as proxy:
        said = await ask_through(proxy, monkeypatch, scheme="https")
    assert said == "You said: a secret prompt"
    assert [head.split()[:2] for head in proxy.heads] == [["CONNECT", f"{HOST}:{server.port}"]]
    assert [call.headers["authorization"] for call in server.calls] == [f"Bearer {KEY}"] * 2
    assert all(part not in proxy.received for part in (KEY.encode(), b"prompt", b"Bearer"))


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_credentials_of_a_proxy_go_to_the_proxy_alone(scheme, https, monkeypatch):
    """As Proxy-Authorization; the server gets its own key."""
    login = f"me:{quote(PASSWORD, safe='')}@"
    async with https if scheme == "https" else Loopback() as server, Proxy(server) as proxy:
        await ask_through(proxy, monkeypatch, scheme=scheme, login=login)
    expected = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert f"Proxy-Authorization: Basic {expected}" in proxy.heads[0]
    assert [call.headers["authorization"] for call in server.calls] == [f"Bearer {KEY}"] * 2
    if scheme == "https":
        assert "proxy-authorization" not in server.calls[0].headers


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_netrc_gives_a_proxy_nothing(scheme, https, tmp_path, monkeypatch):
    """Neither the proxy's host nor the server's is looked up there."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with https if scheme == "https" else Loopback() as server, Proxy(server) as proxy:
        assert await ask_through(proxy, monkeypatch, scheme=scheme) == "You said: a secret prompt"
    assert "proxy-authorization" not in proxy.received.decode("latin-1").lower()
    assert [call.headers["authorization"] for call in server.calls] == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_rejects_the_credentials_ends_the_run(scheme, https, monkeypatch):
    """One attempt, and a line that names the variable and not the password."""
    async with https if scheme == "https" else Loopback() as server:
        async with Proxy(server, refuses=407) as proxy:
            login = f"me:{quote(PASSWORD, safe='')}@"
            error = await ask_through(proxy, monkeypatch, scheme=scheme, login=login)
    assert isinstance(error, ModelError)
    variable = f"{scheme.upper()}_PROXY"
    assert f"the proxy {proxy.url} (from {variable}), which rejects its credentials" in str(error)
    assert f"correct {variable}" in str(error)
    assert "hunter2" not in str(error)
    assert (len(proxy.heads), server.calls) == (1, [])


@pytest.mark.parametrize(
    ("code", "is_final"), [(403, True), (405, True), (429, False), (502, False)]
)
async def test_a_tunnel_that_is_refused_is_the_set_up_or_a_moment(
    code, is_final, https, monkeypatch
):
    """A policy is not waited for; an overloaded proxy is."""
    async with https as server, Proxy(server, refuses=code) as proxy:
        error = await ask_through(proxy, monkeypatch, scheme="https")
    assert isinstance(error, ModelError) == is_final
    assert f"the proxy {proxy.url} (from HTTPS_PROXY)" in str(error)
    assert f"HTTP {code}" in str(error)
    assert is_final or error.retryable
    assert server.calls == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_down_is_named(scheme, monkeypatch):
    """The message says that it is not the server that cannot be reached."""
    async with Loopback() as server, Proxy(server) as proxy:
        pass
    error = await ask_through(proxy, monkeypatch, scheme=scheme)
    assert f"no connection to the proxy {proxy.url} (from {scheme.upper()}_PROXY)" in str(error)


async def test_no_proxy_is_asked_directly(monkeypatch):
    """The proxy sees nothing of a server that NO_PROXY lists."""
    async with Loopback() as server, Proxy(server) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.0/8")
        engine = OpenAIEngine(server.base_url, api_key=KEY, traffic=TrafficConfig())
        await engine.complete(ASK)
        await engine.aclose()
    assert (proxy.heads, server.n_calls) == ([], 1)


LISTED = {
    "model.example": True,
    "MODEL.Example": True,
    ".example": True,
    "*.example": True,
    "example": True,
    "other, model.example": True,
    "other.example,": False,
    "model.example:8000": True,
    "model.example:8001": False,
    "odel.example": False,
    "model.example.org": False,
    "*": True,
    "a, *": True,
    "": False,
    " ": False,
}


@pytest.mark.parametrize("listed", LISTED)
def test_no_proxy_lists_names_domains_and_ports(listed, monkeypatch):
    """As curl and requests read it."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", listed)
    assert (proxy_for(URL("http://model.example:8000/v1")) is None) == LISTED[listed]


@pytest.mark.parametrize(
    ("host", "listed", "exempt"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:8000", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("[fe00::1]", "fd00::/8,10.0.0.0/8", False),
    ],
)
def test_no_proxy_lists_addresses_and_networks(host, listed, exempt, monkeypatch):
    """Clusters list their networks."""
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", listed)
    assert (proxy_for(URL(f"http://{host}:8000/v1")) is None) == exempt


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "LOCALHOST."])
def test_a_server_on_this_machine_is_not_asked_through_another(host, monkeypatch):
    """Whose loopback is another; a proxy on loopback too may be there to watch."""
    url = URL(f"http://{host}:8000/v1")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    assert proxy_for(url) is None
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:8080")
    assert proxy_for(url) is not None


@pytest.mark.parametrize(
    ("scheme", "name", "value", "expected"),
    [
        ("http", "HTTP_PROXY", "http://p:3128/", "http://p:3128"),
        ("http", "http_proxy", "p:3128", "http://p:3128"),
        ("https", "HTTPS_PROXY", f"http://me:{quote(PASSWORD, safe='')}@p:3128", "http://p:3128"),
        ("https", "https_proxy", " https://p ", "https://p"),
        ("https", "HTTP_PROXY", "http://p:3128", None),
        ("http", "HTTPS_PROXY", "http://p:3128", None),
        ("https", "ALL_PROXY", "socks5://p:1080", None),
        ("http", "HTTP_PROXY", "", None),
    ],
)
def test_the_scheme_of_the_server_decides_which_variable_counts(
    scheme, name, value, expected, monkeypatch
):
    """In upper or lower case, with or without a scheme of its own."""
    monkeypatch.setenv(name, value)
    found = proxy_for(URL(f"{scheme}://model.example/v1"))
    assert (found.shown if found else None) == expected
    assert "hunter2" not in f"{found} {found and found.name}"


@pytest.mark.parametrize(
    "value",
    [
        f"socks5://me:{PASSWORD}@p:1080",
        "socks5h://p:1080",
        "ftp://p:1",
        "http://",
        "http://p:99999",
        f"http://me:{PASSWORD}@p",
        "http://me:hunter2%E2%82%AC@p:1",
    ],
)
async def test_what_cannot_be_a_proxy_is_an_error_without_its_password(value, monkeypatch):
    """One line that names the variable, at the first request."""
    monkeypatch.setenv("HTTP_PROXY", value)
    engine = OpenAIEngine(f"http://{HOST}/v1", api_key=KEY, traffic=TrafficConfig())
    with pytest.raises(ModelError, match="HTTP_PROXY: ") as caught:
        await engine.probe("toy")
    await engine.aclose()
    shown = [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    assert "hunter2" not in "".join(shown)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "no_proxy", "is_said"),
    [
        ("http://model.invalid/v1", "", True),
        ("http://model.invalid/v1", "model.invalid", False),
        ("http://127.0.0.1:9/v1", "", False),
    ],
)
async def test_a_proxy_for_all_is_said_not_to_be_read(monkeypatch, url, no_proxy, is_said):
    """Only where a connection failed that such a proxy might have made."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    engine = OpenAIEngine(url, api_key=None, traffic=TrafficConfig(), backoff_s=0.01)
    with pytest.raises(ModelError) as caught:
        await engine.probe("toy")
    await engine.aclose()
    said = "ALL_PROXY is not read; name an HTTP proxy in HTTP_PROXY"
    assert (said in str(caught.value)) is is_said
