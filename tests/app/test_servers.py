"""Models are put up and away one after the other, or one server takes them all in turn."""

import json
import urllib.error
import urllib.request
from importlib.util import find_spec

import pytest

from evolcoder.app.servers import ModelServers, check_servers
from evolcoder.engine.http_errors import unlisted_names
from evolcoder.engine.transport import HttpAnswer
from evolcoder.errors import ConfigError, StepFailed
from evolcoder.experiment.config import ServeConfig

NAMED = """
import http.server, sys
name, port = sys.argv[1].encode(), int(sys.argv[2])

class Says(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(name)

http.server.HTTPServer(("127.0.0.1", port), Says).serve_forever()
"""


SLEEPER = """
import http.server, json, os, pathlib, sys
port, weights, tells, name = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
if "--enable-sleep-mode" in sys.argv:
    names = "VLLM_SERVER_DEV_MODE", "VLLM_SKIP_MODEL_NAME_VALIDATION"
    assert all(os.environ[name] == "1" for name in names)
state = {"weights": pathlib.Path(weights, "w").read_text(), "awake": {"weights", "kv_cache"}}
(tells / f"{os.getpid()}.started").write_text(" ".join(sys.argv[5:]))

class Says(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass

    def say(self, code, what=None):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(b"" if what is None else json.dumps(what).encode())

    def do_GET(self):
        listed = {"data": [{"id": name, "root": state["weights"]}]}
        self.say(200 if len(state["awake"]) == 2 else 503, listed)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        path, _, query = self.path.partition("?")
        if (tells / "sulks").exists():
            self.say(500)
        elif path == "/sleep":
            state.update(weights="lost" if query == "level=2" else state["weights"], awake=set())
            self.say(200)
        elif path == "/wake_up":
            state["awake"].add(query.removeprefix("tags="))
            self.say(200)
        elif path == "/reset_prefix_cache":
            self.say(200)
        elif body["method"] == "reload_weights" and "weights" in state["awake"]:
            folder = pathlib.Path(body["kwargs"]["weights_path"])
            if not (folder / "refused").exists():
                state["weights"] = (folder / "w").read_text()
            self.say(200, {"results": [None]})
        elif body["method"] == "evolcoder_compare_weights":
            same = (pathlib.Path(body["args"][0]) / "w").read_text() == state["weights"]
            self.say(200, {"results": [{"compared": 3, "same": 3 if same else 2}]})
        else:
            self.say(404)

http.server.HTTPServer(("127.0.0.1", port), Says).serve_forever()
"""
"""Stands in for vLLM's development endpoints; files in its folder change how it behaves."""


@pytest.fixture
def sleeper(tmp_path):
    """Steps that swap weights, and a function that makes a model."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    command = (
        "{python}",
        str(tmp_path / "sleeper.py"),
        "{port}",
        "{model}",
        str(tmp_path),
        "{name}",
    )
    config = ServeConfig(command=command, port=18795, ready_s=60, swap_weights=True)
    steps = ModelServers(tmp_path, config)

    def model(name, *files):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "w").write_text(f"weights of {name}")
        for file in files:
            (folder / file).touch()
        return str(folder)

    yield steps, model
    steps.close()


def said_by(served):
    """Return the weights that a server says it has, once it may be asked under the spec's name."""
    url, _, name = served.spec.partition("#")
    body = urllib.request.urlopen(f"{url}/models").read()
    assert not unlisted_names(HttpAnswer(200, body), name)
    return json.loads(body)["data"][0]["root"]


def test_one_server_takes_all_students_in_turn(sleeper, tmp_path):
    """It answers with each one's weights under each one's name, and ends when all is done."""
    steps, model = sleeper
    for name in ("one", "two", "three"):
        with steps.student(model(name), name) as served:
            assert served.spec == f"http://127.0.0.1:18795/v1#{name}"
            assert said_by(served) == f"weights of {name}"
        with pytest.raises(urllib.error.HTTPError, match="503"):  # it is there, and sleeps
            said_by(served)
    started = list(tmp_path.glob("*.started"))
    assert len(started) == 1
    assert started[0].read_text().startswith("--enable-sleep-mode --worker-extension-cls evolcoder")
    steps.close()
    with pytest.raises(urllib.error.URLError, match="refused"):
        said_by(served)


@pytest.fixture
def ahead(sleeper, tmp_path):
    """The same with a server that is started ahead of its first use."""
    steps, model = sleeper
    config = steps._config.model_copy(update={"ahead": True})
    early = ModelServers(tmp_path, config)
    yield early, model
    early.close()


def test_the_students_server_is_started_ahead(ahead, tmp_path):
    """Once, however often it is asked for; then it takes the students in turn."""
    steps, model = ahead
    base = model("base")
    steps.start_ahead(base)
    steps.start_ahead(base)
    for name in ("one", "two"):
        with steps.student(model(name), name) as served:
            assert said_by(served) == f"weights of {name}"
        steps.start_ahead(base)
    assert len(list(tmp_path.glob("*.started"))) == 1


