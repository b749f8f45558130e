"""Lets through only requests of the person who started the viewer, and restricts what pages may do.

A request needs the token, in the address at first and in a cookie from then on; the loopback
address as its host, so that a foreign name that resolves to it is refused; and, where the browser
says where a request came from, our own pages. Writing needs the browser's word on that. Pages may
load nothing but the viewer's own style and script.

Does not protect from the user's own programs, nor from root.
"""

import secrets
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer. Without any referrer, the origin of our own forms would be hidden."""
PARAMETER = "token"
REFUSED = "Open the address that `evolcoder view` printed: nothing is shown without its token."


class Guard:
    """ASGI middleware that checks each request."""

    def __init__(self, app: "ASGIApp", *, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._cookie = f"evolcoder_view_{port}"

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request that is refused or brings the token; pass the others on."""
        from starlette.responses import PlainTextResponse  # noqa: PLC0415 - optional

        if scope["type"] != "http":
            return

        async def send_guarded(message: "Message") -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        request = _Request(scope)
        if why := self._refusal(request):
            answer = PlainTextResponse(f"{why}\n", status_code=403)
            await answer(scope, receive, send_guarded)
        elif self._is_token(request.query.get(PARAMETER)):
            await self._welcome(request)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refusal(self, request: "_Request") -> str:
        """Say why a request is refused; empty if it is not."""
        hosts = request.all("host")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "The viewer answers at 127.0.0.1 and localhost only."
        origins = request.all("origin")
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return "This request came from another site."
        if request.method not in {"GET", "HEAD"} and len(origins) != 1:
            return "This request does not say where it came from."
        brings_token = self._is_token(request.query.get(PARAMETER)) and request.method == "GET"
        if not brings_token and set(request.all("sec-fetch-site")) - {"same-origin", "none"}:
            return "This request came from another site."
        if not brings_token and not self._is_token(request.cookie(self._cookie)):
            return REFUSED
        return ""

    def _is_token(self, given: str | None) -> bool:
        """Compare with the token in a time that does not depend on where they differ."""
        return given is not None and secrets.compare_digest(given.encode(), self._token.encode())

    def _welcome(self, request: "_Request") -> "ASGIApp":
        """Set the cookie and lead to the same page without the token in its address.

        A redirect would count as coming from where the first request came from, such as a
        terminal in another browser page, and the cookie would not be sent.
        """
        from starlette.responses import HTMLResponse  # noqa: PLC0415 - optional

        rest = urlencode([(name, value) for name, value in request.pairs if name != PARAMETER])
        address = f"http://{request.all('host')[0]}{request.path}{'?' if rest else ''}{rest}"
        answer = HTMLResponse(
            '<!DOCTYPE html><html lang="en"><title>evolcoder</title>'
            '<link rel="icon" href="/static/icon.svg">'
            f'<meta http-equiv="refresh" content="0;url={_quoted(address)}">'
            f'<p><a href="{_quoted(address)}">Continue</a></p></html>'
        )
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
        return answer


class _Request:
    """The parts of a request that are checked."""

    def __init__(self, scope: "Scope") -> None:
        self.method = str(scope["method"])
        self._headers = scope["headers"]
        raw = scope.get("raw_path") or scope["path"].encode()
        self.path = f"/{raw.partition(b'?')[0].decode('latin-1').lstrip('/')}"
        query = scope["query_string"].decode("latin-1")
        self.pairs = parse_qsl(query, keep_blank_values=True)
        self.query = dict(self.pairs)

    def all(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value.decode("latin-1") for key, value in self._headers if key == name.encode()]

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie; those of other programs may have any form."""
        pairs = (one.strip().partition("=") for h in self.all("cookie") for one in h.split(";"))
        return next((value for key, _, value in pairs if key == name), None)


def _quoted(address: str) -> str:
    return escape(address.replace(";", "%3B").replace(" ", "%20"))
