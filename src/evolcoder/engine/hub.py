"""Files of the Hugging Face Hub, by `huggingface_hub`, which is imported when needed.

HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN and the proxies of the environment are honoured. The server is
first asked about the file, once and for at most `REACH_S`: where no Hub can be reached, nothing is
retried. The content is not verified here.

>>> with open("model.part", "ab") as file:                       # doctest: +SKIP
...     download("owner/name/resolve/COMMIT/model.gguf", file, max_bytes=10**9, error=ModelError)
"""

import functools
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from yarl import URL

from evolcoder.credentials import without_logins
from evolcoder.errors import EvolcoderError
from evolcoder.text import one_line

HUB = "https://huggingface.co"
REACH_S = 10.0
"""Longest wait for the first answer."""
REMEMBERED_S = 60
MAX_REASON_CHARS = 200
_TRUE = frozenset({"1", "true", "yes", "on"})


def is_offline() -> bool:
    """Return whether HF_HUB_OFFLINE forbids downloads."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in _TRUE


def why_unreachable(error: type[EvolcoderError]) -> str:
    """Ask the Hub once, for at most `REACH_S`; return why it does not answer, '' if it does.

    An answer is remembered for a minute. Raises `error` for an unusable HF_ENDPOINT. For the
    loaders of other libraries, which ask many times before they give up.
    """
    if is_offline():
        return "HF_HUB_OFFLINE is set"
    return _why_unreachable(_endpoint(error), int(time.monotonic() // REMEMBERED_S))


@functools.lru_cache(maxsize=4)
def _why_unreachable(endpoint: str, _minute: int) -> str:
    import httpx  # noqa: PLC0415

    try:
        httpx.head(endpoint, timeout=REACH_S)
    except (httpx.HTTPError, OSError) as why:
        return f"{endpoint}: {_reason(why)}"
    return ""


def download(
    path: str,
    file: BinaryIO,
    *,
    max_bytes: int,
    error: type[EvolcoderError],
    on_bytes: Callable[[int], None] = lambda _: None,
) -> None:
    """Append what `file` lacks of a file of the Hub, by its path on the server.

    `on_bytes` gets the size so far. Raises `error` with one line, without credentials.
    """
    if is_offline():
        raise error("HF_HUB_OFFLINE is set")
    endpoint = _endpoint(error)
    import httpx  # noqa: PLC0415
    from huggingface_hub import get_hf_file_metadata, get_token  # noqa: PLC0415
    from huggingface_hub.file_download import http_get  # noqa: PLC0415

    url = f"{endpoint}/{path}"
    token = get_token()
    sink = _Sink(file, max_bytes, on_bytes)
    try:
        size = get_hf_file_metadata(url, timeout=REACH_S, endpoint=endpoint).size
        if sink.tell() > (size or max_bytes):
            sink.seek(0)
            sink.truncate()
        # Asked by the first URL again: redirects to another host do not get the token.
        http_get(
            url,
            cast("BinaryIO", sink),
            resume_size=sink.tell(),
            headers={"authorization": f"Bearer {token}"} if token else {},
            expected_size=size,
            tqdm_class=cast("Any", _NoBar),
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as why:
        raise error(_reason(why)) from why


def upload_dataset(folder: Path, id: str, *, public: bool, error: type[EvolcoderError]) -> str:
    """Upload the files of a folder to a data set of the Hub, which is made if there is none.

    A new data set is private unless `public`. Returns its address; raises `error` with one line.
    """
    if is_offline():
        raise error(f"{id}: HF_HUB_OFFLINE is set")
    endpoint = _endpoint(error)
    import httpx  # noqa: PLC0415
    from huggingface_hub import HfApi  # noqa: PLC0415

    api = HfApi(endpoint=endpoint)
    try:
        api.create_repo(id, repo_type="dataset", private=not public, exist_ok=True)
        api.upload_folder(
            folder_path=folder,
            repo_id=id,
            repo_type="dataset",
            commit_message="Upload by evolcoder",
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as why:
        raise error(f"{id}: cannot be written at {endpoint}: {_reason(why)}") from why
    return f"{endpoint}/datasets/{id}"


def _endpoint(error: type[EvolcoderError]) -> str:
    base = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or HUB
    try:
        url = URL(base)
        usable = url.scheme in {"http", "https"} and bool(url.host) and not url.user
    except ValueError:
        usable = False
    if not usable:
        # Not chained: the message may contain a password parsed as a port.
        shown = without_logins(base)
        raise error(
            f"{shown} is not a Hub URL; correct HF_ENDPOINT (a token belongs into HF_TOKEN)"
        ) from None
    return base


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = without_logins(lines[0]) if lines else ""
    return one_line(f"{type(error).__name__}: {text}", MAX_REASON_CHARS)


class _Sink(io.RawIOBase):
    """The file, with a limit and a report of its size."""

    def __init__(self, file: BinaryIO, max_bytes: int, on_bytes: Callable[[int], None]) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._on_bytes = on_bytes

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        if self._file.tell() + len(data) > self._max_bytes:
            raise ValueError(f"larger than {self._max_bytes:,} bytes")
        n = self._file.write(data)
        self._on_bytes(self._file.tell())
        return n

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)


class _NoBar:
    """In place of huggingface_hub's progress bar."""

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: int) -> None:
        """Show nothing."""
