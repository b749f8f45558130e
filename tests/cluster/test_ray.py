"""Sandboxes on a Ray cluster of four simulated nodes, some of which are killed."""

import asyncio
import importlib
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import driver
from evolcoder.app import cluster as app_cluster
from evolcoder.app import models
from evolcoder.cli.main import main
from evolcoder.cluster import replicas
from evolcoder.cluster.check import check_nodes
from evolcoder.cluster.node import SandboxOptions
from evolcoder.cluster.replicas import RayReplica, ReplicaEngine, ServerPlan
from evolcoder.cluster.sandbox import ClusterSandbox
from evolcoder.config.load import ClusterConfig, Config, TrafficConfig
from evolcoder.engine.base import Message, Request, Sampling
from evolcoder.errors import ModelError
from evolcoder.grading.calls import CallTest, grade_calls
from evolcoder.sandbox.base import STRICT_LAYERS, Kind

pytestmark = pytest.mark.cluster
contract = importlib.import_module("sandbox.test_contract")
# The conformance suite of the contract: all of it that does not look inside of one implementation,
# nor measures time, since four simulated nodes share the processors of this machine.
test_status = contract.test_an_execution_says_how_a_program_ended
test_output = contract.test_output_is_cut_at_the_limit
test_memory = contract.test_memory_of_all_processes_together_is_bounded
test_input = contract.test_a_program_reads_what_it_is_given
test_length = contract.test_a_long_program_runs
test_layers = contract.test_every_execution_names_its_layers
test_environment = contract.test_hash_seed_random_time_zone_and_locale_are_fixed
test_isolation = contract.test_what_one_program_changes_the_next_does_not_see
test_leftovers = contract.test_a_program_does_not_find_what_came_before_it_in_memory
test_languages = contract.test_an_unknown_language_is_refused
test_texts = contract.test_any_text_is_an_execution
test_answers = contract.test_any_bytes_on_the_channel_of_answers_are_a_verdict


@pytest.fixture(scope="module")
def sandbox(ray_cluster):
    """The fixture of the contract's suite, over a cluster."""
    with asyncio.Runner() as runner:
        options = SandboxOptions(workers=1, languages=("bash",))
        nodes = ray_cluster.sandbox_nodes()
        starting = ClusterSandbox.start(nodes, options, note=print)
        started = runner.run(starting)
        yield driver.Driver(runner, started)
        runner.run(started.aclose())


def test_a_wrong_answer_ends_the_program_on_its_node(sandbox):
    """The comparison travels with the program, in Python and in another language."""
    loops = "def f(n):\n    while n > 1: pass\n    return 7"
    test = CallTest.of("f", inputs=[(1,), (2,)], expected=[8, 8])
    verdict = sandbox.grade(grade_calls, loops, test)
    assert (verdict.kind, verdict.check) == (Kind.FAILED, 0)


async def test_nodes_are_checked(whole_cluster):
    """Processors, layers and vLLM of each."""
    found = await check_nodes(whole_cluster, "strict")
    assert len(found) == 4
    assert all(set(node.software.layers) >= set(STRICT_LAYERS) for node in found)
    assert not any(node.trouble or node.software.vllm or node.gpus for node in found)
    assert sum(node.cpus for node in found) == 4


async def test_an_actor_that_dies_is_replaced_on_its_node(whole_cluster, capsys):
    """Its program is sent again, and the node stays."""
    async with AsyncExitStack() as stack:
        config = ClusterConfig(address="local:4")
        sandbox = await app_cluster.start_sandbox(config, SandboxOptions(workers=1), stack)
        program = driver.Program("python", "import time\ntime.sleep(1.5)\nprint(6 * 7)")
        running = [asyncio.create_task(sandbox.run(program, driver.QUICK)) for _ in range(4)]
        await asyncio.sleep(0.5)
        place = sandbox._places[0]
        pid = await place.node._actor.__ray_call__.remote(lambda _: os.getpid())
        os.kill(pid, signal.SIGKILL)
        found = await asyncio.gather(*running)
        assert [one.stdout for one in found] == [b"42\n"] * 4
        async with asyncio.timeout(120):
            while not place.is_up:
                await asyncio.sleep(0.1)
        assert len(sandbox.reports) == 4
    assert "its sandbox was started again" in capsys.readouterr().err


