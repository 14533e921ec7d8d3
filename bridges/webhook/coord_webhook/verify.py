"""Was a delivery sent with the secret, and which delivery is it? Pure.

    github     X-Hub-Signature-256: sha256=HEX, of the body
    gitlab     X-Gitlab-Token: the secret itself
    pagerduty  X-PagerDuty-Signature: v1=HEX,v1=HEX, of the body
    sentry     Sentry-Hook-Signature: HEX, of the body
    standard   webhook-signature: v1,BASE64, of webhook-id, webhook-timestamp and the body
    others     Authorization: Bearer SECRET; or HEX of the body in a header that the file names

HEX and BASE64 are HMAC-SHA256. What names a delivery must be signed, or who has seen one could send
it again under another name: so where an id is not signed, the body's digest is the name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

from coord_envelope.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

TOLERANCE_S = 300
"""How far the time of a `standard` delivery may be from the clock."""
_OF_BODY = {
    "github": ("x-hub-signature-256", "sha256="),
    "pagerduty": ("x-pagerduty-signature", "v1="),
    "sentry": ("sentry-hook-signature", ""),
}
"""The header of the signature, and what stands before it."""
_IDS = {"gitlab": "x-gitlab-event-uuid"}
"""The header that names a delivery, of forms that sign nothing."""


class Way:
    """How the deliveries to a hook are verified."""

    def __init__(self, form: str, secret: str, header: str = "") -> None:
        """`header`: of the signature of the body, for a form without its own."""
        self._form, self._secret, self._header = form, secret, header.lower()

    @property
    def of_body(self) -> bool:
        """Is the body all that is signed? Then no header says which delivery it is, or of what."""
        return self._form in _OF_BODY or bool(self._header)

    def name(self, body: bytes, headers: Mapping[str, str], now_s: int) -> str:
        """The name of a delivery, the same if it is sent again; empty if it has none.

        Raises Refused if it was not sent with the secret, or is too old.
        """
        if self._form == "standard":
            return self._standard(body, headers, now_s)
        header, before = _OF_BODY.get(self._form, (self._header, ""))
        if header:
            self._check_signature(body, headers.get(header, ""), header, before)
            return hashlib.sha256(body).hexdigest()[:32]
        if self._form == "gitlab":
            self._check_token(headers.get("x-gitlab-token", ""), "X-Gitlab-Token")
        else:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            self._check_token(token if scheme.lower() == "bearer" else "", "Authorization")
        return headers.get(_IDS.get(self._form, "idempotency-key"), "")[:128]

    def _check_signature(self, body: bytes, given: str, header: str, before: str) -> None:
        if not given:
            raise Refused(f"the header {header} is missing")
        right = hmac.digest(self._secret.encode(), body, "sha256").hex()
        signatures = [part.strip() for part in given.split(",")][:8]
        if not any(
            _same(text.removeprefix(before or "sha256="), right)
            for text in signatures
            if text.startswith(before)
        ):
            raise Refused("the signature does not fit")

    def _check_token(self, given: str, header: str) -> None:
        if not given:
            raise Refused(f"the header {header} is missing")
        if not _same(given, self._secret):
            raise Refused("the secret does not fit")

    def _standard(self, body: bytes, headers: Mapping[str, str], now_s: int) -> str:
        given = [headers.get(f"webhook-{each}", "") for each in ("id", "timestamp", "signature")]
        name, stamp, signatures = given
        if not all(given):
            raise Refused("the headers webhook-id, webhook-timestamp, webhook-signature are needed")
        right = signature(self._secret, name, stamp, body)
        if not any(_same(each, right) for each in signatures.split()[:8]):
            raise Refused("the signature does not fit")
        if not stamp.isdecimal() or abs(int(stamp[:18]) - now_s) > TOLERANCE_S:
            raise Refused(f"the time is more than {TOLERANCE_S} s from the clock here")
        return name[:128]


def signature(secret: str, name: str, stamp: str, body: bytes) -> str:
    """The signature of a `standard` delivery (standardwebhooks.com)."""
    signed = f"{name}.{stamp}.".encode("utf-8", "replace") + body
    return f"v1,{base64.b64encode(hmac.digest(_key(secret), signed, 'sha256')).decode()}"


def _key(secret: str) -> bytes:
    """A secret that begins with `whsec_` is in base64."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret[6:], validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
