"""Cluster tests may be coroutines; those under the mark `cluster` share one Ray cluster."""

import asyncio
import inspect
import warnings
from importlib.util import find_spec

import pytest

N_NODES = 4


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


@pytest.fixture(scope="session")
def ray_cluster():
    """Four simulated nodes on loopback."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: `make ray` installs it")
    from evolcoder.cluster.ray_cluster import connected

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, while it starts
        with connected(f"local:{N_NODES}") as cluster:
            yield cluster


@pytest.fixture
def whole_cluster(ray_cluster):
    """The same with all its nodes: killed ones are replaced."""
    while len(ray_cluster.nodes()) < N_NODES:
        ray_cluster.simulated.add_node(
            node_ip_address="127.0.0.1", num_cpus=1, object_store_memory=80 << 20
        )
    return ray_cluster
