"""Extras of requests, and runs that move to another server, from the command line."""

import json
from pathlib import Path

import pytest
import yaml

import toys
from commands import run_command
from evolcoder.cli.main import main
from evolcoder.config.load import load
from evolcoder.engine import redact
from evolcoder.errors import ConfigError
from loopback import Loopback, in_thread

SECRET = "azure-0123456789abcdef"


@pytest.fixture
def server():
    with in_thread(Loopback(answer=toys.answer)) as running:
        yield running


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A folder to run in, without keys of the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVOLCODER_CACHE", str(tmp_path / "cache"))
    toys.seeds_file(Path("seeds.jsonl"), 4)
    yield
    redact.clear_secrets()


def run(capsys, server, *options, rounds=1):
    return run_command(
        capsys,
        "run",
        "--style",
        "append",
        "--seeds",
        "seeds.jsonl",
        "--model",
        f"{server.base_url}#toy",
        "--rounds",
        rounds,
        "--set",
        "verify.when=never",
        *options,
    )


def everything_stored(folder):
    """All bytes of a folder, as text."""
    return "".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in Path(folder).rglob("*")
        if path.is_file()
    )


BODY = "evolver.extra_body={enable_thinking: false, chat_template_kwargs: {enable_thinking: false}}"


def test_extras_are_sent_with_every_request(capsys, server):
    """Body and headers; the responder has the evolver's and its own."""
    code, _, err = run(
        capsys, server, "--out", "out", "--set", BODY,
        "--set", "responder.extra_body.reasoning_effort=high",
        "--set", f"evolver.extra_headers.api-key={SECRET}",
        "--set", "evolver.extra_headers.X-Variant=a",
        "--set", "respond.reanswer_seeds=true",
    )  # fmt: skip
    assert code == 0, err
    bodies = [call.body for call in server.calls]
    assert {call.headers["api-key"] for call in server.calls} == {SECRET}
    assert {call.headers["x-variant"] for call in server.calls} == {"a"}
    assert all(body["chat_template_kwargs"] == {"enable_thinking": False} for body in bodies)
    assert {body.get("reasoning_effort") for body in bodies} == {None, "high"}
    assert all(body["messages"] and body["model"] == "toy" for body in bodies)


def test_a_secret_header_is_stored_and_shown_nowhere(capsys, server, monkeypatch):
    """Not in the run, the cache, the exports or the output, however it is given."""
    monkeypatch.setenv("AZURE_KEY", SECRET)
    monkeypatch.setattr(
        "sys.argv", ["evolcoder", "--set", f"evolver.extra_headers.api-key={SECRET}"]
    )
    for out, value in (("a", SECRET), ("b", "${AZURE_KEY}"), ("c", "Bearer ${AZURE_KEY}")):
        option = f"evolver.extra_headers.api-key={value}"
        code, shown, err = run(capsys, server, "--out", out, "--set", option)
        assert code == 0, err
        assert SECRET not in shown + err + everything_stored(out) + everything_stored("cache")
    assert {call.headers["api-key"] for call in server.calls} <= {SECRET, f"Bearer {SECRET}"}
    stored = yaml.safe_load(Path("a/config.yaml").read_text())["evolver"]["extra_headers"]
    assert stored == {"api-key": "[secret]"}
    stored = yaml.safe_load(Path("b/config.yaml").read_text())["evolver"]["extra_headers"]
    assert stored == {"api-key": "${AZURE_KEY}"}


def test_a_secret_header_that_is_not_sent_is_not_stored_either(capsys, monkeypatch):
    """A model without a server has no headers; the command line that names one is recorded."""
    Path("script.json").write_text(json.dumps({"rules": [{"match": "", "answer": "Yes."}]}))
    command = [
        "run", "--seeds", "seeds.jsonl", "--model", "scripted:script.json", "--rounds", "0",
        "--out", "out", "--set", f"evolver.extra_headers.api-key={SECRET}",
        "--set", "verify.when=never",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["evolcoder", *command])
    assert main(command) == 0
    assert "api-key=" in everything_stored("out")
    assert SECRET not in "".join(capsys.readouterr()) + everything_stored("out")


