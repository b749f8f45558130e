"""How the batch APIs that take files of requests differ from each other.

All upload a file of JSON lines, create a batch that names it, report a status and put results into
files. They differ in paths, in names of fields and in what a line holds. The dialect of a server is
recognised by how it answers a request for its list of batches (`OpenAIBatches.check`), not from its
name, so that a proxy is recognised too. APIs of which the documentation does not say how a lost
batch is found again are refused by host, before anything is sent.

>>> MISTRAL.jobs, TOGETHER.purpose
(('batch', 'jobs'), 'batch-api')
"""

from dataclasses import dataclass
from typing import Any

from yarl import URL

from evolcoder.engine.batch.ledger import Batch
from evolcoder.engine.json_values import objects_of, text_of

WINDOW = "24h"
"""The only completion window that all providers have."""
PAGE = 100
"""Batches per page of a list."""
TAG = "evolcoder_tag"
"""Key of the metadata."""
FAILED = frozenset({"failed", "failure", "error"})
"""Statuses of a batch that the provider ended."""
ENDED = FAILED | {
    "completed",
    "complete",
    "success",
    "succeeded",
    "done",
    "finished",
    "ended",
    "expired",
    "timeout_exceeded",
    "timed_out",
    "timeout",
    "cancelled",
    "canceled",
}
"""Statuses of a batch that answers no further request, in lower case."""
_NO_SEARCH = {
    "generativelanguage.googleapis.com": (
        "Gemini's batches take files from an upload API of its own, and its documentation does not "
        "say how a batch is found again"
    ),
    "fireworks.ai": "Fireworks' batches take data sets of an account, not files of this API",
}
"""Domain of a provider -> why its batches cannot be used."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider's form of the API; the defaults are OpenAI's."""

    jobs: tuple[str, ...] = ("batches",)
    """Path of the batches."""
    upload: tuple[str, ...] = ("files",)
    """Path that takes a file."""
    purpose: str = "batch"
    """Purpose of a file of requests."""
    has_file_name: bool = False
    """Whether the form of an upload has the name of the file in a field of its own."""
    has_urls: bool = True
    """Whether each line names method and endpoint."""
    has_raw: bool = True
    """Whether batches of text completions are documented."""
    has_input_list: bool = False
    """Whether a batch names a list of files, and its model."""
    has_metadata: bool = True
    """Whether a batch carries metadata."""
    has_page_numbers: bool = False
    """Whether pages of the list have numbers instead of a last id."""
    seed: str = "seed"
    """Name of the sampling seed."""

    def job(self, batch: Batch, file: str, endpoint: str) -> dict[str, Any]:
        """Return the body that creates a batch."""
        metadata = {"metadata": {TAG: batch.tag}} if self.has_metadata else {}
        if self.has_input_list:
            files = {"input_files": [file], "model": batch.model}
            return {**files, "endpoint": endpoint, **metadata}
        return {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": WINDOW,
            **metadata,
        }

    def first_page(self, limit: int = PAGE) -> dict[str, str]:
        """Return the query of the first page of the list, the newest batches first."""
        if self.has_page_numbers:
            return {"page": "0", "page_size": str(limit)}
        return {"limit": str(limit)}

    def next_page(self, query: dict[str, str], found: dict[str, Any]) -> dict[str, str] | None:
        """Return the query of the page after one; None if that was the last."""
        rows = objects_of(found.get("data"))
        if self.has_page_numbers:
            return {**query, "page": str(int(query["page"]) + 1)} if rows else None
        last = text_of(rows[-1].get("id")) if rows else ""
        return {**query, "after": last} if found.get("has_more") and last else None


OPENAI = Dialect()
"""OpenAI's, which Azure, Groq, DeepInfra, LiteLLM and others share."""
MISTRAL = Dialect(
    jobs=("batch", "jobs"),
    has_urls=False,
    has_raw=False,
    has_input_list=True,
    has_page_numbers=True,
    seed="random_seed",
)
"""Mistral's jobs, which name the model and a list of files."""
TOGETHER = Dialect(
    upload=("files", "upload"),
    purpose="batch-api",
    has_file_name=True,
    has_urls=False,
    has_raw=False,
    has_metadata=False,
)
"""Together's: the list is a plain array, and a created batch stands in the field `job`."""


def why_unusable(server: str) -> str:
    """Return why the batches of a server's provider cannot be used; empty if they can."""
    host = (URL(server).host or "").lower().rstrip(".")
    return next(
        (why for name, why in _NO_SEARCH.items() if host == name or host.endswith(f".{name}")), ""
    )


def id_of(found: dict[str, Any]) -> str:
    """Return the id of what was created, which some servers wrap in an object."""
    for inner in (found, found.get("job"), found.get("data")):
        if isinstance(inner, dict) and (id := text_of(inner.get("id"))):
            return id
    return ""


def is_batch_of(row: dict[str, Any], batch: Batch, file: str | None) -> bool:
    """Return whether a row of the list is a batch, by its tag or by its file of requests."""
    metadata, files = row.get("metadata"), row.get("input_files")
    if isinstance(metadata, dict) and metadata.get(TAG) == batch.tag:
        return True
    named = [row.get("input_file_id"), *(files if isinstance(files, list) else [])]
    return file is not None and file in named


def result_files(row: dict[str, Any]) -> list[str]:
    """Return the ids of the files with results and with errors, as far as they exist."""
    names = ("output_file_id", "output_file", "error_file_id", "error_file")
    return list(dict.fromkeys(filter(None, (text_of(row.get(name)) for name in names))))


def counts_of(row: dict[str, Any]) -> tuple[int, int]:
    """Return the numbers of requests with a result and of all; 0 if the server does not say."""
    given = row.get("request_counts")
    counts: dict[str, Any] = given if isinstance(given, dict) else row

    def number(name: str) -> int:
        value = counts.get(name)
        return value if isinstance(value, int) and value >= 0 else 0

    if counts is row:  # Mistral counts failed requests as completed too
        return number("completed_requests"), number("total_requests")
    return number("completed") + number("failed"), number("total")
