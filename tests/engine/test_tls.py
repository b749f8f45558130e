"""TLS failures are reported at once, without retries."""

import asyncio
import os
import subprocess
import sys
import time

import pytest

import toys
from evolcoder.cli.main import main
from evolcoder.config.load import TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.engine.openai import OpenAIEngine
from evolcoder.errors import EvolcoderError, ModelError
from loopback import Loopback, in_thread

REQUEST = Request("toy", (Message("user", "hello"),), Sampling(1.0, 0.9, 50), 7)
AT_ONCE_S = 20.0
"""Far less than `traffic.max_retry_s`, for which an unreachable server is retried."""


@pytest.fixture
def signed_by_itself(tls):
    return Loopback(tls=tls, answer=toys.answer)


def engine_at(url):
    return OpenAIEngine(url, api_key="sk-secret-key-0123", traffic=TrafficConfig())


async def failure_of(url):
    """Return the errors of a request and a probe, and the seconds that both took."""
    engine, raised, start = engine_at(url), [], time.monotonic()
    for asked in (engine.complete(REQUEST), engine.probe("toy")):
        try:
            await asked
        except EvolcoderError as error:
            raised.append(error)
    await engine.aclose()
    return raised, time.monotonic() - start


async def test_a_self_signed_certificate_is_refused_at_once(signed_by_itself):
    """Request and probe fail with advice, and the key is never sent."""
    async with signed_by_itself as server:
        raised, seconds = await failure_of(server.base_url)
    assert [type(error) for error in raised] == [ModelError, ModelError]
    assert all("untrusted TLS certificate; set SSL_CERT_FILE" in str(e) for e in raised)
    assert all(str(error).startswith(server.base_url) for error in raised)
    assert all("\n" not in str(error) for error in raised)
    assert seconds < AT_ONCE_S
    assert server.calls == []


async def test_https_to_a_plain_server_fails_at_once():
    """A wrong scheme is not fixed by waiting."""
    async with Loopback() as server:
        raised, seconds = await failure_of(server.base_url.replace("http://", "https://"))
    assert [type(error) for error in raised] == [ModelError, ModelError]
    assert all("write http:// in its URL" in str(error) for error in raised)
    assert all("\n" not in str(error) for error in raised)
    assert seconds < AT_ONCE_S


async def test_http_to_a_tls_server_fails_in_the_probe(signed_by_itself):
    """The response is not HTTP, so the probe fails after its few attempts."""
    async with signed_by_itself as server:
        engine, start = engine_at(server.base_url.replace("https://", "http://")), time.monotonic()
        with pytest.raises(ModelError, match="correct the URL") as caught:
            await engine.probe("toy")
        await engine.aclose()
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < AT_ONCE_S


async def test_an_interrupted_handshake_is_retried():
    """A restarting proxy interrupts handshakes: transient, unlike a wrong scheme."""

    async def hang_up(reader, writer):
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    engine = OpenAIEngine(url, api_key=None, traffic=TrafficConfig(max_retry_s=1.0))
    with pytest.raises(EvolcoderError) as caught:
        await engine.complete(REQUEST)
    await engine.aclose()
    server.close()
    assert caught.value.retryable


@pytest.mark.parametrize("slip", ["certificate", "scheme"])
def test_the_command_line_reports_it_in_one_line(slip, signed_by_itself, tmp_path, capsys):
    """Exit 2, one line, no run folder."""
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", 3)
    server = signed_by_itself if slip == "certificate" else Loopback()
    with in_thread(server):
        url = server.base_url.replace("http://", "https://")
        out = tmp_path / "out"
        code = main(["run", "--seeds", str(seeds), "--model", f"{url}#toy", "--out", str(out)])
    said = capsys.readouterr()
    assert (code, said.out, len(said.err.strip().splitlines())) == (2, "", 1)
    assert not out.exists()


def test_a_certificate_trusted_by_the_user_is_accepted(signed_by_itself, certificate, tmp_path):
    """The advice works: with SSL_CERT_FILE the same server is accepted."""
    seeds = toys.seeds_file(tmp_path / "seeds.jsonl", 3)
    with in_thread(signed_by_itself) as server:
        command = ["run", "--seeds", seeds, "--model", f"{server.base_url}#toy"]
        done = subprocess.run(
            [sys.executable, "-m", "evolcoder.cli.main", *map(str, command),
             "--out", tmp_path / "out", "--cache", tmp_path / "cache.db"],
            env={**os.environ, "SSL_CERT_FILE": str(certificate)},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(server.calls) > 3