def test_a_server_that_was_started_ahead_and_is_not_used_ends(ahead, tmp_path):
    """At the loop's end, also where it is not ready yet."""
    steps, model = ahead
    steps.start_ahead(model("base"))
    process = steps._started[0]
    assert process.poll() is None
    steps.close()
    assert process.poll() is not None


def test_a_server_that_dies_ahead_of_its_use_is_replaced(ahead, tmp_path):
    """And the log says so."""
    steps, model = ahead
    steps.start_ahead(str(tmp_path / "no-such-weights"))
    with steps.student(model("one"), "one") as served:
        assert said_by(served) == "weights of one"
    log = (tmp_path / "log" / "serve-students.txt").read_text()
    assert "before it was ready" in log


def test_nothing_is_started_ahead_unasked(sleeper, tmp_path):
    """By default, and where each student has a server of its own."""
    steps, model = sleeper
    steps.start_ahead(model("base"))
    assert steps._started is None
    with pytest.raises(ValueError, match="needs swap_weights: true"):
        ServeConfig(ahead=True)


@pytest.mark.parametrize("ahead", [False, True])
def test_replicas_of_a_model_share_its_requests(tmp_path, ahead):
    """One spec leads to all, which start at the same time and end together."""
    (tmp_path / "named.py").write_text(NAMED)
    command = ("{python}", str(tmp_path / "named.py"), "{name}:{port}", "{port}")
    config = ServeConfig(
        command=command, port=18991, ready_s=60, swap_weights=True, ahead=ahead, replicas=2
    )
    servers = ModelServers(tmp_path, config)
    with servers.serving([("a", "one"), ("b", "two")]) as served:
        assert [one.spec for one in served] == [
            "http://127.0.0.1:18992/v1,http://127.0.0.1:18993/v1#one",
            "http://127.0.0.1:18994/v1,http://127.0.0.1:18995/v1#two",
        ]
        urls = [url for one in served for url in one.spec.partition("#")[0].split(",")]
        said = [urllib.request.urlopen(url).read().decode() for url in urls]
        assert said == ["one:18992", "one:18993", "two:18994", "two:18995"]
    logs = sorted(path.name for path in (tmp_path / "log").iterdir())
    assert logs == [f"serve-{name}.txt" for name in ("one-1", "one-2", "two-3", "two-4")]
    if ahead:
        servers._kept["a", "one"].processes[2].kill()
        servers._kept["a", "one"].processes[2].wait()
        with servers.serving([("a", "one")]) as served:  # one of two died: both are new
            assert urllib.request.urlopen(urls[1]).read() == b"one:18993"
    servers.close()
    for url in urls:
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(url)
    with ModelServers(tmp_path, ServeConfig(command=(), replicas=2)).serving([("a", "one")]) as one:
        assert one[0].spec == "http://127.0.0.1:8791/v1#one"


def test_a_runs_servers_stay_between_rounds(tmp_path):
    """One for all rounds; others end when other models are served, and all at the end."""
    (tmp_path / "named.py").write_text(NAMED)
    command = ("{python}", str(tmp_path / "named.py"), "{name}:{model}", "{port}")
    config = ServeConfig(command=command, port=18891, ready_s=60, swap_weights=True, ahead=True)
    servers = ModelServers(tmp_path, config)

    def answer(served):
        return urllib.request.urlopen(served.spec.split("#")[0]).read()

    pids = []
    for models in ([("a", "one")], [("a", "one"), ("b", "two")], [("b", "two")], [("c", "three")]):
        with servers.serving(models) as served:
            assert [answer(one).decode() for one in served] == [f"{n}:{w}" for w, n in models]
        pids.append([one.pid for m in models for one in servers._kept[m].processes.values()])
        assert len(servers._kept) == len(models)
    assert pids[0][0] == pids[1][0]
    assert pids[1][1] == pids[2][0]
    with pytest.raises(RuntimeError), servers.serving([("c", "three")]):
        raise RuntimeError
    (process,) = servers._kept["c", "three"].processes.values()
    process.kill()
    process.wait()
    with servers.serving([("c", "three")]) as served:  # one that has died is replaced
        assert answer(served[0]) == b"three:c"
    servers.close()
    assert not servers._kept
    with pytest.raises(urllib.error.URLError, match="refused"):
        answer(served[0])


def test_a_server_that_keeps_old_weights_is_replaced(sleeper, tmp_path):
    """What it says about its own weights decides, not that the call went well; the log tells."""
    steps, model = sleeper
    for name, files in (("one", ()), ("two", ("refused",)), ("three", ())):
        with steps.student(model(name, *files), name) as served:
            assert said_by(served) == f"weights of {name}"
    assert len(list(tmp_path.glob("*.started"))) == 2
    log = (tmp_path / "log" / "serve-students.txt").read_text()
    assert "two: [{'compared': 3, 'same': 2}]; stopping the server" in log


