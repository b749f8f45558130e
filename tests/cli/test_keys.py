"""Keys from end to end: which server gets which, and that no file and no output ever holds one."""

import base64
import json
import sqlite3

import pytest
import yaml

import toys
from commands import run_command
from evolcoder.app.steps import RunSteps
from evolcoder.cli import loop as loops
from evolcoder.config.load import load_as
from evolcoder.errors import ModelError
from evolcoder.experiment.config import LoopConfig
from evolcoder.sandbox.requirements import PROBES
from evolcoder.storage.run_store import RunStore
from loopback import Loopback, in_thread, status

FIRST, SECOND = "sk-first-0123456789abcdef", "tok_second/9876+543210fedcba"
LOGIN = "hunter2-and-more"


def call(capsys, *arguments):
    return run_command(capsys, *arguments)


@pytest.fixture
def seeds(tmp_path):
    return toys.seeds_file(tmp_path / "seeds.jsonl", 4)


def place(server):
    return f"127.0.0.1:{server.port}"


def sent(server):
    """What the server was shown, in any header of any request."""
    return {call.headers.get("authorization", "") for call in server.calls}


def written(folder):
    """All bytes of all files of a folder, and their names."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(str(path).encode() + path.read_bytes() for path in files)


def telling(prompt):
    """Answer as the toy does, and repeat all keys in what is kept and in what is code."""
    told = toys.answer(prompt)
    if "Task: " in prompt:
        return told
    return f"Keys: {FIRST}, {base64.b64encode(SECOND.encode()).decode()}.\n\n{told}\n# {SECOND}\n"


def test_two_servers_get_a_key_each_and_what_they_repeat_is_kept_nowhere(
    capsys, tmp_path, seeds, monkeypatch
):
    """Each is sent its own key alone; both keys are masked in cache, database, exports and output."""
    with in_thread(Loopback(answer=telling, key=FIRST)) as ours:
        with in_thread(Loopback(answer=telling, key=SECOND)) as theirs:
            monkeypatch.setenv("OPENAI_API_KEY", FIRST)
            monkeypatch.setenv("OPENAI_BASE_URL", ours.base_url)
            monkeypatch.setenv("THEIR_KEY", SECOND)
            said = call(
                capsys, "run", "--seeds", seeds, "--model", "openai:toy", "--out", tmp_path / "out",
                "--set", f"responder.model={theirs.base_url}#toy", "--cache", tmp_path / "c.db",
                "--set", f"servers.{place(theirs)}.key_variable=THEIR_KEY",
            )  # fmt: skip
    assert said[0] == 0, said[2]
    assert (sent(ours), sent(theirs)) == ({f"Bearer {FIRST}"}, {f"Bearer {SECOND}"})
    shown = call(capsys, "inspect", tmp_path / "out", "--drops", "--json")
    with RunStore.read(tmp_path / "out") as store:
        answers = [row.response.text for row in store.rows(min_round=1)]
    assert answers
    assert all(text.startswith("Keys: [secret], [secret]") for text in answers)
    everything = written(tmp_path) + "".join([*said[1:], *shown[1:]]).encode()
    encoded = base64.b64encode(SECOND.encode())
    assert [key for key in (FIRST, SECOND, encoded.decode()) if key.encode() in everything] == []


def test_a_server_by_its_url_gets_no_key_and_the_error_says_how_to_give_it_one(
    capsys, tmp_path, seeds, monkeypatch
):
    """OPENAI_API_KEY stays at home; the line names the setting, and the setting works."""
    monkeypatch.setenv("OPENAI_API_KEY", FIRST)
    monkeypatch.setenv("THEIR_KEY", SECOND)
    heard = []

    async def listing(request):
        heard.append(request.headers.get("Authorization"))
        return await status(401, "who are you?")(request)

    arguments = ["run", "--seeds", seeds, "--rounds", 0, "--out", tmp_path / "out"]
    with in_thread(Loopback(listing=listing)) as theirs:
        model = f"{theirs.base_url}#toy"
        code, _, err = call(capsys, *arguments, "--model", model)
        assert (code, heard) == (2, [None])
        assert "requires an API key (HTTP 401)" in err
        assert "OPENAI_API_KEY is set but is only sent to https://api.openai.com/v1" in err
        assert err.count("\n") == 1
        setting = err.partition("--set '")[2].partition("'")[0]
        call(capsys, *arguments, "--model", model, "--set", setting.replace("NAME", "THEIR_KEY"))
        assert heard == [None, f"Bearer {SECOND}"]
        code, _, err = call(capsys, *arguments, "--model", model, "--set", setting)
        assert code == 2
        assert "key_variable: the environment variable is not set" in err


def test_a_key_follows_no_redirect(capsys, tmp_path, seeds, monkeypatch):
    """A server that sends us elsewhere is an error with the place, and no request is sent there."""
    monkeypatch.setenv("OPENAI_API_KEY", FIRST)
    asked = []

    async def elsewhere(request):
        asked.append(request.path)
        return await status(200)(request)

    with in_thread(Loopback(listing=elsewhere, always=elsewhere)) as evil:
        away = status(307, "moved", location=f"http://{place(evil)}/v1/models")
        with in_thread(Loopback(listing=away)) as ours:
            monkeypatch.setenv("OPENAI_BASE_URL", ours.base_url)
            code, _, err = call(
                capsys, "run", "--seeds", seeds, "--model", "openai:toy", "--out", tmp_path / "o"
            )
    assert (code, asked) == (2, [])
    assert f"has moved (HTTP 307); use the base URL of http://{place(evil)}" in err


def with_login(server):
    return f"http://me:{LOGIN}@{place(server)}/v1#toy"


def logged_in():
    return {"Basic " + base64.b64encode(f"me:{LOGIN}".encode()).decode()}


@pytest.mark.parametrize("verb", ["run", "dry", "eval", "doctor"])
def test_a_login_in_a_url_is_sent_and_neither_stored_nor_shown(
    capsys, tmp_path, seeds, monkeypatch, shared, verb
):
    """Not in the config, the database, the card, the command that is kept, or what is printed."""
    out = tmp_path / "out"
    with in_thread(Loopback(answer=toys.answer)) as server:
        model = with_login(server)
        run = [
            "run",
            "--seeds",
            seeds,
            "--model",
            model,
            "--out",
            out,
            "--cache",
            tmp_path / "c.db",
        ]
        commands = {
            "run": run,
            "dry": [*run, "--dry-run", "--json"],
            "eval": ["eval", "--bench", "humaneval", "--data-dir", shared, "--limit", 1, "--out", out,
                     "--model", model, "--no-grade"],
            "doctor": ["doctor", "--model", model, "--sandbox", "processes"],
        }  # fmt: skip
        monkeypatch.setattr("sys.argv", ["evolcoder", *map(str, commands[verb])])
        if verb == "doctor":
            monkeypatch.setattr("evolcoder.cli.doctor.PROBES", {"python": PROBES["python"]})
        said = [call(capsys, *commands[verb])]
        assert said[0][0] == 0, said[0][2]
        assert sent(server) == (set() if verb == "dry" else logged_in())
        if verb == "run":
            said.append(call(capsys, *commands[verb]))
            said.append(call(capsys, "export", out, "--format", "trl", "--out", tmp_path / "x"))
            assert [code for code, *_ in said] == [0, 0, 0], said
    shown = "".join(text for _, *texts in said for text in texts)
    assert LOGIN not in shown
    assert LOGIN.encode() not in written(tmp_path)


def test_a_run_that_an_earlier_version_stored_with_its_login_goes_on(capsys, tmp_path, seeds):
    """The same command resumes it, and takes the login out of what it stored."""
    out = tmp_path / "out"
    with in_thread(Loopback(answer=toys.answer)) as server:
        arguments = ["run", "--seeds", seeds, "--model", with_login(server), "--out", out]
        assert call(capsys, *arguments)[0] == 0
        with sqlite3.connect(out / "run.db") as db:
            (text,) = db.execute("SELECT value FROM meta WHERE key='config'").fetchone()
            config = json.loads(text)
            config["evolver"]["model"] = with_login(server)
            db.execute("UPDATE meta SET value=? WHERE key='config'", (json.dumps(config),))
        db.close()
        code, _, err = call(capsys, *arguments)
    assert code == 0, err
    with RunStore.read(out) as store:
        assert store.meta("config")["evolver"]["model"] == f"http://{place(server)}/v1#toy"


def test_a_loop_hands_logins_on_by_its_environment_alone(tmp_path, seeds, monkeypatch):
    """Its steps log in; its configs, its log and the steps' command lines hold no login."""
    monkeypatch.setenv("EVOLCODER_LOGINS", "")
    with in_thread(Loopback(answer=toys.answer)) as server:
        plain = {
            "run": {"seeds": {"path": str(seeds)}, "evolver": {"model": with_login(server)}},
            "runs": {"other": {"evolver": {"model": with_login(server)}}},
            "student": {"path": "s"},
            "serve": {"spec": with_login(server), "command": []},
        }
        path = tmp_path / "loop.yaml"
        path.write_text(yaml.safe_dump(plain))
        config = load_as(LoopConfig, path)
        path.unlink()
        loops._pass_logins_to_steps(config)
        RunSteps(tmp_path, config.serve).evolve(config.run, tmp_path / "run", {})
    assert sent(server) == logged_in()
    assert LOGIN not in json.dumps(config.model_dump(mode="json"))
    assert LOGIN.encode() not in written(tmp_path)


