"""The measured clients: the command of each, and how to count its stored answers."""

import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.venvs import BENCH, python_of

HERE = Path(__file__).parent
_TOKENS = "curator/lib/*/site-packages/litellm/litellm_core_utils/tokenizers"
"""Where litellm brings the vocabulary that curator would fetch otherwise."""
BIN = Path(sys.executable).parent
"""Folder of the interpreter that runs this, and of its `evolcoder`."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a client is to do in one pass."""

    base_url: str
    """The loopback server, up to /v1."""
    folder: Path
    """A folder of this pass; holds `seeds.jsonl` and `prompts.jsonl`."""
    in_flight: int
    """Most requests at once, where the client can be told."""

    @property
    def out(self) -> Path:
        """Where the client puts what it stores."""
        return self.folder / "out"


@dataclass(frozen=True, slots=True)
class Client:
    """One row of the table."""

    title: str
    """As printed."""
    command: Callable[[Job], list[str]]
    """The command line for a job; raises VenvError if it has no venv."""
    venv: str | None = None
    """The venv that it needs, by the name of its pins; else it runs in the project's."""
    stores: bool = True
    """Whether it leaves the answers on disk."""

    @property
    def label(self) -> str:
        """The title, with a note where nothing is stored."""
        return self.title if self.stores else f"{self.title} (stores nothing)"

    def count(self, job: Job, printed: str) -> int:
        """Count the answers that are stored, or of a client that stores none, that it got."""
        cache = job.out / "completions.db"
        if not cache.exists():
            lines = printed.strip().splitlines()
            return int(lines[-1]) if lines and lines[-1].strip().isdigit() else 0
        connection = sqlite3.connect(cache)
        try:
            return int(connection.execute("SELECT COUNT(*) FROM completions").fetchone()[0])
        finally:
            connection.close()


def variables() -> dict[str, str]:
    """Return what keeps clients from fetching anything and from telling anybody."""
    return {
        "OPENAI_API_KEY": "bench",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TELEMETRY_ENABLED": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "TIKTOKEN_CACHE_DIR": str(next(BENCH.glob(_TOKENS), "")),
    }


def _evolcoder(job: Job) -> list[str]:
    seeds, out = str(job.folder / "seeds.jsonl"), job.out
    return [
        *(str(BIN / "evolcoder"), "run", "--seeds", seeds, "--rounds", "1"),
        *("--model", f"{job.base_url}#bench", "--out", str(out / "run")),
        *("--cache", str(out / "completions.db")),
        *("--set", f"traffic.concurrency={job.in_flight}"),
        # The others neither run answers nor look for doubles, nor measure a style before.
        *(
            "--style",
            "append",
            "--set",
            "verify.when=never",
            "--set",
            "clean.near=null",
            "--set",
            "clean.exact=false",
        ),
    ]


def _script(name: str, venv: str | None, *more: str, title: str, stores: bool) -> Client:
    """Make a client of a script that takes URL, PROMPTS, OUT, IN_FLIGHT and more."""

    def command(job: Job) -> list[str]:
        python = str(python_of(venv) if venv else BIN / "python")
        prompts, out = str(job.folder / "prompts.jsonl"), str(job.out)
        return [python, str(HERE / name), job.base_url, prompts, out, str(job.in_flight), *more]

    return Client(title, command, venv, stores)


CLIENTS = {
    "evolcoder": Client("evolcoder", _evolcoder),
    "aiohttp": _script("client_aiohttp.py", None, title="aiohttp, bare", stores=False),
    "openai": _script("client_openai.py", "openai", title="openai SDK 2.30", stores=False),
    "openai-aiohttp": _script(
        *("client_openai.py", "openai", "aiohttp"),
        title="openai SDK 2.30 over aiohttp",
        stores=False,
    ),
    "curator": _script(
        "client_curator.py", "curator", title="bespokelabs-curator 0.1.31", stores=True
    ),
    "distilabel": _script(
        *("client_distilabel.py", "distilabel", "1000", "2"),
        title="distilabel 1.5.3",
        stores=True,
    ),
}
"""Of the ten settings of distilabel that came to an end, from 50 x 1 to 1,000 x 4, batches of 1,000
in two replicas took the least time; they put up to 2,000 requests in flight. With batches of 2,000
and more it hung before its first request."""
