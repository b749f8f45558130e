"""Downloads from the Hub, by huggingface_hub, from a Hub on loopback."""

import io
import subprocess
import sys
import time

import pytest

from evolcoder.engine import hub
from evolcoder.errors import ModelError
from hub_server import served_hub

PATH = "someone/toy/resolve/abc/toy.gguf"
CONTENT = bytes(range(256)) * 5000
SIZE = len(CONTENT)
TOKEN = "hf_Zq81vTmuH4xW90aBcDeF"


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """huggingface_hub reads HF_HUB_OFFLINE when it is imported; we read it at every download."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in (
        "HF_HUB_OFFLINE",
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "http_proxy",
        "HTTP_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch):
    with served_hub({f"/{PATH}": CONTENT}) as served:
        monkeypatch.setenv("HF_ENDPOINT", f"{served.url}/")
        yield served


def download(file, *, max_bytes=SIZE, seen=None):
    report = seen.append if seen is not None else lambda _: None
    hub.download(PATH, file, max_bytes=max_bytes, error=ModelError, on_bytes=report)
    return file.getvalue()


def appending(content):
    file = io.BytesIO(content)
    file.seek(0, io.SEEK_END)
    return file


def test_a_file_is_downloaded_whole(server):
    """One question about the file, one for its content; progress ends at its size."""
    seen = []
    assert download(io.BytesIO(), seen=seen) == CONTENT
    assert server.asked == [("HEAD", f"/{PATH}", 0), ("GET", f"/{PATH}", 0)]
    assert seen[-1] == len(CONTENT)


def test_only_missing_bytes_are_asked_for(server):
    """What an interrupted download left is kept."""
    assert download(appending(CONTENT[:1000])) == CONTENT
    assert server.asked[-1] == ("GET", f"/{PATH}", 1000)


def test_a_complete_file_is_not_asked_for_again(server):
    """An interruption after the last byte costs one question."""
    assert download(appending(CONTENT)) == CONTENT
    assert [method for method, *_ in server.asked] == ["HEAD"]


def test_more_bytes_than_the_file_has_are_thrown_away(server):
    """They are not of this file."""
    assert download(appending(CONTENT + b"x"), max_bytes=len(CONTENT) + 1) == CONTENT


def test_a_server_that_ignores_ranges_sends_all(server):
    """The bytes so far are not doubled."""
    server.ignores_ranges = True
    assert download(appending(CONTENT[:1000])) == CONTENT


def test_a_connection_that_is_cut_is_resumed(server, caplog, monkeypatch):
    """Within one download too, from the last whole chunk."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    server.cut_at = 70_000
    assert download(io.BytesIO()) == CONTENT
    assert [start for method, _, start in server.asked if method == "GET"] == [0, 70_000]


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 503])
def test_an_error_of_the_hub_is_asked_once(server, code):
    """One line with the status, at once."""
    server.status = code
    started = time.monotonic()
    with pytest.raises(ModelError, match=str(code)) as caught:
        download(io.BytesIO())
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1
    assert time.monotonic() - started < 5


def test_a_hub_that_cannot_be_reached_is_tried_once(server, caplog, monkeypatch):
    """No retries, nothing logged, within seconds."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(ModelError, match="refused"):
        download(io.BytesIO())
    assert time.monotonic() - started < 5
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


def test_a_hub_that_does_not_answer_costs_seconds(monkeypatch):
    """A network that drops packets is given up soon."""
    import socket

    monkeypatch.setattr(hub, "REACH_S", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"[Tt]imeout"):
        download(io.BytesIO())
    silent.close()
    assert time.monotonic() - started < 5


def test_the_token_goes_to_the_hub_alone(server, monkeypatch):
    """HF_TOKEN is sent to HF_ENDPOINT, and not where that redirects to."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with served_hub({f"/{PATH}": CONTENT}) as storage:
        server.location = storage.url.replace("127.0.0.1", "localhost")
        assert download(io.BytesIO()) == CONTENT
    assert set(server.tokens) == {f"Bearer {TOKEN}"}
    assert storage.tokens == [None]


def test_no_more_than_the_limit_is_stored(server):
    """A server may send what it likes."""
    file = io.BytesIO()
    with pytest.raises(ModelError, match="larger than 1,000 bytes"):
        download(file, max_bytes=1000)
    assert len(file.getvalue()) <= 1000


def test_no_request_is_made_offline(server, monkeypatch):
    """HF_HUB_OFFLINE in any notation."""
    for value in ("1", "true", "YES", "on"):
        monkeypatch.setenv("HF_HUB_OFFLINE", value)
        with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
            download(io.BytesIO())
    assert server.asked == []


@pytest.mark.parametrize(
    "endpoint",
    ["hub.example", "ftp://h", "http://", "http://h:x", "https://me:hunter2@h", "://me:hunter2@h"],
)
def test_an_endpoint_that_is_none_is_named_without_its_password(endpoint, monkeypatch):
    """One line that says which variable to correct."""
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ModelError, match="correct HF_ENDPOINT") as caught:
        download(io.BytesIO())
    assert "hunter2" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_huggingface_hub_is_not_loaded_before_it_is_needed():
    """Most commands download nothing."""
    code = "import evolcoder.engine.registry, evolcoder.bench.fetch, sys; print('huggingface_hub' in sys.modules, 'httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
