"""Measures one pass of one client against a fresh server, on both sides."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.process import Ended, run
from harness.venvs import VenvError
from orchestration import load
from orchestration.clients import Client, Job, variables


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked of a client."""

    n_requests: int
    """Requests, over all of its work."""
    in_flight: int
    """Most requests at once, where the client can be told."""
    latency_s: float
    """Time that the server takes for an answer."""
    prompt_chars: int = 1000
    """Length of a prompt; evolcoder's follows from its seeds and templates."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What was measured in one pass."""

    client: str
    """Short name of the client."""
    latency_s: float
    """Of the server."""
    done: int = 0
    """Requests that were answered, and stored where the client stores."""
    wall_s: float = 0.0
    """From the start of the process to its end."""
    cpu_s: float = 0.0
    """User and system time of the process tree."""
    peak_mb: float = 0.0
    """Resident size of its largest process, at its peak."""
    first_request_s: float = 0.0
    """From the start of the process to the first request at the server."""
    driving_s: float = 0.0
    """From the first request to the last answer."""
    in_flight: int = 0
    """Most requests at the server at once."""
    prompt_chars: float = 0.0
    """Mean length of a request's messages."""
    answer_chars: float = 0.0
    """Mean length of an answer."""
    server_cpu_s: float = 0.0
    """Processor time of the server."""
    failure: str = ""
    """Why there are no figures, or why they are not to be trusted."""

    @property
    def per_second(self) -> float:
        """Completed requests per second of the whole command."""
        return self.done / self.wall_s

    @property
    def per_second_driving(self) -> float:
        """Completed requests per second from the first request to the last answer."""
        return self.done / self.driving_s

    @property
    def per_cpu_second(self) -> float:
        """Completed requests per second of processor time."""
        return self.done / self.cpu_s

    @property
    def cpu_ms_each(self) -> float:
        """Milliseconds of processor time for one completed request."""
        return 1000.0 * self.cpu_s / self.done


class Loopback:
    """The server, as a process of its own."""

    def __init__(self, latency_s: float) -> None:
        command = [sys.executable, str(Path(__file__).with_name("server.py")), str(latency_s)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._said = self._process.stdout
        self.base_url = f"http://127.0.0.1:{int(self._said.readline())}/v1"

    def end(self) -> dict[str, float]:
        """Stop it and return what it counted."""
        self._process.send_signal(signal.SIGTERM)
        seen: dict[str, float] = json.loads(self._said.readline())
        self._process.wait()
        self._said.close()
        return seen


def measure(name: str, client: Client, work: Load, folder: Path) -> Pass:
    """Run one client in a new folder, which is removed again unless the client failed."""
    (folder / "out").mkdir(parents=True)
    load.write_seeds(folder / "seeds.jsonl", work.n_requests)
    load.write_prompts(folder / "prompts.jsonl", work.n_requests, work.prompt_chars)
    server = Loopback(work.latency_s)
    job = Job(server.base_url, folder, work.in_flight)
    try:
        ended = run(client.command(job), folder, variables())
    except VenvError as error:
        return Pass(name, work.latency_s, failure=str(error))
    finally:
        seen = server.end()
    done = min(int(seen["answers"]), client.count(job, ended.printed))
    failure = ended.failure or ("" if done >= work.n_requests else f"only {done} completed")
    if not failure:
        shutil.rmtree(folder)
    return _pass(Pass(name, work.latency_s, done, failure=failure), ended, seen)


def _pass(begun: Pass, ended: Ended, seen: dict[str, float]) -> Pass:
    n = max(seen["answers"], 1)
    return Pass(
        begun.client,
        begun.latency_s,
        begun.done,
        wall_s=ended.wall_s,
        cpu_s=ended.cpu_s,
        peak_mb=ended.peak_mb,
        first_request_s=seen["first_request_at"] - ended.started,
        driving_s=seen["last_answer_at"] - seen["first_request_at"],
        in_flight=int(seen["peak_in_flight"]),
        prompt_chars=seen["prompt_chars"] / n,
        answer_chars=seen["answer_chars"] / n,
        server_cpu_s=seen["cpu_s"],
        failure=begun.failure,
    )
