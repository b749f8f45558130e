"""HTTP with less common servers: what arrives, which connection it came on, and what is a fault."""

import asyncio
import contextlib
import gzip
import logging
import socket
import time
import tracemalloc
import zlib

import pytest

from evolcoder.engine import http_client
from evolcoder.engine.endpoint import Endpoint
from evolcoder.engine.retry import RequestFault, RetryClass
from evolcoder.engine.transport import MAX_BYTES, HttpAnswer, Transport

KEY = "sk-proj-Zq81vTmuH4xW90aBcDeF"
MANY = MAX_BYTES + 1


class Scripted:
    """A server that sends one scripted response per request; counts connections, keeps heads."""

    def __init__(self, *answers, ends=()):
        self.answers, self.ends = list(answers), set(ends)
        self.n_connections = 0
        self.heads = []
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
        while head := await reader.readuntil(b"\r\n\r\n"):
            number = len(self.heads)
            self.heads.append(head.decode())
            writer.write(self.answers[number])
            await writer.drain()
            if number in self.ends:
                break


@contextlib.asynccontextmanager
async def transport_to(script, *, key=None, timeout_s=5.0, host="127.0.0.1"):
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    endpoint = Endpoint.of(f"http://{host}:{port}/v1", api_key=key)
    transport = Transport(endpoint, timeout_s=timeout_s)
    try:
        yield transport
    finally:
        await transport.aclose()
        await script.stop(server)


async def get(transport, **options):
    return await transport.exchange("GET", transport.endpoint.models_url, **options)


async def post(transport, body=b""):
    return await transport.exchange("POST", transport.endpoint.chat_url, body)


async def body_of(transport):
    answer = await post(transport)
    assert isinstance(answer, HttpAnswer), answer
    return answer.body


def answer(body=b"fine", head=b"", status=b"200 OK"):
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + length + head + b"\r\n" + body


def packed(body, encoding=b"gzip"):
    return answer(body, b"Content-Encoding: " + encoding + b"\r\n")


def raw_deflate(data):
    squeezer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeezer.compress(data) + squeezer.flush()