async def test_a_model_is_served_by_actors_and_one_that_dies_is_replaced(whole_cluster, capsys):
    """`vllm:ID`, with a small server in the place of vLLM; at the end no server is left."""
    server = str(Path(__file__).with_name("model_server.py"))
    keys = {
        "address": "local:4", "gpus_per_replica": 0, "replicas": 2, "stop_s": 5,
        "serve_command": ["{python}", server, "{host}", "{port}"],
    }  # fmt: skip
    config = Config.model_validate({"evolver": {"model": "vllm:toy"}, "cluster": keys})
    opened = await models.open_model("vllm:toy", config)
    engine = opened.engine
    assert (engine.identity, opened.model, engine.n_servers) == ("vllm", "toy", 2)

    async def ask(n):
        asked = [Request("toy", (Message("user", f"{i}"),), Sampling(0, 1, 9), 7) for i in range(n)]
        return [one.text.split() for one in await asyncio.gather(*map(engine.complete, asked))]

    pid = int((await ask(1))[0][0])
    actor = engine._replicas[0]._actor
    os.kill(await actor.__ray_call__.remote(lambda _: os.getpid()), signal.SIGKILL)
    assert [prompt for _, prompt in await ask(20)] == [f"{i}" for i in range(20)]
    said = ""
    async with asyncio.timeout(120):
        while "starting it again" not in said or len(engine.pool.outstanding) < 2:
            await asyncio.sleep(0.2)
            said += capsys.readouterr().err
    pids = {int(one) for one, _ in await ask(20)} | {pid}
    await engine.aclose()
    await asyncio.sleep(1)
    assert not any(Path(f"/proc/{one}").exists() for one in pids)


async def test_a_replica_that_waits_for_its_gpus_can_be_stopped(whole_cluster):
    """As on Ctrl-C while another driver has the GPUs: its actor could not answer."""
    plan = ServerPlan.of("toy", ClusterConfig(gpus_per_replica=1))
    replica = RayReplica(whole_cluster, plan, 1)
    starting = asyncio.create_task(replica.start())
    done, _ = await asyncio.wait([starting], timeout=2)
    assert not done
    starting.cancel()
    async with asyncio.timeout(30):
        await replica.stop()


async def test_gpus_that_another_program_holds_are_named_in_one_line(whole_cluster, monkeypatch):
    """The other replicas and all that waits end with it."""
    monkeypatch.setattr(replicas, "PLACED_S", 1.0)
    plan = ServerPlan.of("toy", ClusterConfig(gpus_per_replica=1))
    waiting = [RayReplica(whole_cluster, plan, n) for n in (1, 2)]
    with pytest.raises(ModelError, match=r"^replica \d of toy: no node had 1 free GPUs within 1 s"):
        async with asyncio.timeout(60):
            await ReplicaEngine.start(waiting, str, TrafficConfig(), restarts=0, note=print)


def test_the_command_reports_the_cluster(whole_cluster, capsys, tmp_path):
    """One line for each node, a sum, and the servers of a config that fit."""
    assert main(["cluster", "check", "--cluster", "local:4"]) == 0
    assert "4 of 4 nodes run programs; 4 CPUs, 0 GPUs" in capsys.readouterr().out
    config = tmp_path / "config.yaml"
    config.write_text("evolver: {model: vllm:toy}\ncluster: {address: 'local:4', replicas: 3}\n")
    check = ["cluster", "check", "--config", str(config)]
    assert main([*check, "--set", "cluster.gpus_per_replica=0"]) == 0
    assert "3 servers of toy with 0 GPUs each fit" in capsys.readouterr().out
    assert main(check) == 2
    assert "wanted are 3 of toy with 1 GPUs each, and the nodes have" in capsys.readouterr().err


def test_nodes_without_a_package_are_refused_by_name(whole_cluster, capsys, tmp_path):
    """Before anything starts there: by `cluster check`, by a run's sandbox and by its servers."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"instruction": "Print 1.", "output": "```python\\nprint(1)\\n```"}\n')
    there = ["--cluster", "local:4", "--set", "cluster.packages=[no-such-package>=2]"]
    said = "cluster.packages wants no-such-package>=2, which is not installed"
    assert main(["cluster", "check", *there]) == 1
    found = capsys.readouterr()
    assert found.out.count(said) == 4
    assert main(["verify", str(rows), "--out", str(tmp_path / "out"), *there]) == 2
    shown = capsys.readouterr().err.splitlines()
    (line,) = (one for one in shown if one.startswith("evolcoder: "))  # without progress
    assert line.count(said) == 4
    flags = ["--seeds", str(rows), "--model", "vllm:toy", "--set", "cluster.gpus_per_replica=0"]
    assert main(["run", *flags, "--out", str(tmp_path / "run"), *there]) == 2
    assert said in capsys.readouterr().err
