"""Engine tests may be coroutines; under the mark `virtual_time`, waiting takes no real time."""

import asyncio
import inspect
import shutil
import ssl
import subprocess

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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A key and a self-signed certificate for 127.0.0.1 and model.example."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key = path.with_suffix(".key")
    names = "subjectAltName=IP:127.0.0.1,DNS:model.example"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-days", "2", "-subj", "/CN=model.example", "-addext", names, "-keyout", key, "-out", path],
        check=True,
        capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def tls(certificate):
    """The TLS context of a server with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
