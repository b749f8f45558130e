"""Cluster tests may be coroutines; those under the mark `cluster` share one Ray cluster.

Only one cluster runs at a time: a test that starts another one closes the shared one first, which
starts again for the next that needs it.
"""

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


class Simulated:
    """Simulated nodes on loopback, started when they are asked for."""

    def __init__(self):
        self._stack = ExitStack()
        self._cluster = None

    def start(self):
        """Return the cluster, which has `N_NODES` nodes when it is new."""
        if self._cluster is None:
            self._cluster = self._start()
        return self._cluster

    def _start(self):
        from evolcoder.cluster.ray_cluster import connected

        for n_left in (2, 1, 0):
            try:
                return self._stack.enter_context(connected(f"local:{N_NODES}"))
            except ConfigError as error:  # Ray gives a node 30 s, of which busy machines need more
                if "timed out during startup" not in str(error) or not n_left:
                    raise
        return None

    def close(self):
        """End it, if it runs."""
        self._cluster = None
        self._stack.close()


@pytest.fixture(scope="session")
def simulated():
    """The cluster of simulated nodes, which may be started and closed."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: `make ray` installs it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, while it starts
        found = Simulated()
        yield found
        found.close()


@pytest.fixture
def ray_cluster(simulated):
    """Some simulated nodes on loopback."""
    return simulated.start()


@pytest.fixture
def whole_cluster(ray_cluster):
    """The same with all its nodes: killed ones are replaced."""
    while len(ray_cluster.nodes()) < N_NODES:
        ray_cluster.add_simulated()
    return ray_cluster
