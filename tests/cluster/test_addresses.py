"""Wrong addresses of clusters and servers: one line, before Ray is imported."""

import asyncio
import re
import socket
import sys
import threading
from importlib.metadata import PackageNotFoundError

import pytest

from evolcoder.app import models
from evolcoder.cli.main import main
from evolcoder.cluster import ray_cluster
from evolcoder.config.load import Config, load
from evolcoder.engine.server_pool import ServerPool
from evolcoder.errors import ConfigError, ModelError
from loopback import Loopback, in_thread


@pytest.fixture(autouse=True)
def _without_ray(monkeypatch):
    """As if Ray were installed, and not importable."""
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: name)
    monkeypatch.setattr(ray_cluster, "version", lambda name: "2.60.0")
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.parametrize(
    "address",
    ["foo", "local:0", "local:17", "local:x", "http://h:1", "h:0", "h:70000", "ray://h:1"],
)
def test_an_address_of_another_form_is_refused_by_the_config(address, capsys):
    """It names the key and the forms."""
    assert main(["run", "--cluster", address]) == 2
    line = capsys.readouterr().err
    assert "cluster.address: write" in line
    assert line.count("\n") == 1


def test_an_address_where_no_ray_answers_is_one_line(tmp_path, capsys):
    """A closed port, a server of HTTP, and a port that says nothing."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"instruction": "Print 1.", "output": "```python\\nprint(1)\\n```"}\n')
    command = ["verify", str(rows), "--out", str(tmp_path / "out"), "--cluster"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    assert main([*command, f"127.0.0.1:{closed}"]) == 2
    assert "no connection (Connection refused); start Ray there" in capsys.readouterr().err
    with in_thread() as server:
        assert main([*command, f"127.0.0.1:{server.port}"]) == 2
    assert "this is no Ray cluster" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_grpc_server_is_recognised():
    """By the first frame that it sends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            client, _ = listener.accept()
            with client:
                client.recv(64)
                client.sendall(bytes(3) + b"\x04" + bytes(5))

        thread = threading.Thread(target=answer)
        thread.start()
        ray_cluster._check_server(f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()


def test_without_ray_the_message_says_what_to_install(monkeypatch):
    """Here and on every node."""
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'evolcoder\[ray\]'"):
        with ray_cluster.connected("auto"):
            pass


@pytest.mark.parametrize("installed", ["2.55.1", "3.0.0", "3.0.0.dev1"])
def test_a_version_of_ray_that_is_not_supported_is_one_line(installed, monkeypatch):
    """With what is installed and what is needed, before Ray is imported or an address is asked."""
    monkeypatch.setattr(ray_cluster, "version", lambda name: installed)
    said = rf"Ray {re.escape(installed)} is installed, and evolcoder needs ray<3,>=2.56; install it"
    with pytest.raises(ConfigError, match=said):
        with ray_cluster.connected("127.0.0.1:1"):
            pass


def test_a_folder_named_ray_is_no_installed_ray(monkeypatch):
    """It would be imported in place of the package."""

    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(ray_cluster, "version", version)
    with pytest.raises(ConfigError, match="no installed package; install it with"):
        with ray_cluster.connected("auto"):
            pass


def test_an_address_in_brackets_reaches_the_check(capsys):
    """`cluster check` takes the flag as text, as the other verbs do."""
    for address, said in (("[::1]:1", "[::1]:1: no connection"), ("~", "(seen: '~')")):
        assert main(["cluster", "check", "--cluster", address]) == 2
        assert said in capsys.readouterr().err


def test_a_config_without_a_cluster_is_stored_as_before():
    """And one with a cluster determines the same rows."""
    plain, clustered = Config(), load(None, ["cluster.address=local:2"])
    assert "cluster" not in plain.model_dump(mode="json")
    assert clustered.model_dump(mode="json")["cluster"]["address"] == "local:2"
    assert clustered.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("cluster.serve_command=[]", "cluster.serve_command: must have 1 or more entries"),
        ("cluster.sandboxes_per_node=0", "cluster.sandboxes_per_node"),
        ("cluster.sandboxes_per_node=two", "cluster.sandboxes_per_node"),
        ("cluster.replicas=0", "cluster.replicas: write a number of at least 1, or one for each"),
        ("cluster.replicas=two", "cluster.replicas: write a number of at least 1"),
        ("cluster.replicas=1.5", "cluster.replicas: write a number"),
        ("cluster.replicas=true", "cluster.replicas: write a number"),
        ("cluster.replicas=[1]", "cluster.replicas: write a number"),
        ("cluster.replicas={}", "cluster.replicas: write a number"),
        ("cluster.replicas={m: 0}", "cluster.replicas: write a number"),
        ("cluster.replicas={1: 2}", "cluster.replicas: write a number"),
        ("cluster.gpus_per_replica=-1", "cluster.gpus_per_replica: write a number of at least 0"),
        ("cluster.gpus_per_replica=null", "cluster.gpus_per_replica: write a number"),
        ("cluster.gpus_per_replica={m: x}", "cluster.gpus_per_replica: write a number"),
        ("cluster.packages=vllm", "cluster.packages"),
        ("cluster.packages=[--index-url=http://x]", "cluster.packages: '--index-url"),
        ("cluster.packages=[vllm 0.12]", "cluster.packages: 'vllm 0.12' is no package"),
        ("cluster.packages=['vllm>=x']", "cluster.packages: 'vllm>=x' is no package"),
        ("cluster.package=[vllm]", "unknown key cluster.package; did you mean cluster.packages?"),
        ("cluster.gpus=1", "unknown key cluster.gpus; did you mean cluster.gpus_per_replica?"),
        ("cluster=3", "cluster"),
    ],
)
def test_an_odd_value_of_the_section_is_one_line(capsys, override, said):
    """With the key, and exit 2; nothing was started."""
    assert main(["cluster", "check", "--cluster", "local:2", "--set", override]) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1


