"""Send one event to a URL, signed as standardwebhooks.com has it.

Its retries are those of the job that it runs as: it ends with 65 for what a retry does not change,
and with 75 or 69 for what it may.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

from coord_envelope import VERSION, BadData, Unreachable, world
from coord_envelope.errors import TryAgain
from coord_kernel.cli.request import opener, within
from coord_webhook.verify import signature

PATIENCE_S, LIMIT_S = 30.0, 60.0
"""How long to wait for the next bytes of an answer, and for all of it."""
LONGEST_ID = 128
"""Most characters of what names a delivery: it is a header."""
LONGEST_S = 300
"""Longest time that a server's Retry-After is waited for here."""
ANSWER = 1 << 16
"""Bytes of an answer that are read."""


def send(url: str, body: bytes, secret: str, name: str) -> bytes:
    """POST the body; the answer. Raises BadData, TryAgain, Unreachable."""
    if not name or len(name) > LONGEST_ID or not all("!" <= char <= "~" for char in name):
        raise BadData(
            f"not a valid id of a delivery: {name[:80]!r}",
            todo=f"use up to {LONGEST_ID} visible ASCII characters",
        )
    stamp = str(world.now_ms() // 1000)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"coord-webhook/{VERSION}",
        "webhook-id": name,
        "webhook-timestamp": stamp,
    }
    if secret:
        headers["webhook-signature"] = signature(secret, name, stamp, body)
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with within(LIMIT_S), opener().open(request, timeout=PATIENCE_S) as answer:
            data: bytes = answer.read(ANSWER)
            return data
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(url, error) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(str(reason).lower()[:200] or "no answer", where=_place(url)) from None
    except HTTPException:
        raise Unreachable("the answer is not HTTP", where=_place(url)) from None


def _refused(url: str, error: urllib.error.HTTPError) -> BadData | TryAgain:
    """The failure that a status is."""
    what = f"answered {error.code} {error.reason}"[:200]
    if error.code in (408, 425, 429) or error.code >= 500:
        wait = error.headers.get("Retry-After", "")
        if wait.isdecimal() and 0 < int(wait[:9]) <= LONGEST_S:
            time.sleep(int(wait))
        return TryAgain(what, where=_place(url))
    return BadData(what, where=_place(url))


def _place(url: str) -> str:
    """The URL without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"
