"""Credentials that must not enter a journal: it is synced, and never rewritten.

A short literal list, not a scanner: it stops a token that was pasted by accident, no more.
"""

from __future__ import annotations

from coord_envelope.errors import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATTERNS = {
    b"AKIA": rb"AKIA[0-9A-Z]{16}",
    b"ghp_": rb"ghp_[A-Za-z0-9]{36}",
    b"gho_": rb"gho_[A-Za-z0-9]{36}",
    b"github_pat_": rb"github_pat_[A-Za-z0-9_]{50}",
    b"glpat-": rb"glpat-[A-Za-z0-9_-]{20}",
    b"xoxb-": rb"xoxb-[0-9]+-[0-9A-Za-z-]{20}",
    b"xoxp-": rb"xoxp-[0-9]+-[0-9A-Za-z-]{20}",
    b"sk-ant-": rb"sk-ant-[A-Za-z0-9_-]{20}",
    b"sk_live_": rb"sk_live_[A-Za-z0-9]{20}",
    b"AIza": rb"AIza[0-9A-Za-z_-]{35}",
    b"PRIVATE KEY-----": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
"""Patterns of credentials, by the plain bytes that every match contains."""


class Credential(Refused):
    """What looks like a credential. Who has no --allow-secret names another way out in `todo`."""


def holds_secret(raw: bytes) -> bool:
    """Does the text seem to hold a credential?"""
    return _match(raw) is not None


def refuse_secret(raw: bytes) -> None:
    """Raise Credential if the line seems to hold one; shows its first characters only."""
    match = _match(raw)
    if match:
        what = f"holds what looks like a credential ({match.decode()}…)"
        raise Credential(what, todo="remove it, or use --allow-secret")


def masked(value: Any) -> Any:
    """The JSON value with `***` in place of the rest of what looks like a credential.

    Names of fields are left as they are.
    """
    if isinstance(value, dict):
        return {name: masked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return _masked(value) if isinstance(value, str) else value


def _masked(text: str) -> str:
    for mark, pattern in PATTERNS.items():
        if mark.decode() in text:
            import re

            # Of a key all of it goes, of a token also what follows the part that is looked for.
            rest = r"(?s:.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))"
            more = rest if mark.startswith(b"PRIVATE") else r"[A-Za-z0-9_-]*"
            text = re.sub(pattern.decode() + more, lambda match: f"{match[0][:4]}***", text)
    return text


def _match(raw: bytes) -> bytes | None:
    """The first characters of what looks like a credential."""
    for mark, pattern in PATTERNS.items():
        if mark in raw:
            import re

            match = re.search(pattern, raw)
            if match:
                return match[0][:8]
    return None
