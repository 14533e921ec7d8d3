"""The server: routes, and what each answers."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from coord_envelope import world
from coord_envelope.errors import Fault, No, Usage
from coord_kernel.cli import values, web
from coord_shop import Reader, needs
from coord_web import feed, pages
from coord_web.acts import ACTS, DONE, Form, Runner
from coord_web.gate import Denied, Gate, Guarded, joined, key_of, origin_of
from coord_web.hub import Hub
from coord_web.pages import ALL, PAGES, Drawing
from coord_web.palette import found
from coord_web.render import FILES, STAMP, plain, render
from coord_web.view import Asked, Site, address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from coord_envelope.codec import Json
    from coord_kernel.store.directory import Store
    from coord_shop import Shop
    from coord_web.groups import Listen

LARGEST = 256 * 1024
"""Bytes of a form."""
NOTES = 50
"""What was done, to be said on the next page: kept for so many."""
VIEWERS, OUTPUTS = 200, 20
"""Pages that are followed at a time, and outputs of jobs: each of those is a process."""
URL = "web-url"
"""The file in `local/` with the URL, before the port."""
_STATUS = {1: 409, 2: 400, 65: 400, 67: 404, 69: 503, 75: 503, 77: 403}
_FORM = "application/x-www-form-urlencoded"
_SLUG = re.compile(r"[^a-z0-9._-]+")


class Shown:
    """A store with its hub, and where its pages are."""

    def __init__(self, store: Store, slug: str, gate: Gate, agent: str | None) -> None:
        self.hub = Hub(store)
        self.project = plain(store.project)
        self.site = Site(f"/s/{slug}", gate.csrf, agent)
        self.runner = Runner(store.path, agent) if agent else None


class App:
    """All stores, behind one gate."""

    def __init__(self, stores: Sequence[Store], gate: Gate, agent: str | None) -> None:
        self._gate, self._agent = gate, agent
        self._notes: dict[str, dict[str, str]] = {}
        self._pages = feed.Places(VIEWERS, f"{VIEWERS} pages are followed already")
        self._outputs = feed.Places(OUTPUTS, f"{OUTPUTS} outputs are followed already")
        self.shown: dict[str, Shown] = {}
        for store in stores:
            base = _SLUG.sub("-", store.project.lower()).strip("-") or "store"
            taken = (f"{base}-{n}" for n in range(2, len(stores) + 2))
            slug = base if base not in self.shown else next(t for t in taken if t not in self.shown)
            self.shown[slug] = Shown(store, slug, gate, agent)
        at = "/s/{slug}"
        routes = [Route("/", self.all), Route("/static/{name}", self.static)]
        routes.append(Route("/-/stream", self.streams))
        for name, page in PAGES.items():
            if name == ALL:
                continue
            path = f"{at}/{page.section}" if page.section else f"{at}/"
            if name in ("item", "thread", "job"):
                path += "/{about}"
            routes.append(Route(path, partial(self._page, name), name=name))
        routes += [
            Route(at, lambda request: RedirectResponse(request.url.path + "/", 308)),
            Route(f"{at}/-/stream", self.stream),
            Route(f"{at}/-/find", self.find),
            Route(f"{at}/-/stats", self.stats),
            Route(f"{at}/jobs/{{about}}/output", self.output),
            Route(f"{at}/do/{{verb}}", self.act, methods=["POST"]),
        ]
        handlers: dict[Any, Any] = {
            Fault: self._failed,
            Denied: lambda _, error: PlainTextResponse(f"{error.what}\n", error.status),
        }
        self.application = Guarded(Starlette(routes=routes, exception_handlers=handlers), gate)

    # Pages

    async def all(self, request: Request) -> Response:
        """One store's overview, or what matters of each of several."""
        if len(self.shown) == 1:
            (only,) = self.shown.values()
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"{only.site.base}/{query}", 303)
        asked = _asked(ALL, request)
        shops: list[dict[str, Any]] = []
        for slug, shown in self.shown.items():
            parts, shop, _ = await self._parts(shown, asked)
            shops.append({"slug": slug, "base": shown.site.base, "shop": shop, "parts": parts})
        html = "".join(render("repository", {"one": one, "at": asked.at}) for one in shops)
        first = next(iter(self.shown.values()))
        context = self._frame(request, first, asked, shops[0]["shop"])
        context |= {
            "parts": {"timeline": "", "all": Markup(html)},
            "section": "-",
            "stream": "" if asked.at else "/-/stream",
        }
        return HTMLResponse(render("layout", context))

    async def _page(self, name: str, request: Request) -> Response:
        shown, asked = self._of(request), _asked(name, request)
        parts, shop, cursor = await self._parts(shown, asked)
        if request.headers.get("accept") == "application/json":
            return JSONResponse({"parts": parts, "at": asked.at})
        context = self._frame(request, shown, asked, shop)
        context["parts"] = {part: Markup(html) for part, html in parts.items()}
        if not asked.at:
            query = {"page": name, "about": asked.about, **dict(asked.query)}
            context["stream"] = address(f"{shown.site.base}/-/stream", query)
            context["cursor"] = cursor
        return HTMLResponse(render("layout", context))

    async def _parts(self, shown: Shown, asked: Asked) -> tuple[dict[str, str], Shop, str]:
        draw = Drawing(shown.site, asked)
        if asked.at:
            return *(await shown.hub.then(asked.at, draw)), ""
        return await shown.hub.live(repr(asked), draw)

    def _frame(self, request: Request, shown: Shown, asked: Asked, shop: Shop) -> dict[str, Any]:
        """What the layout needs besides the parts."""
        theme = request.cookies.get("theme", "")
        stores = [{"base": s.site.base, "project": s.project} for s in self.shown.values()]
        page, query = PAGES[asked.page], dict(asked.query)
        here = f"{shown.site.base}/{pages.path_of(asked)}"
        kept = {"at": asked.at, "span": query.get("span", "") if asked.at else ""}
        waiting, mail, wrong = needs(shop, self._agent or "")
        return {
            "project": shown.project,
            "path": shop.path,
            "title": page.title if not asked.about else _title(asked, shop) or page.title,
            "section": page.section,
            "beside": page.sides[0],
            "aside": page.sides[1],
            "page": asked.page,
            "at": asked.at,
            "asof": shop.at,
            "now_ms": world.now_ms(),
            "now_url": address(here, {k: v for k, v in query.items() if k != "span"}),
            "theme": theme if theme in ("dark", "light") else "",
            "version": STAMP,
            "base": shown.site.base,
            "home": "/" if len(stores) > 1 else f"{shown.site.base}/",
            "stores": stores,
            "me": self._agent,
            "pages": pages.TABS,
            "badges": {
                "": len(waiting) + len(mail) + len(wrong) if not asked.at else 0,
                "mail": len(waiting) + len(mail),
                "jobs": len(shop.failed),
            },
            "url": lambda path: address(f"{shown.site.base}/{path}", kept),
            "note": self._notes.pop(request.query_params.get("note", ""), None),
        }

    def static(self, request: Request) -> Response:
        """Our own files."""
        found = FILES.get(request.path_params["name"])
        if found is None:
            return PlainTextResponse("no such file\n", 404)
        data, kind = found
        ever = request.url.query == STAMP
        cached = {"cache-control": "max-age=31536000, immutable" if ever else "no-cache"}
        return Response(data, media_type=kind, headers=cached)

    # What moves

    async def stream(self, request: Request) -> Response:
        """The parts of a page as they change."""
        shown = self._of(request)
        name = request.query_params.get("page", "")
        if name not in PAGES:
            return PlainTextResponse("no such page\n", 404)
        asked = _asked(name, request)._replace(at="")
        again = request.headers.get("last-event-id")
        cursor = None if again else request.query_params.get("after")

        drawing = Drawing(shown.site, asked)

        def draw(reader: Reader, shop: Shop) -> dict[str, str]:
            try:
                return drawing(reader, shop)
            except No as fault:
                return {"fault": render("message", {"text": str(fault), "back": shown.site.base})}

        return self._pages.answer(shown.hub.stream(repr(asked), draw, cursor))

    async def streams(self, request: Request) -> Response:
        """The parts of all stores as they change."""
        asked = Asked(ALL, "", "", ())
        streams = {
            slug: shown.hub.stream(repr(asked), Drawing(shown.site, asked), None)
            for slug, shown in self.shown.items()
        }
        return self._pages.answer(feed.merged(streams))

    async def output(self, request: Request) -> Response:
        """A job's output as it is written."""
        path = self._of(request).hub.store.path
        return self._outputs.answer(feed.output(path, request.path_params["about"]))

    async def find(self, request: Request) -> Response:
        """What the palette offers for some words: items."""
        shown, text = self._of(request), request.query_params.get("q", "")[:200]
        return JSONResponse(await shown.hub.read(lambda reader: found(reader, text)))

    async def stats(self, request: Request) -> Response:
        """What it cost: looks at the store, renderings, and who looks now."""
        hub = self._of(request).hub
        return JSONResponse({"folds": hub.folds, "renders": hub.renders, "viewers": hub.viewers})

    # Acts

    async def act(self, request: Request) -> Response:
        """Run the command of a form; then the page that it came from."""
        shown, verb = self._of(request), request.path_params["verb"]
        if request.headers.get("content-type", "").partition(";")[0] != _FORM:
            raise Usage("not a form")
        data = await web.body(request, LARGEST)
        fields = dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))
        self._gate.check_write(request, fields.get("csrf", ""))
        back = _back(fields.get("back", ""), f"{shown.site.base}/")
        if shown.runner is None or verb not in ACTS:
            what = "this server only reads" if shown.runner is None else f"no such act: {verb}"
            return self._told(request, back, what, 403 if shown.runner is None else 404)
        try:
            await shown.runner.run(ACTS[verb](Form(fields)))
        except Fault as fault:
            return self._told(request, back, _sentence(fault), _STATUS.get(fault.status, 500))
        finally:
            shown.hub.touch()
        if verb == "close" or verb == "ack":
            back = back.partition("?")[0]
        return self._told(request, back, DONE[verb], 0)

    def _told(self, request: Request, back: str, what: str, status: int) -> Response:
        """Say what was done, or with a status why not: to a script, or on the next page."""
        if request.headers.get("accept") == "application/json":
            # Browsers report an error status on the console, and here nothing is wrong with ours.
            return JSONResponse({"ok": not status, "text": plain(what)})
        note = secrets.token_urlsafe(8)
        self._notes[note] = {"kind": "bad" if status else "good", "text": what}
        while len(self._notes) > NOTES:
            del self._notes[next(iter(self._notes))]
        return RedirectResponse(address(back, {"note": note}), 303)

    def _of(self, request: Request) -> Shown:
        try:
            return self.shown[request.path_params["slug"]]
        except KeyError:
            raise No("no such store", code="not_found") from None

    async def _failed(self, request: Request, error: Exception) -> Response:
        """A page that says what is wrong."""
        assert isinstance(error, Fault)
        status = 404 if error.code == "not_found" else _STATUS.get(error.status, 500)
        if request.headers.get("accept") == "application/json":
            return JSONResponse({"ok": False, "text": _sentence(error)}, status)
        back = "/"
        context = {"text": _sentence(error), "back": back, "version": STAMP, "theme": ""}
        return HTMLResponse(render("fault", context), status)


