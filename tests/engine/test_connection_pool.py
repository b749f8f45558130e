"""Connection handling with less common HTTP/1.1 servers."""

import asyncio
import contextlib
import gzip
import socket
import zlib

import pytest
from yarl import URL

from evolcoder.engine.transport import (
    CannotConnectError,
    ConnectionCutError,
    ConnectionPool,
    Connector,
    NotHttpError,
    PartialResponseError,
    TooLongError,
)

ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MOST = 1000


class Scripted:
    """A server that sends one scripted response per request and counts connections."""

    def __init__(self, *answers, ends=()):
        self.answers, self.ends = list(answers), set(ends)
        self.n_connections = self.n_requests = 0
        self.serving = []

    async def serve(self, reader, writer):
        self.n_connections += 1
        self.serving.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.talk(reader, writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    async def stop(self, *servers):
        for server in servers:
            server.close()
            await server.wait_closed()
        await asyncio.gather(*self.serving)

    async def talk(self, reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            number, self.n_requests = self.n_requests, self.n_requests + 1
            writer.write(self.answers[number])
            await writer.drain()
            if number in self.ends:
                break


@contextlib.asynccontextmanager
async def pool_to(script, *, idle_s=4.0):
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = ConnectionPool(Connector(URL(f"http://127.0.0.1:{port}")), max_bytes=MOST, idle_s=idle_s)
    try:
        yield pool
    finally:
        await pool.aclose()
        await script.stop(server)


def answer(body=b"fine", head=b"", status=b"200 OK"):
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + length + head + b"\r\n" + body


WHOLE = {
    "counted": answer(),
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
    "after a 100": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
    "packed": answer(gzip.compress(b"fine"), b"Content-Encoding: gzip\r\n"),
    "deflated": answer(zlib.compress(b"fine"), b"content-encoding: Deflate\r\n"),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_in_any_form_is_read_and_its_connection_used_again(name):
    """Chunked, provisional and compressed responses are read alike."""
    script = Scripted(WHOLE[name], WHOLE[name])
    async with pool_to(script) as pool:
        assert [(await pool.request(ASKED, 5)).body for _ in range(2)] == [b"fine", b"fine"]
    assert script.n_connections == 1


async def test_an_answer_without_a_length_ends_with_its_connection():
    """Old servers and some proxies mark the end of a response by closing the connection."""
    script = Scripted(b"HTTP/1.0 200 OK\r\n\r\nfine", answer(), ends={0})
    async with pool_to(script) as pool:
        assert [(await pool.request(ASKED, 5)).body for _ in range(2)] == [b"fine", b"fine"]
    assert script.n_connections == 2


async def test_connection_close_is_honoured():
    """No request is sent on a connection that the server will close."""
    script = Scripted(answer(head=b"Connection: close\r\n"), answer())
    async with pool_to(script) as pool:
        assert [(await pool.request(ASKED, 5)).status for _ in range(2)] == [200, 200]
    assert script.n_connections == 2


async def test_unsolicited_data_does_not_answer_the_next_request():
    """Unsolicited data is discarded together with its connection."""
    script = Scripted(answer() + answer(b"not yours"), answer(b"yours"))
    async with pool_to(script) as pool:
        assert [(await pool.request(ASKED, 5)).body for _ in range(2)] == [b"fine", b"yours"]
    assert script.n_connections == 2


async def test_data_on_an_idle_connection_closes_it():
    """A 408 that a server sends before closing does not answer a later request."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        await asyncio.sleep(0.05)
        writer.write(answer(b"", status=b"408 Request Timeout"))
        await reader.read()

    script = Scripted()
    script.talk = talk
    async with pool_to(script) as pool:
        assert (await pool.request(ASKED, 5)).status == 200
        await asyncio.sleep(0.2)
        assert (await pool.request(ASKED, 5)).status == 200
    assert script.n_connections == 2


async def test_a_connection_that_idled_too_long_is_not_used():
    """The server may be about to close it."""
    script = Scripted(answer(), answer())
    async with pool_to(script, idle_s=0.0) as pool:
        await pool.request(ASKED, 5)
        await asyncio.sleep(0.01)
        await pool.request(ASKED, 5)
    assert script.n_connections == 2


BROKEN = {
    "nothing": (b"", ConnectionCutError),
    "half a head": (b"HTTP/1.1 200 OK\r\nConte", ConnectionCutError),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfine", PartialResponseError),
    "half a chunk": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfine",
        PartialResponseError,
    ),
    "half a parcel": (
        answer(gzip.compress(b"fine")[:-9], b"Content-Encoding: gzip\r\n"),
        PartialResponseError,
    ),
    "a false parcel": (answer(b"fine", b"Content-Encoding: gzip\r\n"), PartialResponseError),
    "no HTTP": (b"SSH-2.0-surprise\r\n\r\n", NotHttpError),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        NotHttpError,
    ),
    "too long": (answer(b"x" * (MOST + 1)), TooLongError),
    "too long without a length": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MOST + 1), TooLongError),
    "too long, packed": (
        answer(gzip.compress(b"x" * (MOST + 1)), b"Content-Encoding: gzip\r\n"),
        TooLongError,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_incomplete_responses_raise_their_error_type(name):
    """The error type decides how often a request is retried; the retry gets a new connection."""
    sent, kind = BROKEN[name]
    script = Scripted(sent, answer(), ends={0})
    async with pool_to(script) as pool:
        with pytest.raises(kind):
            await pool.request(ASKED, 5)
        assert (await pool.request(ASKED, 5)).body == b"fine"
    assert script.n_connections == 2


async def test_a_cancelled_request_does_not_answer_the_next():
    """After a timeout or cancellation, the late response is not read by another request."""
    script = Scripted(b"", b"", answer())
    async with pool_to(script) as pool:
        with pytest.raises(TimeoutError):
            await pool.request(ASKED, 0.05)
        asked = asyncio.create_task(pool.request(ASKED, 5))
        await asyncio.sleep(0.05)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert (await pool.request(ASKED, 5)).body == b"fine"
    assert script.n_connections == 3


async def test_a_name_is_looked_up_once_and_its_addresses_share_the_connections(monkeypatch):
    """Fifty concurrent connects need one DNS lookup and are spread over the addresses."""
    script, asked = Scripted(*[answer()] * 50), []
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    other = await asyncio.start_server(script.serve, "127.0.0.2", port)

    async def getaddrinfo(host, port, **_):
        asked.append(host)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, port)) for address in ("127.0.0.1", "127.0.0.2")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    pool = ConnectionPool(
        Connector(URL(f"http://model.example:{port}")), max_bytes=MOST, idle_s=4.0
    )
    await asyncio.gather(*(pool.request(ASKED, 5) for _ in range(50)))
    peers = [connection._transport.get_extra_info("peername")[0] for connection in pool._all]
    await pool.aclose()
    await script.stop(server, other)
    assert asked == ["model.example"]
    assert (peers.count("127.0.0.1"), peers.count("127.0.0.2")) == (25, 25)


async def test_an_address_that_refuses_is_skipped(monkeypatch):
    """`localhost` has two addresses, and many servers listen on only one."""
    script = Scripted(answer())
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def getaddrinfo(host, port, **_):
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, port)) for address in ("127.0.0.1", "127.0.0.3")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    pool = ConnectionPool(Connector(URL(f"http://localhost:{port}")), max_bytes=MOST, idle_s=4.0)
    assert (await pool.request(ASKED, 5)).body == b"fine"
    await pool.aclose()
    await script.stop(server)


async def test_an_unknown_host_name_is_a_connection_error(monkeypatch):
    """The DNS error is reported, and the next request resolves the name again."""
    asked = []

    async def getaddrinfo(host, port, **_):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    pool = ConnectionPool(Connector(URL("http://model.example")), max_bytes=MOST, idle_s=4.0)
    for _ in range(2):
        with pytest.raises(CannotConnectError, match="not known"):
            await pool.request(ASKED, 5)
    assert asked == ["model.example"] * 2
