"""A model server that we start, wait for, and put away: vLLM, or whatever serves the same API.

Promises: while the context lasts the server answers at its URL; afterwards its process, known by
its own id, and what it started are gone. It does not outlive us, whatever we die of. A server that
ends early, or is not ready in time, is a `StepFailed` with the last lines that it said.

>>> with server(command, url, log=Path("log.txt"), ready_s=600, stop_s=30):   # doctest: +SKIP
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

LOOK_UP_S = 0.5
"""How often a wait for a process is interrupted, so that signals are heard."""
TETHER = Path(__file__).with_name("pdeathsig.py")
WARDEN = Path(__file__).with_name("subreaper.py")
LOOK_S = 0.2
"""How often a server that is starting is looked at."""
TAIL_CHARS = 2000


def tethered(command: Sequence[str], death: signal.Signals) -> list[str]:
    """Return a command that gets a signal when this process dies."""
    return [sys.executable, "-S", str(TETHER), str(int(death)), str(os.getpid()), *command]


def guarded(command: Sequence[str]) -> list[str]:
    """Return a command that ends with all that it started, when this process dies or on SIGTERM.

    SIGKILL would end the command alone.
    """
    return tethered([sys.executable, "-S", str(WARDEN), *command], signal.SIGTERM)


def last_words(log: Path) -> str:
    """Return the last line of a log that says something."""
    with suppress(OSError):
        text = log.read_bytes()[-TAIL_CHARS:].decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return one_line(lines[-1], 300) if lines else "it said nothing"
    return "it left no log"


@contextmanager
def server(
    command: Sequence[str],
    url: str,
    *,
    log: Path,
    ready_s: float,
    stop_s: float,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Start a server, its environment ours and what is given, and wait until `url`/models answers.

    It is stopped at the end.
    """
    _wait_for_port(url, stop_s)
    with open_to_append(log, inside=log.parent) as file:
        process = subprocess.Popen(
            tethered(command, signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    try:
        _wait_until_ready(process, url, log, ready_s)
        yield
    finally:
        _stop(process, stop_s)


def _wait_for_port(url: str, most_s: float) -> None:
    """Wait until nobody listens there: an earlier session's server may still be going."""
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
                        f"serve.port: {address[1]} is in use by another process; name another"
                    ) from error
            else:
                return
        time.sleep(LOOK_S)


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", url: str, log: Path, ready_s: float
) -> None:
    ends = time.monotonic() + ready_s
    while not _answers(url):
        if process.poll() is not None:
            raise StepFailed(
                f"the server ended with code {process.returncode} before it was ready: "
                f"{last_words(log)} (all of it in {log})"
            )
        if time.monotonic() > ends:
            raise StepFailed(
                f"the server was not ready within {ready_s:g} s (serve.ready_s): {last_words(log)}"
            )
        time.sleep(LOOK_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/models", timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: "subprocess.Popen[bytes]", stop_s: float) -> None:
    """End the process, and at the end of its time what is left of its session."""
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(stop_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def waited(process: "subprocess.Popen[bytes]", timeout_s: float | None = None) -> int:
    """Wait for a process, and look up now and then: a signal as a wait begins wakes nobody up."""
    ends = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
    while (left := ends - time.monotonic()) > LOOK_UP_S:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(LOOK_UP_S)
    return process.wait(max(left, 0.0))


@contextmanager
def not_now() -> Iterator[None]:
    """Put SIGINT and SIGTERM off until the context is left, where they would raise something.

    An exception amid `Popen` loses a process that has been started, and nobody could end it.
    """
    heard_now: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # no other runs handlers
    told = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {one: now for one in told if callable(now := signal.getsignal(one))}
    for one in before:
        signal.signal(one, lambda number, _: heard_now.append(number))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in heard_now[:1]:
            signal.raise_signal(number)
