"""Cluster tests may be coroutines; those under the mark `cluster` share one Ray cluster."""

import asyncio
import inspect
import warnings
from contextlib import ExitStack
from importlib.util import find_spec

import pytest

from evolcoder.errors import ConfigError

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

    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")  # Ray's own, while it starts
        for n_left in (2, 1, 0):
            try:
                cluster = stack.enter_context(connected(f"local:{N_NODES}"))
                break
            except ConfigError as error:  # Ray gives a node 30 s, of which busy machines need more
                if "timed out during startup" not in str(error) or not n_left:
                    raise
        yield cluster


@pytest.fixture
def whole_cluster(ray_cluster):
    """The same with all its nodes: killed ones are replaced."""
    while len(ray_cluster.nodes()) < N_NODES:
        ray_cluster.add_simulated()
    return ray_cluster