def test_a_run_with_a_hidden_header_is_inspected_exported_and_not_asked_with_it(capsys, server):
    """Its stored config serves all that asks no model; a run from it says what is missing."""
    option = f"evolver.extra_headers.api-key={SECRET}"
    assert run(capsys, server, "--out", "out", "--set", option)[0] == 0
    for verb in (["inspect", "out"], ["export", "out", "--format", "alpaca", "--out", "x"]):
        assert main(verb) == 0
    assert main(["run", "out/config.yaml", "--out", "again"]) == 2
    assert "${NAME}" in capsys.readouterr().err


def test_another_key_is_no_other_run_and_other_extras_are(capsys, server):
    """A run continues with a new key; with other fields or public headers it is refused."""
    header = "evolver.extra_headers={api-key: KEY, x-variant: VARIANT}"
    first = header.replace("KEY", SECRET).replace("VARIANT", "a")
    assert run(capsys, server, "--out", "out", "--set", first)[0] == 0
    n_asked = server.n_calls
    renewed = first.replace(SECRET, "renewed-fedcba9876543210")
    assert run(capsys, server, "--out", "out", "--set", renewed)[0] == 0
    assert run(capsys, server, "--out", "new", "--set", renewed)[0] == 0
    assert server.n_calls == n_asked
    for other in (header.replace("KEY", SECRET).replace("VARIANT", "b"), BODY):
        code, _, err = run(capsys, server, "--out", "out", "--set", other)
        assert code == 2
        assert "different values of evolver.extra_" in err
    assert run(capsys, server, "--out", "other", "--set", BODY)[0] == 0
    assert server.n_calls > n_asked