WHOLE = {
    "counted": answer(),
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
    "after a 100": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
    "gzip": packed(gzip.compress(b"fine")),
    "gzip in two members": packed(gzip.compress(b"fi") + gzip.compress(b"ne")),
    "deflate": packed(zlib.compress(b"fine"), b"Deflate"),
    "deflate without a header": packed(raw_deflate(b"fine"), b"deflate"),
    "identity": packed(b"fine", b"identity"),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_in_any_form_is_read_and_its_connection_used_again(name):
    """Chunked, provisional and compressed responses are read alike."""
    script = Scripted(WHOLE[name], WHOLE[name])
    async with transport_to(script) as transport:
        assert [await body_of(transport) for _ in range(2)] == [b"fine", b"fine"]
    assert script.n_connections == 1


async def test_no_compression_is_asked_for():
    """Neither gzip nor br nor zstd: decompression costs more than the bandwidth it saves."""
    script = Scripted(answer(), answer())
    async with transport_to(script) as transport:
        await get(transport)
        await post(transport)
    for head in script.heads:
        assert "Accept-Encoding: identity\r\n" in head


async def test_headers_have_lower_case_names():
    """The last of equal names; bytes that are not UTF-8 are replaced."""
    head = (
        b"X-RateLimit-Remaining: 3\r\nRetry-After: 1\r\nretry-after: 2\r\nX-Odd: \xff\xc3\xa9\r\n"
    )
    async with transport_to(Scripted(answer(head=head, status=b"429 No"))) as transport:
        got = await post(transport)
    assert got.status == 429
    assert got.headers["x-ratelimit-remaining"] == "3"
    assert got.headers["x-odd"] == "\ufffdé"
    assert (got.retry_after, got.location) == ("2", None)


async def test_an_answer_without_a_length_ends_with_its_connection():
    """Old servers and some proxies mark the end of a response by closing the connection."""
    script = Scripted(b"HTTP/1.0 200 OK\r\n\r\nfine", answer(), ends={0})
    async with transport_to(script) as transport:
        assert [await body_of(transport) for _ in range(2)] == [b"fine", b"fine"]
    assert script.n_connections == 2


async def test_connection_close_is_honoured():
    """No request is sent on a connection that the server will close."""
    script = Scripted(answer(head=b"Connection: close\r\n"), answer())
    async with transport_to(script) as transport:
        assert [await body_of(transport) for _ in range(2)] == [b"fine", b"fine"]
    assert script.n_connections == 2


async def test_unsolicited_data_does_not_answer_the_next_request():
    """Unsolicited data is discarded together with its connection."""
    script = Scripted(answer() + answer(b"not yours"), answer(b"yours"))
    async with transport_to(script) as transport:
        assert [await body_of(transport) for _ in range(2)] == [b"fine", b"yours"]
    assert script.n_connections == 2


UNSOLICITED = {
    "a 408": answer(b"", status=b"408 Request Timeout"),
    "another answer": answer(b"not yours"),
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot",
    "no HTTP": b"SSH-2.0-surprise\r\n\r\n",
}


@pytest.mark.parametrize("name", UNSOLICITED)
async def test_data_on_an_idle_connection_closes_it(name):
    """What a server sends between two requests does not answer the second."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer())
        await asyncio.sleep(0.05)
        writer.write(UNSOLICITED[name])
        await reader.read()

    script = Scripted()
    script.talk = talk
    async with transport_to(script) as transport:
        assert await body_of(transport) == b"fine"
        await asyncio.sleep(0.2)
        assert await body_of(transport) == b"fine"
    assert script.n_connections == 2


async def test_a_connection_that_idled_too_long_is_not_used(monkeypatch):
    """The server may be about to close it."""
    monkeypatch.setattr(http_client, "KEEP_ALIVE_S", 0.01)
    script = Scripted(answer(), answer())
    async with transport_to(script) as transport:
        await post(transport)
        await asyncio.sleep(0.05)
        await post(transport)
    assert script.n_connections == 2


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
BROKEN = {
    "nothing": (b"", "a closed connection", False),
    "half a head": (b"HTTP/1.1 200 OK\r\nConte", "a closed connection", False),
    "half a body": (answer(b"fine")[:-1], "an incomplete response", True),
    "half a chunk": (CHUNKED + b"9\r\nfine", "an incomplete response", True),
    "a broken chunk": (CHUNKED + b"xyz\r\nfine", "an invalid HTTP response", True),
    "half of deflate": (
        packed(zlib.compress(b"fine" * 9)[:-9], b"deflate"),
        "an invalid HTTP response",
        True,
    ),
    "no gzip": (packed(b"fine"), "a response that cannot be decompressed", True),
    "an unknown packing": (packed(b"fine", b"br"), "a response that cannot be decompressed", True),
    "no HTTP": (b"SSH-2.0-surprise\r\n\r\n", "an invalid HTTP response", False),
    "another protocol": (UPGRADE, "an invalid HTTP response", False),
    "a long header": (
        answer(head=b"X: " + b"y" * 70_000 + b"\r\n"),
        "an invalid HTTP response",
        True,
    ),
    "too long": (answer(b"x" * MANY), "an answer of more than 8 MiB", True),
    "too long, only announced": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx",
        "an answer of more than 8 MiB",
        True,
    ),
    "too long without a length": (
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * MANY,
        "an answer of more than 8 MiB",
        True,
    ),
    "too long, packed": (
        packed(gzip.compress(b"x" * 4 * MANY)),
        "an answer of more than 8 MiB",
        True,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_response_is_a_fault_and_the_next_request_is_answered(name):
    """The fault says what happened and whether it may be billed; the retry gets a connection."""
    sent, what, billed = BROKEN[name]
    script = Scripted(sent, answer(), ends={0})
    async with transport_to(script) as transport:
        fault = await post(transport)
        assert await body_of(transport) == b"fine"
    assert isinstance(fault, RequestFault), fault
    assert (fault.what, fault.possibly_billed) == (what, billed)
    assert script.n_connections == 2


async def test_half_of_a_gzip_is_never_a_whole_answer():
    """Its end is missing, so no JSON parses; aiohttp itself says so of deflate only."""
    whole = b'{"choices": [{"message": {"content": "fine"}}]}'
    script = Scripted(packed(gzip.compress(whole)[:-12]))
    async with transport_to(script) as transport:
        got = await post(transport)
    assert isinstance(got, RequestFault) or got.body != whole


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
async def test_a_bomb_stays_within_the_limit_of_memory(kind):
    """A quarter of a gigabyte of zeros in 256 kB is given up at MAX_BYTES, in seconds."""
    squeezer = zlib.compressobj(6, wbits=zlib.MAX_WBITS + (16 if kind == "gzip" else 0))
    zeros = bytes(1 << 20)
    bomb = b"".join([*(squeezer.compress(zeros) for _ in range(256)), squeezer.flush()])
    async with transport_to(Scripted(packed(bomb, kind.encode()))) as transport:
        started = time.monotonic()
        tracemalloc.start()
        fault = await post(transport)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert fault.what == "an answer of more than 8 MiB"
    assert peak < 4 * MAX_BYTES
    assert time.monotonic() - started < 10


async def test_cookies_are_neither_kept_nor_sent():
    """A server that sets a session gets no more than the first request had."""
    head = b"Set-Cookie: session=1; Path=/\r\nSet-Cookie: other=2\r\n"
    script = Scripted(*[answer(head=head)] * 3)
    async with transport_to(script, key=KEY) as transport:
        for _ in range(3):
            await post(transport)
    assert len(set(script.heads)) == 1
    assert "cookie" not in script.heads[0].lower()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(code):
    """Neither to another host nor to the same: the key stays, and the caller sees the location."""
    other, here = Scripted(answer()), Scripted()
    elsewhere = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/v1"
    for target in (url, "/v1/other"):
        head = f"Location: {target}\r\n".encode()
        here.answers.append(answer(head=head, status=b"%d Moved" % code))
    async with transport_to(here, key=KEY) as transport:
        got = [await post(transport, b"{}"), await get(transport)]
    await other.stop(elsewhere)
    assert [one.status for one in got] == [code, code]
    assert [one.location for one in got] == [url, "/v1/other"]
    assert (other.n_connections, len(here.heads)) == (0, 2)


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_netrc_is_not_read(key, tmp_path, monkeypatch, caplog):
    """Its credentials go nowhere: a server gets the key that was given for it, or none."""
    caplog.set_level(logging.DEBUG)
    netrc = tmp_path / ".netrc"
    netrc.write_text(
        "machine 127.0.0.1 login me password hunter2\ndefault login me password hunter2\n"
    )
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    script = Scripted(answer())
    async with transport_to(script, key=key) as transport:
        assert (await get(transport)).status == 200
    sent = [line for line in script.heads[0].splitlines() if line.startswith("Authorization")]
    assert sent == ([f"Authorization: Bearer {key}"] if key else [])


async def test_a_large_prompt_is_sent_whole():
    """Above a megabyte too, without a warning."""
    received = []

    async def talk(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        received.append(await reader.readexactly(size))
        writer.write(answer())
        await reader.read()

    script = Scripted()
    script.talk = talk
    body = b"x" * (3 << 20)
    async with transport_to(script) as transport:
        assert (await post(transport, body)).status == 200
    assert received == [body]


async def test_no_answer_in_time_is_possibly_billed_if_it_is_a_completion():
    """A request for the model list is not."""
    async with transport_to(Scripted(b"", b"", b""), timeout_s=0.1) as transport:
        faults = [await post(transport), await get(transport)]
    assert [fault.what for fault in faults] == ["no answer in time; see traffic.timeout_s"] * 2
    assert [fault.retry_class for fault in faults] == [RetryClass.SERVER_ERROR] * 2
    assert [fault.possibly_billed for fault in faults] == [True, False]


async def test_a_slow_answer_is_bounded_as_a_whole():
    """A server that sends a byte now and then to keep the connection is given up as well."""

    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        while not reader.at_eof():
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    script = Scripted()
    script.talk = talk
    async with transport_to(script, timeout_s=0.3) as transport:
        started = time.monotonic()
        fault = await post(transport)
    assert fault.what.startswith("no answer in time")
    assert time.monotonic() - started < 5


async def test_no_connection_in_time_is_not_billed(monkeypatch):
    """A host that does not answer costs the connect timeout, and nothing was sent."""
    monkeypatch.setattr(http_client, "CONNECT_S", 0.1)
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    fillers = []
    for _ in range(4):  # as many as the kernel queues; the next waits
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(("127.0.0.1", port))
        fillers.append(filler)
    endpoint = Endpoint.of(f"http://127.0.0.1:{port}/v1", api_key=None)
    transport = Transport(endpoint, timeout_s=30)
    fault = await post(transport)
    await transport.aclose()
    for one in (full, *fillers):
        one.close()
    assert fault.what == "no connection in time"
    assert (fault.retry_class, fault.possibly_billed) == (RetryClass.UNAVAILABLE, False)


async def test_a_refused_connection_is_not_billed():
    """Nothing was sent."""
    async with transport_to(Scripted()) as transport:
        pass
    fault = await post(transport)
    await transport.aclose()
    assert (fault.what, fault.retry_class) == ("no connection", RetryClass.UNAVAILABLE)
    assert not fault.possibly_billed


async def test_a_cancelled_request_does_not_answer_the_next():
    """After a timeout or cancellation, the late response is not read by another request."""
    script = Scripted(b"", b"", answer())
    async with transport_to(script) as transport:
        assert isinstance(await get(transport, timeout_s=0.05), RequestFault)
        asked = asyncio.create_task(post(transport))
        await asyncio.sleep(0.05)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert await body_of(transport) == b"fine"
    assert asked.cancelled()
    assert script.n_connections == 3


async def test_a_closed_transport_can_be_used_again():
    """Closing ends the connections; the next request opens one."""
    script = Scripted(answer(), answer())
    async with transport_to(script) as transport:
        assert await body_of(transport) == b"fine"
        await transport.aclose()
        await transport.aclose()
        assert await body_of(transport) == b"fine"
    assert script.n_connections == 2


def addresses(*hosts, asked):
    async def getaddrinfo(host, port, **_):
        asked.append(host)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, port)) for address in hosts]

    return getaddrinfo


async def test_a_name_is_looked_up_once_and_its_addresses_share_the_connections(monkeypatch):
    """Fifty concurrent connects need one DNS lookup and are spread over the addresses."""
    script, peers, asked = Scripted(*[answer()] * 50), [], []
    serve = script.serve

    async def counted(reader, writer):
        peers.append(writer.get_extra_info("sockname")[0])
        await serve(reader, writer)

    script.serve = counted
    found = addresses("127.0.0.1", "127.0.0.2", asked=asked)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    async with transport_to(script, host="model.example") as transport:
        port = transport.endpoint.chat_url.port
        other = await asyncio.start_server(counted, "127.0.0.2", port)
        await asyncio.gather(*(post(transport) for _ in range(50)))
        other.close()
    assert asked == ["model.example"]
    assert (peers.count("127.0.0.1"), peers.count("127.0.0.2")) == (25, 25)


async def test_an_address_that_refuses_is_skipped(monkeypatch):
    """`localhost` has two addresses, and many servers listen on only one."""
    found = addresses("127.0.0.3", "127.0.0.1", asked=[])
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    async with transport_to(Scripted(answer()), host="localhost") as transport:
        assert await body_of(transport) == b"fine"


async def test_an_unknown_host_name_is_a_connection_error(monkeypatch):
    """The DNS error is reported, and the next request resolves the name again."""
    asked = []

    async def getaddrinfo(host, port, **_):
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with transport_to(Scripted(), host="model.example") as transport:
        faults = [await post(transport) for _ in range(2)]
    assert all(fault.retry_class is RetryClass.UNAVAILABLE for fault in faults)
    assert all("not known" in fault.got for fault in faults)
    assert asked == ["model.example"] * 2


async def test_a_fault_holds_no_key():
    """Also where the server sends the request back as garbage, at any length."""

    async def talk(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        key = head.split(b"Bearer ")[1].split(b"\r\n")[0]
        writer.write(b"x" * len(script.heads) + key + b"\r\n\r\n")
        script.heads.append(head.decode())

    script = Scripted()
    script.talk = talk
    async with transport_to(script, key=KEY) as transport:
        faults = [await post(transport) for _ in range(60)]
    assert {fault.what for fault in faults} == {"an invalid HTTP response"}
    assert [fault for fault in faults if KEY[:9] in repr(fault) or KEY[-9:] in repr(fault)] == []


def test_the_client_is_not_loaded_before_it_is_needed():
    """Importing aiohttp takes longer than the rest of the engine."""
    import subprocess
    import sys

    code = "import evolcoder.engine.openai, sys; print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