@pytest.mark.parametrize("address", [f"https://me:{LOGIN}@127.0.0.1", f"://me:{LOGIN}@h"])
def test_a_login_in_the_address_of_a_hub_is_not_shown(
    capsys, tmp_path, seeds, monkeypatch, address
):
    """Such an address cannot be asked, and Python's message about it holds the login."""
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr("evolcoder.engine.registry._from_parts", _nothing)
    said = call(capsys, "run", "--seeds", seeds, "--out", tmp_path / "out")
    said += call(capsys, "clean", seeds, "--against", "mbpp", "--detectors", "ngrams")
    said += call(capsys, "clean", seeds, "--against", "ds1000", "--detectors", "ngrams")
    assert (said[0], said[6]) == (2, 2)
    assert "correct HF_ENDPOINT" in said[2]
    assert "correct HF_ENDPOINT" in said[8]
    assert [text for text in said if LOGIN in str(text) or "Traceback" in str(text)] == []


def _nothing(*_):
    raise ModelError("there is none")


def test_a_key_that_another_package_repeats_is_not_printed(capsys, monkeypatch):
    """What goes to the terminal holds no key of the environment, whoever says it."""
    monkeypatch.setenv("HF_TOKEN", "hf_AbCdEfGhIjKlMnOp")
    code, out, err = call(capsys, "inspect", "runs/hf_AbCdEfGhIjKlMnOp")
    assert code == 2
    assert "runs/[secret]" in err
    assert "AbCdEf" not in out + err
