"""Nodes die while a run evolves, answers and verifies: its tables are those of one machine."""

import asyncio
import itertools

import pytest

import toys
from all_tables import tables_of
from evolcoder.app import cluster as app_cluster
from evolcoder.app.evolve import evolve_run
from evolcoder.app.models import OpenedModels
from evolcoder.cluster import sandbox as cluster_sandbox
from evolcoder.config.load import Config

pytestmark = pytest.mark.cluster
SPEC = "scripted:toys"
N_SEEDS = 32
N_RUNS, N_KILLS = 5, 5
"""Every run loses so many nodes: 25 instants in all."""


def config_of(seeds, address=None):
    """Two rounds; every answer is run, those of the seeds too; rows may be alike."""
    return Config.model_validate(
        {
            "seeds": {"path": str(seeds)},
            "evolver": {"model": SPEC},
            "evolve": {"style": "append"},
            "budget": {"rounds": 2},
            "verify": {"when": "always", "seeds": True, "checks": ["runs"]},
            "clean": {"near": None},
            "cache": str(seeds.parent / "completions.db") if address is None else None,
            "cluster": {"address": address, "sandboxes_per_node": 2},
        }
    )


async def tables_after(config, folder):
    """Run, and return all tables."""
    await evolve_run(config, folder, {SPEC: OpenedModels(toys.engine(), "toy")})
    return tables_of(folder)


@pytest.fixture(scope="module")
def on_one_machine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    seeds = toys.seeds_file(folder / "seeds.jsonl", N_SEEDS)
    return seeds, asyncio.run(tables_after(config_of(seeds), folder / "run"))


class Killer:
    """Kills a node at each of some numbers of finished programs, and adds another for it.

    The node has programs then, none of which another death has already moved: nodes that die twice
    under one program are another test's.
    """

    def __init__(self, cluster, instants):
        self.killed = []
        """Finished programs at each kill."""
        self._cluster = cluster
        self._instants = list(instants)
        self._n_done = 0
        self._has_nodes = asyncio.Event()
        self._has_nodes.set()
        self._adding = []
        self._n_adding = 0
        """Nodes that are being added."""
        self._moved = set()
        """Numbers of the programs that dead nodes had."""

    def watch(self, sandbox):
        """Look at every program that ends."""
        run = sandbox.run

        async def run_and_look(program, limits):
            await self._has_nodes.wait()
            execution = await run(program, limits)
            self._n_done += 1
            if self._instants and self._n_done >= self._instants[0]:
                self._kill(sandbox)
            return execution

        sandbox.run = run_and_look

    def _kill(self, sandbox):
        nodes = {node.node_id: node for node in self._cluster.simulated.worker_nodes}
        for place in sandbox._places:
            node = nodes.get(place.node._id)
            has_only_new = place.out and self._moved.isdisjoint(place.out)
            if node is not None and place.is_up and has_only_new:
                del self._instants[0]
                self._moved.update(place.out)
                self.killed.append(self._n_done)
                self._cluster.simulated.remove_node(node, allow_graceful=False)
                self._has_nodes.clear()
                self._n_adding += 1
                self._adding.append(asyncio.create_task(self._add(sandbox, place)))
                return

    async def _add(self, sandbox, dead):
        """Add a node; programs wait until the death is noticed and enough are left for the next."""
        async with asyncio.timeout(120):
            while dead in sandbox._places and dead.is_up:
                await asyncio.sleep(0.02)
            self._cluster.add_simulated(waits=False)
            while sum(place.is_up for place in sandbox._places) < 3:
                await asyncio.sleep(0.02)
        self._n_adding -= 1
        if not self._n_adding:  # another node may have died meanwhile: it needs its own
            self._has_nodes.set()


@pytest.mark.parametrize("number", range(N_RUNS))
async def test_a_run_that_loses_nodes_has_the_rows_of_one_machine(
    whole_cluster, on_one_machine, tmp_path, monkeypatch, capsys, number
):
    """Five nodes die in each of five runs, at 25 instants from the first programs to the last."""
    seeds, expected = on_one_machine
    n_programs = len(expected["verdicts"])
    step = n_programs * 0.6 / (N_RUNS * N_KILLS)
    instants = [1 + round(step * (number + N_RUNS * n)) for n in range(N_KILLS)]
    killer, start = Killer(whole_cluster, instants), app_cluster.ClusterSandbox.start

    async def start_and_watch(nodes, options, **others):
        sandbox = await start(nodes, options, **others)
        killer.watch(sandbox)
        return sandbox

    monkeypatch.setattr(app_cluster.ClusterSandbox, "start", start_and_watch)
    monkeypatch.setattr(cluster_sandbox, "JOIN_S", 0.2)
    found = await tables_after(config_of(seeds, "local:4"), tmp_path / "run")
    assert len(killer.killed) == N_KILLS, killer.killed
    assert all(later > one for one, later in itertools.pairwise(killer.killed))
    assert capsys.readouterr().err.count("has joined") >= 1
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name] == rows, name
