"""Starts a model server, waits until it is ready, and stops it: vLLM or any compatible server.

Guarantees: once `wait_until_ready` returns, the server answers at its URL; after the context of
`started`, its process, identified by its PID, and those that it started are gone. It does not
outlive this process, however that dies. A server that exits early or is not ready in time raises a
`StepFailed` with its last log line.

>>> log = Path("log.txt")
>>> with started(command, url, log=log, stop_s=30) as process:   # doctest: +SKIP
...     wait_until_ready(process, url, log, 600)
...     ask(url)
"""

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from evolcoder.errors import StepFailed
from evolcoder.storage.atomic import open_to_append
from evolcoder.text import one_line

INTERRUPT_S = 0.5
"""How often waiting for a process is interrupted, so that signal handlers run."""
END_WITH_PARENT = (sys.executable, "-S", str(Path(__file__).with_name("end_with_parent.py")))
POLL_S = 0.2
"""Polling interval while a server starts."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks a server on loopback, whatever proxies the environment names."""
TAIL_CHARS = 2000


def with_death_signal(command: Sequence[str], death: signal.Signals) -> list[str]:
    """Wrap a command so that it receives a signal when this process dies."""
    return [*END_WITH_PARENT, str(int(death)), str(os.getpid()), *command]


def with_subreaper(command: Sequence[str]) -> list[str]:
    """Wrap a command so that it and all that it started end when this process dies or on SIGTERM.

    SIGKILL to the wrapper ends only the command itself.
    """
    return with_death_signal([*END_WITH_PARENT, "--all", *command], signal.SIGTERM)


def log_tail(log: Path) -> str:
    """Return the last nonblank line of a log."""
    with suppress(OSError):
        text = log.read_bytes()[-TAIL_CHARS:].decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return one_line(lines[-1], 300) if lines else "the log is empty"
    return "no log"


@contextmanager
def started(
    command: Sequence[str],
    url: str,
    *,
    log: Path,
    stop_s: float,
    environment: Mapping[str, str] | None = None,
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a server without waiting for it; stop it at the end, ready or not.

    Its environment is ours plus `environment`. Yields its process.
    """
    _wait_for_port(url, stop_s)
    with open_to_append(log, inside=log.parent) as file:
        process = subprocess.Popen(
            with_death_signal(command, signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        _stop(process, stop_s)


def _wait_for_port(url: str, most_s: float) -> None:
    """Wait until the port is free, since an earlier session's server may still be running."""
    place = urlsplit(url)
    address, ends = (place.hostname or "127.0.0.1", place.port or 80), time.monotonic() + most_s
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if time.monotonic() > ends:
                    raise StepFailed(
                        f"serve.port: {address[1]} is in use by another process; set another port"
                    ) from error
            else:
                return
        time.sleep(POLL_S)


def wait_until_ready(
    process: "subprocess.Popen[bytes]",
    url: str,
    log: Path,
    ready_s: float,
    *,
    section: str = "serve",
) -> None:
    """Wait until a started server answers; raises `StepFailed` if it ends first or takes longer.

    `section` of the config has `ready_s`.
    """
    ends = time.monotonic() + ready_s
    while not _answers(url):
        if process.poll() is not None:
            raise StepFailed(
                f"the server exited with code {process.returncode} before it was ready: "
                f"{log_tail(log)} (full log: {log})"
            )
        if time.monotonic() > ends:
            raise StepFailed(
                f"the server was not ready within {ready_s:g} s ({section}.ready_s): "
                f"{log_tail(log)} (full log: {log})"
            )
        time.sleep(POLL_S)


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(f"{url}/models", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: "subprocess.Popen[bytes]", stop_s: float) -> None:
    """Terminate the process, and after `stop_s` kill what is left of its session."""
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(stop_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_interruptibly(process: "subprocess.Popen[bytes]", timeout_s: float | None = None) -> int:
    """Wait for a process, waking up regularly: a signal just before a wait interrupts nothing."""
    ends = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
    while (left := ends - time.monotonic()) > INTERRUPT_S:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(INTERRUPT_S)
    return process.wait(max(left, 0.0))


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer SIGINT and SIGTERM until the context ends, if their handlers may raise.

    An exception within `Popen` would lose a started process, which nothing could then end.
    """
    deferred: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # only it runs handlers
    handled = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {one: now for one in handled if callable(now := signal.getsignal(one))}
    for one in before:
        signal.signal(one, lambda number, _: deferred.append(number))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in deferred[:1]:
            signal.raise_signal(number)
