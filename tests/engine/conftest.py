"""Engine tests may be coroutines; under the mark `virtual_time`, waiting takes no real time."""

import asyncio
import inspect

import pytest

import virtual_time


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "virtual_time: run on a clock that is put on, not waited for"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    main = pyfuncitem.obj(**arguments)
    if pyfuncitem.get_closest_marker("virtual_time"):
        virtual_time.run(main)
    else:
        asyncio.run(main)
    return True