def test_a_header_without_its_variable_is_named(capsys, server):
    """A missing environment variable stops the run before the first request."""
    option = "evolver.extra_headers.api-key=${SURELY_NOT_SET}"
    code, _, err = run(capsys, server, "--out", "out", "--set", option)
    assert (code, server.n_calls) == (2, 0)
    assert "SURELY_NOT_SET is not set" in err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evolver.extra_body.messages=[]", "messages cannot be replaced: it is the prompt"),
        ("responder.extra_body={model: x}", "model cannot be replaced"),
        ("judge.extra_body={stream: true}", "stream cannot be replaced"),
        ("evolver.extra_body={n: 4}", "n cannot be replaced"),
        ("evolver.extra_body={max_completion_tokens: 9}", "set the key `max_tokens`"),
        ("evolver.extra_body={temperature: 0}", "set the key `temperature`"),
        ("evolver.extra_body={x: .nan}", "and not infinite"),
        ("evolver.extra_body={x: 2026-11-01}", "extra_body"),
        ("evolver.extra_body=3", "extra_body"),
        (f"evolver.extra_body={{api-key: {SECRET}}}", "evolver.extra_body: api-key holds a key"),
        (f"judge.extra_body={{a: [{{b: {{password: {SECRET}}}}}]}}", "a.b.password holds a key"),
        (f"evolver.extra_body={{token: {SECRET}, n: 3}}", "n cannot be replaced"),
        ("evolver.extra_headers={Host: x}", "a header that evolcoder sets itself"),
        ("evolver.extra_headers={content-length: '3'}", "a header that evolcoder sets itself"),
        ('evolver.extra_headers={"a b": x}', "is not the name of a header"),
        ('evolver.extra_headers={x: "a\\r\\nb"}', "characters not allowed in a header"),
        ("evolver.extra_headers={x: 3}", "extra_headers"),
    ],
)
def test_extras_that_would_replace_or_break_a_request_are_refused(override, message):
    """One line names the key; the value of a header is not shown."""
    with pytest.raises(ConfigError) as caught:
        load(None, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_key_in_the_body_is_refused_before_anything_is_stored(capsys, server):
    """It would be in config.yaml, in run.db and in the recorded command."""
    option = f"evolver.extra_body.api_key={SECRET}"
    code, out, err = run(capsys, server, "--out", "out", "--set", option)
    assert (code, server.n_calls) == (2, 0)
    assert "evolver.extra_body: api_key holds a key" in err
    assert SECRET not in out + err
    assert not Path("out").exists()


def test_a_key_in_a_header_of_any_name_is_not_stored(capsys, server):
    """Providers' keys are known by their form."""
    key = "sk-proj-0123456789abcdefGH"
    option = f"evolver.extra_headers.X-Upstream=Bearer {key}"
    code, out, err = run(capsys, server, "--out", "out", "--set", option)
    assert code == 0
    assert server.calls[-1].headers["x-upstream"] == f"Bearer {key}"
    assert key not in out + err + everything_stored(".")


def test_a_wrong_header_value_is_not_shown():
    """It may be a key."""
    with pytest.raises(ConfigError) as caught:
        load(None, [f'evolver.extra_headers={{api-key: "{SECRET}\\n"}}'])
    assert SECRET not in str(caught.value)


def test_a_config_without_extras_has_the_fingerprint_of_earlier_versions():
    """Empty extras are not stored, so that folders keep their names and go on."""
    plain = load(None, []).model_dump(mode="json")
    assert not any("extra" in json.dumps(plain[name]) for name in ("evolver", "responder", "judge"))


def test_a_run_moves_to_another_server_without_asking_again(capsys, server):
    """The folder goes on, a new one is filled from the cache, and the folder's name is the same."""
    assert run(capsys, server)[0] == 0
    (folder,) = Path("runs").iterdir()
    n_asked = server.n_calls
    with in_thread(Loopback(answer=toys.answer)) as elsewhere:
        assert run(capsys, elsewhere)[0] == 0
        assert [*Path("runs").iterdir()] == [folder]
        assert run(capsys, elsewhere, "--out", "new")[0] == 0
        assert elsewhere.n_calls == 0
        code, _, err = run(capsys, elsewhere, rounds=2)
        assert code == 0, err
        assert elsewhere.n_calls > 0
    assert server.n_calls == n_asked


def test_a_folder_that_is_named_by_an_address_goes_on(capsys, server):
    """Earlier versions hashed where the model was; the run goes on under its name."""
    assert run(capsys, server)[0] == 0
    (folder,) = Path("runs").iterdir()
    new, old = load(folder / "config.yaml").fingerprints
    assert folder.name == new[:8] != old[:8]
    earlier = folder.rename(Path("runs") / old[:8])
    n_asked = server.n_calls
    assert run(capsys, server)[0] == 0
    assert [*Path("runs").iterdir()] == [earlier]
    assert server.n_calls == n_asked


def test_another_model_is_another_run(capsys, server):
    """On the same server too."""
    server.models = ("toy", "other")
    assert run(capsys, server, "--out", "out")[0] == 0
    code, _, err = run(
        capsys, server, "--out", "out", "--set", f"evolver.model={server.base_url}#other"
    )
    assert code == 2
    assert "different values of evolver.model" in err


def test_a_version_of_the_interface_is_part_of_the_identity():
    """Azure's api-version stays when the address goes; a key in the URL does not."""
    spec = "https://{}/openai/deployments/d?api-version={}&key={}#gpt-4o"
    of = {
        name: load(None, [f"evolver.model={json.dumps(spec.format(*parts))}"]).fingerprint
        for name, parts in {
            "one": ("a.azure.com", "2024-06-01", "k1"),
            "moved": ("b.azure.com", "2024-06-01", "k2"),
            "newer": ("a.azure.com", "2024-10-21", "k1"),
        }.items()
    }
    assert of["one"] == of["moved"] != of["newer"]


def test_a_secret_header_of_an_evaluation_without_a_model_is_not_shown(
    capsys, server, monkeypatch, shared
):
    """It has no effect there, so it is refused, by its key alone."""
    Path("samples.jsonl").write_text(json.dumps({"task_id": "HumanEval/0", "completion": "x"}))
    command = [
        "eval", "--bench", "humaneval", "--data-dir", str(shared), "--samples", "samples.jsonl",
        "--out", "out", "--set", f"evolver.extra_headers.api-key={SECRET}", "--no-grade",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["evolcoder", *command])
    assert main(command) == 2
    shown = "".join(capsys.readouterr())
    assert "evolver.extra_headers.api-key" in shown
    assert SECRET not in shown
    assert not Path("out").exists()
