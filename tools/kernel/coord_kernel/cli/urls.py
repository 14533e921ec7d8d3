"""URLs of HTTP that a person has written: of a webhook, of an API."""

from __future__ import annotations

from coord_envelope.errors import BadData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib.parse import SplitResult

SHOWN = 80


def http(url: str, shown: bool = True) -> SplitResult:
    """The parts of a URL with a host, and a port that is valid or None.

    Raises BadData, which does not quote the URL if it is a secret (`shown` is false), nor the
    credentials in it. A URL with a name and a password is refused: every list of processes has it.
    """
    from urllib.parse import urlsplit  # 4 ms, for who has a URL

    quoted = f": {url[:SHOWN]!r}" if shown else ""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # Brackets that are not closed, or a port above 65535.
        raise BadData(f"not a valid URL{_safe(quoted)}", todo="use https://…") from None
    if parts.username is not None or parts.password is not None:
        raise BadData("the URL holds credentials", todo="leave out NAME:PASSWORD@")
    if not valid:
        raise BadData(f"not a valid URL{_safe(quoted)}", todo="use https://…")
    if not all("!" <= char <= "~" for char in url):
        todo = "write other characters as %XX"
        raise BadData(f"not a valid URL{quoted}", todo=todo)
    return parts


def _safe(quoted: str) -> str:
    return "" if "@" in quoted else quoted
