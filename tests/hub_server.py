"""A Hub on loopback: answers HEAD and GET of files, with ranges, and counts what it is asked.

>>> with served_hub({"/owner/name/resolve/abc/f": b"..."}) as hub:      # doctest: +SKIP
...     hub.url, hub.asked
"""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """The server. Fields may be changed while it runs."""

    files: dict[str, bytes]
    """Path -> content; others get a 404."""
    url: str = ""
    """What HF_ENDPOINT should be."""
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    """(method, path, first byte) of each request."""
    tokens: list[str | None] = field(default_factory=list)
    """Authorization of each request."""
    status: int = 200
    """Status of every answer, in place of 200."""
    location: str = ""
    """Where GET is redirected to, followed by the path."""
    cut_at: int | None = None
    """Bytes after which the next GET is cut; it is then forgotten."""
    ignores_ranges: bool = False
    """Whether every GET is answered from the first byte."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        hub, start = self.hub, int(self.headers.get("Range", "bytes=0-")[6:-1])
        hub.asked.append((self.command, self.path, start))
        hub.tokens.append(self.headers.get("Authorization"))
        content = hub.files.get(self.path)
        if hub.status != 200 or content is None:
            self._head(hub.status if hub.status != 200 else 404, 0)
        elif with_body and hub.location:
            self._head(302, 0, Location=f"{hub.location}{self.path}")
        else:
            self._send(content, 0 if hub.ignores_ranges else start, with_body=with_body)

    def _send(self, content: bytes, start: int, *, with_body: bool) -> None:
        self._head(206 if start else 200, len(content) - start, ETag='"abc"')
        if with_body:
            end, self.hub.cut_at = self.hub.cut_at, None
            self.wfile.write(content[start:end])

    def _head(self, code: int, length: int, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Repo-Commit", "a" * 40)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@contextlib.contextmanager
def served_hub(files: dict[str, bytes]) -> Iterator[Hub]:
    """Serve until the block ends."""
    hub = Hub(files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