def test_a_server_that_does_not_go_to_sleep_is_ended(sleeper, tmp_path):
    """The GPU is free for the training that follows, and what was asked is not lost."""
    steps, model = sleeper
    with steps.student(model("one"), "one") as served:
        (tmp_path / "sulks").touch()
    with pytest.raises(urllib.error.URLError, match="refused"):
        said_by(served)
    (tmp_path / "sulks").unlink()
    with steps.student(model("two"), "two") as served:
        assert said_by(served) == "weights of two"


def test_a_step_that_fails_ends_the_students_server(sleeper):
    """Nothing is left behind by an error or Ctrl-C while a student is asked."""
    steps, model = sleeper
    with pytest.raises(KeyboardInterrupt), steps.student(model("one"), "one") as served:
        raise KeyboardInterrupt
    with pytest.raises(urllib.error.URLError, match="refused"):
        said_by(served)


def test_a_run_is_served_beside_the_sleeping_student(sleeper, tmp_path):
    """The students' server has the first port for good, so the run's models take the next ones."""
    steps, model = sleeper
    with steps.student(model("one"), "one") as student:
        pass
    with steps.serving([(model("evolver"), "evolver")]) as served, pytest.raises(StepFailed):
        assert served[0].spec == "http://127.0.0.1:18796/v1#evolver"
        raise StepFailed
    with pytest.raises(urllib.error.HTTPError, match="503"):
        said_by(student)


def test_weights_are_swapped_on_one_gpu_only():
    """Several were not tried."""
    with pytest.raises(ValueError, match="works with one GPU only"):
        ServeConfig(swap_weights=True, gpus=2)


def test_models_of_one_step_are_served_side_by_side(tmp_path):
    """Each has a port and a name of its own, and its spec leads to it."""
    (tmp_path / "named.py").write_text(NAMED)
    command = ("{python}", str(tmp_path / "named.py"), "{name}:{model}", "{port}")
    config = ServeConfig(command=command, port=18791, ready_s=60)
    with ModelServers(tmp_path, config).serving([("a", "one"), ("b", "two")]) as served:
        assert [one.spec for one in served] == [
            "http://127.0.0.1:18791/v1#one", "http://127.0.0.1:18792/v1#two",
        ]  # fmt: skip
        said = [urllib.request.urlopen(one.spec.split("#")[0]).read() for one in served]
    assert said == [b"one:a", b"two:b"]


def test_a_started_server_is_not_asked_through_a_proxy(sleeper, monkeypatch):
    """It is on loopback; a proxy that the environment names need not reach it."""
    steps, model = sleeper
    with monkeypatch.context() as env:
        env.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        env.delenv("NO_PROXY", raising=False)
        env.delenv("no_proxy", raising=False)
        with steps.student(model("one"), "one") as served:
            env.delenv("HTTP_PROXY")
            assert said_by(served) == "weights of one"
            env.setenv("HTTP_PROXY", "http://127.0.0.1:9")


def test_the_server_command_names_gpus_and_a_front_end_for_each(tmp_path):
    """Every place of the default command is filled; a user's own command need not have them all."""
    script = "import sys; print(*sys.argv[1:]); sys.exit(7)"
    command = ("{python}", "-c", script, *ServeConfig().command[1:])
    config = ServeConfig(command=command, gpus=8, port=18793, ready_s=60)
    with (
        pytest.raises(StepFailed) as failed,
        ModelServers(tmp_path, config).serving([("w", "one")]),
    ):
        pass
    assert "serve w --served-model-name one" in str(failed.value)
    assert "--data-parallel-size 8 --api-server-count 8" in str(failed.value)


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_models_are_asked_in_this_process(tmp_path):
    """A folder by transformers, a GGUF file by llama.cpp; nothing is started, and that is said."""
    pytest.importorskip("transformers")
    assert "vLLM is not installed" in check_servers(ServeConfig())
    servers = ModelServers(tmp_path, ServeConfig())
    with servers.student("models/a", "a") as a, servers.student("b.gguf", "b") as b:
        assert (a.spec, b.spec) == ("hf:models/a", "b.gguf")
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gpus": 2}, "serve.gpus: needs vLLM"),
        ({"swap_weights": True}, "serve.swap_weights: needs vLLM"),
        ({"command": ("no-such-program", "{model}")}, "there is no program no-such-program"),
        ({"command": ("{python}", "-m", "vllm.entrypoints.cli.main")}, "vLLM is not installed"),
    ],
)
def test_servers_that_cannot_be_started_are_refused_before_the_loop_begins(settings, said):
    """Not after the first round and the first training."""
    with pytest.raises(ConfigError, match=said):
        check_servers(ServeConfig(**settings))
