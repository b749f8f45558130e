"""Data files: verified, cached atomically, with a one-line message for every error."""

import gzip
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from evolcoder.bench.fetch import DataFile, DataFolder, rows, rows_digest
from evolcoder.engine.hub import HUB
from evolcoder.errors import BenchError

ROWS = [{"task_id": "a/0", "prompt": "é"}, {"task_id": "a/1", "prompt": ""}]
CONTENT = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def place():
    """A server on loopback: path -> bytes, and the requested paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            data = files.get(self.path)
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()

        def do_GET(self):
            asked.append(self.path)
            data = files.get(self.path)
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *args):
            pass

    files, asked = {}, []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files, asked
    server.shutdown()
    thread.join()
    server.server_close()


def file_at(url, **changes):
    fields = {"name": "a/toy.jsonl.gz", "url": url, "sha256": DIGEST, "fields": ()}
    return DataFile(**(fields | changes))


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_fetched_once_and_then_read_from_the_cache(place, tmp_path, packed):
    """The second read makes no request, and both give the same rows, compressed or not."""
    url, files, asked = place
    files["/toy"] = gzip.compress(CONTENT) if packed else CONTENT
    data_folder = DataFolder(None, tmp_path)
    assert (
        rows(file_at(f"{url}/toy"), data_folder) == rows(file_at(f"{url}/toy"), data_folder) == ROWS
    )
    assert asked == ["/toy"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["toy.jsonl.gz"]


def test_a_fetched_file_with_a_wrong_checksum_is_not_kept(place, tmp_path):
    """The message contains both digests, and the cache stays empty."""
    url, files, _ = place
    files["/toy"] = CONTENT + b"{}\n"
    with pytest.raises(BenchError, match=f"wrong checksum .*expected {DIGEST[:12]}"):
        rows(file_at(f"{url}/toy"), DataFolder(None, tmp_path))
    assert list(tmp_path.rglob("*")) == []


def test_a_missing_remote_file_is_a_one_line_error(place, tmp_path):
    """The line contains the URL, the server's reason and the alternative."""
    url, _, _ = place
    with pytest.raises(BenchError, match=r"cannot download .*/toy: .*use --data-dir") as caught:
        rows(file_at(f"{url}/toy"), DataFolder(None, tmp_path))
    assert "\n" not in str(caught.value)


def test_an_unreachable_server_is_a_one_line_error(tmp_path):
    """Port 9 of this machine is closed."""
    with pytest.raises(BenchError, match="cannot download"):
        rows(file_at("http://127.0.0.1:9/toy"), DataFolder(None, tmp_path))


def test_the_hub_can_be_a_mirror_or_offline(place, tmp_path, monkeypatch):
    """HF_ENDPOINT and HF_HUB_OFFLINE are honoured."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    url, files, _ = place
    files["/datasets/toy"] = CONTENT
    on_hub = file_at(f"{HUB}/datasets/toy")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BenchError, match="HF_HUB_OFFLINE"):
        rows(on_hub, DataFolder(None, tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", url)
    assert rows(on_hub, DataFolder(None, tmp_path)) == ROWS


def test_a_damaged_cache_says_which_file_to_delete(tmp_path):
    """The message names the truncated file."""
    path = tmp_path / "a/toy.jsonl.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(CONTENT)[:-9])
    with pytest.raises(BenchError, match=r"toy\.jsonl\.gz.*damaged.*delete it"):
        rows(file_at("http://127.0.0.1:9/"), DataFolder(None, tmp_path))


@pytest.mark.parametrize("name", ["a/toy.jsonl.gz", "a/toy.jsonl", "toy.jsonl.gz", "toy.jsonl"])
def test_a_users_folder_is_read_in_place(tmp_path, name):
    """By path or by name, compressed or not; nothing is downloaded or written."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(CONTENT) if name.endswith("gz") else CONTENT)
    assert rows(file_at("http://127.0.0.1:9/"), DataFolder(tmp_path, tmp_path / "cache")) == ROWS
    assert not (tmp_path / "cache").exists()


def test_a_users_folder_without_the_file_says_where_to_get_it(tmp_path):
    """Missing files are never downloaded into the user's folder."""
    with pytest.raises(BenchError, match=r"a/toy.jsonl.gz not found; download it from http"):
        rows(file_at("http://127.0.0.1:9/"), DataFolder(tmp_path, tmp_path))


def test_a_users_file_with_a_wrong_checksum_is_an_error(tmp_path):
    """Other rows are another benchmark."""
    (tmp_path / "toy.jsonl").write_bytes(CONTENT[:-1])
    with pytest.raises(BenchError, match="wrong checksum"):
        rows(file_at("http://127.0.0.1:9/"), DataFolder(tmp_path, tmp_path))


def test_a_digest_of_fields_ignores_order_and_other_fields():
    """The same problems give the same digest, whatever the file."""
    more = [row | {"extra": 1} for row in reversed(ROWS)]
    fields = ("task_id", "prompt")
    assert rows_digest(more, fields) == rows_digest(ROWS, fields)
    assert rows_digest(ROWS[:1], fields) != rows_digest(ROWS, fields)


def test_parquet_from_the_hub_becomes_json_lines(place, tmp_path):
    """A downloaded Parquet file is cached as JSON lines with the digest's fields."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    url, files, _ = place
    buffer = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist([row | {"extra": 1} for row in ROWS]), buffer)
    files["/toy.parquet"] = buffer.getvalue().to_pybytes()
    fields = ("task_id", "prompt")
    file = file_at(f"{url}/toy.parquet", sha256=rows_digest(ROWS, fields), fields=fields)
    assert rows(file, DataFolder(None, tmp_path)) == rows(file, DataFolder(None, tmp_path)) == ROWS
    files["/toy.parquet"] = b"no parquet"
    with pytest.raises(BenchError, match="is not a Parquet file"):
        rows(file, DataFolder(None, tmp_path / "other"))


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"task_id": "a"}', b"\xff"])
def test_rows_that_are_no_rows_are_damage(tmp_path, line):
    """Lines that are not JSON objects or lack a field are reported as damage, on one line."""
    (tmp_path / "toy.jsonl").write_bytes(line)
    file = file_at("http://127.0.0.1:9/", fields=("task_id", "prompt"))
    with pytest.raises(BenchError, match="damaged") as caught:
        rows(file, DataFolder(tmp_path, tmp_path))
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_one_line(place, tmp_path):
    """Such as on a full disk."""
    url, files, _ = place
    files["/toy"] = CONTENT
    (tmp_path / "a").write_text("a file where a folder should be")
    with pytest.raises(BenchError, match=r"cannot be (written|read)"):
        rows(file_at(f"{url}/toy"), DataFolder(None, tmp_path))
