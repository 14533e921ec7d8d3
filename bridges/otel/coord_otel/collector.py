"""A collector of OTLP over HTTP: where it is, and a request to it.

The settings are OpenTelemetry's own: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS (which
may hold a credential, and so is never on a command line), OTEL_SERVICE_NAME,
OTEL_RESOURCE_ATTRIBUTES.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from urllib.parse import unquote, urlsplit

from coord_envelope import Usage, world
from coord_envelope.errors import BadData, Fault, Refused, TryAgain
from coord_envelope.platform import suppress
from coord_kernel.cli.request import opener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coord_envelope.codec import Json

PATIENCE_S = 10
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
        """Raises Usage, BadData."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Usage(f"not a valid URL: {url}", todo="use http://HOST:4318")
        if parts.username or parts.password:
            todo = "use OTEL_EXPORTER_OTLP_HEADERS"
            raise Usage("credentials in a URL are shown to others", todo=todo)
        self.url, self.place = url.rstrip("/"), f"{parts.scheme}://{parts.netloc}"
        self._headers = {"content-type": "application/x-protobuf", "user-agent": "coord-otel"}
        self._headers |= dict(_pairs("OTEL_EXPORTER_OTLP_HEADERS"))

    def send(self, signal: str, data: bytes) -> bytes:
        """Its answer. Raises Busy: try again; Refused, BadData: a person must look."""
        url = f"{self.url}/{PATHS[signal]}"
        request = urllib.request.Request(url, data, self._headers, method="POST")
        try:
            with opener().open(request, timeout=PATIENCE_S) as answer:
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
            return Refused(what, self.place, todo="see OTEL_EXPORTER_OTLP_HEADERS")
        return BadData(what, self.place, todo="is this the endpoint of OTLP over HTTP?")


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
    """`a=b,c=d` of the environment, decoded. Raises BadData."""
    for pair in filter(None, (world.getenv(name) or "").split(",")):
        key, equals, value = pair.partition("=")
        key, value = unquote(key.strip()), unquote(value.strip())
        if not equals or not key or not (key + value).isprintable():
            raise BadData("not of the form NAME=VALUE,…", where=name)
        yield key, value
