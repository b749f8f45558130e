"""Cluster tests may be coroutines; those under the mark `cluster` use a Ray cluster.

Each file of such tests has one of its own, and they take turns: one cluster runs at a time, also
where files run side by side.
"""

import asyncio
import fcntl
import inspect
import warnings
from contextlib import ExitStack
from importlib.util import find_spec

import pytest

from evolcoder.errors import ConfigError

N_NODES = 4
TURN_S = 1800
"""Timeout of a test, since it may wait for the other files."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**arguments))
    return True


def pytest_itemcollected(item):
    if item.get_closest_marker("cluster"):
        item.add_marker(pytest.mark.timeout(TURN_S))


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    """The right to run a cluster on this machine."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: `make ray` installs it")
    with (tmp_path_factory.getbasetemp().parent / "ray.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def ray_cluster(turn):
    """Some simulated nodes on loopback."""
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
