"""`evolcoder export`: what is left out, formats without rows, splits, and uploads to the Hub."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from commands import run_command
from evolcoder.cli.main import main
from jsonl import read_jsonl, write_jsonl

ROWS = [
    {"instruction": f"Write {n} functions.", "output": f"```python\n{code}\n```"}
    for n, code in enumerate(
        [f"def f(x):\n    return x + {n}\n" for n in range(6)]
        + ["def g(x):\n    return x\n\nassert g(1) == 2", "print(my_list[0])"]
    )
]


@pytest.fixture
def run(tmp_path, capsys):
    """A verified data set, in a run folder."""
    data = tmp_path / "rows.jsonl"
    write_jsonl(data, ROWS)
    assert main(["verify", str(data), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def export(capsys, *arguments):
    return run_command(capsys, "export", *arguments)


def test_what_is_exported_says_what_was_shown(capsys, run, tmp_path):
    """A row whose program fails its own example leaves, unless asked for; the count is said."""
    code, _, err = export(capsys, run, "--format", "messages", "--out", tmp_path / "x")
    assert code == 0
    assert "not exported: 1 row whose program ends in an error; export.failing=true" in err
    levels = [row["verified"] for row in read_jsonl(tmp_path / "x/messages/data.jsonl")]
    assert levels == ["ran"] * 6 + ["not run: needs names from its context"]
    export(capsys, run, "--format", "messages", "--out", tmp_path / "x", "--keep-failing")
    levels = [row["verified"] for row in read_jsonl(tmp_path / "x/messages/data.jsonl")]
    assert levels[6] == "failed: ended in an error"
    for format, check in (("preference", "tests"), ("repair", "tests")):
        code, _, err = export(capsys, run, "--format", format, "--out", tmp_path / "x")
        assert code == 1
        assert f"0 rows: it needs the check {check}, which was not run; run: evolcoder ver" in err


def test_a_part_of_the_lineages_is_for_validation(capsys, run, tmp_path):
    """The same ones in every format; the name is the user's; old files do not stay."""
    flags = ("--out", tmp_path / "x", "--name", "mine", "--format", "infill", "--format", "trl")
    assert export(capsys, run, *flags, "--validation", 0.3)[0] == 0
    roots = {}
    for format in ("infill", "trl"):
        folder = tmp_path / "x" / format
        for split in ("data", "validation"):
            roots[format, split] = {row["root"] for row in read_jsonl(folder / f"{split}.jsonl")}
        assert not roots[format, "data"] & roots[format, "validation"]
        entries = json.loads((folder / "dataset_info.json").read_text())
        assert {"mine", "mine_validation"} <= entries.keys()
        assert all((folder / entry["file_name"]).exists() for entry in entries.values())
        stanza = yaml.safe_load((folder / "axolotl.yaml").read_text())
        assert stanza["test_datasets"][0]["path"] == "validation-trainers.jsonl"
    assert roots["infill", "validation"] <= roots["trl", "validation"]
    assert len(roots["trl", "validation"]) == 2
    fim = read_jsonl(tmp_path / "x/infill/data.jsonl")[0]
    assert fim["fim"] == (
        f"<|fim_prefix|>{fim['prefix']}<|fim_suffix|>{fim['suffix']}<|fim_middle|>{fim['span']}"
    )
    export(capsys, run, *flags)
    assert not list((tmp_path / "x").rglob("validation*"))


OID = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """The part of the Hub's API that an upload of small files needs."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, body))
        if self.path == "/api/repos/create":
            answer = {"url": "http://127.0.0.1/datasets/me/rows"}
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            answer = {
                "files": [
                    {"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths
                ]
            }
        else:
            answer = {
                "commitUrl": f"http://127.0.0.1/datasets/me/rows/commit/{OID}",
                "commitOid": OID,
            }
        self.send(200, answer)

    def do_GET(self):
        self.server.asked.append((self.path, b""))
        self.send(404, {})

    def do_HEAD(self):
        self.do_GET()

    def send(self, status, answer):
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_upload_is_asked_for(capsys, run, tmp_path, hub, monkeypatch):
    """Nothing is sent without --push; with it the data set is private and has all files."""
    flags = ("--format", "trl", "--out", tmp_path / "x")
    assert export(capsys, run, *flags)[0] == 0
    assert hub.asked == []
    code, out, err = export(capsys, run, *flags, "--push", "me/rows")
    assert code == 0, err
    assert out.splitlines()[-1] == f"http://127.0.0.1:{hub.server_port}/datasets/me/rows"
    sent = dict(hub.asked)
    created = json.loads(sent["/api/repos/create"])
    assert created.get("visibility") == "private" or created["private"] is True
    commit = next(body for path, body in hub.asked if "/commit/" in path)
    files = [json.loads(line)["value"] for line in commit.splitlines()][1:]
    assert {file["path"] for file in files} == {
        "README.md", "axolotl.yaml", "data.jsonl", "dataset_info.json", "trainers.jsonl",
    }  # fmt: skip
    data = next(file["content"] for file in files if file["path"] == "data.jsonl")
    assert base64.b64decode(data) == (tmp_path / "x/trl/data.jsonl").read_bytes()
    for more, said in (
        (("--format", "messages", "--push", "me/rows"), "uploads one format"),
        (("--public",), "give --push too"),
    ):
        code, _, err = export(capsys, run, *flags, *more)
        assert (code, said in err, len(err.strip().splitlines())) == (2, True, 1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = export(capsys, run, *flags, "--push", "me/rows")
    assert (code, "HF_HUB_OFFLINE is set" in err) == (2, True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, err = export(capsys, run, *flags, "--push", "me/rows")
    assert (code, "me/rows: cannot be written at http://127.0.0.1:9" in err) == (2, True)
    assert "hf_secret" not in err