def test_the_whole_section_is_read_and_stored():
    """Numbers by model too; an empty section is none."""
    keys = {
        "address": "h:6379", "sandboxes_per_node": 8, "packages": ["vllm>=0.12,<1", "x[y]==1.0.*"],
        "replicas": {"org/m": 2}, "gpus_per_replica": {"org/m": 4},
    }  # fmt: skip
    found = Config.model_validate({"cluster": keys})
    stored = found.model_dump(mode="json")["cluster"]
    assert {key: stored[key] for key in keys} == keys
    assert Config.model_validate({"cluster": stored}) == Config.model_validate({"cluster": keys})
    cluster = found.cluster
    assert (cluster.replicas_of("org/m"), cluster.gpus_of("org/m")) == (2, 4)
    assert (cluster.replicas_of("n"), cluster.gpus_of("n")) == (None, 1)
    assert Config.model_validate({"cluster": None}) == Config()


def test_a_number_for_a_model_that_no_role_has_is_refused(capsys):
    """Before Ray starts, with the nearest model."""
    flags = ["--set", "evolver.model=vllm:org/qwen", "--set", "cluster.replicas={org/quen: 2}"]
    assert main(["cluster", "check", "--cluster", "local:2", *flags]) == 2
    said = capsys.readouterr().err
    assert "cluster.replicas: no role has the model vllm:org/quen; did you mean org/qwen?" in said
    assert main(["cluster", "check", "--cluster", "local:2", *flags[2:]]) == 2
    assert "none has a model vllm:ID" in capsys.readouterr().err


def test_several_servers_are_one_model():
    """With one identity, credentials apart; other addresses of it determine the same rows."""
    spec = "http://me:hunter2@a:1/v1,http://b:2/v1#toy"
    one, several = (load(None, [f"evolver.model={x}"]) for x in ("http://c/v1#toy", spec))
    assert several.fingerprint == one.fingerprint
    assert "hunter2" not in several.model_dump_json()

    async def opened():
        async with Loopback() as first, Loopback() as second:
            urls = f"{first.base_url},{second.base_url}"
            found = await models.open_model(f"{urls}#toy", Config())
            await found.engine.aclose()
            return found, urls

    found, urls = asyncio.run(opened())
    assert isinstance(found.engine, ServerPool)
    assert (found.engine.identity, found.model) == (urls, "toy")


@pytest.mark.parametrize(
    ("spec", "sets", "why"),
    [
        ("http://a/v1?v=1,http://b/v1?v=2#m", [], "different parameters"),
        ("http://a/v1,http://b/v1#m", ["traffic.batch=true"], "name one address"),
        ("http://a/v1,http://b/v1", [], "names a server but no model"),
        ("vllm:org/model", [], "name the cluster that serves it with --cluster"),
    ],
)
def test_a_spec_that_no_engine_can_be_made_of_is_refused(spec, sets, why):
    """Before anything is asked or started."""
    config = load(None, sets)
    with pytest.raises((ConfigError, ModelError), match=why):
        asyncio.run(models.open_model(spec, config))
