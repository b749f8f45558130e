"""Sandboxes on a Ray cluster of four simulated nodes, some of which are killed."""

import asyncio
import importlib
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import driver
from evolcoder.app import cluster as app_cluster
from evolcoder.app import models, verify
from evolcoder.cli.main import main
from evolcoder.cluster.check import check_nodes
from evolcoder.cluster.node import SandboxOptions
from evolcoder.cluster.sandbox import ClusterSandbox
from evolcoder.config.load import Config
from evolcoder.engine.base import Message, Request, Sampling
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


@pytest.fixture(scope="session")
def sandbox(ray_cluster):
    """The fixture of the contract's suite, over a cluster."""
    with asyncio.Runner() as runner:
        options = SandboxOptions(workers=1, languages=("bash",))
        starting = ClusterSandbox.start(ray_cluster.sandbox_nodes(), options, note=print)
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


def write_rows(path, n=60):
    """Rows whose programs pass, fail, and run into their limit."""
    programs = ("print({0})", "1 / 0", "import sys; sys.exit({0} % 3)", "print('{0}' * 9)")
    lines = []
    for i in range(n):
        source = "while True: pass" if i % 20 == 7 else programs[i % 4].format(i)
        answer = f"Here:\n\n```python\n{source}\n```\n"
        lines.append(json.dumps({"instruction": f"Write program {i}.", "output": answer}))
    path.write_text("\n".join(lines))
    return path


def verify_config(rows, address=None):
    return Config.model_validate(
        {
            "seeds": {"path": str(rows)},
            "budget": {"rounds": 0},
            "verify": {"when": "always", "seeds": True, "checks": ["runs"], "cpu_s": 1.0},
            "cluster": {"address": address},
        }
    )


async def verdicts_of(config, folder):
    """Verify a data set; return all verdicts and drops, row by row."""
    await verify.verify_rows(config, folder)
    with verify.RunStore.read(folder) as store:
        return verify.write_verdicts(store).read_text()


@pytest.fixture(scope="session")
def on_one_machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    rows = write_rows(folder / "rows.jsonl")
    found = asyncio.run(verdicts_of(verify_config(rows), folder / "run"))
    assert len(found.splitlines()) == 60
    return rows, found


def raylet_of(name, ray_cluster):
    """The process of a simulated node, by the beginning of its id."""
    nodes = [*ray_cluster.simulated.worker_nodes]
    return next(node for node in nodes if node.node_id.startswith(name.partition("/")[2]))


@pytest.mark.parametrize("after", [1, 20, 45])
async def test_a_node_that_is_killed_changes_no_row(
    whole_cluster, on_one_machine, tmp_path, monkeypatch, after
):
    """Killed while it has programs, at several instants: the verdicts are those of one machine."""
    rows, expected = on_one_machine
    killed = []
    start = app_cluster.ClusterSandbox.start

    async def start_and_watch(nodes, options, *, note):
        sandbox = await start(nodes, options, note=note)
        run, n_done = sandbox.run, 0

        async def run_and_kill(program, limits):
            nonlocal n_done
            execution = await run(program, limits)
            n_done += 1
            if n_done >= after and not killed:
                head = whole_cluster.simulated.head_node.node_id
                for name, out in sandbox.outstanding.items():
                    if out and not head.startswith(name.partition("/")[2]):
                        killed.append(name)
                        node = raylet_of(name, whole_cluster)
                        whole_cluster.simulated.remove_node(node, allow_graceful=False)
                        break
            return execution

        sandbox.run = run_and_kill
        return sandbox

    monkeypatch.setattr(app_cluster.ClusterSandbox, "start", start_and_watch)
    found = await verdicts_of(verify_config(rows, "local:4"), tmp_path / "run")
    assert killed
    assert found == expected


async def test_an_actor_that_dies_is_replaced_on_its_node(whole_cluster, capsys):
    """Its program is sent again, and the node stays."""
    async with AsyncExitStack() as stack:
        config = verify_config("unused", "local:4").cluster
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


def test_the_command_reports_the_cluster(whole_cluster, capsys):
    """One line for each node and a sum."""
    assert main(["cluster", "check", "--cluster", "local:4"]) == 0
    assert "4 of 4 nodes run programs; 4 CPUs, 0 GPUs" in capsys.readouterr().out
