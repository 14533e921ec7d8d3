"""A collector of OTLP over HTTP: where it is, and a request to it.

The settings are OpenTelemetry's own: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS (which
may hold a credential, and so is never on a command line), OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from urllib.parse import unquote

from coord_envelope import Usage, world
from coord_envelope.errors import BadData, Fault, Refused, TryAgain
from coord_envelope.platform import suppress
from coord_kernel.cli import urls
from coord_kernel.cli.request import opener, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from urllib.parse import SplitResult

    from coord_envelope.codec import Json

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
PATIENCE_S, LIMIT_S = 10, 30
"""How long to wait for the next bytes of an answer, and for all of it."""
LONGEST_S = 3_600
"""Longest Retry-After that is waited for."""
ANSWER = 1 << 16
AGAIN = (408, 429, 502, 503, 504)
PATHS = {"logs": "v1/logs", "traces": "v1/traces", "metrics": "v1/metrics"}


class Busy(TryAgain):
    """It did not take the request now."""

    def __init__(self, what: str, where: str, wait_s: int | None = None) -> None:
        """`wait_s`: how long it asked to wait."""
        super().__init__(what, where=where)
        self.wait_s = wait_s


class Collector:
    """Where to send to."""

    def __init__(self, url: str) -> None:
        """Raises Usage."""
        parts = _parts(url)
        self.url, self.place = url.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
        self._headers = {"content-type": "application/x-protobuf", "user-agent": "coord-otel"}
        for name, value in _pairs(HEADERS):
            if (
                not _HEADER.fullmatch(name)
                or not value.isprintable()
                or max(value, default="") > "ÿ"
            ):
                todo = "use letters of ISO 8859-1"
                raise Usage(f"not a valid header: {name[:80]!r}", HEADERS, todo)
            self._headers[name] = value

    def send(self, signal: str, data: bytes) -> bytes:
        """Its answer. Raises Busy: try again; Refused, BadData: a person must look."""
        url = f"{self.url}/{PATHS[signal]}"
        request = urllib.request.Request(url, data, self._headers, method="POST")
        try:
            with within(LIMIT_S), opener().open(request, timeout=PATIENCE_S) as answer:
                said: bytes = answer.read(ANSWER)
                return said
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            what = getattr(reason, "strerror", None) or str(reason) or "no answer"
            raise Busy(what.lower()[:200], self.place) from None

    def _refused(self, error: urllib.error.HTTPError) -> Fault:
        what = f"answered {error.code} {error.reason}"[:200]
        if error.code in AGAIN:
            return Busy(what, self.place, _seconds(error.headers.get("Retry-After", "")))
        if error.code in (401, 403):
            return Refused(what, self.place, todo=f"see {HEADERS}")
        return BadData(what, self.place, todo="is this the endpoint of OTLP over HTTP?")


def _parts(url: str) -> SplitResult:
    """The parts of a URL to which a path can be added. Raises Usage."""
    try:
        parts = urls.http(url)
        (parts.hostname or "").encode("idna")  # as the socket will
    except BadData as fault:
        raise Usage(fault.what, todo=fault.todo) from None
    except UnicodeError:
        raise Usage(f"not a valid URL: {url[:80]!r}", todo="use http://HOST:4318") from None
    if "?" in url or "#" in url:
        raise Usage("the URL has a query or a fragment", todo="use http://HOST:4318")
    return parts


def _seconds(text: str) -> int | None:
    """A Retry-After: seconds, or a time."""
    if text.isdecimal():
        return min(int(text[:9]), LONGEST_S)
    from email.utils import parsedate_to_datetime  # 15 ms, only for a time

    with suppress(ValueError, TypeError):
        then = parsedate_to_datetime(text).timestamp()
        return min(max(0, int(then - world.now_ms() / 1000)), LONGEST_S)
    return None


def endpoint() -> str | None:
    """The collector of the environment."""
    return world.getenv("OTEL_EXPORTER_OTLP_ENDPOINT")


def resource(project: str, replica: str) -> Json:
    """What the exported things are of."""
    return {
        "service.name": world.getenv("OTEL_SERVICE_NAME") or "coord",
        "service.namespace": project,
        "service.instance.id": replica,
        "coord.project": project,
        **dict(_pairs("OTEL_RESOURCE_ATTRIBUTES")),
    }


def _pairs(name: str) -> Iterator[tuple[str, str]]:
    """`a=b,c=d` of the environment, decoded. Raises Usage."""
    for pair in filter(None, (world.getenv(name) or "").split(",")):
        key, equals, value = pair.partition("=")
        key, value = unquote(key.strip()), unquote(value.strip())
        if not equals or not key or not (key + value).isprintable():
            raise Usage("not of the form NAME=VALUE,…", where=name)
        yield key, value
