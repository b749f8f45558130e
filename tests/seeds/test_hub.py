"""A Hub data set streams in; what the Hub refuses is one line. The Hub here is on loopback.

The reader runs in a process of its own, because `datasets` reads the Hub's address when it is
imported.
"""

import importlib.util
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytestmark = pytest.mark.e2e

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"""---
configs:
- config_name: main
  default: true
  data_files: data/train.jsonl
- config_name: other
  data_files: [{split: test, path: data/other.jsonl}]
---
""",
    "data/train.jsonl": b"".join(
        json.dumps({"instruction": f"Do {n}.", "output": "Done."}).encode() + b"\n"
        for n in range(50)
    ),
    "data/other.jsonl": b'{"problem": "Do other.", "solution": "Done."}\n',
}
READ = """
import json, sys
from evolcoder.config.load import SeedsConfig
from evolcoder.errors import SeedsError
from evolcoder.seeds.read import read_seeds

for options in json.loads(sys.argv[1]):
    try:
        seeds = read_seeds(SeedsConfig(**options))
        tasks = [record.instruction for record in seeds if hasattr(record, "instruction")]
        print(json.dumps([seeds.report().format, tasks]))
    except SeedsError as error:
        print(json.dumps(str(error)))
"""


class Hub(BaseHTTPRequestHandler):
    """The part of the Hub API that streaming one small data set needs."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        api, files = "/api/datasets/owner/name", "/datasets/owner/name/resolve/"
        if path.startswith(f"{api}/tree/{COMMIT}"):
            folder = path.removeprefix(f"{api}/tree/{COMMIT}").strip("/")
            self.send_json([entry(name) for name in FILES if name.startswith(folder)])
        elif path in {f"{api}/revision/{known}" for known in ("main", "v1", COMMIT)}:
            listed = [{"rfilename": name} for name in FILES]
            self.send_json({"id": "owner/name", "sha": COMMIT, "siblings": listed})
        elif path.startswith(files):
            revision, _, name = path.removeprefix(files).partition("/")
            self.send_file(name if revision in {"main", "v1", COMMIT} else "")
        else:
            self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def send_json(self, value):
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send_file(self, name):
        data, wanted = FILES.get(name), self.headers.get("Range")
        if data is None:
            self.send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT}
        if wanted is None:
            self.send(200, data, headers)
            return
        first, last = wanted.removeprefix("bytes=").split("-")
        part = data[int(first) : int(last or len(data)) + 1]
        span = f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
        self.send(206, part, {**headers, "Content-Range": span})

    def send(self, status, body, headers):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


def entry(name):
    return {"type": "file", "path": name, "size": len(FILES[name]), "oid": "0" * 40}


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def read_elsewhere(tmp_path):
    """Reads several configs in another process; returns the results."""
    if importlib.util.find_spec("datasets") is None:
        pytest.skip("datasets is not installed")

    def read(*options, **environment):
        home = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(
            [sys.executable, "-c", READ, json.dumps(options)],
            env={**os.environ, "HF_HUB_OFFLINE": "0", **home, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return read


def test_a_data_set_streams_in(hub, read_elsewhere):
    """Split, subset and revision are honoured; other files are not fetched or stored."""
    url = f"http://127.0.0.1:{hub.server_port}"
    whole, few, other = read_elsewhere(
        {"path": "owner/name"},
        {"path": "owner/name", "limit": 2, "revision": "v1"},
        {"path": "owner/name", "subset": "other", "split": "test"},
        HF_ENDPOINT=url,
    )
    assert whole == ["output", [f"Do {n}." for n in range(50)]]
    assert few == ["output", ["Do 0.", "Do 1."]]
    assert other == ["oss-instruct", ["Do other."]]
    assert any(path.endswith("/resolve/v1/README.md") for path in hub.asked)


def test_what_the_hub_refuses_is_one_line(hub, read_elsewhere):
    """A missing data set, split, subset or revision is named, with the available ones."""
    url = f"http://127.0.0.1:{hub.server_port}"
    for_all = "no such file, and cannot be loaded as a Hub data set: "
    missing, split, subset, revision = read_elsewhere(
        {"path": "owner/none"},
        {"path": "owner/name", "split": "training"},
        {"path": "owner/name", "subset": "third"},
        {"path": "owner/name", "revision": "v9"},
        HF_ENDPOINT=url,
    )
    assert missing.startswith(f"owner/none: {for_all}Dataset 'owner/none' doesn't exist")
    assert split == f"owner/name: {for_all}Bad split: training. Available splits: ['train']"
    assert subset.startswith(f"owner/name: {for_all}BuilderConfig 'third' not found.")
    assert revision.startswith(f"owner/name: {for_all}")
    assert not any("\n" in message for message in (missing, split, subset, revision))


def test_offline_is_honoured(hub, read_elsewhere):
    """With HF_HUB_OFFLINE no request is sent, and the message says so."""
    url = f"http://127.0.0.1:{hub.server_port}"
    (message,) = read_elsewhere({"path": "owner/name"}, HF_ENDPOINT=url, HF_HUB_OFFLINE="1")
    assert "OfflineModeIsEnabled" in message
    assert hub.asked == []