def _asked(name: str, request: Request) -> Asked:
    """Raises Usage for a time that is not valid."""
    given = request.query_params
    at = given.get("at", "").strip()
    about = request.path_params.get("about", given.get("about", ""))
    known = ("span", *PAGES[name].query)
    query = tuple(sorted((word, given[word][:200]) for word in known if given.get(word)))
    return Asked(name, about[:200], str(values.moment(at)) if at else "", query)


def _title(asked: Asked, shop: Shop) -> str:
    """What a page about one thing is called, if the shop knows it."""
    rows = (*shop.ready, *shop.active, *shop.blocked, *shop.held, *shop.questions)
    closed = (done["item"] for done in shop.landed)
    return next((row["title"] for row in (*rows, *closed) if row["work_id"] == asked.about), "")


def _sentence(fault: Fault) -> str:
    where = f"{fault.where}: " if fault.where else ""
    return f"{where}{fault.what}{f'; {fault.todo}' if fault.todo else ''}"


def _back(text: str, home: str) -> str:
    """A path of ours to go back to."""
    ours = text.startswith("/s/") and "\\" not in text and text.isprintable()
    return text if ours else home


class Server(web.Server):
    """Follows the stores while it serves, and ends the event streams before it stops."""

    def __init__(self, config: Any, app: App, ready: Callable[[], None]) -> None:
        super().__init__(config, ready)
        self._app = app

    async def startup(self, sockets: Any = None) -> None:
        for shown in self._app.shown.values():
            shown.hub.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: Any = None) -> None:
        for shown in self._app.shown.values():
            await shown.hub.stop()
        await super().shutdown(sockets)


