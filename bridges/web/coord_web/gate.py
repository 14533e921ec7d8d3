"""Who may ask: hosts, origins, the token, its cookie, and what must come with a write.

1. A host that the server was not told is refused: another name that leads here (DNS rebinding) is
   another site.
2. Only a page of ours, or a person who follows a link, may ask: what a browser says of where a
   request comes from (`Origin`, `Sec-Fetch-Site`) must be this origin.
3. Who has the token gets a cookie for it, which scripts cannot read and other sites do not send.
   The URL is then without the token.
4. A write must be of this origin, with the cookie, and with the token that only our pages contain.
5. Token and cookie are those of one origin and one agent: the token of a server that only reads
   opens no server of the same store that acts.
6. No page runs or loads what is not ours, and none can be put into a frame.

The key is kept in the store, readable by its owner only, so that pages that are open survive a
restart. Delete the file `local/web-key` to make all cookies and tokens invalid.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from coord_envelope import world
from coord_envelope.errors import Usage

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from coord_kernel.store.directory import Store

KEY = ("local", "web-key")
MONTH_S = 30 * 86_400
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
_ORIGIN = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?/?"
)
_PORTS = {"http": 80, "https": 443}
CLOSED = """This page needs a token: open the URL that `coord-web` printed when it was started."""


class Denied(Exception):
    """A request that is not answered: its HTTP status, and why."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status, self.what = status, what


class Gate:
    """The rules above, for one server."""

    def __init__(
        self, key: bytes, hosts: tuple[str, ...], origins: tuple[str, ...], agent: str | None
    ) -> None:
        """`hosts` with their port, as browsers say them; `origins` of pages that may write.

        `agent` acts; None if nobody may.
        """
        self._hosts, self.origins = hosts, origins
        whose = f"{origins[0]} {'reads' if agent is None else f'acts as {agent}'}"
        self._key = hmac.digest(key, whose.encode(), "sha256")
        # Browsers send a cookie to every port of a host: by its name each server finds its own.
        self.cookie = "coord-" + self._derived("cookie name")[:8]
        self.token, self._ticket = self._derived("token"), self._derived("cookie")
        self.csrf = self._derived(f"csrf of {self._ticket}")
        self._secure = origins[0].startswith("https:")

    def _derived(self, what: str) -> str:
        return hmac.digest(self._key, what.encode(), "sha256").hex()[:40]

    def check(self, request: Request) -> None:
        """Raise Denied for a request from elsewhere."""
        headers = request.headers
        if headers.get("host", "").lower() not in self._hosts:
            raise Denied(421, "not a host of this server")
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and origin not in self.origins:
            raise Denied(403, "not an origin of this server")
        followed = headers.get("sec-fetch-mode") == "navigate" and request.method == "GET"
        if site not in ("same-origin", "none") and not followed:
            raise Denied(403, "not a page of this server")

    def admits(self, request: Request) -> bool:
        """Does the request have our cookie?"""
        given = request.cookies.get(self.cookie, "")
        return hmac.compare_digest(given.encode(), self._ticket.encode())

    def entered(self, request: Request) -> Response | None:
        """The answer to a URL with the token: a cookie, and the URL without it. Else None."""
        given = request.query_params.get("token")
        if given is None or not hmac.compare_digest(given.encode(), self.token.encode()):
            return None
        rest = "&".join(
            part for part in request.url.query.split("&") if not part.startswith("token=")
        )
        path = "/" + request.url.path.lstrip("/")  # `//x` would be another host
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(
            self.cookie,
            self._ticket,
            max_age=MONTH_S,
            httponly=True,
            samesite="lax",
            secure=self._secure,
        )
        return answer

    def check_write(self, request: Request, given: str) -> None:
        """Raise Denied unless a page of ours sends it. `given` is the token of the page."""
        origin = request.headers.get("origin")
        if origin is None and request.headers.get("sec-fetch-site") != "same-origin":
            raise Denied(403, "a write must say its origin")
        if not hmac.compare_digest(given.encode(), self.csrf.encode()):
            raise Denied(403, "the page is outdated: load it again")


class Guarded:
    """An application behind a gate."""

    def __init__(self, application: ASGIApp, gate: Gate) -> None:
        self._application, self._gate = application, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refused(Request(scope))
        await (answer or self._application)(scope, receive, sealed)

    def _refused(self, request: Request) -> Response | None:
        try:
            self._gate.check(request)
        except Denied as denied:
            return PlainTextResponse(f"{denied.what}\n", denied.status)
        if request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("not a method of this server\n", 405)
        if answer := self._gate.entered(request):
            return answer
        public = request.url.path.startswith("/static/")
        if not public and not self._gate.admits(request):
            return PlainTextResponse(f"{CLOSED}\n", 401)
        return None


def key_of(store: Store) -> bytes:
    """The key of a store, made by the first call. Raises OSError."""
    known = store.load(*KEY)
    if known and len(known) >= 32:
        return known
    store.save(world.entropy(32), *KEY)
    return store.load(*KEY) or b""


def joined(keys: list[bytes]) -> bytes:
    """One key of those of all stores: a cookie for some of them opens no others."""
    return hashlib.sha256(b"".join(hashlib.sha256(key).digest() for key in keys)).digest()


def origin_of(url: str) -> tuple[str, str]:
    """(origin, host) of what browsers see, who leave out the port of the scheme. Raises Usage."""
    match = _ORIGIN.fullmatch(url.lower())
    if match is None or not 0 < int(match["port"] or 1) <= 65_535:
        todo = "use https://HOST or https://HOST:PORT"
        raise Usage(f"not a valid origin: {url[:200]}", todo=todo)
    scheme, host, port = match["scheme"], match["host"], int(match["port"] or 0)
    if port and port != _PORTS[scheme]:
        host += f":{port}"
    return f"{scheme}://{host}", host