def serve(
    stores: Sequence[Store], agent: str | None, listen: Listen, ready: Callable[[Json], None]
) -> None:
    """Serve until a signal; `ready` is called with what to print: where it is reached.

    The URL has its token only for a terminal: what else reads the output may keep it, as the
    journal of systemd does, for others to read. A file of the first store has it then.

    Raises Usage, Refused for an address that others reach without certificate and key, DiskFault
    if it is taken.
    """
    keys = values.pair(listen.cert, listen.key)
    web.check(listen.host, keys)
    if listen.host not in web.LOOPBACK and not listen.origin:
        raise Usage(f"no name for {listen.host}", todo="--origin https://HOST: what browsers see")
    with web.listening(listen.host, listen.port) as bound:
        scheme = "https" if keys else "http"
        port = bound.getsockname()[1]
        names = {listen.host, *(web.LOOPBACK if listen.host in web.LOOPBACK else ())}
        hosts = [f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in sorted(names)]
        hosts.sort(key=lambda host: not host.startswith(listen.host))
        origins = [f"{scheme}://{host}" for host in hosts]
        if listen.origin:
            origin, host = origin_of(listen.origin)
            origins, hosts = [origin], [host, *hosts]
        key = joined([key_of(store) for store in stores])
        gate = Gate(key, tuple(hosts), tuple(origins), agent)
        for store in stores:
            Reader(store).shop()  # may take minutes, and forks: so before there are threads
        app = App(stores, gate, agent)
        config = web.config(app.application, keys)
        address = _address(stores[0], origins[0], gate.token, port)
        server = Server(config, app, lambda: ready(address))
        asyncio.run(server.serve([bound]))


def _address(store: Store, origin: str, token: str, port: int) -> Json:
    """Where the server is reached: for a terminal with the token, else with the file that has it.

    The file stays behind: it says no more than the key beside it.
    """
    url = f"{origin}/?token={token}"
    if sys.stdout.isatty():
        return {"url": url}
    name = ("local", f"{URL}.{port}")
    store.save(f"{url}\n".encode(), *name)
    return {"url": f"{origin}/", "file": "/".join((store.path, *name))}
